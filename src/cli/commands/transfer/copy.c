/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-copy: copies the content of a volume, or of a snapshot, to another daemon. This process is
 * connected to both daemons, and the content passes through it.
 *
 * All possible checks precede the first byte. A new copy is written under a temporary name
 * (NAME.partial), which remains if the copy is interrupted. The next run continues it: both sides
 * compute digests, and only differences are sent. At the end, the destination computes the digests
 * of its content. If they equal the digests of the source, the copy is renamed, and then the
 * original is deleted (--move). An existing copy (--since, --update) is changed in place where it
 * differs.
 *
 * This requires that the destination accepts patches (content.c) and can rename volumes. libvirt's
 * daemons, older cisternds, and pools whose names are positions (partitions) use another method
 * (peer.c).
 */
#include "copy.h"

#include <inttypes.h>
#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <conn/tags.h>
#include <model/pool_type.h>

#include "commands/consistency.h"
#include "commands/volume/options.h"
#include "commands/xml.h"
#include "output/confirm.h"
#include "output/job.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"

#define PARTIAL ".partial"

static void copy_clear(Copy *copy)
{
    cli_live_copy_clear(&copy->live);
    cst_conn_receive_free(copy->receive);
    g_clear_pointer(&copy->there, cst_vol_ref_free);
    g_clear_pointer(&copy->pool, cst_pool_ref_free);
    g_clear_pointer(&copy->far, cst_conn_free);
    cli_vol_content_free(copy->content);
    g_clear_pointer(&copy->vol, cst_vol_ref_free);
    chunks_clear(&copy->passed);
    cst_vol_digests_clear(&copy->near);
    cst_vol_digests_clear(&copy->distant);
    cli_changed_clear(&copy->changed);
    g_free(copy->new_name);
    g_free(copy->new_pool);
    g_free(copy->partial);
    g_free(copy->new_format);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Copy, copy_clear)

static gboolean copy_is_update(const Copy *copy)
{
    return copy->update || copy->since;
}

/* Return: TRUE if a copy is changed in place, or written under a temporary name. */
static gboolean is_patched(const Copy *copy)
{
    return copy->far_can.patches &&
           (copy_is_update(copy) || !cst_pool_type_info(copy->pool_type)->placed_names);
}

/* --- source ----------------------------------------------------------------------------------- */

static gboolean read_copy_options(Copy *copy, const CliArgs *args, GError **error)
{
    copy->update = cli_args_has(args, "update");
    copy->moves = cli_args_has(args, "move");
    copy->what.flags = cli_args_has(args, "force-share") ? CST_VOL_STREAM_FORCE_SHARE : 0;
    return cli_args_exclusive(args, "snapshot", "move", error) &&
           cli_args_exclusive(args, "force-share", "move", error) &&
           cli_args_exclusive(args, "since", "update", error) &&
           cli_args_string(args, "to", &copy->to, error) &&
           cli_args_string(args, "format", &copy->format, error) &&
           cli_args_string(args, "since", &copy->since, error) &&
           cli_args_string(args, "snapshot", &copy->what.snapshot, error);
}

/* Refuse a volume with snapshots, because they would be deleted with the original. */
static gboolean check_no_snapshots(const Copy *copy, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) snapshots = cst_conn_snapshot_list(copy->conn, copy->vol, &why);

    if (!snapshots)
        return TRUE; /* snapshots are not supported */
    return snapshots->len == 0 ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("vol %s has %u snapshots, the oldest is '%s', and they can't be taken along; "
                      "delete them first, or leave --move out"),
                    copy->name, snapshots->len,
                    ((const CstSnapshot *)g_ptr_array_index(snapshots, 0))->name);
}

/* Check now that the original can be deleted at the end. */
static gboolean check_original_deletable(const Copy *copy, GError **error)
{
    g_autoptr(GError) why = NULL;
    gboolean dry;

    if (!copy->moves)
        return TRUE;
    if (!check_no_snapshots(copy, error) || !cst_conn_set_dry_run(copy->conn, TRUE, error))
        return FALSE;
    dry = cst_conn_vol_delete(copy->conn, copy->vol, CST_VOL_DELETE_AT_ONCE, NULL, &why) ||
          g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN);
    if (!cst_conn_set_dry_run(copy->conn, copy->ctl->settings.dry_run, error))
        return FALSE;
    if (!dry)
        g_propagate_error(error, g_steal_pointer(&why));
    return dry;
}

