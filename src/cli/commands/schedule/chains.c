/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The action "consolidate": merges the layers of each selected volume whose backing chain is too
 * deep. A volume that an image is based on is left out, because its overlays have the chain. Merged
 * layers without a user are deleted. If they stayed, each next run would find the uppermost one on
 * top of a deep chain, and would merge copies of the data into it until the disk is full.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <conn/chains.h>

#include "output/progress.h"
#include "schedule.h"

typedef struct {
    ScheduleWork *work;
    uint32_t keep;     /* images that a chain may have; 0: the setting of its pool */
    uint64_t rate;     /* bytes per second; 0: no limit */
    GHashTable *pools; /* name (owned) to PoolChains * */
} ChainRun;

/* The chains of a pool at the beginning of the run. */
typedef struct {
    CstChainLimits limits;
    GPtrArray *chains;  /* of CstPoolChain *, the deepest first */
    GHashTable *depths; /* from the volume on top (borrowed) to the depth */
} PoolChains;

static void pool_chains_free(gpointer data)
{
    PoolChains *pool = data;

    g_clear_pointer(&pool->depths, g_hash_table_unref);
    g_clear_pointer(&pool->chains, g_ptr_array_unref);
    g_free(pool);
}

static void chain_run_clear(ChainRun *run)
{
    g_clear_pointer(&run->pools, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ChainRun, chain_run_clear)

/* --- the setting ------------------------------------------------------------------------------ */

/* Reads --keep-layers. *ret_keep is 0 without it. */
static gboolean keep_read(const CstSchedule *schedule, uint32_t *ret_keep, GError **error)
{
    const char *text = cst_schedule_option(schedule, "keep-layers");
    guint64 keep = 0;

    if (text && !g_ascii_string_to_unsigned(text, 10, CST_CHAINS_MIN, CST_CHAINS_MAX, &keep, NULL))
        return cst_fail(error, CST_ERROR_USAGE, _("--keep-layers takes a number from %d to %d"),
                        CST_CHAINS_MIN, CST_CHAINS_MAX);
    *ret_keep = (uint32_t)keep;
    return TRUE;
}

gboolean schedule_keep_layers_check(const CstSchedule *schedule, GError **error)
{
    uint32_t keep;

    return keep_read(schedule, &keep, error);
}

/* --- the chains ------------------------------------------------------------------------------- */

/* Reports chains that the server did not list although they may be too deep. */
static void pool_chains_report_left(const ChainRun *run, const char *name, const PoolChains *pool,
                                    guint left)
{
    const uint32_t keep = run->keep ? run->keep : cst_chain_limits_warn(&pool->limits);
    const CstPoolChain *last =
        pool->chains->len > 0 ? pool->chains->pdata[pool->chains->len - 1] : NULL;
    g_autofree char *text = NULL;

    if (left == 0 || (last && last->depth <= keep))
        return;
    text = g_strdup_printf(_("%u chains are not listed; the next run continues with them"), left);
    schedule_add_skip(run->work, name, text);
}

static const PoolChains *pool_chains(ChainRun *run, const CstVolRef *vol, GError **error)
{
    CstConn *conn = run->work->ctl->conn;
    PoolChains *found = g_hash_table_lookup(run->pools, vol->pool);
    g_autoptr(CstPoolRef) pool = NULL;
    guint left = 0;

    if (found)
        return found;
    pool = cst_conn_pool_by_name(conn, vol->pool, error);
    if (!pool)
        return NULL;
    found = g_new0(PoolChains, 1);
    found->chains = cst_conn_pool_chains(conn, pool, &found->limits, &left, error);
    if (!found->chains) {
        pool_chains_free(found);
        return NULL;
    }
    found->depths = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < found->chains->len; i++) {
        const CstPoolChain *chain = found->chains->pdata[i];

        g_hash_table_insert(found->depths, chain->volume, GUINT_TO_POINTER(chain->depth));
    }
    g_hash_table_insert(run->pools, g_strdup(vol->pool), found);
    pool_chains_report_left(run, vol->pool, found, left);
    return found;
}

