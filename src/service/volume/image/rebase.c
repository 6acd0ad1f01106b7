/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes or removes the base of a volume. The guest-visible content is the same at every point in
 * time. The chains of the volume and of its new base are claimed together
 * (image_chain_open_pair()), the new base and its backing chain for reading.
 *
 * A running rebase is a link between volumes that no table contains yet. Therefore the service has
 * a list of running rebases. If two of them would create a loop and wait for each other forever,
 * the later one is refused. The tables' lock guards that list. The entry is removed after the
 * rescan of the volume, when the tables contain the new link.
 */
#include <service/images.h>

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <image/rebase.h>

#include "core/copy_turn.h"
#include "core/job.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/trust.h"
#include "core/trust_device.h"
#include "dependency/chain.h"
#include "dependency/depth.h"
#include "image_chain.h"
#include "volume/create/plan.h"
#include "volume/declare.h"

/* --- loops ------------------------------------------------------------------------------------ */

/* A running rebase of the volume onto the base. */
struct Rebasing {
    CstPool *pool, *base_pool; /* referenced */
    char *name, *base;
};

static Rebasing *rebasing_new(CstPool *pool, const char *name, CstPool *base_pool, const char *base)
{
    Rebasing *rebasing = g_new0(Rebasing, 1);

    *rebasing =
        (Rebasing){cst_pool_ref(pool), cst_pool_ref(base_pool), g_strdup(name), g_strdup(base)};
    return rebasing;
}

static void rebasing_free(Rebasing *rebasing)
{
    cst_pool_unref(rebasing->pool);
    cst_pool_unref(rebasing->base_pool);
    g_free(rebasing->name);
    g_free(rebasing->base);
    g_free(rebasing);
}

/*
 * A rebase in the service's list, until enlisted_clear(). At that time the chains are closed, and
 * the tables contain the result.
 */
typedef struct {
    CstService *service;
    Rebasing *own;
    GPtrArray *earlier; /* copies of the rebases that began earlier */
} Enlisted;

static void enlisted_clear(Enlisted *enlisted)
{
    if (!enlisted->service)
        return;
    g_mutex_lock(&enlisted->service->tables);
    g_ptr_array_remove(enlisted->service->rebases, enlisted->own);
    g_mutex_unlock(&enlisted->service->tables);
    rebasing_free(enlisted->own);
    g_ptr_array_unref(enlisted->earlier);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Enlisted, enlisted_clear)

/*
 * Adds the entry and copies the list under one lock, so that exactly one of two concurrent rebases
 * sees the other as earlier.
 */
static void overlay_enlist(Enlisted *enlisted, CstPool *pool, const char *name, CstPool *base_pool,
                           const char *base)
{
    CstService *service = pool->service;

    enlisted->service = service;
    enlisted->own = rebasing_new(pool, name, base_pool, base);
    enlisted->earlier = g_ptr_array_new_with_free_func((GDestroyNotify)rebasing_free);
    g_mutex_lock(&service->tables);
    for (guint i = 0; i < service->rebases->len; i++) {
        const Rebasing *one = g_ptr_array_index(service->rebases, i);

        g_ptr_array_add(enlisted->earlier,
                        rebasing_new(one->pool, one->name, one->base_pool, one->base));
    }
    g_ptr_array_add(service->rebases, enlisted->own);
    g_mutex_unlock(&service->tables);
}

/*
 * *ret_leads: @from is based on the volume, now or after the earlier rebases. @steps bounds the
 * number of followed rebases; a longer path counts as a loop.
 */
