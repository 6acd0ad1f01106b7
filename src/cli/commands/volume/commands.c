/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "commands/xml.h"
#include "options.h"
#include "output/confirm.h"
#include "output/json.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"
#include "output/width.h"
#include "volume.h"

/* The texts of this file are virsh's: scripts compare them. */

/** A change of one volume that may take long. */
typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    uint64_t capacity;
    unsigned what; /**< flags, or the algorithm */
} Change;

static gboolean run_delete(CstTask *task, gpointer data, GError **error)
{
    const Change *change = data;

    return cst_conn_vol_delete(change->conn, change->vol, change->what, task, error);
}

static gboolean cmd_delete(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", &name, error);
    Change change = {.conn = ctl->conn, .vol = vol};

    if (!vol)
        return FALSE;
    if (cli_args_has(args, "delete-snapshots"))
        change.what |= CST_VOL_DELETE_WITH_SNAPSHOTS;
    cli_plan(ctl, _("Would delete vol %s"), name);
    if (!cli_confirm(ctl, error, _("Delete vol %s?"), name))
        return FALSE;
    if (!cli_run_task(ctl, _("Deleting"), run_delete, &change, error))
        return cli_failed(ctl, _("Failed to delete vol %s"), name);
    cli_done(ctl, "volume", vol->name, _("Vol %s deleted"), name);
    return TRUE;
}

static gboolean run_wipe(CstTask *task, gpointer data, GError **error)
{
    const Change *change = data;

    return cst_conn_vol_wipe(change->conn, change->vol, change->what, task, error);
}

static gboolean cmd_wipe(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", &name, error);
    Change change = {.conn = ctl->conn, .vol = vol};
    const char *word;
    int algorithm;

    if (!vol || !cli_args_string(args, "algorithm", &word, error))
        return FALSE;
    algorithm = word ? cli_wipe_algorithm(word) : CST_WIPE_ZERO;
    if (algorithm < 0)
        return cst_fail(error, CST_ERROR_USAGE, _("Unsupported algorithm '%s'"), word);
    change.what = algorithm;
    cli_plan(ctl, _("Would wipe vol %s"), name);
    if (!cli_confirm(ctl, error, _("Wipe vol %s?"), name))
        return FALSE;
    if (!cli_run_task(ctl, _("Wiping"), run_wipe, &change, error))
        return cli_failed(ctl, _("Failed to wipe vol %s"), name);
    cli_done(ctl, "volume", vol->name, _("Vol %s wiped"), name);
    return TRUE;
}

/* --- resize ---------------------------------------------------------------------------------- */

/* A size with a sign is a difference; *text moves past the sign. */
static gboolean read_sign(const char **text, unsigned *flags, GError **error)
{
    gboolean shrink = (*flags & CST_VOL_RESIZE_SHRINK) != 0;

    if (**text != '-' && **text != '+')
        return TRUE;
    if (**text == '-' && !shrink)
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("negative size requires --shrink"));
    if (**text == '+' && shrink)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("'%s' grows the volume, which --shrink contradicts: write '-%s' to "
                          "shrink it by that much, or '%s' for the new size"),
                        *text, *text + 1, *text + 1);
    *flags |= CST_VOL_RESIZE_DELTA;
    (*text)++;
    return TRUE;
}

/**
 * The new size, or the difference. virsh reads "+5G" as 5G; no script can mean that. *ret_text: how
 * virsh's messages show the size, without its sign.
 */
static gboolean read_resize(CliCtl *ctl, const CliArgs *args, Change *change, const char **ret_text,
                            GError **error)
{
    const char *text;

    if (!cli_args_string(args, "capacity", &text, error))
        return FALSE;
    while (g_ascii_isspace(*text))
        text++;
    if (cli_args_has(args, "allocate"))
        change->what |= CST_VOL_RESIZE_ALLOCATE;
    if (cli_args_has(args, "shrink"))
        change->what |= CST_VOL_RESIZE_SHRINK;
    if (cli_args_has(args, "delta"))
        change->what |= CST_VOL_RESIZE_DELTA;
    if (!read_sign(&text, &change->what, error))
        return FALSE;
    *ret_text = text;
    return cli_vol_size(ctl, text, &change->capacity, error);
}

