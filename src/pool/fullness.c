/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pool/fullness.h>

#include <base/i18n.h>

struct CstFullness {
    GHashTable *told; /* what to the level that was told, one of the below */
};

static const guint levels[] = {8000, 9000, 9500}; /* hundredths of a percent */

#define LEVEL_LOST (G_N_ELEMENTS(levels) + 1)

CstFullness *cst_fullness_new(void)
{
    CstFullness *fullness = g_new0(CstFullness, 1);

    fullness->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return fullness;
}

void cst_fullness_free(CstFullness *fullness)
{
    if (!fullness)
        return;
    g_hash_table_unref(fullness->told);
    g_free(fullness);
}

static guint level_of(const CstRoom *room)
{
    guint level = 0;

    if (room->lost)
        return LEVEL_LOST;
    while (level < G_N_ELEMENTS(levels) && room->hundredths >= levels[level])
        level++;
    return level;
}

static char *tell(const CstRoom *room)
{
    if (room->lost)
        return g_strdup_printf(_("%s ran out: what was in it is lost"), room->what);
    return g_strdup_printf(_("%s is full by %u.%02u%%"), room->what, room->hundredths / 100,
                           room->hundredths % 100);
}

GPtrArray *cst_fullness_news(CstFullness *fullness, const GPtrArray *rooms)
{
    GPtrArray *news = g_ptr_array_new_with_free_func(g_free);
    GHashTable *now = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < rooms->len; i++) {
        const CstRoom *room = g_ptr_array_index(rooms, i);
        guint level = level_of(room);

        if (level > GPOINTER_TO_UINT(g_hash_table_lookup(fullness->told, room->what)))
            g_ptr_array_add(news, tell(room));
        g_hash_table_insert(now, g_strdup(room->what), GUINT_TO_POINTER(level));
    }
    /* Whatever is gone is forgotten. */
    g_hash_table_unref(fullness->told);
    fullness->told = now;
    return news;
}
