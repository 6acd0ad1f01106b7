/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>

#include <base/child.h>
#include <base/error.h>
#include <blob/ceph.h>
#include <fake_ceph.h>

#include "await.h"

/* Loading Ceph's libraries, the meaning of their errors, and work that may never end. */

#define SECOND  G_TIME_SPAN_SECOND
#define LIMIT_S 300 /* for each wait of a test */

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

/* --- loading, in processes of their own ------------------------------------------------------- */

static const char *missing; /* the library that can't be loaded */
static const char *instead; /* replacement of that library; NULL: it is missing */

/* In the place of libc's. */
void *dlopen(const char *file, int mode)
{
    void *(*real)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");

    if (missing && strcmp(file, missing) == 0)
        return real(instead ? instead : "/nonexistent/library.so", mode);
    return real(file, mode);
}

static void say_destructor(void)
{
    if (write(STDOUT_FILENO, " destructors", 12) != 12)
        abort();
}

/*
 * The program's behaviour when it is called as "test-blob-ceph CASE": prints, and exits with status
 * 7.
 */
static int child_main(const char *what)
{
    g_autoptr(GError) error = NULL;

    if (strcmp(what, "no-rados") == 0)
        missing = "librados.so.2";
    else if (g_str_has_prefix(what, "no-rbd"))
        missing = "librbd.so.1";
    if (strcmp(what, "no-rbd-functions") == 0)
        instead = "libm.so.6";
    atexit(say_destructor);
    fake_ceph_reset();
    if (!cst_ceph(&error)) {
        printf("%d %s", error->code, error->message);
        return 7;
    }
    if (strcmp(what, "connected") == 0 || strcmp(what, "twice") == 0)
        cst_foreign_enter();
    if (strcmp(what, "twice") == 0 || strcmp(what, "left") == 0) {
        cst_foreign_enter();
        cst_foreign_leave();
    }
    printf("said");
    return 7;
}

static char *said_by(const char *what)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *const argv[] = {self, what, NULL};
    CstChild child = {.argv = argv, .timeout_s = 30};
    g_auto(CstChildResult) result = {0};

    assert_true(cst_child_run(&child, NULL, &result, NULL));
    assert_int_equal(result.status, 7);
    return g_steal_pointer(&result.out);
}

static void an_open_connection_ends_without_destructors(void **state)
{
    static const struct {
        const char *what;
        gboolean destructors;
    } cases[] = {{"connected", FALSE}, {"twice", FALSE}, {"left", TRUE}, {"loaded", TRUE}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *said = said_by(cases[i].what);

        /* The buffer of printf() is written in any case. */
        assert_non_null(strstr(said, "said"));
        assert_true((strstr(said, "destructors") != NULL) == cases[i].destructors);
    }
}

