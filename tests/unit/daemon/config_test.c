/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <config.h>

static char *path;

static gboolean load(const char *text, DaemonConfig *ret, GError **error)
{
    assert_true(g_file_set_contents(path, text, -1, NULL));
    return daemon_config_load(NULL, path, TRUE, ret, error);
}

static void a_missing_file_means_the_defaults_unless_it_was_asked_for(void **state)
{
    g_autoptr(GError) error = NULL;
    DaemonConfig config;

    unlink(path);
    assert_true(daemon_config_load(NULL, path, FALSE, &config, NULL));
    assert_int_equal(config.mode, 0700);
    assert_int_equal(config.mode_ro, 0777);
    assert_int_equal(config.log_level, CST_LOG_WARNING);
    assert_false(config.has_group);
    assert_false(config.like_libvirt);
    assert_false(config.core_dumps);
    assert_false(config.leave_secrets);
    assert_null(config.hypervisor);
    assert_int_equal(config.secrets.seal, CST_SEAL_AUTO);
    assert_int_equal(config.secrets.max_age_days, 0);
    assert_int_equal(config.audit_mib, 0);
    assert_false(daemon_config_load(NULL, path, TRUE, &config, &error));
    assert_int_equal(error->code, CST_ERROR_NOT_FOUND);
}

static void incomplete_rule_is_reported_with_its_file(void **state)
{
    g_auto(DaemonConfig) config = {0};
    g_autoptr(GError) error = NULL;

    assert_false(load("[notify x]\nevents = all\n", &config, &error));
    assert_true(g_str_has_prefix(error->message, path));
    assert_non_null(strstr(error->message, "notify x"));
}

static void packaged_settings_hold_until_the_file_has_the_same_setting(void **state)
{
    g_autofree char *packaged = g_strconcat(path, ".packaged", NULL);
    g_auto(DaemonConfig) alone = {0}, overridden = {0}, none = {0};
    g_autoptr(GError) error = NULL;

    assert_true(g_file_set_contents(packaged, "[secrets]\nserve = no\n", -1, NULL));
    assert_true(g_file_set_contents(path, "[limits]\nworkers = 3\n", -1, NULL));
    assert_true(daemon_config_load(packaged, path, TRUE, &alone, NULL));
    assert_true(alone.leave_secrets);
    assert_int_equal(alone.workers, 3);
    assert_true(g_file_set_contents(path, "[secrets]\nserve = yes\n", -1, NULL));
    assert_true(daemon_config_load(packaged, path, TRUE, &overridden, NULL));
    assert_false(overridden.leave_secrets);
    assert_true(g_file_set_contents(packaged, "[secrets]\nserve = maybe\n", -1, NULL));
    assert_false(daemon_config_load(packaged, path, TRUE, &none, &error));
    assert_non_null(strstr(error->message, packaged));
    unlink(packaged);
    assert_true(daemon_config_load(packaged, path, TRUE, &none, NULL));
}

