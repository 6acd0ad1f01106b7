/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/error.h>
#include <base/i18n.h>

#include "commands/event.h"
#include "commands/xml.h"
#include "output/confirm.h"
#include "output/report.h"
#include "pool.h"

/* The texts of this file are virsh's: scripts compare them. */

static gboolean cmd_autostart(CliCtl *ctl, const CliArgs *args, GError **error)
{
    gboolean enable = !cli_args_has(args, "disable");
    const char *name;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", &name, error);

    if (!pool)
        return FALSE;
    cli_plan(ctl,
             enable ? _("Would mark pool %s as autostarted")
                    : _("Would unmark pool %s as autostarted"),
             name);
    if (!cst_conn_pool_set_autostart(ctl->conn, pool, enable, error))
        return cli_failed(ctl,
                          enable ? _("failed to mark pool %s as autostarted")
                                 : _("failed to unmark pool %s as autostarted"),
                          name);
    cli_done(ctl, "pool", pool->name,
             enable ? _("Pool %s marked as autostarted") : _("Pool %s unmarked as autostarted"),
             name);
    return TRUE;
}

static gboolean confirm_overwrite(CliCtl *ctl, const char *name, GError **error)
{
    return cli_confirm(ctl, error, _("Overwrite whatever is on the devices of pool %s?"), name);
}

static gboolean cmd_build(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", &name, error);
    unsigned flags = 0;

    if (!pool)
        return FALSE;
    if (cli_args_has(args, "no-overwrite"))
        flags |= CST_POOL_BUILD_NO_OVERWRITE;
    if (cli_args_has(args, "overwrite"))
        flags |= CST_POOL_BUILD_OVERWRITE;
    cli_plan(ctl, _("Would build pool %s"), name);
    if ((flags & CST_POOL_BUILD_OVERWRITE) && !confirm_overwrite(ctl, name, error))
        return FALSE;
    if (!cst_conn_pool_build(ctl->conn, pool, flags, error))
        return cli_failed(ctl, _("Failed to build pool %s"), name);
    cli_done(ctl, "pool", pool->name, _("Pool %s built"), name);
    return TRUE;
}

static gboolean cmd_create(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autofree char *xml = NULL;
    const char *from;
    unsigned flags;

    if (!cli_conn(ctl, error) || !cli_args_string(args, "file", &from, error) ||
        !cli_pool_create_flags(args, &flags, error) || !cli_read_xml(from, &xml, error))
        return FALSE;
    cli_plan(ctl, _("Would create a pool from %s"), from);
    if ((flags & CST_POOL_CREATE_WITH_BUILD_OVERWRITE) && !confirm_overwrite(ctl, from, error))
        return FALSE;
    pool = cst_conn_pool_create(ctl->conn, xml, flags, error);
    if (!pool)
        return cli_failed(ctl, _("Failed to create pool from %s"), from);
    cli_done(ctl, "pool", pool->name, _("Pool %s created from %s"), pool->name, from);
    return TRUE;
}

static gboolean cmd_create_as(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autofree char *xml = NULL;
    const char *name;
    unsigned flags;

    if (!cli_pool_create_flags(args, &flags, error) ||
        !cli_pool_build_xml(ctl, args, &name, &xml, error))
        return FALSE;
    if (cli_args_has(args, "print-xml")) {
        cli_document(ctl, "xml", xml);
        return TRUE;
    }
    if (!cli_pool_check_type(args, error) || !cli_conn(ctl, error))
        return FALSE;
    cli_plan(ctl, _("Would create pool %s"), name);
    if ((flags & CST_POOL_CREATE_WITH_BUILD_OVERWRITE) && !confirm_overwrite(ctl, name, error))
        return FALSE;
    pool = cst_conn_pool_create(ctl->conn, xml, flags, error);
    if (!pool)
        return cli_failed(ctl, _("Failed to create pool %s"), name);
    cli_done(ctl, "pool", pool->name, _("Pool %s created"), name);
    return TRUE;
}

