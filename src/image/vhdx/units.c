/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Free space, as one bit for each MiB of the file. The bitmap exists in memory only: the survey
 * fills it when a session begins. Allocation uses the lowest run that is long enough. A bit is
 * cleared only if no table on the disk refers to the MiB any more, or if no table ever did.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "state.h"

void vhdx_units_clear(VhdxUnits *units)
{
    g_free(units->words);
    memset(units, 0, sizeof(*units));
}

static gboolean is_used(const VhdxUnits *units, uint64_t unit)
{
    return unit / 64 < units->count && (units->words[unit / 64] >> unit % 64 & 1);
}

gboolean vhdx_units_test(const VhdxUnits *units, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (is_used(units, first + i))
            return TRUE;
    return FALSE;
}

gboolean vhdx_units_set(VhdxUnits *units, uint64_t first, uint64_t count, const char *name,
                        GError **error)
{
    uint64_t needed = (first + count + 63) / 64;

    if (needed > units->count) {
        uint64_t room = MAX(needed, units->count + units->count / 2);

        uint64_t *grown = cst_realloc(units->words, room, sizeof(uint64_t), name, error);

        if (!grown)
            return FALSE;
        units->words = grown;
        memset(units->words + units->count, 0, (room - units->count) * sizeof(uint64_t));
        units->count = room;
    }
    for (uint64_t i = first; i < first + count; i++)
        units->words[i / 64] |= UINT64_C(1) << i % 64;
    return TRUE;
}

void vhdx_units_reset(VhdxUnits *units, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count && i / 64 < units->count; i++)
        units->words[i / 64] &= ~(UINT64_C(1) << i % 64);
    units->hint = MIN(units->hint, first);
}

uint64_t vhdx_units_end(const VhdxUnits *units)
{
    uint64_t count = units->count;

    while (count > 0 && units->words[count - 1] == 0)
        count--;
    return count == 0 ? 0 : count * 64 - (uint64_t)__builtin_clzll(units->words[count - 1]);
}

/* Returns the first free unit at or after @unit. */
static uint64_t next_free(const VhdxUnits *units, uint64_t unit)
{
    while (is_used(units, unit)) {
        if (unit % 64 == 0 && units->words[unit / 64] == G_MAXUINT64)
            unit += 64;
        else
            unit++;
    }
    return unit;
}

gboolean vhdx_units_take(Vhdx *vhdx, uint64_t count, uint64_t *ret_first, GError **error)
{
    VhdxUnits *units = &vhdx->units;
    uint64_t end = vhdx_units_end(units), first = next_free(units, units->hint);

    units->hint = first;
    while (first < end && vhdx_units_test(units, first, count))
        first = next_free(units, first + 1);
    if ((first + count) * CST_MIB > VHDX_MAX_FILE)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' can't grow any further"), vhdx->file->name);
    if (!vhdx_units_set(units, first, count, vhdx->file->name, error))
        return FALSE;
    *ret_first = first;
    return TRUE;
}

gboolean vhdx_units_zero(Vhdx *vhdx, uint64_t first, uint64_t count, GError **error)
{
    static const uint8_t zeroes[512];
    uint64_t offset = first * CST_MIB, end = offset + count * CST_MIB, size = 0;

    if (!cst_blob_get_size(vhdx->file, &size, error) ||
        !cst_blocks_zero_host(&vhdx->blocks, offset, count * CST_MIB, CST_ZERO_MAY_UNMAP, error))
        return FALSE;
    return size >= end ||
           cst_blob_pwrite(vhdx->file, zeroes, sizeof(zeroes), end - sizeof(zeroes), error);
}
