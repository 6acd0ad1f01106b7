/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands for pools, and the table of all of them. The texts are virsh's, because scripts compare
 * them.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <conn/trash.h>
#include <model/xml_write.h>

#include "commands/commands.h"
#include "commands/event.h"
#include "commands/xml.h"
#include "output/confirm.h"
#include "output/report.h"
#include "output/text.h"
#include "pool.h"

#define XML_FILE CLI_FILE("file", CLI_OPT_REQUIRED, N_("file containing an XML pool description"))
#define OVERWRITE_OPTIONS                                                 \
    CLI_SWITCH("no-overwrite", N_("do not overwrite any existing data")), \
        CLI_SWITCH("overwrite", N_("overwrite any existing data"))
#define BUILD_OPTIONS CLI_SWITCH("build", N_("build the pool as normal")), OVERWRITE_OPTIONS
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
        CLI_STRING("source-initiator", N_("initiator iqn for underlying storage")),              \
        CLI_NAMED("trash", N_("days for which the pool keeps deleted vols"))

static gboolean confirm_overwrite(CliCtl *ctl, const char *name, GError **error)
{
    return cli_confirm(ctl, error, _("Overwrite the content of the devices of pool %s?"), name);
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
    return cli_outcome(ctl, cst_conn_pool_build(ctl->conn, pool, flags, error), "pool", pool->name,
                       _("Pool %s built"), _("Failed to build pool %s"), name);
}

static const CliOption build_options[] = {
    CLI_POOL_OPTION(cli_complete_inactive_pools),
    OVERWRITE_OPTIONS,
    {0},
};

static const CliCommand build_command = {
    .name = "pool-build",
    .summary = N_("build a pool"),
    .description = N_("Build a given pool."),
    .options = build_options,
    .handler = cmd_build,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};

static gboolean cmd_pool_create(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autofree char *xml = NULL;
    const char *from;
    unsigned flags;

    if (!cli_conn(ctl, error) || !cli_args_string(args, "file", &from, error) ||
        !cli_pool_create_flags(args, &flags, error) || !cli_read_xml(from, &xml, error))
        return FALSE;
    cli_blame_name_in(ctl, xml, "/pool/name");
    cli_plan(ctl, _("Would create a pool from %s"), from);
    if ((flags & CST_POOL_CREATE_WITH_BUILD_OVERWRITE) && !confirm_overwrite(ctl, from, error))
        return FALSE;
    pool = cst_conn_pool_create(ctl->conn, xml, flags, error);
    if (!pool)
        return cli_failed(ctl, _("Failed to create pool from %s"), from);
    cli_done(ctl, "pool", pool->name, _("Pool %s created from %s"), pool->name, from);
    return TRUE;
}

static const CliOption create_options[] = {
    XML_FILE,
    BUILD_OPTIONS,
    {0},
};

static const CliCommand create_command = {
    .name = "pool-create",
    .summary = N_("create a pool from an XML file"),
    .description = N_("Create a pool."),
    .options = create_options,
    .handler = cmd_pool_create,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};

static gboolean cmd_pool_create_as(CliCtl *ctl, const CliArgs *args, GError **error)
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

static const CliOption create_as_options[] = {AS_OPTIONS, BUILD_OPTIONS, {0}};

static const CliCommand create_as_command = {
    .name = "pool-create-as",
    .summary = N_("create a pool from a set of args"),
    .description = N_("Create a pool."),
    .options = create_as_options,
    .handler = cmd_pool_create_as,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};

static gboolean cmd_pool_define(CliCtl *ctl, const CliArgs *args, GError **error)
{
    unsigned flags = cli_args_has(args, "validate") ? CST_POOL_DEFINE_VALIDATE : 0;
    g_autoptr(CstPoolRef) pool = NULL;
    g_autofree char *xml = NULL;
    const char *from;

    if (!cli_conn(ctl, error) || !cli_args_string(args, "file", &from, error) ||
        !cli_read_xml(from, &xml, error))
        return FALSE;
    cli_blame_name_in(ctl, xml, "/pool/name");
    cli_plan(ctl, _("Would define a pool from %s"), from);
    pool = cst_conn_pool_define(ctl->conn, xml, flags, error);
    if (!pool)
        return cli_failed(ctl, _("Failed to define pool from %s"), from);
    cli_done(ctl, "pool", pool->name, _("Pool %s defined from %s"), pool->name, from);
    return TRUE;
}

