/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for pools. A procedure is INLINE if it reads only the service's tables. It is QUICK if
 * it reads Cistern's own files or acquires the lock of the definitions. It is LONG, with a task, if
 * it accesses storage or waits for the pool.
 */
#include <string.h>

#include "api_private.h"

/* --- lists ----------------------------------------------------------------------------------- */

static gboolean count_pools(CstApiCall *call, unsigned filter, wire_int *ret, GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(call->service, filter, error);

    if (!pools)
        return FALSE;
    ret->value = (int)pools->len;
    return TRUE;
}

/* Returns up to @max names, because the client has no room for more. */
static gboolean name_pools(CstApiCall *call, unsigned filter, int max, wire_names *ret,
                           GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;

    if (!cst_api_check_max(max, WIRE_LIST_MAX, "maxnames", "REMOTE_STORAGE_POOL_LIST_MAX", error))
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

static gboolean num_of_pools(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return count_pools(call, CST_LIST_POOLS_ACTIVE, ret, error);
}

static gboolean num_of_defined_pools(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return count_pools(call, CST_LIST_POOLS_INACTIVE, ret, error);
}

static gboolean api_pool_list_active(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return name_pools(call, CST_LIST_POOLS_ACTIVE, ((const wire_int *)args)->value, ret, error);
}

static gboolean list_defined_pools(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return name_pools(call, CST_LIST_POOLS_INACTIVE, ((const wire_int *)args)->value, ret, error);
}

static gboolean list_all_pools(CstApiCall *call, const void *data, void *ret_data, GError **error)
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
    /* The client requests only the number. */
    if (!args->need_results)
        return TRUE;
    /* libvirt's protocol has no pages. */
    if (pools->len > WIRE_LIST_MAX)
        return cst_fail(error, CST_ERROR_RPC, _("Too many storage_pools '%u' for limit '%d'"),
                        pools->len, WIRE_LIST_MAX);
    ret->pools.pools_val = g_new0(wire_pool, pools->len + 1);
    for (guint i = 0; i < pools->len; i++)
        cst_api_fill_pool(&ret->pools.pools_val[ret->pools.pools_len++],
                          g_ptr_array_index(pools, i));
    return TRUE;
}

/* --- lookups --------------------------------------------------------------------------------- */

/* Fills @ret with @pool and releases @pool. NULL: the lookup has failed and set its error. */
static gboolean give_pool(CstPool *pool, void *ret)
{
    if (!pool)
        return FALSE;
    cst_api_fill_pool(&((wire_pool_args *)ret)->pool, pool);
    cst_pool_unref(pool);
    return TRUE;
}

static gboolean api_pool_by_name(CstApiCall *call, const void *args, void *ret, GError **error)
{
    const char *name = ((const wire_text *)args)->value;

    return give_pool(cst_service_pool_by_name(call->service, name, error), ret);
}

static gboolean api_pool_by_uuid(CstApiCall *call, const void *args, void *ret, GError **error)
{
    CstUuid uuid;

    memcpy(uuid.bytes, ((const wire_uuid_args *)args)->uuid, sizeof(uuid.bytes));
    return give_pool(cst_service_pool_by_uuid(call->service, &uuid, error), ret);
}

static gboolean by_volume(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return give_pool(cst_api_vol_pool(call->service, &((const wire_vol_args *)args)->vol, error),
                     ret);
}

static gboolean by_target(CstApiCall *call, const void *args, void *ret, GError **error)
{
    const char *path = ((const wire_text *)args)->value;

    return give_pool(cst_service_pool_by_target(call->service, path, error), ret);
}

/* --- state ----------------------------------------------------------------------------------- */

static gboolean api_pool_get_info(CstApiCall *call, const void *args, void *data, GError **error)
{
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);
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

static gboolean is_active(CstApiCall *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);

    if (!pool)
        return FALSE;
    ((wire_int *)ret)->value = cst_pool_is_active(pool);
    return TRUE;
}

static gboolean is_persistent(CstApiCall *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);
    CstPoolInfo info;

    if (!pool)
        return FALSE;
    cst_pool_get_info(pool, &info);
    ((wire_int *)ret)->value = info.persistent;
    return TRUE;
}

static gboolean api_pool_get_xml(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_pool_flags_args *args = data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);

    if (pool)
        ((wire_text *)ret)->value = cst_pool_get_xml(pool, args->flags, error);
    return ((wire_text *)ret)->value != NULL;
}

static gboolean get_autostart(CstApiCall *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);

    return pool && cst_pool_get_autostart(pool, &((wire_int *)ret)->value, error);
}

static gboolean set_autostart(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_pool_autostart_args *args = data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);

    return pool && cst_pool_set_autostart(pool, args->autostart != 0, error);
}

/* --- definitions and lifecycle --------------------------------------------------------------- */

