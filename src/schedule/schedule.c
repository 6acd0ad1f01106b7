/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Definitions of schedules: their words, options and checks, and the decisions at a time. */
#include <schedule/schedule.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <schedule/calendar.h>
#include <schedule/selector.h>

#define ACTION(name)     (1u << CST_SCHEDULE_##name)
#define SELECTS(name)    (1u << CST_SELECT_##name)
#define SELECTS_VOLUMES  (SELECTS(POOL) | SELECTS(VOLUME) | SELECTS(MACHINE) | SELECTS(TAG))
#define WITH_CONSISTENCY (ACTION(SNAPSHOT) | ACTION(BACKUP) | ACTION(COPY))
#define WITH_REPOSITORY  (ACTION(BACKUP) | ACTION(PROVE))

static const struct {
    const char *word;
    gboolean makes;
    unsigned selectors;  /* kinds that it takes: 1 << CstSelectorKind */
    gboolean needs_some; /* at least one selector */
} actions[CST_SCHEDULE_ACTION_LAST] = {
    [CST_SCHEDULE_SNAPSHOT] = {"snapshot", TRUE, SELECTS_VOLUMES, TRUE},
    [CST_SCHEDULE_BACKUP] = {"backup", TRUE, SELECTS_VOLUMES, TRUE},
    [CST_SCHEDULE_COPY] = {"copy", TRUE, SELECTS_VOLUMES, TRUE},
    [CST_SCHEDULE_PROVE] = {"prove", FALSE, 0, FALSE},
    [CST_SCHEDULE_CHECK] = {"check", FALSE, SELECTS_VOLUMES, TRUE},
    [CST_SCHEDULE_TRASH_EMPTY] = {"trash-empty", FALSE, SELECTS(POOL), FALSE},
    [CST_SCHEDULE_ROTATE_CHECK] = {"rotate-check", FALSE, 0, FALSE},
    [CST_SCHEDULE_CONSOLIDATE] = {"consolidate", FALSE, SELECTS_VOLUMES, TRUE},
};

static const CstScheduleOption options[] = {
    {"boot", ACTION(PROVE), 0, TRUE},
    {"consistency", WITH_CONSISTENCY, 0, FALSE},
    {"keep-layers", ACTION(CONSOLIDATE), 0, FALSE},
    {"key-file", WITH_REPOSITORY, 0, TRUE},
    {"max-pause", ACTION(SNAPSHOT), 0, FALSE},
    {"min-free", ACTION(SNAPSHOT) | ACTION(COPY), 0, FALSE},
    {"newpool", ACTION(COPY), 0, FALSE},
    {"older-than", ACTION(TRASH_EMPTY) | ACTION(ROTATE_CHECK), 0, FALSE},
    {"rate-limit",
     ACTION(BACKUP) | ACTION(COPY) | ACTION(CHECK) | ACTION(PROVE) | ACTION(CONSOLIDATE), 0, FALSE},
    {"repo", WITH_REPOSITORY, WITH_REPOSITORY, TRUE},
    {"secret", WITH_REPOSITORY, 0, TRUE},
    {"size", ACTION(SNAPSHOT), 0, FALSE},
    {"to", ACTION(COPY), ACTION(COPY), TRUE},
    {0},
};

const char *cst_schedule_action_word(int action)
{
    return action >= 0 && action < CST_SCHEDULE_ACTION_LAST ? actions[action].word : NULL;
}

gboolean cst_schedule_action_parse(const char *word, CstScheduleAction *ret_action)
{
    for (int i = 0; i < CST_SCHEDULE_ACTION_LAST; i++)
        if (strcmp(word, actions[i].word) == 0) {
            *ret_action = i;
            return TRUE;
        }
    return FALSE;
}

gboolean cst_schedule_action_makes(CstScheduleAction action)
{
    return actions[action].makes;
}

