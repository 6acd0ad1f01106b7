/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/memory.h>
#include <pool/registry.h>

#include "await.h"
#include "fixture.h"
#include "points.h"

#include "recovery/recovery.h"

#define MOMENT_US  (500 * G_TIME_SPAN_MILLISECOND)
#define MOST_POLLS 1000 /* of the monitor's thread, for one change and some mounts */
#define WAKES      100000
#define AT_ONCE    64 /* pools that the monitor scans at the same time */

/* --- storage that reports changes, and hangs on request --------------------------------------- */

static struct {
    GMutex lock;
    GCond cond;
    GThread *test;        /* the test's own calls never hang */
    const char *hanging;  /* the callback that hangs */
    const char *store;    /* it hangs in stores whose names have this prefix; NULL: never */
    guint waiting;        /* hanging calls */
    guint most_waiting;   /* maximum of hanging calls at a time */
    guint begun;          /* scans of single volumes */
    guint scanned;        /* scans of all volumes */
    guint watched;        /* opened watches */
    guint missing;        /* 1: the storage is missing */
    gint estimates;       /* atomic: number of further usages that are estimates */
    gint may_hang;        /* atomic: the backend has the callback "touch" */
    guint warned;         /* logged warnings */
    GHashTable *watchers; /* name of a store to the write end of its pipe */
    GHashTable *events;   /* name of a pool to the number of its refresh events */
} fake;

/* Two constant tables, because hanging threads still use one of them. */
static CstBackend backend, backend_that_hangs;

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return g_atomic_int_get(&fake.may_hang) ? &backend_that_hangs : &backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == backend.type;
}

/* Call it with the lock held. */
static gboolean hangs(const char *callback, const CstPoolDef *def)
{
    return fake.store && g_thread_self() != fake.test && strcmp(callback, fake.hanging) == 0 &&
           g_str_has_prefix(def->source.name, fake.store);
}

static void enter(const char *callback, const CstPoolDef *def)
{
    g_mutex_lock(&fake.lock);
    fake.begun += strcmp(callback, "scan_one") == 0;
    if (hangs(callback, def)) {
        fake.waiting++;
        fake.most_waiting = MAX(fake.most_waiting, fake.waiting);
        while (hangs(callback, def))
            g_cond_wait(&fake.cond, &fake.lock);
        fake.waiting--;
    }
    g_mutex_unlock(&fake.lock);
}

static gboolean fake_touch(const CstPoolDef *def, GError **error)
{
    enter("touch", def);
    return TRUE;
}

/* Returns one of the counters of @fake. */
static guint counted(const guint *counter)
{
    guint result;

    g_mutex_lock(&fake.lock);
    result = *counter;
    g_mutex_unlock(&fake.lock);
    return result;
}

static gboolean is_missing(GError **error)
{
    return counted(&fake.missing) && !cst_fail(error, CST_ERROR_IO, "the storage is away");
}

static gboolean fake_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                              CstVolume **ret_volume, GError **error)
{
    enter("scan_one", state->def);
    return !is_missing(error) && cst_memory_backend.scan_one(state, name, known, ret_volume, error);
}

static gboolean fake_space_usage(CstPoolState *state, GPtrArray *usage, GError **error)
{
    enter("space_usage", state->def);
    cst_space_usage_add(usage, 5000, FALSE, "a room");
    return TRUE;
}

/* The first usages are estimates. */
static gboolean fake_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    if (g_atomic_int_add(&fake.estimates, -1) > 0)
        ret_usage->until = g_get_monotonic_time() + MOMENT_US;
    return TRUE;
}

static gboolean fake_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    g_mutex_lock(&fake.lock);
    fake.scanned++;
    g_mutex_unlock(&fake.lock);
    return !is_missing(error) && cst_memory_backend.scan(state, scan, task, error);
}

static int fake_watch_open(CstPoolState *state, GError **error)
{
    int ends[2];

    g_mutex_lock(&fake.lock);
    fake.watched++;
    g_mutex_unlock(&fake.lock);
    if (is_missing(error))
        return -1;
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    g_mutex_lock(&fake.lock);
    g_hash_table_insert(fake.watchers, g_strdup(state->def->source.name), GINT_TO_POINTER(ends[1]));
    g_mutex_unlock(&fake.lock);
    return ends[0];
}

/* Volume names have one character, so reads are never split; "*": any volume. */
static void fake_watch_read(CstPoolState *state, int fd,
                            void (*changed)(const char *name, gpointer data), gpointer data)
{
    char name[2] = {0};

    while (read(fd, name, 1) == 1)
        changed(*name == '*' ? NULL : name, data);
}

