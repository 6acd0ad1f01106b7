/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dependents of a volume: the tree of all overlays of the volume and of its base images. A tree may
 * be large (a golden image under thousands of overlays) and images can reference anything
 * (including themselves). Therefore the walk is bounded in rows and levels, and enters each volume
 * once. It reads the pools' tables and queries each pool's technology for its clones. It opens no
 * image and claims no volumes.
 *
 * A volume is a child of another one if its image references the parent as its backing or data
 * file. It is also a child if the technology of the parent's pool shares content between them
 * (vol_children). A child found by both relations is shown once. Each pool's table has an index of
 * its overlays by the path of their base.
 */
#include "dependents.h"

#include <string.h>

#include <base/i18n.h>
#include <image/chain.h>
#include <service/images.h>

#include "chain.h"
#include "core/claim.h"
#include "core/pool.h"
#include "core/reading.h"
#include "core/scan.h"
#include "core/table.h"
#include "problem.h"

#define ROWS_MAX   10000               /* rows of one answer, which is one protocol message */
#define LEVELS_MAX (2 * CST_CHAIN_MAX) /* levels above and below the requested volume */

typedef struct {
    CstService *service;
    GPtrArray *pools;       /* CstPool * (owned): the pools that have overlays */
    GHashTable *seen;       /* set of "pool/volume" */
    const GPtrArray *chain; /* VolumeNode *: shown even beyond the limit of rows; NULL: no chain */
    guint most;             /* maximal number of rows */
    gboolean cut;
    GPtrArray *rows;
} Tree;

static void tree_clear(Tree *tree)
{
    g_clear_pointer(&tree->pools, g_ptr_array_unref);
    g_clear_pointer(&tree->seen, g_hash_table_unref);
    g_clear_pointer(&tree->rows, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tree, tree_clear)

/* --- rows ------------------------------------------------------------------------------------- */

/* Appends a row, which the tree owns. */
static CstChainRow *add_row(Tree *tree, unsigned level, const char *name)
{
    CstChainRow *row = g_new0(CstChainRow, 1);

    row->level = level;
    row->name = g_strdup(name);
    g_ptr_array_add(tree->rows, row);
    return row;
}

static CstChainRow *tree_add_node(Tree *tree, const VolumeNode *node, unsigned level)
{
    CstChainRow *row = add_row(tree, level, node->name);

    row->self = tree->chain && g_ptr_array_index(tree->chain, 0) == node;
    row->pool = node->pool ? g_strdup(cst_pool_name(node->pool)) : NULL;
    row->path =
        node->state ? cst_pool_state_vol_path(node->state, node->name) : g_strdup(node->name);
    if (node->volume) {
        row->format = g_strdup(node->volume->format);
        row->capacity = node->volume->capacity;
        row->allocation = node->volume->allocation;
        row->problem = volume_problem(node->pool, node->volume, NULL);
    } else if (node->unknown) {
        row->problem = g_strdup(node->unknown->message);
    } else {
        row->problem = g_strdup(node->pool || !g_file_test(node->name, G_FILE_TEST_EXISTS)
                                    ? _("it is not there")
                                    : _("it is in no active pool, and was not opened"));
    }
    return row;
}

static void set_problem(CstChainRow *row, const char *problem)
{
    g_free(row->problem);
    row->problem = g_strdup(problem);
}

/* --- children --------------------------------------------------------------------------------- */

/*
 * Returns the node of a clone that the parent's technology reports by its path. If several pools
 * list the same storage, the parent's own pool has precedence.
 */
static VolumeNode *node_of_child(const Tree *tree, CstPoolState *parent, const char *path)
{
    g_autofree char *name = cst_pool_state_vol_resolve(parent, path);
    CstPool *pool = name ? cst_service_pool_by_name(tree->service, parent->def->name, NULL) : NULL;

    return pool ? volume_node_new(pool, g_steal_pointer(&name))
                : volume_node_of_path(tree->service, path);
}

/* Returns the key of a node in sets: "pool/volume", or its path. The caller frees it. */
static char *volume_node_key(const VolumeNode *node)
{
    return node->pool ? g_strconcat(cst_pool_name(node->pool), "/", node->name, NULL)
                      : g_strdup(node->name);
}

static int compare_node_keys(gconstpointer a, gconstpointer b)
{
    g_autofree char *left = volume_node_key(*(const VolumeNode *const *)a);
    g_autofree char *right = volume_node_key(*(const VolumeNode *const *)b);

    return strcmp(left, right);
}

/*
 * Adds @node, which it consumes, unless it is already in the set: the technology and an image may
 * both report it.
 */
static void add_child(GHashTable *found, GPtrArray *nodes, VolumeNode *node)
{
    if (g_hash_table_add(found, volume_node_key(node)))
        g_ptr_array_add(nodes, node);
    else
        volume_node_free(node);
}

/* Adds the volumes of @pool whose images reference @path. */
static void add_overlays(GHashTable *found, GPtrArray *nodes, CstPool *pool, const char *path)
{
    g_autoptr(GPtrArray) volumes = g_ptr_array_new_with_free_func((GDestroyNotify)cst_volume_unref);

    pool_table_based_on(pool, path, volumes);
    for (guint i = 0; i < volumes->len; i++) {
        const CstVolume *volume = g_ptr_array_index(volumes, i);

        add_child(found, nodes, volume_node_new(cst_pool_ref(pool), g_strdup(volume->name)));
    }
}

/*
 * Returns the children of a volume, ordered by name. @state, @name: the volume, for a query of its
 * technology; @state NULL: only images count. @path: the path by which images reference the volume.
 */
static GPtrArray *children_of(const Tree *tree, CstPoolState *state, const char *name,
                              const char *path, GError **error)
{
    g_autoptr(GHashTable) found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) paths = state ? cst_pool_state_vol_children(state, name, error) : NULL;
    GPtrArray *nodes;

    if (state && !paths)
        return NULL;
    nodes = g_ptr_array_new_with_free_func((GDestroyNotify)volume_node_free);
    for (guint i = 0; paths && i < paths->len; i++)
        add_child(found, nodes, node_of_child(tree, state, g_ptr_array_index(paths, i)));
    for (guint i = 0; i < tree->pools->len; i++)
        add_overlays(found, nodes, g_ptr_array_index(tree->pools, i), path);
    g_ptr_array_sort(nodes, compare_node_keys);
    return nodes;
}

