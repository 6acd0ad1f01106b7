/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-convert, vol-rebase and vol-compare: the counterparts of image-convert, image-rebase and
 * image-compare for volumes. The server does the work. These commands find the volumes, start one
 * call and report the result.
 */
#include <string.h>

#include <base/error.h>

#include "commands/consistency.h"
#include "commands/image/twin.h"
#include "commands/view_report.h"
#include "live_copy.h"
#include "options.h"
#include "output/progress.h"
#include "output/report.h"

/* --- convert --------------------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    const CstPoolRef *pool;
    const CstVolRef *source;
    CstVolConvert how;
    CstVolRef *vol; /**< the result */
} Conversion;

static gboolean run_convert(CstTask *task, gpointer data, GError **error)
{
    Conversion *conversion = data;

    conversion->vol = cst_conn_vol_convert(conversion->conn, conversion->pool, conversion->source,
                                           &conversion->how, task, error);
    return conversion->vol != NULL;
}

/* Reads the live snapshot, if there is one. Returns the new volume. */
static CstVolRef *convert_from(Conversion *conversion, const CstVolConvert *how, CliLiveCopy *live,
                               GError **error)
{
    if (!cli_live_copy_begin(live, error))
        return NULL;
    conversion->how = *how;
    if (live->snapshot)
        conversion->how.flags |= CST_VOL_CONVERT_LIVE;
    else if (live->is_planned)
        conversion->how.flags |= CST_VOL_CONVERT_FORCE_SHARE;
    return cli_run_task(live->ctl, _("Converting"), run_convert, conversion, error)
               ? conversion->vol
               : NULL;
}

static gboolean convert_vol(CliCtl *ctl, const CliArgs *args, CstVolConvert *how, GError **error)
{
    const char *name;
    g_autoptr(CstVolRef) source = cli_vol(ctl, args, "pool", &name, error);
    g_auto(CliNewVol) place = {0};
    g_autoptr(CstVolRef) vol = NULL;
    g_auto(CliLiveCopy) live = {0};
    Conversion conversion = {.conn = ctl->conn, .source = source};
    CliFact facts[CLI_LIVE_COPY_FACTS];
    guint count;

    if (!source || !cli_vol_new(ctl, args, "newname", "newpool", &place, error))
        return FALSE;
    if (!place.pool)
        place.pool = cst_conn_pool_of_vol(ctl->conn, source, error);
    if (!place.pool)
        return FALSE;
    how->name = place.name;
    if (!cli_live_copy_read(ctl, args, source, source->name, &live, error))
        return FALSE;
    cli_plan(ctl, _("Would convert vol %s to vol %s, format %s"), name, how->name, how->format);
    conversion.pool = place.pool;
    vol = convert_from(&conversion, how, &live, error);
    if (!cli_live_copy_end(&live, vol != NULL, error) || !vol) {
        if (vol)
            cli_live_copy_drop(&live, g_steal_pointer(&vol));
        return cli_failed(ctl, _("Failed to convert vol %s"), name);
    }
    cli_live_copy_warn(&live);
    count = cli_live_copy_facts(&live, facts);
    cli_done_with(ctl, "volume", vol->name, cli_vol_made_size(ctl, vol), facts, count,
                  _("Vol %s converted to vol %s"), name, vol->name);
    cli_live_copy_print(&live);
    return TRUE;
}

static gboolean cmd_vol_convert(CliCtl *ctl, const CliArgs *args, GError **error)
{
    CstVolConvert how = {
        .flags = (cli_args_has(args, "compress") ? CST_VOL_CONVERT_COMPRESS : 0) |
                 (cli_args_has(args, "force-share") ? CST_VOL_CONVERT_FORCE_SHARE : 0) |
                 (cli_args_has(args, "overwrite") ? CST_VOL_CONVERT_OVERWRITE : 0) |
                 (cli_args_has(args, "drop-sector-size") ? CST_VOL_CONVERT_DROP_SECTOR_SIZE : 0)};
    gboolean help;

    if (!cli_args_string(args, "format", &how.format, error) ||
        !cli_image_option_help(ctl, args, how.format, &how.options, &help, error))
        return FALSE;
    return help || convert_vol(ctl, args, &how, error);
}

static const CliOption convert_options[] = {
    VOL,
    NEW_NAME("newname", CLI_OPT_REQUIRED, "newpool", N_("name of the new volume")),
    {.name = "format",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_REQUIRED,
     .help = N_("format of the new volume"),
     .complete = cli_complete_vol_formats,
     .letter = 'O'},
    POOL,
    POOL_OPTION("newpool", N_("pool of the new volume; default: that of the first one")),
    CLI_IMAGE_OPTIONS,
    CLI_COMPRESS,
    CLI_DROP_SECTOR_SIZE,
    FORCE_SHARE,
    CLI_CONSISTENCY,
    OVERWRITE,
    RATE_LIMIT,
    DETACH,
    {0},
};

