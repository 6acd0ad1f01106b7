/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands about the host and the connection: URI, capabilities, versions. The texts are virsh's,
 * because scripts compare them.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "commands/commands.h"
#include "core/ctl.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/table.h"
#include "output/text.h"

static gboolean cmd_uri(CliCtl *ctl, const CliArgs *args, GError **error)
{
    CstConn *conn = cli_conn(ctl, error);
    g_autofree char *uri = conn ? cst_conn_uri(conn, error) : NULL;

    if (!uri)
        return conn ? cli_failed(ctl, "%s", _("failed to get URI")) : FALSE;
    cli_value(ctl, "uri", uri);
    return TRUE;
}

static const CliCommand uri_command = {
    .name = "uri",
    .summary = N_("print the hypervisor canonical URI"),
    .description = "",
    .handler = cmd_uri,
};

static gboolean cmd_hostname(CliCtl *ctl, const CliArgs *args, GError **error)
{
    CstConn *conn = cli_conn(ctl, error);
    g_autofree char *hostname = conn ? cst_conn_hostname(conn, error) : NULL;

    if (!hostname)
        return conn ? cli_failed(ctl, "%s", _("failed to get hostname")) : FALSE;
    cli_value(ctl, "hostname", hostname);
    return TRUE;
}

static const CliCommand hostname_command = {
    .name = "hostname",
    .summary = N_("print the hypervisor hostname"),
    .description = "",
    .handler = cmd_hostname,
};

static gboolean cmd_host_capabilities(CliCtl *ctl, const CliArgs *args, GError **error)
{
    CstConn *conn = cli_conn(ctl, error);
    g_autofree char *xml = conn ? cst_conn_capabilities(conn, error) : NULL;

    if (!xml)
        return conn ? cli_failed(ctl, "%s", _("failed to get capabilities")) : FALSE;
    cli_document(ctl, "xml", xml);
    cli_print(ctl, "\n");
    return TRUE;
}

static const CliCommand capabilities_command = {
    .name = "capabilities",
    .summary = N_("capabilities"),
    .description = N_("Returns capabilities of hypervisor/driver."),
    .handler = cmd_host_capabilities,
};

/** The values that `version` prints. */
typedef struct {
    char *type;
    char *library;    /**< "9.0.0" */
    char *hypervisor; /**< NULL: not reported by the server */
} Versions;

static void versions_clear(Versions *versions)
{
    g_free(versions->type);
    g_free(versions->library);
    g_free(versions->hypervisor);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Versions, versions_clear)

static char *format_dotted_version(uint64_t version)
{
    return g_strdup_printf("%u.%u.%u", (unsigned)(version / 1000000),
                           (unsigned)(version / 1000 % 1000), (unsigned)(version % 1000));
}

static gboolean read_versions(CliCtl *ctl, Versions *versions, GError **error)
{
    CstConn *conn = cli_conn(ctl, error);
    uint64_t number;

    if (!conn)
        return FALSE;
    versions->type = cst_conn_type(conn, error);
    if (!versions->type)
        return cli_failed(ctl, "%s", _("failed to get hypervisor type"));
    if (!cst_conn_lib_version(conn, &number, error))
        return cli_failed(ctl, "%s", _("failed to get the library version"));
    versions->library = format_dotted_version(number);
    if (cst_conn_hv_version(conn, &number, NULL) && number)
        versions->hypervisor = format_dotted_version(number);
    return TRUE;
}

static void print_versions(CliCtl *ctl, const Versions *v, gboolean daemon)
{
    cli_print(ctl, _("Compiled against library: %s\n"), "cistern " CST_VERSION);
    cli_print(ctl, _("Using library: %s\n"), "cistern " CST_VERSION);
    cli_print(ctl, _("Using API: %s %s\n"), v->type, v->library);
    if (v->hypervisor)
        cli_print(ctl, _("Running hypervisor: %s %s\n"), v->type, v->hypervisor);
    else
        cli_print(ctl, _("Cannot extract running %s hypervisor version\n"), v->type);
    if (daemon)
        cli_print(ctl, _("Running against daemon: %s\n"), v->library);
}

static void print_versions_json(CliCtl *ctl, const Versions *v)
{
    const CliFact facts[] = {
        cli_fact_text("cistern", NULL, CST_VERSION),
        cli_fact_text("type", NULL, v->type),
        cli_fact_text("library", NULL, v->library),
        cli_fact_nullable("hypervisor", NULL, v->hypervisor),
    };

    cli_sheet_print_json(ctl, ctl->out, facts, G_N_ELEMENTS(facts));
}

static gboolean cmd_version(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Versions) versions = {0};

    if (!read_versions(ctl, &versions, error))
        return FALSE;
    print_versions_json(ctl, &versions);
    print_versions(ctl, &versions, cli_args_has(args, "daemon"));
    return TRUE;
}

static const CliOption version_options[] = {
    {.name = "daemon", .kind = CLI_OPT_BOOL, .help = N_("report daemon version too")},
    {0},
};

static const CliCommand version_command = {
    .name = "version",
    .summary = N_("show version"),
    .description = N_("Display the system version information."),
    .options = version_options,
    .handler = cmd_version,
};

const CliCommand *const cli_host_commands[] = {
    &capabilities_command, &hostname_command, &uri_command, &version_command, NULL,
};
