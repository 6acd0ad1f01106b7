/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "procedures.h"

/* --- lists ----------------------------------------------------------------------------------- */

static gboolean count_pools(Call *call, unsigned filter, wire_int *ret, GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(call->service, filter, error);

    if (!pools)
        return FALSE;
    ret->value = (int)pools->len;
    return TRUE;
}

static gboolean name_pools(Call *call, unsigned filter, int max, wire_names *ret, GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;

    if (!check_max(max, WIRE_LIST_MAX, "maxnames", "REMOTE_STORAGE_POOL_LIST_MAX", error))
        return FALSE;
    pools = cst_service_pools(call->service, filter, error);
    if (!pools)
        return FALSE;
    ret->names.names_val = g_new0(char *, MIN(pools->len, (guint)max) + 1);
    for (guint i = 0; i < pools->len && i < (guint)max; i++)
        ret->names.names_val[ret->names.names_len++] =
            g_strdup(cst_pool_name(g_ptr_array_index(pools, i)));
    return TRUE;
}

static gboolean num_of_pools(Call *call, const void *args, void *ret, GError **error)
{
    return count_pools(call, CST_LIST_POOLS_ACTIVE, ret, error);
}

static gboolean num_of_defined_pools(Call *call, const void *args, void *ret, GError **error)
{
    return count_pools(call, CST_LIST_POOLS_INACTIVE, ret, error);
}

static gboolean list_pools(Call *call, const void *args, void *ret, GError **error)
{
    return name_pools(call, CST_LIST_POOLS_ACTIVE, ((const wire_int *)args)->value, ret, error);
}

static gboolean list_defined_pools(Call *call, const void *args, void *ret, GError **error)
{
    return name_pools(call, CST_LIST_POOLS_INACTIVE, ((const wire_int *)args)->value, ret, error);
}

static gboolean list_all_pools(Call *call, const void *data, void *ret_data, GError **error)
{
    const wire_list_all_args *args = data;
    wire_pools_ret *ret = ret_data;
    g_autoptr(GPtrArray) pools = NULL;

    if (!cst_flags_check(args->flags, CST_LIST_POOLS_ALL_FLAGS, "storageConnectListAllStoragePools",
                         error))
        return FALSE;
    pools = cst_service_pools(call->service, args->flags, error);
    if (!pools)
        return FALSE;
    ret->ret = pools->len;
    if (!args->need_results)
        return TRUE;
    if (pools->len > WIRE_LIST_MAX)
        return cst_fail(error, CST_ERROR_RPC, _("Too many storage_pools '%u' for limit '%d'"),
                        pools->len, WIRE_LIST_MAX);
    ret->pools.pools_val = g_new0(wire_pool, pools->len + 1);
    for (guint i = 0; i < pools->len; i++)
        fill_pool(&ret->pools.pools_val[ret->pools.pools_len++], g_ptr_array_index(pools, i));
    return TRUE;
}

/* --- lookups --------------------------------------------------------------------------------- */

static gboolean give_pool(CstPool *pool, void *ret)
{
    if (!pool)
        return FALSE;
    fill_pool(&((wire_pool_args *)ret)->pool, pool);
    cst_pool_unref(pool);
    return TRUE;
}

static gboolean by_name(Call *call, const void *args, void *ret, GError **error)
{
    const char *name = ((const wire_text *)args)->value;

    return give_pool(cst_service_pool_by_name(call->service, name, error), ret);
}

static gboolean by_uuid(Call *call, const void *args, void *ret, GError **error)
{
    CstUuid uuid;

    memcpy(uuid.bytes, ((const wire_uuid_args *)args)->uuid, sizeof(uuid.bytes));
    return give_pool(cst_service_pool_by_uuid(call->service, &uuid, error), ret);
}

static gboolean by_volume(Call *call, const void *args, void *ret, GError **error)
{
    return give_pool(find_vol_pool(call, &((const wire_vol_args *)args)->vol, error), ret);
}

static gboolean by_target(Call *call, const void *args, void *ret, GError **error)
{
    const char *path = ((const wire_text *)args)->value;

    return give_pool(cst_service_pool_by_target(call->service, path, error), ret);
}

/* --- state ----------------------------------------------------------------------------------- */

static gboolean get_info(Call *call, const void *args, void *data, GError **error)
{
    g_autoptr(CstPool) pool = find_pool(call, &((const wire_pool_args *)args)->pool, error);
    wire_pool_info_ret *ret = data;
    CstPoolInfo info;

    if (!pool)
        return FALSE;
    cst_pool_get_info(pool, &info);
    ret->state = info.state;
    ret->capacity = info.capacity;
    ret->allocation = info.allocation;
    ret->available = info.available;
    return TRUE;
}

static gboolean is_active(Call *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstPool) pool = find_pool(call, &((const wire_pool_args *)args)->pool, error);

    if (!pool)
        return FALSE;
    ((wire_int *)ret)->value = cst_pool_is_active(pool);
    return TRUE;
}