CstSchedule *cst_schedule_new(void)
{
    CstSchedule *schedule = g_new0(CstSchedule, 1);

    schedule->on = g_new0(char *, 1);
    schedule->options = g_new0(char *, 1);
    return schedule;
}

void cst_schedule_free(CstSchedule *schedule)
{
    if (!schedule)
        return;
    g_free(schedule->name);
    g_free(schedule->every);
    g_strfreev(schedule->on);
    g_strfreev(schedule->options);
    g_free(schedule);
}

/* --- options ---------------------------------------------------------------------------------- */

const CstScheduleOption *cst_schedule_options(void)
{
    return options;
}

/* Returns the value if @text is "NAME=VALUE" of @name, borrowed. */
static const char *option_value(const char *text, const char *name)
{
    size_t len = strlen(name);

    return strncmp(text, name, len) == 0 && text[len] == '=' ? text + len + 1 : NULL;
}

const char *cst_schedule_option(const CstSchedule *schedule, const char *name)
{
    for (char **option = schedule->options; *option; option++) {
        const char *value = option_value(*option, name);

        if (value)
            return value;
    }
    return NULL;
}

gboolean cst_schedule_goes_outside(const CstSchedule *schedule)
{
    for (const CstScheduleOption *option = options; option->name; option++)
        if (option->outside && cst_schedule_option(schedule, option->name))
            return TRUE;
    return FALSE;
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void cst_schedule_set_option(CstSchedule *schedule, const char *name, const char *value)
{
    GPtrArray *all = g_ptr_array_new();
    g_auto(GStrv) old = g_steal_pointer(&schedule->options);

    for (char **option = old; *option; option++)
        if (!option_value(*option, name))
            g_ptr_array_add(all, g_strdup(*option));
    if (value)
        g_ptr_array_add(all, g_strconcat(name, "=", value, NULL));
    g_ptr_array_sort(all, compare_texts);
    g_ptr_array_add(all, NULL);
    schedule->options = (GStrv)g_ptr_array_free(all, FALSE);
}

/* --- the check -------------------------------------------------------------------------------- */

static gboolean name_check(const char *name, GError **error)
{
    gboolean valid = name[0] && strlen(name) <= CST_SCHEDULE_NAME_MAX;

    for (const char *c = name; *c; c++)
        valid = valid && (g_ascii_isalnum(*c) || (c > name && strchr("_.-", *c)));
    return valid || cst_fail(error, CST_ERROR_INVALID,
                             _("the name of schedule '%s' is not valid: it takes up to %d letters, "
                               "digits and '_', '.' or '-', because snapshots get it"),
                             name, CST_SCHEDULE_NAME_MAX);
}

static gboolean selectors_check(const CstSchedule *schedule, GError **error)
{
    const char *word = actions[schedule->action].word;
    const unsigned kinds = actions[schedule->action].selectors;
    guint count = g_strv_length(schedule->on);

    if (count == 0 && actions[schedule->action].needs_some)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("schedule '%s' selects no volumes; --on takes a POOL, POOL/PATTERN, "
                          "tag:TAG or machine:DOMAIN"),
                        schedule->name);
    if (count > CST_SCHEDULE_SELECTORS_MAX)
        return cst_fail(error, CST_ERROR_INVALID, _("schedule '%s' has more than %d selectors"),
                        schedule->name, CST_SCHEDULE_SELECTORS_MAX);
    for (char **on = schedule->on; *on; on++) {
        g_autoptr(CstSelector) selector = cst_selector_parse(*on, error);

        if (!selector)
            return FALSE;
        if (!(kinds & (1u << selector->kind)) || (selector->pool && *selector->pool == '-'))
            return cst_fail(error, CST_ERROR_INVALID, _("the action '%s' does not take '%s'"), word,
                            *on);
    }
    return TRUE;
}

static const CstScheduleOption *option_find(const char *text)
{
    for (const CstScheduleOption *option = options; option->name; option++)
        if (option_value(text, option->name))
            return option;
    return NULL;
}

