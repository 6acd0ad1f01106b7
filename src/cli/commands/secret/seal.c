/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * secret-seal, secret-unseal and the list of secret-list --usage, which shows the storage, age and
 * users of values.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "output/report.h"
#include "output/table.h"
#include "output/text.h"
#include "output/view.h"
#include "secret.h"

/* --- seal and unseal -------------------------------------------------------------------------- */

typedef gboolean (*SealFunc)(CstConn *conn, const GPtrArray *secrets, unsigned flags,
                             guint *ret_count, GError **error);

/*
 * Return: the secrets in the command line; an empty array with one of the flags; NULL with an
 * error.
 */
static GPtrArray *named_secrets(CliCtl *ctl, const CliArgs *args, unsigned flags, GError **error)
{
    g_autoptr(GPtrArray) words = cli_args_rest(args);
    g_autoptr(GPtrArray) secrets =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_conn_secret_free);

    if ((flags != 0) == (words->len > 0)) {
        cst_fail(error, CST_ERROR_USAGE,
                 flags ? _("--all names all secrets, so no other name is possible")
                       : _("name secrets, or use --all"));
        return NULL;
    }
    for (guint i = 0; i < words->len; i++) {
        CstConnSecret *secret = cli_secret_named(ctl, g_ptr_array_index(words, i), error);

        if (!secret)
            return NULL;
        g_ptr_array_add(secrets, secret);
    }
    return g_steal_pointer(&secrets);
}

static gboolean cli_secret_change_seals(CliCtl *ctl, const CliArgs *args, unsigned flags,
                                        SealFunc change, guint *ret_count, GError **error)
{
    g_autoptr(GPtrArray) secrets =
        cli_conn(ctl, error) ? named_secrets(ctl, args, flags, error) : NULL;

    return secrets && change(ctl->conn, secrets, flags, ret_count, error);
}

static gboolean cmd_seal(CliCtl *ctl, const CliArgs *args, GError **error)
{
    unsigned flags = (cli_args_has(args, "all") ? CST_CONN_SEAL_ALL : 0) |
                     (cli_args_has(args, "rekey") ? CST_CONN_SEAL_REKEY : 0);
    guint count = 0;

    if (!cli_args_exclusive(args, "all", "rekey", error))
        return FALSE;
    cli_plan(ctl, "%s",
             flags & CST_CONN_SEAL_REKEY ? _("Would seal values with a new key")
                                         : _("Would seal values"));
    if (!cli_secret_change_seals(ctl, args, flags, cst_conn_secrets_seal, &count, error))
        return cli_failed(ctl, "%s", _("Failed to seal values"));
    cli_done(ctl, NULL, NULL, ngettext("%u value sealed", "%u values sealed", count), count);
    return TRUE;
}

static const CliOption seal_options[] = {
    CLI_SWITCH("all", N_("all secrets")),
    CLI_SWITCH("rekey", N_("make a new key and seal all sealed secrets with it")),
    {.name = "secret",
     .kind = CLI_OPT_ARGV,
     .help = N_("secret UUID"),
     .complete = cli_complete_secrets},
    {0},
};

const CliCommand cli_secret_seal_command = {
    .name = "secret-seal",
    .summary = N_("encrypt values of secrets on the disk"),
    .description = N_("Encrypt the values of secrets where they are kept, with a key that is a "
                      "credential of the daemon's service, or a key file that is made. From then "
                      "on new values are sealed as well. libvirt's daemons cannot read them; "
                      "secret-unseal is the way back."),
    .options = seal_options,
    .handler = cmd_seal,
    .flags = CLI_CMD_OURS | CLI_CMD_MUTATES,
};

static gboolean cmd_unseal(CliCtl *ctl, const CliArgs *args, GError **error)
{
    unsigned flags = cli_args_has(args, "all") ? CST_CONN_SEAL_ALL : 0;
    guint count = 0;

    cli_plan(ctl, "%s", _("Would make sealed values plain"));
    if (!cli_secret_change_seals(ctl, args, flags, cst_conn_secrets_unseal, &count, error))
        return cli_failed(ctl, "%s", _("Failed to unseal values"));
    cli_done(ctl, NULL, NULL, ngettext("%u value unsealed", "%u values unsealed", count), count);
    return TRUE;
}

