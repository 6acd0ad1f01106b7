/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decides when to warn that a space runs full: once at each level. The level of a space is kept
 * between checks. If the usage falls below a level and reaches it again, the warning is repeated.
 * The caller holds a lock.
 */
#include <pool/fullness.h>

#include <base/i18n.h>

struct CstFullness {
    GHashTable *reported; /* CstSpaceUsage.what to the last level: 0, an index + 1, LEVEL_LOST */
};

static const guint levels[] = {8000, 9000, 9500}; /* hundredths of a percent */

#define LEVEL_LOST (G_N_ELEMENTS(levels) + 1)

CstFullness *cst_fullness_new(void)
{
    CstFullness *fullness = g_new0(CstFullness, 1);

    fullness->reported = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return fullness;
}

void cst_fullness_free(CstFullness *fullness)
{
    if (!fullness)
        return;
    g_hash_table_unref(fullness->reported);
    g_free(fullness);
}

/* Returns the number of levels reached. LEVEL_LOST is above all of them. */
static guint fullness_level(const CstSpaceUsage *space)
{
    guint level = 0;

    if (space->lost)
        return LEVEL_LOST;
    while (level < G_N_ELEMENTS(levels) && space->hundredths >= levels[level])
        level++;
    return level;
}

static char *fullness_describe(const CstSpaceUsage *space)
{
    if (space->lost)
        return g_strdup_printf(_("%s ran out of space: its content is lost"), space->what);
    return g_strdup_printf(_("%s is full by %u.%02u%%"), space->what, space->hundredths / 100,
                           space->hundredths % 100);
}

GPtrArray *cst_fullness_warnings(CstFullness *fullness, const GPtrArray *usage)
{
    GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
    GHashTable *now = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < usage->len; i++) {
        const CstSpaceUsage *space = g_ptr_array_index(usage, i);
        guint level = fullness_level(space);

        if (level > GPOINTER_TO_UINT(g_hash_table_lookup(fullness->reported, space->what)))
            g_ptr_array_add(warnings, fullness_describe(space));
        g_hash_table_insert(now, g_strdup(space->what), GUINT_TO_POINTER(level));
    }
    /* Drop the spaces that no longer exist. */
    g_hash_table_unref(fullness->reported);
    fullness->reported = now;
    return warnings;
}
