/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/domains.h>

#include "backup.h"

/** A machine to back up. */
typedef struct {
    CstDomain *domain;
    gboolean one_moment; /**< the snapshots of all its volumes were made at one point in time */
    uint32_t number;     /**< in the manifest; 0: not yet in it */
    GError *failure;     /**< why the backup lacks the machine; NULL: its disks are sources */
} BackupMachine;

/** A volume to back up. */
typedef struct {
    BackupMachine *machine; /**< whose disk it is; borrowed; NULL: the command names the volume */
    CstVolRef *ref;
    char *xml;
    char *format;

    char *snapshot;    /**< new snapshot, which is read; NULL: the volume itself is read */
    char *mark;        /**< identity of the snapshot from the storage; NULL: not supported */
    uint64_t capacity; /**< size of the snapshot in bytes; valid with the mark */

    /** An earlier backup of the volume, if its snapshot still exists; NULL: full read. */
    const CstBackup *base;
    const CstBackupVolume *previous; /**< the volume in @base */
    const char *old;                 /**< snapshot of @base; also set for a full read */
    char *whole;                /**< reason for a full read although an increment was requested */
    uint64_t planned;           /**< bytes that an increment would read */
    CstConsistency consistency; /**< of the read content, as far as it was verified */
    char *reason;               /**< why the consistency is not better; NULL: no reason */
    gboolean direct; /**< a disk at rest that cannot have a snapshot: the volume itself is read */
    GError *failure; /**< reason why the backup lacks the volume; NULL: not missing */
} BackupSource;

typedef struct {
    CliCtl *ctl;
    CstRepo *repo;
    CstBackupWriter *writer;
    GPtrArray *sources;   /**< of BackupSource * */
    GPtrArray *missing;   /**< of BackupSource *: volumes that could not be backed up */
    GPtrArray *machines;  /**< of BackupMachine * */
    GPtrArray *backups;   /**< of CstBackup *, oldest first; NULL: not loaded */
    gboolean incremental; /**< read only changes, and keep the snapshots */
    gboolean together;    /**< create all snapshots in one step if possible */
    gboolean must;        /**< omit a volume that does not support snapshots */
    gboolean named;       /**< the command line names each volume */
    gboolean checking;    /**< checks before the command detaches; no data is stored */
    char *snapshot;       /**< name of the new snapshots; NULL: no snapshots */
    BackupSource *current;
    unsigned flags; /**< CstVolStreamFlags for reading */
} BackupCreate;

/** A step of the backup for one volume. */
typedef gboolean (*BackupStep)(BackupCreate *create, BackupSource *source, GError **error);

/**
 * Calls @step for each source. A source that fails is reported, loses its new snapshot and moves to
 * ->missing. Returns FALSE if the backup cannot continue: no source is left, the user has cancelled
 * it, or the repository cannot store more data.
 */
gboolean backup_each(BackupCreate *create, BackupStep step, GError **error);
/**
 * Fails with PARTIAL if volumes or machines are missing, and lists them. @backup is NULL in a dry
 * run.
 */
gboolean backup_check_missing(const BackupCreate *create, const CstBackup *backup, GError **error);
/** Prints the new backup as text or JSON. */
void backup_print_created(const BackupCreate *create, const CstBackup *backup);

void backup_source_free(gpointer source);
/** Adds a volume unless it is a source already. Takes ownership of @ref; fails if it is NULL. */
gboolean backup_add_source(BackupCreate *create, CstVolRef *ref, BackupMachine *machine,
                           GError **error);
/**
 * Adds the disks of the machines that the options name. A machine of --all-machines that fails is
 * reported, and the backup lacks it.
 */
gboolean backup_add_machines(BackupCreate *create, const CliArgs *args, GError **error);
/** Adds the machines of the sources to the manifest. */
gboolean backup_write_machines(BackupCreate *create, GError **error);
void backup_machine_free(gpointer machine);

/**
 * Makes a snapshot of all @members (of BackupSource *) or of no member, and sets their snapshot and
 * consistency. *ret_set is the result of the connection.
 */
gboolean backup_make_snapshot_set(BackupCreate *create, const GPtrArray *members,
                                  CstSnapshotSet *ret_set, GError **error);
/**
 * Makes the backup read the complete volume. @why is the reason; NULL: no increment was requested.
 */
void backup_read_whole(BackupSource *source, const char *why);
/**
 * Reads create->current into the writer: the changes since its base, or the complete volume. Sets
 * ->whole to the reason for a full read.
 */
gboolean backup_content(BackupCreate *create, CstTask *task, GError **error);
/** Computes for a dry run how much would be read: sets ->planned, or ->whole. */
gboolean backup_content_plan(BackupCreate *create, CstTask *task, GError **error);

/**
 * Creates the snapshots of all sources. Uses one step if all are in a pool that supports it. Sets
 * their points in time in the writer.
 */
gboolean backup_snapshots_together(BackupCreate *create, GError **error);
