/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Information about volumes as images: vol-map, vol-measure and vol-bitmap, the counterparts of
 * image-map, image-measure and image-bitmap. A map is queried in pages, because the size of a
 * server's answer is bounded. All pages are printed as one table.
 */
#include <base/error.h>

#include "commands/image/twin.h"
#include "commands/view_report.h"
#include "options.h"
#include "output/progress.h"
#include "output/report.h"

/* --- map ------------------------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    CliTable *table;
} Mapping;

/** Add a page and advance *start past it. */
static void map_add_page(Mapping *mapping, const CstVolMap *page, uint64_t *start)
{
    for (guint i = 0; i < page->runs->len; i++) {
        const CstVolMapRun *run = &g_array_index(page->runs, CstVolMapRun, i);
        const char *file =
            run->depth < page->files->len ? g_ptr_array_index(page->files, run->depth) : NULL;

        cli_map_add(mapping->table, run, file);
        *start = run->start + run->length;
    }
}

static gboolean run_map(CstTask *task, gpointer data, GError **error)
{
    Mapping *mapping = data;
    uint64_t start = 0, before;
    gboolean more = TRUE;

    while (more) {
        g_autoptr(CstVolMap) page =
            cst_conn_vol_map(mapping->conn, mapping->vol, start, 0, task, error);

        if (!page)
            return FALSE;
        before = start;
        map_add_page(mapping, page, &start);
        more = page->more && start > before;
    }
    return TRUE;
}

static gboolean cmd_vol_map(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_autoptr(CliTable) table = cli_map_table();
    Mapping mapping = {ctl->conn, vol, table};

    if (!vol || !cli_run_task(ctl, _("Mapping"), run_map, &mapping, error))
        return FALSE;
    cli_table_print(ctl, table, "map");
    return TRUE;
}

static const CliOption map_options[] = {VOL, POOL, {0}};

const CliCommand cli_vol_map_command = {
    .name = "vol-map",
    .summary = N_("show which parts of a vol hold data"),
    .description = N_("Offset, length and state of each run of guest-visible content, and its "
                      "volume in the chain."),
    .options = map_options,
    .handler = cmd_vol_map,
    .flags = CLI_CMD_OURS,
};

/* --- measure --------------------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    const char *format, *options;
    CstMeasureReport report;
} Measuring;

static gboolean run_measure(CstTask *task, gpointer data, GError **error)
{
    Measuring *measuring = data;

    return cst_conn_vol_measure(measuring->conn, measuring->vol, measuring->format,
                                measuring->options, task, &measuring->report, error);
}

static gboolean measure_vol(CliCtl *ctl, const CliArgs *args, Measuring *measuring, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);

    measuring->conn = ctl->conn;
    measuring->vol = vol;
    if (!vol || !cli_run_task(ctl, _("Measuring"), run_measure, measuring, error))
        return FALSE;
    cli_measure_print(ctl, &measuring->report);
    return TRUE;
}

static gboolean cmd_vol_measure(CliCtl *ctl, const CliArgs *args, GError **error)
{
    Measuring measuring = {0};
    gboolean help;

    /* Without <vol>, an empty image is measured, which needs no server. */
    if (!cli_args_has(args, "vol"))
        return cli_image_measure(ctl, args, "vol", error);
    if (cli_args_has(args, "size"))
        return cst_fail(error, CST_ERROR_USAGE, _("give either <%s> or --size"), "vol");
    if (!cli_args_string(args, "target-format", &measuring.format, error) ||
        !cli_image_option_help(ctl, args, measuring.format, &measuring.options, &help, error))
        return FALSE;
    return help || measure_vol(ctl, args, &measuring, error);
}

static const CliOption measure_options[] = {
    {.name = "vol",
     .kind = CLI_OPT_STRING,
     .help = N_("volume to measure the copy of"),
     .complete = cli_complete_vols},
    {.name = "target-format",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_REQUIRED,
     .letter = 'O',
     .help = N_("format of the new image"),
     .complete = cli_complete_vol_formats},
    CLI_IMAGE_OPTIONS,
    POOL,
    CLI_NAMED("size", N_("capacity of an empty image, instead of a volume")),
    RATE_LIMIT,
    {0},
};

const CliCommand cli_vol_measure_command = {
    .name = "vol-measure",
    .summary = N_("tell how large an image of a vol's content will be"),
    .description = N_("For a copy of <vol> in another format, or an empty image of --size."),
    .options = measure_options,
    .handler = cmd_vol_measure,
    .flags = CLI_CMD_OURS,
};

/* --- bitmap ---------------------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    const CstVolRef *vol, *source; /**< source NULL: the volume itself */
    CstBitmapChange change;
} BitmapWork;

static gboolean run_bitmap(CstTask *task, gpointer data, GError **error)
{
    BitmapWork *work = data;

    return cst_conn_vol_bitmap(work->conn, work->vol, &work->change, work->source, task, error);
}

static gboolean find_source(CliCtl *ctl, const CliArgs *args, const CstVolRef *vol,
                            CstVolRef **ret_vol, GError **error)
{
    if (!cli_args_has(args, "source-vol"))
        return TRUE;
    *ret_vol = cli_vol_other(ctl, args, "source-vol", "source-pool", vol, error);
    return *ret_vol != NULL;
}

static gboolean cmd_vol_bitmap(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(CstBitmapStep));
    BitmapWork work = {.change.steps = steps};
    g_autoptr(CstVolRef) vol = NULL;
    g_autoptr(CstVolRef) source = NULL;
    const char *name, *bitmap;

    if (!cli_bitmap_change(args, "source-vol", "source-pool", &work.change, error))
        return FALSE;
    vol = cli_vol(ctl, args, "pool", &name, error);
    if (!vol || !find_source(ctl, args, vol, &source, error))
        return FALSE;
    bitmap = work.change.name;
    cli_plan(ctl, _("Would change bitmap %s of vol %s"), bitmap, name);
    work.conn = ctl->conn;
    work.vol = vol;
    work.source = source;
    return cli_outcome(ctl, cli_run_task(ctl, _("Working"), run_bitmap, &work, error), "bitmap",
                       bitmap, _("Bitmap %s of vol %s changed"),
                       _("Failed to change bitmap %s of vol %s"), bitmap, name);
}

static const CliOption bitmap_options[] = {
    VOL,
    CLI_REQUIRED("bitmap", N_("name of the bitmap"), ),
    POOL,
    CLI_BITMAP_ACTIONS,
    {.name = "source-vol",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'b',
     .help = N_("with --merge: volume that has that bitmap"),
     .complete = cli_complete_vols},
    POOL_OPTION("source-pool", N_("pool of that volume; default: that of the first one")),
    {0},
};

const CliCommand cli_vol_bitmap_command = {
    .name = "vol-bitmap",
    .summary = N_("change the dirty bitmaps inside a vol's image"),
    .description = N_("Change the bitmaps of a qcow2 volume, for incremental backups. The steps "
                      "are done in the order given, each completely or not at all."),
    .options = bitmap_options,
    .handler = cmd_vol_bitmap,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