static gboolean cmd_define(CliCtl *ctl, const CliArgs *args, GError **error)
{
    unsigned flags = cli_args_has(args, "validate") ? CST_POOL_DEFINE_VALIDATE : 0;
    g_autoptr(CstPoolRef) pool = NULL;
    g_autofree char *xml = NULL;
    const char *from;

    if (!cli_conn(ctl, error) || !cli_args_string(args, "file", &from, error) ||
        !cli_read_xml(from, &xml, error))
        return FALSE;
    cli_plan(ctl, _("Would define a pool from %s"), from);
    pool = cst_conn_pool_define(ctl->conn, xml, flags, error);
    if (!pool)
        return cli_failed(ctl, _("Failed to define pool from %s"), from);
    cli_done(ctl, "pool", pool->name, _("Pool %s defined from %s"), pool->name, from);
    return TRUE;
}

static gboolean cmd_define_as(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autofree char *xml = NULL;
    const char *name;

    if (!cli_pool_build_xml(ctl, args, &name, &xml, error))
        return FALSE;
    if (cli_args_has(args, "print-xml")) {
        cli_document(ctl, "xml", xml);
        return TRUE;
    }
    if (!cli_pool_check_type(args, error) || !cli_conn(ctl, error))
        return FALSE;
    cli_plan(ctl, _("Would define pool %s"), name);
    pool = cst_conn_pool_define(ctl->conn, xml, 0, error);
    if (!pool)
        return cli_failed(ctl, _("Failed to define pool %s"), name);
    cli_done(ctl, "pool", pool->name, _("Pool %s defined"), name);
    return TRUE;
}

static gboolean cmd_delete(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", &name, error);

    if (!pool)
        return FALSE;
    cli_plan(ctl, _("Would delete the storage of pool %s"), name);
    if (!cli_confirm(ctl, error, _("Delete the storage of pool %s?"), name))
        return FALSE;
    if (!cst_conn_pool_delete(ctl->conn, pool, 0, error))
        return cli_failed(ctl, _("Failed to delete pool %s"), name);
    cli_done(ctl, "pool", pool->name, _("Pool %s deleted"), name);
    return TRUE;
}

static gboolean cmd_destroy(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", &name, error);

    if (!pool)
        return FALSE;
    cli_plan(ctl, _("Would stop pool %s"), name);
    if (!cst_conn_pool_stop(ctl->conn, pool, error))
        return cli_failed(ctl, _("Failed to destroy pool %s"), name);
    cli_done(ctl, "pool", pool->name, _("Pool %s destroyed"), name);
    return TRUE;
}

static gboolean cmd_dumpxml(CliCtl *ctl, const CliArgs *args, GError **error)
{
    unsigned flags = cli_args_has(args, "inactive") ? CST_STORAGE_XML_INACTIVE : 0;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autofree char *xml = NULL;

    if (!pool)
        return FALSE;
    xml = cst_conn_pool_xml(ctl->conn, pool, flags, error);
    return xml && cli_dump_xml(ctl, args, xml, error);
}

static gboolean cmd_name(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool_by_uuid(ctl, args, "pool", error);

    if (!pool)
        return FALSE;
    cli_value(ctl, "name", pool->name);
    return TRUE;
}

static gboolean cmd_uuid(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool_by_name(ctl, args, "pool", error);
    char uuid[CST_UUID_TEXT_LEN];

    if (!pool)
        return FALSE;
    cli_value(ctl, "uuid", cst_uuid_format(&pool->uuid, uuid));
    return TRUE;
}

static gboolean cmd_refresh(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", &name, error);

    if (!pool)
        return FALSE;
    if (!cst_conn_pool_refresh(ctl->conn, pool, 0, error))
        return cli_failed(ctl, _("Failed to refresh pool %s"), name);
    cli_done(ctl, "pool", pool->name, _("Pool %s refreshed"), name);
    return TRUE;
}

static gboolean cmd_start(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", &name, error);
    unsigned flags;

    if (!pool || !cli_pool_create_flags(args, &flags, error))
        return FALSE;
    cli_plan(ctl, _("Would start pool %s"), name);
    if ((flags & CST_POOL_CREATE_WITH_BUILD_OVERWRITE) && !confirm_overwrite(ctl, name, error))
        return FALSE;
    if (!cst_conn_pool_start(ctl->conn, pool, flags, error))
        return cli_failed(ctl, _("Failed to start pool %s"), name);
    cli_done(ctl, "pool", pool->name, _("Pool %s started"), name);
    return TRUE;
}

