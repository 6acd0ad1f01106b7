/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "procedures.h"

/* --- lists ----------------------------------------------------------------------------------- */

static gboolean num_of_secrets(Call *call, const void *args, void *ret, GError **error)
{
    g_autoptr(GPtrArray) rows = cst_service_secrets(call->service, 0, error);

    if (!rows)
        return FALSE;
    ((wire_int *)ret)->value = (int)rows->len;
    return TRUE;
}

static gboolean list_secrets(Call *call, const void *args, void *data, GError **error)
{
    int max = ((const wire_int *)args)->value;
    wire_names *ret = data;
    g_autoptr(GPtrArray) rows = NULL;

    if (!check_max(max, WIRE_LIST_MAX, "maxuuids", "REMOTE_SECRET_LIST_MAX", error))
        return FALSE;
    rows = cst_service_secrets(call->service, 0, error);
    if (!rows)
        return FALSE;
    ret->names.names_val = g_new0(char *, MIN(rows->len, (guint)max) + 1);
    for (guint i = 0; i < rows->len && i < (guint)max; i++) {
        const CstSecretRow *row = g_ptr_array_index(rows, i);
        char text[CST_UUID_TEXT_LEN];

        ret->names.names_val[ret->names.names_len++] = g_strdup(cst_uuid_format(&row->uuid, text));
    }
    return TRUE;
}

static gboolean list_all_secrets(Call *call, const void *data, void *ret_data, GError **error)
{
    const wire_list_all_args *args = data;
    wire_secrets_ret *ret = ret_data;
    g_autoptr(GPtrArray) rows = NULL;

    if (!cst_flags_check(args->flags, CST_LIST_SECRETS_ALL_FLAGS, "secretConnectListAllSecrets",
                         error))
        return FALSE;
    rows = cst_service_secrets(call->service, args->flags, error);
    if (!rows)
        return FALSE;
    ret->ret = rows->len;
    if (!args->need_results)
        return TRUE;
    if (rows->len > WIRE_LIST_MAX)
        return cst_fail(error, CST_ERROR_RPC, _("Too many secrets '%u' for limit '%d'"), rows->len,
                        WIRE_LIST_MAX);
    ret->secrets.secrets_val = g_new0(wire_secret, rows->len + 1);
    for (guint i = 0; i < rows->len; i++)
        fill_secret(&ret->secrets.secrets_val[ret->secrets.secrets_len++],
                    g_ptr_array_index(rows, i));
    return TRUE;
}

/* --- lookups and definitions ----------------------------------------------------------------- */

static gboolean give_secret(CstSecretRow *row, void *ret)
{
    if (!row)
        return FALSE;
    fill_secret(&((wire_secret_args *)ret)->secret, row);
    cst_secret_row_free(row);
    return TRUE;
}

static CstUuid uuid_of(const wire_uuid bytes)
{
    CstUuid uuid;

    memcpy(uuid.bytes, bytes, sizeof(uuid.bytes));
    return uuid;
}

static gboolean by_uuid(Call *call, const void *args, void *ret, GError **error)
{
    CstUuid uuid = uuid_of(((const wire_uuid_args *)args)->uuid);

    return give_secret(cst_service_secret_by_uuid(call->service, &uuid, error), ret);
}

static gboolean by_usage(Call *call, const void *data, void *ret, GError **error)
{
    const wire_secret_usage_args *args = data;

    return give_secret(
        cst_service_secret_by_usage(call->service, args->usage_type, args->usage_id, error), ret);
}

static gboolean define_xml(Call *call, const void *data, void *ret, GError **error)
{
    const wire_text_flags_args *args = data;

    return give_secret(cst_service_secret_define(call->service, args->text, args->flags, error),
                       ret);
}

static gboolean undefine(Call *call, const void *args, void *ret, GError **error)
{
    CstUuid uuid = uuid_of(((const wire_secret_args *)args)->secret.uuid);

    return cst_service_secret_undefine(call->service, &uuid, error);
}

static gboolean get_xml(Call *call, const void *data, void *ret, GError **error)
{
    const wire_secret_flags_args *args = data;
    CstUuid uuid = uuid_of(args->secret.uuid);

    ((wire_text *)ret)->value =
        cst_service_secret_get_xml(call->service, &uuid, args->flags, error);
    return ((wire_text *)ret)->value != NULL;
}

