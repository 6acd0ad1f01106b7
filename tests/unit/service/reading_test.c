/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first scan of a started pool of files (core/reading.h). Another thread starts the pool, and
 * is held before the scan publishes its table.
 */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/log_context.h>
#include <service/images.h>
#include <service/pools.h>
#include <store/overlays.h>
#include <store/pool_files.h>

#include "core/claim.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "points.h"

#define SCANNED "pool.scan.scanned" /* the storage was read, and the table is not published */

/* --- a start in another thread ---------------------------------------------------------------- */

typedef struct {
    CstPool *pool;
    CstTask *task;
    gboolean done;
    GError *error;
    GThread *thread;
} Start;

static gpointer start_thread(gpointer data)
{
    Start *start = data;

    start->done = cst_pool_start(start->pool, 0, start->task, &start->error);
    return NULL;
}

static void stop_pool(CstPool *pool)
{
    g_autoptr(GError) error = NULL;

    cst_pool_stop(pool, NULL, &error);
    assert_no_error(error);
}

/* Starts an inactive pool, and returns when the start is held at @point. */
static void start_held_at(Start *start, CstPool *pool, const char *point)
{
    point_hold(point);
    start->pool = pool;
    start->thread = g_thread_new("start", start_thread, start);
    point_await(point, 1);
    assert_true(cst_pool_is_active(pool));
}

/* Like start_held_at(), in the first scan. */
static void start_held(Start *start, CstPool *pool)
{
    start_held_at(start, pool, SCANNED);
}

static void start_join(Start *start)
{
    g_thread_join(start->thread);
    assert_false(start->pool->reading);
    assert_null(start->pool->reader);
}

static void start_ends_well_at(Start *start, const char *point)
{
    point_release(point);
    start_join(start);
    assert_no_error(start->error);
    assert_true(start->done);
    points_clear();
}

static void start_ends_well(Start *start)
{
    start_ends_well_at(start, SCANNED);
}

/* A call that waits for a scan for at most a millisecond. */
typedef struct {
    CstLogContext log;
    CstTask *task;
} Brief;

static void brief_begin(Brief *brief)
{
    cst_log_context_init(&brief->log);
    brief->task = cst_task_new();
    cst_task_set_max_wait(brief->task, 1000);
    brief->log.task = brief->task;
    cst_log_push(&brief->log);
}

static void brief_end(Brief *brief)
{
    cst_log_pop(&brief->log);
    cst_task_unref(brief->task);
}

/* --- the mark of an unread pool --------------------------------------------------------------- */

typedef struct {
    CstPool *pool;
    CstPoolState *state;
} Rescan;

static gpointer rescan_thread(gpointer data)
{
    Rescan *rescan = data;

    assert_true(pool_scan(rescan->pool, rescan->state, NULL, NULL));
    return NULL;
}

/* The scan of a client has read the pool, and has not removed the mark yet. */
static void mark_of_the_next_start_outlives_a_scan_of_the_previous_one(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(CstPoolState) state_of_first = NULL;
    Start first = {0}, second = {0};
    Rescan rescan = {.pool = pool};
    GThread *thread;

    stop_pool(pool);
    start_held_at(&first, pool, "pool.read.begins");
    rescan.state = state_of_first = pool_state_get(pool, NULL);
    point_hold("pool.scan.read");
    thread = g_thread_new("rescan", rescan_thread, &rescan);
    point_await("pool.scan.read", 1);
    point_release("pool.read.begins");
    start_join(&first);
    assert_true(first.done);
    stop_pool(pool);
    start_held_at(&second, pool, "pool.read.begins");
    assert_true(cst_pool_is_unread(f->paths, "p"));
    point_release("pool.scan.read");
    g_thread_join(thread);
    assert_true(cst_pool_is_unread(f->paths, "p"));
    start_ends_well_at(&second, "pool.read.begins");
    assert_false(cst_pool_is_unread(f->paths, "p"));
}

/* --- use during the scan ---------------------------------------------------------------------- */