const CliCommand cli_vol_convert_command = {
    .name = "vol-convert",
    .summary = N_("copy a vol into a new one of another format"),
    .description = N_(
        "The copy is a volume of its own, with all that the guest sees of the first one. The disk "
        "of a running domain is read at one point in time, by a backup job of libvirt."),
    .options = convert_options,
    .handler = cmd_vol_convert,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

/* --- rebase ---------------------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    CstVolRebase how;
} Rebase;

static gboolean run_vol_rebase(CstTask *task, gpointer data, GError **error)
{
    Rebase *rebase = data;

    return cst_conn_vol_rebase(rebase->conn, rebase->vol, &rebase->how, task, error);
}

/**
 * Get the path of the new backing volume. *ret_path is unchanged if the volume shall have no
 * backing image.
 */
static gboolean find_backing(CliCtl *ctl, const CliArgs *args, const CstVolRef *vol,
                             CstVolRebase *how, char **ret_path, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(CstVolRef) backing = NULL;

    if (*how->backing == '\0') {
        how->backing = how->backing_format = NULL;
        return TRUE;
    }
    pool = cst_conn_pool_of_vol(ctl->conn, vol, error);
    backing = pool ? cli_vol_beside(ctl, pool, how->backing, error) : NULL;
    if (backing)
        how->backing = *ret_path = cst_conn_vol_path(ctl->conn, backing, error);
    return backing && *ret_path;
}

static gboolean cmd_vol_rebase(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name, *backing = NULL;
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", &name, error);
    g_autofree char *path = NULL;
    Rebase rebase = {.conn = ctl->conn, .vol = vol};
    CstVolRebase *how = &rebase.how;

    if (!vol || !cli_args_string(args, "backing-vol", &how->backing, error) ||
        !cli_args_string(args, "backing-vol-format", &how->backing_format, error))
        return FALSE;
    how->flags = cli_args_has(args, "unsafe") ? CST_VOL_REBASE_UNSAFE : 0;
    backing = *how->backing ? how->backing : _("nothing");
    if (!find_backing(ctl, args, vol, how, &path, error))
        return FALSE;
    cli_plan(ctl, _("Would base vol %s on %s"), name, backing);
    if (!cli_run_task(ctl, _("Rebasing"), run_vol_rebase, &rebase, error))
        return cli_failed(ctl, _("Failed to rebase vol %s"), name);
    cli_done(ctl, "volume", vol->name, _("Vol %s is based on %s"), name, backing);
    return TRUE;
}

static const CliOption rebase_options[] = {
    VOL,
    POOL,
    {.name = "backing-vol",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_REQUIRED | CLI_OPT_EMPTY_OK,
     .letter = 'b',
     .help = N_("new backing volume; \"\": no backing volume"),
     .complete = cli_complete_vols},
    {.name = "backing-vol-format",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'F',
     .help = N_("format of that volume; default: the one that it has"),
     .complete = cli_complete_vol_formats},
    CLI_UNSAFE,
    RATE_LIMIT,
    DETACH,
    {0},
};

const CliCommand cli_vol_rebase_command = {
    .name = "vol-rebase",
    .summary = N_("base a vol on another one"),
    .description = N_("Where the old and the new backing volume differ, the volume gets the old "
                      "content first, so its visible content never changes. With --unsafe only the "
                      "reference changes, and no content is read."),
    .options = rebase_options,
    .handler = cmd_vol_rebase,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

/* --- compare --------------------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    const CstVolRef *vol, *other;
    CstCompareReport report;
} Comparison;

static gboolean run_vol_compare(CstTask *task, gpointer data, GError **error)
{
    Comparison *comparison = data;

    return cst_conn_vol_compare(comparison->conn, comparison->vol, comparison->other, task,
                                &comparison->report, error);
}

static gboolean cmd_vol_compare(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_autoptr(CstVolRef) other =
        vol ? cli_vol_other(ctl, args, "other", "otherpool", vol, error) : NULL;
    Comparison comparison = {.conn = ctl->conn, .vol = vol, .other = other};

    return other && cli_run_task(ctl, _("Comparing"), run_vol_compare, &comparison, error) &&
           cli_compare_judge(ctl, &comparison.report, cli_args_has(args, "strict"), error);
}

static const CliOption compare_options[] = {
    VOL,
    CLI_REQUIRED("other", N_("volume to compare it with: name, key or path"),
                 .complete = cli_complete_vols),
    POOL,
    POOL_OPTION("otherpool", N_("pool of the other volume; default: that of the first one")),
    CLI_STRICT,
    RATE_LIMIT,
    {0},
};

const CliCommand cli_vol_compare_command = {
    .name = "vol-compare",
    .summary = N_("compare the guest-visible content of two vols"),
    .description = N_(
        "Where one volume is longer, the rest must be zero. The exit status is 0 when they are the "
        "same, 7 when they differ, another one when they can't be compared."),
    .options = compare_options,
    .handler = cmd_vol_compare,
    .flags = CLI_CMD_OURS,
};
