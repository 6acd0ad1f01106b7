/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conditions on the rows of a list, and their values. */
#include <stdlib.h>

#include <output/filter.h>

#include "fuzz.h"

static const CliColumn columns[] = {
    {"", "name", CLI_CELL_TEXT, NULL, 0},    {"", "state", CLI_CELL_WORD, NULL, 0},
    {"", "used", CLI_CELL_BOOL, NULL, 0},    {"", "size", CLI_CELL_SIZE, NULL, 0},
    {"", "count", CLI_CELL_NUMBER, NULL, 0}, {"", "left", CLI_CELL_DURATION, NULL, 0},
    {"", "made", CLI_CELL_TIME, NULL, 0},    {"", "full", CLI_CELL_PERCENT, NULL, 0},
};

static CliTable *make_table(void)
{
    CliTable *table = cli_table_new(columns, G_N_ELEMENTS(columns));

    cli_table_add_text(table, "vm");
    cli_table_add_word(table, NULL);
    cli_table_add_bool(table, TRUE);
    cli_table_add_size(table, UINT64_MAX);
    cli_table_add_number(table, 0);
    cli_table_add_duration(table, 1);
    cli_table_add_time(table, 0);
    cli_table_add_percent(table, 1, 2);
    return table;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(CliTable) table = make_table();
    g_autoptr(CliFilter) filter = cli_filter_parse(text, columns, G_N_ELEMENTS(columns), &error);

    if (!filter != (error != NULL))
        abort();
    if (filter)
        cli_filter_matches(filter, table, 0);
    return 0;
}
