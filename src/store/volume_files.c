/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of files about volumes. */
#include "volume_files.h"

#include <dirent.h>
#include <errno.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/text.h>

char *volume_files_dir(const CstPaths *paths, const char *kind, const CstUuid *pool)
{
    char text[CST_UUID_TEXT_LEN];

    return g_build_filename(paths->data_dir, kind, cst_uuid_format(pool, text), NULL);
}

/* Prepends '=', so that no name is "." or "..". */
char *volume_file_path(const char *dir, const char *volume)
{
    g_autofree char *escaped = g_uri_escape_string(volume, NULL, FALSE);

    return g_strdup_printf("%s/=%s", dir, escaped);
}

GPtrArray *volume_files_list(const char *dir, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    DIR *listing = opendir(dir);
    const struct dirent *entry;
    int failure;

    if (!listing && errno != ENOENT) {
        cst_fail_errno(error, errno, _("cannot read '%s'"), dir);
        return NULL;
    }
    while (listing && (errno = 0, entry = readdir(listing))) {
        char *name = NULL;

        if (*entry->d_name == '=' && !cst_file_is_temporary(entry->d_name))
            name = g_uri_unescape_string(entry->d_name + 1, NULL);
        if (name)
            g_ptr_array_add(names, name);
    }
    failure = listing ? errno : 0;
    if (listing)
        closedir(listing);
    if (failure) {
        cst_fail_errno(error, failure, _("cannot read '%s'"), dir);
        return NULL;
    }
    g_ptr_array_sort(names, cst_text_compare);
    return g_steal_pointer(&names);
}
