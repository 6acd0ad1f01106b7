/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-import: makes a volume of an external disk image. The command itself reads the image on any
 * kind of server, and sends the guest-visible content. The daemon therefore opens no untrusted
 * file. The volume appears when it is complete and verified.
 *
 * A package with several disks becomes several volumes. They are created one after the other, after
 * all disks were checked. If one fails, the earlier ones are deleted.
 *
 * A dry run also reads, unpacks and verifies the source, because its content cannot be checked
 * otherwise.
 */
#include "transfer.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <base/url.h>
#include <import/import.h>

#include "commands/image/twin.h"
#include "commands/room.h"
#include "commands/volume/options.h"
#include "commands/xml.h"
#include "far_volume.h"
#include "output/job.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/table.h"
#include "output/text.h"

typedef struct {
    CliCtl *ctl;
    CstImportHow how;
    const char *shown; /* the source for messages, without secret parts of the URL */
    const char *from;  /* server of a source that is a volume; NULL: the source is an image */
    const CstPoolRef *pool;
    const char *name; /* name of the volume; for several disks, its start */
    const char *format;
    unsigned flags;  /* CstVolCreateFlags */
    uint64_t resize; /* 0: the size of the image */
    GPtrArray *vols; /* the result: CstVolRef */
} Importing;

/* Check early, because unpacking may take hours. The creation of the volume checks again. */
static gboolean check_name_is_free(const Importing *importing, const char *name, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(CstVolRef) vol =
        cst_conn_vol_by_name(importing->ctl->conn, importing->pool, name, &missing);

    if (vol)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", name);
    if (cst_error_code(missing) == CST_ERROR_NO_VOL)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&missing));
    return FALSE;
}

/* Return: the names of the volumes. Fails if one of them exists. */
static GPtrArray *choose_names(const Importing *importing, guint disks, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    if (disks > 1 && importing->resize > 0) {
        cst_fail(error, CST_ERROR_USAGE,
                 _("'%s' has %u disks, and --resize is for one: say which with --disk"),
                 importing->shown, disks);
        return NULL;
    }
    for (guint i = 0; i < disks; i++) {
        char *name = disks == 1 ? g_strdup(importing->name)
                                : g_strdup_printf("%s-disk%u", importing->name, i + 1);

        g_ptr_array_add(names, name);
        if (disks > 1 && !check_name_is_free(importing, name, error))
            return NULL;
    }
    return g_steal_pointer(&names);
}

/* Add a volume to the plan. */
static gboolean plan_disk(const Importing *importing, const char *format, uint64_t size,
                          const char *name, GString *plan, GError **error)
{
    const char *unit;
    double value = cst_units_pretty(size, &unit);

    if (plan->len > 0)
        g_string_append_c(plan, '\n');
    g_string_append_printf(plan, _("Would import %s (%s, %.2f %s) as vol %s into pool %s"),
                           importing->shown, format, value, unit, name, importing->pool->name);
    return importing->resize == 0 || importing->resize >= size ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("'%s' has %.2f %s, and a smaller size would discard content"),
                    importing->shown, value, unit);
}

static CstConnReceive *receive_vol(const Importing *importing, uint64_t size, const char *name,
                                   CstTask *task, GError **error)
{
    const CliVolSpec spec = {
        .name = name, .format = importing->format, .capacity = MAX(size, importing->resize)};
    g_autofree char *xml = cli_vol_spec_xml(&spec, error);

    return xml ? cst_conn_vol_receive(importing->ctl->conn, importing->pool, xml, importing->flags,
                                      task, error)
               : NULL;
}

static CstVolRef *import_disk(const Importing *importing, CstImport *import, guint disk,
                              const char *name, CstTask *task, GError **error)
{
    g_autoptr(CstConnReceive) receive =
        receive_vol(importing, cst_import_capacity(import, disk), name, task, error);

    return receive && cst_import_send(import, disk, cst_conn_receive_piece, receive, error)
               ? cst_conn_receive_finish(receive, error)
               : NULL;
}

