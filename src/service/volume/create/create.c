/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates a volume from its definition. Its backing volume is claimed for reading until the new
 * volume exists, so that it is neither deleted nor changed. The new volume is a transaction
 * (transaction.c): it appears complete, or not at all.
 */
#include <service/volumes.h>

#include <base/flags.h>
#include <blob/steps.h>
#include <image/snapshot.h>
#include <service/snapshots.h>

#include "core/claim.h"
#include "core/job.h"
#include "core/pool.h"
#include "core/trust.h"
#include "plan.h"
#include "transaction.h"
#include "volume/image/image_record.h"

/*
 * As in libvirt, a raw volume gets the requested allocation, which may be smaller than the
 * capacity.
 */
static gboolean allocate_part(CstBlob *blob, const CstVolDef *def, unsigned flags,
                              const VolumePlan *plan, CstTask *task, GError **error)
{
    if (!volume_is_raw(def) || plan->options.preallocation != CST_PREALLOC_OFF ||
        (flags & CST_VOL_CREATE_PREALLOC_OFF) || !def->has_allocation || def->allocation == 0)
        return TRUE;
    return cst_blob_allocate_steps(blob, 0, MIN(def->allocation, def->capacity), task, error);
}

/*
 * Claims the backing volume, so that it stays unchanged until its overlay exists. Completes the
 * definition with the format and size of that volume. If the backing file is not a volume of an
 * active pool, the definition must be complete, and no claim is made. Images in files use the
 * declared content of a device; other devices use its bytes.
 */
static gboolean claim_backing(VolumeClaim *claim, CstPool *owner, CstVolDef *def, GError **error)
{
    gboolean images = cst_pool_type_info(owner->def->type)->volume_formats != NULL;
    g_autoptr(CstPool) pool = NULL;
    g_autofree char *name = NULL;
    g_autoptr(CstVolume) listed = NULL;
    g_autoptr(CstVolume) base = NULL;
    g_autoptr(GError) why = NULL;

    if (!def->backing)
        return TRUE;
    if (!cst_service_volume_by_path(owner->service, def->backing->path, &pool, &name, &why)) {
        /* If the lookup failed for another reason, the file may be a volume, and needs a claim. */
        if (def->has_capacity && g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!volume_claim_now(claim, pool, name, CLAIM_READ, &listed, error))
        return FALSE;
    base =
        images ? image_record_declared(pool, claim->state, listed, error) : cst_volume_ref(listed);
    if (!base || !trust_check_header(base, error) ||
        !volume_base_format(base->format, def->backing->path, &def->backing->format, error))
        return FALSE;
    if (!def->has_capacity)
        def->capacity = base->capacity;
    return TRUE;
}

/*
 * Returns whether the pool's technology creates the whole volume, because documents contain no
 * format. This includes a volume on top of another one. As in libvirt, no data are written unless
 * requested.
 */
static gboolean is_made_whole(CstPool *pool, unsigned flags)
{
    return !cst_pool_type_info(pool->def->type)->volume_formats &&
           !(flags & CST_VOL_CREATE_PREALLOC_FULL);
}

/* Returns whether the volume is complete once it has its size: no image in it, no allocation. */
static gboolean vol_def_is_empty(const CstVolDef *def, const VolumePlan *plan, unsigned flags)
{
    return !plan->format ||
           (volume_is_raw(def) &&
            !(flags & (CST_VOL_CREATE_PREALLOC_FALLOC | CST_VOL_CREATE_PREALLOC_FULL)));
}

/* An invalid definition is rejected before a draft is reserved. */
static gboolean fill_volume(CstPool *pool, const CstVolDef *def, const VolumeClaim *backing,
                            unsigned flags, CstTask *task, GError **error)
{
    g_auto(VolumeTxn) txn = {.claim.task = task, .claim.after = backing->holder ? backing : NULL};
    VolumePlan plan = {0};

    if (!volume_flags_fit(def, flags, error) ||
        !(is_made_whole(pool, flags) || volume_plan(def, flags, &plan, error)))
        return FALSE;
    txn.empty = vol_def_is_empty(def, &plan, flags);
    if (!volume_txn_begin(&txn, pool, def, "create", error))
        return FALSE;
    if (plan.format && !txn.made &&
        (!cst_image_create(txn.draft.blob, plan.format, &plan.options, task, error) ||
         !allocate_part(txn.draft.blob, def, flags, &plan, task, error)))
        return FALSE;
    return volume_txn_commit(&txn, def, error);
}

static gboolean create_volume(CstPool *pool, CstVolDef *def, unsigned flags, CstTask *task,
                              GError **error)
{
    g_auto(VolumeClaim) backing = {.task = task};

    return claim_backing(&backing, pool, def, error) &&
           fill_volume(pool, def, &backing, flags, task, error);
}

gboolean cst_vol_create(CstPool *pool, const char *xml, unsigned flags, CstTask *task,
                        char **ret_name, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(CstVolDef) def = NULL;
    g_auto(Job) job = {0};

    if (!cst_flags_check(flags, CST_VOL_CREATE_PREALLOC_FLAGS | CST_VOL_CREATE_VALIDATE,
                         "storageVolCreateXML", error))
        return FALSE;
    state = pool_state_get(pool, error);
    if (!state)
        return FALSE;
    def = volume_parse(xml, state, flags, CST_VOL_PARSE_OPT_CAPACITY, error);
    if (!def)
        return FALSE;
    job_begin(&job, pool, "create", def->name, &task);
    if (!job_end(&job, create_volume(pool, def, flags, task, error), error))
        return FALSE;
    *ret_name = g_steal_pointer(&def->name);
    return TRUE;
}
