/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "remote_private.h"

/** Takes over what @wire holds. */
static CstConnSecret *secret_take(wire_secret *wire)
{
    CstConnSecret *secret = g_new0(CstConnSecret, 1);

    memcpy(secret->uuid.bytes, wire->uuid, sizeof(secret->uuid.bytes));
    secret->usage = wire->usage_type;
    secret->usage_id = g_steal_pointer(&wire->usage_id);
    return secret;
}

static CstConnSecret *call_for_secret(gpointer self, int number, gpointer args_func,
                                      const void *args, GError **error)
{
    wire_secret_args ret = {0};

    if (!cst_remote_call(self, number, args_func, args, xdr_wire_secret_args, &ret, error))
        return NULL;
    return secret_take(&ret.secret);
}

GPtrArray *cst_remote_secret_list(gpointer self, unsigned filter, GError **error)
{
    wire_list_all_args args = {1, filter};
    wire_secrets_ret ret = {0};
    GPtrArray *secrets;

    if (!cst_remote_call(self, WIRE_PROC_CONNECT_LIST_ALL_SECRETS, xdr_wire_list_all_args, &args,
                         xdr_wire_secrets_ret, &ret, error))
        return NULL;
    secrets = g_ptr_array_new_full(ret.secrets.secrets_len, (GDestroyNotify)cst_conn_secret_free);
    for (u_int i = 0; i < ret.secrets.secrets_len; i++)
        g_ptr_array_add(secrets, secret_take(&ret.secrets.secrets_val[i]));
    xdr_free((xdrproc_t)xdr_wire_secrets_ret, (char *)&ret);
    return secrets;
}

CstConnSecret *cst_remote_secret_by_uuid(gpointer self, const CstUuid *uuid, GError **error)
{
    wire_uuid_args args;

    memcpy(args.uuid, uuid->bytes, sizeof(args.uuid));
    return call_for_secret(self, WIRE_PROC_SECRET_LOOKUP_BY_UUID, xdr_wire_uuid_args, &args, error);
}

CstConnSecret *cst_remote_secret_by_usage(gpointer self, int usage, const char *usage_id,
                                          GError **error)
{
    wire_secret_usage_args args = {usage, (char *)usage_id};

    return call_for_secret(self, WIRE_PROC_SECRET_LOOKUP_BY_USAGE, xdr_wire_secret_usage_args,
                           &args, error);
}

CstConnSecret *cst_remote_secret_define(gpointer self, const char *xml, unsigned flags,
                                        GError **error)
{
    wire_text_flags_args args = {(char *)xml, flags};

    return call_for_secret(self, WIRE_PROC_SECRET_DEFINE_XML, xdr_wire_text_flags_args, &args,
                           error);
}

gboolean cst_remote_secret_undefine(gpointer self, const CstConnSecret *secret, GError **error)
{
    wire_secret_args args = {cst_remote_secret_arg(secret)};

    return cst_remote_call(self, WIRE_PROC_SECRET_UNDEFINE, xdr_wire_secret_args, &args, NULL, NULL,
                           error);
}

char *cst_remote_secret_xml(gpointer self, const CstConnSecret *secret, GError **error)
{
    wire_secret_flags_args args = {cst_remote_secret_arg(secret), 0};

    return cst_remote_text(self, WIRE_PROC_SECRET_GET_XML_DESC, xdr_wire_secret_flags_args, &args,
                           error);
}

gboolean cst_remote_secret_set_value(gpointer self, const CstConnSecret *secret,
                                     const uint8_t *value, size_t len, GError **error)
{
    wire_secret_set_value_args args = {.secret = cst_remote_secret_arg(secret)};
    gboolean ok;

    args.value.value_len = (u_int)len;
    args.value.value_val = (char *)value;
    ok = cst_remote_call(self, WIRE_PROC_SECRET_SET_VALUE, xdr_wire_secret_set_value_args, &args,
                         NULL, NULL, error);
    cst_wire_client_wipe(((CstRemote *)self)->client);
    return ok;
}

gboolean cst_remote_secret_get_value(gpointer self, const CstConnSecret *secret,
                                     uint8_t **ret_value, size_t *ret_len, GError **error)
{
    wire_secret_flags_args args = {cst_remote_secret_arg(secret), 0};
    wire_secret_value_ret ret = {0};

    if (!cst_remote_call(self, WIRE_PROC_SECRET_GET_VALUE, xdr_wire_secret_flags_args, &args,
                         xdr_wire_secret_value_ret, &ret, error))
        return FALSE;
    cst_wire_client_wipe(((CstRemote *)self)->client);
    *ret_value = (uint8_t *)ret.value.value_val;
    *ret_len = ret.value.value_len;
    return TRUE;
}
