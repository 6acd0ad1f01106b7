/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Short commands for volumes, and the table of all volume commands. The texts are virsh's, because
 * scripts compare them.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <conn/tags.h>

#include "commands/commands.h"
#include "commands/qmp.h"
#include "commands/transfer/transfer.h"
#include "commands/xml.h"
#include "domains.h"
#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/width.h"
#include "volume.h"

/** A change of one volume that may take a long time. */
typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    uint64_t capacity;
    unsigned what; /**< flags, or the wipe algorithm */
    char *qmp;     /**< socket of a monitor of QEMU, owned; NULL: none */
} Change;

static void change_clear(Change *change)
{
    g_free(change->qmp);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, change_clear)

static gboolean run_wipe(CstTask *task, gpointer data, GError **error)
{
    const Change *change = data;

    return cst_conn_vol_wipe(change->conn, change->vol, change->what, task, error);
}

static gboolean wipe_one(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const CliVolArg *arg = thing;
    Change change = {.conn = ctl->conn, .vol = arg->vol, .what = *(const unsigned *)data};

    cli_plan(ctl, _("Would wipe vol %s"), arg->typed);
    if (!cli_confirm(ctl, error, _("Wipe vol %s?"), arg->typed))
        return FALSE;
    return cli_outcome(ctl, cli_run_task(ctl, _("Wiping"), run_wipe, &change, error), "volume",
                       arg->vol->name, _("Vol %s wiped"), _("Failed to wipe vol %s"), arg->typed);
}

static const CliEach wipe_each = {
    .list = "volumes",
    .kind = "volume",
    .question = N_("Wipe these %u vols: %s?"),
    .name = cli_vol_arg_name,
    .run = wipe_one,
};

static gboolean cmd_wipe(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) vols = cli_vols(ctl, args, NULL, error);
    const char *word;
    unsigned what;
    int algorithm;

    if (!vols || !cli_args_string(args, "algorithm", &word, error))
        return FALSE;
    algorithm = word ? cli_wipe_algorithm(word) : CST_WIPE_ZERO;
    if (algorithm < 0)
        return cst_fail(error, CST_ERROR_USAGE, _("Unsupported algorithm '%s'"), word);
    what = algorithm;
    return cli_each(ctl, &wipe_each, vols, &what, error);
}

static const CliOption wipe_options[] = {
    VOL,
    POOL,
    {.name = "algorithm",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NO_SLASH,
     .help = N_("perform selected wiping algorithm"),
     .complete = cli_complete_wipe_algorithms},
    RATE_LIMIT,
    DETACH,
    FURTHER_VOLS,
    {0},
};

static const CliCommand wipe_command = {
    .name = "vol-wipe",
    .summary = N_("wipe a vol"),
    .description = N_("Ensure data previously on a volume is not accessible to future reads"),
    .options = wipe_options,
    .handler = cmd_wipe,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};

/* --- resize ---------------------------------------------------------------------------------- */

/* A size with a sign is a difference. *text is advanced past the sign. */
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
 * Parse the new size, or the difference. virsh reads "+5G" as 5G, but no script relies on that.
 * *ret_text is the size in virsh's messages, without its sign.
 */
static gboolean read_resize(CliCtl *ctl, const CliArgs *args, Change *change, const char **ret_text,
                            GError **error)
{
    const char *text;

    if (!cli_args_exclusive(args, "qmp", "shrink", error) ||
        !cli_args_exclusive(args, "qmp", "allocate", error) ||
        !cli_args_string(args, "capacity", &text, error) ||
        !cli_qmp_read(args, &change->qmp, error))
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

    if (change->qmp)
        return cst_conn_vol_resize_qmp(change->conn, change->vol, change->capacity, change->what,
                                       change->qmp, task, error);
    return cst_conn_vol_resize(change->conn, change->vol, change->capacity, change->what, task,
                               error);
}