/* --- values ---------------------------------------------------------------------------------- */

static gboolean set_value(Call *call, const void *data, void *ret, GError **error)
{
    const wire_secret_set_value_args *args = data;
    CstUuid uuid = uuid_of(args->secret.uuid);

    return cst_service_secret_set_value(call->service, &uuid,
                                        (const uint8_t *)args->value.value_val,
                                        args->value.value_len, args->flags, error);
}

static void wipe_new_value(void *data)
{
    wire_secret_set_value_args *args = data;

    if (args->value.value_val)
        explicit_bzero(args->value.value_val, args->value.value_len);
}

static gboolean get_value(Call *call, const void *data, void *ret_data, GError **error)
{
    const wire_secret_flags_args *args = data;
    wire_secret_value_ret *ret = ret_data;
    CstUuid uuid = uuid_of(args->secret.uuid);
    uint8_t *value;
    size_t len;

    if (!cst_service_secret_get_value(call->service, &uuid, args->flags, call->token, &value, &len,
                                      error))
        return FALSE;
    ret->value.value_val = (char *)value;
    ret->value.value_len = (u_int)len;
    return TRUE;
}

static void wipe_value(void *ret_data)
{
    wire_secret_value_ret *ret = ret_data;

    if (ret->value.value_val)
        explicit_bzero(ret->value.value_val, ret->value.value_len);
}

#define ROW(number, needs, api, permission, args, ret, handler)                                 \
    {                                                                                           \
        WIRE_PROC_##number, RUN_QUICK, needs, api, permission, CST_WIRE_FROM_SECRET, args, ret, \
            handler, NULL, NULL, NULL                                                           \
    }

const Procedure procedures_secret[] = {
    ROW(CONNECT_NUM_OF_SECRETS, NEEDS_READ, "virConnectNumOfSecrets", "conn:search_secrets",
        NOTHING, WIRE_TYPE(int), num_of_secrets),
    ROW(CONNECT_LIST_SECRETS, NEEDS_READ, "virConnectListSecrets", "conn:search_secrets",
        WIRE_TYPE(int), WIRE_TYPE(names), list_secrets),
    ROW(CONNECT_LIST_ALL_SECRETS, NEEDS_READ, "virConnectListAllSecrets", "conn:search_secrets",
        WIRE_TYPE(list_all_args), WIRE_TYPE(secrets_ret), list_all_secrets),
    ROW(SECRET_LOOKUP_BY_UUID, NEEDS_READ, "virSecretLookupByUUID", "secret:getattr",
        WIRE_TYPE(uuid_args), WIRE_TYPE(secret_args), by_uuid),
    ROW(SECRET_LOOKUP_BY_USAGE, NEEDS_READ, "virSecretLookupByUsage", "secret:getattr",
        WIRE_TYPE(secret_usage_args), WIRE_TYPE(secret_args), by_usage),
    ROW(SECRET_DEFINE_XML, NEEDS_WRITE, "virSecretDefineXML", "secret:save",
        WIRE_TYPE(text_flags_args), WIRE_TYPE(secret_args), define_xml),
    ROW(SECRET_UNDEFINE, NEEDS_WRITE, "virSecretUndefine", "secret:delete", WIRE_TYPE(secret_args),
        NOTHING, undefine),
    ROW(SECRET_GET_XML_DESC, NEEDS_READ, "virSecretGetXMLDesc", "secret:read",
        WIRE_TYPE(secret_flags_args), WIRE_TYPE(text), get_xml),
    {WIRE_PROC_SECRET_SET_VALUE, RUN_QUICK, NEEDS_WRITE, "virSecretSetValue", "secret:write",
     CST_WIRE_FROM_SECRET, WIRE_TYPE(secret_set_value_args), NOTHING, set_value, NULL,
     wipe_new_value, NULL},
    {WIRE_PROC_SECRET_GET_VALUE, RUN_QUICK, NEEDS_WRITE, "virSecretGetValue", "secret:read_secure",
     CST_WIRE_FROM_SECRET, WIRE_TYPE(secret_flags_args), WIRE_TYPE(secret_value_ret), get_value,
     wipe_value, NULL, NULL},
    {0},
};
