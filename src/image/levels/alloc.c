/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Allocates clusters of the file. Neither format counts references, so clusters are allocated at
 * the end of the file, like in QEMU. A device can't grow, so it has no further clusters. A cluster
 * that was allocated and taken back is reused first. Freed clusters in the middle of the file stay
 * leaked until a check compacts the file (compact.c).
 */
#include <base/i18n.h>
#include <base/units.h>

#include "levels.h"

#define MAX_FILE ((uint64_t)G_MAXINT64 / 2)

static gboolean find_end(CstLevels *levels, GError **error)
{
    if (levels->end_known)
        return TRUE;
    if (!cst_blob_get_size(levels->blocks.blob, &levels->old_size, error))
        return FALSE;
    levels->end = levels->old_size;
    levels->end_known = TRUE;
    return TRUE;
}

static gboolean levels_use(CstLevels *levels, uint64_t host, uint64_t length, GError **error)
{
    if (host > MAX_FILE - length)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is too long for more data"),
                        levels->blocks.blob->name);
    levels->end = host + length;
    return TRUE;
}

gboolean cst_levels_leave(CstLevels *levels, uint64_t length, GError **error)
{
    return find_end(levels, error) && levels_use(levels, levels->end, length, error);
}

/* Allocates the last @count spare clusters, if they are consecutive in the file. */
static gboolean take_spare(CstLevels *levels, uint64_t count, uint64_t *ret_host)
{
    guint first = levels->spare->len - (guint)count;

    if (count == 0 || count > levels->spare->len)
        return FALSE;
    for (guint i = 1; i < count; i++)
        if (g_array_index(levels->spare, uint64_t, first + i) !=
            g_array_index(levels->spare, uint64_t, first) + i * levels->cluster_size)
            return FALSE;
    *ret_host = g_array_index(levels->spare, uint64_t, first);
    g_array_set_size(levels->spare, first);
    return TRUE;
}

gboolean cst_levels_alloc(CstLevels *levels, uint64_t length, uint64_t *ret_host,
                          gboolean *ret_fresh, GError **error)
{
    uint64_t host;

    if (!find_end(levels, error))
        return FALSE;
    if (take_spare(levels, cst_div_up(length, levels->cluster_size), ret_host)) {
        *ret_fresh = FALSE;
        return TRUE;
    }
    host = cst_round_up(MIN(levels->end, MAX_FILE), levels->cluster_size);
    if (!levels_use(levels, host, cst_round_up(length, levels->cluster_size), error))
        return FALSE;
    *ret_host = host;
    *ret_fresh = host >= levels->old_size;
    return TRUE;
}

gboolean cst_levels_alloc_packed(CstLevels *levels, uint64_t length, uint64_t *ret_host,
                                 GError **error)
{
    uint64_t host;

    if (!find_end(levels, error))
        return FALSE;
    host = levels->end;
    if (!levels_use(levels, host, length, error))
        return FALSE;
    *ret_host = host;
    return TRUE;
}

/* Extends the file to @end, if it is shorter. */
static gboolean levels_extend_to(CstLevels *levels, uint64_t end, GError **error)
{
    static const uint8_t zeroes[8];
    uint64_t size = 0;

    return cst_blob_get_size(levels->blocks.blob, &size, error) &&
           (size >= end || cst_blob_pwrite(levels->blocks.blob, zeroes, sizeof(zeroes),
                                           end - sizeof(zeroes), error));
}

/* Makes the clusters available for allocation. No table refers to them. */
static void give_back(CstLevels *levels, uint64_t host, uint64_t bytes)
{
    for (uint64_t at = host; at < host + bytes; at += levels->cluster_size)
        g_array_append_val(levels->spare, at);
}

gboolean cst_levels_new_table(CstLevels *levels, uint64_t l1_index, uint64_t *ret_table,
                              GError **error)
{
    uint64_t table = 0, bytes = cst_round_up(cst_levels_l2_bytes(levels), levels->cluster_size);
    gboolean fresh = FALSE;

    if (!cst_levels_alloc(levels, bytes, &table, &fresh, error))
        return FALSE;
    if ((!fresh &&
         !cst_blocks_zero_host(&levels->blocks, table, bytes, CST_ZERO_MAY_UNMAP, error)) ||
        !levels_extend_to(levels, table + bytes, error) ||
        !cst_levels_l1_set(levels, l1_index, table, error)) {
        give_back(levels, table, bytes);
        return FALSE;
    }
    *ret_table = table;
    return TRUE;
}

gboolean cst_levels_cut(CstLevels *levels, uint64_t end, GError **error)
{
    g_autoptr(GError) why = NULL;
    CstBlob *blob = levels->blocks.blob;
    uint64_t size = 0;

    cst_page_cache_clear(levels->cache);
    levels->end_known = FALSE;
    g_array_set_size(levels->spare, 0);
    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (size <= end || cst_blob_resize(blob, end, &why) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}
