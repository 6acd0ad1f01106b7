/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-rebase and image-flatten: change or remove the backing file of an image. Unless --unsafe
 * was given, the chain and the new backing file are opened first. A new backing file is refused if
 * its chain contains the image.
 */
#include "image.h"

#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/backing.h>
#include <image/rebase.h>

#include "options.h"
#include "output/progress.h"
#include "output/report.h"

/** The parameters and the state of one rebase. */
typedef struct {
    CstChain *chain; /**< the image with its current backing files */
    CstChain *below; /**< the new backing chain; NULL: no backing file, or not opened */
    GArray *stamps, *below_stamps; /**< of the files of both chains before the copy */
    CstImageRebase how;
} Rebase;

static void image_rebase_clear(Rebase *rebase)
{
    cst_chain_free(rebase->chain);
    cst_chain_free(rebase->below);
    g_clear_pointer(&rebase->stamps, g_array_unref);
    g_clear_pointer(&rebase->below_stamps, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rebase, image_rebase_clear)

/*
 * The check of the chain: its files were not changed while their content was copied, and no program
 * writes to one. Parts of the old backing files are opened by the copy, so they are checked here.
 */
static gboolean rebase_check_files(gpointer data, GError **error)
{
    const Rebase *rebase = data;

    return cli_image_check_layers(rebase->chain, 1, error) &&
           cli_image_is_as_before(rebase->chain, rebase->stamps, error) &&
           (!rebase->below || cli_image_is_as_before(rebase->below, rebase->below_stamps, error));
}

static gboolean run_image_rebase(CstTask *task, gpointer data, GError **error)
{
    Rebase *rebase = data;

    return cst_chain_rebase(rebase->chain, &rebase->how, task, error);
}

static gboolean run_image_flatten(CstTask *task, gpointer data, GError **error)
{
    Rebase *rebase = data;

    return cst_chain_flatten(rebase->chain, task, error);
}

gboolean cli_image_check_layers(CstChain *chain, guint first, GError **error)
{
    g_autofree char *who = NULL;
    g_autoptr(CstBlob) blob = cli_image_written_file(chain, first, &who);

    return !blob || cst_fail(error, CST_ERROR_BUSY,
                             _("'%s' is open for writing in %s; stop it before its content is "
                               "copied into another image"),
                             blob->name, who);
}

/** Open the image for writing. With @follow, also open its backing files. */
static gboolean open_chain(CliCtl *ctl, const CliArgs *args, gboolean follow, Rebase *rebase,
                           GError **error)
{
    CstChainFiles files = cli_image_files(ctl);
    const CstImageFormat *format = NULL;
    g_autoptr(CstBlob) blob = cli_image_changing(ctl, args, &format, error);

    if (!blob || (follow && !cli_image_may_follow(args, blob, format, error)))
        return FALSE;
    if (!follow)
        files.open_backing = NULL;
    rebase->chain = cst_chain_look(blob, format, &files, error);
    if (!rebase->chain)
        return FALSE;
    rebase->stamps = cli_image_stamps(args, rebase->chain);
    cst_chain_set_check(rebase->chain, rebase_check_files, rebase);
    return cli_image_check_layers(rebase->chain, 1, error);
}

/** Fail if the image is in its new backing chain, because it could never be opened again. */
static gboolean rebase_check_no_loop(const Rebase *rebase, GError **error)
{
    CstBlob *top = cst_chain_blob(rebase->chain, 0);

    for (guint i = 0; i < cst_chain_length(rebase->below); i++)
        if (cst_blob_is_same_file(top, cst_chain_blob(rebase->below, i)))
            return cst_fail(error, CST_ERROR_INVALID, _("'%s' can't be based on itself"),
                            top->name);
    return TRUE;
}

/** Open the backing file relative to the image's directory, as readers of the reference will do. */
static gboolean open_below(CliCtl *ctl, const CliArgs *args, Rebase *rebase, GError **error)
{
    const CstChainFiles files = cli_image_files(ctl);
    const CstImageFormat *format = cst_image_format_find(rebase->how.backing_format, error);
    g_autofree char *path =
        cst_path_named(cst_chain_blob(rebase->chain, 0)->name, rebase->how.backing);
    g_autoptr(CstBlob) blob = NULL;

    if (!format)
        return FALSE;
    if (!path)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is no file; --unsafe takes it without looking"),
                        rebase->how.backing);
    blob = cli_image_blob(ctl, path, FALSE, error);
    if (!blob || !cli_image_may_follow(args, blob, format, error))
        return FALSE;
    rebase->below = cst_chain_open(blob, format, 0, &files, error);
    if (!rebase->below || !rebase_check_no_loop(rebase, error))
        return FALSE;
    rebase->below_stamps = cli_image_stamps(args, rebase->below);
    if (!cli_image_check_layers(rebase->below, 0, error))
        return FALSE;
    rebase->how.guest = cst_chain_guest(rebase->below);
    return TRUE;
}

