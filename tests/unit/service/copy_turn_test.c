/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Turns of the jobs that copy into a pool (core/copy_turn.h). One job may copy at a time. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/images.h>

#include "await.h"
#include "core/copy_turn.h"
#include "core/service.h"
#include "points.h"

/* --- jobs in threads -------------------------------------------------------------------------- */

typedef struct {
    CopyTurn turn;
    CstTask *task;
    gboolean begun;
    GError *error;
    GThread *thread;
    guint *order; /* counts the jobs that have begun */
    guint place;  /* position of this job among them, from 1 */
} Copier;

static gpointer copy_thread(gpointer data)
{
    Copier *copier = data;

    copier->begun = cst_task_begin_copy(copier->task, &copier->error);
    if (copier->begun)
        copier->place = ++*copier->order;
    copy_turn_clear(&copier->turn);
    return NULL;
}

static void copier_init(Copier *copier, CstPool *pool, uid_t uid)
{
    copier->task = cst_task_new();
    cst_task_set_owner(copier->task, uid, 1);
    copy_turn_offer(&copier->turn, pool, copier->task);
}

/* User 1 has the only turn. Waits of further jobs are watched. */
static void copier_hold(Copier *copier, CstPool *pool)
{
    point_watch("copy_turn.wait");
    copier_init(copier, pool, 1);
    assert_true(cst_task_begin_copy(copier->task, NULL));
}

static guint queue_length(CstPool *pool)
{
    guint length;

    g_mutex_lock(&pool->lock);
    length = pool->copy_queue.length;
    g_mutex_unlock(&pool->lock);
    return length;
}

/* Starts a job that has to wait. */
static void copier_wait(Copier *copier, CstPool *pool, uid_t uid, guint *order)
{
    guint queued = queue_length(pool);

    copier_init(copier, pool, uid);
    copier->order = order;
    copier->thread = g_thread_new("copy", copy_thread, copier);
    point_await("copy_turn.wait", queued + 1);
    AWAIT(queue_length(pool) == queued + 1);
}

static void copier_end(Copier *copier)
{
    if (copier->thread)
        g_thread_join(copier->thread);
    copy_turn_clear(&copier->turn);
    g_clear_error(&copier->error);
    cst_task_unref(copier->task);
}

static CstPool *pool_with_limit(Fixture *f, guint copies)
{
    cst_service_set_copies(f->service, copies);
    return fixture_pool(f, "p");
}

/* --- tests ------------------------------------------------------------------------------------ */

static void job_above_the_limit_waits_until_a_turn_is_free(void **state)
{
    g_autoptr(CstPool) pool = pool_with_limit(*state, 1);
    Copier first = {0}, second = {0};
    guint order = 0;

    copier_hold(&first, pool);
    assert_true(cst_task_begin_copy(first.task, NULL));
    assert_int_equal(pool->copies->len, 1);
    copier_wait(&second, pool, 1, &order);
    assert_true(cst_task_waiting(second.task));
    copy_turn_clear(&first.turn);
    copier_end(&second);
    assert_int_equal(second.place, 1);
    copier_end(&first);
    assert_int_equal(pool->copies->len, 0);
    points_clear();
}

static void cancelled_job_leaves_the_queue(void **state)
{
    g_autoptr(CstPool) pool = pool_with_limit(*state, 1);
    Copier first = {0}, second = {0};
    guint order = 0;

    copier_hold(&first, pool);
    copier_wait(&second, pool, 1, &order);
    cst_task_cancel(second.task);
    g_thread_join(g_steal_pointer(&second.thread));
    assert_false(second.begun);
    assert_false(cst_task_waiting(second.task));
    assert_error(&second.error, CST_ERROR_CANCELLED);
    assert_int_equal(queue_length(pool), 0);
    copier_end(&second);
    copier_end(&first);
    points_clear();
}

/* User 1 has asked first, twice. User 2 gets the turn in between. */
static void users_take_turns(void **state)
{
    g_autoptr(CstPool) pool = pool_with_limit(*state, 1);
    Copier holder = {0}, jobs[4] = {0};
    const uid_t users[] = {1, 1, 2, 2};
    const guint places[] = {2, 4, 1, 3};
    guint order = 0;

    copier_hold(&holder, pool);
    for (guint i = 0; i < G_N_ELEMENTS(jobs); i++)
        copier_wait(&jobs[i], pool, users[i], &order);
    copy_turn_clear(&holder.turn);
    for (guint i = 0; i < G_N_ELEMENTS(jobs); i++)
        copier_end(&jobs[i]);
    for (guint i = 0; i < G_N_ELEMENTS(jobs); i++)
        assert_int_equal(jobs[i].place, places[i]);
    copier_end(&holder);
    points_clear();
}

