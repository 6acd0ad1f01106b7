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
} BackupSource;

typedef struct {
    CliCtl *ctl;
    CstRepo *repo;
    CstBackupWriter *writer;
    GPtrArray *sources;   /**< of BackupSource * */
    GPtrArray *backups;   /**< of the repository, CstBackup *, oldest first; NULL: not read */
    gboolean incremental; /**< read what has changed; the snapshots stay */
    gboolean together;    /**< all snapshots in one step where that can be */
    gboolean must;        /**< a volume that can have no snapshot is an error */
    char *snapshot;       /**< name of those that are made; NULL: none are */
    BackupSource *current;
    unsigned flags; /**< CstVolStreamFlags for what is read */
} BackupCreate;

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