static gboolean run_resize(CstTask *task, gpointer data, GError **error)
{
    const Change *change = data;

    return cst_conn_vol_resize(change->conn, change->vol, change->capacity, change->what, task,
                               error);
}

/* A size below the current one is most often a difference that lacks its sign. */
static void hint_at_delta(CliCtl *ctl, const char *size, const GError *why)
{
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_INVALID))
        return;
    g_free(ctl->hint);
    ctl->hint = g_strdup_printf(
        _("%s is the new size; +%s adds to the one that there is, --shrink allows a smaller one"),
        size, size);
}

static gboolean cmd_resize(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    Change change = {.conn = ctl->conn, .vol = vol};
    const char *size = "";
    gboolean delta;

    if (!vol || !read_resize(ctl, args, &change, &size, error))
        return FALSE;
    delta = change.what & CST_VOL_RESIZE_DELTA;
    cli_plan(ctl,
             delta ? _("Would change size of volume '%s' by %s")
                   : _("Would change size of volume '%s' to %s"),
             vol->name, size);
    if ((change.what & CST_VOL_RESIZE_SHRINK) &&
        !cli_confirm(ctl, error, _("Cut off what is at the end of vol %s?"), vol->name))
        return FALSE;
    if (!cli_run_task(ctl, _("Resizing"), run_resize, &change, error)) {
        if (!(change.what & (CST_VOL_RESIZE_SHRINK | CST_VOL_RESIZE_DELTA)))
            hint_at_delta(ctl, size, *error);
        return cli_failed(ctl,
                          delta ? _("Failed to change size of volume '%s' by %s")
                                : _("Failed to change size of volume '%s' to %s"),
                          vol->name, size);
    }
    cli_done(ctl, "volume", vol->name,
             delta ? _("Size of volume '%s' successfully changed by %s")
                   : _("Size of volume '%s' successfully changed to %s"),
             vol->name, size);
    return TRUE;
}

/* --- questions ------------------------------------------------------------------------------- */

static gboolean cmd_dumpxml(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_autofree char *xml = vol ? cst_conn_vol_xml(ctl->conn, vol, 0, error) : NULL;

    return xml && cli_dump_xml(ctl, args, xml, error);
}

static gboolean cmd_key(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);

    if (!vol)
        return FALSE;
    cli_value(ctl, "key", vol->key);
    return TRUE;
}

static gboolean cmd_name(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, NULL, NULL, error);

    if (!vol)
        return FALSE;
    cli_value(ctl, "name", vol->name);
    return TRUE;
}

static gboolean cmd_path(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_autofree char *path = vol ? cst_conn_vol_path(ctl->conn, vol, error) : NULL;

    if (!path)
        return FALSE;
    cli_value(ctl, "path", path);
    return TRUE;
}

static gboolean cmd_pool(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, NULL, NULL, error);
    g_autoptr(CstPoolRef) pool = NULL;
    char uuid[CST_UUID_TEXT_LEN];

    if (!vol)
        return FALSE;
    pool = cst_conn_pool_of_vol(ctl->conn, vol, error);
    if (!pool)
        return cli_failed(ctl, "%s", _("failed to get parent pool"));
    if (cli_args_has(args, "uuid"))
        cli_value(ctl, "uuid", cst_uuid_format(&pool->uuid, uuid));
    else
        cli_value(ctl, "name", pool->name);
    return TRUE;
}

static void print_text(CliCtl *ctl, const char *title, const char *text)
{
    g_autofree char *label = cli_text_pad(title, 15);

    cli_print(ctl, "%s %s\n", label, text);
}

