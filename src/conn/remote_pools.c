/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/i18n.h>

#include "remote_private.h"

/** A procedure whose answer is one pool. */
static CstPoolRef *call_for_pool(CstRemote *remote, int number, gpointer args_func,
                                 const void *args, GError **error)
{
    wire_pool_args ret = {0};

    if (!cst_remote_call(remote, number, args_func, args, xdr_wire_pool_args, &ret, error))
        return NULL;
    return cst_remote_pool_take(&ret.pool);
}

/** A procedure on one pool, without an answer. */
static gboolean call_on_pool(gpointer self, int number, const CstPoolRef *pool, GError **error)
{
    wire_pool_args args = {cst_remote_pool_arg(pool)};

    return cst_remote_call(self, number, xdr_wire_pool_args, &args, NULL, NULL, error);
}

static gboolean call_on_pool_flags(gpointer self, int number, const CstPoolRef *pool,
                                   unsigned flags, GError **error)
{
    wire_pool_flags_args args = {cst_remote_pool_arg(pool), flags};

    return cst_remote_call(self, number, xdr_wire_pool_flags_args, &args, NULL, NULL, error);
}

/** A procedure on one pool that answers a number. */
static gboolean ask_pool(gpointer self, int number, const CstPoolRef *pool, int *ret,
                         GError **error)
{
    wire_pool_args args = {cst_remote_pool_arg(pool)};
    wire_int answer = {0};

    if (!cst_remote_call(self, number, xdr_wire_pool_args, &args, xdr_wire_int, &answer, error))
        return FALSE;
    *ret = answer.value;
    return TRUE;
}

GPtrArray *cst_remote_pool_list(gpointer self, unsigned filter, GError **error)
{
    wire_list_all_args args = {1, filter};
    wire_pools_ret ret = {0};
    GPtrArray *refs;

    if (!cst_remote_call(self, WIRE_PROC_CONNECT_LIST_ALL_STORAGE_POOLS, xdr_wire_list_all_args,
                         &args, xdr_wire_pools_ret, &ret, error))
        return NULL;
    refs = g_ptr_array_new_full(ret.pools.pools_len, (GDestroyNotify)cst_pool_ref_free);
    for (u_int i = 0; i < ret.pools.pools_len; i++)
        g_ptr_array_add(refs, cst_remote_pool_take(&ret.pools.pools_val[i]));
    xdr_free((xdrproc_t)xdr_wire_pools_ret, (char *)&ret);
    return refs;
}

CstPoolRef *cst_remote_pool_by_name(gpointer self, const char *name, GError **error)
{
    wire_text args = {(char *)name};

    return call_for_pool(self, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_NAME, xdr_wire_text, &args, error);
}

CstPoolRef *cst_remote_pool_by_uuid(gpointer self, const CstUuid *uuid, GError **error)
{
    wire_uuid_args args;

    memcpy(args.uuid, uuid->bytes, sizeof(args.uuid));
    return call_for_pool(self, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_UUID, xdr_wire_uuid_args, &args,
                         error);
}

CstPoolRef *cst_remote_pool_by_target(gpointer self, const char *path, GError **error)
{
    wire_text args = {(char *)path};

    return call_for_pool(self, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_TARGET_PATH, xdr_wire_text, &args,
                         error);
}

CstPoolRef *cst_remote_pool_define(gpointer self, const char *xml, unsigned flags, GError **error)
{
    wire_text_flags_args args = {(char *)xml, flags};

    return call_for_pool(self, WIRE_PROC_STORAGE_POOL_DEFINE_XML, xdr_wire_text_flags_args, &args,
                         error);
}

CstPoolRef *cst_remote_pool_create(gpointer self, const char *xml, unsigned flags, GError **error)
{
    wire_text_flags_args args = {(char *)xml, flags};

    return call_for_pool(self, WIRE_PROC_STORAGE_POOL_CREATE_XML, xdr_wire_text_flags_args, &args,
                         error);
}

gboolean cst_remote_pool_undefine(gpointer self, const CstPoolRef *pool, GError **error)
{
    return call_on_pool(self, WIRE_PROC_STORAGE_POOL_UNDEFINE, pool, error);
}

gboolean cst_remote_pool_build(gpointer self, const CstPoolRef *pool, unsigned flags,
                               GError **error)
{
    return call_on_pool_flags(self, WIRE_PROC_STORAGE_POOL_BUILD, pool, flags, error);
}

gboolean cst_remote_pool_start(gpointer self, const CstPoolRef *pool, unsigned flags,
                               GError **error)
{
    return call_on_pool_flags(self, WIRE_PROC_STORAGE_POOL_CREATE, pool, flags, error);
}

gboolean cst_remote_pool_stop(gpointer self, const CstPoolRef *pool, GError **error)
{
    return call_on_pool(self, WIRE_PROC_STORAGE_POOL_DESTROY, pool, error);
}

gboolean cst_remote_pool_delete(gpointer self, const CstPoolRef *pool, unsigned flags,
                                GError **error)
{
    return call_on_pool_flags(self, WIRE_PROC_STORAGE_POOL_DELETE, pool, flags, error);
}

