/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/bitmap.h>
#include <image/snapshot.h>

#include "options.h"
#include "output/json.h"
#include "output/table.h"
#include "output/text.h"

/** One image as it is shown. */
typedef struct {
    const char *path;
    CstImageInfo info;
    uint64_t disk_size;   /**< bytes that the file takes */
    char *full_backing;   /**< path that the reference means; NULL: none */
    GPtrArray *snapshots; /**< of CstImageSnapshot; NULL: none, or unreadable */
    GPtrArray *bitmaps;   /**< of CstImageBitmap; NULL likewise */
    GPtrArray *parts;     /**< of CstImagePart; NULL likewise */
    CstImageLuks luks;
} Shown;

static void shown_clear(Shown *shown)
{
    cst_image_info_clear(&shown->info);
    g_free(shown->full_backing);
    g_clear_pointer(&shown->snapshots, g_ptr_array_unref);
    g_clear_pointer(&shown->bitmaps, g_ptr_array_unref);
    g_clear_pointer(&shown->parts, g_ptr_array_unref);
    cst_image_luks_clear(&shown->luks);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Shown, shown_clear)

/* --- finding out ----------------------------------------------------------------------------- */

/* Lists of any length: only here, not with what is looked up of every image of a pool. */
static void read_lists(Shown *shown, CstBlob *blob)
{
    const CstImageInfo *info = &shown->info;
    CstImage *image = NULL;

    shown->parts = cst_image_inspect_parts(blob, info->format, NULL);
    if (info->encryption)
        cst_image_inspect_luks(blob, info->format, &shown->luks, NULL);
    if (info->corrupt || (info->snapshots == 0 && info->bitmaps == 0))
        return;
    image = cst_image_open(blob, info->format, CST_IMAGE_NO_DATA, NULL, NULL);
    if (image && info->snapshots)
        shown->snapshots = cst_image_snapshot_list(image, NULL);
    if (image && info->bitmaps)
        shown->bitmaps = cst_image_bitmap_list(image, NULL);
    cst_image_free(image);
}

/* Parts are named as seen from here. */
static void name_parts(Shown *shown)
{
    for (guint i = 0; shown->parts && i < shown->parts->len; i++) {
        CstImagePart *part = g_ptr_array_index(shown->parts, i);
        char *path = part->file ? cst_path_named(shown->path, part->file) : g_strdup(shown->path);

        if (!path)
            continue;
        g_free(part->file);
        part->file = path;
    }
}

static gboolean look(CstBlob *blob, const CstImageFormat *format, Shown *shown, GError **error)
{
    struct stat st;

    shown->path = blob->name;
    if (!cst_image_inspect(blob, format, &shown->info, error))
        return FALSE;
    if (fstat(cst_blob_file_fd(blob), &st) == 0)
        shown->disk_size = (uint64_t)st.st_blocks * 512;
    if (shown->info.backing)
        shown->full_backing = cst_path_named(shown->path, shown->info.backing);
    read_lists(shown, blob);
    name_parts(shown);
    return TRUE;
}

/* --- text ------------------------------------------------------------------------------------ */

/** A line; what an image says of itself may hold anything and is escaped. */
static void line(CliCtl *ctl, const char *label, const char *value)
{
    size_t width;
    g_autofree char *shown = value ? cli_table_encode(value, &width) : NULL;

    if (shown)
        cli_print(ctl, "%s: %s\n", label, shown);
}

void cli_image_print_snapshots(CliCtl *ctl, const GPtrArray *snapshots)
{
    static const CliColumn columns[] = {
        {.title = N_("ID"), .key = "id", .kind = CLI_CELL_TEXT},
        {.title = N_("Tag"), .key = "name", .kind = CLI_CELL_TEXT},
        {.title = N_("VM size"), .key = "vm-state-size", .kind = CLI_CELL_SIZE},
        {.title = N_("Date"), .key = "date", .kind = CLI_CELL_TIME, .absent = "-"},
        {.title = N_("VM clock (s)"), .key = "vm-clock-sec", .kind = CLI_CELL_NUMBER},
    };
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));

    for (guint i = 0; i < snapshots->len; i++) {
        const CstImageSnapshot *snapshot = g_ptr_array_index(snapshots, i);

        cli_table_add_text(table, snapshot->id);
        cli_table_add_text(table, snapshot->name);
        cli_table_add_size(table, snapshot->state_size);
        cli_table_add_time(table, (int64_t)snapshot->seconds);
        cli_table_add_number(table, snapshot->clock / 1000000000);
    }
    cli_table_print(ctl, table, "snapshots");
}

