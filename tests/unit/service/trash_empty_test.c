/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of removals and syncs when the trash is emptied, and failures of each of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/backend.h>
#include <service/trash.h>
#include <store/declarations.h>
#include <store/trash.h>

#include "fixture.h"

static Fixture *fixture;
static CstPool *p;

/*
 * The recorded steps, a letter each: "v" and "r" remove a volume and a record; "V" and "R" sync the
 * directory of the volumes and of the records. They belong to the thread of the test: the pool's
 * watch runs meanwhile in a thread of its own.
 */
static _Thread_local GString *steps;
static _Thread_local guint failing_step;  /* fails with EIO, counted from 1; 0: no step */
static _Thread_local char failing_letter; /* each step of this letter fails; 0: no step */
/* The removal of this volume fails: the begin of its name. */
static _Thread_local const char *failing_name;
static _Thread_local CstTask *cancelled_at_R; /* is cancelled by step "R" */

static gboolean step_may_proceed(char letter)
{
    if (!steps)
        return TRUE;
    g_string_append_c(steps, letter);
    if (letter == 'R' && cancelled_at_R)
        cst_task_cancel(cancelled_at_R);
    errno = EIO;
    return steps->len != failing_step && letter != failing_letter;
}

int __real_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags)
{
    if (g_str_has_prefix(name, CST_TRASH_PREFIX) && !step_may_proceed('v'))
        return -1;
    if (failing_name && g_str_has_prefix(name, failing_name)) {
        errno = EIO;
        return -1;
    }
    return __real_unlinkat(fd, name, flags);
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    if (strstr(path, "/trash/") && !step_may_proceed('r'))
        return -1;
    return __real_unlink(path);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *path = steps ? g_file_read_link(link, NULL) : NULL;

    if (path && g_str_has_prefix(path, fixture->images) && !step_may_proceed('V'))
        return -1;
    if (path && strstr(path, "/trash/") && !step_may_proceed('R'))
        return -1;
    return __real_fsync(fd);
}

static guint single_transactions; /* of declarations */

gboolean __real_cst_declarations_remove(CstDeclarations *all, const char *dir, const char *name,
                                        GError **error);
gboolean __wrap_cst_declarations_remove(CstDeclarations *all, const char *dir, const char *name,
                                        GError **error);
gboolean __wrap_cst_declarations_remove(CstDeclarations *all, const char *dir, const char *name,
                                        GError **error)
{
    single_transactions++;
    return __real_cst_declarations_remove(all, dir, name, error);
}

static int set_up(void **state)
{
    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    p = fixture_pool(fixture, "p");
    return 0;
}

static int tear_down(void **state)
{
    g_clear_pointer(&p, cst_pool_unref);
    return fixture_teardown(state);
}

/* Makes deleted volumes without deletions. */
static void make_deleted(guint count)
{
    for (guint i = 0; i < count; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);
        g_autofree char *hidden = g_strdup_printf(CST_TRASH_PREFIX "%s-%012x", name, i);
        const CstTrashed trashed = {.hidden = hidden, .name = name, .until = G_MAXINT32};

        fixture_write(fixture, "p", hidden, "content");
        assert_true(cst_trash_set(fixture->paths, cst_pool_uuid(p), &trashed, NULL));
    }
}

/* Empties the trash and records the steps. Returns the number of removed volumes. */
static guint empty_recorded(CstTask *task, GError **error)
{
    uint64_t bytes;
    guint count;

    steps = g_string_new(NULL);
    cst_pool_trash_empty(p, NULL, 0, task, &count, &bytes, error);
    return count;
}

static void assert_steps(const char *wanted)
{
    assert_string_equal(steps->str, wanted);
    g_string_free(g_steal_pointer(&steps), TRUE);
}

static GPtrArray *record_names(void)
{
    GPtrArray *names = cst_trash_names(fixture->paths, cst_pool_uuid(p), NULL);

    assert_non_null(names);
    return names;
}

/* Returns the number of the deleted volumes, each of which must have a record. */
static guint count_volumes_with_record(void)
{
    g_autofree char *path = g_build_filename(fixture->images, "p", NULL);
    g_autoptr(GPtrArray) records = record_names();
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    guint count = 0;

    while ((name = g_dir_read_name(dir))) {
        if (!g_str_has_prefix(name, CST_TRASH_PREFIX))
            continue;
        assert_true(g_ptr_array_find_with_equal_func(records, name, g_str_equal, NULL));
        count++;
    }
    return count;
}

static void assert_trash_is_empty(void)
{
    g_autoptr(GPtrArray) records = record_names();

    assert_int_equal(count_volumes_with_record(), 0);
    assert_int_equal(records->len, 0);
}

