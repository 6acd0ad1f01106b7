/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which backups stay. */
#include "scratch.h"

static CstBackup *make(const char *when, const char *volume, const char *tag)
{
    static unsigned number;
    CstBackup *backup = g_new0(CstBackup, 1);
    CstBackupVolume *row = g_new0(CstBackupVolume, 1);
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(when, utc);

    assert_non_null(time);
    g_snprintf(backup->id, sizeof(backup->id), "%032u", ++number);
    backup->time_us = g_date_time_to_unix(time) * G_USEC_PER_SEC;
    backup->host = g_strdup("h");
    backup->volumes = g_ptr_array_new_with_free_func(g_free);
    row->pool = (char *)"p";
    row->name = (char *)volume;
    g_ptr_array_add(backup->volumes, row);
    if (tag)
        backup->tags = g_strsplit(tag, ",", 0);
    return backup;
}

static void free_backup(gpointer backup)
{
    cst_backup_free(backup);
}

/* "when why; when why" of the backups that stay. */
static char *decided(const GPtrArray *backups, const CstKeep *keep)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GPtrArray) reasons = cst_keep_decide(backups, keep, utc);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < backups->len; i++)
        if (reasons->pdata[i])
            g_string_append_printf(text, "%s%u %s", text->len ? "; " : "", i,
                                   (const char *)reasons->pdata[i]);
    return g_string_free(text, FALSE);
}

static void assert_kept(const GPtrArray *backups, CstKeep keep, const char *expected)
{
    g_autofree char *text = decided(backups, &keep);

    assert_string_equal(text, expected);
}

static GPtrArray *calendar(void)
{
    static const char *const times[] = {
        "2024-12-30T10:00:00Z", /* in week 1 of 2025 */
        "2024-12-31T10:00:00Z", "2025-01-01T10:00:00Z", "2025-01-01T10:30:00Z",
        "2025-01-01T11:00:00Z", "2025-01-06T00:00:00Z", "2025-02-01T00:00:00Z",
    };
    GPtrArray *backups = g_ptr_array_new_with_free_func(free_backup);

    for (size_t i = 0; i < G_N_ELEMENTS(times); i++)
        g_ptr_array_add(backups, make(times[i], "v", NULL));
    return backups;
}

static void the_newest_of_each_period_stays(void **state)
{
    g_autoptr(GPtrArray) backups = calendar();

    assert_kept(backups, (CstKeep){0}, "");
    assert_kept(backups, (CstKeep){.retention.last = 2}, "5 last; 6 last");
    assert_kept(backups, (CstKeep){.retention.last = 100},
                "0 last; 1 last; 2 last; 3 last; 4 last; 5 last; 6 last");
    assert_kept(backups, (CstKeep){.retention.hourly = 4},
                "3 hourly; 4 hourly; 5 hourly; 6 hourly");
    assert_kept(backups, (CstKeep){.retention.daily = 3}, "4 daily; 5 daily; 6 daily");
    assert_kept(backups, (CstKeep){.retention.weekly = 3}, "4 weekly; 5 weekly; 6 weekly");
    assert_kept(backups, (CstKeep){.retention.weekly = 9}, "4 weekly; 5 weekly; 6 weekly");
    assert_kept(backups, (CstKeep){.retention.monthly = 2}, "5 monthly; 6 monthly");
    assert_kept(backups, (CstKeep){.retention.yearly = 2}, "1 yearly; 6 yearly");
    assert_kept(backups,
                (CstKeep){.retention.last = 1, .retention.daily = 2, .retention.yearly = 9},
                "1 yearly; 5 daily; 6 last, daily, yearly");
}

static void groups_are_counted_by_themselves(void **state)
{
    g_autoptr(GPtrArray) backups = g_ptr_array_new_with_free_func(free_backup);
    g_autofree char *group = NULL;
    CstBackup *elsewhere;

    g_ptr_array_add(backups, make("2025-01-01T10:00:00Z", "a", NULL));
    g_ptr_array_add(backups, make("2025-01-01T11:00:00Z", "b", NULL));
    g_ptr_array_add(backups, make("2025-01-01T12:00:00Z", "a", NULL));
    elsewhere = make("2025-01-01T09:00:00Z", "a", NULL);
    g_free(elsewhere->host);
    elsewhere->host = g_strdup("other");
    g_ptr_array_add(backups, elsewhere);
    assert_kept(backups, (CstKeep){.retention.last = 1}, "1 last; 2 last; 3 last");
    group = cst_backup_group(backups->pdata[0]);
    assert_string_equal(group, "h\np/a");
}

static void tags_keep(void **state)
{
    static const char *const tags[] = {"gold", "x", NULL};
    g_autoptr(GPtrArray) backups = g_ptr_array_new_with_free_func(free_backup);

    g_ptr_array_add(backups, make("2025-01-01T10:00:00Z", "a", "gold,silver"));
    g_ptr_array_add(backups, make("2025-01-02T10:00:00Z", "a", "silver"));
    g_ptr_array_add(backups, make("2025-01-03T10:00:00Z", "a", NULL));
    assert_kept(backups, (CstKeep){.tags = tags}, "0 tag gold");
    assert_kept(backups, (CstKeep){.tags = tags, .retention.last = 1}, "0 tag gold; 2 last");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_of_each_period_stays),
        cmocka_unit_test(groups_are_counted_by_themselves),
        cmocka_unit_test(tags_keep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