static void print_text(CliCtl *ctl, const Shown *shown, gboolean another)
{
    const CstImageInfo *info = &shown->info;
    const CliImageSpecific specific = {info, shown->bitmaps, shown->parts, &shown->luks};
    CliFactSheet sheet = {.ctl = ctl};
    g_autofree char *virtual_size = cli_image_size_text(ctl, info->capacity);
    g_autofree char *digits = g_strdup_printf("%" G_GUINT64_FORMAT, info->capacity);
    g_autofree char *disk_size = cli_image_size_text(ctl, shown->disk_size);

    if (another)
        cli_print(ctl, "\n");
    line(ctl, _("image"), shown->path);
    line(ctl, _("file format"), cst_image_format_name(info->format));
    cli_print(ctl, _("virtual size: %s (%s bytes)\n"), virtual_size, digits);
    line(ctl, _("disk size"), disk_size);
    line(ctl, _("encrypted"), info->encryption);
    if (info->cluster_size)
        cli_print(ctl, "%s: %" G_GUINT64_FORMAT "\n", "cluster_size", info->cluster_size);
    if (info->dirty)
        line(ctl, _("cleanly shut down"), _("no"));
    line(ctl, _("backing file"), info->backing);
    if (g_strcmp0(shown->full_backing, info->backing) != 0)
        line(ctl, _("backing file (actual path)"), shown->full_backing);
    line(ctl, _("backing file format"), info->backing_format);
    line(ctl, info->corrupt ? _("damaged") : _("can't be opened"), info->problem);
    if (shown->snapshots && shown->snapshots->len) {
        cli_print(ctl, "%s", _("Snapshot list:\n"));
        cli_image_print_snapshots(ctl, shown->snapshots);
    }
    cli_image_tell_specific(&sheet, &specific);
}

/* --- JSON, with the members of qemu-img ------------------------------------------------------ */

static void add_if(JsonBuilder *json, const char *key, const char *value)
{
    if (value)
        cli_json_add_string(json, key, value);
}

