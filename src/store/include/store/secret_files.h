/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/secret_def.h>
#include <store/paths.h>

/**
 * The files of secrets, as libvirt keeps them: UUID.xml and UUID.base64, both of mode 0600. A write
 * replaces a whole file and is durable when it returns. Callers that change a secret hold the
 * secrets' driver lock (CST_DRIVER_SECRET).
 */

/** A loaded secret. */
typedef struct {
    CstSecretDef *def;
    uint8_t *value;   /**< owned; NULL: none set */
    size_t value_len; /**< bytes */
} CstSecretFile;

/** Overwrites the value before it frees it. */
void cst_secret_file_free(CstSecretFile *file);

/**
 * Loads all secrets. Elements CstSecretFile *, freed with the array. Skips and logs files that
 * cannot be read.
 */
GPtrArray *cst_secret_files_load(const CstPaths *paths);
/**
 * Whether there are values without a definition, or temporary files: a change was interrupted or is
 * in progress.
 */
gboolean cst_secret_files_have_leftovers(const CstPaths *paths);
/** Removes what cst_secret_files_have_leftovers() finds. Requires the driver lock. */
void cst_secret_files_drop_leftovers(const CstPaths *paths);
/** Writes a definition. Creates the directory when it is missing. */
gboolean cst_secret_file_save(const CstPaths *paths, const CstSecretDef *def, GError **error);
/** Writes the value of a secret that is defined. */
gboolean cst_secret_value_save(const CstPaths *paths, const CstUuid *uuid, const uint8_t *value,
                               size_t len, GError **error);
/** Removes the definition, then the value; succeeds where they do not exist. */
gboolean cst_secret_file_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);
/** Removes the value; succeeds when there is none. */
gboolean cst_secret_value_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);