/*
 * libvirt's daemons and older cisternds do not support all checks. Refuse options that depend on
 * them.
 */
static gboolean check_source_abilities(const Copy *copy, GError **error)
{
    if (copy->what.snapshot && !copy->near_can.sends)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s",
                        _("--snapshot needs a cisternd here; this server is libvirt's, or older"));
    if (copy->since && !copy->near_can.digests)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s",
                        _("--since needs a cisternd of this version here; --update makes a copy "
                          "identical, whatever its content"));
    if (copy->moves && !copy->near_can.dry_runs)
        return cst_fail(
            error, CST_ERROR_NO_SUPPORT, "%s",
            _("--move needs a cisternd here: this server does not report the users and overlays of "
              "the vol; copy it, and delete it with vol-delete once it is no longer needed"));
    return TRUE;
}

static gboolean open_copy_source(Copy *copy, const CliArgs *args, GError **error)
{
    const CstImportHow how = {.note = cli_note, .note_data = copy->ctl};
    CstVolInfo info;

    copy->vol = cli_vol(copy->ctl, args, "pool", &copy->name, error);
    if (!copy->vol)
        return FALSE;
    copy->conn = copy->ctl->conn;
    if (!cst_conn_abilities(copy->conn, &copy->near_can, error) ||
        !check_source_abilities(copy, error) ||
        !cst_conn_vol_info(copy->conn, copy->vol, FALSE, &info, error))
        return FALSE;
    copy->content = cli_vol_content_open(copy->conn, copy->vol, copy->name, &how, error);
    if (!copy->content)
        return FALSE;
    copy->capacity = info.capacity;
    copy->allocation = info.allocation;
    return check_original_deletable(copy, error) &&
           cli_live_copy_read(copy->ctl, args, copy->vol, copy->name, &copy->live, error);
}

/* --- destination ------------------------------------------------------------------------------ */

static gboolean connect_destination(Copy *copy, GError **error)
{
    const CstConnOptions options = {.must_exist = TRUE, .unattended = copy->ctl->background >= 0};

    copy->far = cst_conn_open(copy->to, &options, error);
    if (!copy->far || !cst_conn_abilities(copy->far, &copy->far_can, error))
        return FALSE;
    /* On servers without dry runs, the command only makes calls without side effects. */
    return !copy->far_can.dry_runs ||
           cst_conn_set_dry_run(copy->far, copy->ctl->settings.dry_run, error);
}

static gboolean find_destination_type(Copy *copy, GError **error)
{
    g_autofree char *xml = cst_conn_pool_xml(copy->far, copy->pool, 0, error);
    g_autofree char *name = xml ? cli_xml_text(xml, "/pool/@type") : NULL;

    if (!xml)
        return FALSE;
    return (name && cst_pool_type_parse(name, &copy->pool_type)) ||
           cst_fail(error, CST_ERROR_RPC, _("pool '%s' at '%s' is of a type that is not known"),
                    copy->pool->name, copy->to);
}

static gboolean find_destination_pool(Copy *copy, GError **error)
{
    CstPoolInfo info;
    uint64_t wanted;

    copy->pool =
        cst_conn_pool_by_name(copy->far, copy->new_pool ? copy->new_pool : copy->vol->pool, error);
    if (!copy->pool || !find_destination_type(copy, error) ||
        !cst_conn_pool_info(copy->far, copy->pool, &info, error))
        return FALSE;
    if (info.state == CST_POOL_INACTIVE)
        return cst_fail(error, CST_ERROR_STATE, _("pool '%s' at '%s' is not active"),
                        copy->pool->name, copy->to);
    wanted = is_patched(copy) ? copy->allocation : copy_peer_space(copy);
    return info.available >= wanted || copy_is_update(copy) ||
           cst_fail(error, CST_ERROR_NO_SPACE,
                    _("pool '%s' at '%s' has %" PRIu64 " bytes left, and vol %s takes %" PRIu64),
                    copy->pool->name, copy->to, info.available, copy->name, wanted);
}

