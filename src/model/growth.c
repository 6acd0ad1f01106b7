/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The decisions of the automatic extension of spaces. */
#include <model/growth.h>

#include <base/i18n.h>

/* The interval between two readings of the use, in microseconds. */
#define INTERVAL_MIN (50 * G_TIME_SPAN_MILLISECOND)
#define INTERVAL_MAX (10 * G_TIME_SPAN_SECOND)
/* Bytes that a writer that begins may write in a second. */
#define SPEED_MAX (UINT64_C(2) << 30)
/* A reading takes place at the latest when this share of the free space may be written. */
#define SHARE 4

CstGrowth *cst_growth_new(CstGrowthKind kind, const char *name, const char *label)
{
    CstGrowth *growth = g_new0(CstGrowth, 1);

    growth->kind = kind;
    growth->name = g_strdup(name);
    growth->label = g_strdup(label);
    growth->copies = 1;
    return growth;
}

void cst_growth_free(CstGrowth *growth)
{
    if (!growth)
        return;
    g_free(growth->name);
    g_free(growth->label);
    g_free(growth);
}

const char *cst_growth_kind_word(int kind)
{
    static const char *const words[] = {N_("group"), N_("metadata"), N_("data"), N_("snapshot")};

    return kind >= 0 && kind < CST_GROWTH_LAST ? words[kind] : NULL;
}

gboolean cst_growth_is_full(const CstAutoextend *setting, const CstGrowth *growth)
{
    return setting->threshold > 0 && growth->kind != CST_GROWTH_GROUP && growth->size > 0 &&
           (double)growth->used * 100 >= (double)growth->size * setting->threshold;
}

CstGrowthVerdict cst_growth_plan(const CstAutoextend *setting, const CstGrowth *growth,
                                 uint64_t free, uint64_t *ret_size)
{
    uint64_t unit = MAX(growth->unit, 1), copies = MAX(growth->copies, 1);
    uint64_t percent = setting->step ? setting->step : CST_AUTOEXTEND_STEP;
    uint64_t step = MAX((uint64_t)((double)growth->size * (double)percent / 100), unit);
    uint64_t room = (free > setting->reserve ? free - setting->reserve : 0) / copies / unit * unit;
    uint64_t most = setting->maximum ? setting->maximum : UINT64_MAX;

    if (!cst_growth_is_full(setting, growth) || growth->by_system)
        return CST_GROWTH_NOT_DUE;
    /* A snapshot of this size has space for all changes of its origin. */
    if (growth->kind == CST_GROWTH_SNAPSHOT && growth->limit && growth->size >= growth->limit)
        return CST_GROWTH_NOT_DUE;
    if (growth->limit)
        most = MIN(most, growth->limit);
    /* A snapshot may exceed its limit by less than a unit. */
    if (growth->size >= most || (most - growth->size < unit && most != growth->limit))
        return CST_GROWTH_AT_MAXIMUM;
    if (room == 0)
        return CST_GROWTH_NO_ROOM;
    step = (step + unit - 1) / unit * unit;
    step = MIN(step, MAX((most - growth->size) / unit * unit, unit));
    *ret_size = growth->size + MIN(step, room);
    return CST_GROWTH_DUE;
}

/* Returns the microseconds in which @bytes are written at @rate bytes in a second. */
static double writing_us(uint64_t bytes, uint64_t rate)
{
    return (double)bytes / (double)rate * (double)G_TIME_SPAN_SECOND;
}

int64_t cst_growth_interval(const CstAutoextend *setting, const CstGrowth *growth, uint64_t rate)
{
    uint64_t free = growth->size > growth->used ? growth->size - growth->used : 0;
    double at = (double)growth->size * setting->threshold / 100;
    uint64_t below = (double)growth->used < at ? (uint64_t)at - growth->used : 0;
    double interval = writing_us(free, SPEED_MAX) / SHARE;

    /* Metadata records blocks of at least 64 KiB, so it is filled far slower than data. */
    if (growth->kind == CST_GROWTH_METADATA)
        interval *= 1024;
    if (rate > 0)
        interval = MIN(interval, writing_us(below, rate) / 2);
    return (int64_t)CLAMP(interval, (double)INTERVAL_MIN, (double)INTERVAL_MAX);
}