static const CliOption define_options[] = {
    XML_FILE,
    CLI_VALIDATE,
    {0},
};

static const CliCommand define_command = {
    .name = "pool-define",
    .summary = N_(
        "define an inactive persistent storage pool or modify an existing persistent one from an "
        "XML file"),
    .description = N_("Define or modify a persistent storage pool."),
    .options = define_options,
    .handler = cmd_pool_define,
    .flags = CLI_CMD_MUTATES,
};

/*
 * Build, autostart and start a new pool, as the options request. If a step fails, the definition
 * remains, and the hint names the command that repeats the step.
 */
static gboolean finish_definition(CliCtl *ctl, const CliArgs *args, const CstPoolRef *pool,
                                  unsigned flags, GError **error)
{
    const char *name = pool->name;
    unsigned build = 0;

    if (flags & CST_POOL_CREATE_WITH_BUILD_OVERWRITE)
        build |= CST_POOL_BUILD_OVERWRITE;
    if (flags & CST_POOL_CREATE_WITH_BUILD_NO_OVERWRITE)
        build |= CST_POOL_BUILD_NO_OVERWRITE;
    if (flags && !cst_conn_pool_build(ctl->conn, pool, build, error)) {
        cli_hint(ctl, _("the pool is defined; `cistern pool-build %s` builds it"), name);
        return cli_failed(ctl, _("Failed to build pool %s"), name);
    }
    if (cli_args_has(args, "autostart") &&
        !cst_conn_pool_set_autostart(ctl->conn, pool, TRUE, error)) {
        cli_hint(ctl, _("the pool is defined; `cistern pool-autostart %s` marks it"), name);
        return cli_failed(ctl, _("failed to mark pool %s as autostarted"), name);
    }
    if (cli_args_has(args, "start") && !cst_conn_pool_start(ctl->conn, pool, 0, error)) {
        cli_hint(ctl, _("the pool is defined; `cistern pool-start %s` starts it"), name);
        return cli_failed(ctl, _("Failed to start pool %s"), name);
    }
    return TRUE;
}

static gboolean cmd_define_as(CliCtl *ctl, const CliArgs *args, GError **error)
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
    cli_plan(ctl, _("Would define pool %s"), name);
    if ((flags & CST_POOL_CREATE_WITH_BUILD_OVERWRITE) && !confirm_overwrite(ctl, name, error))
        return FALSE;
    pool = cst_conn_pool_define(ctl->conn, xml, 0, error);
    if (!pool)
        return cli_failed(ctl, _("Failed to define pool %s"), name);
    if (!finish_definition(ctl, args, pool, flags, error))
        return FALSE;
    cli_done(ctl, "pool", pool->name,
             cli_args_has(args, "start") ? _("Pool %s defined and started") : _("Pool %s defined"),
             name);
    return TRUE;
}

static const CliOption define_as_options[] = {
    AS_OPTIONS,
    BUILD_OPTIONS,
    CLI_SWITCH("start", N_("start the pool, too")),
    CLI_SWITCH("autostart", N_("start the pool at each boot of the host")),
    {0},
};

static const CliCommand define_as_command = {
    .name = "pool-define-as",
    .summary = N_("define a pool from a set of args"),
    .description = N_("Define a pool."),
    .options = define_as_options,
    .handler = cmd_define_as,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};

static gboolean cmd_pool_delete(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", &name, error);

    if (!pool)
        return FALSE;
    cli_plan(ctl, _("Would delete the storage of pool %s"), name);
    if (!cli_confirm(ctl, error, _("Delete the storage of pool %s?"), name))
        return FALSE;
    return cli_outcome(ctl, cst_conn_pool_delete(ctl->conn, pool, 0, error), "pool", pool->name,
                       _("Pool %s deleted"), _("Failed to delete pool %s"), name);
}

static const CliOption inactive_pool_options[] = {CLI_POOL_OPTION(cli_complete_inactive_pools),
                                                  {0}};

static const CliCommand delete_command = {
    .name = "pool-delete",
    .summary = N_("delete a pool"),
    .description = N_("Delete a given pool."),
    .options = inactive_pool_options,
    .handler = cmd_pool_delete,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};

static gboolean cmd_pool_dumpxml(CliCtl *ctl, const CliArgs *args, GError **error)
{
    unsigned flags = cli_args_has(args, "inactive") ? CST_STORAGE_XML_INACTIVE : 0;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autofree char *xml = NULL;

    if (!pool)
        return FALSE;
    xml = cst_conn_pool_xml(ctl->conn, pool, flags, error);
    return xml && cli_dump_xml(ctl, args, xml, error);
}

