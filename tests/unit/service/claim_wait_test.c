/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims and changes that wait for each other (core/claim.h). Another thread acts exactly before a
 * wait, or while the pool's lock is released. A wait without a task ends only when it is woken, so
 * tests with such waits also verify the wake-up.
 */
#include "memory_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "core/claim.h"
#include "core/registry.h"
#include "points.h"

/* --- claims and changes in threads ------------------------------------------------------------ */

typedef struct {
    CstPool *pool;
    const char *name; /* NULL: a change of the pool */
    ClaimKind kind;
    VolumeClaim claim;
    CstTask *task;
    gboolean done;
    GError *error;
    GThread *thread;
} Attempt;

static gpointer run_attempt(gpointer data)
{
    Attempt *attempt = data;

    if (attempt->name)
        attempt->done = volume_claim(&attempt->claim, attempt->pool, attempt->name, attempt->kind,
                                     &attempt->error);
    else
        attempt->done = pool_change_begin(attempt->pool, attempt->task, &attempt->error);
    return NULL;
}

/* Starts the attempt, which then waits. At that time "pool.wait" has been passed @passes times. */
static void attempt_begin(Attempt *attempt, guint passes)
{
    attempt->claim.task = attempt->task;
    attempt->thread = g_thread_new("attempt", run_attempt, attempt);
    point_await("pool.wait", passes);
}

static void assert_granted(Attempt *attempt)
{
    g_thread_join(attempt->thread);
    assert_no_error(attempt->error);
    assert_true(attempt->done);
    assert_false(cst_task_waiting(attempt->task));
}

static void assert_refused(Attempt *attempt, int code, const char *words)
{
    g_thread_join(attempt->thread);
    assert_false(attempt->done);
    assert_non_null(attempt->error);
    if (!strstr(attempt->error->message, words))
        fail_msg("no \"%s\" in: %s", words, attempt->error->message);
    assert_error(&attempt->error, code);
    assert_false(cst_task_waiting(attempt->task));
}

static void claim_now(VolumeClaim *claim, CstPool *pool, const char *name, ClaimKind kind)
{
    g_autoptr(GError) error = NULL;

    claim->at_once = TRUE;
    volume_claim(claim, pool, name, kind, &error);
    assert_no_error(error);
}

/* No claim or change is held, and a new one is granted at once. */
static void assert_unused(CstPool *pool)
{
    g_auto(VolumeClaim) claim = {0};
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    assert_int_equal(pool->claimed, 0);
    assert_int_equal(g_hash_table_size(pool->claims), 0);
    assert_int_equal(pool->orphans->len, 0);
    assert_false(pool->changing);
    assert_false(pool->draining);
    assert_null(pool->changer);
    claim_now(&claim, pool, "unused", CLAIM_WRITE);
    volume_release(&claim);
    cst_task_set_max_wait(task, 1);
    pool_change_begin(pool, task, &error);
    assert_no_error(error);
    pool_change_end(pool);
}

/* Returns whether the volume can be claimed for @kind now. */
static gboolean is_free(CstPool *pool, const char *name, ClaimKind kind)
{
    g_auto(VolumeClaim) claim = {.at_once = TRUE};

    return volume_claim(&claim, pool, name, kind, NULL);
}

/* Wakes all waits for the pool without a change. */
static void wake_all(CstPool *pool)
{
    g_mutex_lock(&pool->lock);
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
}

/*
 * Threads that are about to wait for the pool. Needed where other threads with a task pass
 * "pool.wait" often.
 */
static GMutex waiter_lock;
static GCond waiter_noted;
static GHashTable *waiters; /* of GThread * */

static void note_waiter(gpointer unused)
{
    g_mutex_lock(&waiter_lock);
    if (!waiters)
        waiters = g_hash_table_new(NULL, NULL);
    g_hash_table_add(waiters, g_thread_self());
    g_cond_broadcast(&waiter_noted);
    g_mutex_unlock(&waiter_lock);
}

static void await_waiter(GThread *thread)
{
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    g_mutex_lock(&waiter_lock);
    while (!waiters || !g_hash_table_contains(waiters, thread))
        if (!g_cond_wait_until(&waiter_noted, &waiter_lock, end))
            fail_msg("the claim does not wait for the change");
    g_clear_pointer(&waiters, g_hash_table_unref);
    g_mutex_unlock(&waiter_lock);
}

/* --- claims ----------------------------------------------------------------------------------- */

