/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed calls over secrets. A value is never copied here: on its way out it is the caller's buffer,
 * on its way in the reply's, which the caller overwrites. The remote transport overwrites its
 * packets.
 */
#include <string.h>

#include "conn_private.h"

/* Makes a reference from @wire, whose strings it takes over. */
static CstConnSecret *secret_take(wire_secret *wire)
{
    CstConnSecret *secret = g_new0(CstConnSecret, 1);

    memcpy(secret->uuid.bytes, wire->uuid, sizeof(secret->uuid.bytes));
    secret->usage = wire->usage_type;
    secret->usage_id = g_steal_pointer(&wire->usage_id);
    return secret;
}

static CstConnSecret *call_for_secret(CstConn *conn, int number, const void *args, GError **error)
{
    wire_secret_args ret = {0};

    if (!cst_conn_call(conn, number, args, &ret, NULL, error))
        return NULL;
    return secret_take(&ret.secret);
}

GPtrArray *cst_conn_secret_list(CstConn *conn, unsigned filter, GError **error)
{
    wire_list_all_args args = {1, filter};
    wire_secrets_ret ret = {0};
    GPtrArray *secrets;

    if (!cst_conn_call(conn, WIRE_PROC_CONNECT_LIST_ALL_SECRETS, &args, &ret, NULL, error))
        return NULL;
    secrets = g_ptr_array_new_full(ret.secrets.secrets_len, (GDestroyNotify)cst_conn_secret_free);
    for (u_int i = 0; i < ret.secrets.secrets_len; i++)
        g_ptr_array_add(secrets, secret_take(&ret.secrets.secrets_val[i]));
    xdr_free((xdrproc_t)xdr_wire_secrets_ret, (char *)&ret);
    return secrets;
}

CstConnSecret *cst_conn_secret_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error)
{
    wire_uuid_args args;

    memcpy(args.uuid, uuid->bytes, sizeof(args.uuid));
    return call_for_secret(conn, WIRE_PROC_SECRET_LOOKUP_BY_UUID, &args, error);
}

CstConnSecret *cst_conn_secret_by_usage(CstConn *conn, int usage, const char *usage_id,
                                        GError **error)
{
    wire_secret_usage_args args = {usage, (char *)usage_id};

    return call_for_secret(conn, WIRE_PROC_SECRET_LOOKUP_BY_USAGE, &args, error);
}

CstConnSecret *cst_conn_secret_define(CstConn *conn, const char *xml, unsigned flags,
                                      GError **error)
{
    wire_text_flags_args args = {(char *)xml, flags};

    return call_for_secret(conn, WIRE_PROC_SECRET_DEFINE_XML, &args, error);
}

gboolean cst_conn_secret_undefine(CstConn *conn, const CstConnSecret *secret, GError **error)
{
    wire_secret_args args = {cst_secret_arg(secret)};

    return cst_conn_call(conn, WIRE_PROC_SECRET_UNDEFINE, &args, NULL, NULL, error);
}

char *cst_conn_secret_xml(CstConn *conn, const CstConnSecret *secret, GError **error)
{
    wire_secret_flags_args args = {cst_secret_arg(secret), 0};

    return cst_conn_text(conn, WIRE_PROC_SECRET_GET_XML_DESC, &args, error);
}

gboolean cst_conn_secret_set_value(CstConn *conn, const CstConnSecret *secret, const uint8_t *value,
                                   size_t len, GError **error)
{
    wire_secret_set_value_args args = {.secret = cst_secret_arg(secret)};

    args.value.value_len = (u_int)len;
    args.value.value_val = (char *)value;
    return cst_conn_call(conn, WIRE_PROC_SECRET_SET_VALUE, &args, NULL, NULL, error);
}

gboolean cst_conn_secret_get_value(CstConn *conn, const CstConnSecret *secret, uint8_t **ret_value,
                                   size_t *ret_len, GError **error)
{
    wire_secret_flags_args args = {cst_secret_arg(secret), 0};
    wire_secret_value_ret ret = {0};

    if (!cst_conn_call(conn, WIRE_PROC_SECRET_GET_VALUE, &args, &ret, NULL, error))
        return FALSE;
    *ret_value = (uint8_t *)ret.value.value_val;
    *ret_len = ret.value.value_len;
    return TRUE;
}
