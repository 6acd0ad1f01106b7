/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Adopting a pool that has a state file: it was active when the process before this one ended, and
 * is active again. Storage that is missing or hangs becomes a problem of the active pool.
 *
 * A thread that hangs in the kernel keeps its process from ending. A daemon therefore probes the
 * storage, and waits a moment for the answer (service->load_until). An embedded command, which may
 * be for another pool, accesses no storage that may hang.
 */
#include "adopt.h"

#include <base/i18n.h>
#include <base/log.h>
#include <store/pool_files.h>

#include "core/registry.h"
#include "core/service.h"
#include "lifecycle.h"

/* A pool that libvirt started, or an older version of this program, has no identity on record. */
static gboolean expect_as_adopted(CstPool *pool, CstPoolState *state, GError **error)
{
    g_autofree char *recorded = cst_pool_identity_load(pool->service->paths, &pool->uuid);

    if (!recorded && !cst_pool_state_is_remote(state)) {
        g_autofree char *identity = cst_pool_state_identity(state, NULL);

        pool_record_identity(pool, identity);
        recorded = cst_pool_identity_load(pool->service->paths, &pool->uuid);
    }
    return cst_pool_state_expect(state, recorded, FALSE, error);
}

/* What is wrong with storage that is not there; the caller frees it. */
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

/* Accesses no storage: the pool is active, has @problem (NULL: none), and is recovered late. */
static gboolean adopt_unseen(CstPool *pool, CstPoolState *state, const char *problem,
                             GError **error)
{
    g_autofree char *recorded = cst_pool_identity_load(pool->service->paths, &pool->uuid);

    if (!cst_pool_state_expect(state, recorded, FALSE, error))
        return FALSE;
    g_mutex_lock(&pool->lock);
    pool->recovers_late = TRUE;
    g_mutex_unlock(&pool->lock);
    pool_set_active(pool, state);
    pool_set_problem(pool, problem, problem != NULL);
    return TRUE;
}

static gboolean adopt_answering(CstPool *pool, CstPoolState *state, GError **error)
{
    gboolean active = FALSE;

    if (!expect_as_adopted(pool, state, error) || !cst_pool_state_check(state, &active, error))
        return FALSE;
    /* The pool stays active while its storage is away, with a problem that says so. */
    pool_set_active(pool, state);
    if (!active) {
        g_autofree char *problem = describe_missing(pool, state);

        pool_set_problem(pool, problem, TRUE);
    }
    return TRUE;
}

static gboolean adopt_state(CstPool *pool, CstPoolState *state, GError **error)
{
    g_autoptr(GError) silent = NULL;

    if (cst_pool_state_is_remote(state))
        return adopt_answering(pool, state, error);
    if (pool->service->mode == CST_SERVICE_EMBEDDED)
        return cst_pool_state_check_may_hang(state) ? adopt_unseen(pool, state, NULL, error)
                                                    : adopt_answering(pool, state, error);
    if (cst_pool_state_await(state, pool->service->load_until, &silent))
        return adopt_answering(pool, state, error);
    cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, silent->message);
    return adopt_unseen(pool, state, silent->message, error);
}

/*
 * A pool whose storage can't even be opened, or is not the one on record, loses its state file: it
 * is inactive from now on.
 */
gboolean pool_adopt(CstPool *pool, CstPoolState *state, GError **error)
{
    g_autoptr(CstPoolState) opened = state ? NULL : pool_state_open(pool, error);

    if (!state)
        state = opened;
    if (state && adopt_state(pool, state, error))
        return TRUE;
    cst_pool_state_remove(pool->service->paths, pool->name, NULL);
    registry_forget_transient(pool);
    return FALSE;
}
