/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A directory with files, for tests that put entries into a pool's directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glib.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/** The directory, made by the test. File names are relative to it. */
static char *root;

static inline char *at(const char *name)
{
    return g_build_filename(root, name, NULL);
}

static inline void put(const char *name, const char *text)
{
    g_autofree char *path = at(name);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

/** @mode is exact: the umask is ignored. */
static inline void make_dir(const char *name, mode_t mode)
{
    g_autofree char *path = at(name);

    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/** Makes the link @name with the target @to, unchanged. */
static inline void make_link(const char *name, const char *to)
{
    g_autofree char *path = at(name);

    assert_int_equal(symlink(to, path), 0);
}

static inline void remove_tree(void)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", root);

    assert_int_equal(system(command), 0);
    g_clear_pointer(&root, g_free);
}
