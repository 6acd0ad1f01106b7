/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed calls for secrets. A value to be set is in the caller's buffer. A value that is read is
 * copied from the reply, which XDR allocates, to locked memory, and the reply is overwritten. The
 * remote transport overwrites its packets.
 */
#include <string.h>

#include <service/secrets.h>

#include "conn_private.h"

/* Makes a reference from @wire. Takes ownership of its strings. */
static CstConnSecret *secret_from_wire(wire_secret *wire)
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
    return secret_from_wire(&ret.secret);
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
        g_ptr_array_add(secrets, secret_from_wire(&ret.secrets.secrets_val[i]));
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

static gboolean conn_secret_get_value(CstConn *conn, const CstConnSecret *secret, unsigned flags,
                                      CstSecretBytes *ret_value, GError **error)
{
    wire_secret_flags_args args = {cst_secret_arg(secret), flags};
    wire_secret_value_ret ret = {0};
    gboolean done;

    if (!cst_conn_call(conn, WIRE_PROC_SECRET_GET_VALUE, &args, &ret, NULL, error))
        return FALSE;
    done = cst_secret_bytes_copy(ret_value, ret.value.value_val, ret.value.value_len, error);
    if (ret.value.value_val)
        explicit_bzero(ret.value.value_val, ret.value.value_len);
    xdr_free((xdrproc_t)xdr_wire_secret_value_ret, (char *)&ret);
    return done;
}

gboolean cst_conn_secret_get_value(CstConn *conn, const CstConnSecret *secret,
                                   CstSecretBytes *ret_value, GError **error)
{
    return conn_secret_get_value(conn, secret, 0, ret_value, error);
}

gboolean cst_conn_secret_use_value(CstConn *conn, const CstConnSecret *secret,
                                   CstSecretBytes *ret_value, GError **error)
{
    return conn_secret_get_value(
        conn, secret, cst_conn_is_embedded(conn) ? CST_SECRET_VALUE_INTERNAL : 0, ret_value, error);
}

/* --- sealed values ---------------------------------------------------------------------------- */

static gboolean conn_secret_change_seals(CstConn *conn, int procedure, const GPtrArray *secrets,
                                         unsigned flags, guint *ret_count, GError **error)
{
    guint count = secrets ? secrets->len : 0;
    g_autofree wire_uuid_args *uuids = g_new0(wire_uuid_args, count + 1);
    wire_secret_seal_args args = {.secrets = {count, uuids}, .flags = flags};
    wire_secret_seal_ret ret = {0};

    for (guint i = 0; i < count; i++) {
        const CstConnSecret *secret = g_ptr_array_index(secrets, i);

        memcpy(uuids[i].uuid, secret->uuid.bytes, sizeof(uuids[i].uuid));
    }
    if (!cst_conn_own_call(conn, procedure, &args, &ret, NULL, error))
        return FALSE;
    *ret_count = ret.changed;
    return TRUE;
}

gboolean cst_conn_secrets_seal(CstConn *conn, const GPtrArray *secrets, unsigned flags,
                               guint *ret_count, GError **error)
{
    return conn_secret_change_seals(conn, WIRE_CISTERN_SECRET_SEAL, secrets, flags, ret_count,
                                    error);
}

gboolean cst_conn_secrets_unseal(CstConn *conn, const GPtrArray *secrets, unsigned flags,
                                 guint *ret_count, GError **error)
{
    return conn_secret_change_seals(conn, WIRE_CISTERN_SECRET_UNSEAL, secrets, flags, ret_count,
                                    error);
}

/* Makes a row from @wire. Takes ownership of its strings. */
static CstSecretUse *secret_use_from_wire(wire_secret_use *wire)
{
    CstSecretUse *use = cst_secret_use_new();

    memcpy(use->uuid.bytes, wire->secret.uuid, sizeof(use->uuid.bytes));
    use->usage = (CstSecretUsage)wire->secret.usage_type;
    use->usage_id = g_steal_pointer(&wire->secret.usage_id);
    use->ephemeral = (wire->flags & WIRE_USE_EPHEMERAL) != 0;
    use->is_private = (wire->flags & WIRE_USE_PRIVATE) != 0;
    use->has_value = (wire->flags & WIRE_USE_HAS_VALUE) != 0;
    use->sealed = (wire->flags & WIRE_USE_SEALED) != 0;
    use->overdue = (wire->flags & WIRE_USE_OVERDUE) != 0;
    use->changed = wire->changed;
    use->key_id = cst_opt_take(wire->key_id);
    use->problem = cst_opt_take(wire->problem);
    for (u_int i = 0; i < wire->pools.pools_len; i++)
        g_ptr_array_add(use->pools, g_steal_pointer(&wire->pools.pools_val[i]));
    for (u_int i = 0; i < wire->volumes.volumes_len; i++)
        g_ptr_array_add(use->volumes, g_steal_pointer(&wire->volumes.volumes_val[i]));
    return use;
}

GPtrArray *cst_conn_secret_uses(CstConn *conn, GError **error)
{
    wire_secret_uses_ret ret = {0};
    GPtrArray *uses;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_SECRET_USES, NULL, &ret, NULL, error))
        return NULL;
    uses = g_ptr_array_new_with_free_func((GDestroyNotify)cst_secret_use_free);
    for (u_int i = 0; i < ret.uses.uses_len; i++)
        g_ptr_array_add(uses, secret_use_from_wire(&ret.uses.uses_val[i]));
    xdr_free((xdrproc_t)xdr_wire_secret_uses_ret, (char *)&ret);
    return uses;
}

/* --- rotation --------------------------------------------------------------------------------- */

GPtrArray *cst_conn_secret_rotate(CstConn *conn, const CstConnSecret *secret,
                                  const CstConnRotate *how, CstTask *task, GError **error)
{
    char *admin_user = (char *)how->admin_user;
    wire_secret_rotate_args args = {
        .value = {(u_int)how->value->len, (char *)how->value->data},
        .flags = how->flags,
        .wait_s = how->wait_s,
        .admin_user = cst_opt_arg(&admin_user),
    };
    wire_secret_rotate_ret ret = {0};
    GPtrArray *pools;

    memcpy(args.secret.uuid, secret->uuid.bytes, sizeof(args.secret.uuid));
    if (how->admin_key) {
        args.admin_key.admin_key_val = (char *)how->admin_key->data;
        args.admin_key.admin_key_len = (u_int)how->admin_key->len;
    }
    if (!cst_conn_own_call(conn, WIRE_CISTERN_SECRET_ROTATE, &args, &ret, task, error))
        return NULL;
    pools = g_ptr_array_new_with_free_func(g_free);
    for (u_int i = 0; i < ret.pools.pools_len; i++)
        g_ptr_array_add(pools, g_steal_pointer(&ret.pools.pools_val[i]));
    xdr_free((xdrproc_t)xdr_wire_secret_rotate_ret, (char *)&ret);
    return pools;
}
