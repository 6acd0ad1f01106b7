/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

static CstSecretRow *define(Fixture *f, const char *ephemeral, const char *is_private,
                            const char *target)
{
    g_autofree char *xml =
        g_strdup_printf("<secret ephemeral='%s' private='%s'><usage type='iscsi'>"
                        "<target>%s</target></usage></secret>",
                        ephemeral, is_private, target);
    g_autoptr(GError) error = NULL;
    CstSecretRow *row = cst_service_secret_define(f->service, xml, 0, &error);

    assert_no_error(error);
    return row;
}

static void a_value_survives_a_restart_in_libvirts_files(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = define(f, "no", "no", "t1");
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *file = NULL;
    g_autofree char *text = NULL;
    g_auto(CstSecretBytes) value = {0};
    struct stat st;

    assert_true(cst_service_secret_set_value(f->service, &row->uuid, (const uint8_t *)"s3cret", 6,
                                             0, NULL));
    file = g_strdup_printf("%s/%s.base64", f->paths->secret_dir, cst_uuid_format(&row->uuid, uuid));
    assert_true(g_file_get_contents(file, &text, NULL, NULL));
    assert_string_equal(text, "czNjcmV0");
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_true(cst_service_secret_get_value(f->service, &row->uuid, 0, NULL, &value, NULL));
    assert_int_equal(value.len, 6);
    assert_memory_equal(value.data, "s3cret", 6);
}

static void a_value_has_its_limits(void **state)
{
    g_autofree uint8_t *bytes = g_malloc0(CST_SECRET_VALUE_MAX + 1);
    const struct {
        size_t len;
        unsigned flags;
        int code; /* 0: success */
    } values[] = {
        {0, 0, CST_ERROR_USAGE},
        {1, 0, 0},
        {1, 1, CST_ERROR_FLAGS},
        {CST_SECRET_VALUE_MAX, 0, 0},
        {CST_SECRET_VALUE_MAX + 1, 0, CST_ERROR_INVALID},
    };
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = define(f, "no", "no", "t1");

    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(GError) error = NULL;
        gboolean set = cst_service_secret_set_value(f->service, &row->uuid, bytes, values[i].len,
                                                    values[i].flags, &error);

        assert_int_equal(set, values[i].code == 0);
        if (!set)
            assert_error(&error, values[i].code);
    }
}

static void a_private_value_is_never_given_out(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = define(f, "no", "yes", "t1");
    g_autoptr(GError) error = NULL;
    g_auto(CstSecretBytes) value = {0};

    assert_true(
        cst_service_secret_set_value(f->service, &row->uuid, (const uint8_t *)"x", 1, 0, NULL));
    assert_false(cst_service_secret_get_value(f->service, &row->uuid, 0, NULL, &value, &error));
    assert_error(&error, CST_ERROR_INVALID_SECRET);
}

static void an_ephemeral_secret_never_reaches_the_disk(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = define(f, "yes", "no", "t1");
    g_autoptr(GError) error = NULL;
    GDir *dir;

    assert_true(
        cst_service_secret_set_value(f->service, &row->uuid, (const uint8_t *)"x", 1, 0, NULL));
    dir = g_dir_open(f->paths->secret_dir, 0, NULL);
    if (dir) {
        assert_null(g_dir_read_name(dir));
        g_dir_close(dir);
    }
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_null(cst_service_secret_by_uuid(f->service, &row->uuid, &error));
    assert_error(&error, CST_ERROR_NO_SECRET);
}

static void one_usage_belongs_to_one_secret(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = define(f, "no", "no", "t1");
    g_autoptr(GError) error = NULL;

    assert_null(cst_service_secret_define(
        f->service, "<secret><usage type='iscsi'><target>t1</target></usage></secret>", 0, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_true(cst_service_secret_undefine(f->service, &row->uuid, NULL));
    assert_null(cst_service_secret_by_usage(f->service, CST_SECRET_ISCSI, "t1", &error));
    assert_error(&error, CST_ERROR_NO_SECRET);
}

/* --- next to libvirt's secret driver ---------------------------------------------------------- */

#define OTHER "bbbbbbbb-0000-0000-0000-000000000001"
#define LONE  "bbbbbbbb-0000-0000-0000-000000000002"

/* In a child process: acquires libvirt's lock of the secrets. Returns FALSE if it is held. */
static gboolean lock_as_libvirt_does(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "driver.pid", NULL);
    struct flock request = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd;

    g_mkdir_with_parents(dir, 0700);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    return fd >= 0 && fcntl(fd, F_SETLK, &request) == 0;
}

/* Starts a process that holds the lock until it is killed. Returns 0 if the lock is held. */
static pid_t start_rival(Fixture *f)
{
    int ready[2];
    char answer = 'n';
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also if a check of the test fails */
        answer = lock_as_libvirt_does(f->paths->secret_run_dir) ? 'y' : 'n';
        if (write(ready[1], &answer, 1) == 1 && answer == 'y')
            pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &answer, 1), 1);
    close(ready[0]);
    close(ready[1]);
    if (answer == 'y')
        return pid;
    waitpid(pid, NULL, 0);
    return 0;
}

