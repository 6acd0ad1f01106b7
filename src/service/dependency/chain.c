/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backing chain of a volume according to the pools' tables: from the volume down, by declared
 * references. No image is opened, and no volume is claimed. Images can reference anything, so the
 * walk is bounded (CST_CHAIN_MAX) and stops at a volume that it has already visited.
 *
 * A volume that is in no active pool, or cannot be scanned, is the last node. The node contains the
 * reason. Each caller decides whether that is an error.
 */
#include "chain.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/chain.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/trust.h"

void volume_node_free(VolumeNode *node)
{
    g_clear_pointer(&node->volume, cst_volume_unref);
    g_clear_pointer(&node->state, cst_pool_state_unref);
    g_clear_pointer(&node->pool, cst_pool_unref);
    g_clear_error(&node->unknown);
    g_free(node->name);
    g_free(node);
}

/*
 * Scans the volume instead of reading the table, because another program may have changed the
 * image.
 */
VolumeNode *volume_node_new(CstPool *pool, char *name)
{
    VolumeNode *node = g_new0(VolumeNode, 1);

    node->pool = pool;
    node->name = name;
    node->state = pool ? pool_state_get(pool, NULL) : NULL;
    if (node->state)
        pool_scan_volume(pool, node->state, name, &node->volume, &node->unknown);
    return node;
}

gboolean volume_node_is(const VolumeNode *node, const CstPool *pool, const char *name)
{
    return node->pool == pool && strcmp(node->name, name) == 0;
}

gboolean volume_nodes_have(const GPtrArray *nodes, const CstPool *pool, const char *name)
{
    for (guint i = 0; i < nodes->len; i++) {
        if (volume_node_is(g_ptr_array_index(nodes, i), pool, name))
            return TRUE;
    }
    return FALSE;
}

VolumeNode *volume_node_of_path(CstService *service, const char *path)
{
    CstPool *pool = NULL;
    char *name = NULL;

    if (cst_service_volume_by_path(service, path, &pool, &name, NULL))
        return volume_node_new(pool, name);
    return volume_node_new(NULL, g_strdup(path));
}

/*
 * Returns the declared backing file, or NULL. An undeclared one is reported as a problem of the
 * volume (problem.c) and not followed.
 */
static const char *backing_of(const VolumeNode *node)
{
    return node->volume && trust_has_backing(node->volume) ? node->volume->extra->backing_path
                                                           : NULL;
}

/*
 * Appends the backing chain of the last node. Returns TRUE if the chain contains a loop, or is
 * longer than CST_CHAIN_MAX.
 */
static gboolean go_down(CstService *service, GPtrArray *nodes)
{
    const char *path;

    while ((path = backing_of(g_ptr_array_index(nodes, nodes->len - 1)))) {
        VolumeNode *node;

        if (nodes->len > CST_CHAIN_MAX)
            return TRUE;
        node = volume_node_of_path(service, path);
        if (volume_nodes_have(nodes, node->pool, node->name)) {
            volume_node_free(node);
            return TRUE;
        }
        g_ptr_array_add(nodes, node);
    }
    return FALSE;
}

GPtrArray *volume_backing_nodes(CstPool *pool, const char *name, gboolean *ret_endless,
                                GError **error)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func((GDestroyNotify)volume_node_free);
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    VolumeNode *first;

    if (!state)
        return NULL;
    first = volume_node_new(cst_pool_ref(pool), g_strdup(name));
    g_ptr_array_add(nodes, first);
    if (first->unknown) {
        g_propagate_error(error, g_steal_pointer(&first->unknown));
        return NULL;
    }
    if (!first->volume) {
        cst_fail_no_volume(name, error);
        return NULL;
    }
    *ret_endless = go_down(pool->service, nodes);
    return g_steal_pointer(&nodes);
}

GPtrArray *volume_backing_chain(CstPool *pool, const char *name, GError **error)
{
    gboolean endless = FALSE;
    g_autoptr(GPtrArray) nodes = volume_backing_nodes(pool, name, &endless, error);
    VolumeNode *last = nodes ? g_ptr_array_index(nodes, nodes->len - 1) : NULL;

    if (last && last->unknown) {
        g_propagate_error(error, g_steal_pointer(&last->unknown));
        return NULL;
    }
    if (nodes && endless) {
        cst_fail(error, CST_ERROR_LIMIT,
                 _("the backing chain of volume '%s' is a loop, or too deep"), name);
        return NULL;
    }
    return g_steal_pointer(&nodes);
}