static gboolean rebase_read_arguments(const CliArgs *args, CstImageRebase *how, GError **error)
{
    if (!cli_args_string(args, "backing", &how->backing, error) ||
        !cli_args_string(args, "backing-format", &how->backing_format, error))
        return FALSE;
    how->unsafe = cli_args_has(args, "unsafe");
    if (*how->backing == '\0') {
        how->backing = how->backing_format = NULL;
        return TRUE;
    }
    return cli_backing_format_given(how->backing_format, "backing-format", error) &&
           cst_image_format_find(how->backing_format, error) != NULL;
}

static gboolean cmd_image_rebase(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Rebase) rebase = {0};
    const char *path = NULL, *backing;
    gboolean looks;

    if (!cli_args_string(args, "file", &path, error) ||
        !rebase_read_arguments(args, &rebase.how, error) ||
        !open_chain(ctl, args, !rebase.how.unsafe, &rebase, error))
        return FALSE;
    /* with --unsafe, open the backing file only if the image records its state */
    looks = !rebase.how.unsafe ||
            cst_image_format_minds_changes(cst_chain_info(rebase.chain, 0)->format);
    if (rebase.how.backing && looks && !open_below(ctl, args, &rebase, error))
        return FALSE;
    backing = rebase.how.backing ? rebase.how.backing : _("nothing");
    cli_plan(ctl, _("Would base image %s on %s"), path, backing);
    if (!cli_run_task(ctl, _("Rebasing"), run_image_rebase, &rebase, error))
        return cli_failed(ctl, _("Failed to rebase image %s"), path);
    cli_done(ctl, "image", path, _("Image %s is based on %s"), path, backing);
    return TRUE;
}

static const CliOption rebase_options[] = {
    IMAGE_FILE,
    SOURCE_FORMAT,
    {.name = "backing",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_REQUIRED | CLI_OPT_EMPTY_OK,
     .letter = 'b',
     .help = N_("new backing file, as seen from the image's directory; \"\": no backing file")},
    FORMAT("backing-format", 'F', N_("format of that image")),
    CLI_UNSAFE,
    FOLLOW,
    DATA_FILE,
    {0},
};

const CliCommand cli_image_rebase_command = {
    .name = "image-rebase",
    .summary = N_("base an image on another backing file"),
    .description =
        N_("Where the old and the new backing file differ, the image gets the old content before "
           "its reference changes, so its visible content never changes. With --unsafe no content "
           "is read, for example because the backing file has moved."),
    .options = rebase_options,
    .handler = cmd_image_rebase,
    .flags = OURS | CLI_CMD_MUTATES,
};

static gboolean cmd_image_flatten(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Rebase) rebase = {0};
    const char *path = NULL;

    if (!cli_args_string(args, "file", &path, error) ||
        !open_chain(ctl, args, TRUE, &rebase, error))
        return FALSE;
    cli_plan(ctl, _("Would flatten image %s"), path);
    return cli_outcome(ctl, cli_run_task(ctl, _("Flattening"), run_image_flatten, &rebase, error),
                       "image", path, _("Image %s holds all of its content"),
                       _("Failed to flatten image %s"), path);
}

static const CliOption flatten_options[] = {
    IMAGE_FILE, SOURCE_FORMAT, FOLLOW, DATA_FILE, {0},
};

const CliCommand cli_image_flatten_command = {
    .name = "image-flatten",
    .summary = N_("make an image independent of its backing file"),
    .description =
        N_("Copy the content of the backing file into the image, then drop the reference. If "
           "cancelled, the image stays valid, and the next run continues from there."),
    .options = flatten_options,
    .handler = cmd_image_flatten,
    .flags = OURS | CLI_CMD_MUTATES,
};