static void incomplete_library_is_named_in_the_error(void **state)
{
    static const char *const cases[][2] = {
        {"no-rados", "/nonexistent/library.so"},
        {"no-rbd", "/nonexistent/library.so"},
        {"no-rbd-functions", "no function rbd_list2"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *said = said_by(cases[i][0]);
        g_autofree char *code = g_strdup_printf("%d ", CST_ERROR_UNSUPPORTED);

        assert_non_null(strstr(said, code));
        assert_non_null(strstr(said, cases[i][1]));
        assert_non_null(strstr(said, "install librbd1 and librados2"));
    }
}

/* --- errors ----------------------------------------------------------------------------------- */

static void errors_of_ceph_get_our_classes(void **state)
{
    static const struct {
        int result;
        CstErrorCode code;
        const char *message;
    } cases[] = {
        {-ETIMEDOUT, CST_ERROR_UNREACHABLE, "call 5: the Ceph cluster did not answer in time"},
        {-ESHUTDOWN, CST_ERROR_UNREACHABLE, "call 5: the Ceph cluster has blocklisted this client"},
        {-ENOTCONN, CST_ERROR_UNREACHABLE, "call 5: Transport endpoint is not connected"},
        {-EBUSY, CST_ERROR_BUSY, "call 5: Device or resource busy"},
        {-EROFS, CST_ERROR_READ_ONLY, "call 5: Read-only file system"},
        {-EOPNOTSUPP, CST_ERROR_UNSUPPORTED, "call 5: Operation not supported"},
        {-EACCES, CST_ERROR_DENIED, "call 5: Permission denied"},
        {-ENOSPC, CST_ERROR_NO_SPACE, "call 5: No space left on device"},
        {-EIO, CST_ERROR_IO, "call 5: Input/output error"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(cst_ceph_fail(&error, cases[i].result, "call %d", 5));
        assert_code(error, cases[i].code);
        assert_string_equal(error->message, cases[i].message);
    }
}

/* --- opening images --------------------------------------------------------------------------- */

static const CstCeph *ceph;
static rados_t client;
static rados_ioctx_t io;

static int set_up(void **state)
{
    rbd_image_options_t options = NULL;

    fake_ceph_reset();
    ceph = cst_ceph(NULL);
    assert_non_null(ceph);
    assert_int_equal(ceph->rados_create(&client, NULL), 0);
    assert_int_equal(ceph->rados_ioctx_create(client, "libvirt", &io), 0);
    ceph->rbd_image_options_create(&options);
    assert_int_equal(ceph->rbd_create4(io, "v", 1 << 20, options), 0);
    ceph->rbd_image_options_destroy(options);
    return 0;
}

/* A thread of the library releases a completion after the callback. */
static void await_no_completions(void)
{
    AWAIT_STATE(fake_ceph_completions() == 0, "%u completions", fake_ceph_completions());
}

static int tear_down(void **state)
{
    ceph->rados_ioctx_destroy(io);
    ceph->rados_shutdown(client);
    assert_int_equal(fake_ceph_open_images(), 0);
    await_no_completions();
    return 0;
}

static gint opened;

typedef struct {
    gboolean by_id;
    gboolean writable;
    char id[32];
} Opening;

static gpointer open_image(gpointer data)
{
    const Opening *opening = data;
    rbd_image_t image = NULL;
    int result;

    if (opening->by_id)
        result = opening->writable ? ceph->rbd_open_by_id(io, opening->id, &image, NULL)
                                   : ceph->rbd_open_by_id_read_only(io, opening->id, &image, NULL);
    else
        result = opening->writable ? ceph->rbd_open(io, "v", &image, NULL)
                                   : ceph->rbd_open_read_only(io, "v", &image, NULL);
    assert_int_equal(result, 0);
    g_atomic_int_set(&opened, 1);
    return image;
}

static void read_id(Opening *opening)
{
    rbd_image_t image = NULL;

    assert_int_equal(ceph->rbd_open(io, "v", &image, NULL), 0);
    assert_int_equal(ceph->rbd_get_id(image, opening->id, sizeof(opening->id)), 0);
    ceph->rbd_close(image);
}

/* The callback that reports the opening ends before the image can be closed. */
static void an_image_is_open_when_running_callbacks_are_over(void **state)
{
    for (int i = 0; i < 4; i++) {
        Opening opening = {.by_id = i / 2, .writable = i % 2};
        GThread *thread;

        read_id(&opening);
        g_atomic_int_set(&opened, 0);
        fake_ceph_hang("flushed");
        point_watch("ceph.barrier.wait");
        thread = g_thread_new("open", open_image, &opening);
        fake_ceph_wait_hanging("flushed", 1);
        point_await("ceph.barrier.wait", 1);
        assert_int_equal(g_atomic_int_get(&opened), 0);
        fake_ceph_resume();
        ceph->rbd_close(g_thread_join(thread));
        points_clear();
    }
}

static void an_image_that_does_not_open_is_not_waited_for(void **state)
{
    rbd_image_t image = NULL;

    assert_int_equal(ceph->rbd_open(io, "none", &image, NULL), -ENOENT);
    assert_int_equal(ceph->rbd_open_read_only(io, "none", &image, NULL), -ENOENT);
    assert_int_equal(ceph->rbd_open_by_id(io, "none", &image, NULL), -ENOENT);
    assert_int_equal(ceph->rbd_open_by_id_read_only(io, "none", &image, NULL), -ENOENT);
    assert_int_equal(fake_ceph_calls("rados_aio_create_completion2"), 0);
    assert_int_equal(ceph->rbd_open(io, "v", &image, NULL), 0);
    ceph->rbd_close(image);
    assert_int_equal(fake_ceph_calls("rados_aio_flush_async"), 1);
    await_no_completions();
}

static void close_does_not_wait_if_a_completion_cannot_be_created(void **state)
{
    static const char *const functions[] = {"rados_aio_create_completion2",
                                            "rados_aio_flush_async"};

    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        rbd_image_t image = NULL;

        fake_ceph_fail(functions[i], 0, 1, -ESHUTDOWN);
        assert_int_equal(ceph->rbd_open(io, "v", &image, NULL), 0);
        ceph->rbd_close(image);
        await_no_completions();
    }
}

/* --- work ------------------------------------------------------------------------------------- */

typedef struct {
    CstWork work;
    gboolean result;
    int code; /* of the error; 0: success */
} Work;

static GMutex gate; /* work is done when it is open */
static gint cleared;
static GThread *cleared_in;

static gboolean run(CstWork *work, GError **error)
{
    g_mutex_lock(&gate);
    g_mutex_unlock(&gate);
    if (((Work *)work)->code)
        cst_fail(error, ((Work *)work)->code, "it says so");
    return ((Work *)work)->result;
}

static void clear(CstWork *work)
{
    assert_string_equal(work->what, "volume 'v'");
    cleared_in = g_thread_self();
    g_atomic_int_inc(&cleared);
}

static Work *work_new(gboolean (*how)(CstWork *work, GError **error))
{
    Work *work = cst_work_new(sizeof(*work), how, clear);

    assert_false(work->result);
    work->work.what = "volume 'v'";
    g_atomic_int_set(&cleared, 0);
    return work;
}

static void assert_cleared_once(void)
{
    AWAIT(g_atomic_int_get(&cleared) > 0);
    assert_int_equal(g_atomic_int_get(&cleared), 1);
}

static void work_gives_its_result(void **state)
{
    for (int result = 0; result < 2; result++) {
        Work *work = work_new(run);
        g_autoptr(GError) error = NULL;

        work->result = result;
        work->code = result ? 0 : CST_ERROR_NO_SPACE;
        assert_int_equal(cst_work_wait(&work->work, 20000, &error), result);
        assert_int_equal(error ? error->code : 0, work->code);
        cst_work_unref(&work->work);
        assert_cleared_once();
    }
}

static gboolean is_request_12_7(CstWork *work, GError **error)
{
    const CstLogContext *context = cst_log_context();

    return context && context->connection == 12 && context->serial == 7;
}

static void log_of_work_has_the_context_of_its_creator(void **state)
{
    CstLogContext context = {.connection = 12, .serial = 7};
    Work *work;

    cst_log_push(&context);
    work = work_new(is_request_12_7);
    cst_log_pop(&context);
    assert_true(cst_work_wait(&work->work, 20000, NULL));
    cst_work_unref(&work->work);
    assert_cleared_once();
}

static void hanging_work_is_abandoned(void **state)
{
    Work *work = work_new(run);
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&gate);
    assert_false(cst_work_wait(&work->work, 60, &error));
    assert_code(error, CST_ERROR_UNREACHABLE);
    assert_string_equal(error->message, "volume 'v': the storage's servers did not answer in time");
    cst_work_unref(&work->work);
    assert_int_equal(g_atomic_int_get(&cleared), 0);
    g_mutex_unlock(&gate);
    assert_cleared_once();
}

