/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Check and repair of an image. The survey (survey.c) finds the wrong entries of the block
 * allocation table and the used MiB. A MiB of the file that is unused and not zero is a leak. Leaks
 * are counted in MiB, the unit of allocation.
 *
 * Repair changes entries through the log like any other writer, so a power cut leaves each entry
 * either repaired or unchanged. Errors are repaired in rounds, each followed by a new survey. Leaks
 * are freed only when no error is left. The head's lock is held from the survey on.
 */
#include <inttypes.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "state.h"
#include "vhdx.h"

/* --- leaks ------------------------------------------------------------------------------------ */

static gboolean is_zero(CstBlob *file, uint64_t offset, uint64_t length, gboolean *ret_zero,
                        GError **error)
{
    g_autofree uint8_t *buf = NULL;
    uint64_t end = offset + length;
    CstExtent extent;

    for (*ret_zero = TRUE; *ret_zero && offset < end; offset += extent.length) {
        if (!cst_blob_extent(file, offset, end - offset, &extent, error))
            return FALSE;
        if (extent.flags & CST_EXTENT_ZERO)
            continue;
        if (!buf)
            buf = cst_alloc(length, 1, file->name, error);
        if (!buf || !cst_blob_pread(file, buf, extent.length, offset, error))
            return FALSE;
        *ret_zero = cst_bytes_are_zero(buf, extent.length);
    }
    return TRUE;
}

/* An unused MiB is a leak if it has data; a hole needs no space. */
static gboolean find_leaks(Vhdx *vhdx, const VhdxUnits *used, gboolean repair, CstImageCheck *found,
                           CstTask *task, GError **error)
{
    CstCheckRun run = {.findings = found->findings, .unit = CST_MIB};
    uint64_t size = 0, end;

    if (!cst_blob_get_size(vhdx->file, &size, error))
        return FALSE;
    end = cst_div_up(size, CST_MIB);
    for (uint64_t unit = 0; unit < end; unit++) {
        uint64_t offset = unit * CST_MIB, length = MIN(CST_MIB, size - unit * CST_MIB);
        gboolean zero = FALSE;
        CstExtent extent;

        if (!cst_task_check(task, error))
            return FALSE;
        if (vhdx_units_test(used, unit, 1))
            continue;
        if (!cst_blob_extent(vhdx->file, offset, size - offset, &extent, error))
            return FALSE;
        if ((extent.flags & CST_EXTENT_ZERO) && extent.length > CST_MIB) {
            unit += extent.length / CST_MIB - 1;
            continue;
        }
        if (!is_zero(vhdx->file, offset, length, &zero, error))
            return FALSE;
        if (zero)
            continue;
        found->leaks++;
        cst_check_run_add(&run, CST_FINDING_LEAK, unit, N_("no table refers to them"));
        if (repair && !cst_blob_zero(vhdx->file, offset, length, CST_ZERO_MAY_UNMAP, error))
            return FALSE;
        found->leaks_fixed += repair;
    }
    cst_check_run_end(&run);
    return TRUE;
}

