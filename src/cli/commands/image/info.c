/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-info: metadata of images. Each image is read completely before any of its data is printed.
 * If one of several images fails, the other images are still printed. Text and JSON members have
 * the names of qemu-img.
 */
#include "image.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/url.h>
#include <image/bitmap.h>
#include <image/snapshot.h>

#include "description.h"
#include "options.h"
#include "output/json.h"
#include "output/sheet.h"
#include "output/table.h"
#include "output/text.h"
#include "qemu_json.h"

/* --- output ---------------------------------------------------------------------------------- */

/* JSON members have the names of qemu-img. */
static const CliColumn snapshot_columns[] = {
    {.title = N_("ID"), .key = "id", .kind = CLI_CELL_TEXT},
    {.title = N_("Tag"), .key = "name", .kind = CLI_CELL_TEXT},
    {.title = N_("VM size"), .key = "vm-state-size", .kind = CLI_CELL_SIZE},
    {.title = N_("Date"), .kind = CLI_CELL_TIME, .absent = "-"},
    {.title = "", .key = "date", .kind = CLI_CELL_TEXT, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "date-sec", .kind = CLI_CELL_NUMBER, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "date-nsec", .kind = CLI_CELL_NUMBER, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = N_("VM clock (s)"), .key = "vm-clock-sec", .kind = CLI_CELL_NUMBER},
    {.title = "", .key = "vm-clock-nsec", .kind = CLI_CELL_NUMBER, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "virtual-size", .kind = CLI_CELL_SIZE, .flags = CLI_COLUMN_JSON_ONLY},
};

CliTable *cli_image_snapshot_table(const GPtrArray *snapshots)
{
    CliTable *table = cli_table_new(snapshot_columns, G_N_ELEMENTS(snapshot_columns));

    for (guint i = 0; i < snapshots->len; i++) {
        const CstImageSnapshot *snapshot = g_ptr_array_index(snapshots, i);
        g_autofree char *date = cli_json_time((int64_t)snapshot->seconds);

        cli_table_add_text(table, snapshot->id);
        cli_table_add_text(table, snapshot->name);
        cli_table_add_size(table, snapshot->state_size);
        cli_table_add_time(table, (int64_t)snapshot->seconds);
        cli_table_add_text(table, date);
        cli_table_add_number(table, snapshot->seconds);
        cli_table_add_number(table, snapshot->nanoseconds);
        cli_table_add_number(table, snapshot->clock / 1000000000);
        cli_table_add_number(table, snapshot->clock % 1000000000);
        cli_table_add_size(table, snapshot->capacity);
    }
    return table;
}

static void add_facts(CliSheet *sheet, const CliImageDescription *shown)
{
    const CstImageInfo *info = &shown->info;
    g_autofree char *backing = info->backing ? cst_reference_shown(info->backing) : NULL;
    g_autofree char *full_path =
        shown->full_backing ? cst_reference_shown(shown->full_backing) : NULL;
    const char *full = g_strcmp0(shown->full_backing, info->backing) == 0
                           ? NULL
                           : N_("backing file (actual path)");
    g_autofree char *capacity = cli_image_size_text(sheet->ctl, info->capacity);
    g_autofree char *digits = g_strdup_printf("%" G_GUINT64_FORMAT, info->capacity);
    g_autofree char *virtual_size = g_strdup_printf(_("%s (%s bytes)"), capacity, digits);
    g_autofree char *disk_size = cli_image_size_text(sheet->ctl, shown->disk_size);
    const CliFact facts[] = {
        cli_fact_text("filename", N_("image"), shown->path),
        cli_fact_text("format", N_("file format"), cst_image_format_name(info->format)),
        cli_fact_text(NULL, N_("virtual size"), virtual_size),
        cli_fact_number("virtual-size", NULL, TRUE, info->capacity),
        cli_fact_text(NULL, N_("disk size"), disk_size),
        cli_fact_number("actual-size", NULL, TRUE, shown->disk_size),
        cli_fact_text(NULL, N_("encrypted"), info->encryption),
        cli_fact_number("cluster-size", "cluster_size", info->cluster_size != 0,
                        info->cluster_size),
        cli_fact_number("sector-size", N_("sector size"), info->sector_size > CST_SECTOR_SIZE,
                        info->sector_size),
        cli_fact_text(NULL, N_("cleanly shut down"), info->dirty ? _("no") : NULL),
        cli_fact_bool("dirty-flag", NULL, TRUE, info->dirty),
        cli_fact_bool("corrupt", NULL, TRUE, info->corrupt),
        cli_fact_bool("encrypted", NULL, info->encryption != NULL, TRUE),
        cli_fact_text("encryption", NULL, info->encryption),
        cli_fact_text("backing-filename", N_("backing file"), backing),
        cli_fact_text("full-backing-filename", full, full_path),
        cli_fact_text("backing-filename-format", N_("backing file format"), info->backing_format),
        cli_fact_text("problem", info->corrupt ? N_("damaged") : N_("can't be opened"),
                      info->problem),
    };

    cli_sheet_add(sheet, facts, G_N_ELEMENTS(facts));
}

