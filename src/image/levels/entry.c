/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An L2 entry as a number of 64 bits. 0: not allocated. 1: a cluster of zeroes, if the format has
 * them (qed). Else: the cluster's place in the file. If the format has compressed clusters (qcow),
 * the top bit marks them, and the bits below it hold the length.
 */
#include "levels.h"

#include <base/i18n.h>

gboolean(cst_levels_corrupt)(const CstLevels *levels, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), levels->blocks.blob->name,
                    what);
}

gboolean cst_levels_decode(const CstLevels *levels, uint64_t raw, CstLevelsEntry *ret_entry)
{
    unsigned shift = cst_levels_length_shift(levels);

    *ret_entry = (CstLevelsEntry){CST_RUN_DATA, raw, 0};
    if (raw == 0)
        ret_entry->kind = CST_RUN_BACKING;
    else if (levels->format->zero_entries && raw == 1)
        ret_entry->kind = CST_RUN_ZERO;
    else if (levels->format->packed && (raw & CST_LEVELS_PACKED))
        *ret_entry = (CstLevelsEntry){CST_RUN_PACKED, raw & ((UINT64_C(1) << shift) - 1),
                                      (raw & ~CST_LEVELS_PACKED) >> shift};
    else if (raw % levels->align != 0)
        return FALSE;
    return TRUE;
}