static void single_volumes_are_usable_during_the_first_scan(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), found = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(f->images, "p", "old", NULL), *name = NULL;
    CstVolInfo info;
    CstPoolInfo sizes;
    Start start = {0};

    stop_pool(pool);
    fixture_write(f, "p", "old", "content");
    start_held(&start, pool);
    assert_true(cst_vol_get_info(pool, "old", &info, &error));
    assert_int_equal(info.capacity, 7);
    assert_true(cst_service_volume_by_path(f->service, path, &found, &name, &error));
    assert_ptr_equal(found, pool);
    fixture_create(pool, "new", "raw", "");
    assert_true(cst_vol_resize(pool, "new", 2 << 20, 0, NULL, &error));
    cst_pool_get_info(pool, &sizes);
    assert_int_equal(sizes.state, CST_POOL_RUNNING);
    assert_true(sizes.capacity > 0);
    start_ends_well(&start);
    assert_true(cst_vol_get_info(pool, "new", &info, &error));
    assert_int_equal(info.capacity, 2 << 20);
}

static void counts_wait_for_the_announced_scan(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;
    Start start = {0};
    Brief brief = {0};
    guint count = 0;

    stop_pool(pool);
    fixture_write(f, "p", "old", "content");
    start_held_at(&start, pool, "pool.read.begins");
    fixture_create(pool, "new", "raw", "");
    brief_begin(&brief);
    assert_false(cst_pool_count_volumes(pool, &count, &error));
    assert_error(&error, CST_ERROR_BUSY);
    brief_end(&brief);
    start_ends_well_at(&start, "pool.read.begins");
    assert_true(cst_pool_count_volumes(pool, &count, &error));
    assert_int_equal(count, 2);
}

/* --- overlays --------------------------------------------------------------------------------- */

static void forget_references(Fixture *f)
{
    g_autofree char *dir = g_build_filename(f->images, "over", NULL);
    g_autoptr(GPtrArray) added = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) records = cst_overlays_of_dir(f->service->declarations, dir, &error);

    assert_no_error(error);
    assert_true(cst_overlays_change(f->service->declarations, records, added, &error));
}

/*
 * Makes volume "base" in the pool "bases", and its overlay "top" in the inactive pool "over", whose
 * references were never recorded.
 */
static CstPool *bases_pool(Fixture *f, CstPool **ret_over)
{
    CstPool *bases = fixture_pool(f, "bases");
    g_autofree char *backing = g_strdup_printf("<backingStore><path>%s/bases/base</path>"
                                               "<format type='raw'/></backingStore>",
                                               f->images);

    *ret_over = fixture_pool(f, "over");
    fixture_create(bases, "base", "raw", "");
    fixture_create(*ret_over, "top", "qcow2", backing);
    stop_pool(*ret_over);
    forget_references(f);
    return bases;
}

static void assert_base_is_busy(CstPool *bases)
{
    g_autoptr(GError) error = NULL;
    Brief brief = {0};

    brief_begin(&brief);
    assert_false(cst_vol_delete(bases, "base", 0, NULL, &error));
    assert_non_null(strstr(error->message, "'over'"));
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_vol_rename(bases, "base", "other", NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_vol_wipe(bases, "base", CST_WIPE_ZERO, 0, NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_null(cst_vol_chain(bases, "base", &error));
    assert_error(&error, CST_ERROR_BUSY);
    brief_end(&brief);
}

static void base_is_kept_while_the_pool_of_its_overlay_is_read(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) over = NULL;
    g_autoptr(CstPool) bases = bases_pool(f, &over);
    g_autoptr(GError) error = NULL;
    Start start = {0};

    start_held(&start, over);
    assert_base_is_busy(bases);
    start_ends_well(&start);
    assert_false(cst_vol_delete(bases, "base", 0, NULL, &error));
    assert_non_null(strstr(error->message, "over/top"));
    assert_error(&error, CST_ERROR_BUSY);
}

/* Makes the directory of the pool unreadable by name. */
static void hide_directory(gpointer data)
{
    const Fixture *f = data;
    g_autofree char *dir = g_build_filename(f->images, "over", NULL);
    g_autofree char *away = g_build_filename(f->images, "away", NULL);

    assert_int_equal(rename(dir, away), 0);
}

static void show_directory(Fixture *f)
{
    g_autofree char *dir = g_build_filename(f->images, "over", NULL);
    g_autofree char *away = g_build_filename(f->images, "away", NULL);

    assert_int_equal(rename(away, dir), 0);
}

static VolumeClaim stream = {.stream = TRUE};

static void open_stream(gpointer pool)
{
    assert_true(volume_claim(&stream, pool, "top", CLAIM_READ, NULL));
}

/* The pool cannot be stopped because a client has a stream, so its overlays stay unknown. */
static void base_is_kept_while_a_pool_is_active_and_unread(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) over = NULL;
    g_autoptr(CstPool) bases = bases_pool(f, &over);
    g_autofree char *problem = NULL;

    point_run("pool.read.begins", hide_directory, f);
    point_run("pool.read.failed", open_stream, over);
    assert_false(cst_pool_start(over, 0, NULL, NULL));
    points_clear();
    assert_true(cst_pool_is_active(over));
    problem = cst_pool_get_problem(over);
    assert_non_null(problem);
    assert_base_is_busy(bases);
    volume_release(&stream);
    show_directory(f);
}

