/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>
#include <store/paths.h>

/*
 * Files about volumes, one for each: DATA/KIND/POOL/=VOLUME. The pool is its UUID; the volume's
 * name is escaped as in a URI, so that no file has a name that means something else.
 */

/** The directory of the pool's files of @kind. The caller frees it. */
char *volume_files_dir(const CstPaths *paths, const char *kind, const CstUuid *pool);
/** The path of the file about @volume in @dir. The caller frees it. */
char *volume_file_path(const char *dir, const char *volume);
/** Names of the volumes that @dir has files about, sorted; none without the directory. Unref it. */
GPtrArray *volume_files_list(const char *dir, GError **error);
