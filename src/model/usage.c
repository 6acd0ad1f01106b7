/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The spaces of a point of a pool's history. */
#include <model/usage.h>

#include <base/i18n.h>

uint64_t cst_usage_size(const CstUsagePoint *point, CstUsageSpace space, uint64_t *ret_used)
{
    switch (space) {
    case CST_USAGE_SPACE:
        *ret_used = point->allocation;
        /* A file system reserves blocks, which are part of the capacity only. */
        return point->available > UINT64_MAX - point->allocation
                   ? UINT64_MAX
                   : point->allocation + point->available;
    case CST_USAGE_DATA: *ret_used = point->data_used; return point->data_size;
    default: *ret_used = point->metadata_used; return point->metadata_size;
    }
}

const char *cst_usage_space_word(int space)
{
    static const char *const words[] = {N_("space"), N_("data"), N_("metadata")};

    return space >= 0 && space < CST_USAGE_SPACE_LAST ? words[space] : NULL;
}

static gboolean threshold_is_reached(uint8_t percent, uint64_t used, uint64_t size)
{
    return percent > 0 && (double)used * 100 >= (double)size * percent;
}

CstUsageLevel cst_usage_level(const CstThresholds *thresholds, const CstUsagePoint *point,
                              CstUsageSpace space)
{
    uint64_t used, size = cst_usage_size(point, space, &used);

    if (size == 0)
        return CST_USAGE_OK;
    if (threshold_is_reached(thresholds->critical, used, size))
        return CST_USAGE_CRITICAL;
    return threshold_is_reached(thresholds->warn, used, size) ? CST_USAGE_WARN : CST_USAGE_OK;
}

const char *cst_usage_level_word(int level)
{
    static const char *const words[] = {N_("ok"), N_("warn"), N_("critical")};

    return level >= 0 && level < CST_USAGE_LEVEL_LAST ? words[level] : NULL;
}