static void add_image(CliSheet *sheet, const CliImageDescription *shown)
{
    const CliImageSpecific specific = {&shown->info, shown->bitmaps, shown->parts, &shown->luks};

    add_facts(sheet, shown);
    if (shown->snapshots && shown->snapshots->len) {
        g_autoptr(CliTable) table = cli_image_snapshot_table(shown->snapshots);

        cli_print_lines(sheet->ctl, _("Snapshot list:\n"));
        cli_sheet_add_table(sheet, "snapshots", table);
    }
    cli_image_add_specific(sheet, &specific);
}

/* --- the command ------------------------------------------------------------------------------ */

/** State of the run over all files. */
typedef struct {
    CliCtl *ctl;
    CliSheet sheet;
    const CstImageFormat *format; /**< format from the command line; NULL: detect it */
    CliQdict *list;               /**< of --output=json; NULL: another output */
    guint shown, failed;
    GError *last; /**< the last failure */
} Run;

/* Text has no enclosing object, so the facts about an image are not indented. */
static void begin_image(Run *run)
{
    cli_sheet_begin_object(&run->sheet, NULL, NULL);
    run->sheet.depth = 0;
}

static void end_image(Run *run)
{
    cli_sheet_end_object(&run->sheet);
}

static void print_image(Run *run, const CliImageDescription *shown)
{
    if (run->shown > 0)
        cli_print(run->ctl, "\n");
    begin_image(run);
    add_image(&run->sheet, shown);
    end_image(run);
}

static gboolean show_image(Run *run, CstBlob *blob, const CstImageFormat *format, GError **error)
{
    g_auto(CliImageDescription) shown = {0};

    if (!cli_image_describe(blob, format, &shown, error))
        return FALSE;
    if (run->list)
        cli_qdict_add(run->list, NULL, cli_image_description_dict(&shown));
    else
        print_image(run, &shown);
    run->shown++;
    if (shown.info.corrupt)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), shown.path,
                        shown.info.problem);
    return !shown.info.problem ||
           cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' can't be opened: %s"), shown.path,
                    shown.info.problem);
}

static gboolean show_chain(Run *run, CstBlob *blob, GError **error)
{
    const CstChainFiles files = cst_path_files(CST_PATH_FOLLOW);
    g_autoptr(CstChain) chain = cst_chain_look(blob, run->format, &files, error);

    for (guint i = 0; chain && i < cst_chain_length(chain); i++)
        if (!show_image(run, cst_chain_blob(chain, i), cst_chain_info(chain, i)->format, error))
            return FALSE;
    return chain != NULL;
}

