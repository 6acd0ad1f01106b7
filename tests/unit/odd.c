/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "odd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/log.h>

#include "captured.h"

OddHow odd_how;

gboolean odd_act(GError **error)
{
    if (odd_how == ODD_SAYS_WHY || odd_how == ODD_BOTH)
        cst_fail(error, CST_ERROR_BUSY, "the reason");
    return odd_how == ODD_RIGHT || odd_how == ODD_BOTH;
}

void odd_assert_broken(const OddDispatcher *dispatcher, const GError *error, const char *slot,
                       const char *what)
{
    g_autofree char *callee = dispatcher->blame(slot);
    g_autofree char *expected = g_strdup_printf("%s %s %s", callee, slot, what);

    assert_non_null(error);
    assert_int_equal(error->code, CST_ERROR_INTERNAL);
    if (!g_str_has_prefix(error->message, expected))
        fail_msg("%s, and not: %s", error->message, expected);
}

void odd_assert_handed_on(const OddDispatcher *dispatcher)
{
    for (gsize i = 0; i < dispatcher->count; i++) {
        const OddCall *one = &dispatcher->calls[i];
        g_autoptr(GError) error = NULL;

        odd_how = ODD_RIGHT;
        if (!one->call(&error) || error)
            fail_msg("%s: %s", one->slot, error ? error->message : "FALSE");
        odd_how = ODD_SAYS_WHY;
        assert_false(one->call(&error));
        assert_int_equal(error->code, CST_ERROR_BUSY);
        assert_string_equal(error->message, "the reason");
        /* A caller without an error pointer gets no error. */
        assert_false(one->call(NULL));
    }
}

void odd_assert_broken_are_named(const OddDispatcher *dispatcher)
{
    for (gsize i = 0; i < dispatcher->count; i++) {
        const OddCall *one = &dispatcher->calls[i];
        g_autoptr(GError) silent = NULL;
        g_autoptr(GError) both = NULL;

        odd_how = ODD_SILENT;
        assert_false(one->call(&silent));
        odd_assert_broken(dispatcher, silent, one->slot, "failed without an error");
        odd_how = ODD_BOTH;
        assert_false(one->call(&both));
        odd_assert_broken(dispatcher, both, one->slot, "succeeded and set an error: the reason");
    }
}

static void run_call(gconstpointer call)
{
    ((const OddCall *)call)->call(NULL);
}

void odd_assert_line(const char *log, const char *begin, const char *end)
{
    const char *at = strstr(log, begin);

    if (!at || !strstr(at, " us, ") || !strstr(at, end))
        fail_msg("'%s' lacks '%s… us, %s'", log, begin, end);
}

void odd_assert_traced(const OddDispatcher *dispatcher)
{
    static const char *const ends[] = {[ODD_RIGHT] = " us, done\n",
                                       [ODD_SAYS_WHY] = " us, the reason\n",
                                       [ODD_SILENT] = " us, failed\n"};

    for (gsize i = 0; i < dispatcher->count; i++)
        for (odd_how = ODD_RIGHT; odd_how <= ODD_SILENT; odd_how++) {
            const OddCall *one = &dispatcher->calls[i];
            g_autofree char *begin = dispatcher->trace(one);
            g_autofree char *quiet = NULL;
            g_autofree char *text = NULL;

            cst_log_set_level(CST_LOG_INFO);
            quiet = captured(run_call, one);
            assert_string_equal(quiet, "");
            cst_log_set_level(CST_LOG_DEBUG);
            text = captured(run_call, one);
            odd_assert_line(text, begin, ends[odd_how]);
        }
    cst_log_set_level(CST_LOG_WARNING);
}