static gboolean create_xml(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_text_flags_args *args = data;

    return give_pool(
        cst_service_pool_create(call->service, args->text, args->flags, call->task, error), ret);
}

static gboolean api_pool_define_xml(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_text_flags_args *args = data;

    return give_pool(cst_service_pool_define(call->service, args->text, args->flags, error), ret);
}

/* Procedures that take a pool, with or without flags, and return nothing. */

#define POOL_CALL(name, use_case)                                                       \
    static gboolean name(CstApiCall *call, const void *args, void *ret, GError **error) \
    {                                                                                   \
        g_autoptr(CstPool) pool =                                                       \
            cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);  \
                                                                                        \
        return pool && use_case(pool, call->task, error);                               \
    }

#define POOL_FLAGS_CALL(name, use_case)                                                 \
    static gboolean name(CstApiCall *call, const void *data, void *ret, GError **error) \
    {                                                                                   \
        const wire_pool_flags_args *args = data;                                        \
        g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);      \
                                                                                        \
        return pool && use_case(pool, args->flags, call->task, error);                  \
    }

POOL_FLAGS_CALL(create, cst_pool_start)
POOL_FLAGS_CALL(build, cst_pool_build)
POOL_FLAGS_CALL(delete, cst_pool_delete)
POOL_FLAGS_CALL(refresh, cst_pool_refresh)
POOL_CALL(destroy, cst_pool_stop)
POOL_CALL(undefine, cst_pool_undefine)

/* --- about pools ----------------------------------------------------------------------------- */

static gboolean api_find_pool_sources(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_find_sources_args *args = data;

    ((wire_text *)ret)->value = cst_service_find_sources(
        call->service, args->type, cst_api_opt_text(args->spec), args->flags, error);
    return ((wire_text *)ret)->value != NULL;
}

static gboolean api_pool_capabilities(CstApiCall *call, const void *args, void *ret, GError **error)
{
    if (!cst_flags_check(((const wire_flags_args *)args)->flags, 0,
                         "storageConnectGetStoragePoolCapabilities", error))
        return FALSE;
    ((wire_text *)ret)->value = cst_service_pool_capabilities(call->service, error);
    return ((wire_text *)ret)->value != NULL;
}

static gboolean get_problem(CstApiCall *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);

    if (!pool)
        return FALSE;
    ((wire_pool_status_ret *)ret)->problem = cst_api_opt(cst_pool_get_problem(pool));
    return TRUE;
}

/* Notes above WIRE_LIST_MAX are left out, because the first ones are the most important. */
static gboolean api_pool_health(CstApiCall *call, const void *args, void *data, GError **error)
{
    wire_pool_health_ret *ret = data;
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);
    g_auto(CstPoolHealth) found = {0};

    if (!pool || !cst_pool_get_health(pool, &found, error))
        return FALSE;
    ret->level = found.level;
    ret->state = cst_api_opt(g_steal_pointer(&found.state));
    ret->notes.notes_val = g_new0(char *, (found.notes ? found.notes->len : 0) + 1);
    for (guint i = 0; found.notes && i < MIN(found.notes->len, WIRE_LIST_MAX); i++)
        ret->notes.notes_val[ret->notes.notes_len++] =
            cst_api_text(g_strdup(g_ptr_array_index(found.notes, i)));
    return TRUE;
}

static gboolean api_pool_room(CstApiCall *call, const void *args, void *data, GError **error)
{
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);
    wire_pool_room_ret *ret = data;
    CstRoom found;

    if (!pool || !cst_pool_room(pool, &found, error))
        return FALSE;
    ret->known = found.known;
    ret->bytes = found.bytes;
    ret->device = found.device;
    return TRUE;
}

static gboolean thin_stores(CstApiCall *call, const void *args, void *data, GError **error)
{
    wire_pool_thin_ret *ret = data;
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);
    g_autoptr(GPtrArray) stores = pool ? cst_pool_thin_stores(pool, error) : NULL;

    if (!stores || !cst_api_check_max((int)MIN(stores->len, G_MAXINT), WIRE_LIST_MAX, "thin pools",
                                      "WIRE_LIST_MAX", error))
        return FALSE;
    ret->stores.stores_val = g_new0(wire_thin_store, stores->len + 1);
    for (guint i = 0; i < stores->len; i++) {
        CstThinStore *store = g_ptr_array_index(stores, i);

        ret->stores.stores_val[ret->stores.stores_len++] =
            (wire_thin_store){cst_api_text(g_steal_pointer(&store->name)),
                              store->size,
                              store->used,
                              store->metadata_size,
                              store->metadata_used,
                              store->volumes};
    }
    return TRUE;
}

#define ROW(number, run, needs, ...) CST_REMOTE_PROCEDURE(number, run, needs, STORAGE, __VA_ARGS__)

