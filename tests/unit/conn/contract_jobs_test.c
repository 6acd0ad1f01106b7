/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs: calls that continue at the server after their client has stopped waiting. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include <base/error.h>
#include <conn/client_jobs.h>

#include "await.h"
#include "side.h"

#define MIB (1024 * 1024)

static CstVolRef *make_volume(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    CstVolRef *vol = cst_conn_vol_create(side->conn, pool,
                                         "<volume><name>v</name><capacity>8388608</capacity>"
                                         "<allocation>8388608</allocation></volume>",
                                         0, NULL, &side->error);

    assert_non_null(vol);
    return vol;
}

/* Starts to wipe @vol, slowly, and comes back once it is a job. */
static uint64_t start_job(Side *side, const CstVolRef *vol)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    cst_task_set_rate(task, MIB);
    assert_true(cst_conn_set_detach(side->conn, TRUE, NULL));
    assert_false(cst_conn_vol_wipe(side->conn, vol, CST_WIPE_RANDOM, task, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
    assert_non_null(strstr(error->message, "continues on the server"));
    assert_true(cst_task_job(task) > 0);
    assert_true(cst_conn_set_detach(side->conn, FALSE, NULL));
    return cst_task_job(task);
}

static void assert_no_more_than_one(Side *side, uint64_t id, gboolean ended)
{
    g_autoptr(GPtrArray) going = cst_conn_job_list(side->conn, FALSE, NULL);
    g_autoptr(GPtrArray) all = cst_conn_job_list(side->conn, TRUE, NULL);
    const CstJobInfo *job;

    assert_int_equal(going->len, !ended);
    assert_int_equal(all->len, 1);
    job = g_ptr_array_index(all, 0);
    assert_true(job->id == id);
    assert_string_equal(job->kind, "wipe");
    assert_string_equal(job->pool, "a");
    assert_string_equal(job->volume, "v");
    assert_int_equal(job->pid, getpid());
    assert_int_equal(job->uid, geteuid());
    assert_true(job->started > 0);
    assert_int_equal(job->ended >= job->started, ended);
}

static void detached_call_continues_as_a_job(void **state)
{
    g_autoptr(CstVolRef) vol = NULL;
    g_autoptr(CstTask) watched = cst_task_new();
    g_autoptr(GError) error = NULL;
    CstJobInfo *job;
    CstProgress progress;
    Side side;
    uint64_t id;

    side_open(&side, TRUE);
    vol = make_volume(&side);
    id = start_job(&side, vol);
    assert_no_more_than_one(&side, id, FALSE);
    job = cst_conn_job_info(side.conn, id, NULL);
    assert_int_equal(job->state, CST_JOB_RUNNING);
    assert_true(job->can_cancel);
    assert_true(job->limit == MIB);
    assert_null(job->error);
    assert_null(job->error_word);
    cst_job_info_free(job);
    assert_true(cst_conn_job_set_limit(side.conn, id, 0, &error));
    job = cst_conn_job_wait(side.conn, id, 0, watched, &error);
    assert_non_null(job);
    assert_int_equal(job->state, CST_JOB_DONE);
    assert_true(job->done == 8 * MIB);
    cst_job_info_free(job);
    progress = cst_task_progress(watched);
    assert_true(progress.done == 8 * MIB);
    assert_true(progress.total == 8 * MIB);
    assert_no_more_than_one(&side, id, TRUE);
    side_close(&side);
}

static void wait_ends_and_the_job_continues(void **state)
{
    g_autoptr(CstVolRef) vol = NULL;
    g_autoptr(CstTask) cancelled = cst_task_new(), watched = cst_task_new();
    g_autoptr(GError) late = NULL, stopped = NULL;
    CstJobInfo *job;
    Side side;
    uint64_t id;

    side_open(&side, TRUE);
    vol = make_volume(&side);
    id = start_job(&side, vol);
    assert_null(cst_conn_job_wait(side.conn, id, g_get_monotonic_time(), watched, &late));
    assert_int_equal(late->code, CST_ERROR_TIMEOUT);
    assert_non_null(strstr(late->message, " is still running"));
    assert_true(cst_task_progress(watched).total == 8 * MIB);
    assert_true(cst_task_progress(watched).done < 8 * MIB);
    cst_task_cancel(cancelled);
    assert_null(cst_conn_job_wait(side.conn, id, 0, cancelled, &stopped));
    assert_int_equal(stopped->code, CST_ERROR_CANCELLED);
    assert_no_more_than_one(&side, id, FALSE);
    assert_true(cst_conn_job_cancel(side.conn, id, NULL));
    job = cst_conn_job_wait(side.conn, id, 0, NULL, NULL);
    assert_non_null(job);
    assert_int_equal(job->state, CST_JOB_CANCELLED);
    assert_string_equal(job->error_word, "cancelled");
    assert_non_null(job->error);
    cst_job_info_free(job);
    side_close(&side);
}

static void a_short_call_is_waited_for(void **state)
{
    g_autoptr(CstVolRef) vol = NULL;
    g_autoptr(CstTask) task = cst_task_new();
    Side side;

    side_open(&side, TRUE);
    vol = make_volume(&side);
    assert_true(cst_conn_set_detach(side.conn, TRUE, NULL));
    assert_true(cst_conn_vol_resize(side.conn, vol, 16 * MIB, 0, task, NULL));
    assert_int_equal(cst_task_job(task), 0);
    side_close(&side);
}

/* Ends the limit when the call has begun, which its total shows. */
static gpointer speed_up(gpointer task)
{
    AWAIT(cst_task_progress(task).total > 0);
    cst_task_set_rate(task, 0);
    return NULL;
}

/* 8 MiB at 1 KiB a second need hours, unless the server gets the removal of the limit. */
static void a_call_that_runs_hears_of_another_limit(void **state)
{
    g_autoptr(CstVolRef) vol = NULL;
    g_autoptr(CstTask) task = cst_task_new();
    GThread *thread;
    Side side;

    side_open(&side, TRUE);
    vol = make_volume(&side);
    cst_task_set_rate(task, 1024);
    thread = g_thread_new("speed", speed_up, task);
    assert_true(cst_conn_vol_wipe(side.conn, vol, CST_WIPE_RANDOM, task, NULL));
    g_thread_join(thread);
    side_close(&side);
}

static void detach_without_a_daemon_is_refused(void **state)
{
    g_autoptr(GError) error = NULL;
    Side side;

    side_open(&side, FALSE);
    assert_false(cst_conn_set_detach(side.conn, TRUE, &error));
    assert_int_equal(error->code, CST_ERROR_UNSUPPORTED);
    side_close(&side);
}

static void assert_state(Side *side, uint64_t id, CstJobState state, const char *error)
{
    g_autoptr(CstJobInfo) job = cst_conn_job_info(side->conn, id, NULL);

    assert_non_null(job);
    assert_int_equal(job->state, state);
    assert_string_equal(job->kind, "import");
    assert_string_equal(job->pool, "a b");
    assert_string_equal(job->volume, "v");
    assert_true(job->done == 6 && job->total == 10);
    if (error)
        assert_string_equal(job->error, error);
    else
        assert_null(job->error);
}

static gboolean reports(Side *side, uint64_t handle, gboolean *ret_stop, uint64_t *ret_limit)
{
    return cst_conn_client_job_progress(side->conn, handle, (CstProgress){3, 10}, ret_stop,
                                        ret_limit, NULL);
}

/* Work of this program as a job: the same calls over a socket and in this process. */
static void play_job_of_client(gboolean remote)
{
    const CstConnJob what = {.kind = "import", .pool = "a\nb", .volume = "v", .limit = 7};
    g_autoptr(GError) why = g_error_new(CST_ERROR, CST_ERROR_NO_SPACE, "full\tup");
    uint64_t handle, other, id, next, limit;
    gboolean stop = FALSE;
    Side side;

    side_open(&side, remote);
    assert_true(cst_conn_client_job_begin(side.conn, &what, &handle, &id, NULL));
    assert_true(cst_conn_client_job_begin(side.conn, &what, &other, &next, NULL));
    assert_true(handle != other && id != next);
    assert_true(
        cst_conn_client_job_progress(side.conn, handle, (CstProgress){6, 10}, &stop, &limit, NULL));
    assert_true(!stop && limit == 7);
    assert_true(cst_conn_job_cancel(side.conn, id, NULL));
    assert_true(cst_conn_job_set_limit(side.conn, id, 9, NULL));
    AWAIT_STATE(reports(&side, handle, &stop, &limit) && stop && limit == 9,
                "stop: %d, limit: %" G_GUINT64_FORMAT, stop, limit);
    assert_true(
        cst_conn_client_job_progress(side.conn, other, (CstProgress){6, 10}, &stop, &limit, NULL));
    assert_true(!stop && limit == 7);
    assert_true(cst_conn_client_job_end(side.conn, other, NULL, NULL));
    assert_true(cst_conn_client_job_end(side.conn, handle, why, NULL));
    assert_state(&side, id, CST_JOB_FAILED, "full up");
    assert_state(&side, next, CST_JOB_DONE, NULL);
    assert_false(cst_conn_client_job_end(side.conn, handle, NULL, NULL));
    side_close(&side);
}

static void this_program_has_a_job(void **state)
{
    play_job_of_client(FALSE);
    play_job_of_client(TRUE);
}

static guint count_jobs(CstConn *conn)
{
    g_autoptr(GPtrArray) jobs = cst_conn_job_list(conn, FALSE, NULL);

    return jobs->len;
}

static CstConnReceive *receive_volume(CstConn *conn, const CstPoolRef *pool, const char *name)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity>8388608</capacity></volume>", name);
    CstConnReceive *receive = cst_conn_vol_receive(conn, pool, xml, 0, NULL, NULL);

    assert_non_null(receive);
    return receive;
}