gboolean cst_remote_pool_refresh(gpointer self, const CstPoolRef *pool, unsigned flags,
                                 GError **error)
{
    return call_on_pool_flags(self, WIRE_PROC_STORAGE_POOL_REFRESH, pool, flags, error);
}

gboolean cst_remote_pool_set_autostart(gpointer self, const CstPoolRef *pool, gboolean autostart,
                                       GError **error)
{
    wire_pool_autostart_args args = {cst_remote_pool_arg(pool), autostart ? 1 : 0};

    return cst_remote_call(self, WIRE_PROC_STORAGE_POOL_SET_AUTOSTART, xdr_wire_pool_autostart_args,
                           &args, NULL, NULL, error);
}

gboolean cst_remote_pool_get_autostart(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                       GError **error)
{
    return ask_pool(self, WIRE_PROC_STORAGE_POOL_GET_AUTOSTART, pool, ret, error);
}

gboolean cst_remote_pool_is_active(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                   GError **error)
{
    return ask_pool(self, WIRE_PROC_STORAGE_POOL_IS_ACTIVE, pool, ret, error);
}

gboolean cst_remote_pool_is_persistent(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                       GError **error)
{
    return ask_pool(self, WIRE_PROC_STORAGE_POOL_IS_PERSISTENT, pool, ret, error);
}

gboolean cst_remote_pool_info(gpointer self, const CstPoolRef *pool, CstConnPoolInfo *ret,
                              GError **error)
{
    wire_pool_args args = {cst_remote_pool_arg(pool)};
    wire_pool_info_ret info = {0};

    if (!cst_remote_call(self, WIRE_PROC_STORAGE_POOL_GET_INFO, xdr_wire_pool_args, &args,
                         xdr_wire_pool_info_ret, &info, error))
        return FALSE;
    *ret = (CstConnPoolInfo){info.state, info.capacity, info.allocation, info.available};
    return TRUE;
}

char *cst_remote_pool_problem(gpointer self, const CstPoolRef *pool, GError **error)
{
    CstRemote *remote = self;
    CstWireProc proc =
        cst_remote_own_proc(WIRE_CISTERN_POOL_STATUS, xdr_wire_pool_args, xdr_wire_pool_status_ret);
    wire_pool_args args = {cst_remote_pool_arg(pool)};
    wire_pool_status_ret status = {0};
    char *problem;

    if (!cst_wire_client_call(remote->client, &proc, &args, &status, error))
        return NULL;
    problem = status.problem ? g_strdup(*status.problem) : NULL;
    xdr_free(proc.ret, (char *)&status);
    return problem;
}

GPtrArray *cst_remote_pool_thin(gpointer self, const CstPoolRef *pool, GError **error)
{
    wire_pool_args args = {cst_remote_pool_arg(pool)};
    wire_pool_thin_ret ret = {0};
    GPtrArray *stores;

    if (!cst_remote_own_call(self, WIRE_CISTERN_POOL_THIN, _("thin pools"), xdr_wire_pool_args,
                             &args, xdr_wire_pool_thin_ret, &ret, error))
        return NULL;
    stores = g_ptr_array_new_with_free_func((GDestroyNotify)cst_thin_store_free);
    for (guint i = 0; i < ret.stores.stores_len; i++) {
        wire_thin_store *wire = &ret.stores.stores_val[i];
        CstThinStore *store = g_new0(CstThinStore, 1);

        *store = (CstThinStore){g_steal_pointer(&wire->name), wire->size,          wire->used,
                                wire->metadata_size,          wire->metadata_used, wire->volumes};
        g_ptr_array_add(stores, store);
    }
    xdr_free((xdrproc_t)xdr_wire_pool_thin_ret, (char *)&ret);
    return stores;
}

char *cst_remote_pool_xml(gpointer self, const CstPoolRef *pool, unsigned flags, GError **error)
{
    wire_pool_flags_args args = {cst_remote_pool_arg(pool), flags};

    return cst_remote_text(self, WIRE_PROC_STORAGE_POOL_GET_XML_DESC, xdr_wire_pool_flags_args,
                           &args, error);
}

gboolean cst_remote_pool_count_volumes(gpointer self, const CstPoolRef *pool, guint *ret,
                                       GError **error)
{
    int count = 0;

    if (!ask_pool(self, WIRE_PROC_STORAGE_POOL_NUM_OF_VOLUMES, pool, &count, error))
        return FALSE;
    *ret = MAX(count, 0);
    return TRUE;
}

char *cst_remote_find_sources(gpointer self, const char *type, const char *spec, GError **error)
{
    char *text = (char *)spec;
    wire_find_sources_args args = {(char *)type, spec ? &text : NULL, 0};

    return cst_remote_text(self, WIRE_PROC_CONNECT_FIND_STORAGE_POOL_SOURCES,
                           xdr_wire_find_sources_args, &args, error);
}

char *cst_remote_pool_capabilities(gpointer self, GError **error)
{
    wire_flags_args args = {0};

    return cst_remote_text(self, WIRE_PROC_CONNECT_GET_STORAGE_POOL_CAPABILITIES,
                           xdr_wire_flags_args, &args, error);
}
