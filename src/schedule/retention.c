/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Selects the copies to keep, from the newest to the oldest one. */
#include <schedule/retention.h>

#include <base/i18n.h>

enum { HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY, N_PERIODS };

/* Text form of a period: times with equal text are in the same period. */
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

/* The progress of a decision. */
typedef struct {
    unsigned last;
    unsigned left[N_PERIODS];
    char *newest[N_PERIODS]; /* the period that was counted last */
} RetentionCount;

gboolean cst_retention_is_empty(const CstRetention *retention)
{
    return !retention->last && !retention->hourly && !retention->daily && !retention->weekly &&
           !retention->monthly && !retention->yearly;
}

static void reason_add(GString *reasons, const char *reason)
{
    g_string_append_printf(reasons, "%s%s", reasons->len > 0 ? ", " : "", reason);
}

/* Decides about the next copy, which is older than the previous ones. */
static char *retention_decide_next(RetentionCount *count, gint64 time, GTimeZone *zone)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(time);
    g_autoptr(GDateTime) local = utc ? g_date_time_to_timezone(utc, zone) : NULL;
    g_autoptr(GString) reasons = g_string_new(NULL);

    if (count->last > 0) {
        count->last--;
        reason_add(reasons, _("last"));
    }
    for (int i = 0; i < N_PERIODS; i++) {
        g_autofree char *period =
            local ? g_date_time_format(local, periods[i].format) : g_strdup("?");

        if (count->left[i] == 0 || g_strcmp0(period, count->newest[i]) == 0)
            continue;
        count->left[i]--;
        g_free(count->newest[i]);
        count->newest[i] = g_steal_pointer(&period);
        reason_add(reasons, _(periods[i].reason));
    }
    return reasons->len > 0 ? g_string_free(g_steal_pointer(&reasons), FALSE) : NULL;
}

GPtrArray *cst_retention_decide(const CstRetention *retention, const gint64 *times, guint count,
                                GTimeZone *zone)
{
    g_autoptr(GTimeZone) here = zone ? g_time_zone_ref(zone) : g_time_zone_new_local();
    GPtrArray *reasons = g_ptr_array_new_with_free_func(g_free);
    RetentionCount state = {
        .last = retention->last,
        .left = {[HOURLY] = retention->hourly,
                 [DAILY] = retention->daily,
                 [WEEKLY] = retention->weekly,
                 [MONTHLY] = retention->monthly,
                 [YEARLY] = retention->yearly},
    };

    for (guint i = 0; i < count; i++)
        g_ptr_array_add(reasons, retention_decide_next(&state, times[i], here));
    for (int i = 0; i < N_PERIODS; i++)
        g_free(state.newest[i]);
    return reasons;
}