static void writer_waits_until_the_last_reader_ends(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    VolumeClaim first = {0}, second = {0};
    Attempt writer = {.pool = pool, .name = "v", .kind = CLAIM_WRITE};

    claim_now(&first, pool, "v", CLAIM_READ);
    claim_now(&second, pool, "v", CLAIM_READ);
    point_watch("pool.wait");
    attempt_begin(&writer, 1);
    volume_release(&first);
    point_await("pool.wait", 2);
    wake_all(pool);
    point_await("pool.wait", 3);
    volume_release(&second);
    assert_granted(&writer);
    assert_false(is_free(pool, "v", CLAIM_READ));
    volume_release(&writer.claim);
    assert_unused(pool);
    points_clear();
}

static void readers_wait_until_the_writer_ends(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    VolumeClaim writer = {0}, elsewhere = {0};
    Attempt readers[2] = {{.pool = pool, .name = "v", .kind = CLAIM_READ},
                          {.pool = pool, .name = "v", .kind = CLAIM_READ}};

    claim_now(&writer, pool, "v", CLAIM_WRITE);
    claim_now(&elsewhere, pool, "other", CLAIM_WRITE);
    point_watch("pool.wait");
    attempt_begin(&readers[0], 1);
    attempt_begin(&readers[1], 2);
    volume_release(&elsewhere);
    point_await("pool.wait", 4);
    volume_release(&writer);
    /* One release wakes both of them. */
    assert_granted(&readers[0]);
    assert_granted(&readers[1]);
    assert_false(is_free(pool, "v", CLAIM_WRITE));
    volume_release(&readers[0].claim);
    assert_false(is_free(pool, "v", CLAIM_WRITE));
    volume_release(&readers[1].claim);
    assert_unused(pool);
    points_clear();
}

/* Only streams are ignored: another kind of reader may need the file that the writer deletes. */
static void deletion_waits_for_reader_that_is_no_stream(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    VolumeClaim stream = {.stream = TRUE}, reader = {0};
    Attempt writer = {
        .pool = pool, .name = "v", .kind = CLAIM_WRITE, .claim = {.past_readers = TRUE}};

    claim_now(&stream, pool, "v", CLAIM_READ);
    claim_now(&reader, pool, "v", CLAIM_READ);
    point_watch("pool.wait");
    attempt_begin(&writer, 1);
    volume_release(&reader);
    assert_granted(&writer);
    volume_orphan_readers(&writer.claim);
    volume_release(&writer.claim);
    assert_true(is_free(pool, "v", CLAIM_WRITE));
    assert_int_equal(pool->claimed, 1);
    volume_release(&stream);
    assert_unused(pool);
    points_clear();
}

/* The conflict before the wait has ended. The next conflict is a stream, which is found. */
static void waiting_claim_is_refused_when_a_stream_comes_first(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstTask) task = cst_task_new();
    VolumeClaim reader = {0}, stream = {.stream = TRUE, .task = task};
    Attempt writer = {.pool = pool, .name = "v", .kind = CLAIM_WRITE};

    cst_task_set_kind(task, "download");
    claim_now(&reader, pool, "v", CLAIM_READ);
    point_watch("pool.wait");
    attempt_begin(&writer, 1);
    claim_now(&stream, pool, "v", CLAIM_READ);
    volume_release(&reader);
    assert_refused(&writer, CST_ERROR_BUSY, "volume 'v' is held by 'download'");
    volume_release(&stream);
    assert_unused(pool);
    points_clear();
}

/* The wait reaches its limit while the volume has another holder than at the start of the wait. */
static void refusal_names_the_present_holder(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstTask) first = cst_task_new(), second = cst_task_new(), task = cst_task_new();
    VolumeClaim claims[2] = {{.task = first}, {.task = second}};
    Attempt writer = {.pool = pool, .name = "v", .kind = CLAIM_WRITE, .task = task};

    cst_task_set_kind(first, "compare");
    cst_task_set_kind(second, "measure");
    claim_now(&claims[0], pool, "v", CLAIM_READ);
    point_watch("pool.wait");
    attempt_begin(&writer, 1);
    claim_now(&claims[1], pool, "v", CLAIM_READ);
    volume_release(&claims[0]);
    cst_task_set_max_wait(task, 1);
    assert_refused(&writer, CST_ERROR_BUSY, "'measure'");
    volume_release(&claims[1]);
    assert_unused(pool);
    points_clear();
}

static void new_volume_makes_its_second_maker_wait_only(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    VolumeClaim maker = {.creating = TRUE}, user = {0};
    Attempt second = {.pool = pool, .name = "v", .kind = CLAIM_WRITE, .claim = {.creating = TRUE}};
    g_autoptr(GError) error = NULL;

    claim_now(&maker, pool, "v", CLAIM_WRITE);
    assert_false(volume_claim(&user, pool, "v", CLAIM_READ, &error));
    assert_error(&error, CST_ERROR_BUSY);
    point_watch("pool.wait");
    attempt_begin(&second, 1);
    volume_release(&maker);
    assert_granted(&second);
    volume_release(&second.claim);
    assert_unused(pool);
    points_clear();
}

