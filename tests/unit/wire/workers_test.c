/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose call is started when. Which ones are is decided while a call is pushed or ends, so that the
 * numbers of a lane and of a user's share can be looked at right afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "user.h"

typedef struct {
    WorkItem item; /* first */
    const char *name;
    gboolean may_end;
} Job;

static GMutex lock;
static GCond changed;
static GString *started; /* names, as they were run */
static guint ended;

static void run(WorkItem *item)
{
    Job *job = (Job *)item;

    g_mutex_lock(&lock);
    g_string_append_printf(started, "%s ", job->name);
    g_cond_broadcast(&changed);
    while (!job->may_end)
        g_cond_wait(&changed, &lock);
    g_mutex_unlock(&lock);
}

static void done(WorkItem *item)
{
    g_mutex_lock(&lock);
    ended++;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
}

static Workers *begin(guint running, guint lane_running, guint user_threads, guint threads)
{
    const WorkerLimits limits = {running, lane_running, user_threads, threads};
    const WorkerFuncs funcs = {run, done};
    Workers *workers = workers_new(WORK_LONG, &limits, &funcs, NULL);

    assert_non_null(workers);
    started = g_string_new(NULL);
    ended = 0;
    return workers;
}

static void finish(Workers *workers)
{
    workers_free(workers);
    g_string_free(started, TRUE);
}

/* Waits until so many calls have ended. */
static void wait_ended(guint count)
{
    gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    gboolean in_time = TRUE;

    g_mutex_lock(&lock);
    while (in_time && ended < count)
        in_time = g_cond_wait_until(&changed, &lock, end);
    g_mutex_unlock(&lock);
    assert_true(in_time);
}

static void wait_started(const char *names)
{
    gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    gboolean in_time = TRUE;

    g_mutex_lock(&lock);
    while (in_time && started->len < strlen(names))
        in_time = g_cond_wait_until(&changed, &lock, end);
    g_mutex_unlock(&lock);
    assert_string_equal(started->str, names);
}

static void let_end(Job *job)
{
    g_mutex_lock(&lock);
    job->may_end = TRUE;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
}

static void push(Workers *workers, Lane *lane, Job *job, const char *name)
{
    job->item.lane = lane;
    job->name = name;
    workers_push(workers, &job->item);
}

static void push_all(Workers *workers, Lane *lane, Job *jobs, guint count)
{
    for (guint i = 0; i < count; i++)
        push(workers, lane, &jobs[i], "x");
}

static void end_all(Job *jobs, guint count)
{
    for (guint i = 0; i < count; i++)
        let_end(&jobs[i]);
    wait_ended(count);
}

#define GUEST               \
    {                       \
        .budget = G_MAXSIZE \
    }
#define TRUSTED                              \
    {                                        \
        .budget = G_MAXSIZE, .trusted = TRUE \
    }

static void a_connection_runs_as_many_as_it_may(void **state)
{
    Workers *workers = begin(10, 2, 40, 50);
    User user = GUEST;
    Lane lane = {.user = &user}, other = {.user = &user};
    Job jobs[5] = {0};

    push(workers, &lane, &jobs[0], "a");
    push(workers, &lane, &jobs[1], "b");
    push(workers, &lane, &jobs[2], "c");
    push(workers, &lane, &jobs[3], "d");
    assert_int_equal(lane.running, 2);
    push(workers, &other, &jobs[4], "e");
    assert_int_equal(other.running, 1);
    assert_int_equal(user.shares[WORK_LONG].running, 3);
    assert_int_equal(user.shares[WORK_QUICK].running, 0);
    let_end(&jobs[0]);
    wait_ended(1);
    assert_int_equal(lane.running, 2);
    assert_int_equal(g_queue_get_length(&lane.calls), 1);
    assert_ptr_equal(g_queue_peek_head(&lane.calls), &jobs[3]);
    end_all(jobs, 5);
    assert_int_equal(lane.running, 0);
    assert_int_equal(user.shares[WORK_LONG].running, 0);
    finish(workers);
}

