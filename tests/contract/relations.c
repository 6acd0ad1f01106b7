/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

#include <service/images.h>

#include "await.h"

/* Concurrent users of a volume, its dependents, and its stores. */

/* --- claims ----------------------------------------------------------------------------------- */

typedef struct {
    Site *site;
    CstWipeAlgorithm algorithm;
    CstTask *task;
    GError *error;
    gboolean done;
} Wipe;

static gpointer wipe(gpointer data)
{
    Wipe *work = data;

    work->done = cst_vol_wipe(work->site->pool, "v", work->algorithm, 0, work->task, &work->error);
    return NULL;
}

static void two_writers(Site *site)
{
    /* Of many passes, so that it lasts however little there is to wipe. */
    Wipe first = {.site = site, .algorithm = CST_WIPE_GUTMANN, .task = cst_task_new()};
    Wipe second = {.site = site, .algorithm = CST_WIPE_ZERO, .task = cst_task_new()};
    GThread *threads[2];

    volume_make(site, "v", VOLUME_SIZE);
    volume_make(site, "w", VOLUME_SIZE);
    cst_task_set_rate(first.task, 1000);
    threads[0] = g_thread_new("first", wipe, &first);
    AWAIT(cst_task_progress(first.task).total > 0);
    threads[1] = g_thread_new("second", wipe, &second);
    AWAIT(cst_task_waiting(second.task));
    /* Others go on meanwhile. */
    assert_true(cst_vol_delete(site->pool, "w", 0, NULL, NULL));
    cst_task_cancel(first.task);
    g_thread_join(threads[0]);
    g_thread_join(threads[1]);
    assert_true(g_error_matches(first.error, CST_ERROR, CST_ERROR_CANCELLED));
    assert_no_error(second.error);
    assert_true(second.done);
    g_clear_error(&first.error);
    cst_task_unref(first.task);
    cst_task_unref(second.task);
}

/* A stream lasts as long as its client likes. */
static void a_stream_and_a_writer(Site *site)
{
    g_autofree char *piece = g_malloc0(TAG_BLOCK);
    Wipe other = {.site = site, .algorithm = CST_WIPE_ZERO};
    g_autoptr(CstUpload) upload = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    upload = cst_vol_upload(site->pool, "v", 0, TAG_BLOCK, 0, NULL, NULL);
    assert_non_null(upload);
    wipe(&other);
    assert_true(g_error_matches(other.error, CST_ERROR, CST_ERROR_BUSY));
    g_clear_error(&other.error);
    assert_true(cst_upload_write(upload, piece, TAG_BLOCK, NULL));
    assert_true(cst_upload_finish(upload, NULL));
    g_clear_pointer(&upload, cst_upload_free);
    wipe(&other);
    assert_no_error(other.error);
}

static void two_readers(Site *site)
{
    g_autoptr(CstDownload) first = NULL;
    g_autoptr(CstDownload) second = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    first = cst_vol_download(site->pool, "v", 0, 0, 0, NULL, NULL);
    second = cst_vol_download(site->pool, "v", 0, 0, 0, NULL, NULL);
    assert_non_null(first);
    assert_non_null(second);
}

/* --- holders ---------------------------------------------------------------------------------- */

static void assert_in_use(gboolean done, GError **error)
{
    assert_false(done);
    assert_error(error, CST_ERROR_BUSY);
}

static void holders(Site *site)
{
    g_autofree char *native = NULL;
    g_autofree char *after = NULL;
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(GError) error = NULL;

    if (!site->ground->hold)
        return;
    volume_make(site, "v", VOLUME_SIZE);
    if (site_has(site, GROUND_SNAPSHOTS))
        assert_true(cst_vol_snapshot_create(site->pool, "v", "s", 0, NULL, NULL));
    native = site_native(site, "p");
    state = site_open_state(site);
    site->ground->hold("p", "v");
    assert_in_use(cst_vol_delete(site->pool, "v", site_delete_flags(site), NULL, &error), &error);
    assert_in_use(cst_vol_wipe(site->pool, "v", CST_WIPE_ZERO, 0, NULL, &error), &error);
    if (site_has(site, GROUND_RESIZES))
        assert_in_use(
            cst_vol_resize(site->pool, "v", VOLUME_SIZE / 2, CST_VOL_RESIZE_SHRINK, NULL, &error),
            &error);
    if (site_has(site, GROUND_SNAPSHOTS))
        assert_in_use(cst_vol_snapshot_revert(site->pool, "v", "s", NULL, NULL, &error), &error);
    if (cst_pool_state_flattens_at_rest(state))
        assert_in_use(cst_vol_flatten(site->pool, "v", NULL, &error), &error);
    after = site_native(site, "p");
    assert_string_equal(after, native);
    site->ground->release("p", "v");
    cst_vol_wipe(site->pool, "v", CST_WIPE_ZERO, 0, NULL, &error);
    assert_no_error(error);
    cst_vol_delete(site->pool, "v", site_delete_flags(site), NULL, &error);
    assert_no_error(error);
}

