/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names from untrusted sources. */
#include "name.h"

#include <string.h>

#include <import/import.h>

#include "archive.h"
#include "unpack.h"

#define NAME_MAX_LEN 100u /* LVM accepts 127 */

static size_t strip_image_suffix(const char *name, size_t len)
{
    static const char *const endings[] = {".qcow2", ".qcow", ".qed", ".img", ".raw",
                                          ".vmdk",  ".vdi",  ".vhd", ".vpc", ".vhdx",
                                          ".hdd",   ".ova",  ".ovf"};

    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        size_t ending = strlen(endings[i]);

        if (len > ending && g_ascii_strncasecmp(name + len - ending, endings[i], ending) == 0)
            return len - ending;
    }
    return len;
}

gboolean import_is_url(const char *source)
{
    g_autofree char *scheme = g_uri_parse_scheme(source);

    return scheme && g_str_has_prefix(source + strlen(scheme), "://");
}

char *import_file_of(const char *source)
{
    const gboolean url = import_is_url(source);
    g_autoptr(GUri) uri = url ? g_uri_parse(source, G_URI_FLAGS_NONE, NULL) : NULL;

    /* The last part of an invalid URL may be a password. */
    return g_path_get_basename(uri ? g_uri_get_path(uri) : url ? "" : source);
}

char *cst_import_name(const char *source)
{
    g_autofree char *base = import_file_of(source);
    size_t packed = import_archive_strip(base, import_codec_strip(base, strlen(base)));
    size_t len = strip_image_suffix(base, packed);
    GString *name = g_string_new(NULL);

    for (size_t i = 0; i < len && name->len < NAME_MAX_LEN; i++) {
        gboolean plain = g_ascii_isalnum(base[i]) || strchr("._+-", base[i]);

        /* Avoid a hidden file or an option. */
        if (name->len == 0 && (!plain || strchr(".-+", base[i])))
            continue;
        g_string_append_c(name, plain ? base[i] : '_');
    }
    if (name->len == 0)
        g_string_assign(name, "disk");
    return g_string_free(name, FALSE);
}
