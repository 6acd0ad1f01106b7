/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared code of secret commands: finding the secret of an option, and the completion of UUIDs. */
#include "secret.h"

#include <base/error.h>
#include <base/i18n.h>

CstConnSecret *cli_secret_named(CliCtl *ctl, const char *name, GError **error)
{
    CstConnSecret *secret = NULL;
    CstUuid uuid;

    if (cst_uuid_parse(name, &uuid))
        secret = cst_conn_secret_by_uuid(ctl->conn, &uuid, error);
    else
        cst_fail(error, CST_ERROR_NOT_FOUND,
                 _("'%s' is not a UUID; `cistern secret-list` shows the UUIDs of the secrets"),
                 name);
    if (!secret)
        cli_failed(ctl, _("failed to get secret '%s'"), name);
    return secret;
}

CstConnSecret *cli_secret(CliCtl *ctl, const CliArgs *args, const char **ret_name, GError **error)
{
    CstConnSecret *secret;
    const char *name;

    if (!cli_conn(ctl, error) || !cli_args_string(args, "secret", &name, error))
        return NULL;
    secret = cli_secret_named(ctl, name, error);
    if (secret && ret_name)
        *ret_name = name;
    return secret;
}

void cli_complete_secrets(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    CstConn *conn = cli_conn(ctl, NULL);
    g_autoptr(GPtrArray) secrets = conn ? cst_conn_secret_list(conn, 0, NULL) : NULL;

    g_clear_pointer(&ctl->headline, g_free);
    for (guint i = 0; secrets && i < secrets->len; i++) {
        const CstConnSecret *secret = g_ptr_array_index(secrets, i);
        char uuid[CST_UUID_TEXT_LEN];

        g_ptr_array_add(words, g_strdup(cst_uuid_format(&secret->uuid, uuid)));
    }
}