/* Import all disks, or no disk. A dry run checks each of them. */
static gboolean import_disks(Importing *importing, CstImport *import, const GPtrArray *names,
                             CstTask *task, GError **error)
{
    g_autoptr(GError) problem = NULL;

    for (guint i = 0; i < names->len; i++) {
        CstVolRef *vol;

        g_clear_error(&problem);
        vol = import_disk(importing, import, i, names->pdata[i], task, &problem);
        if (vol)
            g_ptr_array_add(importing->vols, vol);
        else if (!g_error_matches(problem, CST_ERROR, CST_ERROR_DRY_RUN))
            break;
    }
    if (!problem)
        return TRUE;
    for (guint i = 0; i < importing->vols->len; i++) {
        const CstVolRef *vol = importing->vols->pdata[i];
        g_autoptr(GError) stays = NULL;

        if (!cst_conn_vol_delete(importing->ctl->conn, vol, CST_VOL_DELETE_AT_ONCE, NULL, &stays))
            g_prefix_error(&problem, _("vol %s was made, and stays: "), vol->name);
    }
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

static gboolean give_disks(CstPieceFunc piece, gpointer piece_data, gpointer data, GError **error)
{
    CstImport *import = data;

    for (guint i = 0; i < cst_import_disks(import); i++)
        if (!cst_import_send(import, i, piece, piece_data, error))
            return FALSE;
    return TRUE;
}

/* Check the space for all disks together. The service checks the space for preallocation. */
static gboolean import_check_room(const Importing *importing, CstImport *import, CstTask *task,
                                  GError **error)
{
    CliRoomCopy copy = {.name = importing->name, .give = give_disks, .user = import, .task = task};

    for (guint i = 0; i < cst_import_disks(import); i++) {
        uint64_t data;

        if (!cst_import_data_size(import, i, &data, error))
            return FALSE;
        copy.data += data;
    }
    return cli_room_check_pool(importing->ctl->conn, importing->pool, &copy, error);
}

static gboolean run_import(CstTask *task, gpointer data, GError **error)
{
    Importing *importing = data;
    g_autoptr(CstImport) import = cst_import_open(&importing->how, task, error);
    g_autoptr(GPtrArray) names =
        import ? choose_names(importing, cst_import_disks(import), error) : NULL;
    g_autoptr(GString) plan = g_string_new(NULL);
    uint64_t total = 0;

    if (!names)
        return FALSE;
    for (guint i = 0; i < names->len; i++) {
        if (!plan_disk(importing, cst_import_format(import, i), cst_import_capacity(import, i),
                       names->pdata[i], plan, error))
            return FALSE;
        total += cst_import_capacity(import, i);
    }
    cli_plan_lines(importing->ctl, plan->str);
    if (!import_check_room(importing, import, task, error))
        return FALSE;
    /* The unpacked bytes are done. The content of all disks is still to be sent. */
    cst_task_set_total(task, cst_task_progress(task).done + total);
    if (!import_disks(importing, import, names, task, error))
        return FALSE;
    cst_import_done(import);
    return TRUE;
}

static gboolean give_remote_content(CstPieceFunc piece, gpointer piece_data, gpointer data,
                                    GError **error)
{
    g_autoptr(CstTask) own = cst_task_new(); /* the import's task counts only the copy */

    return cli_vol_content_send(data, &(CstVolSend){0}, piece, piece_data, own, error);
}

/* Import a volume of another daemon. */
static gboolean run_import_volume(CstTask *task, gpointer data, GError **error)
{
    Importing *importing = data;
    g_autoptr(CliFarVolume) far = cli_far_volume_open(
        importing->ctl, importing->from, importing->how.source, &importing->how, error);
    CliVolContent *content = far ? cli_far_volume_content(far) : NULL;
    g_autoptr(CstConnReceive) receive = NULL;
    g_autoptr(GString) plan = g_string_new(NULL);
    uint64_t size;
    CstVolRef *vol;

    if (!content || !cli_vol_content_fetch(content, task, error))
        return FALSE;
    size = cli_vol_content_capacity(content);
    if (!plan_disk(importing, importing->from, size, importing->name, plan, error))
        return FALSE;
    cli_plan_lines(importing->ctl, plan->str);
    if (!cli_room_check_pool(importing->ctl->conn, importing->pool,
                             &(CliRoomCopy){.name = importing->name,
                                            .data = size,
                                            .give = give_remote_content,
                                            .user = content,
                                            .task = task},
                             error))
        return FALSE;
    cst_task_set_total(task, cst_task_progress(task).done + size);
    receive = receive_vol(importing, size, importing->name, NULL, error);
    vol = receive && cli_vol_content_send(content, &(CstVolSend){0}, cst_conn_receive_piece,
                                          receive, task, error)
              ? cst_conn_receive_finish(receive, error)
              : NULL;
    if (vol)
        g_ptr_array_add(importing->vols, vol);
    return vol != NULL;
}

/* Refuse options for untrusted images, because the daemon has already checked its volumes. */
static gboolean check_from(const CliArgs *args, GError **error)
{
    static const char *const others[] = {"checksum", "checksum-file", "checksum-url", "disk",
                                         "max-size", "ca-file",       "timeout",      "download"};

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (!cli_args_exclusive(args, "from", others[i], error))
            return FALSE;
    return TRUE;
}

static gboolean check_stdin(const CliArgs *args, const char *source, GError **error)
{
    return !cli_args_has(args, "detach") || !g_str_equal(source, "-") ||
           cst_fail(error, CST_ERROR_USAGE, "%s",
                    _("an import from stdin cannot run in the background: leave --detach out, or "
                      "put the data into a file first"));
}

static gboolean read_import_options(CliCtl *ctl, const CliArgs *args, Importing *importing,
                                    GError **error)
{
    CstImportHow *how = &importing->how;
    const char *resize;

    if (!cli_args_exclusive(args, "checksum", "checksum-file", error) ||
        !cli_args_exclusive(args, "checksum", "checksum-url", error) ||
        !cli_args_exclusive(args, "checksum-file", "checksum-url", error) ||
        !cli_args_exclusive(args, "disk", "source-format", error))
        return FALSE;
    if (cli_args_has(args, "keyring") && !cli_args_has(args, "checksum-file") &&
        !cli_args_has(args, "checksum-url"))
        return cst_fail(
            error, CST_ERROR_USAGE, "%s",
            _("--keyring is for the signature of a list: give --checksum-file or --checksum-url"));
    if (!cli_vol_create_flags(args, &importing->flags, error) ||
        !cli_args_uint(args, "disk", &how->disk, error))
        return FALSE;
    if (cli_args_has(args, "disk") && how->disk == 0)
        return cli_args_bad_number("0", "disk", error);
    how->download = cli_args_has(args, "download");
    how->force_share = cli_args_has(args, "force-share");
    how->drop_sector_size = cli_args_has(args, "drop-sector-size");
    importing->flags &= ~(unsigned)CST_VOL_CREATE_FORCE_SHARE; /* for the source only */
    /* By default, the volume allocates only the space that its content needs. */
    if (!cli_args_has(args, "preallocation"))
        importing->flags |= CST_VOL_CREATE_PREALLOC_OFF;
    return check_from(args, error) && cli_args_string(args, "from", &importing->from, error) &&
           cli_args_string(args, "source", &how->source, error) &&
           check_stdin(args, how->source, error) &&
           cli_args_string(args, "source-format", &how->format, error) &&
           cli_args_string(args, "format", &importing->format, error) &&
           cli_args_string(args, "checksum", &how->checksum, error) &&
           cli_args_string(args, "checksum-file", &how->checksum_file, error) &&
           cli_args_string(args, "checksum-url", &how->checksum_url, error) &&
           cli_args_string(args, "keyring", &how->keyring, error) &&
           cli_args_string(args, "ca-file", &how->ca_file, error) &&
           cli_args_uint(args, "timeout", &how->timeout_s, error) &&
           cli_args_string(args, "spool-dir", &how->spool_dir, error) &&
           cli_args_size(args, "max-size", 1, &how->max_size, error) &&
           cli_args_string(args, "resize", &resize, error) &&
           (!resize || cli_vol_size(ctl, resize, &importing->resize, error));
}

static const CliColumn columns[] = {
    {"", "pool", CLI_CELL_TEXT, NULL, 0},
    {"", "name", CLI_CELL_TEXT, NULL, 0},
};

static void print_many(const Importing *importing)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    CliCtl *ctl = importing->ctl;

    for (guint i = 0; i < importing->vols->len; i++) {
        const CstVolRef *vol = importing->vols->pdata[i];

        cli_table_add_text(table, vol->pool);
        cli_table_add_text(table, vol->name);
        cli_extra(ctl, _("Vol %s imported from %s"), vol->name, importing->shown);
        cli_extra(ctl, "\n");
    }
    if (ctl->settings.json)
        cli_table_print(ctl, table, "volumes");
}

