/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CONNECT_SET_IDENTITY: a daemon of libvirt (virtqemud) declares the identity of the user for whom
 * it calls from now on. A new identity replaces the previous one.
 *
 * The rights of a connection depend on its socket and on the connected user, not on the identity.
 * Its names are for the audit trail. Its system token proves that the client is a daemon of this
 * host, and not any other program of root. Only such a client gets the value of a private secret.
 */
#include <string.h>

#include "procedures.h"

/* virTypedParameterType */
enum { PARAM_LLONG = 3, PARAM_ULLONG = 4, PARAM_STRING = 7 };

#define TOKEN "system.token"

/* The parameters of an identity (libvirt-host.h). */
static const struct {
    const char *field;
    int type;
} fields[] = {
    {"user-name", PARAM_STRING},       {"unix-user-id", PARAM_ULLONG},
    {"group-name", PARAM_STRING},      {"unix-group-id", PARAM_ULLONG},
    {"process-id", PARAM_LLONG},       {"process-time", PARAM_ULLONG},
    {"sasl-user-name", PARAM_STRING},  {"x509-distinguished-name", PARAM_STRING},
    {"selinux-context", PARAM_STRING}, {TOKEN, PARAM_STRING},
};

static gboolean check_param(const wire_identity_args *args, guint index, GError **error)
{
    const wire_param *param = &args->params.params_val[index];

    for (guint i = 0; i < index; i++)
        if (g_str_equal(args->params.params_val[i].field, param->field))
            return cst_fail(error, CST_ERROR_INVALID, _("parameter '%s' occurs multiple times"),
                            param->field);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        if (g_str_equal(fields[i].field, param->field))
            return fields[i].type == param->value.type ||
                   cst_fail(error, CST_ERROR_INVALID, _("parameter '%s' has the wrong type"),
                            param->field);
    return cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED, _("parameter '%s' not supported"),
                    param->field);
}

/* Stores a parameter that the audit trail shows. The type was checked. */
static void identity_set(CstApiIdentity *identity, const wire_param *param)
{
    if (g_str_equal(param->field, "user-name")) {
        identity->user = g_strdup(param->value.wire_param_value_u.s);
    } else if (g_str_equal(param->field, "sasl-user-name")) {
        identity->sasl = g_strdup(param->value.wire_param_value_u.s);
    } else if (g_str_equal(param->field, "x509-distinguished-name")) {
        identity->tls = g_strdup(param->value.wire_param_value_u.s);
    } else if (g_str_equal(param->field, "unix-user-id")) {
        identity->has_uid = TRUE;
        identity->uid = param->value.wire_param_value_u.ul;
    } else if (g_str_equal(param->field, "process-id")) {
        identity->has_pid = TRUE;
        identity->pid = param->value.wire_param_value_u.l;
    }
}

static gboolean set_identity(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_identity_args *args = data;
    Client *client = client_of(call);
    CstApiIdentity *identity;
    const char *token = "";

    if (!client->trusted)
        return cst_fail(error, CST_ERROR_AUTH, _("only root may act for another user"));
    if (!cst_flags_check(args->flags, 0, "virConnectSetIdentity", error))
        return FALSE;
    for (guint i = 0; i < args->params.params_len; i++)
        if (!check_param(args, i, error))
            return FALSE;
    identity = cst_api_identity_new();
    for (guint i = 0; i < args->params.params_len; i++) {
        const wire_param *param = &args->params.params_val[i];

        identity_set(identity, param);
        if (g_str_equal(param->field, TOKEN))
            token = param->value.wire_param_value_u.s;
    }
    cst_api_identity_unref(client->identity);
    client->identity = identity;
    /* A token of another length cannot be the system token. */
    if (g_strlcpy(client->token, token, sizeof(client->token)) >= sizeof(client->token))
        client->token[0] = '\0';
    return TRUE;
}

/* Also called for partially decoded arguments, so strings may be NULL. */
static void wipe_token(void *data)
{
    const wire_identity_args *args = data;

    for (guint i = 0; args->params.params_val && i < args->params.params_len; i++) {
        const wire_param *param = &args->params.params_val[i];

        if (g_strcmp0(param->field, TOKEN) == 0 && param->value.type == PARAM_STRING &&
            param->value.wire_param_value_u.s)
            explicit_bzero(param->value.wire_param_value_u.s,
                           strlen(param->value.wire_param_value_u.s));
    }
}

const CstProcedure procedures_identity[] = {
    CST_REMOTE_PROCEDURE(CONNECT_SET_IDENTITY, INLINE, READ, RPC, "virConnectSetIdentity",
                         identity_args, void, set_identity, .wipe_args = wipe_token),
    {0},
};