static void every_setting_is_read(void **state)
{
    g_auto(DaemonConfig) config = {0};

    assert_true(load("[access]\ngroup = root\nsocket_ro_mode = 0770\n"
                     "[limits]\nmax_clients=7\nmax_requests=8\nworkers=9\nmax_wait=0\n"
                     "max_user_memory=10\n"
                     "[service]\ncompatibility = \"libvirt\"\ncore_dumps = yes\n"
                     "hypervisor = qemu:///system lxc:///\nbackup_scratch = \"/srv/a b\"\n"
                     "[secrets]\nserve = no\nseal_secrets = no\nsecret_max_age = 90\n"
                     "[audit]\nmax_size = 7\n"
                     "[log]\nlevel = debug\n",
                     &config, NULL));
    assert_int_equal(config.audit_mib, 7);
    assert_true(config.like_libvirt);
    assert_true(config.core_dumps);
    assert_true(config.leave_secrets);
    assert_int_equal(g_strv_length(config.hypervisor), 2);
    assert_string_equal(config.hypervisor[1], "lxc:///");
    assert_string_equal(config.backup_scratch, "/srv/a b");
    assert_int_equal(config.secrets.seal, CST_SEAL_NEVER);
    assert_int_equal(config.secrets.max_age_days, 90);
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
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"[access]\ngruop=root\n", "[access] gruop: there is no such setting"},
        {"[acess]\ngroup=root\n", "[acess] group: there is no such setting"},
        {"[log]\ngroup=root\n", "[log] group: there is no such setting"},
        {"[secrets]\nseal_secrets=maybe\n",
         "[secrets] seal_secrets: 'maybe' is not one of auto, yes, no"},
        {"[secrets]\nserve=maybe\n", "[secrets] serve: 'maybe' is not one of no, yes"},
        {"[secrets]\nsecret_max_age=0\n", "[secrets] secret_max_age: '0' is not a number from 1"},
        {"[audit]\nmax_size=0\n", "[audit] max_size: '0' is not a number from 1 to 1000"},
        {"[service]\ncore_dumps=\"\n", "[service] core_dumps: '\"' is not one of no, yes"},
        {"[service]\nhypervisor = qemu+ssh://host/system\n",
         "[service] hypervisor: 'qemu+ssh://host/system' is not a URI of libvirt on this host"},
        {"[service]\nbackup_scratch = srv\n",
         "[service] backup_scratch: 'srv' is not the absolute path of a directory"},
        {"[service]\nbackup_scratch = \"/\"\n",
         "[service] backup_scratch: '/' is not the absolute path of a directory"},
        {"[access]\nsocket_mode=rw\n", "[access] socket_mode: 'rw' is not an octal mode"},
        {"[access]\nsocket_mode=\n", "[access] socket_mode: '' is not an octal mode"},
        {"[access]\nsocket_mode=0778\n", "[access] socket_mode: '0778' is not an octal mode"},
        {"[access]\nsocket_mode=1000\n", "[access] socket_mode: '1000' is not an octal mode"},
        {"[access]\nsocket_ro_mode=1777\n", "[access] socket_ro_mode: '1777' is not an octal"},
        {"[limits]\nmax_clients=0\n",
         "[limits] max_clients: '0' is not a number from 1 to 1000000"},
        {"[limits]\nmax_clients=1000001\n", "[limits] max_clients: '1000001' is not a number"},
        {"[limits]\nmax_requests=0\n",
         "[limits] max_requests: '0' is not a number from 1 to 65536"},
        {"[limits]\nmax_requests=65537\n", "[limits] max_requests: '65537' is not a number"},
        {"[limits]\nworkers=-1\n", "[limits] workers: '-1' is not a number from 1 to 1024"},
        {"[limits]\nworkers=1025\n", "[limits] workers: '1025' is not a number from 1 to 1024"},
        {"[limits]\ncopies=0\n", "[limits] copies: '0' is not a number from 1 to 1024"},
        {"[limits]\nmax_wait=-1\n", "[limits] max_wait: '-1' is not a number from 0 to 86400"},
        {"[limits]\nmax_wait=86401\n", "[limits] max_wait: '86401' is not a number"},
        {"[limits]\nmax_user_memory=0\n", "[limits] max_user_memory: '0' is not a number from 1"},
        {"[limits]\nmax_user_memory=1048577\n", "[limits] max_user_memory: '1048577' is not a"},
        {"[log]\nlevel=loud\n", "[log] level: 'loud' is not one of error, warning, info, debug"},
        {"[access]\ngroup=no-such-group-here\n", "there is no group 'no-such-group-here'"},
        {"[log]\nlevel=debug\nlevel\n", "line 3: "},
        {"# a\n\n[log]\r\n\nlevel=loud", "line 5: [log] level: 'loud'"},
        {"\xff\n", "line 1: "},
        {"[log]\nlevel=debug\\q\n", "[log] level: "},
        {"no group at all\n", ""},
        {"[service]\ncompatibility = loose\n",
         "[service] compatibility: 'loose' is not one of cistern, libvirt"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        DaemonConfig config = {.workers = 12345};

        assert_false(load(bad[i].text, &config, &error));
        assert_int_equal(config.workers, 12345); /* written on success only */
        assert_int_equal(error->domain, CST_ERROR);
        assert_int_equal(error->code, CST_ERROR_CONFIG);
        assert_true(g_str_has_prefix(error->message, path));
        assert_true(g_str_has_prefix(error->message + strlen(path), ": "));
        assert_non_null(strstr(error->message, bad[i].words));
        assert_false(load(bad[i].text, &config, NULL)); /* nor does one need to ask why */
    }
}