/* Reports the volume with its format, which the user may not have given. */
static void print_one(const Importing *importing)
{
    const CstVolRef *vol = importing->vols->pdata[0];
    CliCtl *ctl = importing->ctl;
    g_autofree char *xml = cli_shows_sizes(ctl) ? cst_conn_vol_xml(ctl->conn, vol, 0, NULL) : NULL;
    g_autofree char *format = xml ? cli_xml_text(xml, "/volume/target/format/@type") : NULL;
    const CliFact fact = cli_fact_text("format", NULL, format);

    cli_done_with(ctl, "volume", vol->name, cli_vol_made_size(ctl, vol), &fact, 1,
                  _("Vol %s imported from %s"), vol->name, importing->shown);
    if (format && !ctl->settings.json) {
        cli_extra(ctl, _("file format: %s"), format);
        cli_extra(ctl, "\n");
    }
}

/* Return: the default name of the volume. The caller frees it. */
static char *source_name(const Importing *importing)
{
    const char *source = importing->how.source;
    const char *name = importing->from ? cli_full_name(source) : NULL;

    return name ? g_strdup(name) : cst_import_name(source);
}

static gboolean cmd_import(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) vols = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_ref_free);
    Importing importing = {.ctl = ctl, .how = {.note = cli_note, .note_data = ctl}, .vols = vols};
    g_auto(CliNewVol) place = {0};
    g_autofree char *name = NULL, *shown = NULL;
    const CstPoolRef *pool;

    if (!cli_vol_new(ctl, args, "newname", "pool", &place, error) ||
        !read_import_options(ctl, args, &importing, error))
        return FALSE;
    pool = place.pool;
    importing.name = place.name;
    if (!importing.name)
        importing.name = name = source_name(&importing);
    importing.shown = shown = cst_url_shown(importing.how.source);
    importing.pool = pool;
    if (!importing.format)
        importing.format = cli_vol_format_of(ctl, pool, importing.name);
    if (!check_name_is_free(&importing, importing.name, error) ||
        !cli_job_begin(ctl, "import", pool->name, importing.name, error) ||
        !cli_run_task(ctl, _("Importing"), importing.from ? run_import_volume : run_import,
                      &importing, error))
        return cli_failed(ctl, _("Failed to import %s"), shown);
    if (vols->len > 1)
        print_many(&importing);
    else
        print_one(&importing);
    return TRUE;
}