static gboolean is_persistent(Call *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstPool) pool = find_pool(call, &((const wire_pool_args *)args)->pool, error);
    CstPoolInfo info;

    if (!pool)
        return FALSE;
    cst_pool_get_info(pool, &info);
    ((wire_int *)ret)->value = info.persistent;
    return TRUE;
}

static gboolean get_xml(Call *call, const void *data, void *ret, GError **error)
{
    const wire_pool_flags_args *args = data;
    g_autoptr(CstPool) pool = find_pool(call, &args->pool, error);

    if (pool)
        ((wire_text *)ret)->value = cst_pool_get_xml(pool, args->flags, error);
    return ((wire_text *)ret)->value != NULL;
}

static gboolean get_autostart(Call *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstPool) pool = find_pool(call, &((const wire_pool_args *)args)->pool, error);

    return pool && cst_pool_get_autostart(pool, &((wire_int *)ret)->value, error);
}

static gboolean set_autostart(Call *call, const void *data, void *ret, GError **error)
{
    const wire_pool_autostart_args *args = data;
    g_autoptr(CstPool) pool = find_pool(call, &args->pool, error);

    return pool && cst_pool_set_autostart(pool, args->autostart != 0, error);
}

/* --- definitions and lifecycle --------------------------------------------------------------- */

static gboolean create_xml(Call *call, const void *data, void *ret, GError **error)
{
    const wire_text_flags_args *args = data;

    return give_pool(
        cst_service_pool_create(call->service, args->text, args->flags, call->task, error), ret);
}

static gboolean define_xml(Call *call, const void *data, void *ret, GError **error)
{
    const wire_text_flags_args *args = data;

    return give_pool(cst_service_pool_define(call->service, args->text, args->flags, error), ret);
}

/* Calls that take a pool, with or without flags, and give nothing back. */

#define POOL_CALL(name, use_case)                                                                \
    static gboolean name(Call *call, const void *args, void *ret, GError **error)                \
    {                                                                                            \
        g_autoptr(CstPool) pool = find_pool(call, &((const wire_pool_args *)args)->pool, error); \
                                                                                                 \
        return pool && use_case(pool, call->task, error);                                        \
    }

#define POOL_FLAGS_CALL(name, use_case)                                           \
    static gboolean name(Call *call, const void *data, void *ret, GError **error) \
    {                                                                             \
        const wire_pool_flags_args *args = data;                                  \
        g_autoptr(CstPool) pool = find_pool(call, &args->pool, error);            \
                                                                                  \
        return pool && use_case(pool, args->flags, call->task, error);            \
    }

POOL_FLAGS_CALL(create, cst_pool_start)
POOL_FLAGS_CALL(build, cst_pool_build)
POOL_FLAGS_CALL(delete, cst_pool_delete)
POOL_FLAGS_CALL(refresh, cst_pool_refresh)
POOL_CALL(destroy, cst_pool_stop)
POOL_CALL(undefine, cst_pool_undefine)

/* --- about pools ----------------------------------------------------------------------------- */

static gboolean find_sources(Call *call, const void *data, void *ret, GError **error)
{
    const wire_find_sources_args *args = data;

    ((wire_text *)ret)->value = cst_service_find_sources(
        call->service, args->type, args->spec ? *args->spec : NULL, args->flags, error);
    return ((wire_text *)ret)->value != NULL;
}

static gboolean capabilities(Call *call, const void *args, void *ret, GError **error)
{
    if (!cst_flags_check(((const wire_flags_args *)args)->flags, 0,
                         "storageConnectGetStoragePoolCapabilities", error))
        return FALSE;
    ((wire_text *)ret)->value = cst_service_pool_capabilities(call->service, error);
    return ((wire_text *)ret)->value != NULL;
}

#define ROW STORAGE_ROW