static void numbers_are_accepted_up_to_their_bounds(void **state)
{
    DaemonConfig config;

    assert_true(load("[access]\nsocket_mode=0777\nsocket_ro_mode=0\n"
                     "[limits]\nmax_clients=1\nmax_requests=1\nworkers=1\nmax_wait=0\n"
                     "max_user_memory=1\ncopies=1\n",
                     &config, NULL));
    assert_int_equal(config.mode, 0777);
    assert_int_equal(config.mode_ro, 0);
    assert_int_equal(config.max_clients, 1);
    assert_int_equal(config.max_requests, 1);
    assert_int_equal(config.workers, 1);
    assert_int_equal(config.max_user_memory, 1);
    assert_int_equal(config.copies, 1);
    assert_true(load("[limits]\nmax_clients=1000000\nmax_requests=65536\nworkers=1024\n"
                     "max_wait=86400\nmax_user_memory=1048576\ncopies=1024\n",
                     &config, NULL));
    assert_int_equal(config.max_clients, 1000000);
    assert_int_equal(config.max_requests, 65536);
    assert_int_equal(config.workers, 1024);
    assert_int_equal(config.max_wait, 86400);
    assert_int_equal(config.max_user_memory, 1048576);
    assert_int_equal(config.copies, 1024);
}

static void words_are_accepted_with_and_without_quotes(void **state)
{
    static const struct {
        const char *text;
        gboolean like_libvirt;
    } rows[] = {{"compatibility=libvirt", TRUE},
                {"compatibility=\"libvirt\"", TRUE},
                {"compatibility=libvirt\ncompatibility=cistern", FALSE},
                {"compatibility=libvirt\ncompatibility=\"cistern\"", FALSE},
                {"compatibility = cistern  ", FALSE}};
    static const struct {
        const char *word;
        CstLogLevel level;
    } levels[] = {{"error", CST_LOG_ERROR},
                  {"warning", CST_LOG_WARNING},
                  {"info", CST_LOG_INFO},
                  {"debug", CST_LOG_DEBUG}};
    DaemonConfig config;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf("[service]\n%s\n", rows[i].text);

        assert_true(load(text, &config, NULL));
        assert_int_equal(config.like_libvirt, rows[i].like_libvirt);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
        g_autofree char *text = g_strdup_printf("[log]\nlevel = %s\n", levels[i].word);

        assert_true(load(text, &config, NULL));
        assert_int_equal(config.log_level, levels[i].level);
    }
}

static void an_empty_file_and_an_empty_group_mean_the_defaults(void **state)
{
    static const char *const texts[] = {"", "# a comment\n", "[limits]\n"};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        DaemonConfig config;

        assert_true(load(texts[i], &config, NULL));
        assert_int_equal(config.mode, 0700);
        assert_int_equal(config.workers, 0);
        assert_false(config.has_max_wait);
    }
}

static void a_file_that_is_no_configuration_is_refused(void **state)
{
    g_autofree char *huge = g_strnfill(65537, '\n');
    g_autoptr(GError) error = NULL;
    DaemonConfig config;

    assert_false(load(huge, &config, &error)); /* 64 KiB and a byte */
    g_clear_error(&error);
    huge[65536] = '\0';
    assert_true(load(huge, &config, &error));
    unlink(path);
    assert_int_equal(mkdir(path, 0755), 0); /* a directory, so the file is not treated as missing */
    assert_false(daemon_config_load(NULL, path, FALSE, &config, &error));
    assert_int_not_equal(error->code, CST_ERROR_NOT_FOUND);
    rmdir(path);
}

static void configuration_is_below_the_root(void **state)
{
    g_autoptr(CstPaths) paths = cst_paths_new("/some/root");
    g_autofree char *below = cst_paths_daemon_config(paths);
    g_autofree char *session =
        g_build_filename(g_get_user_config_dir(), "cistern/cisternd.conf", NULL);
    g_autofree char *packaged = cst_paths_packaged_config(paths);
    g_autofree char *without_root = NULL, *of_session = NULL, *packaged_without_root = NULL;

    assert_string_equal(below, "/some/root/etc/cistern/cisternd.conf");
    assert_string_equal(packaged, "/some/root/usr/lib/cistern/cisternd.conf");
    g_clear_pointer(&paths->root, g_free);
    without_root = cst_paths_daemon_config(paths);
    assert_string_equal(without_root, "/etc/cistern/cisternd.conf");
    packaged_without_root = cst_paths_packaged_config(paths);
    assert_string_equal(packaged_without_root, "/usr/lib/cistern/cisternd.conf");
    paths->session = TRUE;
    of_session = cst_paths_daemon_config(paths);
    assert_string_equal(of_session, session);
    assert_null(cst_paths_packaged_config(paths));
}