/* --- failures and stops ----------------------------------------------------------------------- */

typedef struct {
    char kinds[8];
    guint count;
} Events;

static void note_event(const CstEvent *event, gpointer data)
{
    Events *events = data;

    if (event->type == CST_EVENT_POOL_LIFECYCLE && events->count < sizeof(events->kinds) - 1)
        events->kinds[events->count++] = event->kind == CST_POOL_EVENT_STARTED   ? '+'
                                         : event->kind == CST_POOL_EVENT_STOPPED ? '-'
                                                                                 : '?';
}

static void pool_stops_when_its_first_scan_fails(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) over = fixture_pool(f, "over");
    g_autoptr(GError) error = NULL;
    Events events = {0};
    guint id;

    stop_pool(over);
    id = cst_service_subscribe(f->service, note_event, &events);
    point_run("pool.read.begins", hide_directory, f);
    assert_false(cst_pool_start(over, 0, NULL, &error));
    assert_non_null(error);
    assert_false(cst_pool_is_active(over));
    assert_false(over->unread);
    points_clear();
    show_directory(f);
    cst_service_unsubscribe(f->service, id);
    assert_string_equal(events.kinds, "+-");
    g_clear_error(&error);
    assert_true(cst_pool_start(over, 0, NULL, &error));
}

typedef struct {
    Fixture *f;
    CstPool *pool;
} Restart;

static void restart_with_storage(gpointer data)
{
    const Restart *restart = data;

    show_directory(restart->f);
    stop_pool(restart->pool);
    assert_true(cst_pool_start(restart->pool, 0, NULL, NULL));
}

/* Between the failure and the stop, a user stops the pool and starts it again. */
static void failed_first_scan_does_not_stop_the_next_start(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) over = fixture_pool(f, "over");
    Restart restart = {f, over};

    stop_pool(over);
    point_run("pool.read.begins", hide_directory, f);
    point_run("pool.read.failed", restart_with_storage, &restart);
    assert_false(cst_pool_start(over, 0, NULL, NULL));
    points_clear();
    assert_true(cst_pool_is_active(over));
}

static void failed_refresh_like_libvirt_does_not_stop_the_next_start(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) over = fixture_pool(f, "over");
    Restart restart = {f, over};

    cst_service_set_like_libvirt(f->service, TRUE);
    hide_directory(f);
    point_run("pool.refresh.failed", restart_with_storage, &restart);
    assert_false(cst_pool_refresh(over, 0, NULL, NULL));
    points_clear();
    assert_true(cst_pool_is_active(over));
    hide_directory(f);
    assert_false(cst_pool_refresh(over, 0, NULL, NULL));
    assert_false(cst_pool_is_active(over));
    show_directory(f);
}

static gpointer stop_thread(gpointer data)
{
    stop_pool(data);
    return NULL;
}

static void stop_ends_the_first_scan(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    GThread *stop;
    g_autoptr(CstTask) task = cst_task_new();
    Start start = {.task = task};

    stop_pool(pool);
    point_watch("pool.abort_reading.waited");
    start_held(&start, pool);
    stop = g_thread_new("stop", stop_thread, pool);
    /* The stop goes on waiting, because the scan still uses the storage. */
    point_await("pool.abort_reading.waited", 2);
    assert_true(cst_task_cancelled(task));
    assert_true(cst_pool_is_active(pool));
    point_release(SCANNED);
    g_thread_join(stop);
    start_join(&start);
    points_clear();
    assert_false(start.done);
    assert_error(&start.error, CST_ERROR_STATE);
    assert_false(cst_pool_is_active(pool));
}

/* The stop waits no longer than its task permits, so a new start may overtake the former one. */
static void former_start_does_not_end_the_first_scan_of_the_next_start(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    Start former = {0}, next = {0};
    Brief brief = {0};

    stop_pool(pool);
    start_held(&former, pool);
    brief_begin(&brief);
    assert_true(cst_pool_stop(pool, brief.task, NULL));
    brief_end(&brief);
    start_held_at(&next, pool, "pool.read.begins");
    point_release(SCANNED);
    g_thread_join(former.thread);
    assert_error(&former.error, CST_ERROR_STATE);
    assert_true(pool->reading);
    start_ends_well_at(&next, "pool.read.begins");
    assert_true(cst_pool_is_active(pool));
}