/* A size below the current one is usually a difference without its sign. */
static void hint_at_delta(CliCtl *ctl, const char *size, const GError *why)
{
    if (g_error_matches(why, CST_ERROR, CST_ERROR_INVALID))
        cli_hint(ctl,
                 _("%s is the new size; +%s adds to the one that there is, --shrink allows a "
                   "smaller one"),
                 size, size);
}

static gboolean cmd_vol_resize(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_auto(Change) change = {.conn = ctl->conn, .vol = vol};
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
        !cli_confirm(ctl, error, _("Discard the end of vol %s?"), vol->name))
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

static const CliOption resize_options[] = {
    VOL,
    CLI_REQUIRED("capacity", N_("new capacity for the vol, as scaled integer (default bytes)"), ),
    POOL,
    CLI_SWITCH("allocate", N_("allocate the new capacity, rather than leaving it sparse")),
    CLI_SWITCH("delta", N_("use capacity as a delta to current size, rather than the new size")),
    CLI_SWITCH("shrink", N_("allow the resize to shrink the volume")),
    CLI_QMP(N_("QMP socket of the QEMU that has it open, if libvirt does not manage it")),
    RATE_LIMIT,
    DETACH,
    {0},
};

static const CliCommand resize_command = {
    .name = "vol-resize",
    .summary = N_("resize a vol"),
    .description = N_(
        "Resizes a storage volume. If a running domain has it as a disk, the disk grows with it. "
        "After an interruption, vol-resize to the size that the error names finishes the work. A "
        "volume that is open does not shrink."),
    .options = resize_options,
    .handler = cmd_vol_resize,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};

/* --- queries --------------------------------------------------------------------------------- */

static gboolean cmd_vol_dumpxml(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_autofree char *xml = vol ? cst_conn_vol_xml(ctl->conn, vol, 0, error) : NULL;

    return xml && cli_dump_xml(ctl, args, xml, error);
}

static const CliOption dumpxml_options[] = {
    VOL,
    POOL,
    CLI_DUMP_XML_OPTIONS,
    {0},
};

static const CliCommand dumpxml_command = {
    .name = "vol-dumpxml",
    .summary = N_("vol information in XML"),
    .description = N_("Output the vol information as an XML dump to stdout."),
    .options = dumpxml_options,
    .handler = cmd_vol_dumpxml,
};

static gboolean cmd_key(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);

    if (!vol)
        return FALSE;
    cli_value(ctl, "key", vol->key);
    return TRUE;
}

static const CliOption key_options[] = {
    CLI_REQUIRED("vol", N_("volume name or path"), .complete = cli_complete_vols),
    POOL,
    {0},
};

static const CliCommand key_command = {
    .name = "vol-key",
    .summary = N_("returns the volume key for a given volume name or path"),
    .description = "",
    .options = key_options,
    .handler = cmd_key,
};

static gboolean cmd_vol_name(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, NULL, NULL, error);

    if (!vol)
        return FALSE;
    cli_value(ctl, "name", vol->name);
    return TRUE;
}

static const CliOption name_options[] = {KEY, {0}};

static const CliCommand name_command = {
    .name = "vol-name",
    .summary = N_("returns the volume name for a given volume key or path"),
    .description = "",
    .options = name_options,
    .handler = cmd_vol_name,
};

static gboolean cmd_path(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_autofree char *path = vol ? cst_conn_vol_path(ctl->conn, vol, error) : NULL;

    if (!path)
        return FALSE;
    cli_value(ctl, "path", path);
    return TRUE;
}

static const CliOption path_options[] = {
    CLI_REQUIRED("vol", N_("volume name or key"), .complete = cli_complete_vols),
    POOL,
    {0},
};

static const CliCommand path_command = {
    .name = "vol-path",
    .summary = N_("returns the volume path for a given volume name or key"),
    .description = "",
    .options = path_options,
    .handler = cmd_path,
};

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

static const CliOption pool_options[] = {
    KEY,
    CLI_SWITCH("uuid", N_("return the pool uuid rather than pool name")),
    {0},
};

