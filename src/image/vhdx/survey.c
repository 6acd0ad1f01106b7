/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Walks the block allocation table and collects the used MiB and the wrong entries. The walk reads
 * the file past the page cache and skips holes, so that the sparse table of a large image costs
 * little. At most MAX_DAMAGE entries are recorded as damaged; survey.errors counts all of them.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"
#include "state.h"

#define CHUNK      (64 * CST_KIB)
#define MAX_DAMAGE (256 * CST_KIB) /* recorded in one survey */

static gboolean walk_chunk(Vhdx *vhdx, uint8_t *raw, uint64_t first, uint64_t count,
                           VhdxVisit visit, gpointer data, GError **error)
{
    if (!cst_blob_pread(vhdx->file, raw, count * 8, vhdx->layout.bat_offset + first * 8, error))
        return FALSE;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t entry = cst_le64(raw + i * 8);

        if (entry != 0 && !visit(vhdx, first + i, entry, data, error))
            return FALSE;
    }
    return TRUE;
}

gboolean vhdx_bat_walk(Vhdx *vhdx, uint64_t first, uint64_t end, VhdxVisit visit, gpointer data,
                       GError **error)
{
    g_autofree uint8_t *raw = g_malloc(CHUNK);

    while (first < end) {
        uint64_t count = MIN(CHUNK / 8, end - first);
        CstExtent extent;

        /* most of a sparse image's table is a hole of the file */
        if (!cst_blob_extent(vhdx->file, vhdx->layout.bat_offset + first * 8, (end - first) * 8,
                             &extent, error))
            return FALSE;
        if ((extent.flags & CST_EXTENT_ZERO) && extent.length >= 8) {
            first += extent.length / 8;
            continue;
        }
        if (!walk_chunk(vhdx, raw, first, count, visit, data, error))
            return FALSE;
        first += count;
    }
    return TRUE;
}

/* --- the survey ------------------------------------------------------------------------------- */

typedef struct {
    VhdxSurvey *survey;
    CstTask *task;
    uint64_t file_size;
} Walk;

static void survey_note(VhdxSurvey *survey, uint64_t index, uint64_t entry, VhdxDamageKind kind)
{
    VhdxDamage damage = {index, entry, kind};

    survey->errors++;
    if (survey->damage->len < MAX_DAMAGE)
        g_array_append_val(survey->damage, damage);
}

static gboolean survey_claim(Vhdx *vhdx, Walk *walk, uint64_t index, uint64_t entry,
                             uint64_t length, GError **error)
{
    VhdxSurvey *survey = walk->survey;
    uint64_t place = VHDX_PLACE(entry), units = length / CST_MIB;

    if (!vhdx_place_is_sound(vhdx, place, length, walk->file_size))
        survey_note(survey, index, entry, VHDX_BAD_PLACE);
    else if (vhdx_units_test(&survey->units, place, units))
        survey_note(survey, index, entry, VHDX_BAD_SHARED);
    else
        return vhdx_units_set(&survey->units, place, units, vhdx->file->name, error);
    return TRUE;
}

static gboolean visit_bitmap(Vhdx *vhdx, Walk *walk, uint64_t index, uint64_t entry, GError **error)
{
    /* Some versions of QEMU leave arbitrary values in entries that have no meaning. */
    if (!vhdx->is_diff)
        return TRUE;
    if (VHDX_STATE(entry) == VHDX_PRESENT)
        return survey_claim(vhdx, walk, index, entry, CST_MIB, error);
    if (VHDX_STATE(entry) != VHDX_NOT_PRESENT)
        survey_note(walk->survey, index, entry, VHDX_BAD_STATE);
    return TRUE;
}

static gboolean visit_payload(Vhdx *vhdx, Walk *walk, uint64_t index, uint64_t entry,
                              GError **error)
{
    VhdxState state = VHDX_STATE(entry);
    VhdxSurvey *survey = walk->survey;

    if (state == VHDX_PRESENT || (state == VHDX_PARTIAL && vhdx->is_diff)) {
        if (!survey_claim(vhdx, walk, index, entry, vhdx->blocks.block_size, error))
            return FALSE;
        survey->allocated++;
        if (survey->last_place != 0 &&
            VHDX_PLACE(entry) != survey->last_place + vhdx->blocks.block_size / CST_MIB)
            survey->fragmented++;
        survey->last_place = VHDX_PLACE(entry);
    } else if (state > VHDX_UNMAPPED) {
        survey_note(survey, index, entry, VHDX_BAD_STATE);
    }
    return TRUE;
}

static gboolean survey_visit(Vhdx *vhdx, uint64_t index, uint64_t entry, gpointer data,
                             GError **error)
{
    uint64_t group = vhdx->chunk_ratio + 1;
    Walk *walk = data;

    if (walk->task && index % 4096 == 0 && !cst_task_check(walk->task, error))
        return FALSE;
    if (index % group == vhdx->chunk_ratio)
        return visit_bitmap(vhdx, walk, index, entry, error);
    return index / group * vhdx->chunk_ratio + index % group >= vhdx->block_count ||
           visit_payload(vhdx, walk, index, entry, error);
}

/* A partial block without a sector bitmap is damaged. */
static gboolean visit_partial(Vhdx *vhdx, uint64_t index, uint64_t entry, gpointer data,
                              GError **error)
{
    uint64_t group = vhdx->chunk_ratio + 1, bitmap = 0;
    Walk *walk = data;

    if (index % group == vhdx->chunk_ratio || VHDX_STATE(entry) != VHDX_PARTIAL)
        return TRUE;
    if (!vhdx_bat_get(vhdx, index / group * group + vhdx->chunk_ratio, &bitmap, error))
        return FALSE;
    if (VHDX_STATE(bitmap) != VHDX_PRESENT)
        survey_note(walk->survey, index, entry, VHDX_BAD_STATE);
    return TRUE;
}

void vhdx_survey_clear(VhdxSurvey *survey)
{
    vhdx_units_clear(&survey->units);
    g_clear_pointer(&survey->damage, g_array_unref);
}

static gboolean claim_ranges(const Vhdx *vhdx, VhdxUnits *units, GError **error)
{
    for (unsigned i = 0; i < vhdx->layout.range_count; i++)
        if (!vhdx_units_set(units, vhdx->layout.ranges[i].offset / CST_MIB,
                            vhdx->layout.ranges[i].length / CST_MIB, vhdx->file->name, error))
            return FALSE;
    return TRUE;
}

gboolean vhdx_survey(Vhdx *vhdx, VhdxSurvey *ret_survey, CstTask *task, GError **error)
{
    VhdxSurvey survey = {.damage = g_array_new(FALSE, FALSE, sizeof(VhdxDamage))};
    Walk walk = {&survey, task, 0};
    uint64_t end = vhdx_bat_entries(vhdx->blocks.image.capacity, vhdx->layout.block_size,
                                    vhdx->layout.sector_size, vhdx->is_diff);

    if (!claim_ranges(vhdx, &survey.units, error) ||
        !cst_blob_get_size(vhdx->file, &walk.file_size, error) ||
        !vhdx_bat_walk(vhdx, 0, end, survey_visit, &walk, error) ||
        (vhdx->is_diff && !vhdx_bat_walk(vhdx, 0, end, visit_partial, &walk, error))) {
        vhdx_survey_clear(&survey);
        return FALSE;
    }
    *ret_survey = survey;
    return TRUE;
}
