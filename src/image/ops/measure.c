/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/measure.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "format.h"

/** What a format's arithmetic starts from. */
typedef struct {
    const CstImageCreate *options;
    CstBlob *source; /**< NULL: none */
    uint64_t capacity;
    CstTask *task;
} Request;

typedef gboolean (*MeasureFunc)(const Request *request, CstImageMeasure *ret, GError **error);

static uint64_t div_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/** Units of @unit bytes in which the source has something else than zeroes. */
static gboolean count_units(const Request *request, uint64_t unit, uint64_t *ret_count,
                            GError **error)
{
    uint64_t counted = 0; /* units before this one are done */
    CstExtent run;

    *ret_count = 0;
    for (uint64_t at = 0; request->source && at < request->capacity; at += run.length) {
        if (!cst_task_check(request->task, error) ||
            !cst_blob_extent(request->source, at, request->capacity - at, &run, error))
            return FALSE;
        cst_task_advance(request->task, run.length);
        if (!(run.flags & CST_EXTENT_ZERO)) {
            uint64_t first = MAX(at / unit, counted);

            counted = div_up(at + run.length, unit);
            *ret_count += counted - first;
        }
    }
    return TRUE;
}

static gboolean measure_raw(const Request *request, CstImageMeasure *ret, GError **error)
{
    ret->required = ret->fully_allocated = request->capacity;
    cst_task_advance(request->task, request->source ? request->capacity : 0);
    return TRUE;
}

/** Bytes of refcount blocks and table that count @clusters and themselves. */
static uint64_t refcount_bytes(uint64_t clusters, uint64_t cluster, unsigned bits)
{
    uint64_t per_block = cluster * 8 / bits, blocks = 0, table = 0, before;

    do {
        before = blocks + table;
        blocks = div_up(clusters + table + blocks, per_block);
        table = div_up(blocks, cluster / 8);
    } while (blocks + table != before);
    return (blocks + table) * cluster;
}

/* The layout of the specification: header, refcount table and blocks, L1 table, L2 tables. */
static gboolean measure_qcow2(const Request *request, CstImageMeasure *ret, GError **error)
{
    const CstImageCreate *options = request->options;
    uint64_t cluster = options->cluster_size ? options->cluster_size : 64 * CST_KIB;
    unsigned bits = options->refcount_bits ? options->refcount_bits : 16;
    uint64_t entry = options->extended_l2 ? 16 : 8, clusters, tables, meta, data = 0;

    if (cluster < 512 || cluster > 2 * CST_MIB || (cluster & (cluster - 1)) || bits > 64 ||
        (bits & (bits - 1)))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the cluster size or the width of reference counts is out of range"));
    clusters = div_up(request->capacity, cluster);
    tables = div_up(clusters, cluster / entry);
    meta = cluster + tables * cluster + div_up(tables, cluster / 8) * cluster;
    meta += refcount_bytes(meta / cluster + clusters, cluster, bits);
    if (!count_units(request, cluster, &data, error))
        return FALSE;
    if (options->preallocation == CST_PREALLOC_FALLOC ||
        options->preallocation == CST_PREALLOC_FULL)
        data = clusters;
    ret->required = meta + data * cluster;
    ret->fully_allocated = meta + clusters * cluster;
    return TRUE;
}

/* Formats whose arithmetic is known; it needs nothing of the format's own code. */
static const struct {
    const CstImageFormat *format;
    MeasureFunc measure;
} table[] = {
    {&cst_format_raw, measure_raw},
    {&cst_format_qcow2, measure_qcow2},
};

gboolean cst_image_measure(const CstImageFormat *format, const CstImageCreate *options,
                           CstBlob *source, CstImageMeasure *ret_measure, CstTask *task,
                           GError **error)
{
    Request request = {options, source, div_up(options->capacity, 512) * 512, task};

    if (source && !cst_blob_get_size(source, &request.capacity, error))
        return FALSE;
    if (request.capacity > G_MAXINT64 / 2)
        return cst_fail(error, CST_ERROR_INVALID, _("the capacity is out of range"));
    cst_task_add_total(task, source ? request.capacity : 0);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (table[i].format == format)
            return table[i].measure(&request, ret_measure, error);
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("the size of images of format '%s' is not known beforehand"), format->name);
}