const Procedure procedures_pool[] = {
    ROW(CONNECT_NUM_OF_STORAGE_POOLS, RUN_INLINE, NEEDS_READ, "virConnectNumOfStoragePools",
        "conn:search_storage_pools", NOTHING, WIRE_TYPE(int), num_of_pools),
    ROW(CONNECT_LIST_STORAGE_POOLS, RUN_INLINE, NEEDS_READ, "virConnectListStoragePools",
        "conn:search_storage_pools", WIRE_TYPE(int), WIRE_TYPE(names), list_pools),
    ROW(CONNECT_NUM_OF_DEFINED_STORAGE_POOLS, RUN_INLINE, NEEDS_READ,
        "virConnectNumOfDefinedStoragePools", "conn:search_storage_pools", NOTHING, WIRE_TYPE(int),
        num_of_defined_pools),
    ROW(CONNECT_LIST_DEFINED_STORAGE_POOLS, RUN_INLINE, NEEDS_READ,
        "virConnectListDefinedStoragePools", "conn:search_storage_pools", WIRE_TYPE(int),
        WIRE_TYPE(names), list_defined_pools),
    ROW(CONNECT_LIST_ALL_STORAGE_POOLS, RUN_INLINE, NEEDS_READ, "virConnectListAllStoragePools",
        "conn:search_storage_pools", WIRE_TYPE(list_all_args), WIRE_TYPE(pools_ret),
        list_all_pools),
    ROW(CONNECT_FIND_STORAGE_POOL_SOURCES, RUN_LONG, NEEDS_WRITE,
        "virConnectFindStoragePoolSources", "conn:detect_storage_pools",
        WIRE_TYPE(find_sources_args), WIRE_TYPE(text), find_sources),
    ROW(CONNECT_GET_STORAGE_POOL_CAPABILITIES, RUN_QUICK, NEEDS_READ,
        "virConnectGetStoragePoolCapabilities", "conn:read", WIRE_TYPE(flags_args), WIRE_TYPE(text),
        capabilities),
    ROW(STORAGE_POOL_CREATE_XML, RUN_LONG, NEEDS_WRITE, "virStoragePoolCreateXML",
        "storage_pool:start", WIRE_TYPE(text_flags_args), WIRE_TYPE(pool_args), create_xml),
    ROW(STORAGE_POOL_DEFINE_XML, RUN_QUICK, NEEDS_WRITE, "virStoragePoolDefineXML",
        "storage_pool:save", WIRE_TYPE(text_flags_args), WIRE_TYPE(pool_args), define_xml),
    ROW(STORAGE_POOL_CREATE, RUN_LONG, NEEDS_WRITE, "virStoragePoolCreate", "storage_pool:start",
        WIRE_TYPE(pool_flags_args), NOTHING, create),
    ROW(STORAGE_POOL_BUILD, RUN_LONG, NEEDS_WRITE, "virStoragePoolBuild", "storage_pool:format",
        WIRE_TYPE(pool_flags_args), NOTHING, build),
    ROW(STORAGE_POOL_DESTROY, RUN_LONG, NEEDS_WRITE, "virStoragePoolDestroy", "storage_pool:stop",
        WIRE_TYPE(pool_args), NOTHING, destroy),
    ROW(STORAGE_POOL_DELETE, RUN_LONG, NEEDS_WRITE, "virStoragePoolDelete", "storage_pool:format",
        WIRE_TYPE(pool_flags_args), NOTHING, delete),
    ROW(STORAGE_POOL_UNDEFINE, RUN_LONG, NEEDS_WRITE, "virStoragePoolUndefine",
        "storage_pool:delete", WIRE_TYPE(pool_args), NOTHING, undefine),
    ROW(STORAGE_POOL_REFRESH, RUN_LONG, NEEDS_WRITE, "virStoragePoolRefresh",
        "storage_pool:refresh", WIRE_TYPE(pool_flags_args), NOTHING, refresh),
    ROW(STORAGE_POOL_LOOKUP_BY_NAME, RUN_INLINE, NEEDS_READ, "virStoragePoolLookupByName",
        "storage_pool:getattr", WIRE_TYPE(text), WIRE_TYPE(pool_args), by_name),
    ROW(STORAGE_POOL_LOOKUP_BY_UUID, RUN_INLINE, NEEDS_READ, "virStoragePoolLookupByUUID",
        "storage_pool:getattr", WIRE_TYPE(uuid_args), WIRE_TYPE(pool_args), by_uuid),
    ROW(STORAGE_POOL_LOOKUP_BY_VOLUME, RUN_INLINE, NEEDS_READ, "virStoragePoolLookupByVolume",
        "storage_pool:getattr", WIRE_TYPE(vol_args), WIRE_TYPE(pool_args), by_volume),
    ROW(STORAGE_POOL_LOOKUP_BY_TARGET_PATH, RUN_QUICK, NEEDS_READ,
        "virStoragePoolLookupByTargetPath", "storage_pool:getattr", WIRE_TYPE(text),
        WIRE_TYPE(pool_args), by_target),
    ROW(STORAGE_POOL_GET_INFO, RUN_INLINE, NEEDS_READ, "virStoragePoolGetInfo", "storage_pool:read",
        WIRE_TYPE(pool_args), WIRE_TYPE(pool_info_ret), get_info),
    ROW(STORAGE_POOL_GET_XML_DESC, RUN_QUICK, NEEDS_READ, "virStoragePoolGetXMLDesc",
        "storage_pool:read", WIRE_TYPE(pool_flags_args), WIRE_TYPE(text), get_xml),
    ROW(STORAGE_POOL_GET_AUTOSTART, RUN_INLINE, NEEDS_READ, "virStoragePoolGetAutostart",
        "storage_pool:read", WIRE_TYPE(pool_args), WIRE_TYPE(int), get_autostart),
    ROW(STORAGE_POOL_SET_AUTOSTART, RUN_QUICK, NEEDS_WRITE, "virStoragePoolSetAutostart",
        "storage_pool:write", WIRE_TYPE(pool_autostart_args), NOTHING, set_autostart),
    ROW(STORAGE_POOL_IS_ACTIVE, RUN_INLINE, NEEDS_READ, "virStoragePoolIsActive",
        "storage_pool:read", WIRE_TYPE(pool_args), WIRE_TYPE(int), is_active),
    ROW(STORAGE_POOL_IS_PERSISTENT, RUN_INLINE, NEEDS_READ, "virStoragePoolIsPersistent",
        "storage_pool:read", WIRE_TYPE(pool_args), WIRE_TYPE(int), is_persistent),
    {0},
};
