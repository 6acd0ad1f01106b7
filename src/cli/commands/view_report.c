/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The output of image commands and of their counterparts for volumes: measure, map, compare. JSON
 * members have the names of qemu-img.
 */
#include "view_report.h"

#include <base/error.h>
#include <base/i18n.h>

#include "output/sheet.h"
#include "output/text.h"

gboolean cli_compare_judge(CliCtl *ctl, const CstCompareReport *report, gboolean strict,
                           GError **error)
{
    const CliFact facts[] = {
        cli_fact_bool("identical", NULL, TRUE, report->same),
        cli_fact_bool("same-size", NULL, TRUE, report->sizes_same),
        cli_fact_number("offset", NULL, !report->same, report->offset),
    };

    cli_sheet_print(ctl, facts, G_N_ELEMENTS(facts));
    if (!report->same) {
        g_autofree char *offset = g_strdup_printf("%" G_GUINT64_FORMAT, report->offset);

        return cst_fail(error, CST_ERROR_MISMATCH, _("the images differ, first at offset %s"),
                        offset);
    }
    if (strict && !report->sizes_same)
        return cst_fail(error, CST_ERROR_MISMATCH, "%s", _("the images differ in size"));
    if (!report->sizes_same)
        cli_print_lines(ctl, _("Warning: Image size mismatch!\n"));
    cli_print_lines(ctl, _("Images are identical.\n"));
    return TRUE;
}

void cli_measure_print(CliCtl *ctl, const CstMeasureReport *report)
{
    const CliFact facts[] = {
        cli_fact_number("required", N_("required size"), TRUE, report->required),
        cli_fact_number("fully-allocated", N_("fully allocated size"), TRUE,
                        report->fully_allocated),
        cli_fact_number("bitmaps", N_("bitmaps size"), report->has_bitmaps, report->bitmaps),
    };

    cli_sheet_print(ctl, facts, G_N_ELEMENTS(facts));
}

/* JSON members have the names of qemu-img, except "filename". */
static const CliColumn map_columns[] = {
    {.title = N_("Offset"), .key = "start", .kind = CLI_CELL_NUMBER},
    {.title = N_("Length"), .key = "length", .kind = CLI_CELL_NUMBER},
    {.title = N_("State"), .key = "state", .kind = CLI_CELL_WORD},
    {.title = N_("Depth"), .key = "depth", .kind = CLI_CELL_NUMBER},
    {.title = N_("File"), .key = "filename", .kind = CLI_CELL_TEXT},
    {.title = "", .key = "present", .kind = CLI_CELL_BOOL, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "zero", .kind = CLI_CELL_BOOL, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "data", .kind = CLI_CELL_BOOL, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "offset", .kind = CLI_CELL_NUMBER, .flags = CLI_COLUMN_JSON_ONLY},
};

CliTable *cli_map_table(void)
{
    return cli_table_new(map_columns, G_N_ELEMENTS(map_columns));
}

void cli_map_add(CliTable *table, const CstVolMapRun *run, const char *file)
{
    cli_table_add_number(table, run->start);
    cli_table_add_number(table, run->length);
    cli_table_add_word(table, run->zero ? N_("zero") : run->data ? N_("data") : N_("below"));
    cli_table_add_number(table, run->depth);
    cli_table_add_text(table, file);
    cli_table_add_bool(table, run->present);
    cli_table_add_bool(table, run->zero);
    cli_table_add_bool(table, run->data);
    cli_table_add_known_number(table, run->has_offset, run->offset);
}
