/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Read-only reports on the guest-visible content of volumes: compare, measure, map. The whole chain
 * of a volume is claimed for reading. Images that a guest writes to are accepted; the report then
 * mixes several points in time.
 */
#include <service/images.h>

#include <base/error.h>
#include <image/compare.h>
#include <image/map.h>
#include <image/measure.h>

#include "core/job.h"
#include "image_chain.h"
#include "volume/create/plan.h"

/* --- compare ---------------------------------------------------------------------------------- */

/* The chains are opened as a pair, because they may share volumes (image_chain_open_pair()). */
static gboolean compare_volumes(CstPool *pool, const char *name, CstPool *other_pool,
                                const char *other_name, CstTask *task, CstCompareReport *ret_report,
                                GError **error)
{
    g_auto(ImageChain) chain = {.task = task};
    g_auto(ImageChain) other = {.task = task};
    CstDifference difference;
    CstBlob *a, *b;

    if (!image_chain_open_pair(&chain, pool, name, &other, other_pool, other_name, error))
        return FALSE;
    a = image_chain_guest(&chain, NULL, error);
    b = a ? image_chain_guest(&other, NULL, error) : NULL;
    if (!b || !cst_image_compare(a, b, &difference, task, error))
        return FALSE;
    *ret_report = (CstCompareReport){
        .same = difference.same, .sizes_same = difference.sizes_same, .offset = difference.offset};
    return TRUE;
}

gboolean cst_vol_compare(CstPool *pool, const char *name, CstPool *other_pool,
                         const char *other_name, CstTask *task, CstCompareReport *ret_report,
                         GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "compare", name, &task);
    return job_end(
        &job, compare_volumes(pool, name, other_pool, other_name, task, ret_report, error), error);
}

/* --- measure ---------------------------------------------------------------------------------- */

static gboolean measure_volume(CstPool *pool, const char *name, const char *format,
                               const char *options, CstTask *task, CstMeasureReport *ret_report,
                               GError **error)
{
    g_auto(ImageChain) chain = {.task = task};
    g_auto(CstImageOptions) how = {0};
    const CstImageFormat *target;
    CstImageMeasure measure;
    CstBlob *guest;

    if (!volume_copy_options(format, options, &target, &how, error) ||
        !image_chain_open(&chain, pool, name, error))
        return FALSE;
    guest = image_chain_guest(&chain, NULL, error);
    if (!guest || !cst_image_measure(target, &how.create, guest, &measure, task, error))
        return FALSE;
    *ret_report = (CstMeasureReport){.required = measure.required,
                                     .fully_allocated = measure.fully_allocated};
    return TRUE;
}

gboolean cst_vol_measure(CstPool *pool, const char *name, const char *format, const char *options,
                         CstTask *task, CstMeasureReport *ret_report, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "measure", name, &task);
    return job_end(&job, measure_volume(pool, name, format, options, task, ret_report, error),
                   error);
}

/* --- map -------------------------------------------------------------------------------------- */

/* A page of a map, and its maximal size. */
typedef struct {
    CstVolMap *map;
    guint limit;
} Page;

/* Implements CstMapFunc. The error stops the walk, and is not returned to the caller. */
static gboolean map_page_add_run(const CstMapRun *run, gpointer data, GError **error)
{
    Page *page = data;
    const CstVolMapRun row = CST_VOL_MAP_RUN(run);

    if (page->map->runs->len == page->limit) {
        page->map->more = TRUE;
        return cst_fail(error, CST_ERROR_LIMIT, "the page is full");
    }
    g_array_append_val(page->map->runs, row);
    return TRUE;
}

/* At the limit the walk ends with an error. map->more distinguishes it from a real error. */
static CstVolMap *map_volume(CstPool *pool, const char *name, uint64_t start, guint limit,
                             CstTask *task, GError **error)
{
    g_auto(ImageChain) chain = {.task = task};
    g_autoptr(CstVolMap) map = cst_vol_map_new();
    g_autoptr(GError) why = NULL;
    Page page = {map, limit > 0 ? MIN(limit, CST_VOL_MAP_PAGE) : CST_VOL_MAP_PAGE};

    if (!image_chain_open(&chain, pool, name, error))
        return NULL;
    if (!cst_chain_map_range(chain.chain, start, UINT64_MAX, map_page_add_run, &page, task, &why) &&
        !map->more) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    /* The depth of a run is an index into these paths. */
    for (guint i = 0; i < chain.links->len; i++)
        g_ptr_array_add(map->files, g_strdup(image_chain_link(&chain, i)->path));
    return g_steal_pointer(&map);
}

CstVolMap *cst_vol_map(CstPool *pool, const char *name, uint64_t start, guint limit, CstTask *task,
                       GError **error)
{
    g_auto(Job) job = {0};
    CstVolMap *map;

    job_begin(&job, pool, "map", name, &task);
    map = map_volume(pool, name, start, limit, task, error);
    return job_end(&job, map != NULL, error) ? map : NULL;
}
