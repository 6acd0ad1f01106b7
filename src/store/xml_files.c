/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loads a directory of XML files, one object each. A damaged file is logged and skipped, so that it
 * does not prevent the load of the rest. A file that cannot be read fails the load, because its
 * object exists. The order is the directory's.
 */
#include "xml_files.h"

#include <string.h>

#include <base/error.h>
#include <base/log.h>

#define SUFFIX ".xml"

/* Whether the system could not read a file that exists. Its content may be valid. */
static gboolean is_unread(const GError *error)
{
    return g_error_matches(error, CST_ERROR, CST_ERROR_IO) ||
           g_error_matches(error, CST_ERROR, CST_ERROR_DENIED);
}

gboolean store_xml_load(const char *dir, const char *kind, StoreXmlFunc load, gpointer data,
                        GError **error)
{
    g_autoptr(GError) closed = NULL;
    g_autoptr(GDir) listing = g_dir_open(dir, 0, &closed);
    const char *entry;

    if (!listing)
        return g_error_matches(closed, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
               cst_fail(error, CST_ERROR_IO, "%s", closed->message);
    while ((entry = g_dir_read_name(listing))) {
        g_autofree char *stem = NULL;
        g_autofree char *path = NULL;
        g_autoptr(GError) why = NULL;

        if (!g_str_has_suffix(entry, SUFFIX))
            continue;
        stem = g_strndup(entry, strlen(entry) - strlen(SUFFIX));
        path = g_build_filename(dir, entry, NULL);
        if (load(path, stem, data, &why))
            continue;
        if (is_unread(why)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        cst_log(CST_LOG_ERROR, "skipping %s file '%s': %s", kind, path, why->message);
    }
    return TRUE;
}