/* --- changes of a pool ------------------------------------------------------------------------ */

static void change_waits_until_the_last_claim_ends(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    VolumeClaim first = {0}, second = {0};
    Attempt change = {.pool = pool}, late = {.pool = pool, .name = "w", .kind = CLAIM_READ};

    claim_now(&first, pool, "v", CLAIM_READ);
    claim_now(&second, pool, "w", CLAIM_WRITE);
    point_watch("pool.wait");
    attempt_begin(&change, 1);
    volume_release(&first);
    point_await("pool.wait", 2);
    assert_true(pool->draining);
    /* New work waits, although that volume has no claim. */
    assert_false(is_free(pool, "v", CLAIM_READ));
    volume_release(&second);
    assert_granted(&change);
    assert_false(pool->draining);
    attempt_begin(&late, 3);
    wake_all(pool);
    point_await("pool.wait", 4);
    pool_change_end(pool);
    assert_granted(&late);
    volume_release(&late.claim);
    assert_unused(pool);
    points_clear();
}

static void changes_exclude_each_other(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstTask) task = cst_task_new(), impatient = cst_task_new();
    Attempt changes[2] = {{.pool = pool}, {.pool = pool, .task = task}};
    g_autoptr(GError) error = NULL;

    cst_task_set_kind(task, "stop");
    cst_task_set_max_wait(impatient, 1);
    assert_true(pool_change_begin(pool, task, NULL));
    point_watch("pool.wait");
    attempt_begin(&changes[0], 1);
    wake_all(pool);
    point_await("pool.wait", 2);
    assert_false(pool_change_begin(pool, impatient, &error));
    assert_non_null(strstr(error->message, "storage pool 'p' is being changed by 'stop'"));
    assert_error(&error, CST_ERROR_BUSY);
    pool_change_end(pool);
    assert_granted(&changes[0]);
    /* The message no longer names the first task. */
    assert_false(pool_change_begin(pool, impatient, &error));
    assert_non_null(strstr(error->message, "other work"));
    assert_error(&error, CST_ERROR_BUSY);
    pool_change_end(pool);
    assert_unused(pool);
    points_clear();
}

/* The waiting claim has no task. It continues because the change that gives up wakes it. */
static void change_that_gives_up_lets_claims_in(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstTask) task = cst_task_new();
    VolumeClaim holder = {0};
    Attempt change = {.pool = pool, .task = task};
    Attempt late = {.pool = pool, .name = "w", .kind = CLAIM_WRITE};

    claim_now(&holder, pool, "v", CLAIM_READ);
    point_watch("pool.wait");
    attempt_begin(&change, 1);
    point_run_always("pool.wait", note_waiter, NULL);
    late.thread = g_thread_new("attempt", run_attempt, &late);
    await_waiter(late.thread);
    cst_task_cancel(task);
    assert_refused(&change, CST_ERROR_CANCELLED, "");
    assert_granted(&late);
    volume_release(&late.claim);
    volume_release(&holder);
    assert_unused(pool);
    points_clear();
}

/* The pool is undefined while the change waits. */
static void change_of_removed_pool_fails(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    Attempt change = {.pool = pool};

    assert_true(pool_change_begin(pool, NULL, NULL));
    point_watch("pool.wait");
    attempt_begin(&change, 1);
    registry_remove(pool);
    pool_change_end(pool);
    assert_refused(&change, CST_ERROR_NO_POOL, "no storage pool with matching name 'p'");
    assert_false(pool->changing);
    assert_false(pool->draining);
    assert_null(pool->changer);
    points_clear();
}

/* Independent of the position of the stream in the table of claims. */
static void change_is_refused_for_a_stream_among_other_holders(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    g_autoptr(CstTask) task = cst_task_new(), impatient = cst_task_new();

    cst_task_set_kind(task, "upload");
    cst_task_set_max_wait(impatient, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        VolumeClaim claims[G_N_ELEMENTS(names)] = {0};
        g_autofree char *words = g_strdup_printf("volume '%s' is held by 'upload'", names[i]);
        g_autoptr(GError) error = NULL;

        for (size_t j = 0; j < G_N_ELEMENTS(names); j++) {
            claims[j].stream = i == j;
            claims[j].task = i == j ? task : NULL;
            claim_now(&claims[j], pool, names[j], CLAIM_READ);
        }
        assert_false(pool_change_begin(pool, impatient, &error));
        assert_non_null(strstr(error->message, words));
        assert_error(&error, CST_ERROR_BUSY);
        for (size_t j = 0; j < G_N_ELEMENTS(names); j++)
            volume_release(&claims[j]);
    }
    assert_unused(pool);
}

