/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads and changes datasets. Each report includes the pool's own dataset, whose guid verifies that
 * it is still the dataset that the pool was started with. So the check has no extra cost. The
 * result of a change is verified by a report or by the device itself.
 */
#include "zfs.h"

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/test_point.h>

/* --- reading ---------------------------------------------------------------------------------- */

gboolean zfs_is_imported(const ZfsState *state)
{
    g_autofree char *path = g_build_filename(zfs_host.kstat, state->pool, NULL);
    struct stat st;

    return cst_node_stat(path, &st) && S_ISDIR(st.st_mode);
}

char *zfs_kernel_state(const char *pool)
{
    g_autofree char *path = g_build_filename(zfs_host.kstat, pool, "state", NULL);
    char *text = cst_kernel_read(path);

    return text ? g_strchomp(text) : NULL;
}

static gboolean fail_not_found(const ZfsState *state, GError **error)
{
    if (!zfs_is_imported(state))
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("there is no ZFS pool '%s'; 'zpool import %s' imports one that was "
                          "exported"),
                        state->pool, state->pool);
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no ZFS dataset '%s'"), state->root);
}

/* Consumes @datasets (may be NULL) and returns it if the root dataset is the expected one. */
static GPtrArray *zfs_expect_root(const ZfsState *state, GPtrArray *datasets, GError **error)
{
    g_autoptr(GPtrArray) owned = datasets;
    const ZfsDataset *root = datasets ? zfs_datasets_find(datasets, state->root) : NULL;

    if (!datasets)
        return NULL;
    if (!root) {
        fail_not_found(state, error);
        return NULL;
    }
    if (state->root_guid && strcmp(root->guid, state->root_guid) != 0) {
        zfs_fail_other_root(state, error);
        return NULL;
    }
    return g_steal_pointer(&owned);
}

/*
 * Runs zfs list. If zfs does not find a named dataset, the report lacks that dataset and has all
 * other datasets.
 */
static GPtrArray *zfs_list_run(const ZfsState *state, const char *const *argv, CstTask *task,
                               GError **error)
{
    g_autofree char *out = NULL;
    GError *why = NULL;

    if (!zfs_report(argv, task, &out, &why)) {
        if (!out || !g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND)) {
            g_propagate_error(error, why);
            return NULL;
        }
        g_clear_error(&why);
    }
    return zfs_expect_root(state, zfs_datasets_parse(out, error), error);
}

/* Like zfs_list_run(), for the cache. @all: @argv lists all datasets. Returns a new reference. */
static ZfsReport *zfs_list_cached(const ZfsState *state, const char *const *argv, gboolean all,
                                  CstTask *task, GError **error)
{
    guint changes = cst_report_cache_begin(&state->cache->reports);
    GPtrArray *datasets = zfs_list_run(state, argv, task, error);
    ZfsReport *report = datasets ? zfs_report_new(datasets, all) : NULL;

    CST_TEST_POINT("zfs.report.read");
    zfs_cache_end(state->cache, report, changes);
    return report;
}

/* Consumes @report (may be NULL). */
static GPtrArray *datasets_of(ZfsReport *report)
{
    GPtrArray *datasets = report ? g_ptr_array_ref(report->datasets) : NULL;

    zfs_report_unref(report);
    return datasets;
}

static const char fields[] = ZFS_DATASET_FIELDS;

#define LIST_DATASETS "zfs", "list", "-H", "-p", "-t", "filesystem,volume", "-o", fields

static ZfsReport *zfs_list_some_cached(const ZfsState *state, const char *const *names,
                                       GError **error)
{
    static const char *const begin[] = {LIST_DATASETS};
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(begin); i++)
        g_ptr_array_add(argv, (gpointer)begin[i]);
    g_ptr_array_add(argv, (gpointer)state->root);
    for (; names && *names; names++)
        g_ptr_array_add(argv, (gpointer)*names);
    g_ptr_array_add(argv, NULL);
    return zfs_list_cached(state, (const char *const *)argv->pdata, FALSE, NULL, error);
}

static ZfsReport *zfs_list_all_cached(const ZfsState *state, CstTask *task, GError **error)
{
    const char *const argv[] = {LIST_DATASETS, "-r", state->root, NULL};

    return zfs_list_cached(state, argv, TRUE, task, error);
}

GPtrArray *zfs_read(const ZfsState *state, const char *const *names, GError **error)
{
    return datasets_of(zfs_list_some_cached(state, names, error));
}

GPtrArray *zfs_read_all(const ZfsState *state, CstTask *task, GError **error)
{
    return datasets_of(zfs_list_all_cached(state, task, error));
}

/* --- cached reports --------------------------------------------------------------------------- */