static void limits_that_are_given_replace_the_servers(void **state)
{
    CstWireOptions defaults, options;
    DaemonConfig config;

    cst_wire_options_init(&defaults);
    options = defaults;
    assert_true(load("", &config, NULL));
    daemon_config_limits(&config, &options);
    assert_memory_equal(&options, &defaults, sizeof(options));
    assert_true(load("[access]\ngroup = daemon\n"
                     "[limits]\nmax_clients=7\nmax_requests=8\nworkers=9\nmax_wait=0\n"
                     "max_user_memory=4096\n",
                     &config, NULL));
    daemon_config_limits(&config, &options);
    assert_true(options.has_group);
    assert_int_equal(options.group, config.group);
    assert_int_not_equal(options.group, defaults.group);
    assert_int_equal(options.max_clients, 7);
    assert_int_equal(options.max_requests, 8);
    assert_int_equal(options.workers, 9);
    assert_int_equal(options.max_wait_seconds, 0);
    assert_true(options.max_user_bytes == (size_t)4096 * 1024 * 1024);
    assert_int_equal(options.max_user_clients, defaults.max_user_clients);
}

static void the_shipped_example_holds_the_defaults(void **state)
{
    g_autofree char *text = NULL, *used = NULL;
    g_autoptr(GRegex) comment = g_regex_new("^#(?=[a-z_]+ = )", G_REGEX_MULTILINE, 0, NULL);
    g_auto(DaemonConfig) config = {0};

    assert_true(g_file_get_contents(EXAMPLE, &text, NULL, NULL));
    assert_true(load(text, &config, NULL));
    used = g_regex_replace_literal(comment, text, -1, 0, "", 0, NULL);
    used = g_strdelimit(used, "\r", '\n');
    /* All settings together are accepted as well; the group may be missing on this machine. */
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

static void changes_that_need_a_restart_are_reported(void **state)
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
        {"[secrets]\nserve = no\n", "serve"},
        {"[service]\nhypervisor = lxc:///\n", "hypervisor"},
        {"[service]\nbackup_scratch = /srv\n", "backup_scratch"},
        {"[notify x]\nevents = all\nmail = root\n", "notify"},
        {"[log]\nlevel = debug\n", NULL},
    };
    DaemonConfig used;

    assert_true(load("", &used, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *changes = NULL;
        g_auto(DaemonConfig) read = {0};

        assert_true(load(lines[i][0], &read, NULL));
        changes = daemon_config_changes(&used, &read);
        assert_true(g_strcmp0(changes, lines[i][1]) == 0);
        g_free(changes);
        changes = daemon_config_changes(&read, &used); /* a removed setting is a change, too */
        assert_true(g_strcmp0(changes, lines[i][1]) == 0);
        g_free(changes);
        changes = daemon_config_changes(&read, &read);
        assert_null(changes);
    }
}

static void several_changes_are_reported_together(void **state)
{
    g_autofree char *changes = NULL, *groups = NULL, *waits = NULL;
    DaemonConfig used, read;

    assert_true(load("[access]\ngroup = root\n[limits]\nmax_wait=3\n", &used, NULL));
    assert_true(load("[access]\ngroup = daemon\n[limits]\nmax_wait=3\n", &read, NULL));
    groups = daemon_config_changes(&used, &read);
    assert_string_equal(groups, "group");
    assert_true(load("[access]\ngroup = root\n[limits]\nmax_wait=4\n", &read, NULL));
    waits = daemon_config_changes(&used, &read);
    assert_string_equal(waits, "max_wait");
    assert_true(load("[limits]\nworkers=3\nmax_clients=4\n", &read, NULL));
    changes = daemon_config_changes(&used, &read);
    assert_string_equal(changes, "group, socket_mode, max_clients, workers, max_wait");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_file_means_the_defaults_unless_it_was_asked_for),
        cmocka_unit_test(packaged_settings_hold_until_the_file_has_the_same_setting),
        cmocka_unit_test(incomplete_rule_is_reported_with_its_file),
        cmocka_unit_test(every_setting_is_read),
        cmocka_unit_test(a_mode_that_is_given_wins_over_the_groups),
        cmocka_unit_test(mistakes_name_the_file_and_the_setting),
        cmocka_unit_test(numbers_are_accepted_up_to_their_bounds),
        cmocka_unit_test(words_are_accepted_with_and_without_quotes),
        cmocka_unit_test(an_empty_file_and_an_empty_group_mean_the_defaults),
        cmocka_unit_test(a_file_that_is_no_configuration_is_refused),
        cmocka_unit_test(configuration_is_below_the_root),
        cmocka_unit_test(limits_that_are_given_replace_the_servers),
        cmocka_unit_test(the_shipped_example_holds_the_defaults),
        cmocka_unit_test(changes_that_need_a_restart_are_reported),
        cmocka_unit_test(several_changes_are_reported_together),
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