static void group_syncs_the_volumes_before_it_removes_their_records(void **state)
{
    g_autoptr(GError) error = NULL;

    make_deleted(3);
    assert_int_equal(empty_recorded(NULL, &error), 3);
    assert_no_error(error);
    assert_steps("vvvVrrrR");
    assert_trash_is_empty();
}

static void record_without_volume_is_removed_after_a_sync_of_the_volumes(void **state)
{
    g_autofree char *path =
        g_strdup_printf("%s/p/" CST_TRASH_PREFIX "v0-%012x", fixture->images, 0);
    g_autoptr(GError) error = NULL;

    make_deleted(1);
    assert_int_equal(__real_unlink(path), 0);
    failing_letter = 'V';
    empty_recorded(NULL, &error);
    failing_letter = 0;
    assert_error(&error, CST_ERROR_IO);
    assert_steps("V");
    assert_int_equal(empty_recorded(NULL, &error), 0);
    assert_no_error(error);
    assert_steps("VrR");
    assert_trash_is_empty();
}

/* A failure that does not repeat is overcome by the next attempt of the same call. */
static void failed_step_leaves_no_volume_without_record(void **state)
{
    for (guint step = 1; step <= strlen("vvvVrrrR"); step++) {
        g_autoptr(GError) error = NULL;

        make_deleted(3);
        failing_step = step;
        assert_int_equal(empty_recorded(NULL, &error), step == 4 ? 0 : 3);
        failing_step = 0;
        g_clear_error(&error);
        g_string_free(g_steal_pointer(&steps), TRUE);
        count_volumes_with_record();
        empty_recorded(NULL, &error);
        assert_no_error(error);
        g_string_free(g_steal_pointer(&steps), TRUE);
        assert_trash_is_empty();
    }
}

static void assert_failing(char letter, guint removed, guint volumes, guint records)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GError) error = NULL;

    make_deleted(3);
    failing_letter = letter;
    assert_int_equal(empty_recorded(NULL, &error), removed);
    failing_letter = 0;
    assert_error(&error, CST_ERROR_IO);
    g_string_free(g_steal_pointer(&steps), TRUE);
    names = record_names();
    assert_int_equal(names->len, records);
    assert_int_equal(count_volumes_with_record(), volumes);
    empty_recorded(NULL, &error);
    assert_no_error(error);
    g_string_free(g_steal_pointer(&steps), TRUE);
    assert_trash_is_empty();
}

static void lasting_failure_is_reported_with_the_number_of_removed_volumes(void **state)
{
    assert_failing('v', 0, 3, 3);
    assert_failing('V', 0, 0, 3);
    assert_failing('r', 3, 0, 3);
    assert_failing('R', 3, 0, 0);
}

static void volume_that_cannot_be_removed_stays_with_its_record(void **state)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GError) error = NULL;

    make_deleted(3);
    failing_name = CST_TRASH_PREFIX "v1-";
    assert_int_equal(empty_recorded(NULL, &error), 2);
    failing_name = NULL;
    assert_error(&error, CST_ERROR_IO);
    g_string_free(g_steal_pointer(&steps), TRUE);
    names = record_names();
    assert_int_equal(names->len, 1);
    assert_true(g_str_has_prefix(names->pdata[0], CST_TRASH_PREFIX "v1-"));
    assert_int_equal(count_volumes_with_record(), 1);
}

static void cancelled_task_stops_between_two_groups(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) records = NULL;

    make_deleted(300);
    cancelled_at_R = task;
    assert_int_equal(empty_recorded(task, &error), 256);
    cancelled_at_R = NULL;
    assert_error(&error, CST_ERROR_CANCELLED);
    g_string_free(g_steal_pointer(&steps), TRUE);
    records = record_names();
    assert_int_equal(records->len, 44);
    assert_int_equal(count_volumes_with_record(), 44);
}

/* Also where other users can write: a volume in the trash has a name that is not used again. */
static void declarations_of_a_group_have_no_transactions_of_their_own(void **state)
{
    g_autofree char *dir = g_build_filename(fixture->images, "p", NULL);
    g_autoptr(GError) error = NULL;

    assert_int_equal(chmod(dir, 0777), 0);
    make_deleted(3);
    single_transactions = 0;
    assert_int_equal(empty_recorded(NULL, &error), 3);
    assert_no_error(error);
    assert_int_equal(single_transactions, 0);
    g_string_free(g_steal_pointer(&steps), TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(group_syncs_the_volumes_before_it_removes_their_records,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            record_without_volume_is_removed_after_a_sync_of_the_volumes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_step_leaves_no_volume_without_record, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            lasting_failure_is_reported_with_the_number_of_removed_volumes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(volume_that_cannot_be_removed_stays_with_its_record, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(declarations_of_a_group_have_no_transactions_of_their_own,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancelled_task_stops_between_two_groups, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