static void without_turns_left_the_first_of_others_runs(void **state)
{
    Workers *workers = begin(2, 10, 40, 50);
    User one = GUEST, other = GUEST, trusted = TRUSTED;
    Lane lane = {.user = &one}, more = {.user = &one}, others = {.user = &other};
    Lane first = {.user = &trusted}, second = {.user = &trusted};
    Job jobs[9] = {0};

    push_all(workers, &lane, jobs, 3);
    assert_int_equal(lane.running, 2);
    push_all(workers, &more, &jobs[3], 1);
    assert_int_equal(more.running, 0);
    push_all(workers, &others, &jobs[4], 2);
    assert_int_equal(others.running, 1);
    push_all(workers, &first, &jobs[6], 2);
    assert_int_equal(first.running, 1);
    push_all(workers, &second, &jobs[8], 1);
    assert_int_equal(second.running, 1);
    end_all(jobs, G_N_ELEMENTS(jobs));
    finish(workers);
}

static void a_guest_has_so_many_threads(void **state)
{
    Workers *workers = begin(20, 10, 3, 50);
    User guest = GUEST, trusted = TRUSTED;
    Lane lane = {.user = &guest}, theirs = {.user = &trusted};
    Job jobs[10] = {0};

    push_all(workers, &lane, jobs, 5);
    assert_int_equal(lane.running, 3);
    /* Who waits holds a thread as well. */
    wait_started("x x x ");
    workers_wait(workers, &jobs[0].item, TRUE);
    assert_int_equal(lane.running, 2);
    assert_int_equal(guest.shares[WORK_LONG].waiting, 1);
    push_all(workers, &theirs, &jobs[5], 5);
    assert_int_equal(theirs.running, 5);
    workers_wait(workers, &jobs[0].item, FALSE);
    assert_int_equal(lane.running, 3);
    end_all(jobs, G_N_ELEMENTS(jobs));
    finish(workers);
}

static void a_fifth_of_all_threads_is_for_who_is_trusted(void **state)
{
    Workers *workers = begin(100, 100, 100, 10);
    User guest = GUEST, trusted = TRUSTED;
    Lane lane = {.user = &guest}, theirs = {.user = &trusted};
    Job jobs[15] = {0};

    push_all(workers, &lane, jobs, 10);
    assert_int_equal(lane.running, 8);
    push_all(workers, &theirs, &jobs[10], 5);
    assert_int_equal(theirs.running, 2);
    assert_int_equal(lane.running, 8);
    end_all(jobs, G_N_ELEMENTS(jobs));
    finish(workers);
}

static void who_waits_gives_the_turn_back(void **state)
{
    Workers *workers = begin(1, 10, 40, 50);
    User user = GUEST;
    WorkerShare *share = &user.shares[WORK_LONG];
    Lane lane = {.user = &user}, other = {.user = &user};
    Job jobs[3] = {0};

    push(workers, &lane, &jobs[0], "a");
    push(workers, &other, &jobs[1], "b");
    assert_int_equal(other.running, 0);
    wait_started("a ");
    for (int again = 0; again < 2; again++) {
        workers_wait(workers, &jobs[0].item, TRUE);
        assert_int_equal(lane.running, 0);
        assert_int_equal(lane.waiting, 1);
        assert_int_equal(other.running, 1);
        assert_int_equal(share->running, 1);
        assert_int_equal(share->waiting, 1);
    }
    for (int again = 0; again < 2; again++) {
        workers_wait(workers, &jobs[0].item, FALSE);
        assert_int_equal(lane.running, 1);
        assert_int_equal(lane.waiting, 0);
        assert_int_equal(share->running, 2);
        assert_int_equal(share->waiting, 0);
    }
    /* Both run, with one turn too many: the next one waits for both. */
    push(workers, &other, &jobs[2], "c");
    let_end(&jobs[0]);
    wait_ended(1);
    assert_int_equal(other.running, 1);
    end_all(jobs, G_N_ELEMENTS(jobs));
    finish(workers);
}

