/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup.h"

/** A volume to back up. */
typedef struct {
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
    char *whole;      /**< reason for a full read although an increment was requested */
    uint64_t planned; /**< bytes that an increment would read */
    GError *failure;  /**< reason why the backup lacks the volume; NULL: not missing */
} BackupSource;

typedef struct {
    CliCtl *ctl;
    CstRepo *repo;
    CstBackupWriter *writer;
    GPtrArray *sources;   /**< of BackupSource * */
    GPtrArray *missing;   /**< of BackupSource *: volumes that could not be backed up */
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
/** Fails with PARTIAL; the message lists ->missing. @backup is NULL in a dry run. */
gboolean backup_missing_fail(const BackupCreate *create, const CstBackup *backup, GError **error);
/** Prints the new backup as text or JSON. */
void backup_print_created(const BackupCreate *create, const CstBackup *backup);

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
