/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-usage: the history of a pool's use as a table or a chart, and the forecast from it.
 * pool-usage-sample: adds a sample on a host without the daemon.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <conn/usage.h>

#include "output/chart.h"
#include "output/report.h"
#include "output/table.h"
#include "output/text.h"
#include "output/view.h"
#include "pool.h"

#define SINCE_DEFAULT_S (30 * 86400)
#define ROWS_USUAL      100 /* without --step, the history has at most this many rows */

/* --- arguments -------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    unsigned seconds;
} steps[] = {{"5m", CST_USAGE_FINE}, {"1h", CST_USAGE_HOURLY}, {"1d", CST_USAGE_DAILY}};

/* Reads --since and --step. Without --step, the finest step with few rows. */
static gboolean read_span(const CliArgs *args, int64_t *ret_span, unsigned *ret_step,
                          GError **error)
{
    int64_t now = g_get_real_time() / G_USEC_PER_SEC, since = now - SINCE_DEFAULT_S;
    const char *step;
    gsize at = 0;

    if (!cli_args_since(args, "since", &since, error) ||
        !cli_args_string(args, "step", &step, error))
        return FALSE;
    *ret_span = now - since;
    if (*ret_span <= 0)
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("--since is a time in the future"));
    if (step) {
        while (at < G_N_ELEMENTS(steps) && !g_str_equal(steps[at].word, step))
            at++;
        if (at == G_N_ELEMENTS(steps))
            return cst_fail(error, CST_ERROR_USAGE, _("step '%s' is not one of 5m, 1h, 1d"), step);
    } else {
        while (at < G_N_ELEMENTS(steps) - 1 && *ret_span / steps[at].seconds > ROWS_USUAL)
            at++;
    }
    *ret_step = steps[at].seconds;
    return TRUE;
}

/* --- the history ------------------------------------------------------------------------------ */