static const CliOption unseal_options[] = {
    CLI_SWITCH("all", N_("all secrets; the key files go as well")),
    {.name = "secret",
     .kind = CLI_OPT_ARGV,
     .help = N_("secret UUID"),
     .complete = cli_complete_secrets},
    {0},
};

const CliCommand cli_secret_unseal_command = {
    .name = "secret-unseal",
    .summary = N_("keep values of secrets as libvirt does"),
    .description = N_("Keep values of secrets on the disk as libvirt does, in base64, so that "
                      "its daemons can read them."),
    .options = unseal_options,
    .handler = cmd_unseal,
    .flags = CLI_CMD_OURS | CLI_CMD_MUTATES,
};

/* --- usage ------------------------------------------------------------------------------------ */

static const CliColumn use_columns[] = {
    {N_("UUID"), "uuid", CLI_CELL_TEXT, NULL, 0},
    {N_("Usage"), "usage", CLI_CELL_TEXT, N_("Unused"), 0},
    {N_("Value"), "value", CLI_CELL_WORD, NULL, 0},
    {N_("Not changed since"), "changed", CLI_CELL_TIME, "-", 0},
    {N_("Too old"), "overdue", CLI_CELL_BOOL, NULL, 0},
    {N_("Pools"), "pools", CLI_CELL_TEXT, "-", 0},
    {N_("Volumes"), "volumes", CLI_CELL_TEXT, "-", 0},
    {N_("Key"), "key", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Private"), "private", CLI_CELL_BOOL, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Problem"), "problem", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
};

static const char *secret_state_word(const CstSecretUse *use)
{
    if (use->problem)
        return N_("unreadable");
    if (use->ephemeral)
        return use->has_value ? N_("in memory") : N_("none");
    if (!use->has_value)
        return N_("none");
    return use->sealed ? N_("sealed") : N_("plain");
}

/* Add a cell with the names. It is absent for an empty list. */
static void secret_add_names_cell(CliTable *table, const GPtrArray *names)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < names->len; i++)
        g_string_append_printf(text, "%s%s", i ? ", " : "",
                               (const char *)g_ptr_array_index(names, i));
    cli_table_add_text(table, text->len ? text->str : NULL);
}

static void add_use(CliTable *table, const CstSecretUse *use)
{
    const char *type = use->usage ? cst_secret_usage_name(use->usage) : NULL;
    g_autofree char *usage = type ? g_strdup_printf("%s %s", type, use->usage_id) : NULL;
    char uuid[CST_UUID_TEXT_LEN];

    cli_table_add_text(table, cst_uuid_format(&use->uuid, uuid));
    cli_table_add_text(table, usage);
    cli_table_add_word(table, secret_state_word(use));
    cli_table_add_time(table, use->changed);
    cli_table_add_bool(table, use->overdue);
    secret_add_names_cell(table, use->pools);
    secret_add_names_cell(table, use->volumes);
    cli_table_add_text(table, use->key_id);
    cli_table_add_bool(table, use->is_private);
    cli_table_add_text(table, use->problem);
}

gboolean cli_secret_list_usage(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(use_columns, G_N_ELEMENTS(use_columns));
    g_autoptr(GPtrArray) uses = NULL;
    g_auto(CliView) view = {0};

    if (!cli_view_read(&view, args, use_columns, G_N_ELEMENTS(use_columns), NULL, error) ||
        !cli_conn(ctl, error))
        return FALSE;
    uses = cst_conn_secret_uses(ctl->conn, error);
    if (!uses)
        return cli_failed(ctl, "%s", _("Failed to list node secrets"));
    for (guint i = 0; i < uses->len; i++)
        add_use(table, g_ptr_array_index(uses, i));
    cli_view_print(ctl, &view, table, "secrets");
    for (guint i = 0; i < uses->len; i++) {
        const CstSecretUse *use = g_ptr_array_index(uses, i);

        if (use->problem)
            cli_complain(ctl, "%s", use->problem);
    }
    return TRUE;
}

void cli_secret_complete_usage_columns(GPtrArray *words)
{
    cli_view_complete(use_columns, G_N_ELEMENTS(use_columns), words);
}
