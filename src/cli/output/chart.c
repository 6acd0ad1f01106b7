/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Charts on a terminal. The texts are made here or by cli_size_text() and cli_time_text(), so they
 * contain no text of other users.
 */
#include "chart.h"

#include <langinfo.h>
#include <string.h>

#include "text.h"
#include "width.h"

#define ROWS       10
#define EIGHTHS    8
#define AXIS_MIN   10 /* columns of bars on a narrow terminal */
#define BARS_MAX   400
#define WARN_AT    0.8
#define FULL_AT    0.9
#define NO_VALUE   (-1)
#define ASCII_HALF (EIGHTHS / 2)

typedef struct {
    int eighths[BARS_MAX]; /* height of each bar, or NO_VALUE */
    guint count;
    gboolean blocks, color;
} Chart;

/* Distributes the points over the bars by their times. */
static void chart_fill(Chart *chart, const CliChartPoint *points, guint count, uint64_t top)
{
    int64_t first = points[0].time, span = points[count - 1].time - first;

    for (guint i = 0; i < chart->count; i++)
        chart->eighths[i] = NO_VALUE;
    for (guint i = 0; i < count; i++) {
        double part = span > 0 ? (double)(points[i].time - first) / (double)span : 0;
        guint bar = MIN((guint)(part * chart->count), chart->count - 1);
        double value = MIN((double)points[i].value / (double)top, 1);
        int height = (int)(value * ROWS * EIGHTHS + 0.5);

        chart->eighths[bar] = MAX(chart->eighths[bar], height);
    }
}

/* Returns the colour of a bar; NULL: that of the terminal. */
static const char *bar_color(const Chart *chart, int eighths)
{
    if (!chart->color || eighths < WARN_AT * ROWS * EIGHTHS)
        return NULL;
    return eighths < FULL_AT * ROWS * EIGHTHS ? "\033[33m" : "\033[31m";
}

/* Returns the character of a bar in the row that begins at @low eighths. */
static const char *bar_cell(const Chart *chart, int eighths, int low)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    int part = CLAMP(eighths - low, 0, EIGHTHS);

    /* A value of almost 0 is visible, so that it differs from a gap. */
    if (low == 0 && eighths == 0)
        part = 1;
    if (chart->blocks)
        return blocks[part];
    return part > ASCII_HALF ? "#" : part > 0 ? "." : " ";
}

static void row_print(CliCtl *ctl, const Chart *chart, int row, const char *label, int width)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (guint i = 0; i < chart->count; i++) {
        const char *color = bar_color(chart, chart->eighths[i]);
        const char *cell = bar_cell(chart, chart->eighths[i], row * EIGHTHS);

        if (color && *cell != ' ')
            g_string_append_printf(line, "%s%s\033[0m", color, cell);
        else
            g_string_append(line, cell);
    }
    g_strchomp(line->str);
    fprintf(ctl->out, "%*s %s%s\n", width, label, chart->blocks ? "┤" : "|", line->str);
}

/* Prints the first and the last time below the bars. */
static void times_print(CliCtl *ctl, const CliChartPoint *points, guint count, guint bars,
                        int width)
{
    g_autofree char *first = cli_time_text(points[0].time);
    g_autofree char *last = cli_time_text(points[count - 1].time);
    int gap = (int)bars - 2 * (int)strlen("2026-12-01 00:00");

    /* Seconds and zone are omitted. */
    first[MIN(strlen(first), 16)] = '\0';
    last[MIN(strlen(last), 16)] = '\0';
    if (gap > 0 && count > 1)
        fprintf(ctl->out, "%*s  %s%*s%s\n", width, "", first, gap, "", last);
    else
        fprintf(ctl->out, "%*s  %s\n", width, "", last);
}

void cli_chart_print(CliCtl *ctl, const CliChartPoint *points, guint count, uint64_t top)
{
    g_autofree char *label = cli_size_text(ctl, top);
    g_autofree char *middle = cli_size_text(ctl, top / 2);
    int width = (int)MAX(strlen(label), strlen(middle));
    int room = cli_terminal_columns(ctl->out) - width - 3;
    Chart chart = {.blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                   .color = cli_use_color(ctl, ctl->out)};

    if (ctl->settings.json || count == 0 || top == 0)
        return;
    /* Each value has one bar, or several bars of the same width. */
    chart.count = (guint)CLAMP(room, AXIS_MIN, BARS_MAX);
    if (count < chart.count)
        chart.count = count;
    chart_fill(&chart, points, count, top);
    for (int row = ROWS - 1; row >= 0; row--)
        row_print(ctl, &chart, row,
                  row == ROWS - 1   ? label
                  : row == ROWS / 2 ? middle
                  : row == 0        ? "0"
                                    : "",
                  width);
    times_print(ctl, points, count, chart.count, width);
}