/* *ret_keep: images that the chain of the volume shall have; 0: it is not too deep. */
static gboolean chain_is_deep(ChainRun *run, const CstVolRef *vol, uint32_t *ret_keep,
                              GError **error)
{
    const PoolChains *pool = pool_chains(run, vol, error);
    uint32_t keep;

    *ret_keep = 0;
    if (!pool)
        return FALSE;
    keep = run->keep ? run->keep : cst_chain_limits_warn(&pool->limits);
    if (GPOINTER_TO_UINT(g_hash_table_lookup(pool->depths, vol->name)) > keep)
        *ret_keep = keep;
    return TRUE;
}

/* --- a volume --------------------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    CstVolConsolidate how;
    uint64_t rate;
    CstConsolidation result;
} VolumeTask;

static void volume_task_clear(VolumeTask *one)
{
    cst_consolidation_clear(&one->result);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeTask, volume_task_clear)

static gboolean run_consolidate(CstTask *task, gpointer data, GError **error)
{
    VolumeTask *one = data;

    cst_task_set_rate(task, one->rate);
    return cst_conn_vol_consolidate(one->conn, one->vol, &one->how, FALSE, task, &one->result,
                                    error);
}

/* A layer that could not be deleted, for example because it is protected, is in the message. */
static void count_result(ScheduleWork *work, const CstConsolidation *result)
{
    if (result->layers->len > 0) {
        work->run.made++;
        work->done++;
    }
    for (guint i = 0; i < result->layers->len; i++) {
        const CstMergedLayer *layer = result->layers->pdata[i];

        if (layer->state == CST_LAYER_DELETED)
            work->run.removed++;
        else if (layer->state == CST_LAYER_UNUSED && layer->problem)
            schedule_add_skip(work, layer->name, layer->problem);
    }
}

static gboolean vol_consolidate(ChainRun *run, const CstVolRef *vol, GError **error)
{
    ScheduleWork *work = run->work;
    g_autofree char *text = g_strconcat(vol->pool, "/", vol->name, NULL);
    g_auto(VolumeTask) one = {.conn = work->ctl->conn,
                              .vol = vol,
                              .how.flags = CST_CONSOLIDATE_DELETE,
                              .rate = run->rate};
    g_autoptr(GError) why = NULL;

    if (!chain_is_deep(run, vol, &one.how.keep, &why))
        return schedule_fail_object(work, text, g_steal_pointer(&why), error);
    if (one.how.keep == 0)
        return TRUE;
    if (cli_run_task(work->ctl, _("Consolidating"), run_consolidate, &one, &why)) {
        count_result(work, &one.result);
    } else if (g_error_matches(why, CST_ERROR, CST_ERROR_BUSY) ||
               g_error_matches(why, CST_ERROR, CST_ERROR_NO_SPACE)) {
        schedule_add_skip(work, text, why->message);
    } else if (!g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN)) {
        return schedule_fail_object(work, text, g_steal_pointer(&why), error);
    }
    return TRUE;
}

gboolean schedule_run_consolidate(ScheduleWork *work, GError **error)
{
    const char *limit = cst_schedule_option(work->schedule, "rate-limit");
    g_auto(ChainRun) run = {
        .work = work,
        .pools = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, pool_chains_free),
    };
    g_autoptr(GPtrArray) groups = NULL;

    if (!keep_read(work->schedule, &run.keep, error) ||
        (limit && !cst_units_parse(limit, 1, &run.rate, error)))
        return FALSE;
    groups = schedule_select(work, error);
    for (guint i = 0; groups && i < groups->len; i++) {
        const ScheduleGroup *group = groups->pdata[i];

        for (guint j = 0; j < group->vols->len; j++)
            if (!vol_consolidate(&run, group->vols->pdata[j], error))
                return FALSE;
    }
    return groups != NULL;
}
