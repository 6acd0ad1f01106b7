/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/secret_def.h>
#include <store/paths.h>

/** Secrets on disk, as libvirt keeps them: UUID.xml and UUID.base64, both 0600. */

typedef struct {
    CstSecretDef *def;
    uint8_t *value; /**< NULL: none set */
    size_t value_len;
} CstSecretFile;

/** Wipes the value. */
void cst_secret_file_free(CstSecretFile *file);

/** Elements CstSecretFile *. What can't be read is logged and left out. */
GPtrArray *cst_secret_files_load(const CstPaths *paths);
/**
 * Whether there are values without a definition, or files that have not got their names: a change
 * was cut short, or is under way.
 */
gboolean cst_secret_files_have_leftovers(const CstPaths *paths);
/** Removes them; for whoever holds the secrets' lock (CST_DRIVER_SECRET). */
void cst_secret_files_drop_leftovers(const CstPaths *paths);
gboolean cst_secret_file_save(const CstPaths *paths, const CstSecretDef *def, GError **error);
gboolean cst_secret_value_save(const CstPaths *paths, const CstUuid *uuid, const uint8_t *value,
                               size_t len, GError **error);
/** Definition first, then the value. */
gboolean cst_secret_file_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);
gboolean cst_secret_value_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);
