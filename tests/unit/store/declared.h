/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Declarations in a root of their own, for the tests of their store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <store/declarations.h>

typedef struct {
    char *dir;
    CstPaths *paths;
    CstDeclarations *store;
} Root;

static inline char *database_path(const Root *root)
{
    return g_build_filename(root->paths->data_dir, "declarations.db", NULL);
}

static inline int setup(void **state)
{
    Root *root = g_new0(Root, 1);

    root->dir = g_dir_make_tmp("cst-declarations-XXXXXX", NULL);
    root->paths = cst_paths_new(root->dir);
    root->store = cst_declarations_new(root->paths);
    *state = root;
    return 0;
}

static inline int teardown(void **state)
{
    Root *root = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", root->dir);
    int status;

    cst_declarations_free(root->store);
    status = system(command);
    cst_paths_free(root->paths);
    g_free(root->dir);
    g_free(root);
    return status;
}

static inline CstDeclaredFile file(const char *dir, const char *name, uint64_t inode, int64_t btime)
{
    return (CstDeclaredFile){.dir = dir, .name = name, .id = {inode, btime}};
}

static inline void set(Root *root, CstDeclaredFile about, const char *format, gboolean restricted)
{
    g_autoptr(CstDeclaration) declaration = cst_declaration_new(format, restricted);
    g_autoptr(GError) error = NULL;

    cst_declaration_set_backing(declaration, "/images/base", "raw");
    declaration->data_file = g_strdup("data.raw");
    assert_true(cst_declarations_set(root->store, &about, declaration, FALSE, &error));
    assert_null(error);
}

static inline CstDeclaration *find(Root *root, CstDeclaredFile about, gboolean by_name)
{
    CstDeclaration *declaration = NULL;
    g_autoptr(GError) error = NULL;

    assert_true(cst_declarations_find(root->store, &about, by_name, &declaration, &error));
    assert_null(error);
    return declaration;
}

static inline void assert_format(Root *root, CstDeclaredFile about, gboolean by_name,
                                 const char *format)
{
    g_autoptr(CstDeclaration) found = find(root, about, by_name);

    if (!format) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_string_equal(format, found->format);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
