/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of schedules. Runs of a schedule with a repository have the rights of the daemon, and
 * believe the records. So a client of another user can change none of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/log_context.h>
#include <service/schedules.h>

#include "fixture.h"

static CstSchedule *schedule_make(Fixture *f, const char *name, gboolean outside)
{
    CstSchedule *schedule = cst_schedule_new();
    const char *on[] = {"pool:p", NULL};
    g_autoptr(GError) error = NULL;

    g_free(schedule->name);
    schedule->name = g_strdup(name);
    g_free(schedule->every);
    schedule->every = g_strdup("daily");
    schedule->action = outside ? CST_SCHEDULE_BACKUP : CST_SCHEDULE_SNAPSHOT;
    g_strfreev(schedule->on);
    schedule->on = g_strdupv((char **)on);
    if (outside)
        cst_schedule_set_option(schedule, "repo", "/root/repo");
    cst_service_schedule_set(f->service, schedule, &error);
    assert_no_error(error);
    return schedule;
}

/* Stores a copy of the schedule @name. @id: 0 for a new one. */
static gboolean copy_set(Fixture *f, const char *name, const char *copy_name, int64_t *id,
                         GError **error)
{
    CstScheduleCopy copy = {.id = *id,
                            .place = (char *)"/root/repo",
                            .pool = (char *)"",
                            .volume = (char *)"",
                            .name = (char *)copy_name,
                            .time = 1};
    g_autoptr(GPtrArray) copies = g_ptr_array_new();
    gboolean ok;

    g_ptr_array_add(copies, &copy);
    ok = cst_service_schedule_set_copies(f->service, name, copies, error);
    *id = copy.id;
    return ok;
}

static void assert_copy_is(Fixture *f, const char *name, const char *copy_name)
{
    g_autoptr(GPtrArray) copies = cst_service_schedule_copies(f->service, name, 0, G_MAXINT, NULL);

    assert_int_equal(copies->len, 1);
    assert_string_equal(((CstScheduleCopy *)copies->pdata[0])->name, copy_name);
}

static CstScheduleRun run_of(const char *name)
{
    return (CstScheduleRun){.schedule = (char *)name, .planned = 5, .began = 5};
}

static void assert_denied(gboolean ok, GError **error)
{
    assert_false(ok);
    assert_true(g_error_matches(*error, CST_ERROR, CST_ERROR_DENIED));
    assert_non_null(strstr((*error)->message, "may define, change or run it"));
    g_clear_error(error);
}

static void other_user_changes_no_record_of_a_schedule_with_a_repository(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSchedule) schedule = schedule_make(f, "s", TRUE);
    CstScheduleRun run = run_of("s"), again = run_of("s");
    CstLogContext other = {.connection = 1, .uid = geteuid() + 1};
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(GError) error = NULL;
    int64_t id = 0, new_id = 0;

    assert_true(copy_set(f, "s", "one", &id, NULL));
    assert_true(cst_service_schedule_begin(f->service, &run, 0, NULL));
    cst_log_push(&other);
    assert_denied(copy_set(f, "s", "two", &id, &error), &error);
    assert_denied(copy_set(f, "s", "two", &new_id, &error), &error);
    assert_denied(cst_service_schedule_forget_copies(f->service, &id, 1, &error), &error);
    assert_denied(cst_service_schedule_begin(f->service, &again, G_MAXINT32, &error), &error);
    run.state = CST_SCHEDULE_DONE;
    assert_denied(cst_service_schedule_end(f->service, &run, &error), &error);
    assert_denied(cst_service_schedule_set(f->service, schedule, &error), &error);
    assert_denied(cst_service_schedule_delete(f->service, "s", &error), &error);
    cst_log_pop(&other);
    assert_copy_is(f, "s", "one");
    rows = cst_service_schedules(f->service, "s", NULL);
    assert_int_equal(rows->len, 1);
}

static void other_user_changes_the_records_of_a_schedule_of_snapshots(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSchedule) schedule = schedule_make(f, "t", FALSE);
    CstScheduleRun run = run_of("t");
    CstLogContext other = {.connection = 1, .uid = geteuid() + 1};
    int64_t id = 0;

    cst_log_push(&other);
    assert_true(cst_service_schedule_begin(f->service, &run, 0, NULL));
    run.state = CST_SCHEDULE_DONE;
    assert_true(cst_service_schedule_end(f->service, &run, NULL));
    assert_true(copy_set(f, "t", "one", &id, NULL));
    assert_true(cst_service_schedule_forget_copies(f->service, &id, 1, NULL));
    assert_true(cst_service_schedule_delete(f->service, "t", NULL));
    cst_log_pop(&other);
}

/* The number of a copy or a run is no key to another schedule. */
static void records_of_another_schedule_do_not_change(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSchedule) schedule = schedule_make(f, "s", TRUE);
    g_autoptr(CstSchedule) own = schedule_make(f, "t", FALSE);
    CstScheduleRun run = run_of("s"), forged;
    g_autoptr(GPtrArray) runs = NULL;
    g_autoptr(GError) error = NULL;
    int64_t id = 0;

    assert_true(copy_set(f, "s", "one", &id, NULL));
    assert_false(copy_set(f, "t", "two", &id, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND));
    assert_copy_is(f, "s", "one");
    assert_true(copy_set(f, "s", "two", &id, NULL));
    assert_copy_is(f, "s", "two");
    assert_true(cst_service_schedule_begin(f->service, &run, 0, NULL));
    forged = run_of("t");
    forged.id = run.id;
    forged.state = CST_SCHEDULE_DONE;
    assert_false(cst_service_schedule_end(f->service, &forged, NULL));
    run.state = CST_SCHEDULE_PARTLY;
    assert_true(cst_service_schedule_end(f->service, &run, NULL));
    runs = cst_service_schedule_history(f->service, "s", G_MAXINT64, 10, NULL);
    assert_int_equal(runs->len, 1);
    assert_int_equal(((CstScheduleRun *)runs->pdata[0])->state, CST_SCHEDULE_PARTLY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            other_user_changes_no_record_of_a_schedule_with_a_repository, fixture_setup,
            fixture_teardown),
        cmocka_unit_test_setup_teardown(other_user_changes_the_records_of_a_schedule_of_snapshots,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(records_of_another_schedule_do_not_change, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