static void hang(const char *callback, const char *store)
{
    g_mutex_lock(&fake.lock);
    fake.hanging = callback;
    fake.store = store;
    g_cond_broadcast(&fake.cond);
    g_mutex_unlock(&fake.lock);
}

static void release(void)
{
    hang(NULL, NULL);
}

static void assert_waiting(guint count)
{
    AWAIT_STATE(counted(&fake.waiting) == count, "%u callbacks wait instead of %u",
                counted(&fake.waiting), count);
}

/* --- pools on it, and their events ------------------------------------------------------------ */

static CstPool *start_pool(Fixture *f, const char *name)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='rbd'><name>%s</name><source>"
                        "<host name='localhost'/><name>%s</name></source></pool>",
                        name, name);
    GError *error = NULL;
    CstPool *pool =
        cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, &error);

    assert_no_error(error);
    return pool;
}

static void tell(const char *store, const char *what)
{
    int fd;

    g_mutex_lock(&fake.lock);
    fd = GPOINTER_TO_INT(g_hash_table_lookup(fake.watchers, store));
    g_mutex_unlock(&fake.lock);
    assert_int_equal(write(fd, what, 1), 1);
}

/* Makes a volume like another program. */
static void put(const char *store, const char *volume)
{
    cst_memory_put(store, volume, NULL, 512);
    tell(store, volume);
}

static guint count_volumes(CstPool *pool)
{
    GError *error = NULL;
    guint count = 0;

    cst_pool_count_volumes(pool, &count, &error);
    assert_no_error(error);
    return count;
}

static void note_event(const CstEvent *event, gpointer data)
{
    guint count;

    if (event->type != CST_EVENT_POOL_REFRESH)
        return;
    g_mutex_lock(&fake.lock);
    count = GPOINTER_TO_UINT(g_hash_table_lookup(fake.events, event->name));
    g_hash_table_insert(fake.events, g_strdup(event->name), GUINT_TO_POINTER(count + 1));
    g_mutex_unlock(&fake.lock);
}

static guint count_events(const char *pool)
{
    guint count;

    g_mutex_lock(&fake.lock);
    count = GPOINTER_TO_UINT(g_hash_table_lookup(fake.events, pool));
    g_mutex_unlock(&fake.lock);
    return count;
}

static void assert_count(CstPool *pool, guint volumes)
{
    AWAIT_STATE(count_volumes(pool) == volumes, "%u volumes instead of %u", count_volumes(pool),
                volumes);
}

/* When the event arrives, the table and the pool's problem are up to date. */
static void assert_noticed(CstPool *pool, guint events, guint volumes)
{
    AWAIT_STATE(count_events(cst_pool_name(pool)) >= events, "%u events instead of %u",
                count_events(cst_pool_name(pool)), events);
    assert_int_equal(count_events(cst_pool_name(pool)), events);
    assert_int_equal(count_volumes(pool), volumes);
}

/* Starts @count pools and makes one change in each. All scans that run at the same time hang. */
static GPtrArray *hang_many(Fixture *f, guint count)
{
    GPtrArray *pools = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);

    for (guint i = 0; i < count; i++) {
        g_autofree char *name = g_strdup_printf("slow%u", i);

        g_ptr_array_add(pools, start_pool(f, name));
    }
    hang("scan_one", "slow");
    for (guint i = 0; i < count; i++)
        put(cst_pool_name(g_ptr_array_index(pools, i)), "a");
    assert_waiting(MIN(count, AT_ONCE));
    return pools;
}

static void hanging_pools_do_not_delay_other_pools(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) quick = start_pool(f, "quick");
    g_autoptr(GPtrArray) slow = hang_many(f, AT_ONCE - 1);

    put("quick", "a");
    assert_noticed(quick, 1, 1);
    put("quick", "b");
    assert_noticed(quick, 2, 2);
    assert_int_equal(counted(&fake.waiting), slow->len);
    release();
    for (guint i = 0; i < slow->len; i++)
        assert_noticed(g_ptr_array_index(slow, i), 1, 1);
}

static void hanging_usage_query_does_not_delay_other_pools(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) quick = start_pool(f, "quick");
    g_autoptr(CstPool) slow = NULL;

    hang("space_usage", "slow");
    slow = start_pool(f, "slow");
    assert_waiting(1);
    put("quick", "a");
    assert_noticed(quick, 1, 1);
    release();
    put("slow", "a");
    assert_noticed(slow, 1, 1);
}