/* --- clones ----------------------------------------------------------------------------------- */

static void clone_from(Site *site, const char *source, const char *name)
{
    g_autofree char *xml = volume_xml(site, name, VOLUME_SIZE);
    g_autofree char *made = NULL;
    g_autoptr(GError) error = NULL;

    cst_vol_create_from(site->pool, xml, site->pool, source, 0, NULL, &made, &error);
    assert_no_error(error);
}

static void assert_chain(Site *site, const char *name, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = cst_vol_chain(site->pool, name, &error);
    g_autoptr(GString) text = g_string_new(NULL);

    assert_no_error(error);
    for (guint i = 0; i < rows->len; i++) {
        const CstChainRow *row = g_ptr_array_index(rows, i);

        g_string_append_printf(text, "%s%u %s%s", i ? ", " : "", row->level, row->name,
                               row->self ? " *" : "");
    }
    assert_string_equal(text->str, expected);
}

static void clones_keep_their_source(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "base", VOLUME_SIZE);
    content_write(site, "base", 0, VOLUME_SIZE / TAG_BLOCK, 1);
    clone_from(site, "base", "top");
    assert_false(cst_vol_delete(site->pool, "base", CST_VOL_DELETE_WITH_SNAPSHOTS, NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "\n  p/top");
    clone_from(site, "base", "side");
    assert_chain(site, "base", "0 base *, 1 side, 1 top");
    assert_chain(site, "top", "0 base, 1 side, 1 top *");
    cst_vol_flatten(site->pool, "top", NULL, &error);
    assert_no_error(error);
    assert_chain(site, "top", "0 top *");
    assert_chain(site, "side", "0 base, 1 side *");
    content_assert_all(site, "top", 1);
    cst_vol_delete(site->pool, "side", CST_VOL_DELETE_WITH_SNAPSHOTS, NULL, &error);
    assert_no_error(error);
    cst_vol_delete(site->pool, "base", CST_VOL_DELETE_WITH_SNAPSHOTS, NULL, &error);
    assert_no_error(error);
    content_assert_all(site, "top", 1);
}

/* A clone with a snapshot, "own", that another clone hangs on. */
static void in_the_middle(Site *site)
{
    volume_make(site, "base", VOLUME_SIZE);
    content_write(site, "base", 0, VOLUME_SIZE / TAG_BLOCK, 1);
    clone_from(site, "base", "middle");
    assert_true(cst_vol_snapshot_create(site->pool, "middle", "own", 0, NULL, NULL));
    assert_true(cst_vol_snapshot_clone(site->pool, "middle", "own", "top", NULL, NULL));
}

static void flattened_in_the_middle(Site *site)
{
    g_autoptr(GError) error = NULL;

    in_the_middle(site);
    cst_vol_flatten(site->pool, "middle", NULL, &error);
    assert_no_error(error);
    assert_chain(site, "top", "0 middle, 1 top *");
    content_assert_all(site, "middle", 1);
    content_assert_all(site, "top", 1);
}

