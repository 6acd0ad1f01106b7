/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-convert: copies one image, or several in sequence, into a new image (standalone or with a
 * backing file), or over the content of an existing image. A new image is a draft until it is
 * complete (target.c). An existing one is changed in place, and a failure leaves it partially
 * written.
 *
 * Sources are opened first. Other programs must not write to them (--force-share), because a copy
 * takes too long for a mere warning. The target must not be one of the sources. The mode of the new
 * file gives no user more access than the sources do.
 */
#include "image.h"

#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>
#include <blob/copy.h>
#include <image/convert.h>
#include <image/hold.h>

#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"

#define SECTOR 512 /* qemu-img rounds each of several images up to this size */

/** The parameters and the state of one conversion. */
typedef struct {
    GPtrArray *paths;  /**< paths of the sources; borrowed strings */
    GPtrArray *chains; /**< of CstChain: the opened sources */
    GPtrArray *stamps; /**< of GArray of CstFileStamp: each chain's files before the copy */
    char *names;       /**< names of the sources, for messages */
    const char *path;  /**< path of the target */
    const CstImageFormat *format;
    CstImageOptions options;
    CstBlob *from;     /**< content to copy */
    CstChain *backing; /**< of the target; NULL: standalone */
    CliImageTarget target;
    CstChain *there; /**< existing image that is overwritten; NULL: a new one is created */
    unsigned flags;  /**< CstConvertFlags */
    gboolean unsafe; /**< do not sync */
    gboolean scans;  /**< zero_run was given */
    uint64_t zero_run;
} Conversion;

static void image_conversion_clear(Conversion *conversion)
{
    g_clear_pointer(&conversion->paths, g_ptr_array_unref);
    if (conversion->from)
        cst_blob_unref(conversion->from);
    g_clear_pointer(&conversion->chains, g_ptr_array_unref);
    g_clear_pointer(&conversion->stamps, g_ptr_array_unref);
    cst_chain_free(conversion->backing);
    cst_chain_free(conversion->there);
    cst_image_options_clear(&conversion->options);
    cli_image_target_clear(&conversion->target);
    g_free(conversion->names);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Conversion, image_conversion_clear)

/* --- arguments ------------------------------------------------------------------------------- */

static gboolean read_zero_run(const CliArgs *args, Conversion *conversion, GError **error)
{
    conversion->scans = cli_args_has(args, "sparse-size");
    return cli_args_size(args, "sparse-size", 1, &conversion->zero_run, error) &&
           (conversion->zero_run % SECTOR == 0 ||
            cst_fail(error, CST_ERROR_USAGE, "%s", _("--sparse-size must be a multiple of 512")));
}

/** Refuse combinations of options as qemu-img does. */
static gboolean check_combination(const CliArgs *args, GError **error)
{
    static const char *const pairs[][2] = {
        {"no-create", "options"},   {"no-create", "backing"}, {"sparse-size", "backing"},
        {"sparse-size", "offload"}, {"offload", "compress"},  {"more", "backing"},
        {"more", "snapshot"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++)
        if (!cli_args_exclusive(args, pairs[i][0], pairs[i][1], error))
            return FALSE;
    return TRUE;
}

/**
 * Get the paths. The target is the last plain word: the second one, or the last of further ones.
 */
static gboolean read_paths(const CliArgs *args, Conversion *conversion, GError **error)
{
    g_autoptr(GPtrArray) more = cli_args_rest(args);
    const char *source = NULL;

    if (!cli_args_string(args, "source", &source, error) ||
        !cli_args_string(args, "target", &conversion->path, error))
        return FALSE;
    conversion->paths = g_ptr_array_new();
    g_ptr_array_add(conversion->paths, (gpointer)source);
    if (more->len > 0 && cli_args_is_plain(args, "target")) {
        g_ptr_array_add(conversion->paths, (gpointer)conversion->path);
        conversion->path = g_ptr_array_steal_index(more, more->len - 1);
    }
    g_ptr_array_extend(conversion->paths, more, NULL, NULL);
    g_ptr_array_add(conversion->paths, NULL);
    conversion->names = g_strjoinv(", ", (char **)conversion->paths->pdata);
    g_ptr_array_set_size(conversion->paths, (int)conversion->paths->len - 1);
    return TRUE;
}

static gboolean convert_read_backing(const CliArgs *args, Conversion *conversion, GError **error)
{
    CstImageCreate *create = &conversion->options.create;
    const char *backing = NULL, *format = NULL;

    if (conversion->options.has_size)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, "%s",
                        _("a converted image has the size of its source; resize it afterwards"));
    if (!cli_args_string(args, "backing", &backing, error) ||
        !cli_args_string(args, "backing-format", &format, error))
        return FALSE;
    create->backing = backing ? backing : create->backing;
    create->backing_format = format ? format : create->backing_format;
    if (create->backing && conversion->paths->len > 1)
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("an image made of several has no backing file; leave it out, or convert "
                          "one of them"));
    return !create->backing ||
           cli_backing_format_given(create->backing_format, "backing-format", error);
}

