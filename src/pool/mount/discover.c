/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Discovers the exports of a server: NFS exports with showmount, and Gluster volumes with the
 * gluster tool. The discovery succeeds if one of the tools does. The error of the other tool is
 * then ignored. The output of both tools contains untrusted data from the server.
 */
#include "mount.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <pool/gluster_volumes.h>
#include <pool/tool.h>

#define OUTPUT_LIMIT (4u << 20)

/* --- showmount -------------------------------------------------------------------------------- */

/*
 * Returns the path in a line of showmount. The line ends with the permitted clients, without
 * spaces:
 *
 *     /srv/two words  host1,host2
 *
 * Returns NULL for any other line.
 */
static char *export_in(const char *line)
{
    const char *clients;
    g_autofree char *path = NULL;

    if (*line != '/' || !cst_tool_is_text(line, strlen(line)))
        return NULL;
    clients = strrchr(line, ' ');
    path = clients ? g_strchomp(g_strndup(line, (gsize)(clients - line))) : NULL;
    return path && path[1] ? g_steal_pointer(&path) : NULL;
}

void mount_parse_exports(const char *text, GPtrArray *paths)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        char *path = export_in(g_strchomp(*line));

        if (path)
            g_ptr_array_add(paths, path);
    }
}

/* --- queries ---------------------------------------------------------------------------------- */

static const CstToolMeaning meanings[] = {
    {"Unknown host", CST_ERROR_UNREACHABLE},
    {"Unable to receive", CST_ERROR_UNREACHABLE},
    {"Port mapper failure", CST_ERROR_UNREACHABLE},
    {"Program not registered", CST_ERROR_UNREACHABLE},
    {"Connection", CST_ERROR_UNREACHABLE},
    {NULL, 0},
};

static gboolean discover_run_tool(const char *const *argv, const char *package, char **ret_out,
                                  GError **error)
{
    const CstTool tool = {.argv = argv,
                          .package = package,
                          .meanings = meanings,
                          .timeout_s = mount_times.ask_s,
                          .output_limit = OUTPUT_LIMIT};

    return cst_tool_run(&tool, NULL, ret_out, error);
}

static gboolean find_exports(const char *host, GPtrArray *paths, GError **error)
{
    const char *argv[] = {"showmount", "--no-headers", "--exports", host, NULL};
    g_autofree char *out = NULL;

    if (!discover_run_tool(argv, "nfs-common", &out, error))
        return FALSE;
    mount_parse_exports(out, paths);
    return TRUE;
}

static void add_sources(GArray *sources, const char *host, const GPtrArray *dirs,
                        const char *format)
{
    for (guint i = 0; i < dirs->len; i++) {
        CstPoolSource source;

        cst_pool_source_init(&source, CST_POOL_NETFS);
        cst_pool_source_add_host(&source, host, 0);
        source.dir = g_strdup(g_ptr_array_index(dirs, i));
        cst_pool_format_parse(CST_POOL_NETFS, format, &source.format);
        g_array_append_val(sources, source);
    }
}

static gboolean discover_on(const char *host, GArray *sources, GError **error)
{
    g_autoptr(GPtrArray) exports = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) volumes = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) no_nfs = NULL, no_gluster = NULL;

    find_exports(host, exports, &no_nfs);
    cst_gluster_volumes(host, mount_times.ask_s, volumes, &no_gluster);
    if (no_gluster)
        cst_log(CST_LOG_DEBUG, "%s", no_gluster->message);
    if (no_nfs && volumes->len == 0)
        return cst_fail(error, no_nfs->code, _("no storage pools were found on host '%s': %s"),
                        host, no_nfs->message);
    add_sources(sources, host, exports, "nfs");
    add_sources(sources, host, volumes, "glusterfs");
    return TRUE;
}

gboolean mount_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error)
{
    const CstHost *host;

    if (!spec)
        return cst_fail(error, CST_ERROR_INVALID, "%s",
                        _("hostname must be specified for netfs sources"));
    if (spec->hosts->len != 1)
        return cst_fail(error, CST_ERROR_CONFIG, "%s",
                        _("expected exactly 1 host for the storage pool"));
    host = g_ptr_array_index(spec->hosts, 0);
    return cst_host_check(host->name, error) && discover_on(host->name, ret_sources, error);
}