typedef struct {
    const ZfsState *state;
    const char *dataset;
} Query;

static gboolean has_dataset(gpointer report, gpointer data)
{
    return g_hash_table_contains(((ZfsReport *)report)->by_name, ((Query *)data)->dataset);
}

/*
 * The first query reads only its own dataset. A second query for another dataset soon after may be
 * followed by queries for all datasets, so it reads all of them.
 */
static gpointer read_more(gpointer data, GError **error)
{
    const Query *query = data;
    const char *const names[] = {query->dataset, NULL};

    return zfs_cache_has_some(query->state->cache)
               ? zfs_list_all_cached(query->state, NULL, error)
               : zfs_list_some_cached(query->state, names, error);
}

const ZfsDataset *zfs_look(const ZfsState *state, const char *dataset, GPtrArray **ret_datasets,
                           GError **error)
{
    Query of = {.state = state, .dataset = dataset};
    const CstReportQuery query = {.fresh_us = zfs_host.fresh_us,
                                  .wait_us = zfs_host.report_s * G_TIME_SPAN_SECOND,
                                  .serves = has_dataset,
                                  .read = read_more,
                                  .data = &of};
    ZfsReport *report = cst_report_cache_get(&state->cache->reports, &query, error);
    const ZfsDataset *found = report ? g_hash_table_lookup(report->by_name, dataset) : NULL;

    *ret_datasets = datasets_of(report);
    return found;
}

gboolean zfs_prove(const ZfsState *state, GError **error)
{
    g_autoptr(GPtrArray) datasets =
        zfs_cache_is_proved(state->cache) ? NULL : zfs_read(state, NULL, error);

    return datasets || zfs_cache_is_proved(state->cache);
}

gboolean zfs_available(const ZfsState *state, uint64_t *ret_available, gint64 *ret_until,
                       GError **error)
{
    int64_t taken = 0;
    g_autoptr(GPtrArray) datasets = datasets_of(cst_report_cache_estimate(
        &state->cache->reports, zfs_host.fresh_us, zfs_host.estimate_us, &taken, ret_until));
    const ZfsDataset *root = datasets ? zfs_datasets_find(datasets, state->root) : NULL;

    if (!root)
        root = zfs_look(state, state->root, &datasets, error);
    if (!root)
        return FALSE;
    *ret_available = (uint64_t)MAX((int64_t)root->available - taken, 0);
    return TRUE;
}

/* --- volumes, snapshots, the ZFS pool --------------------------------------------------------- */

static gboolean is_draft(const ZfsDataset *dataset)
{
    return dataset->is_volume && cst_draft_is(zfs_last_of(dataset->name));
}

/*
 * Returns @found if it is a volume or a draft. NULL with NO_VOL; if @datasets is NULL, @error is
 * already set.
 */
static const ZfsDataset *zfs_dataset_check_volume(const ZfsState *state, const char *name,
                                                  const ZfsDataset *found, GPtrArray *datasets,
                                                  GError **error)
{
    if (!datasets || (found && (zfs_is_volume(state, found) || is_draft(found))))
        return found;
    cst_fail_no_volume(name, error);
    return NULL;
}

const ZfsDataset *zfs_read_volume(const ZfsState *state, const char *name, GPtrArray **ret_datasets,
                                  GError **error)
{
    g_autofree char *dataset = zfs_dataset_of(state, name);
    const char *const names[] = {dataset, NULL};

    *ret_datasets = zfs_read(state, names, error);
    return zfs_dataset_check_volume(
        state, name, *ret_datasets ? zfs_datasets_find(*ret_datasets, dataset) : NULL,
        *ret_datasets, error);
}

const ZfsDataset *zfs_look_volume(const ZfsState *state, const char *name, GPtrArray **ret_datasets,
                                  GError **error)
{
    g_autofree char *dataset = zfs_dataset_of(state, name);
    const ZfsDataset *found = zfs_look(state, dataset, ret_datasets, error);

    return zfs_dataset_check_volume(state, name, found, *ret_datasets, error);
}

static GPtrArray *zfs_list_run_snapshots(const char *dataset, const char *types, gboolean all,
                                         GError **error)
{
    static const char properties[] = ZFS_SNAPSHOT_FIELDS;
    const char *const argv[] = {"zfs",
                                "list",
                                "-H",
                                "-p",
                                "-t",
                                types,
                                "-o",
                                properties,
                                "-s",
                                "createtxg",
                                all ? "-r" : "-d1",
                                dataset,
                                NULL};
    g_autofree char *out = NULL;

    return zfs_report(argv, NULL, &out, error) ? zfs_snapshots_parse(out, error) : NULL;
}