static gboolean convert_read_arguments(CliCtl *ctl, const CliArgs *args, Conversion *conversion,
                                       gboolean *ret_help, GError **error)
{
    if (cli_args_has(args, "compress"))
        conversion->flags |= CST_CONVERT_COMPRESS;
    if (cli_args_has(args, "drop-sector-size"))
        conversion->flags |= CST_CONVERT_DROP_SECTOR_SIZE;
    if (cli_args_has(args, "target-is-zero"))
        conversion->flags |= CST_CONVERT_TARGET_ZERO;
    return read_paths(args, conversion, error) &&
           cli_image_target_format(args, &conversion->format, error) &&
           cli_image_options(ctl, args, conversion->format, &conversion->options, ret_help,
                             error) &&
           check_combination(args, error) && cli_image_cache(args, &conversion->unsafe, error) &&
           read_zero_run(args, conversion, error) && convert_read_backing(args, conversion, error);
}

/* --- sources --------------------------------------------------------------------------------- */

CstBlob *cli_image_written_file(CstChain *chain, guint first, char **ret_who)
{
    g_autoptr(GPtrArray) files = cst_chain_files(chain);

    for (guint i = first; i < files->len; i++) {
        CstBlob *blob = g_ptr_array_index(files, i);

        if (!cst_chain_writes(chain, blob) && cst_image_is_written(blob, ret_who))
            return cst_blob_ref(blob);
    }
    return NULL;
}

/**
 * Fail with BUSY if a program writes to the source, because a copy takes too long for a mere
 * warning.
 */
gboolean cli_image_check_at_rest(const CliArgs *args, CstChain *source, GError **error)
{
    g_autofree char *who = NULL;
    g_autoptr(CstBlob) blob =
        cli_args_has(args, "force-share") ? NULL : cli_image_written_file(source, 0, &who);

    return !blob || cst_fail(error, CST_ERROR_BUSY,
                             _("'%s' is being written by %s; stop it before the image is copied, "
                               "or say --force-share"),
                             blob->name, who);
}

GArray *cli_image_stamps(const CliArgs *args, CstChain *source)
{
    GArray *stamps = g_array_new(FALSE, FALSE, sizeof(CstFileStamp));
    g_autoptr(GPtrArray) files = cst_chain_files(source);

    for (guint i = 0; i < files->len; i++) {
        CstBlob *blob = g_ptr_array_index(files, i);
        const CstFileStamp stamp = blob->writable || cli_args_has(args, "force-share")
                                       ? (CstFileStamp){0}
                                       : cst_image_stamp(blob);

        g_array_append_val(stamps, stamp);
    }
    return stamps;
}

gboolean cli_image_is_as_before(CstChain *source, const GArray *stamps, GError **error)
{
    g_autoptr(GPtrArray) files = cst_chain_files(source);

    for (guint i = 0; i < stamps->len; i++) {
        CstBlob *blob = g_ptr_array_index(files, i);

        if (!cst_image_is_as_before(blob, &g_array_index(stamps, CstFileStamp, i), blob->name,
                                    error))
            return FALSE;
    }
    return TRUE;
}