/* --- the walk --------------------------------------------------------------------------------- */

static gboolean add_branch(Tree *tree, const VolumeNode *node, unsigned level, GError **error);

/*
 * Returns whether a row may be added. At the limit of rows only the chain of the requested volume
 * is still added.
 */
static gboolean may_add(const Tree *tree, const VolumeNode *node)
{
    return tree->rows->len < tree->most ||
           (tree->chain && volume_nodes_have(tree->chain, node->pool, node->name));
}

/*
 * Returns the chain's own node if @node is in the chain, else @node. tree_add_node() identifies the
 * requested volume by the address of its node.
 */
static const VolumeNode *in_chain(const Tree *tree, const VolumeNode *node)
{
    for (guint i = 0; tree->chain && i < tree->chain->len; i++) {
        const VolumeNode *own = g_ptr_array_index(tree->chain, i);

        if (volume_node_is(own, node->pool, node->name))
            return own;
    }
    return node;
}

/*
 * Adds all children with their subtrees. Adds one row with the number of omitted children, at the
 * first level that was truncated.
 */
static gboolean add_branches(Tree *tree, CstPoolState *state, const char *name, const char *path,
                             unsigned level, GError **error)
{
    g_autoptr(GPtrArray) children = children_of(tree, state, name, path, error);
    guint left = 0;

    if (!children)
        return FALSE;
    for (guint i = 0; i < children->len; i++) {
        const VolumeNode *child = g_ptr_array_index(children, i);

        if (!may_add(tree, child))
            left++;
        else if (!add_branch(tree, in_chain(tree, child), level, error))
            return FALSE;
    }
    if (left > 0 && !tree->cut) {
        CstChainRow *row = add_row(tree, level, VOLUME_MORE);

        tree->cut = TRUE;
        row->problem = g_strdup_printf(_("%u more, and volumes based on them"), left);
    }
    return TRUE;
}

/* Adds @node and its subtree, at most LEVELS_MAX deep. */
static gboolean add_branch(Tree *tree, const VolumeNode *node, unsigned level, GError **error)
{
    CstChainRow *row = tree_add_node(tree, node, level);

    if (!g_hash_table_add(tree->seen, volume_node_key(node))) {
        set_problem(row, _("its backing chain is a loop"));
        return TRUE;
    }
    if (level >= LEVELS_MAX) {
        set_problem(row, _("its overlays are not shown: the tree is too deep"));
        return TRUE;
    }
    return add_branches(tree, node->volume ? node->state : NULL, node->name, row->path, level + 1,
                        error);
}

/* --- tables of the pools ---------------------------------------------------------------------- */

/*
 * *ret_may: whether the pool's table may contain references to backing files. Images are stored in
 * pools of files, which are scanned if they are not known yet. @all: also count volumes that share
 * content with their origin without depending on it (thin snapshots). Fails while the references of
 * the pool's images are unknown (pool_scan_for_overlays()).
 */
static gboolean may_hold_overlays(CstPool *pool, gboolean all, gboolean *ret_may, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);

    if (state && cst_pool_state_holds_images(state))
        return pool_scan_for_overlays(pool, state, ret_may, error);
    *ret_may = state && all;
    return TRUE;
}

/*
 * Begins a tree over all active pools whose images reference files. Skips pools that cannot be
 * read any more, because their references are recorded.
 */
static gboolean tree_begin(Tree *tree, CstPool *pool, gboolean all, guint most, GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(pool->service, CST_LIST_POOLS_ACTIVE, error);

    if (!pools)
        return FALSE;
    tree->service = pool->service;
    tree->most = most;
    tree->rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_chain_row_free);
    tree->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    tree->pools = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);
    for (guint i = 0; i < pools->len; i++) {
        CstPool *other = g_ptr_array_index(pools, i);
        gboolean may;

        if (!may_hold_overlays(other, all, &may, error))
            return FALSE;
        if (may && pool_table_has_overlays(other))
            g_ptr_array_add(tree->pools, cst_pool_ref(other));
    }
    return TRUE;
}

