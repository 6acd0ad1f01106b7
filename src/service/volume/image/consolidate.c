/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Merges a run of layers of a backing chain into the volume on top.
 *
 *   plan    opens the chain for reading, and finds the layer that stays as the base
 *   merge   opens the chain again with the volume for writing. The image engine copies the data of
 *           the layers between, and then changes the reference of the volume in one step. If a
 *           running domain has the volume as its disk, QEMU does both (a block pull of libvirt with
 *           a base)
 *   delete  the layers without a user, from the top down, if the caller wants that
 *
 * Between plan and merge no claim is held, so the merge finds the base again by its path. The
 * layers are only read, because other volumes may be based on them.
 *
 * The content of the volume is the same at every point in time, and a repetition continues. The
 * record for the resumption has the parameters of the caller until the plan is made, and then the
 * path of the base and the names of the layers to delete:
 *
 *   FLAGS KEEP LAYER/LAYER//BASE      no name has a '/'; the list and the base may be empty
 *
 * The list ends before the first name that does not fit. A deleted layer leaves the list.
 *
 * A resumption after the change of the reference finds no layer between. The change may have come
 * before its declaration, which is completed first. Then the resumption follows the references from
 * the first layer of the list that exists to the base, and deletes the layers without a user.
 * Layers that are left by an embedded process stay.
 */
#include "consolidate.h"

#include <service/chains.h>

#include <stdio.h>
#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <image/consolidate.h>
#include <service/volumes.h>

#include "core/copy_turn.h"
#include "core/domains.h"
#include "core/job.h"
#include "core/scan.h"
#include "core/table.h"
#include "core/trust.h"
#include "dependency/dependents.h"
#include "dependency/depth.h"
#include "dependency/guard.h"
#include "image_chain.h"
#include "volume/declare.h"
#include "volume/running/commit.h"
#include "volume/running/job.h"

#define RELEASE_US (10 * G_TIME_SPAN_SECOND)
#define POLL_US    (50 * G_TIME_SPAN_MILLISECOND)

typedef struct {
    CstPool *pool;
    const char *name;
    const CstVolConsolidate *how;
    CstTask *task;
    char *base;        /* path of the layer that stays; NULL: no layer is merged */
    GPtrArray *merged; /* of MergedVolume * */
    char **left;       /* names of layers that an interrupted job has merged; NULL: no resumption */
    Job *job;          /* NULL: only a plan */
    /* Until then, QEMU may still have a merged layer open (monotonic); 0: no domain had it. */
    gint64 release_until;
    CstConsolidation *ret;
} Consolidate;

/* A layer between the volume and the base. */
typedef struct {
    CstPool *pool; /* a reference; NULL: a file in no active pool */
    char *name, *path;
} MergedVolume;

static void merged_volume_free(gpointer data)
{
    MergedVolume *merged = data;

    g_clear_pointer(&merged->pool, cst_pool_unref);
    g_free(merged->name);
    g_free(merged->path);
    g_free(merged);
}

static void consolidate_clear(Consolidate *work)
{
    g_clear_pointer(&work->base, g_free);
    g_clear_pointer(&work->left, g_strfreev);
    g_clear_pointer(&work->merged, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Consolidate, consolidate_clear)

/* --- the plan --------------------------------------------------------------------------------- */

static char *layer_shown(const ImageLink *link)
{
    return link->claim.pool
               ? g_strconcat(cst_pool_name(link->claim.pool), "/", link->claim.name, NULL)
               : g_strdup(link->path);
}

/* Sets *ret_index to the index of the layer that stays; below 2: no layer is merged. */
static gboolean find_base(const Consolidate *work, const ImageChain *chain, guint *ret_index,
                          GError **error)
{
    const guint keep = work->how->keep ? work->how->keep : CST_CONSOLIDATE_KEEP;
    const char *base = work->how->base;
    const guint length = chain->links->len;

    if (keep < CST_CONSOLIDATE_KEEP)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a chain of volume '%s' with one image needs no backing file; copy its "
                          "whole content (vol-flatten)"),
                        work->name);
    *ret_index = length > keep ? length - keep + 1 : 0;
    /* Another volume is not allowed to refer to a file outside of all pools. */
    while (!base && *ret_index >= 2 && !image_chain_link(chain, *ret_index)->claim.pool)
        (*ret_index)--;
    if (!base)
        return TRUE;
    for (guint i = 1; i < length; i++) {
        const ImageLink *link = image_chain_link(chain, i);

        if (strcmp(link->volume->name, base) == 0 || g_strcmp0(link->path, base) == 0) {
            *ret_index = i;
            return TRUE;
        }
    }
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("volume '%s' is not based on '%s'"), work->name,
                    base);
}

