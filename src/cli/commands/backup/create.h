/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup.h"

/** A volume that is backed up. */
typedef struct {
    CstVolRef *ref;
    char *xml;
    char *format;

    char *snapshot;    /**< that was made for it, and is read; NULL: none */
    char *mark;        /**< which snapshot that is, as the storage tells; NULL: it can't */
    uint64_t capacity; /**< of the snapshot; known with the mark */

    /** An earlier backup of it, of which the volume still has the snapshot; NULL: none. */
    const CstBackup *base;
    const CstBackupVolume *previous; /**< the volume in it */
    const char *old;                 /**< its snapshot; also when it is read whole */
    char *whole;      /**< why it is read whole although an increment was asked for */
    uint64_t planned; /**< bytes of an increment that would be read */
    GError *failure;  /**< why the backup lacks it; NULL: it has it */
} BackupSource;

typedef struct {
    CliCtl *ctl;
    CstRepo *repo;
    CstBackupWriter *writer;
    GPtrArray *sources;   /**< of BackupSource * */
    GPtrArray *missing;   /**< of BackupSource *: those that could not be backed up */
    GPtrArray *backups;   /**< of the repository, CstBackup *, oldest first; NULL: not read */
    gboolean incremental; /**< read what has changed; the snapshots stay */
    gboolean together;    /**< all snapshots in one step where that can be */
    gboolean must;        /**< a volume that can have no snapshot is left out */
    gboolean named;       /**< the command line names each volume */
    gboolean checking;    /**< before the command detaches; nothing is stored yet */
    char *snapshot;       /**< name of those that are made; NULL: none are */
    BackupSource *current;
    unsigned flags; /**< CstVolStreamFlags for what is read */
} BackupCreate;

/** A step of the backup for one volume. */
typedef gboolean (*BackupStep)(BackupCreate *create, BackupSource *source, GError **error);

/**
 * Calls @step for each source. A source that fails is reported, loses its new snapshot and moves to
 * ->missing. FALSE when the backup has to be given up: no source is left, the user has cancelled,
 * or the repository takes no more.
 */
gboolean backup_each(BackupCreate *create, BackupStep step, GError **error);
/** Fails with PARTIAL and names ->missing. @backup: NULL in a dry run. */
gboolean backup_missing_fail(const BackupCreate *create, const CstBackup *backup, GError **error);
/** Prints the backup that was made, as text or JSON. */
void backup_print_created(const BackupCreate *create, const CstBackup *backup);

/** Has a volume read whole, and notes why (NULL: nobody asked for anything else). */
void backup_read_whole(BackupSource *source, const char *why);
/**
 * Reads create->current into the writer: what has changed since its base, or all of it. Says in
 * ->whole why all of it is read.
 */
gboolean backup_content(BackupCreate *create, CstTask *task, GError **error);
/** Finds out for a dry run how much of it would be read: ->planned, or ->whole. */
gboolean backup_content_plan(BackupCreate *create, CstTask *task, GError **error);

/**
 * Makes the snapshots of all sources, in one step if all are of one pool that can, and tells the
 * writer of which moments they are.
 */
gboolean backup_snapshots_together(BackupCreate *create, GError **error);