/*
 * The format is that of --format, else that of the original if the pool supports it, else raw
 * (NULL).
 */
static gboolean choose_format(Copy *copy, GError **error)
{
    g_autofree char *xml = cst_conn_vol_xml(copy->conn, copy->vol, 0, error);

    if (!xml)
        return FALSE;
    copy->new_format =
        copy->format ? g_strdup(copy->format) : cli_xml_text(xml, "/volume/target/format/@type");
    if (copy->new_format && !copy->format &&
        !cst_pool_volume_format_ok(copy->pool_type, copy->new_format))
        g_clear_pointer(&copy->new_format, g_free);
    return TRUE;
}

/*
 * Return: TRUE if the difference in size is the rounding of storage without files (extents,
 * blocks).
 */
static gboolean is_rounded(const Copy *copy)
{
    return !cst_pool_type_has_files(copy->pool_type) && copy->there_bytes > copy->capacity &&
           copy->there_bytes - copy->capacity <= COPY_EXTENT_MAX;
}

static gboolean check_destination_size(Copy *copy, const char *name, GError **error)
{
    CstVolInfo info;

    if (!cst_conn_vol_info(copy->far, copy->there, FALSE, &info, error))
        return FALSE;
    copy->there_bytes = info.capacity;
    return copy->there_bytes == copy->capacity || is_rounded(copy) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("'%s' at '%s' has %" PRIu64 " bytes and vol %s %" PRIu64
                      ": it is no copy of this one"),
                    name, copy->to, info.capacity, copy->name, copy->capacity);
}

