/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Discovers pools: the volumes of a server, as the gluster tool lists them. */
#include "gluster.h"

#include <base/i18n.h>
#include <pool/gluster_volumes.h>
#include <pool/tool.h>

#define ASK_S 30

gboolean gluster_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const CstHost *host;

    if (!spec)
        return cst_fail(error, CST_ERROR_INVALID, "%s",
                        _("hostname must be specified for gluster sources"));
    if (spec->hosts->len != 1)
        return cst_fail(error, CST_ERROR_INVALID, "%s",
                        _("Expected exactly 1 host for the storage pool"));
    host = g_ptr_array_index(spec->hosts, 0);
    if (!cst_host_check(host->name, error) || !cst_gluster_volumes(host->name, ASK_S, names, error))
        return FALSE;
    for (guint i = 0; i < names->len; i++) {
        CstPoolSource source;

        cst_pool_source_init(&source, CST_POOL_GLUSTER);
        cst_pool_source_add_host(&source, host->name, 0);
        source.name = g_strdup(g_ptr_array_index(names, i));
        g_array_append_val(ret_sources, source);
    }
    return TRUE;
}