/* Limit @access to the users with access to all files of @source. */
static void restrict_access(CstAccess *access, CstChain *source)
{
    g_autoptr(GPtrArray) files = cst_chain_files(source);
    struct stat st;

    for (guint i = 0; i < files->len; i++)
        if (fstat(cst_blob_file_fd(g_ptr_array_index(files, i)), &st) == 0)
            cst_access_restrict(access, st.st_mode, st.st_gid);
}

/* Return: TRUE if @blob is one of cst_chain_files() from @first on. */
static gboolean chain_has_file(CstChain *chain, guint first, CstBlob *blob)
{
    g_autoptr(GPtrArray) files = cst_chain_files(chain);

    for (guint i = first; i < files->len; i++)
        if (cst_blob_is_same_file(blob, g_ptr_array_index(files, i)))
            return TRUE;
    return FALSE;
}

gboolean cli_image_target_restrict(CliImageTarget *target, CstChain *source, GError **error)
{
    restrict_access(&target->access, source);
    return !target->old || !chain_has_file(source, 1, target->old) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("'%s' holds content of '%s', which would be lost; give another "
                      "target"),
                    target->path, cst_chain_blob(source, 0)->name);
}

/** Concatenate the sources. Each but the last is padded to a multiple of a sector. */
static gboolean join_sources(Conversion *conversion, GError **error)
{
    g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(CstBlobPart));

    for (guint i = 0; i < conversion->chains->len; i++) {
        CstBlobPart part = {.blob = cst_chain_guest(g_ptr_array_index(conversion->chains, i))};
        CstBlobPart rest = {0};

        if (!cst_blob_get_size(part.blob, &part.length, error))
            return FALSE;
        rest.length = i + 1 < conversion->chains->len ? -part.length % SECTOR : 0;
        g_array_append_val(parts, part);
        g_array_append_val(parts, rest);
    }
    conversion->from = parts->len > 2 ? cst_blob_join((const CstBlobPart *)(void *)parts->data,
                                                      parts->len, conversion->names)
                                      : cst_blob_ref(g_array_index(parts, CstBlobPart, 0).blob);
    return TRUE;
}

/*
 * With one source, the engine applies the rule for the sector size. It does not know the sectors of
 * several sources, so it is applied to each of them.
 */
static gboolean convert_keep_sector_size(const CliArgs *args, Conversion *conversion,
                                         CstChain *chain, GError **error)
{
    return conversion->paths->len == 1 ||
           cli_image_keep_sector_size(args, chain, conversion->format, &conversion->options.create,
                                      error);
}

static gboolean open_sources(CliCtl *ctl, const CliArgs *args, Conversion *conversion,
                             GError **error)
{
    const char *snapshot = NULL;

    if (!cli_args_string(args, "snapshot", &snapshot, error))
        return FALSE;
    conversion->stamps = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    conversion->chains = g_ptr_array_new_with_free_func((GDestroyNotify)cst_chain_free);
    for (guint i = 0; i < conversion->paths->len; i++) {
        CstChain *chain = cli_image_source_path(ctl, args, g_ptr_array_index(conversion->paths, i),
                                                "source-format", snapshot, error);

        if (!chain)
            return FALSE;
        g_ptr_array_add(conversion->chains, chain);
        g_ptr_array_add(conversion->stamps, cli_image_stamps(args, chain));
        if (!cli_image_check_at_rest(args, chain, error) ||
            !convert_keep_sector_size(args, conversion, chain, error))
            return FALSE;
    }
    return join_sources(conversion, error);
}

/* --- target ---------------------------------------------------------------------------------- */

/**
 * Open the backing file relative to the target's directory, as readers of the reference will do.
 */