static gboolean cmd_undefine(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", &name, error);

    if (!pool)
        return FALSE;
    cli_plan(ctl, _("Would undefine pool %s"), name);
    if (!cst_conn_pool_undefine(ctl->conn, pool, error))
        return cli_failed(ctl, _("Failed to undefine pool %s"), name);
    cli_done(ctl, "pool", pool->name, _("Pool %s has been undefined"), name);
    return TRUE;
}

static gboolean cmd_capabilities(CliCtl *ctl, const CliArgs *args, GError **error)
{
    CstConn *conn = cli_conn(ctl, error);
    g_autofree char *xml = conn ? cst_conn_pool_capabilities(conn, error) : NULL;

    if (!xml)
        return conn ? cli_failed(ctl, "%s", _("failed to get storage pool capabilities")) : FALSE;
    cli_value(ctl, "xml", xml);
    return TRUE;
}

static gboolean find_sources(CliCtl *ctl, const char *type, const char *spec, GError **error)
{
    g_autofree char *xml = cst_conn_find_sources(ctl->conn, type, spec, error);

    if (!xml)
        return cli_failed(ctl, _("Failed to find any %s pool sources"), type);
    cli_document(ctl, "xml", xml);
    return TRUE;
}

static gboolean cmd_find_sources(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autofree char *spec = NULL;
    const char *type;
    const char *file;

    if (!cli_conn(ctl, error) || !cli_args_string(args, "type", &type, error) ||
        !cli_args_string(args, "srcSpec", &file, error) ||
        (file && !cli_read_xml(file, &spec, error)))
        return FALSE;
    return find_sources(ctl, type, spec, error);
}

/** The <source> that find-storage-pool-sources-as asks with; NULL without a host. */
static char *source_spec(const char *host, const char *port, const char *initiator)
{
    GString *xml;

    if (!host)
        return NULL;
    xml = g_string_new("<source>\n");
    g_string_append_printf(xml, "  <host name='%s'", host);
    if (port)
        g_string_append_printf(xml, " port='%s'", port);
    g_string_append(xml, "/>\n");
    if (initiator)
        g_string_append_printf(xml, "  <initiator>\n    <iqn name='%s'/>\n  </initiator>\n",
                               initiator);
    g_string_append(xml, "</source>\n");
    return g_string_free(xml, FALSE);
}

static gboolean cmd_find_sources_as(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autofree char *spec = NULL;
    const char *type;
    const char *host;
    const char *port;
    const char *initiator;

    if (!cli_conn(ctl, error) || !cli_args_string(args, "type", &type, error) ||
        !cli_args_string(args, "host", &host, error) ||
        !cli_args_string(args, "port", &port, error) ||
        !cli_args_string(args, "initiator", &initiator, error))
        return FALSE;
    spec = source_spec(host, port, initiator);
    return find_sources(ctl, type, spec, error);
}

/* --- the table ------------------------------------------------------------------------------- */

#define POOL_OPTION(completer)                                             \
    {                                                                      \
        .name = "pool", .kind = CLI_OPT_STRING, .flags = CLI_OPT_REQUIRED, \
        .help = N_("pool name or uuid"), .complete = completer             \
    }
#define OVERWRITE_OPTIONS                                                 \
    CLI_SWITCH("no-overwrite", N_("do not overwrite any existing data")), \
        CLI_SWITCH("overwrite", N_("overwrite any existing data"))
#define BUILD_OPTIONS CLI_SWITCH("build", N_("build the pool as normal")), OVERWRITE_OPTIONS

static const CliOption any_pool_options[] = {POOL_OPTION(cli_complete_pools), {0}};
static const CliOption active_pool_options[] = {POOL_OPTION(cli_complete_active_pools), {0}};
static const CliOption inactive_pool_options[] = {POOL_OPTION(cli_complete_inactive_pools), {0}};

static const CliOption autostart_options[] = {
    POOL_OPTION(cli_complete_pools),
    CLI_SWITCH("disable", N_("disable autostarting")),
    {0},
};

static const CliOption build_options[] = {
    POOL_OPTION(cli_complete_inactive_pools),
    OVERWRITE_OPTIONS,
    {0},
};

static const CliOption start_options[] = {
    POOL_OPTION(cli_complete_inactive_pools),
    BUILD_OPTIONS,
    {0},
};

static const CliOption create_options[] = {
    CLI_FILE("file", CLI_OPT_REQUIRED, N_("file containing an XML pool description")),
    BUILD_OPTIONS,
    {0},
};