static const CliColumn usage_columns[] = {
    {N_("Time"), "time", CLI_CELL_TIME, NULL, 0},
    {N_("Capacity"), "capacity", CLI_CELL_SIZE, NULL, 0},
    {N_("Allocation"), "allocation", CLI_CELL_SIZE, NULL, 0},
    {N_("Peak"), "peak", CLI_CELL_SIZE, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Available"), "available", CLI_CELL_SIZE, NULL, 0},
    {N_("Use"), "use_percent", CLI_CELL_PERCENT, "-", 0},
    {N_("Provisioned"), "provisioned", CLI_CELL_SIZE, NULL, 0},
    {N_("Thin data"), "data_percent", CLI_CELL_PERCENT, "-", 0},
    {N_("Thin metadata"), "metadata_percent", CLI_CELL_PERCENT, "-", 0},
    {N_("Data size"), "data_size", CLI_CELL_SIZE, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Data used"), "data_used", CLI_CELL_SIZE, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Metadata size"), "metadata_size", CLI_CELL_SIZE, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Metadata used"), "metadata_used", CLI_CELL_SIZE, "-", CLI_COLUMN_JSON_ONLY},
};

static void usage_row_add(CliTable *table, const CstUsagePoint *point)
{
    uint64_t used, size = cst_usage_size(point, CST_USAGE_SPACE, &used);
    gboolean data = point->data_size > 0, metadata = point->metadata_size > 0;

    cli_table_add_time(table, point->time);
    cli_table_add_size(table, point->capacity);
    cli_table_add_size(table, point->allocation);
    cli_table_add_size(table, point->peak);
    cli_table_add_size(table, point->available);
    cli_table_add_percent(table, used, size);
    cli_table_add_size(table, point->provisioned);
    cli_table_add_percent(table, point->data_used, point->data_size);
    cli_table_add_percent(table, point->metadata_used, point->metadata_size);
    cli_table_add_known_size(table, data, point->data_size);
    cli_table_add_known_size(table, data, point->data_used);
    cli_table_add_known_size(table, metadata, point->metadata_size);
    cli_table_add_known_size(table, metadata, point->metadata_used);
}

static void history_print(CliCtl *ctl, CliView *view, const GArray *points)
{
    g_autoptr(CliTable) table = cli_table_new(usage_columns, G_N_ELEMENTS(usage_columns));
    gboolean data = FALSE, metadata = FALSE;

    for (guint i = 0; i < points->len; i++) {
        const CstUsagePoint *point = &g_array_index(points, CstUsagePoint, i);

        usage_row_add(table, point);
        data |= point->data_size > 0;
        metadata |= point->metadata_size > 0;
    }
    if (!data)
        cli_view_hide(view, "data_percent");
    if (!metadata)
        cli_view_hide(view, "metadata_percent");
    cli_view_print(ctl, view, table, "usage");
}

/* Prints a chart of the space. The axis ends at the present size. */
static void history_chart(CliCtl *ctl, const char *name, const GArray *points)
{
    g_autofree CliChartPoint *bars = g_new(CliChartPoint, MAX(points->len, 1));
    uint64_t top = 0;

    for (guint i = 0; i < points->len; i++) {
        const CstUsagePoint *point = &g_array_index(points, CstUsagePoint, i);
        uint64_t used;

        top = cst_usage_size(point, CST_USAGE_SPACE, &used);
        bars[i] = (CliChartPoint){point->time, point->peak};
    }
    cli_extra(ctl, _("Use of pool %s\n"), name);
    cli_chart_print(ctl, bars, points->len, top);
}

/* --- the forecast ----------------------------------------------------------------------------- */

static const CliColumn forecast_columns[] = {
    {N_("Space"), "space", CLI_CELL_WORD, NULL, 0},
    {N_("Days until full"), "days_until_full", CLI_CELL_NUMBER, "-", 0},
    {N_("Earliest"), "earliest", CLI_CELL_NUMBER, "-", 0},
    {N_("Latest"), "latest", CLI_CELL_NUMBER, "-", 0},
    {N_("Growth a day"), "growth", CLI_CELL_SIZE, "-", 0},
    {N_("Unknown because"), "unknown", CLI_CELL_WORD, "-", 0},
};

/* A full space is known to be full in 0 days. */
static gboolean forecast_is_known(const CstForecast *forecast)
{
    return forecast->state == CST_FORECAST_KNOWN || forecast->state == CST_FORECAST_FULL;
}

/* A thin store that the pool does not have has no row. */
static gboolean forecast_is_shown(const CstForecast *forecast, int space)
{
    return space == CST_USAGE_SPACE || forecast->state != CST_FORECAST_NO_SIZE;
}

static void forecast_row_add(CliTable *table, const CstForecast *forecast, int space)
{
    gboolean known = forecast_is_known(forecast);

    cli_table_add_word(table, cst_usage_space_word(space));
    cli_table_add_known_number(table, known, forecast->days);
    cli_table_add_known_number(table, known, forecast->earliest);
    cli_table_add_known_number(table, known, forecast->latest);
    cli_table_add_known_size(table, forecast->growth > 0, (uint64_t)MAX(forecast->growth, 0));
    cli_table_add_word(table, known ? NULL : cst_forecast_reason((int)forecast->state));
}

static gboolean print_forecasts(CliCtl *ctl, const CstPoolRef *pool, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(forecast_columns, G_N_ELEMENTS(forecast_columns));
    CstForecast spaces[CST_USAGE_SPACE_LAST];

    if (!cst_conn_pool_usage_forecast(ctl->conn, pool, spaces, error))
        return FALSE;
    for (int space = 0; space < CST_USAGE_SPACE_LAST; space++)
        if (forecast_is_shown(&spaces[space], space))
            forecast_row_add(table, &spaces[space], space);
    cli_table_print(ctl, table, "forecast");
    return TRUE;
}

gboolean cli_pool_days_until_full(CliCtl *ctl, const CstPoolRef *pool, uint64_t *ret_days)
{
    CstForecast spaces[CST_USAGE_SPACE_LAST];
    gboolean known = FALSE;

    if (!cst_conn_pool_usage_forecast(ctl->conn, pool, spaces, NULL))
        return FALSE;
    for (int space = 0; space < CST_USAGE_SPACE_LAST; space++)
        if (forecast_is_known(&spaces[space]) && (!known || spaces[space].days < *ret_days)) {
            *ret_days = spaces[space].days;
            known = TRUE;
        }
    return known;
}

/* --- pool-usage ------------------------------------------------------------------------------- */

static gboolean cmd_usage(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(GArray) points = NULL;
    g_auto(CliView) view = {0};
    int64_t span;
    unsigned step;

    if (!cli_args_exclusive(args, "chart", "forecast", error) ||
        !read_span(args, &span, &step, error) ||
        !cli_view_read(&view, args, usage_columns, G_N_ELEMENTS(usage_columns), NULL, error))
        return FALSE;
    pool = cli_pool(ctl, args, "pool", NULL, error);
    if (!pool)
        return FALSE;
    if (cli_args_has(args, "forecast"))
        return print_forecasts(ctl, pool, error);
    points = cst_conn_pool_usage(ctl->conn, pool, step, g_get_real_time() / G_USEC_PER_SEC - span,
                                 error);
    if (!points)
        return FALSE;
    if (points->len == 0)
        cli_note(_("the pool has no history for this time"), ctl);
    if (cli_args_has(args, "chart") && !ctl->settings.json && points->len > 0)
        history_chart(ctl, pool->name, points);
    else
        history_print(ctl, &view, points);
    return TRUE;
}

static void complete_usage_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(usage_columns, G_N_ELEMENTS(usage_columns), words);
}

