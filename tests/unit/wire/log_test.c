/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log entries of a call, and the values that they omit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/log.h>
#include <base/log_context.h>

#include "../logged.h"
#include "procedures.h"

/* The duration in a line is ignored. */
static void assert_logged(const char *expected)
{
    g_autoptr(GRegex) took = g_regex_new("after \\d+\\.\\d ms", 0, 0, NULL);
    g_autofree char *text =
        g_regex_replace_literal(took, logged->str, -1, 0, "after N ms", 0, NULL);

    assert_string_equal(text, expected);
    g_string_truncate(logged, 0);
}

/* --- a procedure ------------------------------------------------------------------------------ */

static gboolean works, in_memory;

static gboolean handle(CstApiCall *call, const void *args, void *ret, GError **error)
{
    cst_log(CST_LOG_DEBUG, "at work");
    return works || cst_fail(error, CST_ERROR_NO_VOL, "no vol");
}

static gboolean from_memory(CstApiCall *call, const void *args, void *ret)
{
    return in_memory;
}

static void wipe(void *args)
{
}

static const CstProcedure plain =
    CST_REMOTE_PROCEDURE(STORAGE_VOL_CREATE_XML, LONG, WRITE, STORAGE, "virDo", vol_create_args,
                         vol, handle, .from_memory = from_memory);
static const CstProcedure secret =
    CST_REMOTE_PROCEDURE(STORAGE_VOL_CREATE_XML, LONG, WRITE, STORAGE, "virHide", vol_create_args,
                         vol, handle, .wipe_args = wipe);
static const CstProcedure silent =
    CST_REMOTE_PROCEDURE(CONNECT_CLOSE, INLINE, READ, RPC, "virEnd", void, void, handle);

#define UUID_TEXT "00010203-0405-0607-0809-0a0b0c0d0e0f"

static wire_vol_create_args args_of(const char *pool, const char *xml)
{
    wire_vol_create_args args = {.pool.name = (char *)pool, .xml = (char *)xml, .flags = 16};

    for (int i = 0; i < 16; i++)
        args.pool.uuid[i] = (char)i;
    return args;
}

static gboolean run(const CstProcedure *procedure, const void *args, GError **error)
{
    CstApiCall call = {.procedure = procedure};
    wire_vol ret = {0};

    return cst_api_run(&call, args, &ret, error);
}

static gboolean run_from_memory(const CstProcedure *procedure, const void *args)
{
    CstApiCall call = {.procedure = procedure};
    wire_vol ret = {0};

    return cst_api_run_from_memory(&call, args, &ret);
}

/* --- tests ------------------------------------------------------------------------------------ */

static int set_up(void **state)
{
    logged = g_string_new(NULL);
    works = TRUE;
    cst_log_set_level(CST_LOG_DEBUG);
    return 0;
}

static int tear_down(void **state)
{
    g_string_free(logged, TRUE);
    return 0;
}

static void a_call_is_shown_from_its_begin_to_its_end(void **state)
{
    const wire_vol_create_args args = args_of("p", "v");
    CstLogContext context = {.connection = 12, .pid = 345, .uid = 678};
    g_autoptr(GError) error = NULL;
    wire_void none = {0};

    assert_true(run(&plain, &args, NULL));
    assert_logged("virDo begins: 'p' " UUID_TEXT " 'v'\nat work\nvirDo ended after N ms\n");
    cst_log_push(&context);
    assert_true(run(&silent, &none, NULL));
    cst_log_pop(&context);
    assert_logged("virEnd begins for process 345 of user 678\nat work\nvirEnd ended after N ms\n");
    works = FALSE;
    assert_false(run(&silent, &none, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_VOL));
    assert_logged("virEnd begins\nat work\n"
                  "virEnd failed after N ms: Storage volume not found: no vol\n");
    assert_false(run(&silent, &none, NULL));
}

static void answers_from_memory_are_shown(void **state)
{
    const wire_vol_create_args args = args_of("p", "v");

    in_memory = FALSE;
    assert_false(run_from_memory(&plain, &args));
    assert_false(run_from_memory(&secret, &args));
    assert_logged("");
    in_memory = TRUE;
    assert_true(run_from_memory(&plain, &args));
    assert_logged("virDo begins: 'p' " UUID_TEXT " 'v'\nvirDo ended after N ms\n");
}

static void call_is_not_logged_at_other_levels(void **state)
{
    const wire_vol_create_args args = args_of("p", "v");
    g_autoptr(GError) error = NULL;

    cst_log_set_level(CST_LOG_INFO);
    in_memory = TRUE;
    assert_true(run(&plain, &args, NULL));
    assert_true(run_from_memory(&plain, &args));
    works = FALSE;
    assert_false(run(&plain, &args, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_VOL));
    assert_logged("");
}

/* Around the longest text that is shown whole, and around XDR's padding. */
static void long_texts_are_cut(void **state)
{
    for (guint len = 1; len < 210; len++) {
        g_autofree char *name = g_strnfill(len, 'x');
        g_autofree char *shown = g_strnfill(MIN(len, 200), 'x');
        g_autofree char *expected = g_strdup_printf("virDo begins: '%s'%s " UUID_TEXT
                                                    " 'v'\nat work\nvirDo ended after N ms\n",
                                                    shown, len > 200 ? "..." : "");
        const wire_vol_create_args args = args_of(name, "v");

        assert_true(run(&plain, &args, NULL));
        assert_logged(expected);
    }
}

static void documents_and_secrets_are_not_shown(void **state)
{
    const wire_vol_create_args args = args_of("p", "<volume/>");

    assert_true(run(&plain, &args, NULL));
    assert_logged("virDo begins: 'p' " UUID_TEXT
                  " XML of 9 bytes\nat work\nvirDo ended after N ms\n");
    assert_true(run(&secret, &args, NULL));
    assert_logged("virHide begins: (not shown)\nat work\nvirHide ended after N ms\n");
}

/* The token of a daemon is a secret; of arguments that broke off a part is missing. */
static void the_token_of_an_identity_is_wiped(void **state)
{
    char token[] = "0123456789abcdef", name[] = "user-name", user[] = "somebody";
    char field[] = "system.token";
    wire_param params[5] = {
        {.field = field, .value = {.type = 7, .wire_param_value_u.s = token}},
        {.field = name, .value = {.type = 7, .wire_param_value_u.s = user}},
        {.field = field, .value = {.type = 4, .wire_param_value_u.ul = 1}},
        {.field = field, .value = {.type = 7}},
    };
    wire_identity_args args = {.params = {.params_len = 5, .params_val = params}};
    wire_identity_args broken = {.params = {.params_len = 5}};

    assert_non_null(procedures_identity[0].wipe_args);
    procedures_identity[0].wipe_args(&args);
    for (size_t i = 0; i < sizeof(token); i++)
        assert_int_equal(token[i], 0);
    assert_string_equal(user, "somebody");
    procedures_identity[0].wipe_args(&broken);
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_call_is_shown_from_its_begin_to_its_end),
        LOG_TEST(answers_from_memory_are_shown),
        LOG_TEST(call_is_not_logged_at_other_levels),
        LOG_TEST(long_texts_are_cut),
        LOG_TEST(documents_and_secrets_are_not_shown),
        LOG_TEST(the_token_of_an_identity_is_wiped),
    };

    g_log_set_writer_func(keep_message, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