static gboolean leads_to(const Enlisted *enlisted, CstPool *from, const char *from_name,
                         guint steps, gboolean *ret_leads, GError **error)
{
    g_autoptr(GPtrArray) nodes = volume_backing_chain(from, from_name, error);

    if (!nodes)
        return FALSE;
    *ret_leads = steps == 0 || volume_nodes_have(nodes, enlisted->own->pool, enlisted->own->name);
    for (guint i = 0; !*ret_leads && i < enlisted->earlier->len; i++) {
        const Rebasing *one = g_ptr_array_index(enlisted->earlier, i);

        if (volume_nodes_have(nodes, one->pool, one->name) &&
            !leads_to(enlisted, one->base_pool, one->base, steps - 1, ret_leads, error))
            return FALSE;
    }
    return TRUE;
}

#define STEPS_MAX 16

/*
 * Fails if the rebase would create a loop, including a volume based on itself: the chain begins
 * with it.
 */
static gboolean check_no_ring(const Enlisted *enlisted, GError **error)
{
    const Rebasing *own = enlisted->own;
    gboolean leads;

    if (!leads_to(enlisted, own->base_pool, own->base, STEPS_MAX, &leads, error))
        return FALSE;
    if (!leads)
        return TRUE;
    if (own->pool == own->base_pool && strcmp(own->name, own->base) == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' can't be based on itself"),
                        own->name);
    return cst_fail(error, CST_ERROR_INVALID,
                    _("volume '%s' can't be based on '%s', which is based on it"), own->name,
                    own->base);
}

/* --- rebase ----------------------------------------------------------------------------------- */

typedef struct {
    CstPool *pool, *base_pool; /* base_pool NULL: without a base */
    const char *name;
    char *base;
    char *format; /* of the base */
    const CstVolRebase *how;
    CstTask *task;
} Rebase;

static void vol_rebase_clear(Rebase *rebase)
{
    g_clear_pointer(&rebase->base_pool, cst_pool_unref);
    g_clear_pointer(&rebase->base, g_free);
    g_clear_pointer(&rebase->format, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rebase, vol_rebase_clear)

/* Fails with LIMIT if the new base makes a chain too deep. */
static gboolean rebase_check_depth(const Rebase *rebase, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(rebase->pool, error);
    g_autofree char *path = state ? cst_pool_state_vol_path(state, rebase->name) : NULL;

    return path &&
           chain_check_change(rebase->pool, rebase->name, path, rebase->how->backing, error);
}

/* The check of a rebase that reads two chains. @data is an array of both. */
static gboolean rebase_check_chains(gpointer data, GError **error)
{
    ImageChain *const *chains = data;

    return image_chain_is_as_before(chains[0], error) && image_chain_is_as_before(chains[1], error);
}

/* Uses the base's own format. CONFIG if the caller has specified another one. */
static gboolean take_format(Rebase *rebase, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(rebase->base_pool, error);
    g_autoptr(CstVolume) base =
        state ? pool_volume_now(rebase->base_pool, state, rebase->base, error) : NULL;
    const char *format;

    rebase->format = g_strdup(rebase->how->backing_format);
    return base && trust_check_header(base, error) &&
           trust_content_format(rebase->base_pool, state, base, &format, error) &&
           volume_base_format(format, rebase->how->backing, &rebase->format, error);
}

static gboolean rebase_find_base(Rebase *rebase, GError **error)
{
    const CstVolRebase *how = rebase->how;
    g_autoptr(GError) why = NULL;

    if (!how->backing)
        return TRUE;
    if (how->backing_format && !cst_image_format_find(how->backing_format, error))
        return FALSE;
    /* QEMU reads the reference as well, so it must be a path. */
    if (!g_path_is_absolute(how->backing))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' can't be based on '%s', which has no path"), rebase->name,
                        how->backing);
    if (!cst_service_volume_by_path(rebase->pool->service, how->backing, &rebase->base_pool,
                                    &rebase->base, &why)) {
        if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
            return cst_fail(error, CST_ERROR_NOT_FOUND,
                            _("volume '%s' can't be based on '%s', which is no volume of an active "
                              "pool; define and start a pool that holds it"),
                            rebase->name, how->backing);
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return take_format(rebase, error);
}

static gboolean rebase_change_image(ImageChain *chain, const CstImageRebase *how, CstTask *task,
                                    GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);

    if (how->backing && link->volume->type != CST_VOL_FILE)
        return cst_fail(
            error, CST_ERROR_UNSUPPORTED,
            _("volume '%s' is no file, and references of images on devices are not followed"),
            link->claim.name);
    if (!image_chain_backing_not_kept(chain, 1, error))
        return FALSE;
    CST_CRASH_POINT("vol.rebase.opened");
    if (!cst_chain_rebase(chain->chain, how, task, error))
        return FALSE;
    CST_CRASH_POINT("vol.rebase.rebased");
    trust_note_backing(&link->claim, how->backing, how->backing_format);
    return TRUE;
}

