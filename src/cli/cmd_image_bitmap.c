/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/bitmap.h>

#include "table.h"

/* --- showing --------------------------------------------------------------------------------- */

/* Flags are words of qemu-img. */
static const char *in_use_flag(const CstImageBitmap *bitmap)
{
    return bitmap->inconsistent ? "in-use" : NULL;
}

static const char *auto_flag(const CstImageBitmap *bitmap)
{
    return bitmap->enabled ? "auto" : NULL;
}

void cli_image_print_bitmaps(CliCtl *ctl, const GPtrArray *bitmaps)
{
    static const CliColumn columns[] = {
        {.title = N_("Name"), .key = "name", .kind = CLI_CELL_TEXT},
        {.title = N_("Granularity"), .key = "granularity", .kind = CLI_CELL_SIZE},
        {.title = N_("Flags"), .key = "flags", .kind = CLI_CELL_TEXT},
    };
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));

    for (guint i = 0; i < bitmaps->len; i++) {
        const CstImageBitmap *bitmap = g_ptr_array_index(bitmaps, i);
        const char *in_use = in_use_flag(bitmap), *tracks = auto_flag(bitmap);
        g_autofree char *flags = g_strconcat(in_use ? in_use : "", in_use && tracks ? " " : "",
                                             tracks ? tracks : "", NULL);

        cli_table_add_text(table, bitmap->name);
        cli_table_add_size(table, bitmap->granularity);
        cli_table_add_text(table, *flags ? flags : "-");
    }
    cli_table_print(ctl, table, "bitmaps");
}

void cli_image_add_bitmaps(JsonBuilder *json, const GPtrArray *bitmaps)
{
    json_builder_set_member_name(json, "bitmaps");
    json_builder_begin_array(json);
    for (guint i = 0; i < bitmaps->len; i++) {
        const CstImageBitmap *bitmap = g_ptr_array_index(bitmaps, i);

        json_builder_begin_object(json);
        cli_json_add_string(json, "name", bitmap->name);
        cli_json_add_size(json, "granularity", bitmap->granularity);
        json_builder_set_member_name(json, "flags");
        json_builder_begin_array(json);
        if (in_use_flag(bitmap))
            json_builder_add_string_value(json, in_use_flag(bitmap));
        if (auto_flag(bitmap))
            json_builder_add_string_value(json, auto_flag(bitmap));
        json_builder_end_array(json);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

/* --- changing -------------------------------------------------------------------------------- */

/** What is to be done, in the order of the command line. */
typedef struct {
    const CliArgs *args;
    const char *name;
    uint64_t granularity; /**< 0: the default */
    CstImage *image;
    CstImage *source; /**< of --merge; NULL: the image itself */
} Work;

typedef gboolean (*DoFunc)(const Work *work, const char *value, GError **error);

static gboolean add(const Work *work, const char *value, GError **error)
{
    return cst_image_bitmap_add(work->image, work->name, work->granularity, TRUE, error);
}

static gboolean remove_it(const Work *work, const char *value, GError **error)
{
    return cst_image_bitmap_remove(work->image, work->name, error);
}

static gboolean clear(const Work *work, const char *value, GError **error)
{
    return cst_image_bitmap_clear(work->image, work->name, error);
}

static gboolean enable(const Work *work, const char *value, GError **error)
{
    return cst_image_bitmap_enable(work->image, work->name, TRUE, error);
}

static gboolean disable(const Work *work, const char *value, GError **error)
{
    return cst_image_bitmap_enable(work->image, work->name, FALSE, error);
}

static gboolean merge(const Work *work, const char *value, GError **error)
{
    return cst_image_bitmap_merge(work->image, work->name,
                                  work->source ? work->source : work->image, value, error);
}

static const struct {
    const char *option;
    DoFunc run;
} deeds[] = {
    {"add", add},       {"remove", remove_it}, {"clear", clear},
    {"enable", enable}, {"disable", disable},  {"merge", merge},
};

/** The deed that @option asks for; NULL: none. */
static DoFunc deed_of(const char *option)
{
    for (size_t i = 0; i < G_N_ELEMENTS(deeds); i++)
        if (strcmp(deeds[i].option, option) == 0)
            return deeds[i].run;
    return NULL;
}

static gboolean run_deeds(CstTask *task, gpointer data, GError **error)
{
    const Work *work = data;

    for (guint i = 0; i < work->args->items->len; i++) {
        const CliArg *item = &g_array_index(work->args->items, CliArg, i);
        DoFunc run = deed_of(item->option->name);

        if (run && (!cst_task_check(task, error) || !run(work, item->value, error)))
            return FALSE;
    }
    return cst_image_flush(work->image, error);
}

static gboolean check_arguments(const CliArgs *args, GError **error)
{
    guint count = 0;

    for (guint i = 0; i < args->items->len; i++)
        count += deed_of(g_array_index(args->items, CliArg, i).option->name) != NULL;
    if (count == 0)
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("give one or more of --add, --remove, --clear, --enable, --disable and "
                          "--merge"));
    if (cli_args_has(args, "granularity") && !cli_args_has(args, "add"))
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("--granularity needs --add"));
    if (cli_args_has(args, "source-file") && !cli_args_has(args, "merge"))
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("--source-file needs --merge"));
    if (cli_args_has(args, "source-format") && !cli_args_has(args, "source-file"))
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("--source-format needs --source-file"));
    return TRUE;
}

/** The image that --merge takes a bitmap of; what it is based on does not matter. */
static gboolean open_source(CliCtl *ctl, const CliArgs *args, CstImage **ret_source, GError **error)
{
    const char *path = NULL, *name = NULL;
    const CstImageFormat *format;
    g_autoptr(CstBlob) blob = NULL;

    if (!cli_args_string(args, "source-file", &path, error) ||
        !cli_args_string(args, "source-format", &name, error))
        return FALSE;
    if (!path)
        return TRUE;
    blob = cli_image_blob(ctl, path, FALSE, error);
    format = blob ? cli_image_format(ctl, blob, name, error) : NULL;
    *ret_source = format ? cst_image_open(blob, format, 0, NULL, error) : NULL;
    return *ret_source != NULL;
}

static gboolean work_on(CliCtl *ctl, const CliArgs *args, Work *work, const char *path,
                        GError **error)
{
    const CstChainFiles files = cst_path_files(0);
    g_autoptr(CstChain) chain = cli_image_open_changing(ctl, args, &files, error);

    if (!chain || !open_source(ctl, args, &work->source, error))
        return FALSE;
    if (cli_dry_run(ctl, _("Would change bitmap %s of image %s"), work->name, path))
        return TRUE;
    work->image = cst_chain_image(chain);
    if (!cli_run_task(ctl, _("Working"), run_deeds, work, error))
        return cli_failed(ctl, _("Failed to change bitmap %s of image %s"), work->name, path);
    cli_done(ctl, "bitmap", work->name, _("Bitmap %s of image %s changed"), work->name, path);
    return TRUE;
}

gboolean cli_cmd_image_bitmap(CliCtl *ctl, const CliArgs *args, GError **error)
{
    Work work = {.args = args};
    const char *path = NULL;
    gboolean ok;

    if (!cli_args_string(args, "file", &path, error) ||
        !cli_args_string(args, "bitmap", &work.name, error) || !check_arguments(args, error) ||
        !cli_args_size(args, "granularity", 1, &work.granularity, error))
        return FALSE;
    ok = work_on(ctl, args, &work, path, error);
    cst_image_free(work.source);
    return ok;
}