static void a_call_waits_for_its_users_bytes(void **state)
{
    static const struct {
        size_t held, cost;
        gboolean starts;
    } rows[] = {
        {0, 100, TRUE}, {50, 100, TRUE}, {51, 100, FALSE}, {50, 1000, TRUE}, {51, 50, FALSE},
        {50, 50, TRUE}, {60, 40, TRUE},  {60, 41, FALSE},  {100, 0, TRUE},   {101, 0, FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Workers *workers = begin(10, 10, 40, 50);
        User user = {.budget = 100, .bytes = rows[i].held};
        Lane lane = {.user = &user};
        Job job = {.item = {.cost = rows[i].cost}};

        push(workers, &lane, &job, "a");
        assert_int_equal(lane.running, rows[i].starts);
        assert_int_equal(user.starved, !rows[i].starts);
        if (!rows[i].starts) {
            assert_int_equal(user.bytes, rows[i].held);
            user.bytes = 0;
            workers_kick(workers);
            assert_int_equal(lane.running, 1);
            assert_int_equal(user.bytes, rows[i].cost);
        } else {
            assert_int_equal(user.bytes, rows[i].held + rows[i].cost);
        }
        end_all(&job, 1);
        finish(workers);
    }
}

static void a_closed_lane_starts_nothing(void **state)
{
    Workers *workers = begin(10, 10, 40, 50);
    User user = GUEST;
    Lane lane = {.user = &user}, open = {.user = &user};
    Job jobs[3] = {0};

    workers_close_lane(workers, &lane, TRUE);
    push_all(workers, &lane, jobs, 2);
    push_all(workers, &open, &jobs[2], 1);
    assert_int_equal(lane.running, 0);
    assert_int_equal(open.running, 1);
    workers_close_lane(workers, &lane, TRUE);
    assert_int_equal(lane.running, 0);
    workers_close_lane(workers, &lane, FALSE);
    assert_int_equal(lane.running, 2);
    end_all(jobs, G_N_ELEMENTS(jobs));
    finish(workers);
}

static void what_has_not_begun_is_given_back(void **state)
{
    Workers *workers = begin(10, 1, 40, 50);
    User user = GUEST, other = GUEST;
    Lane lane = {.user = &user}, others = {.user = &other};
    Job jobs[5] = {0};
    GQueue items;

    push_all(workers, &lane, jobs, 3);
    push_all(workers, &others, &jobs[3], 1);
    workers_drain(workers, &lane, &items);
    assert_int_equal(g_queue_get_length(&items), 2);
    assert_ptr_equal(g_queue_pop_head(&items), &jobs[1]);
    assert_ptr_equal(g_queue_pop_head(&items), &jobs[2]);
    assert_int_equal(g_queue_get_length(&lane.calls), 0);
    assert_false(lane.listed);
    assert_false(user.shares[WORK_LONG].listed);
    /* The rings know nothing of it any more, and take it again. */
    workers_kick(workers);
    assert_int_equal(lane.running, 1);
    push_all(workers, &lane, &jobs[4], 1);
    assert_true(lane.listed);
    assert_true(user.shares[WORK_LONG].listed);
    end_all(&jobs[0], 1);
    end_all(&jobs[3], 2);
    wait_ended(3);
    assert_false(lane.listed);
    assert_false(user.shares[WORK_LONG].listed);
    assert_false(other.shares[WORK_LONG].listed);
    finish(workers);
}

static void users_and_their_connections_take_turns(void **state)
{
    Workers *workers = begin(1, 1, 1, 1);
    User nobody = TRUSTED, one = TRUSTED, two = TRUSTED;
    Lane before = {.user = &nobody}, a = {.user = &one}, c = {.user = &one}, b = {.user = &two};
    Job jobs[7] = {0};
    /* As they are started: users by turns, and the lanes of each. */
    const int order[] = {0, 1, 5, 4, 6, 2, 3};
    const char *const names[] = {"z", "a1", "a2", "a3", "c1", "b1", "b2"};
    Lane *const lanes[] = {&before, &a, &a, &a, &c, &b, &b};

    for (guint i = 0; i < G_N_ELEMENTS(jobs); i++)
        push(workers, lanes[i], &jobs[i], names[i]);
    for (guint i = 0; i < G_N_ELEMENTS(order); i++) {
        let_end(&jobs[order[i]]);
        wait_ended(i + 1);
    }
    assert_string_equal(started->str, "z a1 b1 c1 b2 a2 a3 ");
    finish(workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_runs_as_many_as_it_may),
        cmocka_unit_test(without_turns_left_the_first_of_others_runs),
        cmocka_unit_test(a_guest_has_so_many_threads),
        cmocka_unit_test(a_fifth_of_all_threads_is_for_who_is_trusted),
        cmocka_unit_test(who_waits_gives_the_turn_back),
        cmocka_unit_test(a_call_waits_for_its_users_bytes),
        cmocka_unit_test(a_closed_lane_starts_nothing),
        cmocka_unit_test(what_has_not_begun_is_given_back),
        cmocka_unit_test(users_and_their_connections_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
