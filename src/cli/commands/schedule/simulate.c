/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schedule-simulate: the copies that a schedule will make, keep and remove. It makes the decisions
 * of a run (schedule/schedule.h), beginning with the copies of a volume that exist now.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "output/filter.h"
#include "output/table.h"
#include "output/text.h"
#include "output/view.h"
#include "schedule.h"

#define DEFAULT_FOR "90d"
#define DAY_MAX     3660 /* days of a simulation */
#define DAY_S       86400

static const CliColumn columns[] = {
    {N_("Day"), "day", CLI_CELL_TEXT, NULL, 0},
    {N_("Made"), "made", CLI_CELL_NUMBER, NULL, 0},
    {N_("Removed"), "removed", CLI_CELL_NUMBER, NULL, 0},
    {N_("Kept"), "kept", CLI_CELL_NUMBER, NULL, 0},
    {N_("Space"), "space", CLI_CELL_SIZE, "-", 0},
    {N_("Made at"), "made_at", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Removed copies"), "removed_copies", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
};

/* The days of the simulation. */
typedef struct {
    CliTable *table;
    GTimeZone *zone;
    uint64_t bytes;          /* of a copy; 0: unknown */
    char *day;               /* NULL: before the first step */
    GString *made, *removed; /* the times, separated by blanks */
    guint n_made, n_removed, kept;
} Days;

static char *local_text(const Days *days, int64_t time, const char *format)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(time);
    g_autoptr(GDateTime) local = utc ? g_date_time_to_timezone(utc, days->zone) : NULL;

    return local ? g_date_time_format(local, format) : g_strdup("?");
}

static void days_end(Days *days)
{
    if (!days->day)
        return;
    cli_table_add_text(days->table, days->day);
    cli_table_add_number(days->table, days->n_made);
    cli_table_add_number(days->table, days->n_removed);
    cli_table_add_number(days->table, days->kept);
    cli_table_add_known_size(days->table, days->bytes > 0, days->bytes * days->kept);
    cli_table_add_text(days->table, days->made->len ? days->made->str : NULL);
    cli_table_add_text(days->table, days->removed->len ? days->removed->str : NULL);
    days->n_made = days->n_removed = 0;
    g_clear_pointer(&days->day, g_free);
    g_string_truncate(days->made, 0);
    g_string_truncate(days->removed, 0);
}

static void text_add(GString *text, const char *word)
{
    g_string_append_printf(text, "%s%s", text->len ? " " : "", word);
}

/* Implements CstScheduleStepFunc. */
static gboolean days_add(const CstScheduleStep *step, gpointer data)
{
    Days *days = data;
    g_autofree char *day = local_text(days, step->time, "%Y-%m-%d");
    g_autofree char *time = local_text(days, step->time, "%H:%M");

    if (g_strcmp0(day, days->day) != 0) {
        days_end(days);
        days->day = g_steal_pointer(&day);
    }
    text_add(days->made, time);
    days->n_made++;
    days->n_removed += step->n_pruned;
    for (guint i = 0; i < step->n_pruned; i++) {
        g_autofree char *pruned = local_text(days, step->pruned[i], "%Y-%m-%dT%H:%M");

        text_add(days->removed, pruned);
    }
    days->kept = step->n_kept;
    return TRUE;
}

/* --- the existing copies ---------------------------------------------------------------------- */

static char *copy_object(const CstScheduleCopy *copy)
{
    return g_strjoin("\n", copy->place, copy->pool, copy->volume, NULL);
}

/* Returns the times of the copies of the volume that has the most of them. */
static GArray *times_of_fullest(const GPtrArray *copies, const CstScheduleCopy **ret_copy)
{
    g_autoptr(GHashTable) all =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_array_unref);
    GArray *fullest = NULL;

    for (guint i = 0; i < copies->len; i++) {
        const CstScheduleCopy *copy = copies->pdata[i];
        g_autofree char *object = copy_object(copy);
        GArray *times = g_hash_table_lookup(all, object);

        if (!times) {
            times = g_array_new(FALSE, FALSE, sizeof(gint64));
            g_hash_table_insert(all, g_steal_pointer(&object), times);
        }
        g_array_append_val(times, copy->time);
        if (!fullest || times->len > fullest->len) {
            fullest = times;
            *ret_copy = copy;
        }
    }
    return fullest ? g_array_ref(fullest) : g_array_new(FALSE, FALSE, sizeof(gint64));
}