static void flattened_when_bare(Site *site)
{
    g_autoptr(GError) error = NULL;

    if (!site_has(site, GROUND_CLONES_DEPEND))
        return;
    in_the_middle(site);
    assert_false(cst_vol_flatten(site->pool, "middle", NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "top'");
    assert_true(cst_vol_delete(site->pool, "top", 0, NULL, NULL));
    assert_false(cst_vol_flatten(site->pool, "middle", NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "'own'");
    assert_chain(site, "middle", "0 base, 1 middle *");
    assert_true(cst_vol_snapshot_delete(site->pool, "middle", "own", NULL, NULL));
    cst_vol_flatten(site->pool, "middle", NULL, &error);
    assert_no_error(error);
    assert_chain(site, "middle", "0 middle *");
    content_assert_all(site, "middle", 1);
}

static void clones_stand_alone(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "base", VOLUME_SIZE);
    content_write(site, "base", 0, VOLUME_SIZE / TAG_BLOCK, 1);
    clone_from(site, "base", "top");
    cst_vol_delete(site->pool, "base", 0, NULL, &error);
    assert_no_error(error);
    content_assert_all(site, "top", 1);
}

/* --- linked clones ---------------------------------------------------------------------------- */

static void assert_same(Site *site, const char *one, const char *other)
{
    CstCompareReport report = {0};
    g_autoptr(GError) error = NULL;

    cst_vol_compare(site->pool, one, site->pool, other, NULL, &report, &error);
    assert_no_error(error);
    assert_true(report.same && report.sizes_same);
}

/* It holds only what differs, or is not made at all. */
static void a_linked_clone(Site *site)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL, *after = NULL, *xml = NULL, *made = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, VOLUME_SIZE / TAG_BLOCK, 1);
    xml = volume_clone_xml(site, "v", "w");
    before = site_native(site, "p");
    if (!cst_vol_create_from(site->pool, xml, site->pool, "v", CST_VOL_CREATE_LINKED, NULL, &made,
                             &error)) {
        assert_error_says(&error, CST_ERROR_UNSUPPORTED, "all of it would be copied");
        after = site_native(site, "p");
        assert_string_equal(after, before);
        return;
    }
    assert_same(site, "v", "w");
    if (!site_links_depend(site)) {
        cst_vol_delete(site->pool, "v", 0, NULL, &error);
        assert_no_error(error);
        content_assert_all(site, "w", 1);
        return;
    }
    assert_false(cst_vol_delete(site->pool, "v", site_delete_flags(site), NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "p/w");
    cst_vol_flatten(site->pool, "w", NULL, &error);
    assert_no_error(error);
    assert_same(site, "v", "w");
    cst_vol_delete(site->pool, "v", site_delete_flags(site), NULL, &error);
    assert_no_error(error);
}

/* --- usage ------------------------------------------------------------------------------------ */

static void numbers_add_up(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autoptr(GPtrArray) stores = NULL;
    g_autoptr(GError) error = NULL;
    CstPoolInfo info;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, VOLUME_SIZE / TAG_BLOCK, 1);
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    cst_pool_get_info(site->pool, &info);
    assert_int_equal(info.volumes, 1);
    assert_true(info.capacity > 0 && info.allocation <= info.capacity);
    assert_true(info.available <= info.capacity);
    stores = cst_pool_state_thin(state, &error);
    assert_no_error(error);
    for (guint i = 0; i < stores->len; i++) {
        const CstThinStore *store = g_ptr_array_index(stores, i);

        assert_non_null(store->name);
        assert_true(store->size > 0 && store->used <= store->size);
        assert_true(store->used > 0 || store->volumes == 0);
        assert_true(store->metadata_used <= store->metadata_size);
    }
}

const ContractTest relation_tests[] = {
    {"two writers wait for one another", two_writers, 0, NULL},
    {"nobody waits for a stream", a_stream_and_a_writer, 0, NULL},
    {"two readers do not", two_readers, 0, NULL},
    {"a volume that is in use is not deleted, wiped or reverted", holders, 0, NULL},
    {"clones keep their source until they are flattened", clones_keep_their_source,
     GROUND_CLONES_DEPEND, clones_stand_alone},
    {"a clone with snapshots and clones is flattened", flattened_in_the_middle,
     GROUND_CLONES_DEPEND | GROUND_SNAPSHOTS | GROUND_FLATTENS_ANY, flattened_when_bare},
    {"a linked clone holds what differs, or is refused", a_linked_clone, 0, NULL},
    {"the numbers of pool and thin stores add up", numbers_add_up, 0, NULL},
    {0},
};