static void job_on_storage_that_hangs_does_not_count(void **state)
{
    g_autoptr(CstPool) pool = pool_with_limit(*state, 1);
    Copier hung = {0}, second = {0};
    guint order = 0;

    copier_hold(&hung, pool);
    copier_wait(&second, pool, 1, &order);
    cst_task_tell_stuck(hung.task, NULL);
    copier_end(&second);
    assert_int_equal(second.place, 1);
    copier_end(&hung);
    points_clear();
}

static void inner_operation_uses_the_turn_of_the_outer_one(void **state)
{
    g_autoptr(CstPool) pool = pool_with_limit(*state, 1);
    Copier outer = {0};
    CopyTurn inner = {0};

    copier_init(&outer, pool, 1);
    assert_true(cst_task_begin_copy(outer.task, NULL));
    copy_turn_offer(&inner, pool, outer.task);
    assert_true(cst_task_begin_copy(outer.task, NULL));
    copy_turn_clear(&inner);
    assert_int_equal(pool->copies->len, 1);
    copier_end(&outer);
}

/* --- operations ------------------------------------------------------------------------------- */

static gboolean clone_volume(CstPool *pool, GError **error)
{
    g_autofree char *name = NULL;

    return cst_vol_create_from(pool,
                               "<volume><name>copy</name><target><format type='qcow2'/></target>"
                               "</volume>",
                               pool, "v", 0, NULL, &name, error);
}

static gboolean convert_volume(CstPool *pool, GError **error)
{
    const CstVolConvert how = {.name = "copy", .format = "qcow2"};

    return cst_vol_convert(pool, pool, "v", &how, NULL, error);
}

static gboolean pack_volume(CstPool *pool, GError **error)
{
    const CstVolConvert how = {
        .name = "copy", .format = "qcow2", .flags = CST_VOL_CONVERT_COMPRESS};

    return cst_vol_convert(pool, pool, "v", &how, NULL, error);
}

static gboolean flatten_volume(CstPool *pool, GError **error)
{
    return cst_vol_flatten(pool, "over", NULL, error);
}

static gboolean move_volume(CstPool *pool, GError **error)
{
    g_autoptr(CstPool) from = cst_service_pool_by_name(pool->service, "q", error);
    const CstVolMove how = {.name = "copy", .format = "qcow2"};

    return from && cst_vol_move(from, "v", pool, &how, NULL, error);
}

typedef struct {
    CstPool *pool;
    gboolean (*call)(CstPool *pool, GError **error);
    GError *error;
} Operation;

static gpointer operation_thread(gpointer data)
{
    Operation *operation = data;

    operation->call(operation->pool, &operation->error);
    return NULL;
}

/* Each operation that copies waits while another job has the only turn. */
static void operations_wait_for_a_turn(void **state)
{
    Fixture *f = *state;
    gboolean (*const calls[])(CstPool * pool, GError * *error) = {
        clone_volume, convert_volume, pack_volume, flatten_volume, move_volume};
    g_autoptr(CstPool) pool = pool_with_limit(f, 1);
    g_autoptr(CstPool) other = fixture_pool(f, "q");
    g_autofree char *content = g_strnfill(1 << 20, 'x');
    g_autofree char *backing = g_strdup_printf("<backingStore><path>%s/p/v</path>"
                                               "<format type='raw'/></backingStore>",
                                               f->images);

    fixture_write(f, "p", "v", content);
    fixture_write(f, "q", "v", content);
    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        Operation operation = {.pool = pool, .call = calls[i]};
        Copier first = {0};
        GThread *thread;

        fixture_create(pool, "over", "qcow2", backing);
        point_watch("copy_turn.wait");
        copier_init(&first, pool, 1);
        assert_true(cst_task_begin_copy(first.task, NULL));
        thread = g_thread_new("operation", operation_thread, &operation);
        point_await("copy_turn.wait", 1);
        copier_end(&first);
        g_thread_join(thread);
        assert_no_error(operation.error);
        assert_int_equal(pool->copies->len, 0);
        points_clear();
        cst_vol_delete(pool, "copy", 0, NULL, NULL);
        cst_vol_delete(pool, "over", 0, NULL, &operation.error);
        assert_no_error(operation.error);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(job_above_the_limit_waits_until_a_turn_is_free),
        TEST(cancelled_job_leaves_the_queue),
        TEST(users_take_turns),
        TEST(job_on_storage_that_hangs_does_not_count),
        TEST(inner_operation_uses_the_turn_of_the_outer_one),
        TEST(operations_wait_for_a_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
