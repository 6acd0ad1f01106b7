/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The history of the use of pools. A sample is copied from the memory of the service, so that it
 * wakes no disk and waits for no server. The exception is a local file system, whose space is in
 * the memory of the kernel: guests fill it without a call of the service.
 */
#include <service/usage.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <store/usage.h>

#include "core/pool.h"
#include "core/promise.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/space.h"

static int64_t usage_time(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

/* --- samples ---------------------------------------------------------------------------------- */

/* Updates the numbers that the service holds, as far as that is allowed. */
static gboolean sample_refresh(CstPool *pool, CstPoolState *state, GError **error)
{
    if (pool->service->mode == CST_SERVICE_EMBEDDED) {
        if (!pool_rescan_aged(pool, state, error) || !pool_usage_update(pool, state, error))
            return FALSE;
        pool_read_thin(pool, state);
        return TRUE;
    }
    return cst_pool_state_is_remote(state) || cst_pool_state_may_hang(state) ||
           !cst_pool_state_holds_images(state) || pool_usage_update(pool, state, error);
}

/* Returns FALSE if the numbers of the pool are not known. */
static gboolean sample_read(CstPool *pool, int64_t now, CstUsagePoint *ret_sample)
{
    gboolean known;

    g_mutex_lock(&pool->lock);
    known = pool->active && !pool->inaccessible && !pool->unread && pool->scanned &&
            pool->usage.capacity > 0;
    if (known)
        *ret_sample = (CstUsagePoint){
            .time = now,
            .capacity = pool->usage.capacity,
            .allocation = pool->usage.allocation,
            .available = pool->usage.available,
            .provisioned = pool_promise_known(pool),
            .data_size = pool->thin.data_size,
            .data_used = pool->thin.data_used,
            .metadata_size = pool->thin.metadata_size,
            .metadata_used = pool->thin.metadata_used,
        };
    g_mutex_unlock(&pool->lock);
    return known;
}

/* Returns a sentence about the use of a space. The caller frees it. */
static char *space_text(const CstPool *pool, const CstUsagePoint *sample, int space,
                        CstUsageLevel level)
{
    uint64_t used, size = cst_usage_size(sample, (CstUsageSpace)space, &used);

    return g_strdup_printf(_("pool '%s': %s is full by %.2f%%, threshold %s"), pool->name,
                           _(cst_usage_space_word(space)), (double)used * 100 / (double)size,
                           _(cst_usage_level_word((int)level)));
}

/*
 * Adds the worst level of a pool to the log of events. A lower level ends the higher one. Requires
 * the pool's lock, so that the events have the order of the levels.
 */
static void level_record(CstPool *pool, const CstUsagePoint *sample, const CstUsageLevel *levels)
{
    static const CstEventKind kinds[CST_USAGE_LEVEL_LAST] = {
        [CST_USAGE_WARN] = CST_EVENT_POOL_WARN, [CST_USAGE_CRITICAL] = CST_EVENT_POOL_CRITICAL};
    EventLog *events = pool->service->events;
    int worst = 0;
    g_autofree char *message = NULL;

    for (int space = 1; space < CST_USAGE_SPACE_LAST; space++)
        if (levels[space] > levels[worst])
            worst = space;
    message = levels[worst] == CST_USAGE_OK
                  ? g_strdup_printf(_("pool '%s': the use is below the thresholds"), pool->name)
                  : space_text(pool, sample, worst, levels[worst]);
    for (int level = CST_USAGE_WARN; level < CST_USAGE_LEVEL_LAST; level++)
        if (level == (int)levels[worst])
            event_log_add(events, kinds[level], "pool", pool->name, message);
        else
            event_log_add_end(events, kinds[level], "pool", pool->name, message);
}

/*
 * Logs each space whose level has risen since the last sample, and records a change as an event.
 * The thresholds of a changed definition hold at once.
 */
static void sample_compare(CstPool *pool, const CstUsagePoint *sample)
{
    CstUsageLevel levels[CST_USAGE_SPACE_LAST];
    gboolean risen[CST_USAGE_SPACE_LAST], changed;

    g_mutex_lock(&pool->lock);
    changed = !pool->levels_recorded;
    pool->levels_recorded = TRUE;
    for (int space = 0; space < CST_USAGE_SPACE_LAST; space++) {
        const CstPoolDef *def = pool->new_def ? pool->new_def : pool->def;

        levels[space] = cst_usage_level(&def->thresholds, sample, (CstUsageSpace)space);
        risen[space] = levels[space] > pool->levels[space];
        changed = changed || levels[space] != pool->levels[space];
        pool->levels[space] = levels[space];
    }
    if (changed)
        level_record(pool, sample, levels);
    g_mutex_unlock(&pool->lock);
    for (int space = 0; space < CST_USAGE_SPACE_LAST; space++)
        if (risen[space] && pool->service->mode == CST_SERVICE_DAEMON) {
            g_autofree char *text = space_text(pool, sample, space, levels[space]);

            cst_log(CST_LOG_WARNING, "%s", text);
        }
}

/*
 * Adds a sample if one is due. Storage that fails causes a gap in the history, and no error.
 * Thresholds are compared also if the history cannot be written, for example because the file
 * system is full. @store NULL: it cannot be opened.
 */
static gboolean pool_sample(CstPool *pool, CstUsageStore *store, guint *count, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    int64_t now = usage_time();
    CstUsagePoint sample;
    gboolean usable, due;

    if (!state)
        return TRUE;
    usable = store && cst_usage_store_is_due(store, &pool->uuid, now, &due, error);
    if ((usable && !due) || !sample_refresh(pool, state, NULL) || !sample_read(pool, now, &sample))
        return usable;
    sample_compare(pool, &sample);
    if (!usable || !cst_usage_store_add(store, &pool->uuid, &sample, error))
        return FALSE;
    (*count)++;
    return TRUE;
}

gboolean cst_service_usage_sample(CstService *service, CstTask *task, guint *ret_count,
                                  GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(service, CST_LIST_POOLS_ACTIVE, error);
    g_autoptr(CstUsageStore) store = NULL;
    g_autoptr(GError) first = NULL;
    guint count = 0;

    if (!pools || !cst_may_change(error))
        return FALSE;
    /* A host without active pools gets no database. */
    store = pools->len > 0 ? cst_usage_store_open(service->paths, &first) : NULL;
    for (guint i = 0; i < pools->len; i++) {
        if (task && !cst_task_check(task, error))
            return FALSE;
        pool_sample(pools->pdata[i], store, &count, first ? NULL : &first);
    }
    if (ret_count)
        *ret_count = count;
    if (!first)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&first));
    return FALSE;
}