static const CliOption define_options[] = {
    CLI_FILE("file", CLI_OPT_REQUIRED, N_("file containing an XML pool description")),
    CLI_SWITCH("validate", N_("validate the XML against the schema")),
    {0},
};

#define AS_OPTIONS                                                                               \
    CLI_REQUIRED("name", N_("name of the pool"), ),                                              \
        CLI_REQUIRED("type", N_("type of the pool"), .complete = cli_complete_pool_types),       \
        CLI_SWITCH("print-xml", N_("print XML document, but don't define/create")),              \
        CLI_STRING("source-host", N_("source-host for underlying storage")),                     \
        CLI_FILE("source-path", 0, N_("source path for underlying storage")),                    \
        CLI_FILE("source-dev", 0, N_("source device for underlying storage")),                   \
        CLI_STRING("source-name", N_("source name for underlying storage")),                     \
        CLI_FILE("target", 0, N_("target for underlying storage")),                              \
        CLI_STRING("source-format", N_("format for underlying storage")),                        \
        CLI_STRING("auth-type", N_("auth type to be used for underlying storage")),              \
        CLI_STRING("auth-username", N_("auth username to be used for underlying storage")),      \
        CLI_STRING("secret-usage", N_("auth secret usage to be used for underlying storage")),   \
        CLI_STRING("secret-uuid", N_("auth secret UUID to be used for underlying storage")),     \
        CLI_STRING("adapter-name", N_("adapter name to be used for underlying storage")),        \
        CLI_STRING("adapter-wwnn", N_("adapter wwnn to be used for underlying storage")),        \
        CLI_STRING("adapter-wwpn", N_("adapter wwpn to be used for underlying storage")),        \
        CLI_STRING("adapter-parent",                                                             \
                   N_("adapter parent scsi_hostN to be used for underlying vHBA storage")),      \
        CLI_STRING("adapter-parent-wwnn",                                                        \
                   N_("adapter parent scsi_hostN wwnn to be used for underlying vHBA storage")), \
        CLI_STRING("adapter-parent-wwpn",                                                        \
                   N_("adapter parent scsi_hostN wwpn to be used for underlying vHBA storage")), \
        CLI_STRING(                                                                              \
            "adapter-parent-fabric-wwn",                                                         \
            N_("adapter parent scsi_hostN fabric_wwn to be used for underlying vHBA storage")),  \
        CLI_STRING("source-protocol-ver", N_("nfsvers value for NFS pool mount option")),        \
        CLI_STRING("source-initiator", N_("initiator iqn for underlying storage"))

static const CliOption define_as_options[] = {AS_OPTIONS, {0}};
static const CliOption create_as_options[] = {AS_OPTIONS, BUILD_OPTIONS, {0}};

static const CliOption dumpxml_options[] = {
    POOL_OPTION(cli_complete_pools),
    CLI_SWITCH("inactive", N_("show inactive defined XML")),
    CLI_DUMP_XML_OPTIONS,
    {0},
};

static const CliOption info_options[] = {
    POOL_OPTION(cli_complete_pools),
    CLI_SWITCH("bytes", N_("Return pool info in bytes")),
    {0},
};

static const CliOption list_options[] = {
    CLI_SWITCH("inactive", N_("list inactive pools")),
    CLI_SWITCH("all", N_("list inactive & active pools")),
    CLI_SWITCH("transient", N_("list transient pools")),
    CLI_SWITCH("persistent", N_("list persistent pools")),
    CLI_SWITCH("autostart", N_("list pools with autostart enabled")),
    CLI_SWITCH("no-autostart", N_("list pools with autostart disabled")),
    {.name = "type",
     .kind = CLI_OPT_STRING,
     .help = N_("only list pool of specified type(s) (if supported)"),
     .complete = cli_complete_pool_types,
     .complete_by_list = TRUE},
    CLI_SWITCH("details", N_("display extended details for pools")),
    CLI_SWITCH("uuid", N_("list UUID of active pools only")),
    CLI_SWITCH("name", N_("list name of active pools only")),
    {0},
};

static const CliOption event_options[] = {
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .help = N_("filter by storage pool name or uuid"),
     .complete = cli_complete_pools},
    CLI_EVENT_OPTIONS(cli_complete_pool_events),
    {0},
};