/* Returns the average allocation of the snapshots of the volume; 0: unknown. */
static uint64_t average_bytes(CstConn *conn, const CstScheduleCopy *copy)
{
    g_autoptr(CstPoolRef) pool =
        copy && !*copy->place ? cst_conn_pool_by_name(conn, copy->pool, NULL) : NULL;
    g_autoptr(CstVolRef) vol = pool ? cst_conn_vol_by_name(conn, pool, copy->volume, NULL) : NULL;
    g_autoptr(GPtrArray) snapshots = vol ? cst_conn_snapshot_list(conn, vol, NULL) : NULL;
    uint64_t sum = 0, count = 0;

    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const CstSnapshot *snapshot = snapshots->pdata[i];

        if (snapshot->allocation == CST_SNAPSHOT_UNKNOWN)
            continue;
        sum += snapshot->allocation;
        count++;
    }
    return count ? sum / count : 0;
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean for_read(const CliArgs *args, uint64_t *ret_seconds, GError **error)
{
    const char *text;

    if (!cli_args_string(args, "for", &text, error))
        return FALSE;
    text = text ? text : DEFAULT_FOR;
    return (cst_units_parse_seconds(text, ret_seconds) &&
            *ret_seconds <= (uint64_t)DAY_MAX * DAY_S) ||
           cst_fail(error, CST_ERROR_USAGE,
                    _("--for '%s' is no duration up to %dd; give a number followed by h or d"),
                    text, DAY_MAX);
}

static gboolean cmd_simulate(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    g_autoptr(GTimeZone) zone = g_time_zone_new_local();
    g_autoptr(GString) made = g_string_new(NULL), removed = g_string_new(NULL);
    g_autoptr(CstSchedule) schedule = NULL;
    g_autoptr(GPtrArray) copies = NULL;
    g_autoptr(GArray) times = NULL;
    g_auto(CliView) view = {0};
    Days days = {.table = table, .zone = zone, .made = made, .removed = removed};
    const CstScheduleCopy *copy = NULL;
    uint64_t seconds = 0;
    int64_t from = g_get_real_time() / G_USEC_PER_SEC;

    if (!cli_view_read(&view, args, columns, G_N_ELEMENTS(columns), NULL, error) ||
        !cli_args_time(args, "from", &from, error) || !for_read(args, &seconds, error))
        return FALSE;
    schedule = cli_schedule(ctl, args, error);
    copies = schedule ? cst_conn_schedule_copies(ctl->conn, schedule->name, error) : NULL;
    if (!copies)
        return FALSE;
    times = times_of_fullest(copies, &copy);
    days.bytes = average_bytes(ctl->conn, copy);
    cst_schedule_simulate(schedule, (const gint64 *)times->data, times->len, from,
                          from + (int64_t)seconds, zone, days_add, &days);
    days_end(&days);
    cli_view_print(ctl, &view, table, "days");
    return TRUE;
}

static void complete_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(columns, G_N_ELEMENTS(columns), words);
}

static const CliOption options[] = {
    SCHEDULE(CLI_OPT_REQUIRED),
    CLI_NAMED("for", N_("duration of the simulation (default: 90d)")),
    CLI_NAMED("from", N_("its begin, such as 2026-12-01 (default: now)")),
    CLI_VIEW_OPTIONS(complete_columns),
    {0},
};

const CliCommand cli_schedule_simulate_command = {
    .name = "schedule-simulate",
    .summary = N_("show the copies that a schedule will keep"),
    .description = N_(
        "Show day by day the copies of one volume that a schedule will make, remove and keep, with "
        "the decisions of a real run. The simulation begins with the copies that exist now, of the "
        "volume that has the most. Space: as many copies of the average size so far."),
    .options = options,
    .handler = cmd_simulate,
    .flags = CLI_CMD_OURS,
};