static void complete_steps(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (gsize i = 0; i < G_N_ELEMENTS(steps); i++)
        g_ptr_array_add(words, g_strdup(steps[i].word));
}

static const CliOption usage_options[] = {
    CLI_POOL_OPTION(cli_complete_active_pools),
    CLI_NAMED("since",
              N_("a time such as 2026-12-01, or a duration such as 12h or 2y (default: 30d)")),
    {.name = "step",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("time that a row stands for: 5m (for a day), 1h (for a month), 1d"),
     .complete = complete_steps},
    CLI_SWITCH("chart", N_("draw a chart")),
    CLI_SWITCH("forecast", N_("show in how many days the pool is full")),
    CLI_VIEW_OPTIONS(complete_usage_columns),
    {0},
};

const CliCommand cli_pool_usage_command = {
    .name = "pool-usage",
    .summary = N_("show the history of a pool's use"),
    .description =
        N_("Show the history of a pool's use: averages of five minutes, an hour or a day. With "
           "--forecast, show in how many days the pool is full, and the interval that holds with "
           "a probability of 90 percent. The daemon records the history, or the timer "
           "cistern-usage.timer of a host without a daemon."),
    .options = usage_options,
    .handler = cmd_usage,
    .flags = CLI_CMD_OURS,
};

/* --- pool-usage-sample ------------------------------------------------------------------------ */

static gboolean cmd_usage_sample(CliCtl *ctl, const CliArgs *args, GError **error)
{
    CliFact fact;
    guint count = 0;

    cli_plan(ctl, _("Would record the use of the active pools"));
    if (!cli_conn(ctl, error) || !cst_conn_pool_usage_sample(ctl->conn, &count, error))
        return FALSE;
    fact = cli_fact_number("samples", NULL, TRUE, count);
    cli_done_facts(ctl, NULL, NULL, &fact, 1, _("Pools with a new sample: %u"), count);
    return TRUE;
}

static const CliOption usage_sample_options[] = {{0}};

const CliCommand cli_pool_usage_sample_command = {
    .name = "pool-usage-sample",
    .summary = N_("record the use of the active pools"),
    .description = N_("Add a sample of each active pool to the history, unless the pool has a "
                      "sample in the present five minutes. The timer cistern-usage.timer runs this "
                      "command on a host without a daemon."),
    .options = usage_sample_options,
    .handler = cmd_usage_sample,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
