/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loads libarchive when the first archive is imported. */
#include "libarchive.h"

#include <base/error.h>
#include <base/foreign.h>
#include <base/i18n.h>

/* Written once, by load_library(); read-only afterwards. */
static struct {
    ImportLibarchive table;
    CstForeign libraries;
} loaded;

static gpointer load_library(gpointer data)
{
    static const char *const names[] = {"libarchive.so.13", NULL};

    cst_foreign_open(&loaded.libraries, names);
    if (loaded.libraries.problem)
        return NULL;
#define FIND(function) loaded.table.function = cst_foreign_find(&loaded.libraries, #function)
    FIND(archive_read_new);
    FIND(archive_read_free);
    FIND(archive_read_support_format_zip_seekable);
    FIND(archive_read_support_format_7zip);
    FIND(archive_read_support_format_tar);
    FIND(archive_read_set_callback_data);
    FIND(archive_read_set_read_callback);
    FIND(archive_read_set_seek_callback);
    FIND(archive_read_open1);
    FIND(archive_read_next_header);
    FIND(archive_read_data);
    FIND(archive_format_name);
    FIND(archive_error_string);
    FIND(archive_set_error);
    FIND(archive_entry_pathname);
    FIND(archive_entry_filetype);
    FIND(archive_entry_size);
    FIND(archive_entry_is_encrypted);
#undef FIND
    return NULL;
}

const ImportLibarchive *import_libarchive(GError **error)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, load_library, NULL);
    if (!loaded.libraries.problem)
        return &loaded.table;
    cst_fail(error, CST_ERROR_UNSUPPORTED, _("cannot load libarchive (%s); install libarchive13"),
             loaded.libraries.problem);
    return NULL;
}