/* An unclaimed error is freed with the work. */
static void work_that_fails_late_is_cleared(void **state)
{
    Work *work = work_new(run);

    work->code = CST_ERROR_IO;
    g_mutex_lock(&gate);
    assert_false(cst_work_wait(&work->work, 10, NULL));
    cst_work_unref(&work->work);
    g_mutex_unlock(&gate);
    assert_cleared_once();
}

/* The wait of the thread that owns a work: its end time, and a function called during the wait. */
static GThread *owner;            /* NULL: waits are not watched */
static gint64 waits_until;        /* of the last wait; 0: no wait */
static GThread *(*in_wait)(void); /* called once with the lock of the work held */
static GThread *helper;           /* that it has started */

gboolean __real_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time);
gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time);

gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
    if (owner == g_thread_self()) {
        waits_until = end_time;
        if (in_wait && !helper)
            helper = in_wait();
    }
    return __real_g_cond_wait_until(cond, mutex, end_time);
}

static void progress_pushes_the_deadline_back(void **state)
{
    Work *work = work_new(NULL);
    gint64 start = g_get_monotonic_time();

    owner = g_thread_self();
    waits_until = 0;
    /* Last heard of a minute ago: the deadline of half a minute is over. */
    work->work.last_heartbeat = start - 60 * SECOND;
    assert_false(cst_work_wait(&work->work, 30000, NULL));
    assert_int_equal(waits_until, 0);
    cst_work_heartbeat(&work->work);
    assert_true(work->work.last_heartbeat >= start);
    /* Heard of in a while, so that the wait is long enough to be seen. */
    work->work.last_heartbeat = g_get_monotonic_time() + SECOND / 10;
    assert_false(cst_work_wait(&work->work, 60, NULL));
    assert_int_equal(waits_until, work->work.last_heartbeat + 60 * G_TIME_SPAN_MILLISECOND);
    owner = NULL;
    cst_work_unref(&work->work);
    assert_cleared_once();
}

