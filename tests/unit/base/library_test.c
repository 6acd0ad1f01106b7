/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Libraries that are loaded on first use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/library.h>

#define THREADS 8

static const char *const math_names[] = {"fabs", "signgam", NULL};
static const char *const wrong_names[] = {"fabs", "no_such_function", NULL};

static void assert_refused(CstLibrary *library, const char *why)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_library_load(library, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
    assert_non_null(strstr(error->message, why));
    assert_non_null(strstr(error->message, "install package 'libmath1'"));
}

static void missing_library_is_an_error_that_names_the_package(void **state)
{
    void *found[2] = {NULL};
    CstLibrary library = {
        .file = "libnowhere.so.9", .package = "libmath1", .names = math_names, .found = found};

    assert_refused(&library, "libnowhere.so.9");
}

static void library_without_a_function_is_an_error_that_names_it(void **state)
{
    void *found[2] = {NULL};
    CstLibrary library = {
        .file = "libm.so.6", .package = "libmath1", .names = wrong_names, .found = found};

    assert_refused(&library, "no function no_such_function");
}

static void library_that_was_missing_is_loaded_once_it_is_installed(void **state)
{
    void *found[2] = {NULL};
    CstLibrary library = {
        .file = "libnowhere.so.9", .package = "libmath1", .names = math_names, .found = found};
    double (*absolute)(double);

    assert_refused(&library, "libnowhere.so.9");
    library.file = "libm.so.6";
    assert_true(cst_library_load(&library, NULL));
    assert_ptr_equal(cst_library_table(&library), found);
    memcpy(&absolute, &found[0], sizeof(absolute));
    assert_true(absolute(-1.0) == 1.0);
}

static void use_of_a_missing_library_without_a_check_ends_the_process(void **state)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        void *found[2] = {NULL};
        CstLibrary library = {
            .file = "libnowhere.so.9", .package = "libmath1", .names = math_names, .found = found};

        cst_library_table(&library);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static gpointer load_library(gpointer library)
{
    return GINT_TO_POINTER(cst_library_load(library, NULL) &&
                           ((void *const *)cst_library_table(library))[1]);
}

static void threads_that_load_one_library_at_a_time_all_find_it(void **state)
{
    void *found[2] = {NULL};
    CstLibrary library = {
        .file = "libm.so.6", .package = "libmath1", .names = math_names, .found = found};
    GThread *threads[THREADS];

    for (guint i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("loads", load_library, &library);
    for (guint i = 0; i < THREADS; i++)
        assert_true(GPOINTER_TO_INT(g_thread_join(threads[i])));
}

extern CstLibrary LIBRARIES;

/* All functions of all tables exist in the installed libraries. */
static void each_table_names_functions_that_its_library_has(void **state)
{
    CstLibrary *const all[] = {LIBRARY_POINTERS};

    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        g_autoptr(GError) error = NULL;

        if (!cst_library_load(all[i], &error))
            fail_msg("%s", error->message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_library_is_an_error_that_names_the_package),
        cmocka_unit_test(library_without_a_function_is_an_error_that_names_it),
        cmocka_unit_test(library_that_was_missing_is_loaded_once_it_is_installed),
        cmocka_unit_test(use_of_a_missing_library_without_a_check_ends_the_process),
        cmocka_unit_test(threads_that_load_one_library_at_a_time_all_find_it),
        cmocka_unit_test(each_table_names_functions_that_its_library_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
