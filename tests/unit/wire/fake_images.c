/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/error.h>
#include <service/domains.h>
#include <service/images.h>
#include <service/trash.h>
#include <service/trust.h>
#include <service/volumes.h>

#include "fake_service.h"

/* Every volume is alone, whole and full of data. */

gboolean cst_vol_check(CstPool *pool, const char *name, unsigned repair, CstTask *task,
                       CstCheckReport *ret_report, GError **error)
{
    *ret_report = (CstCheckReport){.total_clusters = 7};
    g_strlcpy(ret_report->format, "qcow2", sizeof(ret_report->format));
    return fake_works(error);
}

gboolean cst_vol_flatten(CstPool *pool, const char *name, CstTask *task, GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_commit(CstPool *pool, const char *name, const char *base, unsigned flags,
                        CstTask *task, GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_protect(CstPool *pool, const char *name, gboolean on, CstTask *task,
                         GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_rename(CstPool *pool, const char *name, const char *new_name, CstTask *task,
                        GError **error)
{
    return fake_changed(error);
}

GPtrArray *cst_pool_trash_list(CstPool *pool, GError **error)
{
    return fake_works(error) ? g_ptr_array_new() : NULL;
}

GPtrArray *cst_pool_trash_page(CstPool *pool, const char *after, guint limit, char **ret_next,
                               GError **error)
{
    *ret_next = NULL;
    return cst_pool_trash_list(pool, error);
}

gboolean cst_pool_trash_totals(CstPool *pool, CstTask *task, CstTrashTotals *ret_totals,
                               GError **error)
{
    return fake_works(error);
}

gboolean cst_pool_trash_restore(CstPool *pool, const char *which, const char *new_name,
                                CstTask *task, char **ret_name, GError **error)
{
    *ret_name = fake_changed(error) ? g_strdup("vol00000") : NULL;
    return *ret_name != NULL;
}

gboolean cst_pool_trash_empty(CstPool *pool, const char *which, int64_t older_than, CstTask *task,
                              guint *ret_count, uint64_t *ret_bytes, GError **error)
{
    *ret_count = 0;
    *ret_bytes = 0;
    return fake_changed(error);
}

gboolean cst_vol_move(CstPool *pool, const char *name, CstPool *to, const CstVolMove *how,
                      CstTask *task, GError **error)
{
    return fake_changed(error);
}

GPtrArray *cst_pool_protected(CstPool *pool, GError **error)
{
    return fake_works(error) ? g_ptr_array_new_with_free_func(g_free) : NULL;
}

gboolean cst_vol_serve(CstPool *pool, const char *name, const CstVolServe *how, CstTask *task,
                       GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_sparsify(CstPool *pool, const char *name, CstTask *task, uint64_t *ret_given_back,
                          GError **error)
{
    *ret_given_back = 0;
    return fake_changed(error);
}

GPtrArray *cst_vol_chain(CstPool *pool, const char *name, GError **error)
{
    GPtrArray *rows;

    if (!fake_works(error))
        return NULL;
    rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_chain_row_free);
    for (guint i = 0; i < fake_rows(1); i++) {
        CstChainRow *row = g_new0(CstChainRow, 1);

        row->self = i == 0;
        row->name = g_strdup(name);
        g_ptr_array_add(rows, row);
    }
    return rows;
}

GPtrArray *cst_vol_holders(CstPool *pool, const char *name, GError **error)
{
    GPtrArray *holders;

    if (!fake_works(error))
        return NULL;
    holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_holder_free);
    for (guint i = 0; i < fake_rows(0); i++) {
        CstVolHolder *holder = g_new0(CstVolHolder, 1);

        holder->what = g_strdup("a process");
        g_ptr_array_add(holders, holder);
    }
    return holders;
}

GPtrArray *cst_pool_vols_holders(CstPool *pool, const char *const *names, guint count,
                                 CstTask *task, GError **error)
{
    GPtrArray *lists;

    if (!fake_works(error))
        return NULL;
    lists = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    for (guint i = 0; i < count; i++)
        g_ptr_array_add(lists, cst_vol_holders(pool, names[i], NULL));
    return lists;
}

GPtrArray *cst_vol_domains(CstPool *pool, const char *name, CstTask *task, GError **error)
{
    GPtrArray *disks;

    if (!fake_works(error))
        return NULL;
    disks = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    for (guint i = 0; i < fake_rows(0); i++)
        g_ptr_array_add(disks, g_new0(CstDomainDisk, 1));
    return disks;
}

GPtrArray *cst_service_domains(CstService *service, const char *name, CstTask *task, GError **error)
{
    GPtrArray *domains;

    if (!fake_works(error))
        return NULL;
    domains = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_free);
    for (guint i = 0; i < fake_rows(0); i++)
        g_ptr_array_add(domains, cst_domain_new());
    return domains;
}

gboolean cst_vol_convert(CstPool *pool, CstPool *source_pool, const char *source,
                         const CstVolConvert *how, CstTask *task, GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_convert_live(CstPool *pool, CstPool *source_pool, const char *source,
                              const CstVolConvert *how, CstLiveSnapshots *live, CstTask *task,
                              GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_rebase(CstPool *pool, const char *name, const CstVolRebase *how, CstTask *task,
                        GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_declare(CstPool *pool, const char *name, const CstVolDeclare *how, CstTask *task,
                         GError **error)
{
    return fake_changed(error);
}

GPtrArray *cst_vol_problems(CstPool *pool, const char *name, GError **error)
{
    GPtrArray *problems;

    if (!fake_works(error))
        return NULL;
    problems = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < fake_rows(1); i++)
        g_ptr_array_add(problems, g_strdup("its backing store is missing"));
    return problems;
}

gboolean cst_pool_get_follow(CstPool *pool, CstFollow *ret_follow, GError **error)
{
    *ret_follow = CST_FOLLOW_NONE;
    return fake_works(error);
}

gboolean cst_pool_set_follow(CstPool *pool, CstFollow follow, GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_compare(CstPool *pool, const char *name, CstPool *other_pool,
                         const char *other_name, CstTask *task, CstCompareReport *ret_report,
                         GError **error)
{
    *ret_report = (CstCompareReport){.same = TRUE, .sizes_same = TRUE};
    return fake_works(error);
}

gboolean cst_vol_measure(CstPool *pool, const char *name, const char *format, const char *options,
                         CstTask *task, CstMeasureReport *ret_report, GError **error)
{
    *ret_report = (CstMeasureReport){0};
    return fake_works(error);
}

CstVolMap *cst_vol_map(CstPool *pool, const char *name, uint64_t start, guint limit, CstTask *task,
                       GError **error)
{
    return fake_works(error) ? cst_vol_map_new() : NULL;
}

gboolean cst_vol_bitmap(CstPool *pool, const char *name, const CstBitmapChange *change,
                        CstPool *source_pool, const char *source, CstTask *task, GError **error)
{
    return fake_changed(error);
}