/* Whether the change of the reference is possible. */
static gboolean check_reference(const ImageChain *chain, guint base, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0), *below = image_chain_link(chain, base);

    if (!below->claim.pool)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' can't be based on '%s', which is no volume of an active "
                          "pool; define and start a pool that holds it"),
                        link->claim.name, below->path);
    if (link->volume->type != CST_VOL_FILE)
        return cst_fail(
            error, CST_ERROR_UNSUPPORTED,
            _("volume '%s' is no file, and references of images on devices are not followed"),
            link->claim.name);
    return cst_chain_check_consolidate(chain->chain, base, error) &&
           image_chain_backing_not_kept(chain, 1, error);
}

/*
 * Computes the bytes to copy. QEMU may change the tables of the volume during the reading. The
 * allocation of the layers is the most that can be copied then.
 */
static gboolean measure(const Consolidate *work, const ImageChain *chain, guint base,
                        uint64_t *ret_bytes, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (cst_chain_measure_consolidate(chain->chain, base, work->task, ret_bytes, &why))
        return TRUE;
    if (!volume_content_is_odd(why)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    *ret_bytes = 0;
    for (guint i = 1; i < base; i++)
        *ret_bytes += image_chain_link(chain, i)->volume->allocation;
    return TRUE;
}

/* @pool NULL: the file at @path is in no active pool. Consumes @shown. */
static void keep_layer(Consolidate *work, CstPool *pool, const char *name, const char *path,
                       char *shown)
{
    MergedVolume *merged = g_new0(MergedVolume, 1);
    CstMergedLayer *layer = g_new0(CstMergedLayer, 1);

    *merged = (MergedVolume){pool ? cst_pool_ref(pool) : NULL, g_strdup(name), g_strdup(path)};
    g_ptr_array_add(work->merged, merged);
    layer->name = shown;
    g_ptr_array_add(work->ret->layers, layer);
}

static void keep_layers(Consolidate *work, const ImageChain *chain, guint base)
{
    for (guint i = 1; i < base; i++) {
        const ImageLink *link = image_chain_link(chain, i);

        keep_layer(work, link->claim.pool, link->claim.name, link->path, layer_shown(link));
    }
    work->ret->base = layer_shown(image_chain_link(chain, base));
}

/* Finds the base and the layers between, and closes the chain again. */
static gboolean consolidate_plan(Consolidate *work, GError **error)
{
    g_auto(ImageChain) chain = {.task = work->task};
    guint base;

    work->merged = g_ptr_array_new_with_free_func(merged_volume_free);
    work->ret->layers = g_ptr_array_new_with_free_func((GDestroyNotify)cst_merged_layer_free);
    if (!image_chain_open(&chain, work->pool, work->name, error) ||
        !find_base(work, &chain, &base, error))
        return FALSE;
    work->ret->depth = chain.links->len;
    if (base < 2)
        return TRUE;
    work->ret->depth -= base - 1;
    work->base = g_strdup(image_chain_link(&chain, base)->path);
    keep_layers(work, &chain, base);
    return check_reference(&chain, base, error) &&
           measure(work, &chain, base, &work->ret->bytes, error);
}

/* --- the merge -------------------------------------------------------------------------------- */

/* Finds the base of the plan in the chain that is open for the merge. */
static gboolean find_base_again(const Consolidate *work, const ImageChain *chain, guint *ret_index,
                                GError **error)
{
    for (guint i = 2; i < chain->links->len; i++)
        if (g_strcmp0(image_chain_link(chain, i)->path, work->base) == 0) {
            *ret_index = i;
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_STATE,
                    _("the backing chain of volume '%s' changed during the operation"), work->name);
}

/* libvirt reports success by the definition of the domain, so the header is read, too. */
static gboolean check_header(const ImageLink *link, const char *former, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(link->volume->format, error);
    g_auto(CstImageInfo) info = {0};

    if (!format || !cst_image_inspect(link->blob, format, &info, error))
        return FALSE;
    return g_strcmp0(info.backing, former) != 0 ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("libvirt claims to have merged the layers of volume '%s', but the image "
                      "still refers to its former backing file"),
                    link->claim.name);
}