static gboolean options_check(const CstSchedule *schedule, GError **error)
{
    const char *word = actions[schedule->action].word;
    const unsigned bit = 1u << schedule->action;

    for (char **text = schedule->options; *text; text++) {
        const CstScheduleOption *option = option_find(*text);

        /* A value that begins with '-' would be an option of the command of a run. */
        if (strpbrk(*text, "\n\r") || !g_utf8_validate(*text, -1, NULL) || !option ||
            !(option->takes & bit) || (*text)[strlen(option->name) + 1] == '-')
            return cst_fail(error, CST_ERROR_INVALID,
                            _("the action '%s' does not take the option '%s'"), word, *text);
    }
    for (const CstScheduleOption *option = options; option->name; option++)
        if (option->needs & bit && !cst_schedule_option(schedule, option->name))
            return cst_fail(error, CST_ERROR_INVALID, _("the action '%s' needs --%s"), word,
                            option->name);
    return TRUE;
}

static gboolean keep_check(const CstSchedule *schedule, GError **error)
{
    const CstRetention *keep = &schedule->keep;
    const unsigned counts[] = {keep->last,    keep->hourly, keep->daily,       keep->weekly,
                               keep->monthly, keep->yearly, schedule->keep_min};

    for (guint i = 0; i < G_N_ELEMENTS(counts); i++)
        if (counts[i] > CST_SCHEDULE_KEEP_MAX)
            return cst_fail(error, CST_ERROR_INVALID, _("schedule '%s' keeps more than %d copies"),
                            schedule->name, CST_SCHEDULE_KEEP_MAX);
    if (actions[schedule->action].makes)
        return TRUE;
    return (cst_retention_is_empty(keep) && !schedule->keep_min) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("the action '%s' makes no copies, so the --keep options do not apply"),
                    actions[schedule->action].word);
}

static size_t texts_length(char **texts)
{
    size_t length = 0;

    for (char **text = texts; *text; text++)
        length += strlen(*text) + 1;
    return length;
}

gboolean cst_schedule_check(const CstSchedule *schedule, GError **error)
{
    g_autoptr(CstCalendar) calendar = NULL;

    if (!name_check(schedule->name, error))
        return FALSE;
    if ((int)schedule->action < 0 || schedule->action >= CST_SCHEDULE_ACTION_LAST)
        return cst_fail(error, CST_ERROR_INVALID, _("schedule '%s' has an unknown action"),
                        schedule->name);
    if (strlen(schedule->every) > CST_SCHEDULE_EVERY_MAX ||
        texts_length(schedule->on) + texts_length(schedule->options) > CST_SCHEDULE_TEXT_MAX)
        return cst_fail(error, CST_ERROR_INVALID, _("the definition of schedule '%s' is too long"),
                        schedule->name);
    calendar = cst_calendar_parse(schedule->every, error);
    return calendar && selectors_check(schedule, error) && options_check(schedule, error) &&
           keep_check(schedule, error);
}

/* --- decisions -------------------------------------------------------------------------------- */

int64_t cst_schedule_due(const CstSchedule *schedule, int64_t now, GTimeZone *zone,
                         int64_t *ret_next)
{
    g_autoptr(CstCalendar) calendar = cst_calendar_parse(schedule->every, NULL);
    int64_t due = CST_CALENDAR_NEVER, next = CST_CALENDAR_NEVER;

    if (calendar && !schedule->paused) {
        /* After a long pause the missed times are searched by halves, because they may be many. */
        int64_t low = schedule->handled > now + CST_SCHEDULE_AHEAD_S ? MIN(schedule->created, now)
                                                                     : schedule->handled;

        next = cst_calendar_next(calendar, MAX(now, low), zone);
        due = low < now ? cst_calendar_next(calendar, low, zone) : CST_CALENDAR_NEVER;
        if (due > now)
            due = CST_CALENDAR_NEVER;
        for (int64_t high = now; due != CST_CALENDAR_NEVER && due < high;) {
            int64_t middle = due + (high - due) / 2;
            int64_t later = cst_calendar_next(calendar, middle, zone);

            if (later != CST_CALENDAR_NEVER && later <= now)
                due = later;
            else
                high = middle;
        }
    }
    if (ret_next)
        *ret_next = next;
    return due;
}

