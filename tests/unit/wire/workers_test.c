/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order in which calls of several users start. It is decided when a call is pushed or ends, so
 * the counters of a lane and of a user's share can be read directly afterwards.
 */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "server.h"

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
    gint64 end = g_get_monotonic_time() + 120 * G_USEC_PER_SEC;
    gboolean in_time = TRUE;

    g_mutex_lock(&lock);
    while (in_time && ended < count)
        in_time = g_cond_wait_until(&changed, &lock, end);
    g_mutex_unlock(&lock);
    assert_true(in_time);
}

static void wait_started(const char *names)
{
    gint64 end = g_get_monotonic_time() + 120 * G_USEC_PER_SEC;
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

static void first_call_of_another_user_runs_without_free_turns(void **state)
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
    /* A waiting call uses a thread as well. */
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

static void fifth_of_all_threads_is_reserved_for_trusted_users(void **state)
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

static void waiting_call_releases_its_turn(void **state)
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

static void give_bytes_back(gpointer user)
{
    /* No worker's lock is needed, because the user is not starved yet. */
    user_charge(NULL, user, 100, 0);
}

/* The bytes are released between their check and the flag, so no kick follows. */
static void bytes_given_back_before_the_flag_is_set_start_the_call(void **state)
{
    Workers *workers = begin(10, 10, 40, 50);
    User user = {.budget = 100, .bytes = 100};
    Lane lane = {.user = &user};
    Job job = {.item = {.cost = 10}};

    point_run("workers.bytes.short", give_bytes_back, &user);
    push(workers, &lane, &job, "a");
    assert_int_equal(lane.running, 1);
    assert_int_equal(user.bytes, 10);
    end_all(&job, 1);
    points_clear();
    finish(workers);
}

/* The kick starts one of two calls; the other one is still waiting for a later kick. */
static void each_decrease_below_the_budget_starts_fitting_calls(void **state)
{
    CstWireServer server = {0};
    User user = {.budget = 100, .bytes = 100};
    Lane lane = {.user = &user};
    Job jobs[3] = {{.item = {.cost = 30}}, {.item = {.cost = 40}}, {.item = {.cost = 50}}};
    WorkerFuncs funcs = {run, done};
    WorkerLimits limits = {10, 10, 40, 50};

    server.workers[WORK_LONG] = begin(10, 10, 40, 50);
    server.workers[WORK_QUICK] = workers_new(WORK_QUICK, &limits, &funcs, NULL);
    point_watch("user.bytes.charge");
    for (int i = 0; i < 3; i++)
        push(server.workers[WORK_LONG], &lane, &jobs[i], "x");
    assert_int_equal(lane.running, 0);
    /* No byte is given back, then too few to be below the budget. */
    user_charge(&server, &user, 7, 7);
    user_charge(&server, &user, 0, 20);
    user_charge(&server, &user, 20, 0);
    assert_int_equal(lane.running, 0);
    assert_true(user.starved);
    user_charge(&server, &user, 30, 0);
    assert_int_equal(lane.running, 1);
    assert_int_equal(user.bytes, 100);
    assert_true(user.starved);
    let_end(&jobs[0]);
    wait_ended(1);
    assert_int_equal(user.bytes, 100);
    user_charge(&server, &user, jobs[0].item.cost, 0);
    assert_int_equal(lane.running, 0);
    user_charge(&server, &user, 70, 0);
    assert_int_equal(lane.running, 2);
    assert_int_equal(user.bytes, 90);
    end_all(&jobs[1], 2);
    wait_ended(3);
    user_charge(&server, &user, 90, 0);
    assert_int_equal(user.bytes, 0);
    assert_false(user.starved);
    assert_int_equal(point_passed("user.bytes.charge"), 6);
    points_clear();
    workers_free(server.workers[WORK_QUICK]);
    finish(server.workers[WORK_LONG]);
}

typedef struct {
    const User *user;
    const Lane *lane;
    guint lane_running, share_running; /* when the turn is given back */
} Turn;

/* Under the workers' lock. */
static void look_at_turn(gpointer data)
{
    Turn *turn = data;

    turn->lane_running = turn->lane->running;
    turn->share_running = turn->user->shares[WORK_LONG].running;
}

static void the_turn_is_passed_on_before_the_call_is_done(void **state)
{
    Workers *workers = begin(1, 1, 40, 50);
    User user = GUEST;
    Lane lane = {.user = &user};
    Turn turn = {&user, &lane, 0, 0};
    Job jobs[2] = {0};

    push(workers, &lane, &jobs[0], "a");
    point_run("workers.turn.give_back", look_at_turn, &turn);
    point_hold("workers.turn.passed_on");
    let_end(&jobs[0]);
    point_await("workers.turn.passed_on", 1);
    assert_int_equal(turn.lane_running, 1);
    assert_int_equal(turn.share_running, 1);
    assert_int_equal(lane.running, 0);
    assert_int_equal(user.shares[WORK_LONG].running, 0);
    push(workers, &lane, &jobs[1], "b");
    wait_started("a b ");
    assert_int_equal(ended, 0);
    point_release("workers.turn.passed_on");
    end_all(&jobs[1], 1);
    wait_ended(2);
    points_clear();
    finish(workers);
}

/* A thread that has ended its call starts more than one, when more than one may start by then. */
static void the_end_of_a_call_starts_all_that_may_start(void **state)
{
    Workers *workers = begin(4, 10, 4, 5);
    User user = GUEST;
    Lane lane = {.user = &user};
    Job jobs[4] = {{.item = {.cost = 60}}};

    user.budget = 100;
    push(workers, &lane, &jobs[0], "a");
    for (int i = 1; i < 4; i++) {
        jobs[i].item.cost = 50;
        push(workers, &lane, &jobs[i], "b");
    }
    assert_int_equal(lane.running, 1);
    /* As the call's end would, but for the kick. */
    user.bytes = 0;
    let_end(&jobs[0]);
    wait_ended(1);
    assert_int_equal(lane.running, 2);
    wait_started("a b b ");
    user.bytes = 0;
    end_all(&jobs[1], 3);
    wait_ended(4);
    finish(workers);
}

static void closed_lane_starts_no_call(void **state)
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

static void calls_that_have_not_begun_are_returned(void **state)
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
    /* The rings no longer contain the lane, and accept it again. */
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

static void users_and_their_connections_alternate(void **state)
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
        cmocka_unit_test(first_call_of_another_user_runs_without_free_turns),
        cmocka_unit_test(a_guest_has_so_many_threads),
        cmocka_unit_test(fifth_of_all_threads_is_reserved_for_trusted_users),
        cmocka_unit_test(waiting_call_releases_its_turn),
        cmocka_unit_test(a_call_waits_for_its_users_bytes),
        cmocka_unit_test(bytes_given_back_before_the_flag_is_set_start_the_call),
        cmocka_unit_test(each_decrease_below_the_budget_starts_fitting_calls),
        cmocka_unit_test(the_turn_is_passed_on_before_the_call_is_done),
        cmocka_unit_test(the_end_of_a_call_starts_all_that_may_start),
        cmocka_unit_test(closed_lane_starts_no_call),
        cmocka_unit_test(calls_that_have_not_begun_are_returned),
        cmocka_unit_test(users_and_their_connections_alternate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