/* Find a volume. If it does not exist, *ret_vol is NULL and no error is set. */
static gboolean find_destination_vol(const Copy *copy, const char *name, CstVolRef **ret_vol,
                                     GError **error)
{
    g_autoptr(GError) why = NULL;

    *ret_vol = cst_conn_vol_by_name(copy->far, copy->pool, name, &why);
    if (*ret_vol || g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean fail_destination_exists(const Copy *copy, GError **error)
{
    g_autofree char *command = copy_delete_command(copy);

    if (copy->far_can.patches)
        cli_hint(copy->ctl,
                 _("--update makes '%s' there the same as vol %s; --name copies to another name"),
                 copy->new_name, copy->name);
    else
        cli_hint(
            copy->ctl,
            _("--name copies to another name; an interrupted copy cannot be resumed, so delete it "
              "first: %s"),
            command);
    return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", copy->new_name);
}

/* Find the existing copy that is updated, or an interrupted copy that is continued. */
static gboolean find_existing_copy(Copy *copy, GError **error)
{
    g_autoptr(CstVolRef) done = NULL;

    if (copy_is_update(copy) && !copy->far_can.patches)
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("the server of '%s' is libvirt's, or an older cisternd: an update of a "
                          "copy needs a cisternd of this version there; a new copy does not"),
                        copy->to);
    if (!find_destination_vol(copy, copy->new_name, &done, error))
        return FALSE;
    if (copy_is_update(copy) && !done)
        return cst_fail(error, CST_ERROR_NO_VOL,
                        _("pool '%s' at '%s' has no vol '%s' to bring up to date"),
                        copy->pool->name, copy->to, copy->new_name);
    if (!copy_is_update(copy) && done)
        return fail_destination_exists(copy, error);
    if (copy_is_update(copy)) {
        copy->there = g_steal_pointer(&done);
        return check_destination_size(copy, copy->new_name, error);
    }
    if (!is_patched(copy))
        return TRUE;
    return find_destination_vol(copy, copy->partial, &copy->there, error) &&
           (!copy->there || check_destination_size(copy, copy->partial, error));
}

static gboolean make_partial(Copy *copy, GError **error)
{
    g_autofree char *xml = copy_document(copy, copy->partial, error);

    if (!xml)
        return FALSE;
    copy->there = cst_conn_vol_create(copy->far, copy->pool, xml, 0, NULL, error);
    copy->fresh = TRUE;
    return copy->there && check_destination_size(copy, copy->partial, error);
}

/* --- the command ------------------------------------------------------------------------------ */

/* Rename the complete copy to its final name. */
static gboolean name_copy(const Copy *copy, GError **error)
{
    return copy_is_update(copy) ||
           cst_conn_vol_rename(copy->far, copy->there, copy->new_name, NULL, error);
}

static gboolean run_fetch(CstTask *task, gpointer data, GError **error)
{
    return cli_vol_content_fetch(((Copy *)data)->content, task, error);
}

/*
 * Fetch an image that the source's server can only send as a file. Its content may have another
 * size than the server has reported.
 */
static gboolean fetch_source_image(Copy *copy, GError **error)
{
    if (!cli_vol_content_is_fetched(copy->content))
        return TRUE;
    if (!cli_run_task(copy->ctl, _("Fetching"), run_fetch, copy, error))
        return FALSE;
    copy->capacity = cli_vol_content_capacity(copy->content);
    return !copy->there || check_destination_size(copy, copy->there->name, error);
}

static gboolean patch_copy(Copy *copy, GError **error)
{
    if (copy->there ? !cst_may_change(error) : !make_partial(copy, error))
        return FALSE;
    if (!copy->fresh && !copy_is_update(copy) && !copy->ctl->settings.quiet)
        cli_warn(copy->ctl, _("Going on with '%s', which was begun before\n"), copy->partial);
    return cli_live_copy_end(&copy->live, copy_content(copy, error), error) &&
           name_copy(copy, error);
}

/* The copy keeps tags of its own. */
static gboolean copy_set_tags(const Copy *copy, const CstTagged *tagged, GError **error)
{
    g_autoptr(CstVolRef) made = NULL;
    const CstTagChange change = {.add = (const char *const *)tagged->tags,
                                 .sets_note = tagged->note != NULL,
                                 .note = tagged->note};

    return find_destination_vol(copy, copy->new_name, &made, error) &&
           (!made || cst_conn_vol_tag(copy->far, made, NULL, &change, NULL, error));
}

/*
 * Give the complete copy the tags and the note. A destination without tags is a reason for a
 * warning, and for a move to keep the original.
 */
static gboolean copy_tags(const Copy *copy, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(GError) why = NULL;
    const CstTagged *tagged = NULL;
    gboolean has = FALSE;

    if (!cst_conn_has_tags(copy->conn, &has, error))
        return FALSE;
    rows = has ? cst_conn_vol_tagged(copy->conn, copy->vol, &why) : NULL;
    tagged = rows ? cst_conn_tagged_find(rows, NULL) : NULL;
    if (tagged && !copy_set_tags(copy, tagged, &why) && !copy->moves &&
        g_error_matches(why, CST_ERROR, CST_ERROR_NO_SUPPORT)) {
        cli_warn(copy->ctl, _("warning: '%s' keeps no tags; the copy has none\n"), copy->to);
        return TRUE;
    }
    return !why || cst_fail(error, cst_error_code(why),
                            _("the copy '%s' at '%s' is complete, but its tags can't be set: %s"),
                            copy->new_name, copy->to, why->message);
}

static gboolean copy_transfer_vol(Copy *copy, GError **error)
{
    if (copy_is_update(copy) &&
        !cli_confirm(copy->ctl, error, _("Overwrite the content of '%s' at '%s'?"), copy->new_name,
                     copy->to))
        return FALSE;
    if (!cli_job_begin(copy->ctl, "copy", copy->vol->pool, copy->vol->name, error) ||
        !cli_live_copy_begin(&copy->live, error))
        return FALSE;
    cli_live_copy_put(&copy->live, &copy->what);
    return fetch_source_image(copy, error) &&
           (is_patched(copy) ? patch_copy(copy, error) : copy_to_peer(copy, error)) &&
           copy_tags(copy, error) &&
           (!copy->moves ||
            cst_conn_vol_delete(copy->conn, copy->vol, CST_VOL_DELETE_AT_ONCE, NULL, error));
}

/* Parse the destination. Its pool is given by name only. */
static gboolean read_copy_place(Copy *copy, const CliArgs *args, GError **error)
{
    const char *word, *pool, *name;

    if (!cli_args_string(args, "name", &word, error) ||
        !cli_args_string(args, "newpool", &pool, error))
        return FALSE;
    name = word ? cli_full_name(word) : NULL;
    copy->new_pool = name ? cli_full_name_pool(word) : g_strdup(pool);
    if (pool && !g_str_equal(pool, copy->new_pool))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("'%s' names pool '%s', and --%s names pool '%s': leave one of them out"),
                        word, copy->new_pool, "newpool", pool);
    copy->new_name = g_strdup(name ? name : word ? word : copy->vol->name);
    return TRUE;
}