static Work *awaited;

/* Gets the lock of the work when its owner waits. */
static gpointer finish_awaited(gpointer data)
{
    cst_work_finish(&awaited->work, TRUE, NULL);
    return NULL;
}

static GThread *finish_in_thread(void)
{
    return g_thread_new("finish", finish_awaited, NULL);
}

static void waiting_thread_is_woken_by_the_end_of_the_work(void **state)
{
    Work *work = awaited = work_new(NULL);
    gint64 now;

    in_wait = finish_in_thread;
    helper = NULL;
    owner = g_thread_self();
    assert_true(cst_work_wait(&work->work, LIMIT_S * 1000, NULL));
    now = g_get_monotonic_time();
    owner = NULL;
    in_wait = NULL;
    assert_non_null(helper);
    g_thread_join(helper);
    /* By the signal, and not by the deadline. */
    assert_true(now < waits_until);
    cst_work_unref(&work->work);
    assert_cleared_once();
}

static void works_without_a_clear_and_no_work_at_all_are_fine(void **state)
{
    cst_work_unref(cst_work_new(sizeof(CstWork), NULL, NULL));
    cst_work_unref(NULL);
}

static gint passed_barrier;

static void clear_barrier(CstWork *work)
{
    g_atomic_int_set(&passed_barrier, 1);
}

/* In a thread of Ceph's own, a connection or an image can't be closed. */
static void work_released_in_a_callback_is_cleared_in_another_thread(void **state)
{
    Work *work = work_new(NULL);

    assert_ptr_equal(cst_work_ref(&work->work), work);
    cst_work_unref_in_callback(&work->work);
    /* One thread clears them in order: the barrier is cleared after all earlier work. */
    cst_work_unref_in_callback(cst_work_new(sizeof(CstWork), NULL, clear_barrier));
    AWAIT(g_atomic_int_get(&passed_barrier));
    assert_int_equal(g_atomic_int_get(&cleared), 0);
    cst_work_unref(&work->work);
    assert_cleared_once();
    assert_ptr_equal(cleared_in, g_thread_self());

    for (int i = 0; i < 3; i++) {
        work = work_new(NULL);
        cst_work_unref_in_callback(&work->work);
        assert_cleared_once();
        assert_ptr_not_equal(cleared_in, g_thread_self());
    }
}

#define ceph_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_connection_ends_without_destructors),
        cmocka_unit_test(incomplete_library_is_named_in_the_error),
        cmocka_unit_test(errors_of_ceph_get_our_classes),
        ceph_test(an_image_is_open_when_running_callbacks_are_over),
        ceph_test(an_image_that_does_not_open_is_not_waited_for),
        ceph_test(close_does_not_wait_if_a_completion_cannot_be_created),
        cmocka_unit_test(work_gives_its_result),
        cmocka_unit_test(log_of_work_has_the_context_of_its_creator),
        cmocka_unit_test(hanging_work_is_abandoned),
        cmocka_unit_test(work_that_fails_late_is_cleared),
        cmocka_unit_test(progress_pushes_the_deadline_back),
        cmocka_unit_test(waiting_thread_is_woken_by_the_end_of_the_work),
        cmocka_unit_test(works_without_a_clear_and_no_work_at_all_are_fine),
        cmocka_unit_test(work_released_in_a_callback_is_cleared_in_another_thread),
    };

    return argc > 1 ? child_main(argv[1]) : cmocka_run_group_tests(tests, NULL, NULL);
}