/* The definition of a transient domain need not change: the image keeps its name. */
static gboolean merge_in_domain(const ImageChain *chain, guint base, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0), *below = image_chain_link(chain, base);
    g_autofree char *former = g_strdup(cst_chain_info(chain->chain, 0)->backing);
    CstHypervisorJobRequest request = {.kind = CST_HYPERVISOR_JOB_PULL, .transient = TRUE};
    CstHypervisorVolume volume;
    CstHypervisorPivot pivot;
    CstHypervisorJob *job;

    volume = volume_domain_identity(&below->claim);
    request.base = &volume;
    if (!cst_may_change(error))
        return FALSE;
    job = running_job_start(&link->claim, chain->disk, &request, &pivot, error);
    if (!job)
        return FALSE;
    cst_hypervisor_job_end(job);
    return check_header(link, former, error);
}

static gboolean merge_in_engine(ImageChain *chain, const CstConsolidate *how, CstTask *task,
                                GError **error)
{
    cst_chain_set_check(chain->chain, image_chain_check, chain);
    return cst_chain_consolidate(chain->chain, how, task, error);
}

static gboolean consolidate_merge(Consolidate *work, GError **error)
{
    g_auto(ImageChain)
        chain = {.task = work->task, .write = TRUE, .at_rest = TRUE, .with_domain = TRUE};
    CstConsolidate how;

    if (!image_chain_open(&chain, work->pool, work->name, error) ||
        !find_base_again(work, &chain, &how.base, error) ||
        !check_reference(&chain, how.base, error))
        return FALSE;
    for (guint i = 0; i < how.base; i++)
        if (image_chain_link(&chain, i)->claim.pool &&
            !running_commit_is_settled(&image_chain_link(&chain, i)->claim, error))
            return FALSE;
    how.backing = work->base;
    how.backing_format = image_chain_link(&chain, how.base)->volume->format;
    CST_CRASH_POINT("vol.consolidate.opened");
    if (chain.disk ? !merge_in_domain(&chain, how.base, error)
                   : !merge_in_engine(&chain, &how, work->task, error))
        return FALSE;
    CST_CRASH_POINT("vol.consolidate.merged");
    if (chain.disk)
        work->release_until = g_get_monotonic_time() + RELEASE_US;
    trust_note_backing(&image_chain_link(&chain, 0)->claim, how.backing, how.backing_format);
    return TRUE;
}

/* --- the record for the resumption ------------------------------------------------------------ */

/* Returns the names of the layers to delete, without the first @deleted ones; may be empty. */
static GPtrArray *record_names(const Consolidate *work, guint deleted)
{
    GPtrArray *names = g_ptr_array_new();

    if (!work->merged || work->merged->len == 0) {
        for (char **name = work->left; name && *name; name++)
            g_ptr_array_add(names, *name);
        return names;
    }
    for (guint i = deleted; work->how->flags & CST_CONSOLIDATE_DELETE && i < work->merged->len;
         i++) {
        const MergedVolume *merged = g_ptr_array_index(work->merged, i);

        if (merged->pool != work->pool)
            break;
        g_ptr_array_add(names, merged->name);
    }
    return names;
}

/* Records the parameters of the caller, or the plan. Fails with LIMIT if the base does not fit. */
static gboolean consolidate_record(const Consolidate *work, guint deleted, GError **error)
{
    const char *base = work->base ? work->base : work->how->base ? work->how->base : "";
    g_autoptr(GPtrArray) names = record_names(work, deleted);
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint i = 0; i < names->len; i++)
        g_string_append_printf(list, "%s%s", i > 0 ? "/" : "",
                               (const char *)g_ptr_array_index(names, i));
    while (!job_may_resume(work->job, work->pool, "%u %u %s//%s", work->how->flags, work->how->keep,
                           list->str, base)) {
        const char *last = strrchr(list->str, '/');

        if (list->len == 0)
            return job_fail_resume(work->name, base, error);
        g_string_truncate(list, last ? (gsize)(last - list->str) : 0);
    }
    return TRUE;
}