/** Unlike elsewhere, virsh writes "bytes" behind the digits here. */
static void print_size(CliCtl *ctl, const char *title, uint64_t bytes)
{
    g_autofree char *label = cli_text_pad(title, 15);
    const char *unit;
    double value = cst_units_pretty(bytes, &unit);

    if (ctl->settings.bytes)
        cli_print(ctl, "%s %" G_GUINT64_FORMAT " %s\n", label, bytes, _("bytes"));
    else
        cli_print(ctl, "%s %.2lf %s\n", label, value, unit);
}

/* The call that tells the sizes is libvirt's own and has no place for it; the document has. */
static gboolean is_estimated(CliCtl *ctl, const CstVolRef *vol)
{
    g_autofree char *xml = cst_conn_vol_xml(ctl->conn, vol, 0, NULL);

    return xml && cli_xml_has(xml, "//*[local-name()='option'][@name='allocation']"
                                   "[@value='estimate']");
}

/* libvirt's call tells one of the two; the object has both where the server tells both. */
static void add_allocation(CliCtl *ctl, JsonBuilder *json, const CstVolRef *vol,
                           const CstVolInfo *info)
{
    CstVolInfo also;

    cli_json_add_size(json, "allocation", info->allocation);
    cli_json_add_bool(json, "allocation_estimated", is_estimated(ctl, vol));
    if (cst_conn_vol_info(ctl->conn, vol, TRUE, &also, NULL))
        cli_json_add_size(json, "physical", also.physical);
}

static void print_json_info(CliCtl *ctl, const CstVolRef *vol, const CstVolInfo *info,
                            const GPtrArray *problems, gboolean physical)
{
    JsonBuilder *json = cli_json_begin();

    json_builder_set_member_name(json, "volume");
    json_builder_begin_object(json);
    cli_json_add_string(json, "name", vol->name);
    cli_json_add_string(json, "pool", vol->pool);
    cli_json_add_string(json, "key", vol->key);
    cli_json_add_string(json, "type", cli_vol_type_word(info->type));
    cli_json_add_size(json, "capacity", info->capacity);
    if (physical)
        cli_json_add_size(json, "physical", info->physical);
    else
        add_allocation(ctl, json, vol, info);
    cli_vol_add_problems(json, problems);
    json_builder_end_object(json);
    cli_json_end(ctl->out, json);
}

static gboolean cmd_info(CliCtl *ctl, const CliArgs *args, GError **error)
{
    gboolean physical = cli_args_has(args, "physical");
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_autoptr(GPtrArray) problems = NULL;
    CstVolInfo info;

    if (!vol)
        return FALSE;
    print_text(ctl, _("Name:"), vol->name);
    if (!cst_conn_vol_info(ctl->conn, vol, physical, &info, error))
        return FALSE;
    problems = cli_vol_problems(ctl, vol);
    if (ctl->settings.json) {
        print_json_info(ctl, vol, &info, problems, physical);
        return TRUE;
    }
    print_text(ctl, _("Type:"), _(cli_vol_type_word(info.type)));
    print_size(ctl, _("Capacity:"), info.capacity);
    print_size(ctl, physical ? _("Physical:") : _("Allocation:"), info.allocation);
    for (guint i = 0; i < problems->len; i++)
        print_text(ctl, _("Problem:"), g_ptr_array_index(problems, i));
    return TRUE;
}

/* --- the table ------------------------------------------------------------------------------- */

#define KEY           CLI_REQUIRED("vol", N_("volume key or path"), .complete = cli_complete_vol_keys)
#define OF_POOL(text) CLI_REQUIRED("pool", text, .complete = cli_complete_active_pools)
#define XML_FILE      CLI_FILE("file", CLI_OPT_REQUIRED, N_("file containing an XML vol description"))
#define PREALLOC                    \
    CLI_SWITCH("prealloc-metadata", \
               N_("preallocate metadata (for qcow2 instead of full allocation)"))
#define PREALLOCATION \
    CLI_NAMED("preallocation", N_("what to reserve: off, metadata, falloc or full"))
