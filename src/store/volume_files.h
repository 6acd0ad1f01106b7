/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>
#include <store/paths.h>

/*
 * Files about volumes, one for each: DATA/KIND/POOL/=VOLUME. POOL is the pool's UUID. The volume's
 * name is escaped as in a URI, so that no file name has a special meaning.
 */

/** Returns the directory of the pool's files of @kind. The caller frees it. */
char *volume_files_dir(const CstPaths *paths, const char *kind, const CstUuid *pool);
/** Returns the path of the file about @volume in @dir. The caller frees it. */
char *volume_file_path(const char *dir, const char *volume);
/**
 * Returns the names of the volumes that have files in @dir, sorted; empty if the directory does not
 * exist. The caller drops the reference.
 */
GPtrArray *volume_files_list(const char *dir, GError **error);