/*
 * A job that another connection has begun. Calls that belong to it are not listed separately. A
 * call is listed after it has run for a while, so a later call without a job shows when to check.
 */
static void parts_of_a_job_are_not_listed(void **state)
{
    const CstConnJob what = {.kind = "import", .pool = "a b", .volume = "v", .group = 77};
    g_autoptr(CstPoolRef) pool = NULL;
    uint64_t handle, id;
    CstConnReceive *part, *other;
    CstConn *again, *third;
    Side side;

    side_open(&side, TRUE);
    pool = make_active_pool(&side);
    third = cst_conn_open_again(side.conn, NULL);
    assert_non_null(third);
    again = cst_conn_open_again(side.conn, NULL);
    assert_non_null(again);
    assert_true(cst_conn_client_job_begin(again, &what, &handle, &id, NULL));
    assert_true(cst_conn_set_job_group(side.conn, 77, NULL));
    part = receive_volume(side.conn, pool, "part");
    assert_true(cst_conn_set_job_group(third, 78, NULL));
    other = receive_volume(third, pool, "other");
    AWAIT_STATE(count_jobs(again) == 2, "%u jobs", count_jobs(again));
    cst_conn_receive_free(part);
    cst_conn_receive_free(other);
    cst_conn_free(third);
    cst_conn_free(again);
    side_close(&side);
}

