/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-create: creates an empty image, standalone or with a backing file. This file also parses -o
 * for all commands that create images. The image is created as a draft (target.c). Its backing file
 * is opened only to read its size, without its own backing file.
 */
#include "image.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "options.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"

void cli_image_print_options(CliCtl *ctl, const CstImageFormat *format, const GPtrArray *options)
{
    static const CliColumn columns[] = {
        {.title = "", .key = "name", .kind = CLI_CELL_TEXT},
        {.title = "", .key = "value", .kind = CLI_CELL_TEXT},
        {.title = "", .key = "help", .kind = CLI_CELL_TEXT},
    };
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    const CliFact fact = cli_fact_text("format", NULL, cst_image_format_name(format));
    CliSheet sheet;

    cli_print(ctl, _("Options of format %s:\n"), cst_image_format_name(format));
    for (guint i = 0; i < options->len; i++) {
        const CstImageOption *option = g_ptr_array_index(options, i);
        g_autofree char *usage = g_strdup_printf("%s=%s", option->name, option->value);

        cli_print(ctl, "  %-40s %s\n", usage, _(option->help));
        cli_table_add_text(table, option->name);
        cli_table_add_text(table, option->value);
        cli_table_add_text(table, option->help);
    }
    if (!ctl->settings.json)
        return;
    cli_sheet_begin(&sheet, ctl);
    cli_sheet_add(&sheet, &fact, 1);
    cli_sheet_add_table(&sheet, "options", table);
    cli_sheet_end(&sheet);
}

gboolean cli_image_asks_for_help(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text ? text : "", ",", -1);

    return g_strv_contains((const char *const *)words, "help") ||
           g_strv_contains((const char *const *)words, "?");
}

gboolean cli_image_option_help(CliCtl *ctl, const CliArgs *args, const char *name,
                               const char **ret_text, gboolean *ret_help, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(name, error);

    *ret_help = FALSE;
    if (!format || !cli_args_string(args, "options", ret_text, error))
        return FALSE;
    if (!cst_image_format_can_create(format))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' can't be created"),
                        cst_image_format_name(format));
    if (cli_image_asks_for_help(*ret_text)) {
        g_autoptr(GPtrArray) options = cst_image_options_of(format);

        cli_image_print_options(ctl, format, options);
        *ret_help = TRUE;
    }
    return TRUE;
}

gboolean cli_image_options(CliCtl *ctl, const CliArgs *args, const CstImageFormat *format,
                           CstImageOptions *options, gboolean *ret_help, GError **error)
{
    const char *text = NULL;

    return cli_image_option_help(ctl, args, cst_image_format_name(format), &text, ret_help,
                                 error) &&
           (*ret_help || cst_image_options_parse(options, format, text ? text : "", error));
}

/** The parameters and the state of one creation. */
typedef struct {
    const char *path;
    const CstImageFormat *format;
    CstImageOptions options;
    CliImageTarget target;
    CstChain *backing; /**< NULL: standalone, or not opened */
} Creation;

static void image_creation_clear(Creation *creation)
{
    cst_chain_free(creation->backing);
    cst_image_options_clear(&creation->options);
    cli_image_target_clear(&creation->target);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Creation, image_creation_clear)

/** Check that the backing file exists, and get its size. Its own backing file is not opened. */
static gboolean creation_check_backing(CliCtl *ctl, Creation *creation, GError **error)
{
    CstImageCreate *create = &creation->options.create;
    const CstChainFiles files = cst_path_files(0);
    g_autofree char *path = cst_path_named(creation->path, create->backing);
    const CstImageFormat *format;
    g_autoptr(CstBlob) blob = NULL;

    if (!path)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is no file; --unsafe takes it without looking"), create->backing);
    if (!cli_backing_format_given(create->backing_format, "backing-format", error))
        return FALSE;
    format = cst_image_format_find(create->backing_format, error);
    blob = format ? cli_image_blob(ctl, path, FALSE, error) : NULL;
    creation->backing = blob ? cst_chain_open(blob, format, 0, &files, error) : NULL;
    if (!creation->backing)
        return FALSE;
    if (!creation->options.has_size)
        create->capacity = cst_image_capacity(cst_chain_image(creation->backing));
    creation->options.has_size = TRUE;
    create->backing_guest = cst_chain_guest(creation->backing);
    cli_image_warn_of_sector_size(ctl, creation->backing, creation->format);
    return TRUE;
}

