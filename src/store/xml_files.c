/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loads a directory of XML files, one object each. A file that fails is logged and skipped, so that
 * a damaged file does not prevent the load of the rest. The order is the directory's.
 */
#include "xml_files.h"

#include <string.h>

#include <base/log.h>

#define SUFFIX ".xml"

void store_xml_load(const char *dir, const char *kind, StoreXmlFunc load, gpointer data)
{
    g_autoptr(GDir) listing = g_dir_open(dir, 0, NULL);
    const char *entry;

    while (listing && (entry = g_dir_read_name(listing))) {
        g_autofree char *stem = NULL;
        g_autofree char *path = NULL;
        g_autoptr(GError) error = NULL;

        if (!g_str_has_suffix(entry, SUFFIX))
            continue;
        stem = g_strndup(entry, strlen(entry) - strlen(SUFFIX));
        path = g_build_filename(dir, entry, NULL);
        if (!load(path, stem, data, &error))
            cst_log(CST_LOG_ERROR, "skipping %s file '%s': %s", kind, path, error->message);
    }
}