/*
 * A change that has started has the pool alone. A claim waits even if another change waits for the
 * claim's work.
 */
static void entered_change_lets_no_claim_in(void **state)
{
    g_autoptr(CstPool) here = memory_pool(*state, "here"), there = memory_pool(*state, "there");
    VolumeClaim held = {0};
    Attempt drain = {.pool = here};
    Attempt next = {.pool = there, .name = "w", .kind = CLAIM_WRITE, .claim = {.after = &held}};

    claim_now(&held, here, "v", CLAIM_READ);
    assert_true(pool_change_begin(there, NULL, NULL));
    point_watch("pool.wait");
    attempt_begin(&drain, 1);
    attempt_begin(&next, 2);
    wake_all(there);
    point_await("pool.wait", 3);
    pool_change_end(there);
    assert_granted(&next);
    volume_release(&next.claim);
    volume_release(&held);
    assert_granted(&drain);
    pool_change_end(here);
    assert_unused(here);
    assert_unused(there);
    points_clear();
}

/* A waiting change admits work that the change of another pool waits for. */
static void waiting_change_admits_claims_that_another_change_waits_for(void **state)
{
    g_autoptr(CstPool) here = memory_pool(*state, "here"), there = memory_pool(*state, "there");
    VolumeClaim held = {0}, busy = {0}, middle = {.after = &held}, next = {.after = &middle};
    Attempt changes[2] = {{.pool = here}, {.pool = there}};

    claim_now(&held, here, "v", CLAIM_READ);
    claim_now(&busy, there, "v", CLAIM_READ);
    point_watch("pool.wait");
    attempt_begin(&changes[0], 1);
    attempt_begin(&changes[1], 2);
    claim_now(&next, there, "w", CLAIM_WRITE);
    assert_false(is_free(there, "x", CLAIM_READ));
    volume_release(&next);
    volume_release(&busy);
    volume_release(&held);
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        assert_granted(&changes[i]);
        pool_change_end(changes[i].pool);
    }
    assert_unused(here);
    assert_unused(there);
    points_clear();
}

/* --- changes that are reported while a writer has the volume ---------------------------------- */

static void report_again(gpointer pool)
{
    memory_put("p", "v", 2048);
    assert_true(volume_defer_rescan(pool, "v"));
    /* The volume is not free before its record is up to date. */
    assert_false(is_free(pool, "v", CLAIM_READ));
}

static uint64_t capacity_of(CstPool *pool, const char *name)
{
    g_autoptr(CstVolume) volume = volume_table_get(pool->volumes, name);

    return volume ? cst_volume_ref(volume)->capacity : 0;
}

static void writer_repeats_a_scan_reported_during_its_scan(void **state)
{
    g_autoptr(CstPool) pool = memory_pool(*state, "p");
    VolumeClaim writer = {0}, reader = {0};

    claim_now(&reader, pool, "v", CLAIM_READ);
    assert_false(volume_defer_rescan(pool, "v"));
    volume_release(&reader);
    claim_now(&writer, pool, "v", CLAIM_WRITE);
    assert_false(volume_defer_rescan(pool, "other"));
    memory_put("p", "v", 1024);
    assert_true(volume_defer_rescan(pool, "v"));
    point_run("claim.deferred.unlocked", report_again, pool);
    volume_release(&writer);
    assert_int_equal(point_passed("claim.deferred.unlocked"), 2);
    assert_int_equal(capacity_of(pool, "v"), 2048);
    assert_int_equal(g_hash_table_size(pool->deferred), 0);
    assert_unused(pool);
    points_clear();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, memory_setup, memory_teardown)
    const struct CMUnitTest tests[] = {
        TEST(writer_waits_until_the_last_reader_ends),
        TEST(readers_wait_until_the_writer_ends),
        TEST(deletion_waits_for_reader_that_is_no_stream),
        TEST(waiting_claim_is_refused_when_a_stream_comes_first),
        TEST(refusal_names_the_present_holder),
        TEST(new_volume_makes_its_second_maker_wait_only),
        TEST(change_waits_until_the_last_claim_ends),
        TEST(changes_exclude_each_other),
        TEST(change_that_gives_up_lets_claims_in),
        TEST(change_of_removed_pool_fails),
        TEST(change_is_refused_for_a_stream_among_other_holders),
        TEST(entered_change_lets_no_claim_in),
        TEST(waiting_change_admits_claims_that_another_change_waits_for),
        TEST(writer_repeats_a_scan_reported_during_its_scan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