static gboolean create_read_arguments(CliCtl *ctl, const CliArgs *args, Creation *creation,
                                      GError **error)
{
    CstImageCreate *create = &creation->options.create;
    const char *backing = NULL, *backing_format = NULL;

    if (!cli_args_string(args, "backing", &backing, error) ||
        !cli_args_string(args, "backing-format", &backing_format, error))
        return FALSE;
    if (backing)
        create->backing = backing;
    if (backing_format)
        create->backing_format = backing_format;
    if (cli_args_has(args, "size")) {
        if (creation->options.has_size)
            return cst_fail(
                error, CST_ERROR_USAGE, "%s",
                _("the size is given twice, also as an option of the format; leave one out"));
        if (!cli_args_size(args, "size", 1, &create->capacity, error))
            return FALSE;
        creation->options.has_size = TRUE;
    }
    if (create->backing_format && !cst_image_format_find(create->backing_format, error))
        return FALSE;
    if (create->backing && !cli_args_has(args, "unsafe") &&
        !creation_check_backing(ctl, creation, error))
        return FALSE;
    return creation->options.has_size ||
           cst_fail(error, CST_ERROR_USAGE, "%s",
                    _("an image without backing file needs a <size>"));
}

static gboolean run_image_creation(CstTask *task, gpointer data, GError **error)
{
    Creation *creation = data;
    CstImageOptions *options = &creation->options;
    const CstImageFiles files = cli_image_target_files(&creation->target);

    cst_task_set_total(task, options->create.capacity);
    options->create.files = &files;
    options->create.file_name = creation->target.name;
    return cst_image_create(creation->target.blob, creation->format, &options->create, task,
                            error) &&
           cst_blob_flush(creation->target.blob, error);
}

static gboolean cmd_image_create(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Creation) creation = {0};
    g_autofree char *size = NULL;
    gboolean help;

    if (!cli_args_string(args, "file", &creation.path, error) ||
        !cli_image_format_arg(args, "format", &creation.format, error) ||
        !cli_image_options(ctl, args, creation.format, &creation.options, &help, error))
        return FALSE;
    if (help)
        return TRUE;
    if (!creation.path)
        return cst_fail(error, CST_ERROR_USAGE, _("command '%s' requires <%s> option"),
                        args->command->name, "file");
    if (!create_read_arguments(ctl, args, &creation, error))
        return FALSE;
    size = cli_image_size_text(ctl, creation.options.create.capacity);
    cli_plan(ctl, _("Would create image %s of format %s, %s"), creation.path,
             cst_image_format_name(creation.format), size);
    if (!cli_image_target_open(ctl, creation.path, &creation.target, error) ||
        !cli_run_task(ctl, _("Creating"), run_image_creation, &creation, error) ||
        !cli_image_target_commit(&creation.target, error))
        return cli_failed(ctl, _("Failed to create image %s"), creation.path);
    cli_done_sized(ctl, "image", creation.path, creation.options.create.capacity,
                   _("Image %s created"), creation.path);
    return TRUE;
}

static const CliOption create_options[] = {
    CLI_STRING("file", N_("image file or block device to write")),
    CLI_STRING("size", N_("capacity, as 10G; default: that of the backing file")),
    TARGET_FORMAT("format", 'f'),
    CLI_IMAGE_OPTIONS,
    {.name = "backing",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'b',
     .help = N_("image that the new one is based on, as seen from its directory")},
    FORMAT("backing-format", 'F', N_("format of that image")),
    {.name = "unsafe",
     .kind = CLI_OPT_BOOL,
     .letter = 'u',
     .help = N_("don't look at the backing file")},
    {0},
};

const CliCommand cli_image_create_command = {
    .name = "image-create",
    .summary = N_("make an empty image"),
    .description = N_("The image is written in a temporary directory and renamed when it is "
                      "complete. An existing file is replaced after a confirmation, or with --yes; "
                      "a block device is overwritten in place. The backing file must exist, and "
                      "its own backing file is not opened."),
    .options = create_options,
    .handler = cmd_image_create,
    .flags = OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