/* Truncates the file after the last used MiB, if the file supports it. */
static gboolean cut_off(Vhdx *vhdx, const VhdxUnits *used, GError **error)
{
    uint64_t end = vhdx_units_end(used) * CST_MIB, size = 0;
    g_autoptr(GError) why = NULL;

    if (!vhdx_empty_log(vhdx, error) || !cst_blob_get_size(vhdx->file, &size, error))
        return FALSE;
    if (size <= end || cst_blob_resize(vhdx->file, end, &why) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean check_leaks(Vhdx *vhdx, const VhdxUnits *used, gboolean repair,
                            CstImageCheck *found, CstTask *task, GError **error)
{
    if (!repair)
        return find_leaks(vhdx, used, FALSE, found, task, error);
    return vhdx_begin_session(vhdx, error) && find_leaks(vhdx, used, TRUE, found, task, error) &&
           (found->leaks == 0 || cut_off(vhdx, used, error));
}

/* --- errors ----------------------------------------------------------------------------------- */

/* Gives the second user a copy, because either of the two may own the content. */
static gboolean give_own_place(Vhdx *vhdx, const VhdxDamage *damage, GError **error)
{
    gboolean is_bitmap = damage->index % (vhdx->chunk_ratio + 1) == vhdx->chunk_ratio;
    uint64_t length = is_bitmap ? CST_MIB : vhdx->blocks.block_size, place = 0;

    return vhdx_units_take(vhdx, length / CST_MIB, &place, error) &&
           vhdx_units_zero(vhdx, place, length / CST_MIB, error) &&
           cst_blocks_copy_host(&vhdx->blocks, VHDX_PLACE(damage->entry) * CST_MIB, place * CST_MIB,
                                length, error) &&
           vhdx_bat_set(vhdx, damage->index, vhdx_entry(VHDX_STATE(damage->entry), place), error);
}

/* An entry with a wrong place or state becomes NOT_PRESENT. */
static gboolean repair_entry(Vhdx *vhdx, const VhdxDamage *damage, GError **error)
{
    if (!vhdx_relieve(vhdx, error))
        return FALSE;
    if (damage->kind == VHDX_BAD_SHARED)
        return give_own_place(vhdx, damage, error);
    return vhdx_bat_set(vhdx, damage->index, vhdx_entry(VHDX_NOT_PRESENT, 0), error);
}

static gboolean repair_round(Vhdx *vhdx, VhdxSurvey *survey, CstTask *task, GError **error)
{
    gboolean ok = vhdx_begin_session(vhdx, error);

    vhdx_units_clear(&vhdx->units);
    vhdx->units = survey->units;
    survey->units = (VhdxUnits){0};
    for (guint i = 0; ok && i < survey->damage->len; i++)
        ok = cst_task_check(task, error) &&
             repair_entry(vhdx, &g_array_index(survey->damage, VhdxDamage, i), error);
    return ok && vhdx_commit(vhdx, error);
}

/*
 * One repair may reveal further damage: after the repair of a missing bitmap, the blocks that need
 * it. The loop ends because every round leaves fewer entries with invalid places.
 */
static gboolean repair_errors(Vhdx *vhdx, VhdxSurvey *survey, CstImageCheck *found, CstTask *task,
                              GError **error)
{
    while (survey->errors > 0) {
        uint64_t count = survey->damage->len;
        gboolean ok = repair_round(vhdx, survey, task, error);

        vhdx_survey_clear(survey);
        if (!ok || !vhdx_survey(vhdx, survey, task, error))
            return FALSE;
        found->errors_fixed += count;
    }
    found->errors = found->errors_fixed;
    return TRUE;
}

/* --- the check -------------------------------------------------------------------------------- */

static void list_damage(const VhdxSurvey *survey, CstFindings *findings)
{
    static const char *const what[] = {
        [VHDX_BAD_PLACE] = N_("no data can be there"),
        [VHDX_BAD_SHARED] = N_("something else is there as well"),
        [VHDX_BAD_STATE] = N_("its state is one that it can't have"),
    };

    for (guint i = 0; i < survey->damage->len && i < CST_FINDINGS_MAX; i++) {
        const VhdxDamage *damage = &g_array_index(survey->damage, VhdxDamage, i);

        cst_findings_add(findings, CST_FINDING_ERROR, 1,
                         _("entry %" PRIu64 " of the block table, for the file's MiB "
                           "%" PRIu64 ": %s"),
                         damage->index, VHDX_PLACE(damage->entry), _(what[damage->kind]));
    }
}

static gboolean check_image(Vhdx *vhdx, unsigned flags, CstImageCheck *found, CstTask *task,
                            GError **error)
{
    VhdxSurvey survey = {0};
    gboolean ok;

    if (!vhdx_survey(vhdx, &survey, task, error))
        return FALSE;
    list_damage(&survey, found->findings);
    found->errors = survey.errors;
    ok = !(flags & CST_CHECK_REPAIR_ALL) || repair_errors(vhdx, &survey, found, task, error);
    if (ok) {
        found->total_clusters = vhdx->block_count;
        found->allocated_clusters = survey.allocated;
        found->fragmented_clusters = survey.fragmented;
        found->image_end = vhdx_units_end(&survey.units) * CST_MIB;
        /* while entries are wrong, space that they should refer to may seem to leak */
        ok = check_leaks(vhdx, &survey.units, flags != 0 && survey.errors == 0, found, task, error);
    }
    vhdx_survey_clear(&survey);
    return ok;
}

gboolean vhdx_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                    unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error)
{
    /* freeing leaks does not change the guest's content */
    unsigned open = flags & CST_CHECK_REPAIR_ALL ? CST_IMAGE_WRITE
                    : flags                      ? CST_IMAGE_WRITE | CST_IMAGE_SAME_CONTENT
                                                 : 0;
    const CstImageOpen how = {.flags = open};
    Vhdx *vhdx = vhdx_open_for(format, blob, &how, error);
    CstImageCheck found = {.findings = ret_check->findings};
    gboolean ok;

    if (!vhdx)
        return FALSE;
    g_mutex_lock(&vhdx->blocks.lock);
    ok = check_image(vhdx, flags, &found, task, error);
    if (ok && vhdx->writing)
        ok = vhdx_empty_log(vhdx, error);
    g_mutex_unlock(&vhdx->blocks.lock);
    vhdx_free(vhdx);
    if (ok)
        *ret_check = found;
    return ok;
}