static const CliOption dumpxml_options[] = {
    CLI_POOL_OPTION(cli_complete_pools),
    CLI_SWITCH("inactive", N_("show inactive defined XML")),
    CLI_DUMP_XML_OPTIONS,
    {0},
};

static const CliCommand dumpxml_command = {
    .name = "pool-dumpxml",
    .summary = N_("pool information in XML"),
    .description = N_("Output the pool information as an XML dump to stdout."),
    .options = dumpxml_options,
    .handler = cmd_pool_dumpxml,
};

static gboolean cmd_pool_name(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool_by_uuid(ctl, args, "pool", error);

    if (!pool)
        return FALSE;
    cli_value(ctl, "name", pool->name);
    return TRUE;
}

static const CliOption any_pool_options[] = {CLI_POOL_OPTION(cli_complete_pools), {0}};

static const CliCommand name_command = {
    .name = "pool-name",
    .summary = N_("convert a pool UUID to pool name"),
    .description = "",
    .options = any_pool_options,
    .handler = cmd_pool_name,
};

static gboolean cmd_uuid(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool_by_name(ctl, args, "pool", error);
    char uuid[CST_UUID_TEXT_LEN];

    if (!pool)
        return FALSE;
    cli_value(ctl, "uuid", cst_uuid_format(&pool->uuid, uuid));
    return TRUE;
}

static const CliCommand uuid_command = {
    .name = "pool-uuid",
    .summary = N_("convert a pool name to pool UUID"),
    .description = "",
    .options = any_pool_options,
    .handler = cmd_uuid,
};

static gboolean start_one(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const CliPoolArg *arg = thing;
    unsigned flags = *(const unsigned *)data;

    cli_plan(ctl, _("Would start pool %s"), arg->typed);
    if ((flags & CST_POOL_CREATE_WITH_BUILD_OVERWRITE) &&
        !confirm_overwrite(ctl, arg->typed, error))
        return FALSE;
    return cli_outcome(ctl, cst_conn_pool_start(ctl->conn, arg->pool, flags, error), "pool",
                       arg->pool->name, _("Pool %s started"), _("Failed to start pool %s"),
                       arg->typed);
}

static const CliEach start_each = {
    .list = "pools", .kind = "pool", .name = cli_pool_arg_name, .run = start_one};

static gboolean cmd_start(CliCtl *ctl, const CliArgs *args, GError **error)
{
    unsigned flags;

    return cli_pool_create_flags(args, &flags, error) &&
           cli_pool_each(ctl, args, &start_each, &flags, error);
}

static const CliOption start_options[] = {
    CLI_POOL_OPTION(cli_complete_inactive_pools),
    BUILD_OPTIONS,
    CLI_FURTHER_POOLS(cli_complete_inactive_pools),
    {0},
};

static const CliCommand start_command = {
    .name = "pool-start",
    .summary = N_("start a (previously defined) inactive pool"),
    .description = N_("Start a pool."),
    .options = start_options,
    .handler = cmd_start,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};

/* Warn, because without the pool no command lists or removes these volumes. */
static void warn_of_pool_trash(CliCtl *ctl, const CstPoolRef *pool, const GPtrArray *trash)
{
    char uuid[CST_UUID_TEXT_LEN];

    if (!trash || trash->len == 0 || ctl->settings.quiet)
        return;
    cli_warn(ctl,
             ngettext("warning: %u deleted vol stays in the pool's trash, and its space taken, "
                      "until a pool with UUID %s is defined again\n",
                      "warning: %u deleted vols stay in the pool's trash, and their space taken, "
                      "until a pool with UUID %s is defined again\n",
                      trash->len),
             trash->len, cst_uuid_format(&pool->uuid, uuid));
}

static gboolean cmd_pool_undefine(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) trash = NULL;
    const char *name;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", &name, error);
    gboolean done;

    if (!pool)
        return FALSE;
    cli_plan(ctl, _("Would undefine pool %s"), name);
    trash = cst_conn_trash_list(ctl->conn, pool, NULL);
    done = cst_conn_pool_undefine(ctl->conn, pool, error);
    if (done && !ctl->settings.dry_run)
        warn_of_pool_trash(ctl, pool, trash);
    return cli_outcome(ctl, done, "pool", pool->name, _("Pool %s has been undefined"),
                       _("Failed to undefine pool %s"), name);
}

