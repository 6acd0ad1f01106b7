/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-commit: writes the data of an image into its backing file, or into a deeper one. The chain
 * is opened twice. The first time it is read-only, to find the base. The second time the base is
 * opened for writing, and also the image above it if that image must record the change. After a
 * failure or a cancellation the image is valid, and the command can be repeated.
 */
#include "image.h"

#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/backing.h>
#include <image/commit.h>

#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"

/** The state of one commit. */
typedef struct {
    CliCtl *ctl;
    CstChain *chain;
    GArray *stamps; /**< of the files of the chain before the copy */
    guint base;     /**< index in the chain */
    guint opened;   /**< backing files opened so far */
    gboolean minds; /**< the image above the base must record the change */
    unsigned flags; /**< CstCommitFlags */
} Commit;

static void image_commit_clear(Commit *commit)
{
    cst_chain_free(commit->chain);
    g_clear_pointer(&commit->stamps, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Commit, image_commit_clear)

/*
 * The check of the chain: its files were not changed while their content was copied, and no program
 * writes to one. Parts are opened by the copy, so they are checked here.
 */
static gboolean commit_check_files(gpointer data, GError **error)
{
    const Commit *commit = data;

    return cli_image_check_layers(commit->chain, 1, error) &&
           cli_image_is_as_before(commit->chain, commit->stamps, error);
}

static gboolean run_image_commit(CstTask *task, gpointer data, GError **error)
{
    Commit *commit = data;

    return cst_chain_commit(commit->chain, commit->base, commit->flags, task, error);
}

static gboolean is_changed(const Commit *commit, guint index)
{
    return index == commit->base || (commit->minds && index + 1 == commit->base);
}

/**
 * Open a backing file. They are opened from the top down. The base is opened for writing once it is
 * known.
 */
static CstBlob *commit_open_backing(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    Commit *commit = data;
    g_autofree char *path = cst_path_backing(owner, name, error);
    CstBlob *blob;

    commit->opened++;
    if (!path)
        return NULL;
    blob = cli_image_blob(commit->ctl, path, is_changed(commit, commit->opened), error);
    if (!blob)
        cst_path_explain_backing(owner, name, error);
    return blob;
}

static CstBlob *commit_open_data(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                                 GError **error)
{
    Commit *commit = data;

    return cli_image_open_data(owner, name, writable, commit->ctl, error);
}

static gboolean commit_read_chain(Commit *commit, CstBlob *blob, const CstImageFormat *format,
                                  GError **error)
{
    CstChainFiles files = cst_path_files(0);

    files.open_backing = commit_open_backing;
    files.open_data = commit_open_data;
    files.data = commit;
    commit->opened = 0;
    cst_chain_free(commit->chain);
    commit->chain = cst_chain_look(blob, format, &files, error);
    return commit->chain != NULL;
}

/** Return: TRUE if @name is the path of the image, or its name in the image above it. */
static gboolean is_base(const CstChain *chain, guint index, const char *name)
{
    struct stat named, there;

    if (strcmp(cst_chain_info(chain, index - 1)->backing, name) == 0)
        return TRUE;
    return stat(name, &named) == 0 &&
           fstat(cst_blob_file_fd(cst_chain_blob(chain, index)), &there) == 0 &&
           named.st_dev == there.st_dev && named.st_ino == there.st_ino;
}

static gboolean commit_find_base(Commit *commit, const char *name, GError **error)
{
    guint length = cst_chain_length(commit->chain);
    const char *top = cst_chain_blob(commit->chain, 0)->name;

    if (length == 1)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' has no backing file, so its content cannot be committed"), top);
    for (guint i = 1; i < length; i++)
        if (!name || is_base(commit->chain, i, name)) {
            commit->base = i;
            commit->minds =
                cst_image_format_minds_changes(cst_chain_info(commit->chain, i - 1)->format);
            return TRUE;
        }
    return cst_fail(
        error, CST_ERROR_NOT_FOUND,
        _("'%s' is not among the backing files of '%s'; image-info --backing-chain lists them"),
        name, top);
}

static gboolean commit_open_images(const CliArgs *args, Commit *commit, const char *base,
                                   GError **error)
{
    const CstImageFormat *format = NULL;
    g_autoptr(CstBlob) blob = cli_image_changing(commit->ctl, args, &format, error);

    if (!blob || !cli_image_may_follow(args, blob, format, error) ||
        !commit_read_chain(commit, blob, format, error) || !commit_find_base(commit, base, error) ||
        !commit_read_chain(commit, blob, format, error))
        return FALSE;
    commit->stamps = cli_image_stamps(args, commit->chain);
    cst_chain_set_check(commit->chain, commit_check_files, commit);
    return cli_image_check_layers(commit->chain, 1, error);
}

/** Confirm the commit. After a commit to a deeper base, the images above it are invalid. */
static gboolean commit_confirm_overwrite(Commit *commit, GError **error)
{
    const char *base = cst_chain_blob(commit->chain, commit->base)->name;

    return commit->base == 1
               ? cli_confirm(commit->ctl, error, _("Overwrite the content of %s?"), base)
               : cli_confirm(commit->ctl, error,
                             _("The images between %s and %s become invalid. Go on?"),
                             cst_chain_blob(commit->chain, 0)->name, base);
}

static gboolean cmd_image_commit(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Commit) commit = {.ctl = ctl};
    const char *path = NULL, *base = NULL;

    if (!cli_args_string(args, "file", &path, error) ||
        !cli_args_string(args, "base", &base, error) ||
        !commit_open_images(args, &commit, base, error))
        return FALSE;
    if (base || cli_args_has(args, "keep"))
        commit.flags = CST_COMMIT_KEEP;
    base = cst_chain_blob(commit.chain, commit.base)->name;
    cli_plan(ctl, _("Would commit image %s to %s"), path, base);
    if (!commit_confirm_overwrite(&commit, error))
        return FALSE;
    if (!cli_run_task(ctl, _("Committing"), run_image_commit, &commit, error))
        return cli_failed(ctl, _("Failed to commit image %s"), path);
    cli_done(ctl, "image", path, _("Image %s committed to %s"), path, base);
    return TRUE;
}

static const CliOption commit_options[] = {
    CLI_REQUIRED("file", N_("image to write into its backing file")),
    SOURCE_FORMAT,
    {.name = "base",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'b',
     .help = N_("backing file further down to commit to; implies --keep")},
    {.name = "keep",
     .kind = CLI_OPT_BOOL,
     .letter = 'd',
     .help = N_("don't empty the image afterwards")},
    RATE_LIMIT,
    FOLLOW,
    DATA_FILE,
    {0},
};

const CliCommand cli_image_commit_command = {
    .name = "image-commit",
    .summary = N_("push an image's content down into its backing file"),
    .description = N_(
        "A smaller backing file grows. When the data is on the disk, the image is emptied, unless "
        "--keep or --base is given. With a --base further down, the images in between become "
        "invalid. Needs a confirmation or --yes. The content that the image shows never changes, "
        "and a cancelled commit can be repeated. Other images on the same backing file are lost."),
    .options = commit_options,
    .handler = cmd_image_commit,
    .flags = OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