static void change_during_a_scan_is_scanned_afterwards(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = start_pool(f, "slow"), quick = start_pool(f, "quick");

    hang("scan_one", "slow");
    put("slow", "a");
    assert_waiting(1);
    put("slow", "b");
    put("slow", "c");
    /* The later report for another pool has been processed. */
    put("quick", "a");
    assert_noticed(quick, 1, 1);
    assert_int_equal(counted(&fake.waiting), 1);
    assert_int_equal(counted(&fake.begun), 2);
    assert_int_equal(count_events("slow"), 0);
    release();
    assert_noticed(pool, 2, 3);
    assert_int_equal(counted(&fake.begun), 4);
}

/* Changes of this process are reported too. The operation scans the volume once, when it ends. */
static void volume_in_use_is_scanned_at_the_end_of_its_use(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = start_pool(f, "quick");
    g_autoptr(CstUpload) upload = NULL;
    guint before;

    put("quick", "a");
    assert_noticed(pool, 1, 1);
    upload = cst_vol_upload(pool, "a", 0, 4, 0, NULL, NULL);
    assert_non_null(upload);
    before = counted(&fake.begun);
    put("quick", "b");
    put("quick", "a");
    assert_noticed(pool, 2, 2);
    assert_int_equal(counted(&fake.begun), before + 1);
    g_clear_pointer(&upload, cst_upload_free);
    assert_int_equal(counted(&fake.begun), before + 2);
}

static void workers_are_limited_and_every_pool_is_scanned(void **state)
{
    Fixture *f = *state;
    g_autoptr(GPtrArray) pools = hang_many(f, AT_ONCE + 6);

    release();
    for (guint i = 0; i < pools->len; i++)
        assert_noticed(g_ptr_array_index(pools, i), 1, 1);
    assert_int_equal(counted(&fake.most_waiting), AT_ONCE);
}

static void pool_stops_and_starts_while_a_scan_hangs(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = start_pool(f, "slow");
    g_autoptr(CstPool) again = NULL;

    hang("scan_one", "slow");
    put("slow", "a");
    assert_waiting(1);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    again = start_pool(f, "slow");
    assert_int_equal(count_volumes(again), 1);
    release();
    put("slow", "b");
    assert_count(again, 2);
}

static void set_missing(gboolean missing)
{
    g_mutex_lock(&fake.lock);
    fake.missing = missing;
    g_mutex_unlock(&fake.lock);
}

static GLogWriterOutput count_warning(GLogLevelFlags level, const GLogField *fields, gsize count,
                                      gpointer unused)
{
    g_mutex_lock(&fake.lock);
    for (gsize i = 0; i < count; i++)
        fake.warned += g_str_equal(fields[i].key, "MESSAGE") &&
                       strstr(fields[i].value, "the storage is away") != NULL;
    g_mutex_unlock(&fake.lock);
    return G_LOG_WRITER_HANDLED;
}

static void assert_problem(CstPool *pool, const char *expected)
{
    g_autofree char *problem = cst_pool_get_problem(pool);

    assert_true(expected ? problem && strstr(problem, expected) : !problem);
}

/* Triggers one more scan of the pool, whose storage is missing. */
static void try_again(const char *store)
{
    guint before = counted(&fake.scanned);

    tell(store, "*");
    AWAIT(counted(&fake.scanned) > before);
}

/*
 * The loss of the storage is logged once and is one event, regardless of the number of retries. Its
 * return is the second event. The old watch may belong to removed storage, so a new watch is
 * opened.
 */
static void storage_that_comes_back_is_watched_again(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = start_pool(f, "away");

    set_missing(TRUE);
    put("away", "a");
    assert_noticed(pool, 1, 0);
    assert_problem(pool, "the storage is away");
    assert_int_equal(counted(&fake.watched), 1);
    try_again("away");
    set_missing(FALSE);
    assert_noticed(pool, 2, 1);
    assert_problem(pool, NULL);
    assert_int_equal(counted(&fake.warned), 1);
    put("away", "b");
    assert_noticed(pool, 3, 2);
    set_missing(TRUE);
    tell("away", "*");
    assert_noticed(pool, 4, 2);
}

static gboolean has_problem(CstPool *pool)
{
    g_autofree char *problem = cst_pool_get_problem(pool);

    return problem != NULL;
}

/* No client calls the pool: the monitor finds out by itself. */
static void hanging_storage_is_a_problem_until_it_answers(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = NULL, quick = NULL;

    g_atomic_int_set(&fake.may_hang, TRUE);
    hang("touch", "away");
    pool = start_pool(f, "away");
    quick = start_pool(f, "quick");
    AWAIT(has_problem(pool));
    assert_problem(pool, "the storage of pool 'away' has not answered for");
    assert_problem(quick, NULL);
    assert_noticed(pool, 1, 0);
    cst_memory_put("away", "a", NULL, 512);
    release();
    assert_noticed(pool, 2, 1);
    assert_problem(pool, NULL);
}