static const CliOption find_sources_options[] = {
    CLI_REQUIRED("type", N_("type of storage pool sources to discover"),
                 .complete = cli_complete_pool_types),
    CLI_STRING("srcSpec", N_("optional file of source xml to query for pools")),
    {0},
};

static const CliOption find_sources_as_options[] = {
    CLI_REQUIRED("type", N_("type of storage pool sources to find"),
                 .complete = cli_complete_pool_types),
    CLI_STRING("host", N_("optional host to query")),
    CLI_STRING("port", N_("optional port to query")),
    CLI_STRING("initiator", N_("optional initiator IQN to use for query")),
    {0},
};

const CliCommand cli_pool_commands[] = {
    {"find-storage-pool-sources-as", N_("find potential storage pool sources"),
     N_("Returns XML <sources> document."), find_sources_as_options, cmd_find_sources_as, 0},
    {"find-storage-pool-sources", N_("discover potential storage pool sources"),
     N_("Returns XML <sources> document."), find_sources_options, cmd_find_sources, 0},
    {"pool-autostart", N_("autostart a pool"),
     N_("Configure a pool to be automatically started at boot."), autostart_options, cmd_autostart,
     CLI_CMD_MUTATES},
    {"pool-build", N_("build a pool"), N_("Build a given pool."), build_options, cmd_build,
     CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"pool-create-as", N_("create a pool from a set of args"), N_("Create a pool."),
     create_as_options, cmd_create_as, CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"pool-create", N_("create a pool from an XML file"), N_("Create a pool."), create_options,
     cmd_create, CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"pool-define-as", N_("define a pool from a set of args"), N_("Define a pool."),
     define_as_options, cmd_define_as, CLI_CMD_MUTATES},
    {"pool-define",
     N_("define an inactive persistent storage pool or modify an existing persistent one from an "
        "XML file"),
     N_("Define or modify a persistent storage pool."), define_options, cmd_define,
     CLI_CMD_MUTATES},
    {"pool-delete", N_("delete a pool"), N_("Delete a given pool."), inactive_pool_options,
     cmd_delete, CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"pool-destroy", N_("destroy (stop) a pool"),
     N_("Forcefully stop a given pool. Raw data in the pool is untouched"), active_pool_options,
     cmd_destroy, CLI_CMD_MUTATES},
    {"pool-dumpxml", N_("pool information in XML"),
     N_("Output the pool information as an XML dump to stdout."), dumpxml_options, cmd_dumpxml, 0},
    {"pool-edit", N_("edit XML configuration for a storage pool"),
     N_("Edit the XML configuration for a storage pool."), any_pool_options, cli_cmd_pool_edit,
     CLI_CMD_MUTATES},
    {"pool-info", N_("storage pool information"),
     N_("Returns basic information about the storage pool."), info_options, cli_cmd_pool_info, 0},
    {"pool-list", N_("list pools"), N_("Returns list of pools."), list_options, cli_cmd_pool_list,
     0},
    {"pool-name", N_("convert a pool UUID to pool name"), "", any_pool_options, cmd_name, 0},
    {"pool-refresh", N_("refresh a pool"), N_("Refresh a given pool."), active_pool_options,
     cmd_refresh, 0},
    {"pool-start", N_("start a (previously defined) inactive pool"), N_("Start a pool."),
     start_options, cmd_start, CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"pool-trust", N_("say which references of a pool's vols are followed"),
     N_("What images of a pool name, when nobody has declared it one by one (vol-trust) and only "
        "root can write where they lie, is followed to volumes of active pools, to none, or "
        "anywhere. Without --follow, shows which."),
     cli_pool_trust_options, cli_cmd_pool_trust, CLI_CMD_MUTATES | CLI_CMD_OURS},
    {"pool-undefine", N_("undefine an inactive pool"),
     N_("Undefine the configuration for an inactive pool."), inactive_pool_options, cmd_undefine,
     CLI_CMD_MUTATES},
    {"pool-uuid", N_("convert a pool name to pool UUID"), "", any_pool_options, cmd_uuid, 0},
    {"pool-event", N_("Storage Pool Events"),
     N_("List event types, or wait for storage pool events to occur"), event_options,
     cli_cmd_pool_event, 0},
    {"pool-capabilities", N_("storage pool capabilities"),
     N_("Returns capabilities of storage pool support."), NULL, cmd_capabilities, 0},
    {0},
};
