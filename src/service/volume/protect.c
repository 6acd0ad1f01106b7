/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Protection of volumes against deletion (store/protected.h). The mark is keyed by pool and name.
 * It does not apply to a new volume of the same name; neither do
 * tags (tags.h).
 */
#include "protect.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <service/volumes.h>
#include <store/protected.h>

#include "core/job.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "tags.h"

gboolean volume_not_protected(CstPool *pool, const char *name, GError **error)
{
    gboolean on;

    if (!cst_protected_find(pool->service->paths, &pool->uuid, name, &on, error))
        return FALSE;
    return !on || cst_fail(error, CST_ERROR_STATE,
                           _("volume '%s' is protected; vol-unprotect allows its deletion"), name);
}

void volume_is_new(CstPool *pool, const char *name)
{
    g_autoptr(GError) error = NULL;

    if (!cst_protected_set(pool->service->paths, &pool->uuid, name, FALSE, &error))
        cst_log(CST_LOG_WARNING, "volume '%s' may still be protected: %s", name, error->message);
    volume_tags_forget(pool, name, NULL);
}

static gboolean vol_claim_and_protect(CstPool *pool, const char *name, gboolean on, CstTask *task,
                                      GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task};
    g_autoptr(CstVolume) volume = NULL;

    /*
     * Protection needs an existing volume. Removing it does not, because a mark may outlive its
     * volume.
     */
    return (on ? volume_claim_now(&claim, pool, name, CLAIM_READ, &volume, error)
               : volume_claim(&claim, pool, name, CLAIM_READ, error)) &&
           cst_protected_set(pool->service->paths, &pool->uuid, name, on, error);
}

gboolean cst_vol_protect(CstPool *pool, const char *name, gboolean on, CstTask *task,
                         GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, on ? "protect" : "unprotect", name, &task);
    return job_end(&job, vol_claim_and_protect(pool, name, on, task, error), error);
}

GPtrArray *cst_pool_protected(CstPool *pool, GError **error)
{
    return cst_protected_list(pool->service->paths, &pool->uuid, error);
}
