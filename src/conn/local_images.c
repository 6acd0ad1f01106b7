/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "local_private.h"

#include <service/images.h>
#include <service/trust.h>
#include <service/volumes.h>

GPtrArray *cst_local_vol_chain(gpointer self, const CstVolRef *vol, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool ? cst_vol_chain(pool, vol->name, error) : NULL;
}

GPtrArray *cst_local_vol_holders(gpointer self, const CstVolRef *vol, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool ? cst_vol_holders(pool, vol->name, error) : NULL;
}

gboolean cst_local_vol_check(gpointer self, const CstVolRef *vol, unsigned repair, CstTask *task,
                             CstCheckReport *ret, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_check(pool, vol->name, repair, task, ret, error);
}

gboolean cst_local_vol_flatten(gpointer self, const CstVolRef *vol, CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_flatten(pool, vol->name, task, error);
}

gboolean cst_local_vol_commit(gpointer self, const CstVolRef *vol, const char *base, unsigned flags,
                              CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_commit(pool, vol->name, base, flags, task, error);
}

gboolean cst_local_vol_sparsify(gpointer self, const CstVolRef *vol, CstTask *task, uint64_t *ret,
                                GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_sparsify(pool, vol->name, task, ret, error);
}

CstVolRef *cst_local_vol_convert(gpointer self, const CstPoolRef *ref, const CstVolRef *source,
                                 const CstVolConvert *how, CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);
    g_autoptr(CstPool) source_pool = pool ? cst_local_pool_of(self, source, error) : NULL;

    if (!source_pool || !cst_vol_convert(pool, source_pool, source->name, how, task, error))
        return NULL;
    return cst_local_vol_take(pool, g_strdup(how->name), error);
}

gboolean cst_local_vol_rebase(gpointer self, const CstVolRef *vol, const CstVolRebase *how,
                              CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_rebase(pool, vol->name, how, task, error);
}

gboolean cst_local_vol_declare(gpointer self, const CstVolRef *vol, const CstVolDeclare *how,
                               CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_declare(pool, vol->name, how, task, error);
}

GPtrArray *cst_local_vol_problems(gpointer self, const CstVolRef *vol, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool ? cst_vol_problems(pool, vol->name, error) : NULL;
}

gboolean cst_local_pool_follow(gpointer self, const CstPoolRef *ref, const CstFollow *follow,
                               CstFollow *ret, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    return pool && (!follow || cst_pool_set_follow(pool, *follow, error)) &&
           cst_pool_get_follow(pool, ret, error);
}

gboolean cst_local_vol_compare(gpointer self, const CstVolRef *vol, const CstVolRef *other,
                               CstTask *task, CstCompareReport *ret, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);
    g_autoptr(CstPool) other_pool = pool ? cst_local_pool_of(self, other, error) : NULL;

    return other_pool &&
           cst_vol_compare(pool, vol->name, other_pool, other->name, task, ret, error);
}

gboolean cst_local_vol_measure(gpointer self, const CstVolRef *vol, const char *format,
                               const char *options, CstTask *task, CstMeasureReport *ret,
                               GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_measure(pool, vol->name, format, options, task, ret, error);
}

CstVolMap *cst_local_vol_map(gpointer self, const CstVolRef *vol, uint64_t start, guint limit,
                             CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool ? cst_vol_map(pool, vol->name, start, limit, task, error) : NULL;
}

gboolean cst_local_vol_bitmap(gpointer self, const CstVolRef *vol, const CstBitmapChange *change,
                              const CstVolRef *source, CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);
    g_autoptr(CstPool) source_pool = pool && source ? cst_local_pool_of(self, source, error) : NULL;

    return pool && (!source || source_pool) &&
           cst_vol_bitmap(pool, vol->name, change, source_pool, source ? source->name : NULL, task,
                          error);
}
