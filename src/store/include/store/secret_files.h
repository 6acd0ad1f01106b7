/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <model/secret_def.h>
#include <store/paths.h>

/**
 * The files of secrets: UUID.xml, the definition in libvirt's format, and the value
 * (store/secret_values.h), all with mode 0600. A write replaces a whole file and is durable when it
 * returns. Callers that change a secret hold the secrets' driver lock (CST_DRIVER_SECRET).
 */

/** A loaded secret. */
typedef struct {
    CstSecretDef *def;
    CstSecretBytes value; /**< of an ephemeral secret, which has no file; empty: no value */
    gint64 changed;       /**< time at which that value was set, seconds since 1970 */
} CstSecretFile;

/** Overwrites the value before it frees it. */
void cst_secret_file_free(CstSecretFile *file);

/**
 * Loads all secrets, without their values. Elements CstSecretFile *, freed with the array. Skips
 * and logs damaged files, and secrets with a value file that is too large. NULL with IO or DENIED
 * if a file exists and cannot be read.
 */
GPtrArray *cst_secret_files_load(const CstPaths *paths, GError **error);
/**
 * Whether leftovers exist: value files that no function reads (without a definition, or sealed with
 * a plain file as well), or temporary files. A change was then interrupted or is in progress.
 */
gboolean cst_secret_files_have_leftovers(const CstPaths *paths);
/** Removes the files that cst_secret_files_have_leftovers() finds. Requires the driver lock. */
void cst_secret_files_drop_leftovers(const CstPaths *paths);
/** Writes a definition. Creates the directory if it is missing. */
gboolean cst_secret_file_save(const CstPaths *paths, const CstSecretDef *def, GError **error);
/** Removes the definition, then the value. Succeeds if they do not exist. */
gboolean cst_secret_file_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);