static void monitor_does_not_poll_without_a_change(void **state)
{
    g_autoptr(CstPool) pool = start_pool(*state, "quick");

    point_watch("monitor.thread.poll");
    put("quick", "a");
    assert_noticed(pool, 1, 1);
    assert_true(point_passed("monitor.thread.poll") < MOST_POLLS);
}

/* Each start of a pool wakes the thread. A walk over the watches serves all wakes of 20 ms. */
static void many_wakes_cause_few_walks(void **state)
{
    g_autoptr(CstPool) pool = start_pool(*state, "quick");
    gint64 begun = g_get_monotonic_time(), took;
    guint passes;

    point_watch("monitor.thread.poll");
    for (guint i = 0; i < WAKES; i++)
        recovery_pool_stopped(pool);
    point_await("monitor.thread.poll", 1);
    /* The time has to include each walk that is counted. */
    passes = point_passed("monitor.thread.poll");
    took = (g_get_monotonic_time() - begun) / G_TIME_SPAN_MILLISECOND;
    assert_in_range(passes, 0, took / 20 + 2);
}

/* Repeats the query until the usage is no estimate, and then stops. */
static void an_estimated_usage_is_asked_for_again(void **state)
{
    g_autoptr(CstPool) pool = start_pool(*state, "quick");

    g_atomic_int_set(&fake.estimates, 2);
    put("quick", "a");
    assert_noticed(pool, 1, 1);
    AWAIT_STATE(g_atomic_int_get(&fake.estimates) < 0, "%d estimates left",
                g_atomic_int_get(&fake.estimates));
    /* The next change causes one more query. */
    put("quick", "b");
    assert_noticed(pool, 2, 2);
    assert_int_equal(g_atomic_int_get(&fake.estimates), -2);
}

static gpointer end_service(gpointer data)
{
    Fixture *f = data;

    g_clear_pointer(&f->service, cst_service_free);
    return NULL;
}

/*
 * A hanging scan uses its pool, so the service waits for it; cisternd exits after ten seconds. The
 * service starts no further scan.
 */
static void end_waits_only_for_running_scans(void **state)
{
    Fixture *f = *state;
    GThread *thread;

    g_ptr_array_unref(hang_many(f, AT_ONCE + 6));
    point_watch("monitor.free.joined");
    thread = g_thread_new("end", end_service, f);
    point_await("monitor.free.joined", 1);
    assert_int_equal(counted(&fake.waiting), AT_ONCE);
    release();
    g_thread_join(thread);
    assert_int_equal(counted(&fake.begun), AT_ONCE);
}

static void close_watcher(gpointer fd)
{
    close(GPOINTER_TO_INT(fd));
}

static int set_up(void **state)
{
    /* A scan that hung in the previous test may still be ending. */
    g_mutex_lock(&fake.lock);
    fake.test = g_thread_self();
    fake.begun = fake.most_waiting = fake.scanned = fake.watched = fake.warned = 0;
    fake.missing = FALSE;
    fake.watchers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_watcher);
    fake.events = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_mutex_unlock(&fake.lock);
    fixture_setup(state);
    cst_service_subscribe(((Fixture *)*state)->service, note_event, NULL);
    return 0;
}

static int tear_down(void **state)
{
    release();
    points_clear();
    fixture_teardown(state);
    g_atomic_int_set(&fake.may_hang, FALSE);
    cst_memory_clear();
    g_hash_table_unref(fake.watchers);
    g_hash_table_unref(fake.events);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(hanging_pools_do_not_delay_other_pools),
        TEST(hanging_usage_query_does_not_delay_other_pools),
        TEST(change_during_a_scan_is_scanned_afterwards),
        TEST(volume_in_use_is_scanned_at_the_end_of_its_use),
        TEST(workers_are_limited_and_every_pool_is_scanned),
        TEST(pool_stops_and_starts_while_a_scan_hangs),
        TEST(storage_that_comes_back_is_watched_again),
        TEST(hanging_storage_is_a_problem_until_it_answers),
        TEST(monitor_does_not_poll_without_a_change),
        TEST(many_wakes_cause_few_walks),
        TEST(an_estimated_usage_is_asked_for_again),
        TEST(end_waits_only_for_running_scans),
    };

    backend = cst_memory_backend;
    backend.scan = fake_scan;
    backend.scan_one = fake_scan_one;
    backend.space_usage = fake_space_usage;
    backend.usage = fake_usage;
    backend.watch_open = fake_watch_open;
    backend.watch_read = fake_watch_read;
    backend_that_hangs = backend;
    backend_that_hangs.touch = fake_touch;
    g_log_set_writer_func(count_warning, NULL, NULL);
    cst_liveness_times = (struct CstLivenessTimes){.patience = MOMENT_US, .period = 1000};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