static const CliOption import_options[] = {
    CLI_FILE("source", CLI_OPT_REQUIRED,
             N_("image file, device, OVA, OVF or URL, perhaps compressed; -: stdin")),
    NEW_NAME("newname", CLI_OPT_OFFERED, "pool",
             N_("name of the new volume; default: that of the source")),
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_REQUIRED | CLI_OPT_NAMED | CLI_OPT_POOL,
     .help = N_("pool name or uuid"),
     .complete = cli_complete_active_pools},
    {.name = "format",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("format of the volume; default: by the ending of its name, else the pool's"),
     .complete = cli_complete_vol_formats},
    {.name = "source-format",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("format of the source; default: by its content"),
     .complete = cli_complete_image_formats},
    CLI_NAMED("from", N_("URI of another daemon: the source is a volume of it, as POOL/VOLUME")),
    {.name = "disk",
     .kind = CLI_OPT_INT,
     .flags = CLI_OPT_NAMED,
     .help = N_("of an OVA or OVF with several disks, import this one only: 1, 2, ...")},
    CLI_NAMED("resize", N_("make the volume larger than the image, as scaled integer")),
    CLI_NAMED("checksum",
              N_("required checksum of the source: sha256:HEX, sha384:HEX or sha512:HEX")),
    {.name = "checksum-file",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("list of checksums, as SHA256SUMS, in which the source is found by its name")},
    CLI_NAMED("checksum-url", N_("the same, on an http or https server")),
    {.name = "keyring",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("keyring with a key that must have signed that list, inside or in a separate file "
                "(gpgv)")},
    {.name = "ca-file",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("certificates that https servers are believed by; default: the system's")},
    {.name = "timeout",
     .kind = CLI_OPT_INT,
     .flags = CLI_OPT_NAMED,
     .help = N_("seconds for which a server may be silent, or nearly so (30)")},
    CLI_NAMED("max-size", N_("refuse larger disks; a scaled integer (16T)")),
    {.name = "spool-dir",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("where to unpack; default: TMPDIR, else /var/tmp")},
    CLI_SWITCH("download",
               N_("have all of an URL here first; an interrupted import goes on with it")),
    CLI_DROP_SECTOR_SIZE,
    PREALLOCATION,
    OVERWRITE,
    FORCE_SHARE,
    RATE_LIMIT,
    CLI_DETACH,
    {0},
};

const CliCommand cli_vol_import_command = {
    .name = "vol-import",
    .alias = "import",
    .summary = N_("make a vol of a disk image from elsewhere"),
    .description =
        N_("Create a vol from a disk image of any format, also compressed with gzip, xz, zstd or "
           "bzip2, in the format of the pool or another one. The vol appears when it is complete "
           "and its checksum is verified. An image that refers to other files is refused. Each "
           "disk of an OVA or OVF with several disks becomes a vol: NEWNAME-disk1 and so on; the "
           "manifest verifies the imported disks. Compressed data and pipes are spooled first, "
           "into a file without a name. The command reads the source itself; with --detach it runs "
           "in the background."),
    .options = import_options,
    .handler = cmd_import,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS | CLI_CMD_WORKS,
};