static gboolean show_path(Run *run, const char *path, gboolean follow, GError **error)
{
    g_autoptr(CstBlob) blob = cli_image_blob(run->ctl, path, FALSE, error);

    if (!blob)
        return FALSE;
    return follow ? show_chain(run, blob, error) : show_image(run, blob, run->format, error);
}

static void report_failure(Run *run, const char *path, const GError *why)
{
    g_autofree char *text = cst_error_text(why);
    const CliFact facts[] = {
        cli_fact_text("filename", NULL, path),
        cli_fact_text("error", NULL, why->message),
    };

    if (!run->ctl->settings.json) {
        cli_error_line(run->ctl, text);
        return;
    }
    begin_image(run);
    cli_sheet_add(&run->sheet, facts, G_N_ELEMENTS(facts));
    end_image(run);
}

/** Show all files. If one of several fails, the other files are still shown. */
static void show_images(Run *run, const GPtrArray *paths, gboolean chain)
{
    for (guint i = 0; i < paths->len; i++) {
        g_autoptr(GError) why = NULL;

        if (show_path(run, g_ptr_array_index(paths, i), chain, &why))
            continue;
        run->failed++;
        if (paths->len > 1)
            report_failure(run, g_ptr_array_index(paths, i), why);
        g_clear_error(&run->last);
        run->last = g_steal_pointer(&why);
    }
}

static gboolean info_run_finish(Run *run, guint total, GError **error)
{
    g_autoptr(GError) last = run->last;

    if (run->failed == 0)
        return TRUE;
    if (total == 1) {
        g_propagate_error(error, g_steal_pointer(&last));
        return FALSE;
    }
    if (run->failed == total)
        return cst_fail(error, cst_error_code(last), _("no image of %u could be shown"), total);
    return cst_fail(error, CST_ERROR_PARTIAL, _("%u of %u images could not be shown"), run->failed,
                    total);
}

/* Shows the images as qemu-img: one image as an object, several or a chain as a list. */
static gboolean show_qemu_json(Run *run, const GPtrArray *paths, gboolean chain, GError **error)
{
    g_autoptr(CliQdict) list = run->list = cli_qlist_new();

    show_images(run, paths, chain);
    if (chain || paths->len > 1)
        cli_qemu_json_print(run->ctl->out, list);
    else if (run->shown)
        cli_qemu_json_print(run->ctl->out, cli_qlist_first(list));
    return info_run_finish(run, paths->len, error);
}

static gboolean cmd_image_info(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) paths = cli_args_rest(args);
    Run run = {.ctl = ctl};
    gboolean qemu_json;

    if (!cli_image_format_arg(args, "format", &run.format, error) ||
        !cli_image_output(ctl, args, &qemu_json, error))
        return FALSE;
    if (qemu_json)
        return show_qemu_json(&run, paths, cli_args_has(args, "backing-chain"), error);
    cli_sheet_begin(&run.sheet, ctl);
    cli_sheet_begin_list(&run.sheet, "images", NULL, "");
    show_images(&run, paths, cli_args_has(args, "backing-chain"));
    cli_sheet_end_list(&run.sheet);
    if (run.shown || paths->len > 1)
        cli_sheet_end(&run.sheet);
    else
        cli_sheet_clear(&run.sheet);
    return info_run_finish(&run, paths->len, error);
}

static const CliOption info_options[] = {
    {.name = "file",
     .kind = CLI_OPT_ARGV,
     .flags = CLI_OPT_REQUIRED,
     .help = N_("image files or block devices")},
    SOURCE_FORMAT,
    FOLLOW,
    OUTPUT,
    FORCE_SHARE,
    {0},
};

const CliCommand cli_image_info_command = {
    .name = "image-info",
    .summary = N_("describe image files"),
    .description =
        N_("Show the metadata of images. Files that an image refers to are opened only with "
           "--backing-chain. URLs in an image are shown without user, password and query. A "
           "damaged image is described as far as it can be read, and the exit status is then 1."),
    .options = info_options,
    .handler = cmd_image_info,
    .flags = OURS,
};
