/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Selects the backups to keep. Backups of the same volumes on the same host form a group. Each
 * group is processed from the newest to the oldest backup. A backup is kept for a period (an hour,
 * a day, …) if it is the newest one in that period, until the requested number of periods is
 * reached. Periods without a backup do not count.
 */
#include <stdlib.h>
#include <string.h>

#include <backup/backup.h>

#include <base/i18n.h>
#include <base/text.h>

enum { HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY, N_PERIODS };

/* Text form of a period: times with equal text are in the same period. Weeks as in ISO 8601. */
static const struct {
    const char *reason;
    const char *format;
} periods[N_PERIODS] = {
    [HOURLY] = {N_("hourly"), "%Y-%m-%d %H %z"},
    [DAILY] = {N_("daily"), "%Y-%m-%d"},
    [WEEKLY] = {N_("weekly"), "%G-%V"},
    [MONTHLY] = {N_("monthly"), "%Y-%m"},
    [YEARLY] = {N_("yearly"), "%Y"},
};

/* Progress of a group. */
typedef struct {
    unsigned last;
    unsigned left[N_PERIODS];
    char *newest[N_PERIODS]; /* the period that was counted last */
} GroupCount;

static void group_free(gpointer data)
{
    GroupCount *group = data;

    for (int i = 0; i < N_PERIODS; i++)
        g_free(group->newest[i]);
    g_free(group);
}

static GroupCount *keep_group_new(const CstKeep *keep)
{
    GroupCount *group = g_new0(GroupCount, 1);
    const unsigned counts[N_PERIODS] = {
        [HOURLY] = keep->hourly,   [DAILY] = keep->daily,   [WEEKLY] = keep->weekly,
        [MONTHLY] = keep->monthly, [YEARLY] = keep->yearly,
    };

    group->last = keep->last;
    memcpy(group->left, counts, sizeof(counts));
    return group;
}

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

static void add_reason(GString *reasons, const char *reason)
{
    g_string_append_printf(reasons, "%s%s", reasons->len > 0 ? ", " : "", reason);
}

static void add_tags(GString *reasons, const CstBackup *backup, const char *const *tags)
{
    for (guint i = 0; tags && tags[i]; i++)
        if (backup->tags && g_strv_contains((const char *const *)backup->tags, tags[i])) {
            g_autofree char *reason = g_strdup_printf(_("tag %s"), tags[i]);

            add_reason(reasons, reason);
        }
}

/* Decides about the next backup of a group, which is older than the previous ones. */
static char *keep_decide_next(const CstBackup *backup, GroupCount *group, const CstKeep *keep,
                              GTimeZone *zone)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(backup->time_us / G_USEC_PER_SEC);
    g_autoptr(GDateTime) local = utc ? g_date_time_to_timezone(utc, zone) : NULL;
    g_autoptr(GString) reasons = g_string_new(NULL);

    if (group->last > 0) {
        group->last--;
        add_reason(reasons, _("last"));
    }
    for (int i = 0; i < N_PERIODS; i++) {
        g_autofree char *period =
            local ? g_date_time_format(local, periods[i].format) : g_strdup("?");

        if (group->left[i] == 0 || g_strcmp0(period, group->newest[i]) == 0)
            continue;
        group->left[i]--;
        g_free(group->newest[i]);
        group->newest[i] = g_steal_pointer(&period);
        add_reason(reasons, _(periods[i].reason));
    }
    add_tags(reasons, backup, keep->tags);
    return reasons->len > 0 ? g_string_free(g_steal_pointer(&reasons), FALSE) : NULL;
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

GPtrArray *cst_keep_decide(const GPtrArray *backups, const CstKeep *keep, GTimeZone *zone)
{
    g_autoptr(GTimeZone) here = zone ? g_time_zone_ref(zone) : g_time_zone_new_local();
    g_autoptr(GHashTable) groups =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, group_free);
    g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(guint));
    GPtrArray *reasons = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < backups->len; i++)
        g_array_append_val(order, i);
    g_array_sort_with_data(order, newest_first, (gpointer)backups);
    g_ptr_array_set_size(reasons, (gint)backups->len);
    for (guint i = 0; i < order->len; i++) {
        guint at = g_array_index(order, guint, i);
        char *name = cst_backup_group(backups->pdata[at]);
        GroupCount *group = g_hash_table_lookup(groups, name);

        if (!group) {
            group = keep_group_new(keep);
            g_hash_table_insert(groups, g_strdup(name), group);
        }
        g_free(name);
        reasons->pdata[at] = keep_decide_next(backups->pdata[at], group, keep, here);
    }
    return reasons;
}
