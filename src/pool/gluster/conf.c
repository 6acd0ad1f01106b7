/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads volume, servers and directory from the definition. libvirt supports only TCP, and its
 * documents have no element for a transport. Our option names the transport. With transport unix,
 * the path of the socket replaces the host's name.
 */
#include "gluster.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define TIMEOUT_S     10
#define TIMEOUT_MAX_S 600

static gboolean gluster_check_source(const CstPoolSource *source, GError **error)
{
    if (strchr(source->name, '/'))
        return cst_fail(error, CST_ERROR_XML, _("gluster pool name '%s' must not contain /"),
                        source->name);
    if (source->dir[0] != '/')
        return cst_fail(error, CST_ERROR_XML, _("gluster pool path '%s' must start with /"),
                        source->dir);
    return TRUE;
}

static gboolean read_transport(const CstPoolDef *def, const char **ret_transport, GError **error)
{
    const char *name = cst_options_get(def->options, "transport");
    gboolean is_unix = ((const CstHost *)g_ptr_array_index(def->source.hosts, 0))->name[0] == '/';

    *ret_transport = is_unix ? "unix" : "tcp";
    if (g_strcmp0(name, "rdma") == 0)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("pool '%s': Gluster's client library has no transport rdma any more; use "
                          "tcp"),
                        def->name);
    if (name && strcmp(name, "tcp") != 0 && strcmp(name, "unix") != 0)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("pool '%s': transport '%s' is neither tcp nor unix"), def->name, name);
    for (guint i = 0; i < def->source.hosts->len; i++) {
        const CstHost *host = g_ptr_array_index(def->source.hosts, i);

        if ((host->name[0] == '/') != is_unix || (name && (strcmp(name, "unix") == 0) != is_unix))
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("pool '%s': a host of a pool with transport unix is the path of a "
                              "socket; with other transports it is a name or an address"),
                            def->name);
    }
    return TRUE;
}

static gboolean read_timeout(const CstPoolDef *def, guint *ret_ms, GError **error)
{
    const char *text = cst_options_get(def->options, "timeout");
    guint64 seconds = TIMEOUT_S;

    if (text && !g_ascii_string_to_unsigned(text, 10, 1, TIMEOUT_MAX_S, &seconds, NULL))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("pool '%s': timeout '%s' is no number of seconds from 1 to %d"),
                        def->name, text, TIMEOUT_MAX_S);
    *ret_ms = (guint)seconds * 1000;
    return TRUE;
}

static char *gluster_conf_key(const GlusterConf *conf)
{
    const CstPoolSource *source = &conf->def->source;
    GString *key = g_string_new(conf->transport);

    g_string_append_printf(key, " %u", conf->timeout_ms);
    for (guint i = 0; i < source->hosts->len; i++) {
        const CstHost *host = g_ptr_array_index(source->hosts, i);

        g_string_append_printf(key, "\n%s\n%u", host->name, host->port);
    }
    g_string_append_printf(key, "\n\n%s", source->name);
    return g_string_free(key, FALSE);
}

gboolean gluster_conf_read(const CstPoolDef *def, GlusterConf *ret_conf, GError **error)
{
    GlusterConf conf = {.def = def};

    if (!gluster_check_source(&def->source, error) ||
        !read_transport(def, &conf.transport, error) || !read_timeout(def, &conf.timeout_ms, error))
        return FALSE;
    conf.directory = g_canonicalize_filename(def->source.dir, "/");
    conf.self = strcmp(conf.directory, "/") == 0 ? GLUSTER_ROOT : conf.directory;
    conf.key = gluster_conf_key(&conf);
    *ret_conf = conf;
    return TRUE;
}

void gluster_conf_clear(GlusterConf *conf)
{
    g_clear_pointer(&conf->directory, g_free);
    g_clear_pointer(&conf->key, g_free);
}

char *gluster_conf_path(const GlusterConf *conf, const char *name)
{
    return g_build_filename(conf->directory, name, NULL);
}

char *gluster_conf_url(const GlusterConf *conf)
{
    return g_strconcat(conf->def->target_path, "/", NULL);
}
