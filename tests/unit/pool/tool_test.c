/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls of the host's tools by backends, simulated by scripts in a directory that is first in PATH.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <pool/tool.h>

static int set_up(void **unused)
{
    g_autofree char *path = NULL;

    root = g_dir_make_tmp("cistern-tool-XXXXXX", NULL);
    path = g_strconcat(root, ":/usr/bin:/bin", NULL);
    g_setenv("PATH", path, TRUE);
    return 0;
}

static int tear_down(void **unused)
{
    remove_tree();
    return 0;
}

static void make_tool(const char *name, const char *script)
{
    g_autofree char *text = g_strconcat("#!/bin/sh\n", script, "\n", NULL);
    g_autofree char *path = at(name);

    put(name, text);
    assert_int_equal(chmod(path, 0700), 0);
}

static const CstToolMeaning meanings[] = {
    {"no room", CST_ERROR_NO_SPACE}, {"no", CST_ERROR_NOT_FOUND}, {NULL, 0}};

static const CstToolStatus statuses[] = {
    {7, CST_ERROR_BUSY, "wait for the other saw"}, {8, CST_ERROR_DENIED, NULL}, {0, 0, NULL}};

/* Runs the tool "saw" with two arguments. Returns its output. */
static char *run(GError **error)
{
    static const char *const argv[] = {"saw", "one", "two words", NULL};
    const CstTool tool = {.argv = argv,
                          .package = "saws",
                          .meanings = meanings,
                          .statuses = statuses,
                          .accepted = 9,
                          .timeout_s = 20};
    char *out = NULL;

    cst_tool_run(&tool, NULL, &out, error);
    return out;
}

static void assert_fails(const char *script, int code, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_autofree char *out = NULL;

    make_tool("saw", script);
    out = run(&error);
    assert_true(g_error_matches(error, CST_ERROR, code));
    if (!strstr(error->message, words))
        fail_msg("'%s' is not in '%s'", words, error->message);
}

static void a_tool_gets_its_arguments(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = NULL;

    make_tool("saw", "echo $#,$1,$2,$LC_ALL");
    out = run(&error);
    assert_null(error);
    assert_string_equal(out, "2,one,two words,C\n");
}

/* A status of success is a success, regardless of the tool's output. */
static void only_the_status_decides(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = NULL;

    make_tool("saw", "echo no room >&2; echo sawn");
    out = run(&error);
    assert_null(error);
    assert_string_equal(out, "sawn\n");
    assert_fails("exit 3", CST_ERROR_FAILED, "status 3");
}

static void a_complaint_has_a_meaning(void **unused)
{
    assert_fails("echo there is no room here >&2; exit 1", CST_ERROR_NO_SPACE, "no room here");
    assert_fails("echo no such plank >&2; exit 1", CST_ERROR_NOT_FOUND, "no such plank");
    assert_fails("echo it broke >&2; exit 1", CST_ERROR_FAILED,
                 "'saw' failed with status 1: it broke");
}

/* The tool's statuses are its interface. Its output before the failure is returned. */
static void a_status_has_a_meaning(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = NULL;

    assert_fails("echo saw: no room >&2; exit 7", CST_ERROR_BUSY,
                 "wait for the other saw ('saw' failed: no room)");
    assert_fails("echo no room >&2; exit 8", CST_ERROR_DENIED, "'saw' failed: no room");
    assert_fails("echo it broke >&2; exit 6", CST_ERROR_FAILED,
                 "'saw' failed with status 6: it broke");
    make_tool("saw", "echo one plank; exit 8");
    out = run(&error);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
    assert_string_equal(out, "one plank\n");
}

static void another_status_may_be_success(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = NULL;

    make_tool("saw", "echo sawn already; exit 9");
    out = run(&error);
    assert_null(error);
    assert_string_equal(out, "sawn already\n");
}

/* Several lines are joined, warnings are removed, and long output is cut. */
static void a_complaint_is_one_line(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = NULL;

    assert_fails("printf '  it broke\\n\\nWARNING: old\\n twice\\n' >&2; exit 1", CST_ERROR_FAILED,
                 "'saw' failed with status 1: it broke; twice");
    make_tool("saw", "i=0; while [ $i -lt 2000 ]; do echo broken; i=$((i+1)); done >&2; exit 1");
    out = run(&error);
    assert_true(strlen(error->message) < 1100);
}

static void a_tool_that_is_missing_is_named_with_its_package(void **unused)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_tool_exists("saw"));
    assert_null(run(&error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
    assert_non_null(strstr(error->message, "'saw'"));
    assert_non_null(strstr(error->message, "'saws'"));
    make_tool("saw", "exit 0");
    assert_true(cst_tool_exists("saw"));
}

/* Secrets are passed on standard input. */
static void a_tool_reads_its_input(void **unused)
{
    static const char *const argv[] = {"saw", NULL};
    const CstTool tool = {.argv = argv, .input = "secret", .input_len = 6};
    g_autofree char *out = NULL;

    make_tool("saw", "cat");
    assert_true(cst_tool_run(&tool, NULL, &out, NULL));
    assert_string_equal(out, "secret");
}

static void a_tool_has_its_time(void **unused)
{
    static const char *const argv[] = {"saw", NULL};
    const CstTool tool = {.argv = argv, .timeout_s = 1};
    g_autoptr(GError) error = NULL;

    make_tool("saw", "exec sleep infinity");
    assert_false(cst_tool_run(&tool, NULL, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_TIMEOUT));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_tool_gets_its_arguments),
        TEST(only_the_status_decides),
        TEST(a_complaint_has_a_meaning),
        TEST(a_status_has_a_meaning),
        TEST(another_status_may_be_success),
        TEST(a_complaint_is_one_line),
        TEST(a_tool_that_is_missing_is_named_with_its_package),
        TEST(a_tool_reads_its_input),
        TEST(a_tool_has_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
