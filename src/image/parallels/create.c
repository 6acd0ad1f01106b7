/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creates images with QEMU's layout: the header and the table, rounded up to whole clusters, and no
 * other data.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "parallels.h"
#include "space.h"

#define DEFAULT_CLUSTER CST_MIB
#define HEADS           16u /* QEMU's value; programs ignore the geometry */
#define TRACK_SECTORS   32u

typedef struct {
    uint64_t cluster; /* bytes */
    uint64_t entries;
    uint64_t data; /* offset */
} Plan;

static gboolean make_plan(const CstImageCreate *options, Plan *plan, GError **error)
{
    uint64_t cluster = options->cluster_size ? options->cluster_size : DEFAULT_CLUSTER;
    uint64_t most_cluster = PARALLELS_MAX_TRACKS * (uint64_t)PARALLELS_SECTOR;

    if (cluster > most_cluster)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a Parallels cluster can have at most %" PRIu64 " bytes"), most_cluster);
    plan->cluster = cst_round_up(cluster, PARALLELS_SECTOR);
    plan->entries = cst_div_up(options->capacity, plan->cluster);
    plan->data = cst_round_up(parallels_table_end(plan->entries), plan->cluster);
    return parallels_check_capacity(options->capacity, plan->cluster, FALSE, error);
}

gboolean parallels_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure,
                           GError **error)
{
    uint64_t used = 0;
    Plan plan;

    if (!make_plan(measuring->options, &plan, error) ||
        !cst_measuring_count(measuring, plan.cluster, &used, error))
        return FALSE;
    if (measuring->options->preallocation != CST_PREALLOC_OFF)
        used = plan.entries;
    *ret_measure = cst_measure_of(plan.data, used, plan.entries, plan.cluster);
    return TRUE;
}

static gboolean write_head(CstBlob *blob, uint64_t capacity, const Plan *plan, GError **error)
{
    uint64_t sectors = capacity / PARALLELS_SECTOR;
    uint8_t raw[PARALLELS_HEADER_LEN] = PARALLELS_MAGIC_NEW;

    cst_put_le32(raw + PARALLELS_AT_VERSION, PARALLELS_VERSION);
    cst_put_le32(raw + PARALLELS_AT_HEADS, HEADS);
    cst_put_le32(raw + PARALLELS_AT_CYLINDERS, (uint32_t)(sectors / HEADS / TRACK_SECTORS));
    cst_put_le32(raw + PARALLELS_AT_TRACKS, (uint32_t)(plan->cluster / PARALLELS_SECTOR));
    cst_put_le32(raw + PARALLELS_AT_ENTRIES, (uint32_t)plan->entries);
    cst_put_le64(raw + PARALLELS_AT_SECTORS, sectors);
    cst_put_le32(raw + PARALLELS_AT_DATA, (uint32_t)(plan->data / PARALLELS_SECTOR));
    return cst_blob_pwrite(blob, raw, sizeof(raw), 0, error);
}

static gboolean parallels_preallocate_new(const CstImageFormat *format, CstBlob *blob,
                                          CstPreallocation preallocation, CstTask *task,
                                          GError **error)
{
    g_autoptr(CstImage) image =
        cst_image_open(blob, format, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, error);
    Parallels *parallels = (Parallels *)image;

    return image &&
           parallels_preallocate(parallels, 0, parallels->entries, preallocation, task, error) &&
           cst_blocks_write_back(&parallels->blocks, error) && parallels_end(parallels, error);
}

gboolean parallels_create(const CstImageFormat *format, CstBlob *blob,
                          const CstImageCreate *options, CstTask *task, GError **error)
{
    gboolean zeroed = FALSE;
    Plan plan;

    return make_plan(options, &plan, error) && cst_space_reset(blob, plan.data, &zeroed, error) &&
           (zeroed || cst_blob_zero(blob, 0, plan.data, CST_ZERO_MAY_UNMAP, error)) &&
           write_head(blob, options->capacity, &plan, error) &&
           (options->preallocation == CST_PREALLOC_OFF ||
            parallels_preallocate_new(format, blob, options->preallocation, task, error));
}
