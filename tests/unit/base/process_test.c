/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a process is named for people: by its command, and by the machine that it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/process.h>

/* --- libvirt's files about machines ----------------------------------------------------------- */

#define DOMAINS "/run/libvirt/qemu"

static char *domains; /* replacement of DOMAINS */

GDir *__real_g_dir_open(const char *path, guint flags, GError **error);
GDir *__wrap_g_dir_open(const char *path, guint flags, GError **error);
gboolean __real_g_file_get_contents(const char *path, char **text, gsize *len, GError **error);
gboolean __wrap_g_file_get_contents(const char *path, char **text, gsize *len, GError **error);

static char *moved(const char *path)
{
    return g_str_has_prefix(path, DOMAINS) ? g_strconcat(domains, path + strlen(DOMAINS), NULL)
                                           : g_strdup(path);
}

/* Linked with --wrap, both. */
GDir *__wrap_g_dir_open(const char *path, guint flags, GError **error)
{
    g_autofree char *there = moved(path);

    return __real_g_dir_open(there, flags, error);
}

gboolean __wrap_g_file_get_contents(const char *path, char **text, gsize *len, GError **error)
{
    g_autofree char *there = moved(path);

    return __real_g_file_get_contents(there, text, len, error);
}

static void put(const char *name, int pid)
{
    g_autofree char *path = g_build_filename(domains, name, NULL);
    g_autofree char *text = g_strdup_printf("%d", pid);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

static int set_up(void **unused)
{
    domains = g_dir_make_tmp("cistern-process-XXXXXX", NULL);
    return prctl(PR_SET_NAME, "worker\x1b[1m");
}

static int tear_down(void **unused)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", domains);

    g_clear_pointer(&domains, g_free);
    return system(command);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void assert_described(int64_t pid, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void assert_described(int64_t pid, const char *format, ...)
{
    g_autofree char *is = cst_process_describe(pid);
    g_autofree char *expected = NULL;
    va_list args;

    va_start(args, format);
    expected = g_strdup_vprintf(format, args);
    va_end(args);
    assert_string_equal(is, expected);
}

static void a_process_is_named_by_its_command(void **unused)
{
    g_autofree char *command = cst_process_command(getpid());

    assert_string_equal(command, "worker?[1m");
    assert_null(cst_process_command(G_MAXINT32));
    assert_described(getpid(), "process %d (worker?[1m)", getpid());
    assert_described(G_MAXINT32, "process %d", G_MAXINT32);
    assert_described(0, "another process");
    assert_described(-1, "another process");
}

/* The name of the machine is that of the file with this very process in it. */
static void a_machine_is_named_by_its_domain(void **unused)
{
    g_autofree char *unreadable = g_build_filename(domains, "folder.pid", NULL);
    int pid = getpid();

    assert_int_equal(g_mkdir_with_parents(unreadable, 0700), 0);
    put("before.pid", pid - 1);
    put("after.pid", pid + 1);
    put("none.pid", 0);
    put("notes.txt", pid);
    put("pid", pid);
    assert_described(pid, "process %d (worker?[1m)", pid);
    put("web\n1.pid", pid);
    assert_described(pid, "process %d (worker?[1m, domain 'web?1')", pid);
    /* An ended process has no description. */
    put("gone.pid", G_MAXINT32);
    assert_described(G_MAXINT32, "process %d", G_MAXINT32);
}

static void without_libvirt_no_domain_is_reported(void **unused)
{
    assert_int_equal(rmdir(domains), 0);
    assert_described(getpid(), "process %d (worker?[1m)", getpid());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_process_is_named_by_its_command),
        TEST(a_machine_is_named_by_its_domain),
        TEST(without_libvirt_no_domain_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
