/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands that create volumes: vol-create, vol-create-as, vol-create-from; vol-clone is in
 * clone.c. They differ in the source of the document. One call creates the volume. The texts are
 * virsh's, because scripts compare them.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <model/pool_type.h>

#include "commands/image/twin.h"
#include "commands/pool/pool.h"
#include "commands/xml.h"
#include "live_copy.h"
#include "options.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"
#include "volume.h"

/** The creation of a volume, with or without a source volume. */
typedef struct {
    CstConn *conn;
    const CstPoolRef *pool;
    const CstVolRef *source; /**< NULL: an empty volume */
    const char *xml;
    unsigned flags;
    CstVolRef *vol; /**< the result */
} Creation;

static gboolean run_vol_creation(CstTask *task, gpointer data, GError **error)
{
    Creation *creation = data;

    if (creation->source)
        creation->vol = cst_conn_vol_create_from(creation->conn, creation->pool, creation->xml,
                                                 creation->source, creation->flags, task, error);
    else
        creation->vol = cst_conn_vol_create(creation->conn, creation->pool, creation->xml,
                                            creation->flags, task, error);
    return creation->vol != NULL;
}

static gboolean preallocation_flag(const char *mode, unsigned *ret_flags, GError **error)
{
    static const struct {
        const char *mode;
        unsigned flag;
    } rows[] = {
        {"off", CST_VOL_CREATE_PREALLOC_OFF},
        {"metadata", CST_VOL_CREATE_PREALLOC_METADATA},
        {"falloc", CST_VOL_CREATE_PREALLOC_FALLOC},
        {"full", CST_VOL_CREATE_PREALLOC_FULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        if (g_str_equal(rows[i].mode, mode)) {
            *ret_flags |= rows[i].flag;
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_USAGE,
                    _("unknown preallocation '%s': use off, metadata, falloc or full"), mode);
}

gboolean cli_vol_create_flags(const CliArgs *args, unsigned *ret_flags, GError **error)
{
    const char *mode = NULL;

    *ret_flags = 0;
    if (cli_args_has(args, "prealloc-metadata"))
        *ret_flags |= CST_VOL_CREATE_PREALLOC_METADATA;
    if (cli_args_has(args, "reflink"))
        *ret_flags |= CST_VOL_CREATE_REFLINK;
    if (cli_args_has(args, "validate"))
        *ret_flags |= CST_VOL_CREATE_VALIDATE;
    if (cli_args_has(args, "force-share"))
        *ret_flags |= CST_VOL_CREATE_FORCE_SHARE;
    if (cli_args_has(args, "overwrite"))
        *ret_flags |= CST_VOL_CREATE_OVERWRITE;
    if (cli_args_has(args, "linked"))
        *ret_flags |= CST_VOL_CREATE_LINKED;
    if (!cli_args_has(args, "preallocation"))
        return TRUE;
    return cli_args_string(args, "preallocation", &mode, error) &&
           preallocation_flag(mode, ret_flags, error);
}

CstVolRef *cli_vol_make(CliCtl *ctl, const CliArgs *args, const CstPoolRef *pool,
                        const CstVolRef *source, const char *xml, const char *label, GError **error)
{
    Creation creation = {ctl->conn, pool, source, xml, 0, NULL};
    g_autofree char *writers = NULL;

    if (!cli_vol_create_flags(args, &creation.flags, error))
        return NULL;
    writers = source ? cli_vol_writers(ctl, source) : NULL;
    if (!cli_run_task(ctl, label, run_vol_creation, &creation, error))
        return NULL;
    if (source)
        cli_vol_warn_of(ctl, source->name, writers);
    return creation.vol;
}

CstVolRef *cli_vol_make_live(CliCtl *ctl, const CliArgs *args, const CstPoolRef *pool,
                             const CliLiveCopy *live, const char *xml, const char *label,
                             GError **error)
{
    Creation creation = {ctl->conn, pool, live->vol, xml, 0, NULL};

    if (!cli_vol_create_flags(args, &creation.flags, error))
        return NULL;
    if (live->snapshot)
        creation.flags |= CST_VOL_CREATE_LIVE;
    else if (live->is_planned)
        creation.flags |= CST_VOL_CREATE_FORCE_SHARE;
    return cli_run_task(ctl, label, run_vol_creation, &creation, error) ? creation.vol : NULL;
}

uint64_t cli_vol_made_size(CliCtl *ctl, const CstVolRef *vol)
{
    CstVolInfo info = {0};

    return cli_shows_sizes(ctl) && cst_conn_vol_info(ctl->conn, vol, FALSE, &info, NULL)
               ? info.capacity
               : CLI_BYTES_UNKNOWN;
}

/* A user that enters 30 most likely means GiB; a larger number is rather a size in bytes. */
#define NOTED_BYTES_MAX 10000

void cli_vol_note_bytes(CliCtl *ctl, const char *text)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t bytes = 0;
    g_autofree char *note = NULL;

    if (text[digits] || !cst_units_parse(text, 1, &bytes, NULL) || bytes == 0 ||
        bytes >= NOTED_BYTES_MAX)
        return;
    note = g_strdup_printf(_("the size %s is in bytes; write %sG for %s GiB"), text, text, text);
    cli_note(note, ctl);
}

static gboolean cmd_vol_create(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(CstVolRef) vol = NULL;
    g_autofree char *xml = NULL;
    const char *from;

    if (!pool || !cli_args_string(args, "file", &from, error) || !cli_read_xml(from, &xml, error))
        return FALSE;
    cli_blame_name_in(ctl, xml, "/volume/name");
    cli_plan(ctl, _("Would create a vol in pool %s from %s"), pool->name, from);
    vol = cli_vol_make(ctl, args, pool, NULL, xml, _("Creating"), error);
    if (!vol)
        return cli_failed(ctl, _("Failed to create vol from %s"), from);
    cli_done_sized(ctl, "volume", vol->name, cli_vol_made_size(ctl, vol),
                   _("Vol %s created from %s"), vol->name, from);
    return TRUE;
}

static const CliOption create_options[] = {
    OF_POOL(N_("pool name")),
    XML_FILE,
    PREALLOC,
    CLI_VALIDATE,
    PREALLOCATION,
    RATE_LIMIT,
    DETACH,
    {0},
};

const CliCommand cli_vol_create_command = {
    .name = "vol-create",
    .summary = N_("create a vol from an XML file"),
    .description = N_("Create a vol."),
    .options = create_options,
    .handler = cmd_vol_create,
    .flags = CLI_CMD_MUTATES,
};

/** Get the path of the backing volume, which is given by name in @pool, by key or by path. */
static char *backing_path(CliCtl *ctl, const CstPoolRef *pool, const char *backing, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol_beside(ctl, pool, backing, error);

    return vol ? cst_conn_vol_path(ctl->conn, vol, error) : NULL;
}

/* Return: TRUE if volumes of @pool can have @format; FALSE also if the query fails. */
static gboolean pool_makes(CliCtl *ctl, const CstPoolRef *pool, const char *format)
{
    g_autofree char *xml = format ? cst_conn_pool_xml(ctl->conn, pool, 0, NULL) : NULL;

    for (CstPoolType type = 0; xml && cst_pool_type_info(type); type++) {
        g_autofree char *of_type =
            g_strdup_printf("/pool[@type='%s']", cst_pool_type_info(type)->name);

        if (cst_pool_volume_format_ok(type, format) && cli_xml_has(xml, of_type))
            return TRUE;
    }
    return FALSE;
}

const char *cli_vol_default_format(CliCtl *ctl, const CstPoolRef *pool)
{
    return pool_makes(ctl, pool, ctl->config.format) ? ctl->config.format : NULL;
}

const char *cli_vol_format_of(CliCtl *ctl, const CstPoolRef *pool, const char *name)
{
    static const struct {
        const char *ending, *format;
    } rows[] = {
        {".qcow2", "qcow2"}, {".raw", "raw"}, {".img", "raw"},   {".vmdk", "vmdk"}, {".vdi", "vdi"},
        {".vhd", "vpc"},     {".vpc", "vpc"}, {".vhdx", "vhdx"}, {".qed", "qed"},
    };
    const char *dot = strrchr(name, '.');

    for (gsize i = 0; dot && i < G_N_ELEMENTS(rows); i++)
        if (g_ascii_strcasecmp(rows[i].ending, dot) == 0 && pool_makes(ctl, pool, rows[i].format))
            return rows[i].format;
    return cli_vol_default_format(ctl, pool);
}

/* Warn if @vol does not have the sector size of its backing volume at @path. */
static void warn_of_backing_sectors(CliCtl *ctl, const CstVolRef *vol, const char *path)
{
    g_autoptr(CstVolRef) base = cst_conn_vol_by_path(ctl->conn, path, NULL);
    const unsigned size = base ? cli_vol_sector_size(ctl, base) : CLI_SECTOR_SIZE;

    if (size != CLI_SECTOR_SIZE && size != cli_vol_sector_size(ctl, vol))
        cli_warn_of_sector_size(ctl, base->name, size);
}

/** Parse all options except the name. *ret_backing is the word for the backing volume. */
static gboolean read_spec(CliCtl *ctl, const CliArgs *args, CliVolSpec *spec,
                          const char **ret_backing, GError **error)
{
    const char *capacity;
    const char *allocation = NULL;

    if (!cli_args_string(args, "capacity", &capacity, error) ||
        !cli_vol_size(ctl, capacity, &spec->capacity, error))
        return FALSE;
    /* As in virsh, an empty --allocation is ignored. */
    spec->has_allocation =
        cli_args_string(args, "allocation", &allocation, NULL) && allocation != NULL;
    if (spec->has_allocation && !cli_vol_size(ctl, allocation, &spec->allocation, error))
        return FALSE;
    if (!cli_args_exclusive(args, "thin", "thick", error))
        return FALSE;
    if (cli_args_has(args, "thin") || cli_args_has(args, "thick"))
        spec->thin = cli_args_has(args, "thin") ? "yes" : "no";
    return cli_args_string(args, "format", &spec->format, error) &&
           cli_args_string(args, "backing-vol", ret_backing, error) &&
           cli_args_string(args, "backing-vol-format", &spec->backing_format, error);
}

static gboolean cmd_vol_create_as(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(CliNewVol) place = {0};
    g_autoptr(CstVolRef) vol = NULL;
    g_autofree char *path = NULL;
    g_autofree char *xml = NULL;
    const CstPoolRef *pool;
    const char *backing, *capacity;
    CliVolSpec spec = {0};

    if (!cli_vol_new(ctl, args, "name", "pool", &place, error) ||
        !cli_args_string(args, "capacity", &capacity, error) ||
        !read_spec(ctl, args, &spec, &backing, error))
        return FALSE;
    pool = place.pool;
    spec.name = place.name;
    if (!spec.format)
        spec.format = cli_vol_default_format(ctl, pool);
    if (backing) {
        path = backing_path(ctl, pool, backing, error);
        if (!path)
            return FALSE;
        spec.backing_path = path;
    }
    ctl->blame |= CLI_BLAME_DOCUMENT;
    xml = cli_vol_spec_xml(&spec, error);
    if (!xml)
        return FALSE;
    if (cli_args_has(args, "print-xml")) {
        cli_document(ctl, "xml", xml);
        return TRUE;
    }
    cli_plan(ctl, _("Would create vol %s in pool %s"), spec.name, pool->name);
    vol = cli_vol_make(ctl, args, pool, NULL, xml, _("Creating"), error);
    if (!vol)
        return cli_failed(ctl, _("Failed to create vol %s"), spec.name);
    cli_done_sized(ctl, "volume", vol->name, cli_vol_made_size(ctl, vol), _("Vol %s created"),
                   spec.name);
    cli_vol_note_bytes(ctl, capacity);
    if (path)
        warn_of_backing_sectors(ctl, vol, path);
    return TRUE;
}

static const CliOption create_as_options[] = {
    OF_POOL(N_("pool name")),
    NEW_NAME("name", CLI_OPT_REQUIRED, "pool", N_("name of the volume")),
    CLI_REQUIRED("capacity", N_("size of the vol, as scaled integer (default bytes)"), ),
    CLI_STRING("allocation", N_("initial allocation size, as scaled integer (default bytes)")),
    FORMAT_OPTION("format", N_("file format type %s")),
    CLI_STRING("backing-vol", N_("the backing volume if taking a snapshot")),
    FORMAT_OPTION("backing-vol-format", N_("format of backing volume if taking a snapshot")),
    PREALLOC,
    CLI_SWITCH("print-xml", N_("print XML document, but don't define/create")),
    CLI_VALIDATE,
    PREALLOCATION,
    CLI_SWITCH("thin", N_("take space from a thin pool as it is written to (logical pools)")),
    CLI_SWITCH("thick", N_("set all space aside at once, also in a pool of thin volumes")),
    RATE_LIMIT,
    DETACH,
    {0},
};

const CliCommand cli_vol_create_as_command = {
    .name = "vol-create-as",
    .summary = N_("create a volume from a set of args"),
    .description = N_("Create a vol."),
    .options = create_as_options,
    .handler = cmd_vol_create_as,
    .flags = CLI_CMD_MUTATES,
};

static gboolean cmd_create_from(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(CstVolRef) source = NULL;
    g_autoptr(CstVolRef) vol = NULL;
    g_autofree char *xml = NULL;
    const char *from;

    if (!pool || !cli_args_string(args, "file", &from, error))
        return FALSE;
    source = cli_vol(ctl, args, "inputpool", NULL, error);
    if (!source || !cli_read_xml(from, &xml, error))
        return FALSE;
    cli_blame_name_in(ctl, xml, "/volume/name");
    cli_plan(ctl, _("Would create a vol in pool %s from %s and input vol %s"), pool->name, from,
             source->name);
    vol = cli_vol_make(ctl, args, pool, source, xml, _("Copying"), error);
    if (!vol)
        return cli_failed(ctl, _("Failed to create vol from %s"), from);
    cli_done_sized(ctl, "volume", vol->name, cli_vol_made_size(ctl, vol),
                   _("Vol %s created from input vol %s"), vol->name, source->name);
    return TRUE;
}

static const CliOption create_from_options[] = {
    OF_POOL(N_("pool name or uuid")),
    XML_FILE,
    CLI_REQUIRED("vol", N_("vol name, key or path"), .complete = cli_complete_input_vols),
    POOL_OPTION("inputpool", N_("pool name or uuid of the input volume's pool")),
    PREALLOC,
    REFLINK,
    CLI_VALIDATE,
    PREALLOCATION,
    FORCE_SHARE,
    OVERWRITE,
    RATE_LIMIT,
    DETACH,
    {0},
};

const CliCommand cli_vol_create_from_command = {
    .name = "vol-create-from",
    .summary = N_("create a vol, using another volume as input"),
    .description = N_("Create a vol from an existing volume."),
    .options = create_from_options,
    .handler = cmd_create_from,
    .flags = CLI_CMD_MUTATES,
};