/*
 * Removes the base, for which the present chain is read, or rebases without comparing content
 * (unsafe), for which only the volume is opened.
 */
static gboolean rebase_alone(const Rebase *rebase, CstImageRebase *how, GError **error)
{
    g_auto(ImageChain)
        chain = {.task = rebase->task, .write = TRUE, .alone = how->unsafe, .at_rest = TRUE};

    if (!image_chain_open(&chain, rebase->pool, rebase->name, error))
        return FALSE;
    cst_chain_set_check(chain.chain, image_chain_check, &chain);
    return rebase_change_image(&chain, how, rebase->task, error);
}

/*
 * Rebases onto the new base. The engine compares the guest-visible content of the new base with
 * that of the old backing file. It writes the differences into the volume before it changes the
 * reference (cst_chain_rebase()).
 */
static gboolean rebase_upon(const Rebase *rebase, CstImageRebase *how, GError **error)
{
    g_auto(ImageChain) chain = {.task = rebase->task, .write = TRUE, .at_rest = TRUE};
    g_auto(ImageChain)
        below = {.task = rebase->task, .format = how->backing_format, .at_rest = TRUE};
    ImageChain *const chains[] = {&chain, &below};

    if (!image_chain_open_pair(&chain, rebase->pool, rebase->name, &below, rebase->base_pool,
                               rebase->base, error))
        return FALSE;
    how->guest = image_chain_guest(&below, NULL, error);
    cst_chain_set_check(chain.chain, rebase_check_chains, (gpointer)chains);
    return how->guest && rebase_change_image(&chain, how, rebase->task, error);
}

static gboolean rebase_volume(CstPool *pool, const char *name, const CstVolRebase *how,
                              CstTask *task, GError **error)
{
    g_auto(Rebase) rebase = {.pool = pool, .name = name, .how = how, .task = task};
    g_auto(Enlisted) enlisted = {0};
    CstImageRebase image = {.backing = how->backing,
                            .unsafe = (how->flags & CST_VOL_REBASE_UNSAFE) != 0};

    if (!cst_flags_check(how->flags, CST_VOL_REBASE_UNSAFE, "storageVolRebase", error) ||
        !rebase_find_base(&rebase, error))
        return FALSE;
    image.backing_format = rebase.format;
    if (rebase.base) {
        overlay_enlist(&enlisted, pool, name, rebase.base_pool, rebase.base);
        if (!check_no_ring(&enlisted, error) || !rebase_check_depth(&rebase, error))
            return FALSE;
    }
    return rebase.base && !image.unsafe ? rebase_upon(&rebase, &image, error)
                                        : rebase_alone(&rebase, &image, error);
}

gboolean cst_vol_rebase(CstPool *pool, const char *name, const CstVolRebase *how, CstTask *task,
                        GError **error)
{
    g_auto(Job) job = {0};
    g_auto(CopyTurn) turn = {0};
    const uint32_t depth = chain_depth_now(pool, name);
    gboolean done;

    job_begin(&job, pool, "rebase", name, &task);
    copy_turn_offer(&turn, pool, task);
    done = rebase_volume(pool, name, how, task, error);
    if (done)
        chain_record_change(pool, name, depth);
    return job_end(&job, done, error);
}
