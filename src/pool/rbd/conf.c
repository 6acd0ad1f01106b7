/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cluster's data in the definition: options of the connection, the Ceph pool, monitors. Our own
 * options are set first, so that the definition can override them. The key is not an option here;
 * conn.c sets it. ceph.conf is not read.
 */
#include "rbd.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* Seconds; libvirt's value, so that a definition behaves the same. */
#define TIMEOUT "30"

static void rbd_option_free(RbdOption *option)
{
    g_free(option->key);
    g_free(option->value);
    g_free(option);
}

static void rbd_option_add(GPtrArray *options, const char *key, const char *value)
{
    RbdOption *option = g_new0(RbdOption, 1);

    option->key = g_strdup(key);
    option->value = g_strdup(value);
    g_ptr_array_add(options, option);
}

/* An IPv6 address with a port needs brackets. */
char *cst_rbd_conf_monitors(const CstPoolSource *source)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < source->hosts->len; i++) {
        const CstHost *host = g_ptr_array_index(source->hosts, i);
        gboolean bare_ipv6 = strchr(host->name, ':') && host->name[0] != '[';

        g_string_append_printf(text, "%s%s%s%s", i > 0 ? "," : "", bare_ipv6 ? "[" : "", host->name,
                               bare_ipv6 ? "]" : "");
        if (host->port)
            g_string_append_printf(text, ":%u", host->port);
    }
    return g_string_free(text, FALSE);
}

GPtrArray *cst_rbd_conf_options(const CstPoolDef *def)
{
    GPtrArray *options = g_ptr_array_new_with_free_func((GDestroyNotify)rbd_option_free);
    g_autofree char *monitors = cst_rbd_conf_monitors(&def->source);

    /* The library must not write to our stderr; its errors are reported in ours. */
    rbd_option_add(options, "log_to_stderr", "false");
    rbd_option_add(options, "err_to_stderr", "false");
    rbd_option_add(options, "log_file", "");
    rbd_option_add(options, "client_mount_timeout", TIMEOUT);
    rbd_option_add(options, "rados_mon_op_timeout", TIMEOUT);
    rbd_option_add(options, "rados_osd_op_timeout", TIMEOUT);
    /*
     * Contact all monitors at once. If only three are contacted at a time, all of them may be dead,
     * and a round takes seconds.
     */
    rbd_option_add(options, "mon_client_hunt_parallel", "0");
    rbd_option_add(options, "rbd_default_format", "2");
    /* The service copies in large pieces, and a flush must write the data to the cluster. */
    rbd_option_add(options, "rbd_cache", "false");
    rbd_option_add(options, "auth_supported",
                   def->source.auth.type == CST_AUTH_CEPH ? "cephx" : "none");
    rbd_option_add(options, "mon_host", monitors);
    for (guint i = 0; def->options && i < def->options->len; i++) {
        const CstPoolOption *option = g_ptr_array_index(def->options, i);

        rbd_option_add(options, option->key, option->value);
    }
    return options;
}

gboolean cst_rbd_conf_split(const char *source_name, char **ret_pool, char **ret_namespace,
                            GError **error)
{
    g_auto(GStrv) parts = g_strsplit(source_name, "/", -1);
    guint count = g_strv_length(parts);

    if (count < 1 || count > 2 || !*parts[0] || (count == 2 && !*parts[1]))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("'%s' names no Ceph pool; write POOL or POOL/NAMESPACE"), source_name);
    *ret_pool = g_strdup(parts[0]);
    *ret_namespace = count == 2 ? g_strdup(parts[1]) : NULL;
    return TRUE;
}
