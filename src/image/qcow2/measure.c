/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "qcow2.h"

/** Bytes of refcount blocks and table that count @clusters and themselves. */
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

/*
 * The layout of the specification: header, refcount table and blocks, L1 table, L2 tables. As with
 * qemu-img, all metadata count as required, whether the first data need them or not.
 */
gboolean qcow2_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error)
{
    const CstImageCreate *options = measuring->options;
    uint64_t cluster = options->cluster_size ? options->cluster_size : 64 * CST_KIB;
    unsigned bits = options->refcount_bits ? options->refcount_bits : 16;
    uint64_t entry = options->extended_l2 ? 16 : 8, clusters, tables, meta, data = 0;

    if (cluster < 512 || cluster > 2 * CST_MIB || (cluster & (cluster - 1)) || bits > 64 ||
        (bits & (bits - 1)))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the cluster size or the width of reference counts is out of range"));
    clusters = cst_div_up(options->capacity, cluster);
    tables = cst_div_up(clusters, cluster / entry);
    meta = cluster + tables * cluster + cst_div_up(tables, cluster / 8) * cluster;
    meta += refcount_bytes(meta / cluster + clusters, cluster, bits);
    if (!cst_measuring_count(measuring, cluster, &data, error))
        return FALSE;
    if (options->preallocation == CST_PREALLOC_FALLOC ||
        options->preallocation == CST_PREALLOC_FULL)
        data = clusters;
    *ret_measure = cst_measure_of(meta, data, clusters, cluster);
    return TRUE;
}
