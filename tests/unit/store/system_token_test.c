/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scratch.h"

#include <stdio.h>
#include <unistd.h>

#include <store/system_token.h>

#define TOKEN "0123456789abcdef0123456789abcdef"

static void put_token(Scratch *s, const char *text)
{
    g_autofree char *dir = g_path_get_dirname(s->paths->system_token);

    scratch_put(dir, "system.token", text);
    assert_int_equal(chmod(s->paths->system_token, 0600), 0);
}

static void only_the_whole_token_matches(void **state)
{
    Scratch *s = *state;

    assert_false(cst_system_token_matches(s->paths, TOKEN));
    put_token(s, TOKEN);
    assert_true(cst_system_token_matches(s->paths, TOKEN));
    assert_false(cst_system_token_matches(s->paths, "x123456789abcdef0123456789abcdef"));
    assert_false(cst_system_token_matches(s->paths, "0123456789abcdef0123456789abcdex"));
    assert_false(cst_system_token_matches(s->paths, TOKEN "0"));
    assert_false(cst_system_token_matches(s->paths, "0123456789abcdef"));
    assert_false(cst_system_token_matches(s->paths, ""));
}

static void a_file_of_another_size_is_no_token(void **state)
{
    Scratch *s = *state;

    put_token(s, TOKEN "\n");
    assert_false(cst_system_token_matches(s->paths, TOKEN));
    put_token(s, "0123456789abcdef");
    assert_false(cst_system_token_matches(s->paths, TOKEN));
}

static void token_file_that_other_users_can_access_is_ignored(void **state)
{
    static const mode_t modes[] = {0640, 0620, 0604, 0602};
    Scratch *s = *state;

    put_token(s, TOKEN);
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        assert_int_equal(chmod(s->paths->system_token, modes[i]), 0);
        assert_false(cst_system_token_matches(s->paths, TOKEN));
    }
    assert_int_equal(chmod(s->paths->system_token, 0400), 0);
    assert_true(cst_system_token_matches(s->paths, TOKEN));
    if (geteuid() == 0) {
        assert_int_equal(chown(s->paths->system_token, 65534, 0), 0);
        assert_false(cst_system_token_matches(s->paths, TOKEN));
    }
}

static void only_a_plain_file_is_a_token(void **state)
{
    Scratch *s = *state;
    g_autofree char *target = g_strconcat(s->paths->system_token, ".target", NULL);

    put_token(s, TOKEN);
    assert_int_equal(rename(s->paths->system_token, target), 0);
    assert_int_equal(symlink(target, s->paths->system_token), 0);
    assert_false(cst_system_token_matches(s->paths, TOKEN));
    /* Opening a FIFO must not wait for a writer. */
    assert_int_equal(unlink(s->paths->system_token), 0);
    assert_int_equal(mkfifo(s->paths->system_token, 0600), 0);
    assert_false(cst_system_token_matches(s->paths, TOKEN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(only_the_whole_token_matches),
        scratch_test(a_file_of_another_size_is_no_token),
        scratch_test(token_file_that_other_users_can_access_is_ignored),
        scratch_test(only_a_plain_file_is_a_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
