/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creates QED images with QEMU's layout: a cluster for the header and the backing file's name, and
 * the L1 table.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "qed.h"
#include "space.h"

typedef struct {
    uint64_t cluster, table; /* bytes */
    uint64_t name_len;
} Plan;

static gboolean make_plan(const CstImageCreate *options, Plan *plan, GError **error)
{
    uint64_t table = options->table_size ? options->table_size : QED_DEFAULT_TABLE, most;

    plan->cluster = options->cluster_size ? options->cluster_size : QED_DEFAULT_CLUSTER;
    plan->table = table * plan->cluster;
    plan->name_len = options->backing ? strlen(options->backing) : 0;
    if (!cst_is_power_of_two(plan->cluster, QED_MIN_CLUSTER, QED_MAX_CLUSTER))
        return cst_fail(
            error, CST_ERROR_INVALID,
            _("a QED cluster must have a power of two of bytes from %" PRIu64 " to %" PRIu64),
            QED_MIN_CLUSTER, QED_MAX_CLUSTER);
    if (!cst_is_power_of_two(table, 1, QED_MAX_TABLE))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a QED table must have 1, 2, 4, 8 or 16 clusters"));
    most = qed_max_capacity(plan->cluster, table);
    if (options->capacity > most)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a QED image of this geometry can have at most %" PRIu64 " bytes"), most);
    return cst_levels_check_create(options, error);
}

gboolean qed_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error)
{
    uint64_t used = 0, clusters, tables;
    Plan plan;

    if (!make_plan(measuring->options, &plan, error) ||
        !cst_measuring_count(measuring, plan.cluster, &used, error))
        return FALSE;
    clusters = cst_div_up(measuring->options->capacity, plan.cluster);
    tables = cst_div_up(clusters, plan.table / 8);
    if (measuring->options->preallocation != CST_PREALLOC_OFF)
        used = clusters;
    *ret_measure = cst_measure_of(plan.cluster + plan.table, used, clusters, plan.cluster);
    ret_measure->required += MIN(used, tables) * plan.table;
    ret_measure->fully_allocated += tables * plan.table;
    return TRUE;
}

static gboolean write_head(CstBlob *blob, const CstImageCreate *options, const Plan *plan,
                           GError **error)
{
    uint8_t raw[QED_HEADER_LEN] = "QED";
    uint64_t bits = 0;

    cst_put_le32(raw + QED_AT_CLUSTER, (uint32_t)plan->cluster);
    cst_put_le32(raw + QED_AT_TABLE, (uint32_t)(plan->table / plan->cluster));
    cst_put_le32(raw + QED_AT_HEADER, 1);
    cst_put_le64(raw + QED_AT_L1, plan->cluster);
    cst_put_le64(raw + QED_AT_SIZE, options->capacity);
    if (plan->name_len > 0) {
        bits = QED_BACKING;
        if (strcmp(options->backing_format, "raw") == 0)
            bits |= QED_BACKING_NO_PROBE;
        cst_put_le32(raw + QED_AT_NAME, QED_HEADER_LEN);
        cst_put_le32(raw + QED_AT_NAME_LEN, (uint32_t)plan->name_len);
    }
    cst_put_le64(raw + QED_AT_FEATURES, bits);
    return cst_blob_pwrite(blob, raw, sizeof(raw), 0, error) &&
           cst_blob_pwrite(blob, options->backing, plan->name_len, sizeof(raw), error);
}

gboolean qed_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                    CstTask *task, GError **error)
{
    gboolean zeroed = FALSE;
    Plan plan;

    return make_plan(options, &plan, error) &&
           cst_space_reset(blob, plan.cluster + plan.table, &zeroed, error) &&
           (zeroed ||
            cst_blob_zero(blob, 0, plan.cluster + plan.table, CST_ZERO_MAY_UNMAP, error)) &&
           write_head(blob, options, &plan, error) &&
           (options->preallocation == CST_PREALLOC_OFF ||
            cst_levels_fill(blob, format, options->preallocation, task, error));
}