static gboolean convert_open_backing(CliCtl *ctl, const CliArgs *args, Conversion *conversion,
                                     GError **error)
{
    CstImageCreate *create = &conversion->options.create;
    const CstChainFiles files = cli_image_files(ctl);
    const CstImageFormat *format = cst_image_format_find(create->backing_format, error);
    g_autofree char *path = cst_path_named(conversion->path, create->backing);
    g_autoptr(CstBlob) blob = NULL;

    if (!format)
        return FALSE;
    if (!path)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is no file; a copy can't be based on it"), create->backing);
    blob = cli_image_blob(ctl, path, FALSE, error);
    if (!blob || !cli_image_may_follow(args, blob, format, error))
        return FALSE;
    conversion->backing = cst_chain_open(blob, format, 0, &files, error);
    if (!conversion->backing)
        return FALSE;
    create->backing_guest = cst_chain_guest(conversion->backing);
    return TRUE;
}

/** Fail with INVALID if the target is one of the source files. */
static gboolean check_apart(const Conversion *conversion, CstBlob *target, GError **error)
{
    for (guint i = 0; i < conversion->chains->len; i++)
        if (chain_has_file(g_ptr_array_index(conversion->chains, i), 0, target))
            return cst_fail(
                error, CST_ERROR_INVALID,
                _("'%s' is read and can't be written to at the same time; give another target"),
                target->name);
    return TRUE;
}

/** Open the existing image for writing. */
static gboolean convert_open_existing(CliCtl *ctl, const CliArgs *args, Conversion *conversion,
                                      GError **error)
{
    const CstChainFiles files = cli_image_files(ctl);
    g_autoptr(CstBlob) blob = cli_image_blob(ctl, conversion->path, TRUE, error);

    if (!blob || !check_apart(conversion, blob, error) ||
        !cli_image_may_follow(args, blob, conversion->format, error) ||
        !cli_confirm(ctl, error, _("Overwrite the content of image '%s'?"), conversion->path))
        return FALSE;
    if (conversion->unsafe)
        cst_blob_file_skip_sync(blob);
    conversion->there = cst_chain_open(blob, conversion->format, CST_IMAGE_WRITE, &files, error);
    return conversion->there != NULL;
}

static gboolean open_new(CliCtl *ctl, const CliArgs *args, Conversion *conversion, GError **error)
{
    const gboolean whole = conversion->scans && conversion->zero_run == 0;

    if ((conversion->options.create.backing &&
         !convert_open_backing(ctl, args, conversion, error)) ||
        !cli_image_check_room(conversion->path, conversion->from, &conversion->options.create,
                              whole, (conversion->flags & CST_CONVERT_COMPRESS) != 0, error) ||
        !cli_image_target_open(ctl, conversion->path, &conversion->target, error))
        return FALSE;
    for (guint i = 0; i < conversion->chains->len; i++)
        if (!cli_image_target_restrict(&conversion->target,
                                       g_ptr_array_index(conversion->chains, i), error))
            return FALSE;
    return TRUE;
}

/* --- conversion ------------------------------------------------------------------------------ */

static gboolean make_new(Conversion *conversion, CstTask *task, GError **error)
{
    CstImageCreate *create = &conversion->options.create;
    CstBlob *draft = conversion->target.blob;
    const CstImageFiles files = cli_image_target_files(&conversion->target);
    /* A draft is a new file and reads as zeroes. A device keeps its former content. */
    unsigned flags = conversion->flags | (conversion->target.dir ? CST_CONVERT_TARGET_ZERO : 0);

    if (conversion->unsafe)
        cli_image_target_skip_sync(&conversion->target);
    create->files = &files;
    create->file_name = conversion->target.name;
    return conversion->scans
               ? cst_image_convert_sparse(conversion->from, draft, conversion->format, create,
                                          conversion->zero_run, flags, task, error)
               : cst_image_convert(conversion->from, draft, conversion->format, create, flags, task,
                                   error);
}

