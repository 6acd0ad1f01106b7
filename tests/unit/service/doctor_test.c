/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks of the command doctor about states that the test simulates: the health of the storage,
 * thin pools, failed scans, a page that takes too long, and storage that hangs.
 */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/backend.h>
#include <pool/pool.h>
#include <pool/tool.h>
#include <service/doctor.h>

#include "core/pool.h"
#include "core/scan.h"

#include "await.h"
#include "points.h"

/* The simulated storage. Reset before each test. Threads of the service read it: all is atomic. */
static struct {
    gint health; /* CstHealthLevel */
    gint hundredths;
    gint lost;
    gint is_thin;
    gint by_system; /* dmeventd extends the thin pool */
    const char *process;
    const char *threshold;
    gint scan_fails;
    gint may_hang;
    GMutex *held;      /* the check of the health waits for it */
    gint64 later;      /* added to the clock */
    gint64 held_clock; /* time of the test's thread, which alone accesses it; 0: the clock runs */
    gint64 delay;      /* the check of the health adds it to the clock */
    gint inside;       /* threads in the check of the health */
    gint no_threads;
} simulated;

static GThread *test_thread; /* atomic */

gboolean __wrap_cst_pool_state_has_health(CstPoolState *state);
gboolean __wrap_cst_pool_state_health(CstPoolState *state, gboolean details,
                                      CstPoolHealth *ret_health, GError **error);
GPtrArray *__wrap_cst_pool_state_space_usage(CstPoolState *state, GError **error);
GPtrArray *__wrap_cst_pool_state_thin(CstPoolState *state, GError **error);
GPtrArray *__wrap_cst_pool_state_growths(CstPoolState *state, gboolean now, GError **error);
char *__real_cst_kernel_read(const char *path);
char *__wrap_cst_kernel_read(const char *path);
gboolean __real_cst_tool_run(const CstTool *tool, CstTask *task, char **ret_out, GError **error);
gboolean __wrap_cst_tool_run(const CstTool *tool, CstTask *task, char **ret_out, GError **error);
gboolean __real_pool_scan_if_new(CstPool *pool, CstPoolState *state, GError **error);
gboolean __wrap_pool_scan_if_new(CstPool *pool, CstPoolState *state, GError **error);
gboolean __wrap_cst_pool_state_may_hang(CstPoolState *state);
gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);
GThread *__real_g_thread_try_new(const char *name, GThreadFunc run, gpointer data, GError **error);
GThread *__wrap_g_thread_try_new(const char *name, GThreadFunc run, gpointer data, GError **error);

gboolean __wrap_cst_pool_state_has_health(CstPoolState *state)
{
    return g_atomic_int_get(&simulated.health) != CST_HEALTH_UNKNOWN;
}

gboolean __wrap_cst_pool_state_health(CstPoolState *state, gboolean details,
                                      CstPoolHealth *ret_health, GError **error)
{
    GMutex *held = g_atomic_pointer_get(&simulated.held);

    g_atomic_int_inc(&simulated.inside);
    __atomic_fetch_add(&simulated.later, __atomic_load_n(&simulated.delay, __ATOMIC_SEQ_CST),
                       __ATOMIC_SEQ_CST);
    if (held) {
        g_mutex_lock(held);
        g_mutex_unlock(held);
    }
    g_atomic_int_add(&simulated.inside, -1);
    *ret_health = (CstPoolHealth){.level = (CstHealthLevel)g_atomic_int_get(&simulated.health),
                                  .state = g_strdup("DEGRADED")};
    cst_pool_health_note(ret_health, "disk sdb is gone");
    return TRUE;
}

GPtrArray *__wrap_cst_pool_state_space_usage(CstPoolState *state, GError **error)
{
    GPtrArray *usage = g_ptr_array_new_with_free_func((GDestroyNotify)cst_space_usage_free);

    cst_space_usage_add(usage, g_atomic_int_get(&simulated.hundredths),
                        g_atomic_int_get(&simulated.lost), "the data of thin pool 't'");
    return usage;
}

