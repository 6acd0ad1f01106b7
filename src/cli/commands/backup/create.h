/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/domains.h>

#include "backup.h"

/** A machine to back up. */
typedef struct {
    CstDomain *domain;
    uint32_t number; /**< in the manifest; 0: not in it */
    GError *failure; /**< why the backup lacks the machine; NULL: its disks are sources */
} BackupMachine;

/** A volume to back up. */
typedef struct {
    BackupMachine *machine; /**< whose disk it is; borrowed; NULL: the command names the volume */
    CstVolRef *ref;
    char *xml;
    char *format;
    char *tags; /**< with blanks between them; NULL: no tag */
    char *note; /**< NULL: no note */

    /** New snapshot, which is read, with CST_LIVE_PREFIX if it is a live one; NULL: the volume. */
    char *snapshot;
    char *mark;        /**< identity of the snapshot from the storage; NULL: not supported */
    uint64_t capacity; /**< size of the snapshot in bytes; valid with the mark */

    /** An earlier backup of the volume with a snapshot or a checkpoint; NULL: full read. */
    const CstBackup *base;
    const CstBackupVolume *previous; /**< the volume in @base */
    const char *old;                 /**< snapshot of an earlier backup; also set for a full read */
    char *whole;                /**< reason for a full read although an increment was requested */
    uint64_t planned;           /**< bytes that an increment would read */
    CstConsistency consistency; /**< of the read content, as far as it was verified */
    char *reason;               /**< why the consistency is not better; NULL: no reason */
    gboolean live;              /**< @snapshot is a live one: a backup job of libvirt keeps it */
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
    GPtrArray *domains;   /**< of CstDomain *: all of libvirt; NULL: not asked yet */
    GPtrArray *backups;   /**< of CstBackup *, oldest first; NULL: not loaded */
    gboolean incremental; /**< read only changes, and keep the snapshots */
    gboolean together;    /**< create all snapshots in one step if possible */
    gboolean must;        /**< omit a volume that does not support snapshots */
    gboolean named;       /**< the command line names each volume */
    gboolean checking;    /**< checks before the command detaches; no data is stored */
    char *snapshot;       /**< name of the new snapshots; NULL: no snapshots */
    char *qmp; /**< socket of the monitor of the QEMU that has the volumes open; NULL: without --qmp
                */
    BackupSource *current;
    gboolean grouped;     /**< backup_each() passes only the sources of @group */
    BackupMachine *group; /**< NULL: volumes that are no disks of a machine */
    guint sets;           /**< number of sets of snapshots that were made */
    gboolean one_step;    /**< the last set was made in one step */
    uint64_t span_us;     /**< duration of making the last set, in microseconds; 0: unknown */
    gint64 began_us;      /**< monotonic time before the first set */
    gint64 ended_us;      /**< monotonic time after the last set */
    gboolean has_live;    /**< live snapshots exist, and must end */
    const GError
        *refusal;   /**< why the sources of @group are left out; borrowed; NULL: they are not */
    unsigned flags; /**< CstVolStreamFlags for reading */
    CstConsistency minimum; /**< a volume with a worse one is left out; UNKNOWN: no minimum */
} BackupCreate;

/** A step of the backup for one volume. */
typedef gboolean (*BackupStep)(BackupCreate *create, BackupSource *source, GError **error);

/**
 * Calls @step for each source, or each source of ->group. A source that fails is reported, loses
 * its new snapshot and moves to
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
/**
 * Returns the volume of the source in its newest backup with a snapshot in @names (char *), or with
 * a checkpoint (@names NULL). Both results are borrowed. NULL: there is none, and *ret_backup is
 * unchanged.
 */
const CstBackupVolume *backup_find_previous(const BackupCreate *create, const BackupSource *source,
                                            GPtrArray *names, const CstBackup **ret_backup);
/** Returns the source of a volume, borrowed; NULL: the backup has no such source. */
BackupSource *backup_find_source(const BackupCreate *create, const char *pool, const char *name);
/** Adds a volume unless it is a source already. Takes ownership of @ref; fails if it is NULL. */
gboolean backup_add_source(BackupCreate *create, CstVolRef *ref, BackupMachine *machine,
                           GError **error);
/**
 * Adds the disks of the machines that the options name. A machine of --all-machines that fails is
 * reported, and the backup lacks it.
 */
gboolean backup_add_machines(BackupCreate *create, const CliArgs *args, GError **error);
void backup_machine_free(gpointer machine);

/**
 * Makes the snapshots of all sources while the QEMU at the monitor ->qmp stands, or of no source.
 */
gboolean backup_snapshots_of_qemu(BackupCreate *create, GError **error);
/** Returns the references of @members (of BackupSource *), borrowed. The caller frees the array. */
GPtrArray *backup_vols_of(const GPtrArray *members);
/** Makes a snapshot of all @members or of no member, and sets their snapshot and consistency. */
gboolean backup_make_snapshot_set(BackupCreate *create, const GPtrArray *members, GError **error);
/** Sets snapshot and consistency of @members, whose snapshots exist. @live: they are live ones. */
void backup_put_set(BackupCreate *create, const GPtrArray *members, gboolean live,
                    const CstSnapshotSet *set);
/**
 * Makes the snapshots of all disks of a machine: by the pools, or by a backup job of libvirt. Marks
 * the disks to be read themselves if the machine does not run and they cannot have snapshots. The
 * machine is left out, and TRUE is returned, if that fails. Returns FALSE if the backup cannot
 * continue.
 */
gboolean backup_machine_snapshots(BackupCreate *create, BackupMachine *machine, GError **error);
/** In a dry run: checks one disk as backup_machine_snapshots() does. May fail with DRY_RUN. */
gboolean backup_machine_try_disk(BackupCreate *create, BackupSource *source, GError **error);
/**
 * After the disks of a machine were read: ends its backup job, and sets whether the backup has all
 * of its disks with one point in time.
 */
void backup_machine_end(BackupCreate *create, BackupMachine *machine);
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
 * Creates the snapshots of the sources that are no disks of machines. Uses one step if all are in a
 * pool that supports it.
 */
gboolean backup_snapshots_together(BackupCreate *create, GError **error);
/** Sets the points in time in the writer, from the sets that were made. */
void backup_put_moment(BackupCreate *create);
