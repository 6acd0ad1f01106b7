/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-dd: copies a range of an image's guest-visible content into a new image. The operands have
 * the syntax of dd(1). A blob restricts the source to the range, so that the copy is an ordinary
 * conversion, with holes, shared extents and progress. The new image is a draft until it is
 * complete (target.c).
 */
#include "image.h"

#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <blob/copy.h>
#include <image/convert.h>

#include "options.h"
#include "output/progress.h"
#include "output/report.h"

#define BLOCK_SIZE_DEFAULT 512
#define BLOCK_SIZE_MAX     G_MAXINT32

/** The parameters and the state of one copy. */
typedef struct {
    const char *input, *output;
    uint64_t block_size;
    uint64_t count; /**< in blocks; G_MAXUINT64: up to the end */
    uint64_t skip;  /**< in blocks */
    const CstImageFormat *format;
    CstChain *source;
    CstBlob *stretch;
    CstImageCreate create;
    CliImageTarget target;
} Copying;

static void copying_clear(Copying *copying)
{
    if (copying->stretch)
        cst_blob_unref(copying->stretch);
    cst_chain_free(copying->source);
    cli_image_target_clear(&copying->target);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Copying, copying_clear)

static gboolean read_operand(const char *word, Copying *copying, GError **error)
{
    const struct {
        const char *name;
        const char **text;
        uint64_t *number;
    } operands[] = {
        {"if=", &copying->input, NULL},      {"of=", &copying->output, NULL},
        {"bs=", NULL, &copying->block_size}, {"count=", NULL, &copying->count},
        {"skip=", NULL, &copying->skip},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(operands); i++) {
        const char *value = word + strlen(operands[i].name);

        if (!g_str_has_prefix(word, operands[i].name))
            continue;
        if (operands[i].text)
            *operands[i].text = value;
        return operands[i].text || cst_units_parse(value, 1, operands[i].number, NULL) ||
               cst_fail(error, CST_ERROR_USAGE, _("operand '%s' needs a number, as in bs=64k"),
                        word);
    }
    return cst_fail(error, CST_ERROR_USAGE,
                    _("unknown operand '%s'; use if=, of=, bs=, count= and skip="), word);
}

static gboolean read_operands(const CliArgs *args, Copying *copying, GError **error)
{
    g_autoptr(GPtrArray) words = cli_args_rest(args);

    copying->block_size = BLOCK_SIZE_DEFAULT;
    copying->count = G_MAXUINT64;
    for (guint i = 0; i < words->len; i++)
        if (!read_operand(g_ptr_array_index(words, i), copying, error))
            return FALSE;
    if (!copying->input || !*copying->input || !copying->output || !*copying->output)
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("give the source with if=FILE and the target with of=FILE"));
    if (copying->block_size == 0 || copying->block_size > BLOCK_SIZE_MAX)
        return cst_fail(error, CST_ERROR_USAGE, _("bs= must be from 1 to %d bytes"),
                        BLOCK_SIZE_MAX);
    return TRUE;
}

/** Restrict the source to count= blocks from skip= on, or to the rest of the image. */
static gboolean dd_restrict_source(Copying *copying, GError **error)
{
    CstBlobPart part = {.blob = cst_chain_guest(copying->source)};
    uint64_t size;

    if (!cst_blob_get_size(part.blob, &size, error))
        return FALSE;
    if (copying->skip > size / copying->block_size)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("skip= leads past the end of '%s', which has %" PRIu64
                          " blocks of %" PRIu64 " bytes"),
                        copying->input, size / copying->block_size, copying->block_size);
    part.offset = copying->skip * copying->block_size;
    part.length = size - part.offset;
    if (copying->count < part.length / copying->block_size)
        part.length = copying->count * copying->block_size;
    copying->stretch = cst_blob_join(&part, 1, copying->input);
    return TRUE;
}

static gboolean run_copy(CstTask *task, gpointer data, GError **error)
{
    Copying *copying = data;
    CstBlob *draft = copying->target.blob;
    const CstImageFiles files = cst_path_parts(draft);

    copying->create.files = &files;
    copying->create.file_name = copying->target.name;
    return cst_image_convert(copying->stretch, draft, copying->format, &copying->create,
                             copying->target.dir ? CST_CONVERT_TARGET_ZERO : 0, task, error);
}

static gboolean cmd_dd(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Copying) copying = {0};
    g_autoptr(GArray) stamps = NULL;

    if (!read_operands(args, &copying, error) ||
        !cli_image_target_format(args, &copying.format, error))
        return FALSE;
    copying.source = cli_image_source_path(ctl, args, copying.input, "source-format", NULL, error);
    stamps = copying.source ? cli_image_stamps(args, copying.source) : NULL;
    if (!stamps || !cli_image_check_at_rest(args, copying.source, error) ||
        !cli_image_keep_sector_size(args, copying.source, copying.format, &copying.create, error) ||
        !dd_restrict_source(&copying, error))
        return FALSE;
    cli_plan(ctl, _("Would convert image %s to %s, format %s"), copying.input, copying.output,
             cst_image_format_name(copying.format));
    if (!cli_image_check_room(copying.output, copying.stretch, &(CstImageCreate){0}, FALSE, FALSE,
                              error) ||
        !cli_image_target_open(ctl, copying.output, &copying.target, error))
        return cli_failed(ctl, _("Failed to convert image %s"), copying.input);
    if (!cli_image_target_restrict(&copying.target, copying.source, error) ||
        !cli_run_task(ctl, _("Copying"), run_copy, &copying, error) ||
        !cli_image_is_as_before(copying.source, stamps, error) ||
        !cli_image_target_commit(&copying.target, error))
        return cli_failed(ctl, _("Failed to convert image %s"), copying.input);
    cli_image_warn_of_sector_size(ctl, copying.source, copying.format);
    cli_done_sized(ctl, "image", copying.output, cli_image_made_size(copying.stretch),
                   _("Image %s converted to %s"), copying.input, copying.output);
    return TRUE;
}

static const CliOption dd_options[] = {
    {.name = "operand",
     .kind = CLI_OPT_ARGV,
     .flags = CLI_OPT_REQUIRED,
     .help = N_("if=FILE, of=FILE, bs=SIZE, count=BLOCKS and skip=BLOCKS, as of dd(1)")},
    FORMAT("source-format", 'f', N_("format of the source; else it is looked for")),
    FORMAT("target-format", 'O', N_("format of the new image; default: raw")),
    CLI_DROP_SECTOR_SIZE,
    RATE_LIMIT,
    FOLLOW,
    DATA_FILE,
    FORCE_SHARE,
    {0},
};

const CliCommand cli_image_dd_command = {
    .name = "image-dd",
    .summary = N_("copy a part of an image"),
    .description = N_("Copy count= blocks of bs= bytes (512), from block skip= on, of the "
                      "guest-visible content of if= into the new image of=. Numbers may have "
                      "units, as 1M. The target is created as by image-create."),
    .options = dd_options,
    .handler = cmd_dd,
    .flags = OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