static gboolean run_conversion(CstTask *task, gpointer data, GError **error)
{
    Conversion *conversion = data;

    if (!conversion->there)
        return make_new(conversion, task, error);
    return cst_image_overwrite(conversion->from, cst_chain_guest(conversion->there),
                               conversion->scans ? &conversion->zero_run : NULL, conversion->flags,
                               task, error);
}

static gboolean sources_are_as_before(const Conversion *conversion, GError **error)
{
    for (guint i = 0; i < conversion->chains->len; i++)
        if (!cli_image_is_as_before(g_ptr_array_index(conversion->chains, i),
                                    g_ptr_array_index(conversion->stamps, i), error))
            return FALSE;
    return TRUE;
}

static gboolean cmd_image_convert(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Conversion) conversion = {0};
    gboolean help, there = cli_args_has(args, "no-create");

    if (!convert_read_arguments(ctl, args, &conversion, &help, error))
        return FALSE;
    if (help)
        return TRUE;
    if (!open_sources(ctl, args, &conversion, error))
        return FALSE;
    cli_plan(ctl, _("Would convert image %s to %s, format %s"), conversion.names, conversion.path,
             cst_image_format_name(conversion.format));
    if (!(there ? convert_open_existing(ctl, args, &conversion, error)
                : open_new(ctl, args, &conversion, error)) ||
        !cli_run_task(ctl, _("Converting"), run_conversion, &conversion, error) ||
        !sources_are_as_before(&conversion, error) ||
        (!there && !cli_image_target_commit(&conversion.target, error)))
        return cli_failed(ctl, _("Failed to convert image %s"), conversion.names);
    for (guint i = 0; i < conversion.chains->len; i++)
        cli_image_warn_of_sector_size(ctl, g_ptr_array_index(conversion.chains, i),
                                      conversion.format);
    cli_done_sized(ctl, "image", conversion.path, cli_image_made_size(conversion.from),
                   _("Image %s converted to %s"), conversion.names, conversion.path);
    return TRUE;
}

static const CliOption convert_options[] = {
    CLI_REQUIRED("source", N_("image to read")),
    CLI_REQUIRED("target", N_("image file or block device to write")),
    {.name = "more",
     .kind = CLI_OPT_ARGV,
     .help = N_("further images, copied one after the other; the last plain word is the target")},
    FORMAT("source-format", 'f', N_("format of the source; else it is looked for")),
    FORMAT("target-format", 'O', N_("format of the new image; default: raw")),
    CLI_IMAGE_OPTIONS,
    {.name = "backing",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'B',
     .help = N_("backing file of the new image, as seen from its directory; only the differences "
                "are copied")},
    FORMAT("backing-format", 'F', N_("format of that image")),
    CLI_COMPRESS,
    CLI_DROP_SECTOR_SIZE,
    {.name = "no-create",
     .kind = CLI_OPT_BOOL,
     .letter = 'n',
     .help = N_("copy into the image that is there, which is large enough")},
    CLI_SWITCH("target-is-zero", N_("the block device or image reads as zeroes already")),
    {.name = "sparse-size",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'S',
     .help = N_("shortest run of zeroes that is left out, as 4k; 0: all of them take space")},
    {.name = "offload",
     .kind = CLI_OPT_BOOL,
     .letter = 'C',
     .help = N_("let the kernel copy, or share extents, where it can; done without saying")},
    FROM_SNAPSHOT,
    CACHE,
    RATE_LIMIT,
    FOLLOW,
    DATA_FILE,
    FORCE_SHARE,
    {0},
};

const CliCommand cli_image_convert_command = {
    .name = "image-convert",
    .summary = N_("copy an image into another format"),
    .description = N_(
        "The copy has all guest-visible content of the source. A source with backing files needs "
        "--backing-chain. The target is created as by image-create. Zeroes take no space in it, "
        "and two raw files share data if the file system can. With --backing only the differences "
        "from the backing file are copied. With --no-create the content of an existing image is "
        "overwritten in place. An image that another program is writing to is refused unless "
        "--force-share is given, because the copy would mix content of different points in time."),
    .options = convert_options,
    .handler = cmd_image_convert,
    .flags = OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