const CstProcedure cst_api_pool_procedures[] = {
    ROW(CONNECT_NUM_OF_STORAGE_POOLS, INLINE, READ, "virConnectNumOfStoragePools", void, int,
        num_of_pools),
    ROW(CONNECT_LIST_STORAGE_POOLS, INLINE, READ, "virConnectListStoragePools", int, names,
        api_pool_list_active),
    ROW(CONNECT_NUM_OF_DEFINED_STORAGE_POOLS, INLINE, READ, "virConnectNumOfDefinedStoragePools",
        void, int, num_of_defined_pools),
    ROW(CONNECT_LIST_DEFINED_STORAGE_POOLS, INLINE, READ, "virConnectListDefinedStoragePools", int,
        names, list_defined_pools),
    ROW(CONNECT_LIST_ALL_STORAGE_POOLS, INLINE, READ, "virConnectListAllStoragePools",
        list_all_args, pools_ret, list_all_pools),
    ROW(CONNECT_FIND_STORAGE_POOL_SOURCES, LONG, WRITE, "virConnectFindStoragePoolSources",
        find_sources_args, text, api_find_pool_sources, .reads = cst_api_only_reads),
    ROW(CONNECT_GET_STORAGE_POOL_CAPABILITIES, QUICK, READ, "virConnectGetStoragePoolCapabilities",
        flags_args, text, api_pool_capabilities),
    ROW(STORAGE_POOL_CREATE_XML, LONG, WRITE, "virStoragePoolCreateXML", text_flags_args, pool_args,
        create_xml),
    ROW(STORAGE_POOL_DEFINE_XML, QUICK, WRITE, "virStoragePoolDefineXML", text_flags_args,
        pool_args, api_pool_define_xml),
    ROW(STORAGE_POOL_CREATE, LONG, WRITE, "virStoragePoolCreate", pool_flags_args, void, create),
    ROW(STORAGE_POOL_BUILD, LONG, WRITE, "virStoragePoolBuild", pool_flags_args, void, build),
    ROW(STORAGE_POOL_DESTROY, LONG, WRITE, "virStoragePoolDestroy", pool_args, void, destroy),
    ROW(STORAGE_POOL_DELETE, LONG, WRITE, "virStoragePoolDelete", pool_flags_args, void, delete),
    ROW(STORAGE_POOL_UNDEFINE, LONG, WRITE, "virStoragePoolUndefine", pool_args, void, undefine),
    ROW(STORAGE_POOL_REFRESH, LONG, WRITE, "virStoragePoolRefresh", pool_flags_args, void, refresh),
    ROW(STORAGE_POOL_LOOKUP_BY_NAME, INLINE, READ, "virStoragePoolLookupByName", text, pool_args,
        api_pool_by_name),
    ROW(STORAGE_POOL_LOOKUP_BY_UUID, INLINE, READ, "virStoragePoolLookupByUUID", uuid_args,
        pool_args, api_pool_by_uuid),
    ROW(STORAGE_POOL_LOOKUP_BY_VOLUME, INLINE, READ, "virStoragePoolLookupByVolume", vol_args,
        pool_args, by_volume),
    ROW(STORAGE_POOL_LOOKUP_BY_TARGET_PATH, QUICK, READ, "virStoragePoolLookupByTargetPath", text,
        pool_args, by_target),
    ROW(STORAGE_POOL_GET_INFO, INLINE, READ, "virStoragePoolGetInfo", pool_args, pool_info_ret,
        api_pool_get_info),
    ROW(STORAGE_POOL_GET_XML_DESC, QUICK, READ, "virStoragePoolGetXMLDesc", pool_flags_args, text,
        api_pool_get_xml),
    ROW(STORAGE_POOL_GET_AUTOSTART, INLINE, READ, "virStoragePoolGetAutostart", pool_args, int,
        get_autostart),
    ROW(STORAGE_POOL_SET_AUTOSTART, QUICK, WRITE, "virStoragePoolSetAutostart", pool_autostart_args,
        void, set_autostart),
    ROW(STORAGE_POOL_IS_ACTIVE, INLINE, READ, "virStoragePoolIsActive", pool_args, int, is_active),
    ROW(STORAGE_POOL_IS_PERSISTENT, INLINE, READ, "virStoragePoolIsPersistent", pool_args, int,
        is_persistent),
    CST_OWN_PROCEDURE(POOL_STATUS, INLINE, READ, "cisternPoolStatus", pool_args, pool_status_ret,
                      get_problem),
    CST_OWN_PROCEDURE(POOL_HEALTH, LONG, READ, "cisternPoolHealth", pool_args, pool_health_ret,
                      api_pool_health),
    CST_OWN_PROCEDURE(POOL_ROOM, LONG, READ, "cisternPoolRoom", pool_args, pool_room_ret,
                      api_pool_room),
    CST_OWN_PROCEDURE(POOL_THIN, LONG, READ, "cisternPoolThin", pool_args, pool_thin_ret,
                      thin_stores),
    {0},
};