static void stop_rival(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Writes a secret like virtsecretd. */
static void write_secret(Fixture *f, const char *uuid, const char *value)
{
    g_autofree char *xml = g_strdup_printf("%s/%s.xml", f->paths->secret_dir, uuid);
    g_autofree char *base64 = g_strdup_printf("%s/%s.base64", f->paths->secret_dir, uuid);
    g_autofree char *text = g_strdup_printf("<secret><uuid>%s</uuid></secret>", uuid);

    g_mkdir_with_parents(f->paths->secret_dir, 0700);
    assert_true(g_file_set_contents(xml, text, -1, NULL));
    assert_true(g_file_set_contents(base64, value, -1, NULL));
}

static void assert_value(Fixture *f, const char *uuid_text, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_auto(CstSecretBytes) value = {0};
    CstUuid uuid;

    assert_true(cst_uuid_parse(uuid_text, &uuid));
    cst_service_secret_get_value(f->service, &uuid, 0, NULL, &value, &error);
    assert_no_error(error);
    assert_string_equal((const char *)value.data, expected);
}

static void secrets_of_another_manager_are_read_again_and_not_changed(void **state)
{
    Fixture *f = *state;
    pid_t rival = start_rival(f);
    g_autofree char *pid = g_strdup_printf("process %d (", (int)rival);
    g_autofree char *lone = g_strdup_printf("%s/" LONE ".base64", f->paths->secret_dir);
    g_autoptr(GError) error = NULL;

    assert_int_not_equal(rival, 0);
    assert_false(cst_service_manage_secrets(f->service, &error));
    assert_non_null(strstr(error->message, pid));
    assert_error(&error, CST_ERROR_BUSY);
    write_secret(f, OTHER, "b25l");
    assert_value(f, OTHER, "one");
    write_secret(f, OTHER, "dHdv");
    assert_value(f, OTHER, "two");
    assert_true(g_file_set_contents(lone, "eA==", -1, NULL));
    assert_null(cst_service_secret_define(f->service, "<secret/>", 0, &error));
    assert_non_null(strstr(error->message, pid));
    assert_error(&error, CST_ERROR_BUSY);
    assert_int_equal(access(lone, F_OK), 0);
    stop_rival(rival);
    /* From now on this daemon manages the secrets. */
    assert_value(f, OTHER, "two");
    assert_int_equal(access(lone, F_OK), -1);
    assert_int_equal(start_rival(f), 0);
}

static void lock_is_kept_by_the_service_that_manages_the_secrets(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = NULL;
    pid_t rival;

    assert_true(cst_service_manage_secrets(f->service, NULL));
    assert_int_equal(start_rival(f), 0);
    row = define(f, "no", "no", "t1");
    assert_int_equal(start_rival(f), 0);
    cst_service_leave_secrets(f->service);
    /* The lock is held only during a change. */
    assert_true(cst_service_secret_undefine(f->service, &row->uuid, NULL));
    rival = start_rival(f);
    assert_int_not_equal(rival, 0);
    stop_rival(rival);
}

/*
 * The manager keeps the secrets in memory, like libvirt's driver, because no other program changes
 * them.
 */
static void managed_secrets_are_not_read_again(void **state)
{
    Fixture *f = *state;

    CstUuid lone;

    assert_true(cst_uuid_parse(LONE, &lone));
    write_secret(f, OTHER, "b25l");
    assert_true(cst_service_manage_secrets(f->service, NULL));
    write_secret(f, LONE, "dHdv");
    assert_null(cst_service_secret_by_uuid(f->service, &lone, NULL));
    /* Values are read again, because they are only in their files. */
    write_secret(f, OTHER, "dHdv");
    assert_value(f, OTHER, "two");
    cst_service_leave_secrets(f->service);
    assert_value(f, LONE, "two");
}

/* The program that manages the secrets must be able to get the lock. */
static void reading_foreign_secrets_acquires_no_lock(void **state)
{
    Fixture *f = *state;
    pid_t rival;

    write_secret(f, OTHER, "b25l");
    assert_value(f, OTHER, "one");
    rival = start_rival(f);
    assert_int_not_equal(rival, 0);
    stop_rival(rival);
}

static void command_without_daemon_acquires_the_lock_for_a_change(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstSecretRow) row = NULL;
    g_autoptr(GError) error = NULL;
    pid_t rival;

    fixture_restart(f, CST_SERVICE_EMBEDDED);
    rival = start_rival(f);
    assert_int_not_equal(rival, 0);
    assert_null(cst_service_secret_define(f->service, "<secret/>", 0, &error));
    assert_error(&error, CST_ERROR_BUSY);
    write_secret(f, OTHER, "b25l");
    assert_value(f, OTHER, "one");
    stop_rival(rival);
    row = define(f, "no", "no", "t1");
    rival = start_rival(f);
    assert_int_not_equal(rival, 0);
    stop_rival(rival);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_value_survives_a_restart_in_libvirts_files),
        CASE(a_value_has_its_limits),
        CASE(a_private_value_is_never_given_out),
        CASE(an_ephemeral_secret_never_reaches_the_disk),
        CASE(one_usage_belongs_to_one_secret),
        CASE(secrets_of_another_manager_are_read_again_and_not_changed),
        CASE(lock_is_kept_by_the_service_that_manages_the_secrets),
        CASE(managed_secrets_are_not_read_again),
        CASE(reading_foreign_secrets_acquires_no_lock),
        CASE(command_without_daemon_acquires_the_lock_for_a_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
