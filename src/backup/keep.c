/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Selects the backups to keep. Backups of the same volumes on the same host form a group, and the
 * rules count the backups of each group (schedule/retention.h).
 */
#include <stdlib.h>
#include <string.h>

#include <backup/backup.h>

#include <base/i18n.h>
#include <base/text.h>

char *cst_backup_group(const CstBackup *backup)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];

        g_ptr_array_add(names, g_strdup_printf("%s/%s", volume->pool, volume->name));
    }
    g_ptr_array_sort(names, cst_text_compare);
    /* Names contain no newline. */
    g_ptr_array_insert(names, 0, g_strdup(backup->host));
    g_ptr_array_add(names, NULL);
    return g_strjoinv("\n", (char **)names->pdata);
}

/* Returns @reason with the tags that keep the backup, or NULL without a reason. Frees @reason. */
static char *keep_add_tags(char *reason, const CstBackup *backup, const char *const *tags)
{
    for (guint i = 0; tags && tags[i]; i++)
        if (backup->tags && g_strv_contains((const char *const *)backup->tags, tags[i])) {
            g_autofree char *old = reason;
            g_autofree char *tag = g_strdup_printf(_("tag %s"), tags[i]);

            reason = old ? g_strconcat(old, ", ", tag, NULL) : g_strdup(tag);
        }
    return reason;
}

static int newest_first(gconstpointer a, gconstpointer b, gpointer data)
{
    const GPtrArray *backups = data;
    const CstBackup *first = backups->pdata[*(const guint *)a];
    const CstBackup *second = backups->pdata[*(const guint *)b];

    if (first->time_us != second->time_us)
        return first->time_us > second->time_us ? -1 : 1;
    return strcmp(second->id, first->id);
}

/* Decides about the backups of a group. @order: their places in @backups, the newest first. */
static void keep_decide_group(const GPtrArray *backups, const GArray *order, const CstKeep *keep,
                              GTimeZone *zone, GPtrArray *reasons)
{
    g_autofree gint64 *times = g_new(gint64, order->len);
    g_autoptr(GPtrArray) kept = NULL;

    for (guint i = 0; i < order->len; i++) {
        const CstBackup *backup = backups->pdata[g_array_index(order, guint, i)];

        times[i] = backup->time_us / G_USEC_PER_SEC;
    }
    kept = cst_retention_decide(&keep->retention, times, order->len, zone);
    for (guint i = 0; i < order->len; i++) {
        guint at = g_array_index(order, guint, i);

        reasons->pdata[at] =
            keep_add_tags(g_steal_pointer(&kept->pdata[i]), backups->pdata[at], keep->tags);
    }
}

GPtrArray *cst_keep_decide(const GPtrArray *backups, const CstKeep *keep, GTimeZone *zone)
{
    g_autoptr(GHashTable) groups =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_array_unref);
    g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(guint));
    GPtrArray *reasons = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer group;

    for (guint i = 0; i < backups->len; i++)
        g_array_append_val(order, i);
    g_array_sort_with_data(order, newest_first, (gpointer)backups);
    g_ptr_array_set_size(reasons, (gint)backups->len);
    for (guint i = 0; i < order->len; i++) {
        guint at = g_array_index(order, guint, i);
        char *name = cst_backup_group(backups->pdata[at]);

        group = g_hash_table_lookup(groups, name);
        if (!group) {
            group = g_array_new(FALSE, FALSE, sizeof(guint));
            g_hash_table_insert(groups, g_strdup(name), group);
        }
        g_array_append_val((GArray *)group, at);
        g_free(name);
    }
    g_hash_table_iter_init(&iter, groups);
    while (g_hash_table_iter_next(&iter, NULL, &group))
        keep_decide_group(backups, group, keep, zone, reasons);
    return reasons;
}
