/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for secrets. A value exists in the decoded arguments or in the result of one call. The
 * wipe functions of the rows overwrite it there, and the server overwrites the packets
 * (CstProcedure.wipe_args, wipe_ret). libvirt's procedures are QUICK, because they access only
 * Cistern's own files. Cistern's own procedures are LONG, because they process many values at once.
 */
#include <string.h>

#include <base/flags.h>

#include "api_private.h"

static void fill_secret(wire_secret *ret, const CstSecretRow *row)
{
    memcpy(ret->uuid, row->uuid.bytes, sizeof(ret->uuid));
    ret->usage_type = row->usage;
    ret->usage_id = g_strdup(row->usage_id ? row->usage_id : "");
}

/* --- lists ----------------------------------------------------------------------------------- */

static gboolean num_of_secrets(CstApiCall *call, const void *args, void *ret, GError **error)
{
    g_autoptr(GPtrArray) rows = cst_service_secrets(call->service, 0, error);

    if (!rows)
        return FALSE;
    ((wire_int *)ret)->value = (int)rows->len;
    return TRUE;
}

static gboolean list_secrets(CstApiCall *call, const void *args, void *data, GError **error)
{
    int max = ((const wire_int *)args)->value;
    wire_names *ret = data;
    g_autoptr(GPtrArray) rows = NULL;

    if (!cst_api_check_max(max, WIRE_LIST_MAX, "maxuuids", "REMOTE_SECRET_LIST_MAX", error))
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

static gboolean list_all_secrets(CstApiCall *call, const void *data, void *ret_data, GError **error)
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

/* Fills @ret with @row and frees @row. NULL: the lookup has failed and set its error. */
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

static gboolean api_secret_by_uuid(CstApiCall *call, const void *args, void *ret, GError **error)
{
    CstUuid uuid = uuid_of(((const wire_uuid_args *)args)->uuid);

    return give_secret(cst_service_secret_by_uuid(call->service, &uuid, error), ret);
}

static gboolean by_usage(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_secret_usage_args *args = data;

    return give_secret(
        cst_service_secret_by_usage(call->service, args->usage_type, args->usage_id, error), ret);
}

static gboolean api_secret_define_xml(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_text_flags_args *args = data;

    return give_secret(cst_service_secret_define(call->service, args->text, args->flags, error),
                       ret);
}

static gboolean api_secret_undefine(CstApiCall *call, const void *args, void *ret, GError **error)
{
    CstUuid uuid = uuid_of(((const wire_secret_args *)args)->secret.uuid);

    return cst_service_secret_undefine(call->service, &uuid, error);
}

static gboolean api_secret_get_xml(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_secret_flags_args *args = data;
    CstUuid uuid = uuid_of(args->secret.uuid);

    ((wire_text *)ret)->value =
        cst_service_secret_get_xml(call->service, &uuid, args->flags, error);
    return ((wire_text *)ret)->value != NULL;
}

/* --- values ---------------------------------------------------------------------------------- */

static gboolean api_secret_set_value(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_secret_set_value_args *args = data;
    CstUuid uuid = uuid_of(args->secret.uuid);

    return cst_service_secret_set_value(call->service, &uuid,
                                        (const uint8_t *)args->value.value_val,
                                        args->value.value_len, args->flags, error);
}

/* Also called for partially decoded arguments. */
static void wipe_new_value(void *data)
{
    wire_secret_set_value_args *args = data;

    if (args->value.value_val)
        explicit_bzero(args->value.value_val, args->value.value_len);
}

static gboolean api_secret_get_value(CstApiCall *call, const void *data, void *ret_data,
                                     GError **error)
{
    const wire_secret_flags_args *args = data;
    wire_secret_value_ret *ret = ret_data;
    CstUuid uuid = uuid_of(args->secret.uuid);
    g_auto(CstSecretBytes) value = {0};

    /* Flags of the service are not part of the protocol. */
    if (!call->embedded && !cst_flags_check(args->flags, 0, "secretGetValue", error))
        return FALSE;
    if (!cst_service_secret_get_value(call->service, &uuid, args->flags, call->token, &value,
                                      error))
        return FALSE;
    /* XDR frees the copy; wipe_value() overwrites it first. */
    ret->value.value_val = g_memdup2(value.data, value.len + 1);
    ret->value.value_len = (u_int)value.len;
    return TRUE;
}

static void wipe_value(void *ret_data)
{
    wire_secret_value_ret *ret = ret_data;

    if (ret->value.value_val)
        explicit_bzero(ret->value.value_val, ret->value.value_len);
}

/* --- values at rest -------------------------------------------------------------------------- */

typedef gboolean (*SealFunc)(CstService *service, const CstSecretSealArgs *args, guint *ret_count,
                             GError **error);

G_STATIC_ASSERT((int)CST_SECRET_SEAL_ALL == WIRE_SEAL_ALL);
G_STATIC_ASSERT((int)CST_SECRET_SEAL_REKEY == WIRE_SEAL_REKEY);

static gboolean api_secret_change_seals(CstApiCall *call, const wire_secret_seal_args *args,
                                        wire_secret_seal_ret *ret, SealFunc change, GError **error)
{
    g_autofree CstUuid *uuids = g_new0(CstUuid, args->secrets.secrets_len + 1);
    CstSecretSealArgs wanted = {uuids, args->secrets.secrets_len, args->flags};
    guint count;

    for (u_int i = 0; i < args->secrets.secrets_len; i++)
        uuids[i] = uuid_of(args->secrets.secrets_val[i].uuid);
    if (!change(call->service, &wanted, &count, error))
        return FALSE;
    ret->changed = count;
    return TRUE;
}

static gboolean api_secret_seal(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return api_secret_change_seals(call, args, ret, cst_service_secrets_seal, error);
}

static gboolean api_secret_unseal(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return api_secret_change_seals(call, args, ret, cst_service_secrets_unseal, error);
}

/* Copies up to WIRE_LIST_MAX names; returns their number. */
static u_int api_names_fill(char ***ret_names, const GPtrArray *names)
{
    u_int count = MIN(names->len, (guint)WIRE_LIST_MAX);

    *ret_names = g_new0(char *, count + 1);
    for (u_int i = 0; i < count; i++)
        (*ret_names)[i] = g_strdup(g_ptr_array_index(names, i));
    return count;
}

static void fill_use(wire_secret_use *ret, const CstSecretUse *use)
{
    memcpy(ret->secret.uuid, use->uuid.bytes, sizeof(ret->secret.uuid));
    ret->secret.usage_type = use->usage;
    ret->secret.usage_id = g_strdup(use->usage_id);
    ret->flags = (use->ephemeral ? WIRE_USE_EPHEMERAL : 0) |
                 (use->is_private ? WIRE_USE_PRIVATE : 0) |
                 (use->has_value ? WIRE_USE_HAS_VALUE : 0) | (use->sealed ? WIRE_USE_SEALED : 0) |
                 (use->overdue ? WIRE_USE_OVERDUE : 0);
    ret->changed = use->changed;
    ret->key_id = cst_api_opt(g_strdup(use->key_id));
    ret->problem = cst_api_opt(g_strdup(use->problem));
    ret->pools.pools_len = api_names_fill(&ret->pools.pools_val, use->pools);
    ret->volumes.volumes_len = api_names_fill(&ret->volumes.volumes_val, use->volumes);
}

static gboolean api_secret_uses(CstApiCall *call, const void *args, void *data, GError **error)
{
    g_autoptr(GPtrArray) list = cst_service_secret_uses(call->service, error);
    wire_secret_uses_ret *ret = data;

    if (!list)
        return FALSE;
    if (list->len > WIRE_LIST_MAX)
        return cst_fail(error, CST_ERROR_RPC, _("Too many secrets '%u' for limit '%d'"), list->len,
                        WIRE_LIST_MAX);
    ret->uses.uses_val = g_new0(wire_secret_use, list->len + 1);
    for (; ret->uses.uses_len < list->len; ret->uses.uses_len++)
        fill_use(&ret->uses.uses_val[ret->uses.uses_len],
                 g_ptr_array_index(list, ret->uses.uses_len));
    return TRUE;
}

/* --- rotation --------------------------------------------------------------------------------- */

G_STATIC_ASSERT((int)CST_SECRET_ROTATE_ACTIVE == WIRE_ROTATE_ACTIVE);

static gboolean api_secret_rotate(CstApiCall *call, const void *data, void *ret_data,
                                  GError **error)
{
    const wire_secret_rotate_args *args = data;
    wire_secret_rotate_ret *ret = ret_data;
    const CstSecretBytes value = {(uint8_t *)args->value.value_val, args->value.value_len};
    const CstSecretBytes key = {(uint8_t *)args->admin_key.admin_key_val,
                                args->admin_key.admin_key_len};
    const CstSecretRotate wanted = {.uuid = uuid_of(args->secret.uuid),
                                    .value = &value,
                                    .flags = args->flags,
                                    .wait_s = args->wait_s,
                                    .admin_user = cst_api_opt_text(args->admin_user),
                                    .admin_key = &key};
    g_autoptr(GPtrArray) pools = NULL;
    gsize count;

    if (!cst_service_secret_rotate(call->service, &wanted, call->task, &pools, error))
        return FALSE;
    g_ptr_array_set_size(pools, (gint)MIN(pools->len, (guint)WIRE_LIST_MAX));
    ret->pools.pools_val = (char **)g_ptr_array_steal(pools, &count);
    ret->pools.pools_len = (u_int)count;
    return TRUE;
}

/* Also called for partially decoded arguments. */
static void wipe_rotation(void *data)
{
    wire_secret_rotate_args *args = data;

    if (args->value.value_val)
        explicit_bzero(args->value.value_val, args->value.value_len);
    if (args->admin_key.admin_key_val)
        explicit_bzero(args->admin_key.admin_key_val, args->admin_key.admin_key_len);
}

#define ROW(number, needs, ...) CST_REMOTE_PROCEDURE(number, QUICK, needs, SECRET, __VA_ARGS__)

const CstProcedure cst_api_secret_procedures[] = {
    ROW(CONNECT_NUM_OF_SECRETS, READ, "virConnectNumOfSecrets", void, int, num_of_secrets),
    ROW(CONNECT_LIST_SECRETS, READ, "virConnectListSecrets", int, names, list_secrets),
    ROW(CONNECT_LIST_ALL_SECRETS, READ, "virConnectListAllSecrets", list_all_args, secrets_ret,
        list_all_secrets),
    ROW(SECRET_LOOKUP_BY_UUID, READ, "virSecretLookupByUUID", uuid_args, secret_args,
        api_secret_by_uuid),
    ROW(SECRET_LOOKUP_BY_USAGE, READ, "virSecretLookupByUsage", secret_usage_args, secret_args,
        by_usage),
    ROW(SECRET_DEFINE_XML, WRITE, "virSecretDefineXML", text_flags_args, secret_args,
        api_secret_define_xml),
    ROW(SECRET_UNDEFINE, WRITE, "virSecretUndefine", secret_args, void, api_secret_undefine),
    ROW(SECRET_GET_XML_DESC, READ, "virSecretGetXMLDesc", secret_flags_args, text,
        api_secret_get_xml),
    ROW(SECRET_SET_VALUE, WRITE, "virSecretSetValue", secret_set_value_args, void,
        api_secret_set_value, .wipe_args = wipe_new_value),
    /* WRITE, as in libvirt, because a read-only client must not see a value. */
    ROW(SECRET_GET_VALUE, WRITE, "virSecretGetValue", secret_flags_args, secret_value_ret,
        api_secret_get_value, .wipe_ret = wipe_value, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(SECRET_ROTATE, LONG, WRITE, "cisternSecretRotate", secret_rotate_args,
                      secret_rotate_ret, api_secret_rotate, .wipe_args = wipe_rotation),
    CST_OWN_PROCEDURE(SECRET_SEAL, LONG, WRITE, "cisternSecretSeal", secret_seal_args,
                      secret_seal_ret, api_secret_seal),
    CST_OWN_PROCEDURE(SECRET_UNSEAL, LONG, WRITE, "cisternSecretUnseal", secret_seal_args,
                      secret_seal_ret, api_secret_unseal),
    CST_OWN_PROCEDURE(SECRET_USES, LONG, READ, "cisternSecretUses", void, secret_uses_ret,
                      api_secret_uses),
    {0},
};