static const CliCommand pool_command = {
    .name = "vol-pool",
    .summary = N_("returns the storage pool for a given volume key or path"),
    .description = "",
    .options = pool_options,
    .handler = cmd_pool,
};

/** Unlike other commands, virsh prints "bytes" after the digits here. */
static void add_size(CliSheet *sheet, const char *key, const char *label, uint64_t bytes)
{
    const char *unit;
    double value = cst_units_pretty(bytes, &unit);
    g_autofree char *text = sheet->ctl->settings.bytes
                                ? g_strdup_printf("%" G_GUINT64_FORMAT " %s", bytes, _("bytes"))
                                : g_strdup_printf("%.2lf %s", value, unit);
    const CliFact facts[] = {
        cli_fact_number(key, NULL, TRUE, bytes),
        cli_fact_text(NULL, label, text),
    };

    cli_sheet_add(sheet, facts, G_N_ELEMENTS(facts));
}

/* The call for sizes is libvirt's and does not report this. The XML document does. */
static gboolean vol_is_estimated(CliCtl *ctl, const CstVolRef *vol)
{
    g_autofree char *xml = cst_conn_vol_xml(ctl->conn, vol, 0, NULL);

    return xml && cli_xml_has(xml, "//*[local-name()='option'][@name='allocation']"
                                   "[@value='estimate']");
}

/*
 * libvirt's call returns one of the two sizes. The JSON object has both, if the server reports
 * both.
 */
static void add_both_sizes(CliSheet *sheet, const CstVolRef *vol, const CstVolInfo *info)
{
    CliCtl *ctl = sheet->ctl;
    CstVolInfo also = {0};
    gboolean known = FALSE;

    add_size(sheet, "allocation", N_("Allocation:"), info->allocation);
    if (ctl->settings.json) {
        const CliFact estimated =
            cli_fact_bool("allocation_estimated", NULL, TRUE, vol_is_estimated(ctl, vol));

        cli_sheet_add(sheet, &estimated, 1);
        known = cst_conn_vol_info(ctl->conn, vol, TRUE, &also, NULL);
    }
    if (known)
        add_size(sheet, "physical", NULL, also.physical);
}

/* virsh has no such line, so it is omitted for ordinary sectors. */
static void add_sector_size(CliSheet *sheet, const CstVolRef *vol)
{
    unsigned size = cli_vol_sector_size(sheet->ctl, vol);
    const CliFact fact =
        cli_fact_number("sector_size", N_("Sector size:"), size != CLI_SECTOR_SIZE, size);

    cli_sheet_add(sheet, &fact, 1);
}

static void add_problems(CliSheet *sheet, const GPtrArray *problems)
{
    cli_sheet_add_words(sheet, "problems", problems);
    for (guint i = 0; i < problems->len; i++) {
        const CliFact fact = cli_fact_text(NULL, N_("Problem:"), g_ptr_array_index(problems, i));

        cli_sheet_add(sheet, &fact, 1);
    }
}

/*
 * Add the tags and the note. virsh has no such lines, so text has them only for a volume with tags.
 * A server without tags, and a failure, give no facts.
 */
static void add_tags_of_vol(CliSheet *sheet, const CstVolRef *vol)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_tagged(sheet->ctl->conn, vol, NULL);
    const CstTagged *tagged = rows ? cst_conn_tagged_find(rows, NULL) : NULL;
    g_autofree char *text = cst_tagged_text(tagged);
    g_autoptr(GPtrArray) words = g_ptr_array_new();

    if (!rows)
        return;
    for (char **tag = tagged ? tagged->tags : NULL; tag && *tag; tag++)
        g_ptr_array_add(words, *tag);
    cli_sheet_add_words(sheet, "tags", words);
    {
        const CliFact facts[] = {
            cli_fact_text(NULL, N_("Tags:"), text),
            cli_fact_nullable("note", N_("Note:"), tagged ? tagged->note : NULL),
        };

        cli_sheet_add(sheet, facts, G_N_ELEMENTS(facts));
    }
}