gboolean cst_schedule_backup_is_old(const CstSchedule *schedule, int64_t newest, int64_t now)
{
    g_autoptr(CstCalendar) calendar = cst_calendar_parse(schedule->every, NULL);
    int64_t run = newest ? newest : schedule->created;

    if (!calendar || schedule->paused || schedule->action != CST_SCHEDULE_BACKUP)
        return FALSE;
    for (int i = 0; i < 2 && run != CST_CALENDAR_NEVER; i++)
        run = cst_calendar_next(calendar, run, NULL);
    return run != CST_CALENDAR_NEVER && run + CST_SCHEDULE_LATE_S <= now;
}

GPtrArray *cst_schedule_decide(const CstSchedule *schedule, const gint64 *times, guint count,
                               GTimeZone *zone)
{
    GPtrArray *reasons = cst_retention_decide(&schedule->keep, times, count, zone);
    const char *reason = cst_retention_is_empty(&schedule->keep) ? _("all") : _("minimum");
    guint always = cst_retention_is_empty(&schedule->keep) ? count : schedule->keep_min;

    for (guint i = 0; i < MIN(always, count); i++)
        if (!reasons->pdata[i])
            reasons->pdata[i] = g_strdup(reason);
    return reasons;
}

char *cst_schedule_copy_name(const CstSchedule *schedule, int64_t time)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(time);
    g_autofree char *text = utc ? g_date_time_format(utc, "%Y%m%dT%H%M%SZ") : g_strdup("0");

    return g_strconcat(schedule->name, "-", text, NULL);
}

/* --- simulation ------------------------------------------------------------------------------- */

static int newest_first(gconstpointer a, gconstpointer b)
{
    gint64 first = *(const gint64 *)a, second = *(const gint64 *)b;

    return first > second ? -1 : first < second;
}

/* Removes the copies that a run at the newest time prunes from @kept, and sets @pruned. */
static void simulate_prune(const CstSchedule *schedule, GArray *kept, GArray *pruned,
                           GTimeZone *zone)
{
    g_autoptr(GPtrArray) reasons =
        cst_schedule_decide(schedule, (const gint64 *)kept->data, kept->len, zone);
    guint left = 0;

    g_array_set_size(pruned, 0);
    for (guint i = 0; i < reasons->len; i++) {
        gint64 time = g_array_index(kept, gint64, i);

        if (reasons->pdata[i])
            g_array_index(kept, gint64, left++) = time;
        else
            g_array_append_val(pruned, time);
    }
    g_array_set_size(kept, left);
}

void cst_schedule_simulate(const CstSchedule *schedule, const gint64 *existing, guint count,
                           int64_t from, int64_t until, GTimeZone *zone, CstScheduleStepFunc func,
                           gpointer data)
{
    g_autoptr(CstCalendar) calendar = cst_calendar_parse(schedule->every, NULL);
    g_autoptr(GArray) kept = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GArray) pruned = g_array_new(FALSE, FALSE, sizeof(gint64));
    CstScheduleStep step = {.time = from};

    g_array_append_vals(kept, existing, count);
    g_array_sort(kept, newest_first);
    while (calendar) {
        step.time = cst_calendar_next(calendar, step.time, zone);
        if (step.time == CST_CALENDAR_NEVER || step.time > until)
            break;
        if (cst_schedule_action_makes(schedule->action)) {
            g_array_prepend_val(kept, step.time);
            simulate_prune(schedule, kept, pruned, zone);
        }
        step.kept = (const gint64 *)kept->data;
        step.n_kept = kept->len;
        step.pruned = (const gint64 *)pruned->data;
        step.n_pruned = pruned->len;
        if (!func(&step, data))
            break;
    }
}