/*
 * *ret_none: no image references the volume at @path, which is the usual case. Costs one lookup in
 * each pool's index. FALSE if the technology has to be queried as well.
 */
static gboolean has_no_overlays(const VolumeClaim *claim, const char *path, gboolean *ret_none,
                                GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;

    *ret_none = FALSE;
    if (!cst_pool_state_holds_images(claim->state))
        return TRUE;
    pools = cst_service_pools(claim->pool->service, CST_LIST_POOLS_ACTIVE, error);
    for (guint i = 0; pools && i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);
        gboolean may;

        if (!may_hold_overlays(pool, FALSE, &may, error))
            return FALSE;
        if (may && pool_table_has_overlay(pool, path))
            return TRUE;
    }
    *ret_none = pools != NULL;
    return pools != NULL;
}

/*
 * The tree starts at the root of the chain, so it contains the ancestors of the volume, the volume,
 * and all relatives.
 */
GPtrArray *cst_vol_chain(CstPool *pool, const char *name, GError **error)
{
    gboolean endless = FALSE;
    g_autoptr(GPtrArray) chain = volume_backing_nodes(pool, name, &endless, error);
    g_auto(Tree) tree = {.chain = chain};

    if (!chain || !tree_begin(&tree, pool, TRUE, ROWS_MAX, error) ||
        !add_branch(&tree, g_ptr_array_index(chain, chain->len - 1), 0, error))
        return NULL;
    if (endless)
        set_problem(g_ptr_array_index(tree.rows, 0), _("its backing chain is a loop, or too deep"));
    return g_steal_pointer(&tree.rows);
}

GPtrArray *volume_dependents(const VolumeClaim *claim, gboolean images, guint most, GError **error)
{
    g_autofree char *path = cst_pool_state_vol_path(claim->state, claim->name);
    g_auto(Tree) tree = {0};
    gboolean none;

    if (!has_no_overlays(claim, path, &none, error))
        return NULL;
    if (none)
        return g_ptr_array_new();
    if (!tree_begin(&tree, claim->pool, FALSE, most, error))
        return NULL;
    /*
     * The volume itself gets no row. An image that references it in a loop must still end the walk.
     */
    g_hash_table_add(tree.seen, g_strconcat(cst_pool_name(claim->pool), "/", claim->name, NULL));
    if (!add_branches(&tree, images ? NULL : claim->state, claim->name, path, 0, error))
        return NULL;
    return g_steal_pointer(&tree.rows);
}

void volume_overlay_free(VolumeOverlay *overlay)
{
    cst_pool_unref(overlay->pool);
    cst_volume_unref(overlay->volume);
    g_free(overlay);
}

static int by_pool_and_name(gconstpointer a, gconstpointer b)
{
    const VolumeOverlay *const *left = a, *const *right = b;
    int pools = strcmp(cst_pool_name((*left)->pool), cst_pool_name((*right)->pool));

    return pools ? pools : strcmp((*left)->volume->name, (*right)->volume->name);
}

GPtrArray *volume_overlays(CstPool *own, const char *path, GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(own->service, CST_LIST_POOLS_ACTIVE, error);
    g_autoptr(CstPoolState) state = pools ? pool_state_get(own, error) : NULL;
    g_autoptr(GPtrArray) overlays = NULL;

    /* The search skips pools that cannot be read. */
    if (!state || !pool_scan_if_new(own, state, error))
        return NULL;
    overlays = g_ptr_array_new_with_free_func((GDestroyNotify)volume_overlay_free);
    for (guint i = 0; i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);
        g_autoptr(GPtrArray) volumes = g_ptr_array_new();
        gboolean may;

        if (!may_hold_overlays(pool, FALSE, &may, error))
            return NULL;
        if (may)
            pool_table_based_on(pool, path, volumes);
        for (guint j = 0; j < volumes->len; j++) {
            VolumeOverlay *overlay = g_new0(VolumeOverlay, 1);

            overlay->pool = cst_pool_ref(pool);
            overlay->volume = g_ptr_array_index(volumes, j);
            g_ptr_array_add(overlays, overlay);
        }
    }
    g_ptr_array_sort(overlays, by_pool_and_name);
    return g_steal_pointer(&overlays);
}

gboolean volume_count_dependents(const VolumeClaim *claim, guint *ret_count, GError **error)
{
    g_autofree char *path = cst_pool_state_vol_path(claim->state, claim->name);
    g_autoptr(GPtrArray) children = NULL;
    g_auto(Tree) tree = {0};

    if (!tree_begin(&tree, claim->pool, FALSE, 0, error))
        return FALSE;
    children = children_of(&tree, claim->state, claim->name, path, error);
    if (!children)
        return FALSE;
    *ret_count = children->len;
    return TRUE;
}
