/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The settings "hypervisor" and "backup_scratch". Volumes are found by device and inode numbers,
 * which are valid on this host only. So a URI must be of this host: it has no server, and no
 * transport except "unix".
 */
#include <hypervisor/hypervisor.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#define LOCAL_TRANSPORT "+unix"

/* Whether @uri is "SCHEME:///…" or "SCHEME+unix:///…", with printable characters. */
static gboolean uri_is_local(const char *uri)
{
    size_t len = strspn(uri, "abcdefghijklmnopqrstuvwxyz0123456789");
    const char *rest = uri + len;

    if (g_str_has_prefix(rest, LOCAL_TRANSPORT))
        rest += strlen(LOCAL_TRANSPORT);
    for (const char *at = uri; *at; at++)
        if (!g_ascii_isgraph(*at))
            return FALSE;
    return len > 0 && g_str_has_prefix(rest, ":///");
}

static gboolean uri_check(const char *uri, GError **error)
{
    return uri_is_local(uri) ||
           cst_fail(error, CST_ERROR_CONFIG,
                    _("'%s' is not a URI of libvirt on this host, such as qemu:///system"), uri);
}

gboolean cst_hypervisor_parse_uris(const char *value, GStrv *ret_uris, GError **error)
{
    g_autofree char *bare = g_strdup(value);
    g_autoptr(GPtrArray) uris = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) words = NULL;

    g_strdelimit(bare, "\"'\t,", ' ');
    words = g_strsplit(bare, " ", -1);
    for (char **word = words; *word; word++)
        if (**word)
            g_ptr_array_add(uris, g_strdup(*word));
    if (uris->len == 0)
        return cst_fail(error, CST_ERROR_CONFIG, "%s",
                        _("it names no URI of libvirt; say \"none\" to use no libvirt"));
    if (uris->len > CST_HYPERVISOR_URIS_MAX)
        return cst_fail(error, CST_ERROR_CONFIG, _("it has more than %d URIs"),
                        CST_HYPERVISOR_URIS_MAX);
    if (uris->len == 1 && strcmp(uris->pdata[0], "none") == 0)
        g_ptr_array_set_size(uris, 0);
    for (guint i = 0; i < uris->len; i++)
        if (!uri_check(uris->pdata[i], error))
            return FALSE;
    g_ptr_array_add(uris, NULL);
    *ret_uris = (GStrv)g_ptr_array_free(g_steal_pointer(&uris), FALSE);
    return TRUE;
}

gboolean cst_hypervisor_parse_scratch(const char *value, char **ret_path, GError **error)
{
    size_t len = strlen(value);
    gboolean quoted =
        len >= 2 && (value[0] == '"' || value[0] == '\'') && value[len - 1] == value[0];
    g_autofree char *path = quoted ? g_strndup(value + 1, len - 2) : g_strdup(value);

    if (!g_path_is_absolute(path) || strcmp(path, "/") == 0)
        return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is not the absolute path of a directory"),
                        path);
    g_free(*ret_path);
    *ret_path = g_steal_pointer(&path);
    return TRUE;
}
