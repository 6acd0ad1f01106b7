/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The layers of the disk of a block job (see the header). A snapshot by another program puts an
 * overlay on the image of the disk. So the whole chain is searched, from the top down:
 *
 *   copy                     PIVOTED
 *   overlay, copy            PIVOTED
 *   disk, base               NOT_PIVOTED; also if "base" is the destination of a commit
 *   overlay, disk, base      NOT_PIVOTED
 *   disk, copy               UNKNOWN: the copy is in use, and not by a pivot
 *   elsewhere                UNKNOWN
 */
#include "block_chain.h"

const CstDomainLayer *block_chain_layer(const CstDomainDef *def, const char *target, guint level)
{
    for (guint i = 0; i < def->layers->len; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(def->layers, i);

        /* The end of a chain is shown as an empty layer. */
        if (g_strcmp0(layer->target, target) == 0 && layer->level == level)
            return level == 0 || layer->path || layer->pool || layer->index ? layer : NULL;
    }
    return NULL;
}

/* Whether a layer of the disk at @level or below has the path. */
static gboolean chain_has_path(const CstDomainDef *def, const char *target, guint level,
                               const char *path)
{
    const CstDomainLayer *layer;

    while ((layer = block_chain_layer(def, target, level++)))
        if (g_strcmp0(layer->path, path) == 0)
            return TRUE;
    return FALSE;
}

CstHypervisorPivot block_chain_pivot(const CstDomainDef *def, const BlockEntry *entry, guint level)
{
    gboolean has_source = FALSE, has_unknown = FALSE;
    const CstDomainLayer *layer;

    while ((layer = block_chain_layer(def, entry->target, level++))) {
        if (g_strcmp0(layer->path, entry->destination) == 0) {
            if (!has_source && !has_unknown)
                return CST_HYPERVISOR_PIVOTED;
            /* The destination of a commit is a backing file of the image. */
            return has_source && entry->kind == CST_HYPERVISOR_JOB_COMMIT
                       ? CST_HYPERVISOR_NOT_PIVOTED
                       : CST_HYPERVISOR_PIVOT_UNKNOWN;
        }
        has_source = has_source || g_strcmp0(layer->path, entry->source) == 0;
        has_unknown = has_unknown || (!layer->path && layer->pool);
    }
    return has_source && !has_unknown ? CST_HYPERVISOR_NOT_PIVOTED : CST_HYPERVISOR_PIVOT_UNKNOWN;
}

gboolean block_chain_is_complete(const CstDomainDef *def, const BlockEntry *entry)
{
    const CstDomainLayer *next;

    if (!block_chain_layer(def, entry->target, 0))
        return FALSE;
    if (entry->kind == CST_HYPERVISOR_JOB_COMMIT)
        return !chain_has_path(def, entry->target, 1, entry->top);
    next = block_chain_layer(def, entry->target, 1);
    return entry->base ? next && g_strcmp0(next->path, entry->base) == 0 : !next;
}