GPtrArray *__wrap_cst_pool_state_growths(CstPoolState *state, gboolean now, GError **error)
{
    GPtrArray *growths = g_ptr_array_new_with_free_func((GDestroyNotify)cst_growth_free);
    CstGrowth *growth = cst_growth_new(CST_GROWTH_DATA, "t", "t");

    growth->by_system = now && g_atomic_int_get(&simulated.by_system);
    g_ptr_array_add(growths, growth);
    return growths;
}

GPtrArray *__wrap_cst_pool_state_thin(CstPoolState *state, GError **error)
{
    GPtrArray *stores = g_ptr_array_new_with_free_func((GDestroyNotify)cst_thin_store_free);

    if (g_atomic_int_get(&simulated.is_thin))
        g_ptr_array_add(stores, g_new0(CstThinStore, 1));
    return stores;
}

char *__wrap_cst_kernel_read(const char *path)
{
    return g_str_has_suffix(path, "/comm")
               ? g_strconcat(g_atomic_pointer_get(&simulated.process), "\n", NULL)
               : __real_cst_kernel_read(path);
}

gboolean __wrap_cst_tool_run(const CstTool *tool, CstTask *task, char **ret_out, GError **error)
{
    if (strcmp(tool->argv[0], "lvmconfig") != 0)
        return __real_cst_tool_run(tool, task, ret_out, error);
    *ret_out = g_strdup_printf("thin_pool_autoextend_threshold=%s\n",
                               g_atomic_pointer_get(&simulated.threshold));
    return TRUE;
}

gboolean __wrap_pool_scan_if_new(CstPool *pool, CstPoolState *state, GError **error)
{
    return g_atomic_int_get(&simulated.scan_fails)
               ? cst_fail(error, CST_ERROR_IO, "the disk is broken")
               : __real_pool_scan_if_new(pool, state, error);
}

gboolean __wrap_cst_pool_state_may_hang(CstPoolState *state)
{
    return g_atomic_int_get(&simulated.may_hang);
}

gint64 __wrap_g_get_monotonic_time(void)
{
    gint64 held = g_thread_self() == g_atomic_pointer_get(&test_thread) ? simulated.held_clock : 0;
    gint64 now = held ? held : __real_g_get_monotonic_time();

    return now + __atomic_load_n(&simulated.later, __ATOMIC_SEQ_CST);
}

GThread *__wrap_g_thread_try_new(const char *name, GThreadFunc run, gpointer data, GError **error)
{
    if (!g_atomic_int_get(&simulated.no_threads))
        return __real_g_thread_try_new(name, run, data, error);
    g_set_error(error, G_THREAD_ERROR, G_THREAD_ERROR_AGAIN, "too many threads");
    return NULL;
}

/* --- tests ------------------------------------------------------------------------------------ */

static int simulation_setup(void **state)
{
    memset(&simulated, 0, sizeof(simulated));
    g_atomic_pointer_set(&test_thread, g_thread_self());
    g_atomic_pointer_set(&simulated.process, "dmeventd");
    g_atomic_pointer_set(&simulated.threshold, "80");
    return fixture_setup(state);
}

/* Returns the finding of check @id about pool "p"; NULL: there is none. The caller frees it. */
static CstDoctorFinding *finding_of(Fixture *f, const char *id)
{
    const CstDoctorQuery query = {.pool = "p"};
    g_autoptr(GError) error = NULL;
    g_autofree char *next = NULL;
    g_autoptr(GPtrArray) findings = cst_service_doctor(f->service, &query, NULL, &next, &error);

    assert_no_error(error);
    for (guint i = 0; i < findings->len; i++)
        if (strcmp(((const CstDoctorFinding *)findings->pdata[i])->id, id) == 0)
            return g_ptr_array_steal_index(findings, i);
    return NULL;
}

static void assert_silent(Fixture *f, const char *id)
{
    g_autoptr(CstDoctorFinding) finding = finding_of(f, id);

    assert_null(finding);
}

static void assert_found(Fixture *f, const char *id, CstSeverity severity, const char *text)
{
    g_autoptr(CstDoctorFinding) finding = finding_of(f, id);

    assert_non_null(finding);
    assert_int_equal(finding->severity, severity);
    assert_string_equal(finding->object, "p");
    assert_non_null(strstr(finding->evidence, text));
}

