/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creates qcow images with QEMU's layout: clusters of 4 KiB, or of one sector with a backing file,
 * because older versions of QEMU could not fill larger clusters from it. The name follows the
 * header; the L1 table follows the name.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "qcow.h"
#include "space.h"

typedef struct {
    unsigned cluster_bits, l2_bits;
    uint64_t name_len, l1_offset, l1_entries;
    uint64_t size; /* of the file; clusters begin at the next multiple of the cluster size */
} Plan;

static gboolean make_plan(const CstImageCreate *options, Plan *plan, GError **error)
{
    uint64_t span;

    plan->cluster_bits = options->backing ? 9 : 12;
    plan->l2_bits = options->backing ? 12 : 9;
    span = UINT64_C(1) << (plan->cluster_bits + plan->l2_bits);
    plan->name_len = options->backing ? strlen(options->backing) : 0;
    plan->l1_offset = cst_round_up(QCOW_HEADER_LEN + plan->name_len, 8);
    plan->l1_entries = cst_div_up(options->capacity, span);
    plan->size = plan->l1_offset + cst_round_up(plan->l1_entries * 8, CST_LEVELS_SECTOR);
    if (options->capacity == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("a qcow image can't have 0 bytes"));
    if (plan->l1_entries > QCOW_MAX_L1)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a qcow image can have at most %" PRIu64 " bytes"), span * QCOW_MAX_L1);
    return cst_levels_check_create(options, error);
}

gboolean qcow_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error)
{
    uint64_t used = 0, clusters, size, table;
    Plan plan;

    if (!make_plan(measuring->options, &plan, error))
        return FALSE;
    size = UINT64_C(1) << plan.cluster_bits;
    table = UINT64_C(8) << plan.l2_bits;
    clusters = cst_div_up(measuring->options->capacity, size);
    if (!cst_measuring_count(measuring, size, &used, error))
        return FALSE;
    if (measuring->options->preallocation != CST_PREALLOC_OFF)
        used = clusters;
    *ret_measure = cst_measure_of(cst_round_up(plan.size, size), used, clusters, size);
    if (used == 0)
        ret_measure->required = plan.size;
    ret_measure->required += MIN(used, plan.l1_entries) * table;
    ret_measure->fully_allocated += plan.l1_entries * table;
    return TRUE;
}

static gboolean write_head(CstBlob *blob, const CstImageCreate *options, const Plan *plan,
                           GError **error)
{
    uint8_t raw[QCOW_HEADER_LEN] = {0};

    cst_put_be32(raw, QCOW_MAGIC);
    cst_put_be32(raw + QCOW_AT_VERSION, 1);
    if (plan->name_len > 0) {
        cst_put_be64(raw + QCOW_AT_NAME, QCOW_HEADER_LEN);
        cst_put_be32(raw + QCOW_AT_NAME_LEN, (uint32_t)plan->name_len);
    }
    cst_put_be64(raw + QCOW_AT_SIZE, options->capacity);
    raw[QCOW_AT_CLUSTER_BITS] = (uint8_t)plan->cluster_bits;
    raw[QCOW_AT_L2_BITS] = (uint8_t)plan->l2_bits;
    cst_put_be64(raw + QCOW_AT_L1, plan->l1_offset);
    return cst_blob_pwrite(blob, raw, sizeof(raw), 0, error) &&
           cst_blob_pwrite(blob, options->backing, plan->name_len, sizeof(raw), error);
}

gboolean qcow_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                     CstTask *task, GError **error)
{
    gboolean zeroed = FALSE;
    Plan plan;

    return make_plan(options, &plan, error) && cst_space_reset(blob, plan.size, &zeroed, error) &&
           (zeroed || cst_blob_zero(blob, 0, plan.size, CST_ZERO_MAY_UNMAP, error)) &&
           write_head(blob, options, &plan, error) &&
           (options->preallocation == CST_PREALLOC_OFF ||
            cst_levels_fill(blob, format, options->preallocation, task, error));
}