static gboolean copy_prepare(Copy *copy, const CliArgs *args, GError **error)
{
    if (!read_copy_options(copy, args, error) || !open_copy_source(copy, args, error) ||
        !read_copy_place(copy, args, error))
        return FALSE;
    copy->partial = g_strconcat(copy->new_name, PARTIAL, NULL);
    cli_plan(copy->ctl,
             copy->moves ? _("Would move vol %s to '%s'") : _("Would copy vol %s to '%s'"),
             copy->name, copy->to);
    return connect_destination(copy, error) && find_destination_pool(copy, error) &&
           find_existing_copy(copy, error) && (copy->there || choose_format(copy, error)) &&
           (is_patched(copy) || copy_check_peer(copy, error));
}

static void copy_report(CliCtl *ctl, const Copy *copy)
{
    CliFact facts[CLI_LIVE_COPY_FACTS];
    guint count = cli_live_copy_facts(&copy->live, facts);

    cli_live_copy_warn(&copy->live);
    cli_done_with(ctl, "volume", copy->new_name, copy->capacity, facts, count,
                  copy->moves ? _("Vol %s moved to '%s'") : _("Vol %s copied to '%s'"), copy->name,
                  copy->to);
    cli_live_copy_print(&copy->live);
}

static gboolean cmd_copy(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Copy) copy = {.ctl = ctl};

    if (!copy_prepare(&copy, args, error) || !copy_transfer_vol(&copy, error)) {
        if (copy.fresh && copy.there && !ctl->settings.dry_run)
            cli_hint(ctl, _("the same command goes on with '%s' at '%s'"), copy.partial, copy.to);
        return copy.name && copy.to
                   ? cli_failed(ctl, _("Failed to copy vol %s to '%s'"), copy.name, copy.to)
                   : FALSE;
    }
    copy_report(ctl, &copy);
    return TRUE;
}

static const CliOption copy_options[] = {
    VOL,
    {.name = "to",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_REQUIRED,
     .help = N_("connection URI of the daemon that gets it")},
    POOL,
    CLI_NAMED("newpool", N_("pool there; default: one of the same name")),
    {.name = "name",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("name of the copy; default: the same"),
     .names_pool = "newpool"},
    FORMAT_OPTION("format", N_("format of the copy; default: the same, where that pool has it")),
    CLI_NAMED("snapshot", N_("use the content of this snapshot")),
    CLI_NAMED("since", N_("update a copy that has the content of this snapshot")),
    CLI_SWITCH("update", N_("overwrite an existing vol until it is identical")),
    CLI_SWITCH("move", N_("delete the vol here once the copy is proven")),
    RATE_LIMIT,
    FORCE_SHARE,
    CLI_CONSISTENCY,
    CLI_DETACH,
    {0},
};

const CliCommand cli_vol_copy_command = {
    .name = "vol-copy",
    .summary = N_("copy a vol to another host"),
    .description =
        N_("Copy the guest-visible content of a vol, or of its snapshot, to another daemon. Zeroes "
           "are not sent. The other daemon computes checksums, and the copy appears under its name "
           "when they match; an interrupted copy is resumed. On libvirt's own daemons and older "
           "cisternds the copy has its name from the beginning and is verified by reading it back; "
           "an interrupted copy is deleted."),
    .options = copy_options,
    .handler = cmd_copy,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS | CLI_CMD_DESTROYS | CLI_CMD_WORKS,
};