/* Show the facts about a volume. As in virsh, the name is printed even if the query fails. */
static gboolean show_info(CliSheet *sheet, gconstpointer thing, gpointer data, GError **error)
{
    const CstVolRef *vol = ((const CliVolArg *)thing)->vol;
    CliCtl *ctl = sheet->ctl;
    gboolean physical = cli_args_has(ctl->current, "physical");
    g_autoptr(GPtrArray) problems = NULL;
    CstVolInfo info;

    {
        const CliFact head[] = {
            cli_fact_text("name", N_("Name:"), vol->name),
            cli_fact_text("pool", NULL, vol->pool),
            cli_fact_text("key", NULL, vol->key),
        };

        cli_sheet_add(sheet, head, G_N_ELEMENTS(head));
    }
    if (!cst_conn_vol_info(ctl->conn, vol, physical, &info, error))
        return FALSE;
    problems = cli_vol_problems(ctl, vol);
    {
        const char *type = cli_vol_type_word(info.type);
        const CliFact fact = cli_fact_text("type", N_("Type:"), _(type));

        cli_sheet_add(sheet, &fact, 1);
    }
    add_size(sheet, "capacity", N_("Capacity:"), info.capacity);
    if (physical)
        add_size(sheet, "physical", N_("Physical:"), info.physical);
    else
        add_both_sizes(sheet, vol, &info);
    add_sector_size(sheet, vol);
    add_problems(sheet, problems);
    add_tags_of_vol(sheet, vol);
    cli_vol_domains_add(sheet, vol);
    return TRUE;
}

static const CliEach info_each = {
    .list = "volumes",
    .kind = "volume",
    .object = "volume",
    .name = cli_vol_arg_name,
    .show = show_info,
    .label_width = 15,
};

static gboolean cmd_vol_info(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) vols = cli_vols(ctl, args, NULL, error);

    return vols && cli_each(ctl, &info_each, vols, NULL, error);
}

static const CliOption info_options[] = {
    VOL,
    POOL,
    CLI_SWITCH("bytes", N_("sizes are represented in bytes rather than pretty units")),
    CLI_SWITCH("physical", N_("return the physical size of the volume in allocation field")),
    FURTHER_VOLS,
    {0},
};

static const CliCommand info_command = {
    .name = "vol-info",
    .summary = N_("storage vol information"),
    .description = N_("Returns basic information about the storage vol."),
    .options = info_options,
    .handler = cmd_vol_info,
};

/* Without a terminal, virsh's commands do not ask, because scripts run them without --yes. */
const CliCommand *const cli_vol_commands[] = {
    &cli_vol_bitmap_command,
    &cli_vol_chain_command,
    &cli_vol_check_command,
    &cli_vol_commit_command,
    &cli_vol_consolidate_command,
    &cli_vol_flatten_command,
    &cli_vol_holders_command,
    &cli_vol_import_command,
    &cli_vol_sparsify_command,
    &cli_vol_compare_command,
    &cli_vol_convert_command,
    &cli_vol_map_command,
    &cli_vol_measure_command,
    &cli_vol_move_command,
    &cli_vol_note_command,
    &cli_vol_protect_command,
    &cli_vol_rebase_command,
    &cli_migrate_check_command,
    &cli_vol_copy_command,
    &cli_vol_export_command,
    &cli_vol_rename_command,
    &cli_vol_serve_command,
    &cli_vol_tag_command,
    &cli_trash_empty_command,
    &cli_trash_list_command,
    &cli_trash_restore_command,
    &cli_vol_trust_command,
    &cli_vol_unprotect_command,
    &cli_vol_clone_command,
    &cli_vol_create_as_command,
    &cli_vol_create_command,
    &cli_vol_create_from_command,
    &cli_vol_delete_command,
    &cli_vol_download_command,
    &dumpxml_command,
    &info_command,
    &key_command,
    &cli_vol_list_command,
    &name_command,
    &path_command,
    &pool_command,
    &resize_command,
    &cli_vol_upload_command,
    &wipe_command,
    NULL,
};
