/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-bitmap: changes dirty bitmaps inside an image. Actions are executed in the order of the
 * command line. Each action is atomic. The image is flushed once, at the end. vol-bitmap also
 * parses its actions here.
 */
#include "image.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/bitmap.h>

#include "options.h"
#include "output/progress.h"
#include "output/report.h"

/** The requested actions, in the order of the command line. */
typedef struct {
    CstBitmapChange change;
    CstImage *image;
    CstImage *source; /**< of --merge; NULL: the image itself */
} Work;

static gboolean run_actions(CstTask *task, gpointer data, GError **error)
{
    const Work *work = data;
    const CstBitmapChange *change = &work->change;

    for (guint i = 0; i < change->steps->len; i++) {
        const CstBitmapStep *step = &g_array_index(change->steps, CstBitmapStep, i);
        CstBitmapAction action;

        if (!cst_task_check(task, error) ||
            !cst_bitmap_action_parse(step->action, &action, error) ||
            !cst_image_bitmap_apply(work->image, action, change->name, change->granularity,
                                    work->source ? work->source : work->image, step->from, error))
            return FALSE;
    }
    return cst_image_flush(work->image, error);
}

static gboolean check_option_needs(const CliArgs *args, const char *option, const char *other,
                                   GError **error)
{
    return !cli_args_has(args, option) || cli_args_has(args, other) ||
           cst_fail(error, CST_ERROR_USAGE, _("--%s needs --%s"), option, other);
}

gboolean cli_bitmap_change(const CliArgs *args, const char *source, const char *detail,
                           CstBitmapChange *ret_change, GError **error)
{
    for (guint i = 0; i < args->items->len; i++) {
        const CliArg *item = &g_array_index(args->items, CliArg, i);
        const CstBitmapStep step = {.action = item->option->name,
                                    .from = strcmp(item->option->name, "merge") == 0 ? item->value
                                                                                     : NULL};
        CstBitmapAction action;

        if (cst_bitmap_action_parse(step.action, &action, NULL))
            g_array_append_val(ret_change->steps, step);
    }
    if (ret_change->steps->len == 0)
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("give one or more of --add, --remove, --clear, --enable, --disable and "
                          "--merge"));
    return check_option_needs(args, "granularity", "add", error) &&
           check_option_needs(args, source, "merge", error) &&
           check_option_needs(args, detail, source, error) &&
           cli_args_string(args, "bitmap", &ret_change->name, error) &&
           cli_args_size(args, "granularity", 1, &ret_change->granularity, error);
}

/** Open the source image of --merge. Its backing images are not needed. */
static gboolean bitmap_open_source(CliCtl *ctl, const CliArgs *args, CstImage **ret_source,
                                   GError **error)
{
    const char *path = NULL;
    const CstImageFormat *format = NULL;
    g_autoptr(CstBlob) blob = NULL;

    if (!cli_args_string(args, "source-file", &path, error))
        return FALSE;
    if (!path)
        return TRUE;
    blob = cli_image_open(ctl, args, path, "source-format", FALSE, &format, error);
    *ret_source = blob ? cst_image_open(blob, format, 0, NULL, error) : NULL;
    return *ret_source != NULL;
}

static gboolean work_on(CliCtl *ctl, const CliArgs *args, Work *work, const char *path,
                        GError **error)
{
    const CstChainFiles files = cli_image_files(ctl);
    g_autoptr(CstChain) chain = cli_image_open_changing(ctl, args, &files, error);

    if (!chain || !bitmap_open_source(ctl, args, &work->source, error))
        return FALSE;
    cli_plan(ctl, _("Would change bitmap %s of image %s"), work->change.name, path);
    work->image = cst_chain_image(chain);
    return cli_outcome(ctl, cli_run_task(ctl, _("Working"), run_actions, work, error), "bitmap",
                       work->change.name, _("Bitmap %s of image %s changed"),
                       _("Failed to change bitmap %s of image %s"), work->change.name, path);
}

static gboolean cmd_image_bitmap(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(CstBitmapStep));
    Work work = {.change.steps = steps};
    const char *path = NULL;
    gboolean ok;

    if (!cli_args_string(args, "file", &path, error) ||
        !cli_bitmap_change(args, "source-file", "source-format", &work.change, error))
        return FALSE;
    ok = work_on(ctl, args, &work, path, error);
    cst_image_free(work.source);
    return ok;
}

static const CliOption bitmap_options[] = {
    IMAGE_FILE,
    CLI_REQUIRED("bitmap", N_("name of the bitmap")),
    SOURCE_FORMAT,
    CLI_BITMAP_ACTIONS,
    {.name = "source-file",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'b',
     .help = N_("with --merge: image that has that bitmap")},
    FORMAT("source-format", 'F', N_("format of that image")),
    DATA_FILE,
    {0},
};

const CliCommand cli_image_bitmap_command = {
    .name = "image-bitmap",
    .summary = N_("change the dirty bitmaps inside an image"),
    .description = N_("Change the bitmaps of a qcow2 image, for incremental backups. The steps are "
                      "done in the order given, each completely or not at all."),
    .options = bitmap_options,
    .handler = cmd_image_bitmap,
    .flags = OURS | CLI_CMD_MUTATES,
};
