/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/declarations.h>

/**
 * The recorded references of images to their backing and data files, in the database of
 * declarations. A record belongs to a directory and not to a pool, so that it remains when the pool
 * is stopped, undefined or renamed.
 *
 * All functions may be called from any thread. Failures of SQLite are IO. No function accesses the
 * files that the records name.
 */
typedef struct {
    char *dir;      /**< of the overlay; clean absolute path */
    char *volume;   /**< name of the overlay in @dir */
    char *path;     /**< of the base as the overlay names it; clean */
    CstFileId base; /**< identity of the base when the reference was recorded; zero: unknown */
} CstOverlay;

/** Copies the strings. The caller frees the record. */
CstOverlay *cst_overlay_new(const char *dir, const char *volume, const char *path,
                            const CstFileId *base);
/** NULL is accepted. */
void cst_overlay_free(CstOverlay *overlay);

/** Returns the records of @dir as CstOverlay *, owned by the array. NULL with an error. */
GPtrArray *cst_overlays_of_dir(CstDeclarations *declarations, const char *dir, GError **error);
/** Returns the records of one overlay as cst_overlays_of_dir() does. */
GPtrArray *cst_overlays_of_volume(CstDeclarations *declarations, const char *dir,
                                  const char *volume, GError **error);
/**
 * Returns the records with the file at @path or the file @base as their base, in the order of
 * directories and names. @base counts only if its birth time is known. NULL with an error.
 */
GPtrArray *cst_overlays_on(CstDeclarations *declarations, const char *path, const CstFileId *base,
                           GError **error);
/**
 * Removes and adds records (CstOverlay *) in one transaction. An added record replaces an existing
 * one.
 */
gboolean cst_overlays_change(CstDeclarations *declarations, const GPtrArray *removed,
                             const GPtrArray *added, GError **error);