/* --- layers without a user -------------------------------------------------------------------- */

/*
 * Finds the layers that no image uses, except the layers above that are not used either. @done: the
 * volume itself is not based on the first layer any more.
 */
static void judge_layers(const Consolidate *work, gboolean done)
{
    gboolean is_unused = TRUE;

    for (guint i = 0; i < work->merged->len; i++) {
        const MergedVolume *merged = g_ptr_array_index(work->merged, i);
        CstMergedLayer *layer = g_ptr_array_index(work->ret->layers, i);
        g_autoptr(GError) why = NULL;
        g_autoptr(GPtrArray) overlays =
            merged->pool ? volume_overlays(merged->pool, merged->path, &why) : NULL;
        const guint own = i > 0 || !done ? 1 : 0;

        if (!merged->pool)
            layer->problem = g_strdup(_("it is in no active pool"));
        else if (!overlays)
            layer->problem = g_strdup(why->message);
        is_unused = is_unused && overlays && overlays->len <= own;
        layer->state = is_unused ? CST_LAYER_UNUSED : CST_LAYER_USED;
    }
}

static gboolean layer_is_released(const Consolidate *work, const MergedVolume *merged)
{
    g_auto(VolumeClaim) claim = {.task = work->task};

    return !volume_claim(&claim, merged->pool, merged->name, CLAIM_READ, NULL) ||
           volume_not_open(&claim, NULL);
}

/*
 * Waits until QEMU has closed a layer that a running domain had. All layers have one limit of time.
 * No claim is held during the pauses. Fails if the task is cancelled.
 */
static gboolean layer_await_release(const Consolidate *work, const MergedVolume *merged,
                                    GError **error)
{
    while (cst_task_check(work->task, error)) {
        if (g_get_monotonic_time() >= work->release_until || layer_is_released(work, merged))
            return TRUE;
        g_usleep(POLL_US);
    }
    return FALSE;
}

/*
 * A layer in another pool stays, because its owner decides about it. The merge is done, so a cancel
 * is a problem of the layer.
 */
static void delete_layers(const Consolidate *work)
{
    for (guint i = 0; i < work->merged->len; i++) {
        const MergedVolume *merged = g_ptr_array_index(work->merged, i);
        CstMergedLayer *layer = g_ptr_array_index(work->ret->layers, i);
        g_autoptr(GError) why = NULL;

        if (layer->state != CST_LAYER_UNUSED || merged->pool != work->pool)
            return;
        if (!consolidate_record(work, i, NULL))
            return;
        CST_TEST_POINT("consolidate.delete");
        if (!layer_await_release(work, merged, &why) ||
            !cst_vol_delete(merged->pool, merged->name, 0, NULL, &why)) {
            layer->problem = g_strdup(why->message);
            return;
        }
        layer->state = CST_LAYER_DELETED;
    }
}

/* --- the operation ---------------------------------------------------------------------------- */

/* Returns the path of the first layer of the list that exists; NULL: all of them are deleted. */
static char *find_left_layer(const Consolidate *work)
{
    g_autoptr(CstPoolState) state = pool_state_get(work->pool, NULL);

    for (char **name = work->left; state && *name; name++) {
        g_autoptr(CstVolume) volume = pool_volume(work->pool, state, *name, NULL);

        if (volume)
            return cst_pool_state_vol_path(state, *name);
    }
    return NULL;
}

/*
 * Finds the layers that an interrupted job has merged. A layer that was changed after the
 * interruption, or made anew under the name, stays with the layers below it.
 */
static void keep_left_layers(Consolidate *work)
{
    g_autofree char *path = find_left_layer(work);

    while (path && g_strcmp0(path, work->how->base) != 0 && work->merged->len < CST_CHAINS_MAX) {
        g_autoptr(CstPool) pool = NULL;
        g_autoptr(CstPoolState) state = pool_state_get(work->pool, NULL);
        g_autoptr(CstVolume) volume = NULL;
        g_autofree char *name = NULL;

        if (!state || !cst_service_volume_by_path(work->pool->service, path, &pool, &name, NULL) ||
            pool != work->pool)
            return;
        volume = pool_volume(pool, state, name, NULL);
        if (!volume || !trust_has_backing(volume) || !job_left_alone(work->job, volume, NULL))
            return;
        keep_layer(work, pool, name, path, g_strconcat(cst_pool_name(pool), "/", name, NULL));
        g_free(path);
        path = g_strdup(volume->extra->backing_path);
    }
}