void cli_image_add_snapshots(JsonBuilder *json, const GPtrArray *snapshots)
{
    json_builder_set_member_name(json, "snapshots");
    json_builder_begin_array(json);
    for (guint i = 0; i < snapshots->len; i++) {
        const CstImageSnapshot *snapshot = g_ptr_array_index(snapshots, i);
        g_autofree char *date = cli_json_time((int64_t)snapshot->seconds);

        json_builder_begin_object(json);
        cli_json_add_string(json, "id", snapshot->id);
        cli_json_add_string(json, "name", snapshot->name);
        cli_json_add_size(json, "vm-state-size", snapshot->state_size);
        cli_json_add_string(json, "date", date);
        cli_json_add_size(json, "date-sec", snapshot->seconds);
        cli_json_add_size(json, "date-nsec", snapshot->nanoseconds);
        cli_json_add_size(json, "vm-clock-sec", snapshot->clock / 1000000000);
        cli_json_add_size(json, "vm-clock-nsec", snapshot->clock % 1000000000);
        cli_json_add_size(json, "virtual-size", snapshot->capacity);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

static void add_json(JsonBuilder *json, const Shown *shown)
{
    const CstImageInfo *info = &shown->info;
    const CliImageSpecific specific = {info, shown->bitmaps, shown->parts, &shown->luks};
    CliFactSheet sheet = {.json = json};

    json_builder_begin_object(json);
    cli_json_add_string(json, "filename", shown->path);
    cli_json_add_string(json, "format", cst_image_format_name(info->format));
    cli_json_add_size(json, "virtual-size", info->capacity);
    cli_json_add_size(json, "actual-size", shown->disk_size);
    if (info->cluster_size)
        cli_json_add_size(json, "cluster-size", info->cluster_size);
    cli_json_add_bool(json, "dirty-flag", info->dirty);
    cli_json_add_bool(json, "corrupt", info->corrupt);
    if (info->encryption) {
        cli_json_add_bool(json, "encrypted", TRUE);
        cli_json_add_string(json, "encryption", info->encryption);
    }
    add_if(json, "backing-filename", info->backing);
    add_if(json, "full-backing-filename", shown->full_backing);
    add_if(json, "backing-filename-format", info->backing_format);
    add_if(json, "problem", info->problem);
    if (shown->snapshots && shown->snapshots->len)
        cli_image_add_snapshots(json, shown->snapshots);
    cli_image_tell_specific(&sheet, &specific);
    json_builder_end_object(json);
}

/* --- the command ------------------------------------------------------------------------------ */

/** What is gathered over all files. */
typedef struct {
    CliCtl *ctl;
    JsonBuilder *json;            /**< NULL: text */
    const CstImageFormat *format; /**< of the files named; NULL: looked for */
    guint shown, failed;
    GError *last; /**< the last failure */
} Run;

static gboolean show(Run *run, CstBlob *blob, const CstImageFormat *format, GError **error)
{
    g_auto(Shown) shown = {0};

    if (!look(blob, format, &shown, error))
        return FALSE;
    if (run->json)
        add_json(run->json, &shown);
    else
        print_text(run->ctl, &shown, run->shown > 0);
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
        if (!show(run, cst_chain_blob(chain, i), cst_chain_info(chain, i)->format, error))
            return FALSE;
    return chain != NULL;
}

static gboolean show_path(Run *run, const char *path, gboolean follow, GError **error)
{
    g_autoptr(CstBlob) blob = cli_image_blob(run->ctl, path, FALSE, error);

    if (!blob)
        return FALSE;
    return follow ? show_chain(run, blob, error) : show(run, blob, run->format, error);
}

/** One failure among several files does not keep the others from being shown. */
static void show_all(Run *run, const GPtrArray *paths, gboolean chain)
{
    for (guint i = 0; i < paths->len; i++) {
        g_autoptr(GError) why = NULL;

        if (show_path(run, g_ptr_array_index(paths, i), chain, &why))
            continue;
        run->failed++;
        if (paths->len > 1 && !run->json) {
            g_autofree char *text = cst_error_text(why);

            cli_complain(run->ctl, "%s", text);
        } else if (paths->len > 1) {
            json_builder_begin_object(run->json);
            cli_json_add_string(run->json, "filename", g_ptr_array_index(paths, i));
            cli_json_add_string(run->json, "error", why->message);
            json_builder_end_object(run->json);
        }
        g_clear_error(&run->last);
        run->last = g_steal_pointer(&why);
    }
}

static gboolean finish(Run *run, guint total, GError **error)
{
    g_autoptr(GError) last = run->last;

    if (run->failed == 0)
        return TRUE;
    if (total == 1) {
        g_propagate_error(error, g_steal_pointer(&last));
        return FALSE;
    }
    if (run->failed == total)
        return cst_fail(error, cst_error_code(last), _("none of %u images could be shown"), total);
    return cst_fail(error, CST_ERROR_PARTIAL, _("%u of %u images could not be shown"), run->failed,
                    total);
}

static gboolean cmd_info(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) paths = cli_args_rest(args);
    Run run = {.ctl = ctl};

    if (!cli_image_format_arg(args, "format", &run.format, error))
        return FALSE;
    if (ctl->settings.json) {
        run.json = cli_json_begin();
        json_builder_set_member_name(run.json, "images");
        json_builder_begin_array(run.json);
    }
    show_all(&run, paths, cli_args_has(args, "backing-chain"));
    if (run.json) {
        json_builder_end_array(run.json);
        if (run.shown || paths->len > 1)
            cli_json_end(ctl->out, run.json);
        else
            g_object_unref(run.json);
    }
    return finish(&run, paths->len, error);
}

static const CliOption info_options[] = {
    {.name = "file",
     .kind = CLI_OPT_ARGV,
     .flags = CLI_OPT_REQUIRED,
     .help = N_("image files or block devices")},
    SOURCE_FORMAT,
    FOLLOW,
    FORCE_SHARE,
    {0},
};

const CliCommand cli_image_info_command = {
    .name = "image-info",
    .summary = N_("describe image files"),
    .description = N_(
        "Shows what images say of themselves. Nothing that an image points to is opened, unless "
        "--backing-chain asks for it. A damaged image is described as far as it can be read, and "
        "the exit status is then 1."),
    .options = info_options,
    .handler = cmd_info,
    .flags = OURS,
};