static void cancelled_start_leaves_the_pool_inactive(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    stop_pool(pool);
    fixture_write(f, "p", "old", "content");
    point_run("pool.read.begins", (void (*)(gpointer))cst_task_cancel, task);
    assert_false(cst_pool_start(pool, 0, task, &error));
    assert_error(&error, CST_ERROR_CANCELLED);
    assert_false(cst_pool_is_active(pool));
    points_clear();
}

static void stop_service(gpointer service)
{
    cst_service_stop(service);
}

/* The pool may be in use, so the next daemon adopts it. */
static void pool_stays_active_when_the_daemon_stops_during_its_first_scan(void **state)
{
    Fixture *f = *state;
    CstPool *pool = fixture_pool(f, "p");
    guint count = 0;

    stop_pool(pool);
    fixture_write(f, "p", "old", "content");
    point_run("pool.read.begins", stop_service, f->service);
    assert_false(cst_pool_start(pool, 0, NULL, NULL));
    points_clear();
    cst_pool_unref(pool);
    fixture_restart(f, CST_SERVICE_DAEMON);
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    assert_true(cst_pool_is_active(pool));
    assert_true(cst_pool_count_volumes(pool, &count, NULL));
    assert_int_equal(count, 1);
    cst_pool_unref(pool);
}

static void save_mark(gpointer data)
{
    const Fixture *f = data;

    assert_true(cst_pool_is_unread(f->paths, "over"));
    hide_directory(data);
    stop_service(f->service);
}

/* The next daemon cannot scan the pool either. */
static void base_is_kept_after_an_interrupted_first_scan(void **state)
{
    Fixture *f = *state;
    CstPool *over, *bases = bases_pool(f, &over);

    point_run("pool.read.begins", save_mark, f);
    assert_false(cst_pool_start(over, 0, NULL, NULL));
    points_clear();
    cst_pool_unref(over);
    cst_pool_unref(bases);
    fixture_restart(f, CST_SERVICE_DAEMON);
    bases = cst_service_pool_by_name(f->service, "bases", NULL);
    assert_base_is_busy(bases);
    cst_pool_unref(bases);
    show_directory(f);
}

static void mark_is_removed_by_scan_stop_and_failed_start(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) over = fixture_pool(f, "over");
    Start start = {0};

    assert_false(cst_pool_is_unread(f->paths, "over"));
    stop_pool(over);
    start_held(&start, over);
    assert_true(cst_pool_is_unread(f->paths, "over"));
    start_ends_well(&start);
    assert_false(cst_pool_is_unread(f->paths, "over"));
    stop_pool(over);
    point_run("pool.read.begins", hide_directory, f);
    assert_false(cst_pool_start(over, 0, NULL, NULL));
    assert_false(cst_pool_is_unread(f->paths, "over"));
    points_clear();
    show_directory(f);
}

static void mark_of_an_inactive_pool_is_removed_by_a_load(void **state)
{
    Fixture *f = *state;

    assert_true(cst_pool_unread_save(f->paths, "over", NULL));
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_false(cst_pool_is_unread(f->paths, "over"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mark_of_the_next_start_outlives_a_scan_of_the_previous_one),
        TEST(single_volumes_are_usable_during_the_first_scan),
        TEST(counts_wait_for_the_announced_scan),
        TEST(base_is_kept_while_the_pool_of_its_overlay_is_read),
        TEST(base_is_kept_while_a_pool_is_active_and_unread),
        TEST(pool_stops_when_its_first_scan_fails),
        TEST(failed_first_scan_does_not_stop_the_next_start),
        TEST(failed_refresh_like_libvirt_does_not_stop_the_next_start),
        TEST(stop_ends_the_first_scan),
        TEST(former_start_does_not_end_the_first_scan_of_the_next_start),
        TEST(cancelled_start_leaves_the_pool_inactive),
        TEST(pool_stays_active_when_the_daemon_stops_during_its_first_scan),
        TEST(base_is_kept_after_an_interrupted_first_scan),
        TEST(mark_is_removed_by_scan_stop_and_failed_start),
        TEST(mark_of_an_inactive_pool_is_removed_by_a_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