/*
 * Completes the declaration of a reference that an interrupted job has changed. A volume that was
 * changed since then keeps its declarations, and its layers stay.
 */
static gboolean consolidate_complete(Consolidate *work, GError **error)
{
    g_auto(VolumeClaim) claim = {.task = work->task};
    g_autoptr(CstVolume) volume = NULL;
    const char *base = work->how->base;

    if (!volume_claim_now(&claim, work->pool, work->name, CLAIM_WRITE, &volume, error))
        return FALSE;
    if (!job_left_alone(work->job, volume, NULL))
        g_clear_pointer(&work->left, g_strfreev);
    else if (volume->extra && base && g_strcmp0(volume->extra->backing_path, base) == 0 &&
             volume->extra->backing_trust == CST_TRUST_NONE)
        trust_note_backing(&claim, base, volume->extra->backing_format);
    return TRUE;
}

static gboolean consolidate_volume(Consolidate *work, GError **error)
{
    const uint32_t depth = chain_depth_now(work->pool, work->name);

    if (!consolidate_record(work, 0, error) || (work->left && !consolidate_complete(work, error)) ||
        !consolidate_plan(work, error))
        return FALSE;
    if (!work->base && !cst_may_change(error))
        return FALSE;
    if (work->base) {
        if (!consolidate_record(work, 0, error) || !consolidate_merge(work, error))
            return FALSE;
        chain_record_change(work->pool, work->name, depth);
    } else if (work->left) {
        keep_left_layers(work);
    }
    judge_layers(work, TRUE);
    if (work->how->flags & CST_CONSOLIDATE_DELETE)
        delete_layers(work);
    return TRUE;
}

/* @left: see Consolidate; the caller frees it. */
static gboolean consolidate_run(CstPool *pool, const char *name, const CstVolConsolidate *how,
                                char **left, CstTask *task, CstConsolidation *ret, GError **error)
{
    g_auto(Job) job = {0};
    g_auto(CopyTurn) turn = {0};
    g_auto(Consolidate)
        work = {.pool = pool, .name = name, .how = how, .left = g_strdupv(left), .ret = ret};

    if (!cst_flags_check(how->flags, CST_CONSOLIDATE_DELETE, "storageVolConsolidate", error))
        return FALSE;
    job_begin(&job, pool, "consolidate", name, &task);
    work.task = task;
    work.job = &job;
    copy_turn_offer(&turn, pool, task);
    return job_end(&job, consolidate_volume(&work, error), error);
}

gboolean cst_vol_consolidate(CstPool *pool, const char *name, const CstVolConsolidate *how,
                             CstTask *task, CstConsolidation *ret, GError **error)
{
    return consolidate_run(pool, name, how, NULL, task, ret, error);
}

gboolean volume_consolidate_resume(CstPool *pool, const char *name, const char *how, CstTask *task,
                                   GError **error)
{
    g_auto(CstConsolidation) result = {0};
    g_autofree char *list = NULL;
    g_auto(GStrv) left = NULL;
    CstVolConsolidate again = {0};
    const char *base = strstr(how, "//");
    int names = 0;

    if (!base || sscanf(how, "%u %u %n", &again.flags, &again.keep, &names) != 2 || names == 0 ||
        how + names > base)
        return cst_fail(error, CST_ERROR_FAILED, _("the interrupted operation is unknown"));
    list = g_strndup(how + names, base - how - names);
    left = g_strsplit(list, "/", 0);
    again.base = base[2] ? base + 2 : NULL;
    return consolidate_run(pool, name, &again, left, task, &result, error);
}

gboolean cst_vol_consolidate_plan(CstPool *pool, const char *name, const CstVolConsolidate *how,
                                  CstTask *task, CstConsolidation *ret, GError **error)
{
    g_auto(Consolidate) work = {.pool = pool, .name = name, .how = how, .task = task, .ret = ret};

    if (!cst_flags_check(how->flags, CST_CONSOLIDATE_DELETE, "storageVolConsolidate", error) ||
        !consolidate_plan(&work, error))
        return FALSE;
    judge_layers(&work, FALSE);
    return TRUE;
}