#define REFLINK  CLI_SWITCH("reflink", N_("use btrfs COW lightweight copy"))
#define VALIDATE CLI_SWITCH("validate", N_("validate the XML against the schema"))
#define SPARSE   CLI_SWITCH("sparse", N_("preserve sparseness of volume"))

static const CliOption clone_options[] = {
    VOL,
    CLI_REQUIRED("newname", N_("clone name"), ),
    POOL,
    PREALLOC,
    PREALLOCATION,
    REFLINK,
    CLI_SWITCH("print-xml", N_("print XML document rather than clone the volume")),
    FORCE_SHARE,
    RATE_LIMIT,
    DETACH,
    {0},
};

static const CliOption create_as_options[] = {
    OF_POOL(N_("pool name")),
    CLI_REQUIRED("name", N_("name of the volume"), ),
    CLI_REQUIRED("capacity", N_("size of the vol, as scaled integer (default bytes)"), ),
    CLI_STRING("allocation", N_("initial allocation size, as scaled integer (default bytes)")),
    FORMAT_OPTION("format", N_("file format type %s")),
    CLI_STRING("backing-vol", N_("the backing volume if taking a snapshot")),
    FORMAT_OPTION("backing-vol-format", N_("format of backing volume if taking a snapshot")),
    PREALLOC,
    CLI_SWITCH("print-xml", N_("print XML document, but don't define/create")),
    VALIDATE,
    PREALLOCATION,
    CLI_SWITCH("thin", N_("take space from a thin pool as it is written to (logical pools)")),
    CLI_SWITCH("thick", N_("set all space aside at once, also in a pool of thin volumes")),
    RATE_LIMIT,
    DETACH,
    {0},
};

static const CliOption create_options[] = {
    OF_POOL(N_("pool name")), XML_FILE, PREALLOC, VALIDATE, PREALLOCATION, RATE_LIMIT, DETACH, {0},
};

static const CliOption create_from_options[] = {
    OF_POOL(N_("pool name or uuid")),
    XML_FILE,
    CLI_REQUIRED("vol", N_("vol name, key or path"), .complete = cli_complete_input_vols),
    POOL_OPTION("inputpool", N_("pool name or uuid of the input volume's pool")),
    PREALLOC,
    REFLINK,
    VALIDATE,
    PREALLOCATION,
    FORCE_SHARE,
    RATE_LIMIT,
    DETACH,
    {0},
};

static const CliOption delete_options[] = {
    VOL,
    POOL,
    CLI_SWITCH("delete-snapshots", N_("delete snapshots associated with volume (must be supported "
                                      "by storage driver)")),
    DETACH,
    {0},
};

static const CliOption download_options[] = {
    VOL,
    CLI_FILE("file", CLI_OPT_REQUIRED, N_("file")),
    POOL,
    CLI_NUMBER("offset", N_("volume offset to download from")),
    CLI_NUMBER("length", N_("amount of data to download")),
    SPARSE,
    FORCE_SHARE,
    RATE_LIMIT,
    {0},
};

static const CliOption upload_options[] = {
    VOL,
    CLI_FILE("file", CLI_OPT_REQUIRED, N_("file")),
    POOL,
    CLI_NUMBER("offset", N_("volume offset to upload to")),
    CLI_NUMBER("length", N_("amount of data to upload")),
    SPARSE,
    {.name = "format",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("what the content is; default: what the vol is listed as"),
     .complete = cli_complete_vol_formats},
    {.name = "backing-vol",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("what the content is based on; default: it may name nothing"),
     .complete = cli_complete_vols},
    RATE_LIMIT,
    {0},
};

static const CliOption dumpxml_options[] = {
    VOL,
    POOL,
    CLI_DUMP_XML_OPTIONS,
    {0},
};

static const CliOption info_options[] = {
    VOL,
    POOL,
    CLI_SWITCH("bytes", N_("sizes are represented in bytes rather than pretty units")),
    CLI_SWITCH("physical", N_("return the physical size of the volume in allocation field")),
    {0},
};

