/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/error.h>
#include <base/i18n.h>
#include <service/volumes.h>

#include "local_private.h"

/** As cisternd, and libvirt, say it: a reference has a name that people know it by. */
CstPool *cst_local_pool(CstLocal *local, const CstPoolRef *ref, GError **error)
{
    g_autoptr(GError) why = NULL;
    CstPool *pool = cst_service_pool_by_uuid(local->service, &ref->uuid, &why);
    char text[CST_UUID_TEXT_LEN];

    if (pool)
        return pool;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_POOL))
        cst_fail(error, CST_ERROR_NO_POOL, _("no storage pool with matching uuid '%s' (%s)"),
                 cst_uuid_format(&ref->uuid, text), ref->name);
    else
        g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
}

/** The reference of a handle, which is given up. */
static CstPoolRef *ref_of(CstPool *pool)
{
    CstPoolRef *ref;

    if (!pool)
        return NULL;
    ref = cst_pool_ref_new(cst_pool_name(pool), cst_pool_uuid(pool));
    cst_pool_unref(pool);
    return ref;
}

GPtrArray *cst_local_pool_list(gpointer self, unsigned filter, GError **error)
{
    CstLocal *local = self;
    g_autoptr(GPtrArray) pools = cst_service_pools(local->service, filter, error);
    GPtrArray *refs;

    if (!pools)
        return NULL;
    refs = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_ref_free);
    for (guint i = 0; i < pools->len; i++)
        g_ptr_array_add(refs, ref_of(cst_pool_ref(pools->pdata[i])));
    return refs;
}

CstPoolRef *cst_local_pool_by_name(gpointer self, const char *name, GError **error)
{
    return ref_of(cst_service_pool_by_name(((CstLocal *)self)->service, name, error));
}

CstPoolRef *cst_local_pool_by_uuid(gpointer self, const CstUuid *uuid, GError **error)
{
    return ref_of(cst_service_pool_by_uuid(((CstLocal *)self)->service, uuid, error));
}

CstPoolRef *cst_local_pool_by_target(gpointer self, const char *path, GError **error)
{
    return ref_of(cst_service_pool_by_target(((CstLocal *)self)->service, path, error));
}

CstPoolRef *cst_local_pool_define(gpointer self, const char *xml, unsigned flags, GError **error)
{
    return ref_of(cst_service_pool_define(((CstLocal *)self)->service, xml, flags, error));
}

CstPoolRef *cst_local_pool_create(gpointer self, const char *xml, unsigned flags, GError **error)
{
    return ref_of(cst_service_pool_create(((CstLocal *)self)->service, xml, flags, NULL, error));
}

gboolean cst_local_pool_undefine(gpointer self, const CstPoolRef *ref, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool && cst_pool_undefine(pool, NULL, error);
}

gboolean cst_local_pool_build(gpointer self, const CstPoolRef *ref, unsigned flags, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool && cst_pool_build(pool, flags, NULL, error);
}

gboolean cst_local_pool_start(gpointer self, const CstPoolRef *ref, unsigned flags, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool && cst_pool_start(pool, flags, NULL, error);
}

gboolean cst_local_pool_stop(gpointer self, const CstPoolRef *ref, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool && cst_pool_stop(pool, NULL, error);
}

gboolean cst_local_pool_delete(gpointer self, const CstPoolRef *ref, unsigned flags, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool && cst_pool_delete(pool, flags, NULL, error);
}

gboolean cst_local_pool_refresh(gpointer self, const CstPoolRef *ref, unsigned flags,
                                GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool && cst_pool_refresh(pool, flags, NULL, error);
}

gboolean cst_local_pool_set_autostart(gpointer self, const CstPoolRef *ref, gboolean autostart,
                                      GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool && cst_pool_set_autostart(pool, autostart, error);
}

gboolean cst_local_pool_get_autostart(gpointer self, const CstPoolRef *ref, gboolean *ret,
                                      GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool && cst_pool_get_autostart(pool, ret, error);
}

gboolean cst_local_pool_is_active(gpointer self, const CstPoolRef *ref, gboolean *ret,
                                  GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    if (!pool)
        return FALSE;
    *ret = cst_pool_is_active(pool);
    return TRUE;
}

gboolean cst_local_pool_is_persistent(gpointer self, const CstPoolRef *ref, gboolean *ret,
                                      GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);
    CstPoolInfo info;

    if (!pool)
        return FALSE;
    cst_pool_get_info(pool, &info);
    *ret = info.persistent;
    return TRUE;
}

gboolean cst_local_pool_info(gpointer self, const CstPoolRef *ref, CstConnPoolInfo *ret,
                             GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);
    CstPoolInfo info;

    if (!pool)
        return FALSE;
    cst_pool_get_info(pool, &info);
    *ret = (CstConnPoolInfo){info.state, info.capacity, info.allocation, info.available};
    return TRUE;
}

char *cst_local_pool_problem(gpointer self, const CstPoolRef *ref, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool ? cst_pool_get_problem(pool) : NULL;
}

GPtrArray *cst_local_pool_thin(gpointer self, const CstPoolRef *ref, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool ? cst_pool_thin_stores(pool, error) : NULL;
}

char *cst_local_pool_xml(gpointer self, const CstPoolRef *ref, unsigned flags, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool ? cst_pool_get_xml(pool, flags, error) : NULL;
}

gboolean cst_local_pool_count_volumes(gpointer self, const CstPoolRef *ref, guint *ret,
                                      GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool && cst_pool_count_volumes(pool, ret, error);
}

char *cst_local_find_sources(gpointer self, const char *type, const char *spec, GError **error)
{
    return cst_service_find_sources(((CstLocal *)self)->service, type, spec, 0, error);
}

char *cst_local_pool_capabilities(gpointer self, GError **error)
{
    return cst_service_pool_capabilities(((CstLocal *)self)->service, error);
}
