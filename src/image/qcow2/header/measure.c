/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Calculates the size of a future image from the options, the source's data and its bitmaps. Writes
 * no data. The results equal qemu-img's.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "format.h"
#include "qcow2/bitmap/bitmapdir.h"
#include "qcow2/qcow2.h"
#include "qcow2/state.h"

/** Returns the bytes of the refcount blocks and table that count @clusters and themselves. */
static uint64_t refcount_bytes(uint64_t clusters, uint64_t cluster, unsigned bits)
{
    uint64_t per_block = cluster * 8 / bits, blocks = 0, table = 0, before;

    do {
        before = blocks + table;
        blocks = cst_div_up(clusters + table + blocks, per_block);
        table = cst_div_up(blocks, cluster / 8);
    } while (blocks + table != before);
    return (blocks + table) * cluster;
}

/* Adds the space of the bitmaps, like qemu-img: a table and all bits of each bitmap, and one
 * directory. */
static gboolean measure_bitmaps(const CstMeasuring *measuring, uint64_t cluster,
                                CstImageMeasure *measure, GError **error)
{
    CstImage *source = cst_guest_image_of(measuring->source, measuring->format);
    g_autoptr(GPtrArray) bitmaps = NULL;
    uint64_t directory = 0;

    if (!source || qcow2_of(source)->header.version < 3 ||
        g_strcmp0(measuring->options->compat, "0.10") == 0)
        return TRUE;
    bitmaps = cst_image_bitmap_list(source, error);
    if (!bitmaps)
        return FALSE;
    measure->has_bitmaps = TRUE;
    for (guint i = 0; i < bitmaps->len; i++) {
        const CstImageBitmap *bitmap = g_ptr_array_index(bitmaps, i);
        uint64_t bits, clusters;

        if (bitmap->inconsistent)
            continue;
        bits = cst_div_up(measuring->source_size, bitmap->granularity);
        clusters = cst_div_up(cst_div_up(bits, 8), cluster);
        measure->bitmaps += (clusters + cst_div_up(clusters * 8, cluster)) * cluster;
        directory += qcow2_bitmap_entry_len(0, strlen(bitmap->name));
    }
    measure->bitmaps += cst_round_up(directory, cluster);
    return TRUE;
}

/*
 * Computes the size by the layout of the specification: header, refcount table and blocks, L1
 * table, L2 tables. Like qemu-img, counts all metadata as required, even if the first data does not
 * need it.
 */
gboolean qcow2_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error)
{
    const CstImageCreate *options = measuring->options;
    uint64_t entry = options->extended_l2 ? 16 : 8, cluster, clusters, tables, meta, data = 0;
    Qcow2Header header = {0};

    if (!qcow2_plan(options, &header, error))
        return FALSE;
    cluster = UINT64_C(1) << header.cluster_bits;
    clusters = cst_div_up(options->capacity, cluster);
    tables = cst_div_up(clusters, cluster / entry);
    meta = cluster + tables * cluster + cst_div_up(tables, cluster / 8) * cluster;
    meta += refcount_bytes(meta / cluster + clusters, cluster, 1u << header.refcount_order);
    if (!cst_measuring_count(measuring, cluster, &data, error))
        return FALSE;
    if (options->preallocation == CST_PREALLOC_FALLOC ||
        options->preallocation == CST_PREALLOC_FULL)
        data = clusters;
    *ret_measure = cst_measure_of(meta, data, clusters, cluster);
    return measure_bitmaps(measuring, cluster, ret_measure, error);
}