static void degraded_storage_is_a_warning_and_failed_storage_an_error(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    g_atomic_int_set(&simulated.health, CST_HEALTH_GOOD);
    assert_silent(f, "pool-degraded");
    g_atomic_int_set(&simulated.health, CST_HEALTH_DEGRADED);
    assert_found(f, "pool-degraded", CST_SEVERITY_WARNING, "DEGRADED: disk sdb is gone");
    g_atomic_int_set(&simulated.health, CST_HEALTH_FAILED);
    assert_found(f, "pool-degraded", CST_SEVERITY_ERROR, "DEGRADED");
}

static void space_that_runs_full_gets_worse_until_it_is_lost(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    g_atomic_int_set(&simulated.hundredths, 8499);
    assert_silent(f, "space-nearly-full");
    g_atomic_int_set(&simulated.hundredths, 8500);
    assert_found(f, "space-nearly-full", CST_SEVERITY_WARNING, "85%");
    g_atomic_int_set(&simulated.hundredths, 9500);
    assert_found(f, "space-nearly-full", CST_SEVERITY_ERROR, "thin pool 't'");
    assert_silent(f, "space-lost");
    g_atomic_int_set(&simulated.lost, TRUE);
    assert_found(f, "space-lost", CST_SEVERITY_ERROR, "thin pool 't'");
}

static void thin_pools_need_a_process_that_extends_them(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    g_atomic_pointer_set(&simulated.process, "init");
    g_atomic_pointer_set(&simulated.threshold, "100");
    assert_silent(f, "dmeventd-absent");
    assert_silent(f, "autoextend-off");
    g_atomic_int_set(&simulated.is_thin, TRUE);
    assert_found(f, "dmeventd-absent", CST_SEVERITY_WARNING, "dmeventd");
    assert_found(f, "autoextend-off", CST_SEVERITY_WARNING, "100");
    g_atomic_pointer_set(&simulated.process, "dmeventd");
    g_atomic_pointer_set(&simulated.threshold, "80");
    assert_silent(f, "dmeventd-absent");
    assert_silent(f, "autoextend-off");
}

static void space_with_the_setting_is_reported_only_if_dmeventd_extends_it(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    g_atomic_pointer_set(&simulated.process, "init");
    g_atomic_pointer_set(&simulated.threshold, "100");
    g_atomic_int_set(&simulated.is_thin, TRUE);
    g_mutex_lock(&pool->lock);
    pool->def->autoextend.threshold = 80;
    g_mutex_unlock(&pool->lock);
    assert_silent(f, "dmeventd-absent");
    assert_silent(f, "autoextend-off");
    assert_silent(f, "autoextend-by-dmeventd");
    g_atomic_int_set(&simulated.by_system, TRUE);
    assert_found(f, "autoextend-by-dmeventd", CST_SEVERITY_NOTE, "'t'");
}

static void scan_that_fails_is_a_finding(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    assert_silent(f, "check-failed");
    g_atomic_int_set(&simulated.scan_fails, TRUE);
    assert_found(f, "check-failed", CST_SEVERITY_WARNING, "the disk is broken");
}

static void page_that_takes_too_long_names_the_first_volume_without_checks(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    fixture_create(pool, "v", "raw", "");
    g_atomic_int_set(&simulated.health, CST_HEALTH_GOOD);
    simulated.held_clock = __real_g_get_monotonic_time();
    assert_silent(f, "doctor-incomplete");
    __atomic_store_n(&simulated.delay, 5 * G_TIME_SPAN_SECOND, __ATOMIC_SEQ_CST);
    assert_found(f, "doctor-incomplete", CST_SEVERITY_WARNING, "'v'");
}

static void hanging_check_await(gpointer data)
{
    AWAIT(g_atomic_int_get(&simulated.inside) > 0);
}

