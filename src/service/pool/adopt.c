/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Adoption of a pool that has a state file: it was active when the previous process ended, and
 * becomes active again. Missing or unresponsive storage becomes a problem of the active pool.
 *
 * A thread that blocks in the kernel prevents its process from exiting. A daemon therefore probes
 * the storage, and waits a short time for the answer (service->load_until). An embedded command may
 * be for another pool. Therefore it accesses no storage that may hang.
 */
#include "adopt.h"

#include <base/i18n.h>
#include <base/log.h>
#include <store/pool_files.h>

#include "core/reading.h"
#include "core/registry.h"
#include "core/service.h"
#include "lifecycle.h"

/*
 * A pool that was started by libvirt, or by an older version of this program, has no recorded
 * identity.
 */
static gboolean expect_as_adopted(CstPool *pool, CstPoolState *state, const char *recorded,
                                  GError **error)
{
    g_autofree char *identity =
        recorded || cst_pool_state_is_remote(state) ? NULL : cst_pool_state_identity(state, NULL);

    pool_record_identity(pool, identity);
    return cst_pool_state_expect(state, recorded ? recorded : identity, FALSE, error);
}

/* Returns a description of missing storage, which the caller frees. */
static char *describe_missing(CstPool *pool, CstPoolState *state)
{
    CstPoolUsage usage = CST_POOL_USAGE_UNKNOWN;
    g_autoptr(GError) error = NULL;

    if (!cst_pool_state_is_remote(state) && !cst_pool_state_usage(state, &usage, &error))
        return g_strdup(error->message);
    return g_strdup_printf(_("its storage is not there: '%s'"), pool->def->target_path
                                                                    ? pool->def->target_path
                                                                    : pool->def->source.name);
}

/*
 * Activates the pool without storage access. The pool has @problem (NULL: no problem) and is
 * recovered late.
 */
static gboolean adopt_unseen(CstPool *pool, CstPoolState *state, const char *recorded,
                             const char *problem, GError **error)
{
    if (!cst_pool_state_expect(state, recorded, FALSE, error))
        return FALSE;
    g_mutex_lock(&pool->lock);
    pool->recovers_late = TRUE;
    g_mutex_unlock(&pool->lock);
    pool_set_active(pool, state);
    pool_set_problem(pool, problem, problem != NULL);
    return TRUE;
}

static gboolean adopt_answering(CstPool *pool, CstPoolState *state, const char *recorded,
                                GError **error)
{
    gboolean active = FALSE;

    if (!expect_as_adopted(pool, state, recorded, error) ||
        !cst_pool_state_check(state, &active, error))
        return FALSE;
    /* The pool stays active without its storage, and has a problem text. */
    pool_set_active(pool, state);
    if (!active) {
        g_autofree char *problem = describe_missing(pool, state);

        pool_set_problem(pool, problem, TRUE);
    }
    return TRUE;
}

static gboolean adopt_state(CstPool *pool, CstPoolState *state, const char *recorded,
                            GError **error)
{
    g_autoptr(GError) silent = NULL;

    if (cst_pool_state_is_remote(state))
        return adopt_answering(pool, state, recorded, error);
    if (pool->service->mode == CST_SERVICE_EMBEDDED)
        return cst_pool_state_check_may_hang(state)
                   ? adopt_unseen(pool, state, recorded, NULL, error)
                   : adopt_answering(pool, state, recorded, error);
    if (cst_pool_state_await(state, pool->service->load_until, &silent))
        return adopt_answering(pool, state, recorded, error);
    cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, silent->message);
    return adopt_unseen(pool, state, recorded, silent->message, error);
}

/* Storage that cannot be read now may be in use, so the pool stays active with a problem. */
static gboolean adopt_or_keep(CstPool *pool, CstPoolState *state, const char *recorded,
                              GError **error)
{
    g_autoptr(GError) why = NULL;

    if (adopt_state(pool, state, recorded, &why))
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_IO))
        return adopt_unseen(pool, state, recorded, why->message, error);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/*
 * If the storage cannot be opened or its identity differs from the record, the state file is
 * removed and the pool is inactive.
 */
gboolean pool_adopt(CstPool *pool, CstPoolState *state, const char *recorded, GError **error)
{
    g_autoptr(CstPoolState) opened = state ? NULL : pool_state_open(pool, error);

    if (!state)
        state = opened;
    g_mutex_lock(&pool->lock);
    pool->unread = cst_pool_is_unread(pool->service->paths, pool->name);
    g_mutex_unlock(&pool->lock);
    if (state && adopt_or_keep(pool, state, recorded, error))
        return TRUE;
    pool_forget_reading(pool);
    cst_pool_state_remove(pool->service->paths, pool->name, NULL);
    cst_pool_unread_remove(pool->service->paths, pool->name, NULL);
    registry_forget_transient(pool);
    return FALSE;
}