/* --- queries ---------------------------------------------------------------------------------- */

GArray *cst_pool_usage(CstPool *pool, unsigned step, int64_t since, GError **error)
{
    g_autoptr(CstUsageStore) store = NULL;
    g_autoptr(GError) why = NULL;

    if (step != CST_USAGE_FINE && step != CST_USAGE_HOURLY && step != CST_USAGE_DAILY) {
        cst_fail(error, CST_ERROR_INVALID, _("the history of use has no step of %u seconds"), step);
        return NULL;
    }
    store = cst_usage_store_open_existing(pool->service->paths, &why);
    if (store)
        return cst_usage_store_points(store, &pool->uuid, step, since, usage_time(), error);
    if (!why)
        return g_array_new(FALSE, FALSE, sizeof(CstUsagePoint));
    g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
}

/* The forecast of one space. The history of a thin store begins when the store has a size. */
static CstForecast space_forecast(const GArray *points, CstUsageSpace space)
{
    g_autofree CstForecastDay *days = g_new(CstForecastDay, MAX(points->len, 1));
    guint count = 0;
    uint64_t size = 0;

    for (guint i = 0; i < points->len; i++) {
        const CstUsagePoint *point = &g_array_index(points, CstUsagePoint, i);
        uint64_t used;

        size = cst_usage_size(point, space, &used);
        if (size > 0)
            days[count++] = (CstForecastDay){point->time / CST_USAGE_DAILY, used};
    }
    return cst_forecast(days, count, size);
}

gboolean cst_pool_usage_forecast(CstPool *pool, CstUsageForecast *ret_forecast, GError **error)
{
    int64_t since = usage_time() - 2 * CST_FORECAST_DAYS_MAX * (int64_t)CST_USAGE_DAILY;
    g_autoptr(GArray) points = cst_pool_usage(pool, CST_USAGE_DAILY, since, error);

    if (!points)
        return FALSE;
    for (int space = 0; space < CST_USAGE_SPACE_LAST; space++)
        ret_forecast->spaces[space] = space_forecast(points, (CstUsageSpace)space);
    return TRUE;
}