/* Makes the check of the pool's health hang, so that the query abandons its thread. */
static void check_hang(Fixture *f, GMutex *held)
{
    g_mutex_init(held);
    g_mutex_lock(held);
    g_atomic_int_set(&simulated.health, CST_HEALTH_DEGRADED);
    g_atomic_int_set(&simulated.may_hang, TRUE);
    g_atomic_pointer_set(&simulated.held, held);
    point_run_always("doctor.storage.wait", hanging_check_await, NULL);
    /* GLib waits by the real clock, on which the end of the page has passed then. */
    __atomic_store_n(&simulated.later, -10 * G_TIME_SPAN_SECOND, __ATOMIC_SEQ_CST);
    assert_found(f, "pool-not-answering", CST_SEVERITY_ERROR, "'p'");
}

static void check_release(GMutex *held)
{
    g_atomic_pointer_set(&simulated.held, NULL);
    g_mutex_unlock(held);
}

static void check_of_hanging_storage_is_abandoned(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    GMutex held;

    g_atomic_int_set(&simulated.health, CST_HEALTH_DEGRADED);
    g_atomic_int_set(&simulated.may_hang, TRUE);
    /* The wait for storage that answers has no end. */
    __atomic_store_n(&simulated.later, G_TIME_SPAN_DAY, __ATOMIC_SEQ_CST);
    assert_found(f, "pool-degraded", CST_SEVERITY_WARNING, "DEGRADED");
    check_hang(f, &held);
    assert_silent(f, "pool-degraded");
    check_release(&held);
    AWAIT(g_atomic_int_get(&simulated.inside) == 0);
    g_mutex_clear(&held);
    points_clear();
}

static gpointer end_service(gpointer data)
{
    Fixture *f = data;

    g_clear_pointer(&f->service, cst_service_free);
    return NULL;
}

static void end_of_the_daemon_waits_for_abandoned_checks(void **state)
{
    Fixture *f = *state;
    CstPool *pool = fixture_pool(f, "p");
    GThread *thread;
    GMutex held;

    cst_pool_unref(pool);
    point_watch("service.threads.wait");
    check_hang(f, &held);
    thread = g_thread_new("end", end_service, f);
    point_await("service.threads.wait", 1);
    assert_true(g_atomic_int_get(&simulated.inside) > 0);
    check_release(&held);
    g_thread_join(thread);
    assert_int_equal(g_atomic_int_get(&simulated.inside), 0);
    g_mutex_clear(&held);
    points_clear();
}

static void abandoned_check_frees_the_service_of_a_command(void **state)
{
    Fixture *f = *state;
    CstPool *pool;
    GMutex held;

    fixture_restart(f, CST_SERVICE_EMBEDDED);
    pool = fixture_pool(f, "p");
    cst_pool_unref(pool);
    point_watch("service.threads.freed");
    check_hang(f, &held);
    end_service(f);
    assert_true(g_atomic_int_get(&simulated.inside) > 0);
    assert_int_equal(point_passed("service.threads.freed"), 0);
    check_release(&held);
    point_await("service.threads.freed", 1);
    g_mutex_clear(&held);
    points_clear();
}

static void check_that_gets_no_thread_is_a_finding(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    g_atomic_int_set(&simulated.may_hang, TRUE);
    g_atomic_int_set(&simulated.no_threads, TRUE);
    assert_found(f, "check-failed", CST_SEVERITY_WARNING, "cannot create a thread");
    g_atomic_int_set(&simulated.no_threads, FALSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(degraded_storage_is_a_warning_and_failed_storage_an_error,
                                        simulation_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(space_that_runs_full_gets_worse_until_it_is_lost,
                                        simulation_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(thin_pools_need_a_process_that_extends_them,
                                        simulation_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            space_with_the_setting_is_reported_only_if_dmeventd_extends_it, simulation_setup,
            fixture_teardown),
        cmocka_unit_test_setup_teardown(scan_that_fails_is_a_finding, simulation_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(
            page_that_takes_too_long_names_the_first_volume_without_checks, simulation_setup,
            fixture_teardown),
        cmocka_unit_test_setup_teardown(check_of_hanging_storage_is_abandoned, simulation_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(end_of_the_daemon_waits_for_abandoned_checks,
                                        simulation_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(abandoned_check_frees_the_service_of_a_command,
                                        simulation_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(check_that_gets_no_thread_is_a_finding, simulation_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