static const CliOption key_options[] = {
    CLI_REQUIRED("vol", N_("volume name or path"), .complete = cli_complete_vols),
    POOL,
    {0},
};

static const CliOption list_options[] = {
    OF_POOL(N_("pool name or uuid")),
    CLI_SWITCH("details", N_("display extended details for volumes")),
    {0},
};

static const CliOption name_options[] = {KEY, {0}};

static const CliOption path_options[] = {
    CLI_REQUIRED("vol", N_("volume name or key"), .complete = cli_complete_vols),
    POOL,
    {0},
};

static const CliOption pool_options[] = {
    KEY,
    CLI_SWITCH("uuid", N_("return the pool uuid rather than pool name")),
    {0},
};

static const CliOption resize_options[] = {
    VOL,
    CLI_REQUIRED("capacity", N_("new capacity for the vol, as scaled integer (default bytes)"), ),
    POOL,
    CLI_SWITCH("allocate", N_("allocate the new capacity, rather than leaving it sparse")),
    CLI_SWITCH("delta", N_("use capacity as a delta to current size, rather than the new size")),
    CLI_SWITCH("shrink", N_("allow the resize to shrink the volume")),
    RATE_LIMIT,
    DETACH,
    {0},
};

static const CliOption wipe_options[] = {
    VOL,
    POOL,
    {.name = "algorithm",
     .kind = CLI_OPT_STRING,
     .help = N_("perform selected wiping algorithm"),
     .complete = cli_complete_wipe_algorithms},
    RATE_LIMIT,
    DETACH,
    {0},
};