static const CliCommand undefine_command = {
    .name = "pool-undefine",
    .summary = N_("undefine an inactive pool"),
    .description = N_("Undefine the configuration for an inactive pool."),
    .options = inactive_pool_options,
    .handler = cmd_pool_undefine,
    .flags = CLI_CMD_MUTATES,
};

static gboolean cmd_pool_capabilities(CliCtl *ctl, const CliArgs *args, GError **error)
{
    CstConn *conn = cli_conn(ctl, error);
    g_autofree char *xml = conn ? cst_conn_pool_capabilities(conn, error) : NULL;

    if (!xml)
        return conn ? cli_failed(ctl, "%s", _("failed to get storage pool capabilities")) : FALSE;
    cli_document(ctl, "xml", xml);
    cli_print(ctl, "\n");
    return TRUE;
}

static const CliCommand capabilities_command = {
    .name = "pool-capabilities",
    .summary = N_("storage pool capabilities"),
    .description = N_("Returns capabilities of storage pool support."),
    .handler = cmd_pool_capabilities,
};

static gboolean print_pool_sources(CliCtl *ctl, const char *type, const char *spec, GError **error)
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
    return print_pool_sources(ctl, type, spec, error);
}

static const CliOption find_sources_options[] = {
    CLI_REQUIRED("type", N_("type of storage pool sources to discover"),
                 .complete = cli_complete_pool_types),
    CLI_STRING("srcSpec", N_("optional file of source xml to query for pools")),
    {0},
};

static const CliCommand find_sources_command = {
    .name = "find-storage-pool-sources",
    .summary = N_("discover potential storage pool sources"),
    .description = N_("Returns XML <sources> document."),
    .options = find_sources_options,
    .handler = cmd_find_sources,
};

/** Get the <source> for find-storage-pool-sources-as, or NULL without a host. */
static gboolean source_spec(const char *host, const char *port, const char *initiator,
                            char **ret_xml, GError **error)
{
    CstXmlWriter xml = {0};

    *ret_xml = NULL;
    if (!host)
        return TRUE;
    xml.out = g_string_new(NULL);
    cst_xml_open(&xml, "source", NULL);
    cst_xml_empty(&xml, "host", "name", host, "port", port, NULL);
    if (initiator) {
        cst_xml_open(&xml, "initiator", NULL);
        cst_xml_empty(&xml, "iqn", "name", initiator, NULL);
        cst_xml_close(&xml, "initiator");
    }
    cst_xml_close(&xml, "source");
    *ret_xml = cst_xml_take(&xml, error);
    return *ret_xml != NULL;
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
    return source_spec(host, port, initiator, &spec, error) &&
           print_pool_sources(ctl, type, spec, error);
}

static const CliOption find_sources_as_options[] = {
    CLI_REQUIRED("type", N_("type of storage pool sources to find"),
                 .complete = cli_complete_pool_types),
    CLI_STRING("host", N_("optional host to query")),
    CLI_STRING("port", N_("optional port to query")),
    CLI_STRING("initiator", N_("optional initiator IQN to use for query")),
    {0},
};

static const CliCommand find_sources_as_command = {
    .name = "find-storage-pool-sources-as",
    .summary = N_("find potential storage pool sources"),
    .description = N_("Returns XML <sources> document."),
    .options = find_sources_as_options,
    .handler = cmd_find_sources_as,
};

const CliCommand *const cli_pool_commands[] = {
    &find_sources_as_command,
    &find_sources_command,
    &cli_pool_autostart_command,
    &build_command,
    &create_as_command,
    &create_command,
    &define_as_command,
    &define_command,
    &delete_command,
    &cli_pool_destroy_command,
    &dumpxml_command,
    &cli_pool_edit_command,
    &cli_pool_info_command,
    &cli_pool_limits_command,
    &cli_pool_list_command,
    &name_command,
    &cli_pool_refresh_command,
    &start_command,
    &cli_pool_thresholds_command,
    &cli_pool_chains_command,
    &cli_pool_autoextend_command,
    &cli_pool_trash_command,
    &cli_pool_trust_command,
    &undefine_command,
    &cli_pool_usage_command,
    &cli_pool_usage_sample_command,
    &uuid_command,
    &cli_pool_event_command,
    &capabilities_command,
    NULL,
};
