/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>

#include <base/error.h>
#include <store/paths.h>

/* A separate root for each test, and helpers for the tests of files. */
typedef struct {
    char *root;
    CstPaths *paths;
} Scratch;

static inline int scratch_setup(void **state)
{
    Scratch *s = g_new0(Scratch, 1);

    s->root = g_dir_make_tmp("cst-store-XXXXXX", NULL);
    s->paths = cst_paths_new(s->root);
    *state = s;
    return 0;
}

static inline int scratch_teardown(void **state)
{
    Scratch *s = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", s->root);
    int status = system(command);

    cst_paths_free(s->paths);
    g_free(s->root);
    g_free(s);
    return status;
}

#define scratch_test(function) \
    cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

/* Writes the file @dir/@name; @dir is made. */
static inline void scratch_put(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    assert_int_equal(g_mkdir_with_parents(dir, 0700), 0);
    assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Creates a plain file instead of the directory @dir, so that no file can be created in it. */
static inline void scratch_block(const char *dir)
{
    g_autofree char *parent = g_path_get_dirname(dir);
    g_autofree char *name = g_path_get_basename(dir);

    scratch_put(parent, name, "");
}

/* Permissions of @dir/@name; -1 without such a thing. Links are not followed. */
static inline int scratch_mode(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    struct stat st;

    return lstat(path, &st) < 0 ? -1 : (int)(st.st_mode & 07777);
}

/* A call that must fail with @code: it gives FALSE (NULL), and the error is cleared. */
static inline void scratch_failed(gboolean done, GError **error, CstErrorCode code)
{
    assert_false(done);
    assert_non_null(*error);
    assert_int_equal(cst_error_code(*error), code);
    g_clear_error(error);
}