/* Without a terminal virsh's commands don't ask: scripts run them without --yes. */
const CliCommand cli_vol_commands[] = {
    {"vol-bitmap", N_("change the dirty bitmaps inside a vol's image"),
     N_("For incremental backups of qcow2 volumes. What is asked for is done in the order given, "
        "each step whole or not at all."),
     cli_vol_bitmap_options, cli_cmd_vol_bitmap, CLI_CMD_MUTATES | CLI_CMD_OURS},
    {"vol-chain", N_("what a vol is based on, and what is based on it"),
     N_("Show the tree of backing files, overlays, origins and clones that a volume is part of, "
        "across pools, from what is based on nothing down; a star marks the volume itself. With "
        "--json each volume has its own in \"children\"."),
     cli_vol_chain_options, cli_cmd_vol_chain, CLI_CMD_OURS},
    {"vol-check", N_("verify a vol's image"),
     N_("Verify the metadata of a volume's image, and repair it on request."),
     cli_vol_check_options, cli_cmd_vol_check, CLI_CMD_MUTATES | CLI_CMD_OURS},
    {"vol-commit", N_("push a vol's content down into what it is based on"),
     N_("Write what a volume holds into the volume it is based on."), cli_vol_commit_options,
     cli_cmd_vol_commit, CLI_CMD_MUTATES | CLI_CMD_DESTROYS | CLI_CMD_OURS},
    {"vol-flatten", N_("make a vol independent of what it is based on"),
     N_("Copy into a volume what it reads from others. It is valid at every moment."),
     cli_vol_flatten_options, cli_cmd_vol_flatten, CLI_CMD_MUTATES | CLI_CMD_OURS},
    {"vol-sparsify", N_("give a vol's zeroes and unused space back"),
     N_("Turn the zeroes of a volume, and what its image does not use, into holes."),
     cli_vol_flatten_options, cli_cmd_vol_sparsify, CLI_CMD_MUTATES | CLI_CMD_OURS},
    {"vol-compare", N_("compare what guests see of two vols"),
     N_("Where one volume is longer, the rest must be zero. The exit status is 0 when they are the "
        "same, 7 when they differ, another one when they can't be compared."),
     cli_vol_compare_options, cli_cmd_vol_compare, CLI_CMD_OURS},
    {"vol-convert", N_("copy a vol into a new one of another format"),
     N_("The copy is a volume of its own, with all that the guest sees of the first one."),
     cli_vol_convert_options, cli_cmd_vol_convert, CLI_CMD_MUTATES | CLI_CMD_OURS},
    {"vol-map", N_("show which parts of a vol hold data"),
     N_("Offset, length and state of each run of what the guest sees, and which volume of the "
        "chain "
        "it comes from."),
     cli_vol_map_options, cli_cmd_vol_map, CLI_CMD_OURS},
    {"vol-measure", N_("tell how large an image of a vol's content will be"),
     N_("For a copy of <vol> in another format, or an empty image of --size."),
     cli_vol_measure_options, cli_cmd_vol_measure, CLI_CMD_OURS},
    {"vol-rebase", N_("base a vol on another one"),
     N_("Where what it was based on and what it is to be based on differ, the volume gets the old "
        "content first, so that it shows the same at every moment. With --unsafe only the "
        "reference changes, without a look at any content."),
     cli_vol_rebase_options, cli_cmd_vol_rebase, CLI_CMD_MUTATES | CLI_CMD_OURS},
    {"vol-trust", N_("declare what a vol's image names"),
     N_("Content that was uploaded, or lies where others can write, may name any file as its "
        "backing "
        "store or data file; that is shown (vol-info) and not followed until it is declared here. "
        "With --format the volume is of that format from now on, whatever its content."),
     cli_vol_trust_options, cli_cmd_vol_trust, CLI_CMD_MUTATES | CLI_CMD_OURS},
    {"vol-clone", N_("clone a volume."), N_("Clone an existing volume within the parent pool."),
     clone_options, cli_cmd_vol_clone, CLI_CMD_MUTATES},
    {"vol-create-as", N_("create a volume from a set of args"), N_("Create a vol."),
     create_as_options, cli_cmd_vol_create_as, CLI_CMD_MUTATES},
    {"vol-create", N_("create a vol from an XML file"), N_("Create a vol."), create_options,
     cli_cmd_vol_create, CLI_CMD_MUTATES},
    {"vol-create-from", N_("create a vol, using another volume as input"),
     N_("Create a vol from an existing volume."), create_from_options, cli_cmd_vol_create_from,
     CLI_CMD_MUTATES},
    {"vol-delete", N_("delete a vol"), N_("Delete a given vol."), delete_options, cmd_delete,
     CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"vol-download", N_("download volume contents to a file"),
     N_("Download volume contents to a file"), download_options, cli_cmd_vol_download,
     CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"vol-dumpxml", N_("vol information in XML"),
     N_("Output the vol information as an XML dump to stdout."), dumpxml_options, cmd_dumpxml, 0},
    {"vol-info", N_("storage vol information"),
     N_("Returns basic information about the storage vol."), info_options, cmd_info, 0},
    {"vol-key", N_("returns the volume key for a given volume name or path"), "", key_options,
     cmd_key, 0},
    {"vol-list", N_("list vols"), N_("Returns list of vols by pool."), list_options,
     cli_cmd_vol_list, 0},
    {"vol-name", N_("returns the volume name for a given volume key or path"), "", name_options,
     cmd_name, 0},
    {"vol-path", N_("returns the volume path for a given volume name or key"), "", path_options,
     cmd_path, 0},
    {"vol-pool", N_("returns the storage pool for a given volume key or path"), "", pool_options,
     cmd_pool, 0},
    {"vol-resize", N_("resize a vol"),
     N_("Resizes a storage volume. This is safe only for storage volumes not in use by an active "
        "guest.\nSee blockresize for live resizing."),
     resize_options, cmd_resize, CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"vol-upload", N_("upload file contents to a volume"), N_("Upload file contents to a volume"),
     upload_options, cli_cmd_vol_upload, CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"vol-wipe", N_("wipe a vol"),
     N_("Ensure data previously on a volume is not accessible to future reads"), wipe_options,
     cmd_wipe, CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {0},
};
