/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes and queries of tags and notes (store/tags.h). */
#include <service/tags.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <service/volumes.h>

#include "core/job.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/trash_names.h"
#include "provider.h"

/* --- changes ---------------------------------------------------------------------------------- */

/* Claims the volume. Fails if it does not exist, or does not have the snapshot. */
static gboolean tag_claim(SnapshotTarget *target, CstPool *pool, const char *name,
                          const char *snapshot, GError **error)
{
    const SnapshotProvider *provider;
    g_autoptr(GPtrArray) snapshots = NULL;

    if (!snapshot)
        return volume_claim_now(&target->claim, pool, name, CLAIM_READ, &target->volume, error);
    provider = snapshot_claim(target, pool, name, CLAIM_READ, NULL, error);
    snapshots = provider ? snapshot_list_all(provider, target, error) : NULL;
    return snapshots &&
           (cst_snapshot_find(snapshots, snapshot) || cst_fail_no_snapshot(name, snapshot, error));
}

static gboolean vol_claim_and_tag(CstPool *pool, const char *name, const char *snapshot,
                                  const CstTagChange *change, CstTask *task, GError **error)
{
    g_auto(SnapshotTarget) target = {.claim.task = task};
    const CstTagKey key = {pool->uuid, name, snapshot};

    return tag_claim(&target, pool, name, snapshot, error) && cst_may_change(error) &&
           cst_tag_store_change(pool->service->tags, &key, change, error);
}

gboolean cst_vol_tag(CstPool *pool, const char *volume, const char *snapshot,
                     const CstTagChange *change, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    if (!cst_tag_change_check(change, error))
        return FALSE;
    job_begin(&job, pool, "tag", volume, &task);
    return job_end(&job, vol_claim_and_tag(pool, volume, snapshot, change, task, error), error);
}

/* --- queries ---------------------------------------------------------------------------------- */

GPtrArray *cst_pool_tagged(CstPool *pool, const char *volume, const char *after, GError **error)
{
    const CstTagKey key = {pool->uuid, volume, NULL};

    return cst_tag_store_list(pool->service->tags, &key, after, error);
}

void cst_tag_match_free(CstTagMatch *match)
{
    if (!match)
        return;
    g_clear_pointer(&match->pool, cst_pool_unref);
    g_free(match->name);
    g_free(match->key);
    g_free(match);
}

/* Returns NULL without an error if the volume does not exist, or its pool is not active. */
static CstTagMatch *tag_match_new(CstService *service, const CstTagged *tagged, GError **error)
{
    g_autoptr(CstPool) pool = cst_service_pool_by_uuid(service, &tagged->pool, NULL);
    g_autoptr(GError) why = NULL;
    CstTagMatch *match;
    char *key;

    if (!pool || !cst_pool_is_active(pool) || cst_name_is_trash(tagged->volume))
        return NULL;
    key = cst_vol_get_key(pool, tagged->volume, &why);
    if (why && !g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    if (!key)
        return NULL;
    match = g_new0(CstTagMatch, 1);
    match->pool = g_steal_pointer(&pool);
    match->name = g_strdup(tagged->volume);
    match->key = key;
    return match;
}

GPtrArray *cst_service_tag_matches(CstService *service, const char *tag, int64_t *after,
                                   CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) rows = cst_tag_store_with_tag(service->tags, tag, *after, error);
    g_autoptr(GPtrArray) matches =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_tag_match_free);

    for (guint i = 0; rows && i < rows->len; i++) {
        g_autoptr(GError) why = NULL;
        CstTagMatch *match =
            cst_task_check(task, &why) ? tag_match_new(service, rows->pdata[i], &why) : NULL;

        if (why) {
            g_propagate_error(error, g_steal_pointer(&why));
            return NULL;
        }
        if (match)
            g_ptr_array_add(matches, match);
    }
    if (!rows)
        return NULL;
    *after = rows->len == CST_TAG_PAGE_MAX ? ((CstTagged *)rows->pdata[rows->len - 1])->id : 0;
    return g_steal_pointer(&matches);
}
