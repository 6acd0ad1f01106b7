/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/declarations.h>

/**
 * The remembered references of images to their backing and data files, in the database of
 * declarations. A record belongs to a directory and not to a pool, so that it survives the end of
 * the pool's activity, of its definition and of its name.
 *
 * All functions may be called from any thread. Failures of SQLite are IO. No function touches the
 * files that the records name.
 */
typedef struct {
    char *dir;      /**< of the overlay; clean absolute path */
    char *volume;   /**< name of the overlay in @dir */
    char *path;     /**< of the base as the overlay names it; clean */
    CstFileId base; /**< of the base when the reference was learnt; zero: unknown */
} CstOverlay;

/** Copies the strings. The caller frees the record. */
CstOverlay *cst_overlay_new(const char *dir, const char *volume, const char *path,
                            const CstFileId *base);
/** NULL is accepted. */
void cst_overlay_free(CstOverlay *overlay);

/** Returns the records of @dir as CstOverlay *, owned by the array. NULL with an error. */
GPtrArray *cst_overlays_of_dir(CstDeclarations *declarations, const char *dir, GError **error);
/** Returns the same of one overlay. */
GPtrArray *cst_overlays_of_volume(CstDeclarations *declarations, const char *dir,
                                  const char *volume, GError **error);
/**
 * Returns the records whose base is the file at @path or the file @base, in the order of
 * directories and names. The birth time of @base must be known for the latter. NULL with an error.
 */
GPtrArray *cst_overlays_on(CstDeclarations *declarations, const char *path, const CstFileId *base,
                           GError **error);
/** Removes and adds records (CstOverlay *) in one transaction. Replaces what it adds. */
gboolean cst_overlays_change(CstDeclarations *declarations, const GPtrArray *removed,
                             const GPtrArray *added, GError **error);