/* The job ends with its client, and its place is free. */
static void job_of_a_client_that_leaves_ends(void **state)
{
    const CstConnJob what = {.kind = "import", .pool = "a", .volume = "v"};
    uint64_t handle, id;
    CstJobInfo *job;
    CstConn *again;
    Side side;

    side_open(&side, TRUE);
    again = cst_conn_open_again(side.conn, NULL);
    assert_non_null(again);
    assert_true(cst_conn_client_job_begin(again, &what, &handle, &id, NULL));
    assert_int_equal(count_jobs(side.conn), 1);
    cst_conn_free(again);
    job =
        cst_conn_job_wait(side.conn, id, g_get_monotonic_time() + 60 * G_USEC_PER_SEC, NULL, NULL);
    assert_non_null(job);
    assert_true(job->state != CST_JOB_DONE);
    cst_job_info_free(job);
    assert_int_equal(count_jobs(side.conn), 0);
    side_close(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(detached_call_continues_as_a_job),
        cmocka_unit_test(wait_ends_and_the_job_continues),
        cmocka_unit_test(a_short_call_is_waited_for),
        cmocka_unit_test(a_call_that_runs_hears_of_another_limit),
        cmocka_unit_test(detach_without_a_daemon_is_refused),
        cmocka_unit_test(this_program_has_a_job),
        cmocka_unit_test(parts_of_a_job_are_not_listed),
        cmocka_unit_test(job_of_a_client_that_leaves_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
