/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <config.h>

static char *path;

static gboolean load(const char *text, DaemonConfig *ret, GError **error)
{
    assert_true(g_file_set_contents(path, text, -1, NULL));
    return daemon_config_load(path, TRUE, ret, error);
}

static void a_missing_file_means_the_defaults_unless_it_was_asked_for(void **state)
{
    g_autoptr(GError) error = NULL;
    DaemonConfig config;

    unlink(path);
    assert_true(daemon_config_load(path, FALSE, &config, NULL));
    assert_int_equal(config.mode, 0700);
    assert_int_equal(config.mode_ro, 0777);
    assert_int_equal(config.log_level, CST_LOG_WARNING);
    assert_false(config.has_group);
    assert_false(config.like_libvirt);
    assert_false(daemon_config_load(path, TRUE, &config, &error));
    assert_int_equal(error->code, CST_ERROR_NOT_FOUND);
}

static void every_setting_is_read(void **state)
{
    DaemonConfig config;

    assert_true(load("[access]\ngroup = root\nsocket_ro_mode = 0770\n"
                     "[limits]\nmax_clients=7\nmax_requests=8\nworkers=9\nmax_wait=0\n"
                     "max_user_memory=10\n"
                     "[service]\ncompatibility = \"libvirt\"\n"
                     "[log]\nlevel = debug\n",
                     &config, NULL));
    assert_true(config.like_libvirt);
    assert_true(config.has_group);
    assert_int_equal(config.group, 0);
    assert_int_equal(config.mode, 0770); /* follows from the group */
    assert_int_equal(config.mode_ro, 0770);
    assert_int_equal(config.max_clients, 7);
    assert_int_equal(config.max_requests, 8);
    assert_int_equal(config.workers, 9);
    assert_true(config.has_max_wait);
    assert_int_equal(config.max_wait, 0);
    assert_int_equal(config.max_user_memory, 10);
    assert_int_equal(config.log_level, CST_LOG_DEBUG);
}

static void a_mode_that_is_given_wins_over_the_groups(void **state)
{
    DaemonConfig config;

    assert_true(load("[access]\ngroup=root\nsocket_mode=0750\n", &config, NULL));
    assert_int_equal(config.mode, 0750);
}

static void mistakes_name_the_file_and_the_setting(void **state)
{
    static const char *const bad[] = {
        "[access]\ngruop=root\n",     "[acess]\ngroup=root\n",
        "[access]\nsocket_mode=rw\n", "[access]\nsocket_mode=1777\n",
        "[limits]\nmax_clients=0\n",  "[limits]\nworkers=-1\n",
        "[limits]\nmax_wait=-1\n",    "[limits]\nmax_user_memory=0\n",
        "[log]\nlevel=loud\n",        "[access]\ngroup=no-such-group-here\n",
        "no group at all\n",          "[service]\ncompatibility = loose\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        DaemonConfig config;

        assert_false(load(bad[i], &config, &error));
        assert_int_equal(error->code, CST_ERROR_CONFIG);
        assert_true(g_str_has_prefix(error->message, path));
    }
}

static void the_shipped_example_holds_the_defaults(void **state)
{
    g_autofree char *text = NULL, *used = NULL;
    g_autoptr(GRegex) comment = g_regex_new("^#(?=[a-z_]+ = )", G_REGEX_MULTILINE, 0, NULL);
    DaemonConfig config;

    assert_true(g_file_get_contents(EXAMPLE, &text, NULL, NULL));
    assert_true(load(text, &config, NULL));
    used = g_regex_replace_literal(comment, text, -1, 0, "", 0, NULL);
    used = g_strdelimit(used, "\r", '\n');
    /* Everything switched on is accepted too; the group may be missing on this machine. */
    {
        g_auto(GStrv) lines = g_strsplit(used, "group = libvirt\n", 2);
        g_autofree char *rest = g_strjoinv("", lines);

        assert_true(load(rest, &config, NULL));
    }
    assert_int_equal(config.mode, 0700);
    assert_int_equal(config.mode_ro, 0777);
    assert_int_equal(config.max_clients, 5000);
    assert_int_equal(config.log_level, CST_LOG_WARNING);
}

static void what_a_restart_puts_in_force_is_told_apart(void **state)
{
    static const char *const lines[][2] = {
        {"[access]\ngroup = root\nsocket_mode=0700\n", "group"},
        {"[access]\nsocket_mode = 0750\n", "socket_mode"},
        {"[access]\nsocket_ro_mode = 0770\n", "socket_ro_mode"},
        {"[limits]\nmax_clients = 7\n", "max_clients"},
        {"[limits]\nmax_requests = 8\n", "max_requests"},
        {"[limits]\nworkers = 9\n", "workers"},
        {"[limits]\nmax_wait = 0\n", "max_wait"},
        {"[limits]\nmax_user_memory = 10\n", "max_user_memory"},
        {"[log]\nlevel = debug\n", NULL},
    };
    DaemonConfig used, read;

    assert_true(load("", &used, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *changes = NULL;

        assert_true(load(lines[i][0], &read, NULL));
        changes = daemon_config_changes(&used, &read);
        assert_true(g_strcmp0(changes, lines[i][1]) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_file_means_the_defaults_unless_it_was_asked_for),
        cmocka_unit_test(every_setting_is_read),
        cmocka_unit_test(a_mode_that_is_given_wins_over_the_groups),
        cmocka_unit_test(mistakes_name_the_file_and_the_setting),
        cmocka_unit_test(the_shipped_example_holds_the_defaults),
        cmocka_unit_test(what_a_restart_puts_in_force_is_told_apart),
    };
    g_autofree char *dir = g_dir_make_tmp("cst-daemon-XXXXXX", NULL);
    int failed;

    path = g_build_filename(dir, "cisternd.conf", NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(dir);
    g_free(path);
    return failed;
}
