/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands for secrets, without the commands for values, and the table of all secret commands. The
 * texts are virsh's, because scripts compare them.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "commands/commands.h"
#include "commands/event.h"
#include "commands/xml.h"
#include "output/confirm.h"
#include "output/report.h"
#include "output/table.h"
#include "output/view.h"
#include "secret.h"

static gboolean cmd_secret_define(CliCtl *ctl, const CliArgs *args, GError **error)
{
    unsigned flags = cli_args_has(args, "validate") ? CST_SECRET_DEFINE_VALIDATE : 0;
    g_autoptr(CstConnSecret) secret = NULL;
    g_autofree char *xml = NULL;
    char uuid[CST_UUID_TEXT_LEN];
    const char *from;

    if (!cli_conn(ctl, error) || !cli_args_string(args, "file", &from, error) ||
        !cli_read_xml(from, &xml, error))
        return FALSE;
    cli_plan(ctl, _("Would define a secret from %s"), from);
    secret = cst_conn_secret_define(ctl->conn, xml, flags, error);
    if (!secret)
        return cli_failed(ctl, _("Failed to set attributes from %s"), from);
    cst_uuid_format(&secret->uuid, uuid);
    cli_done(ctl, "secret", uuid, _("Secret %s created"), uuid);
    return TRUE;
}

static const CliOption define_options[] = {
    CLI_FILE("file", CLI_OPT_REQUIRED, N_("file containing secret attributes in XML")),
    CLI_VALIDATE,
    {0},
};

static const CliCommand define_command = {
    .name = "secret-define",
    .summary = N_("define or modify a secret from an XML file"),
    .description = N_("Define or modify a secret."),
    .options = define_options,
    .handler = cmd_secret_define,
    .flags = CLI_CMD_MUTATES,
};

static gboolean cmd_secret_dumpxml(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstConnSecret) secret = cli_secret(ctl, args, NULL, error);
    g_autofree char *xml = secret ? cst_conn_secret_xml(ctl->conn, secret, error) : NULL;

    return xml && cli_dump_xml(ctl, args, xml, error);
}

static const CliOption dumpxml_options[] = {
    CLI_SECRET_OPTION,
    CLI_DUMP_XML_OPTIONS,
    {0},
};

static const CliCommand dumpxml_command = {
    .name = "secret-dumpxml",
    .summary = N_("secret attributes in XML"),
    .description = N_("Output attributes of a secret as an XML dump to stdout."),
    .options = dumpxml_options,
    .handler = cmd_secret_dumpxml,
};

static gboolean cmd_secret_undefine(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstConnSecret) secret = cli_secret(ctl, args, &name, error);

    if (!secret)
        return FALSE;
    cli_plan(ctl, _("Would delete secret %s"), name);
    if (!cli_confirm(ctl, error, _("Delete secret %s and its value?"), name))
        return FALSE;
    return cli_outcome(ctl, cst_conn_secret_undefine(ctl->conn, secret, error), "secret", name,
                       _("Secret %s deleted"), _("Failed to delete secret %s"), name);
}

static const CliOption undefine_options[] = {CLI_SECRET_OPTION, {0}};

static const CliCommand undefine_command = {
    .name = "secret-undefine",
    .summary = N_("undefine a secret"),
    .description = N_("Undefine a secret."),
    .options = undefine_options,
    .handler = cmd_secret_undefine,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};

/* --- list ------------------------------------------------------------------------------------ */

static const CliColumn list_columns[] = {
    {N_("UUID"), "uuid", CLI_CELL_TEXT, NULL, 0},
    {N_("Usage"), "usage", CLI_CELL_TEXT, N_("Unused"), 0},
    {N_("Usage type"), "usage_type", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Usage id"), "usage_id", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
};

static int compare_secrets(gconstpointer a, gconstpointer b)
{
    const CstConnSecret *const *one = a;
    const CstConnSecret *const *two = b;

    return memcmp(&(*one)->uuid, &(*two)->uuid, sizeof(CstUuid));
}

static void add_secret(CliTable *table, const CstConnSecret *secret)
{
    const char *type = secret->usage ? cst_secret_usage_name(secret->usage) : NULL;
    const char *id = secret->usage_id ? secret->usage_id : "";
    g_autofree char *usage = type ? g_strdup_printf("%s %s", type, id) : NULL;
    char uuid[CST_UUID_TEXT_LEN];

    cli_table_add_text(table, cst_uuid_format(&secret->uuid, uuid));
    cli_table_add_text(table, usage);
    cli_table_add_text(table, type);
    cli_table_add_text(table, type ? id : NULL);
}

static unsigned list_filter(const CliArgs *args)
{
    static const struct {
        const char *option;
        unsigned bit;
    } filters[] = {
        {"ephemeral", CST_LIST_SECRETS_EPHEMERAL},
        {"no-ephemeral", CST_LIST_SECRETS_NO_EPHEMERAL},
        {"private", CST_LIST_SECRETS_PRIVATE},
        {"no-private", CST_LIST_SECRETS_NO_PRIVATE},
    };
    unsigned filter = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(filters); i++)
        if (cli_args_has(args, filters[i].option))
            filter |= filters[i].bit;
    return filter;
}

static gboolean cmd_secret_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(list_columns, G_N_ELEMENTS(list_columns));
    g_autoptr(GPtrArray) secrets = NULL;
    g_auto(CliView) view = {0};

    if (cli_args_has(args, "usage"))
        return cli_secret_list_usage(ctl, args, error);
    if (!cli_view_read(&view, args, list_columns, G_N_ELEMENTS(list_columns), NULL, error) ||
        !cli_conn(ctl, error))
        return FALSE;
    secrets = cst_conn_secret_list(ctl->conn, list_filter(args), error);
    if (!secrets)
        return cli_failed(ctl, "%s", _("Failed to list node secrets"));
    g_ptr_array_sort(secrets, compare_secrets);
    for (guint i = 0; i < secrets->len; i++)
        add_secret(table, secrets->pdata[i]);
    cli_view_print(ctl, &view, table, "secrets");
    return TRUE;
}

static void complete_secret_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    if (cli_args_has(args, "usage"))
        cli_secret_complete_usage_columns(words);
    else
        cli_view_complete(list_columns, G_N_ELEMENTS(list_columns), words);
}

static const CliOption list_options[] = {
    CLI_SWITCH("ephemeral", N_("list ephemeral secrets")),
    CLI_SWITCH("no-ephemeral", N_("list non-ephemeral secrets")),
    CLI_SWITCH("private", N_("list private secrets")),
    CLI_SWITCH("no-private", N_("list non-private secrets")),
    CLI_SWITCH("usage",
               N_("list all secrets with the pools and volumes that use them, how old their values "
                  "are and whether they are sealed")),
    CLI_VIEW_OPTIONS(complete_secret_columns),
    {0},
};

static const CliCommand list_command = {
    .name = "secret-list",
    .summary = N_("list secrets"),
    .description = N_("Returns a list of secrets"),
    .options = list_options,
    .handler = cmd_secret_list,
};

const CliCommand *const cli_secret_commands[] = {
    &define_command,
    &dumpxml_command,
    &cli_secret_event_command,
    &cli_secret_get_value_command,
    &list_command,
    &cli_secret_rotate_command,
    &cli_secret_seal_command,
    &cli_secret_set_value_command,
    &undefine_command,
    &cli_secret_unseal_command,
    NULL,
};