/* The line of the volume shows whether its snapshots have inherited a record. */
GPtrArray *zfs_read_snapshots(const char *dataset, gboolean all, GError **error)
{
    return zfs_list_run_snapshots(dataset, all ? "snapshot" : "volume,snapshot", all, error);
}

GPtrArray *zfs_read_history(const char *dataset, GError **error)
{
    return zfs_list_run_snapshots(dataset, "snapshot,bookmark", FALSE, error);
}

ZfsPool *zfs_read_pool(const ZfsState *state, GError **error)
{
    const char *const argv[] = {"zpool", "list",          "-H",        "-p",
                                "-o",    ZFS_POOL_FIELDS, state->pool, NULL};
    g_autofree char *out = NULL;
    g_autoptr(ZfsPool) pool = NULL;
    GError *why = NULL;

    if (!zfs_report(argv, NULL, &out, &why)) {
        if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND) && !zfs_is_imported(state)) {
            g_clear_error(&why);
            fail_not_found(state, &why);
        }
        g_propagate_error(error, why);
        return NULL;
    }
    pool = zfs_pool_parse(out, error);
    if (pool && state->pool_guid && strcmp(pool->guid, state->pool_guid) != 0) {
        cst_fail(error, CST_ERROR_STATE,
                 _("the ZFS pool '%s' is not the one that the pool was started with; restart the "
                   "pool to accept this one"),
                 state->pool);
        return NULL;
    }
    zfs_cache_keep_pool(state->cache, pool);
    return g_steal_pointer(&pool);
}

/* --- changing --------------------------------------------------------------------------------- */

gboolean zfs_change_vector(const ZfsState *state, const GPtrArray *argv, CstTask *task,
                           GError **error)
{
    gboolean done = zfs_changev((const char *const *)argv->pdata, task, error);

    zfs_cache_changed(state->cache);
    return done;
}

gboolean zfs_change(const ZfsState *state, CstTask *task, GError **error, const char *tool, ...)
{
    g_autoptr(GPtrArray) argv = NULL;
    va_list args;

    va_start(args, tool);
    argv = zfs_vector(tool, args);
    va_end(args);
    return zfs_change_vector(state, argv, task, error);
}

gboolean zfs_change_idle(const ZfsState *state, GError **error, const char *tool, ...)
{
    g_autoptr(GPtrArray) argv = NULL;
    gboolean done;
    va_list args;

    va_start(args, tool);
    argv = zfs_vector(tool, args);
    va_end(args);
    done = zfs_attempt(zfs_changev_once, argv->pdata, error);
    zfs_cache_changed(state->cache);
    return done;
}

/* If ZFS did not report the result, reads a report. */
ZfsEnd zfs_destroy_volume(const ZfsState *state, const char *dataset, const char *guid,
                          GError **error)
{
    const char *const names[] = {dataset, NULL};
    g_autoptr(GPtrArray) left = NULL;
    GError *why = NULL;
    ZfsEnd end = zfs_program_destroy(state, dataset, guid, &why);

    if (end == ZFS_UNKNOWN && (left = zfs_read(state, names, NULL)) &&
        !zfs_datasets_find(left, dataset)) {
        g_clear_error(&why);
        end = ZFS_DONE;
    }
    if (why)
        g_propagate_error(error, why);
    return end;
}

gboolean zfs_destroy_dataset(const ZfsState *state, const char *dataset, GError **error)
{
    GError *why = NULL;
    ZfsEnd end = zfs_destroy_volume(state, dataset, NULL, &why);

    if (end == ZFS_DONE || end == ZFS_GONE) {
        g_clear_error(&why);
        return TRUE;
    }
    g_propagate_error(error, why);
    return FALSE;
}

/* If the device reports the new name, the rename is verified without a report. */
gboolean zfs_rename_dataset(const ZfsState *state, const char *from, const char *to, GError **error)
{
    const char *const names[] = {from, to, NULL};
    g_autoptr(GPtrArray) left = NULL;
    g_autoptr(GError) why = NULL;

    if (zfs_change_idle(state, &why, "zfs", "rename", from, to, NULL) && zfs_node_comes(to))
        return TRUE;
    left = zfs_read(state, names, error);
    if (!left || (zfs_datasets_find(left, to) && !zfs_datasets_find(left, from)))
        return left != NULL;
    if (!why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'zfs %s' claims success, but '%s' is as it was"), "rename", from);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean zfs_drop_snapshot(const ZfsState *state, const ZfsSnapshot *snapshot, GError **error)
{
    g_autofree char *whole = g_strdup_printf("%s@%s", snapshot->dataset, snapshot->name);

    return zfs_change_idle(state, error, "zfs", "destroy", "-d", whole, NULL);
}
