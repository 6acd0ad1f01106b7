/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_conn.h"
#include "session.h"

static void list_shows_active_pools_unless_asked(void **state)
{
    says(state, "pool-list", CST_EXIT_OK,
         " Name     State    Autostart\n"
         "------------------------------\n"
         " images   active   yes\n\n",
         "");
    says(state, "pool-list --inactive", CST_EXIT_OK,
         " Name     State      Autostart\n"
         "--------------------------------\n"
         " backup   inactive   no\n\n",
         "");
    assert_int_equal(fake_world.last_flags, CST_LIST_POOLS_INACTIVE);
}

static void list_sorts_by_name_and_shows_details(void **state)
{
    says(state, "pool-list --all --details", CST_EXIT_OK,
         " Name     State      Autostart   Persistent   Capacity     Allocation   Available\n"
         "------------------------------------------------------------------------------------\n"
         " backup   inactive   no          yes          -            -            -\n"
         " images   running    yes         yes          251.97 GiB   15.92 GiB    236.05 GiB\n\n",
         "");
}

static void list_passes_its_filters_on(void **state)
{
    Session *session = *state;

    session_run(session, "pool-list --all --persistent --transient --autostart --no-autostart "
                         "--type dir,iscsi-direct,zfs");
    assert_int_equal(fake_world.last_flags,
                     CST_LIST_POOLS_ACTIVE | CST_LIST_POOLS_INACTIVE | CST_LIST_POOLS_PERSISTENT |
                         CST_LIST_POOLS_TRANSIENT | CST_LIST_POOLS_AUTOSTART |
                         CST_LIST_POOLS_NO_AUTOSTART | CST_LIST_POOLS_DIR |
                         CST_LIST_POOLS_ISCSI_DIRECT | CST_LIST_POOLS_ZFS);
    says(state, "pool-list --type dir,nfs", CST_EXIT_USAGE, "\n",
         "error: Invalid pool type 'nfs'\n");
    says(state, "pool-list --details --name", CST_EXIT_USAGE, "\n",
         "error: Options --details and --name are mutually exclusive\n");
}

static void list_prints_bare_names_in_fixed_width(void **state)
{
    says(state, "pool-list --all --name", CST_EXIT_OK,
         "backup              \nimages              \n\n", "");
    says(state, "pool-list --uuid --name", CST_EXIT_OK,
         "6f9619ff-8b86-d011-b42d-00c04fc964ff images              \n\n", "");
}

static void info_of_a_running_pool(void **state)
{
    says(state, "pool-info images", CST_EXIT_OK,
         "Name:           images\n"
         "UUID:           6f9619ff-8b86-d011-b42d-00c04fc964ff\n"
         "State:          running\n"
         "Persistent:     yes\n"
         "Autostart:      yes\n"
         "Capacity:       251.97 GiB\n"
         "Allocation:     15.92 GiB\n"
         "Available:      236.05 GiB\n"
         "Thin pool:      a\n"
         "Thin size:      1.00 GiB\n"
         "Thin data:      50.00%\n"
         "Thin metadata:  0.29%\n"
         "Thin volumes:   7\n"
         "Thin pool:      b\n"
         "Thin size:      1.00 GiB\n"
         "Thin data:      50.00%\n"
         "Thin volumes:   7\n\n",
         "");
}

static void pool_health_is_shown_if_the_pool_reports_it(void **state)
{
    Session *session = *state;

    fake_world.health = "DEGRADED";
    session_run(session, "pool-info images");
    assert_non_null(strstr(session->out, "Health:         DEGRADED\n"
                                         "Health note:    scan: none requested\n"
                                         "Health note:    sdb: FAULTED\n"));
    session_run(session, "pool-info images --json");
    assert_non_null(strstr(session->out,
                           "\"health\":[{\"state\":\"DEGRADED\",\"level\":\"degraded\"}],"
                           "\"health_notes\":[{\"note\":\"scan: none requested\"},"
                           "{\"note\":\"sdb: FAULTED\"}]"));
    session_run(session, "pool-info backup");
    assert_null(strstr(session->out, "Health"));
    session_run(session, "pool-list --all --details");
    assert_non_null(strstr(session->out, "Available    Health\n"));
    assert_non_null(strstr(session->out, "DEGRADED; scan: none requested; sdb: FAULTED\n"));
    fake_world.health = NULL;
    session_run(session, "pool-list --all --details");
    assert_null(strstr(session->out, "Health"));
}

static void info_accepts_uuids_and_the_bytes_option(void **state)
{
    Session *session = *state;

    session_run(session, "pool-info 6f9619ff-8b86-d011-b42d-00c04fc964ff --bytes");
    assert_non_null(strstr(session->out, "Capacity:       270553174016\n"));
    session_run(session, "pool-info images --json");
    assert_non_null(strstr(session->out, "\"thin_pools\":[{\"name\":\"a\",\"size\":1073741824,"
                                         "\"data_percent\":50.00,\"metadata_percent\":0.29,"
                                         "\"used\":536870912,\"metadata_size\":1048576,"
                                         "\"metadata_used\":3000,\"volumes\":7},{\"name\":\"b\","));
    session_run(session, "pool-info backup --json");
    assert_null(strstr(session->out, "thin_pools"));
}

static void a_missing_pool_is_exit_3_with_two_lines(void **state)
{
    says(state, "pool-start nope", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get pool 'nope'\n"
         "error: Storage pool not found: no storage pool with matching name 'nope'\n");
    says(state, "pool-name nope", CST_EXIT_NOT_FOUND, "\n", "error: failed to get pool 'nope'\n");
}

static void a_wrong_state_is_exit_5(void **state)
{
    says(state, "pool-start images", CST_EXIT_CONFLICT, "\n",
         "error: Failed to start pool images\n"
         "error: Requested operation is not valid: storage pool 'images' is already active\n");
}

static void a_read_only_connection_is_exit_4(void **state)
{
    Session *session = *state;

    session->settings.read_only = TRUE;
    says(state, "pool-undefine backup", CST_EXIT_DENIED, "\n",
         "error: Failed to undefine pool backup\n"
         "error: operation forbidden: read only access prevents virStoragePoolUndefine\n");
}

static void every_change_reports_its_result(void **state)
{
    static const struct {
        const char *line, *out;
    } cases[] = {
        {"pool-start backup", "Pool backup started\n\n"},
        {"pool-build backup", "Pool backup built\n\n"},
        {"pool-destroy images", "Pool images destroyed\n\n"},
        {"pool-delete backup", "Pool backup deleted\n\n"},
        {"pool-undefine backup", "Pool backup has been undefined\n\n"},
        {"pool-refresh images", "Pool images refreshed\n\n"},
        {"pool-autostart images", "Pool images marked as autostarted\n\n"},
        {"pool-autostart images --disable", "Pool images unmarked as autostarted\n\n"},
        {"pool-define-as n dir --target /t", "Pool n defined\n\n"},
        {"pool-create-as n dir --target /t", "Pool n created\n\n"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint before = fake_world.changes;

        says(state, cases[i].line, CST_EXIT_OK, cases[i].out, "");
        assert_int_equal(fake_world.changes, before + 1);
    }
}

static void pool_dry_run_makes_no_change(void **state)
{
    static const struct {
        const char *line, *plan;
    } cases[] = {
        {"pool-start backup --dry-run", "Would start pool backup\n\n"},
        {"pool-build backup --overwrite --dry-run", "Would build pool backup\n\n"},
        {"pool-destroy images --dry-run", "Would stop pool images\n\n"},
        {"pool-delete backup --dry-run", "Would delete the storage of pool backup\n\n"},
        {"pool-undefine backup --dry-run", "Would undefine pool backup\n\n"},
        {"pool-autostart images --dry-run", "Would mark pool images as autostarted\n\n"},
        {"pool-define-as n dir --dry-run", "Would define pool n\n\n"},
        {"pool-create-as n dir --dry-run", "Would create pool n\n\n"},
        {"pool-autostart images --disable --dry-run",
         "Would unmark pool images as autostarted\n\n"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        says(state, cases[i].line, CST_EXIT_OK, cases[i].plan, "");
        assert_int_equal(fake_world.changes, 0);
    }
}

static void build_flags_are_passed_on(void **state)
{
    Session *session = *state;

    session_run(session, "pool-build backup --overwrite --no-overwrite");
    assert_int_equal(fake_world.last_flags, CST_POOL_BUILD_OVERWRITE | CST_POOL_BUILD_NO_OVERWRITE);
    session_run(session, "pool-start backup --build --no-overwrite");
    assert_int_equal(fake_world.last_flags,
                     CST_POOL_CREATE_WITH_BUILD | CST_POOL_CREATE_WITH_BUILD_NO_OVERWRITE);
    says(state, "pool-start backup --overwrite --no-overwrite", CST_EXIT_USAGE, "\n",
         "error: Options --overwrite and --no-overwrite are mutually exclusive\n");
}

static void define_as_builds_virsh_s_xml(void **state)
{
    says(state,
         "pool-define-as n t --print-xml --source-host h --source-path p --source-dev d "
         "--source-name sn --target /t --source-format f --auth-type chap --auth-username u "
         "--secret-usage su --adapter-name a --source-protocol-ver 4 --source-initiator i",
         CST_EXIT_OK,
         "<pool type='t'>\n"
         "  <name>n</name>\n"
         "  <source>\n"
         "    <host name='h'/>\n"
         "    <dir path='p'/>\n"
         "    <device path='d'/>\n"
         "    <initiator>\n"
         "      <iqn name='i'/>\n"
         "    </initiator>\n"
         "    <adapter type='scsi_host' name='a'/>\n"
         "    <auth type='chap' username='u'>\n"
         "      <secret usage='su'/>\n"
         "    </auth>\n"
         "    <format type='f'/>\n"
         "    <name>sn</name>\n"
         "    <protocol ver='4'/>\n"
         "  </source>\n"
         "  <target>\n"
         "    <path>/t</path>\n"
         "  </target>\n"
         "</pool>\n\n",
         "");
    says(state, "pool-define-as n t --print-xml --source-protocol-ver 4 --adapter-wwnn w",
         CST_EXIT_OK, "<pool type='t'>\n  <name>n</name>\n</pool>\n\n", "");
    says(state,
         "pool-define-as n scsi --print-xml --adapter-wwnn w --adapter-wwpn x --adapter-parent p "
         "--adapter-parent-wwnn q --adapter-parent-wwpn r",
         CST_EXIT_OK,
         "<pool type='scsi'>\n  <name>n</name>\n  <source>\n"
         "    <adapter type='fc_host' parent='p' wwnn='w' wwpn='x'/>\n  </source>\n</pool>\n\n",
         "");
    assert_int_equal(fake_world.changes, 0);
}

static void dumpxml_selects_with_xpath(void **state)
{
    says(state, "pool-dumpxml images", CST_EXIT_OK,
         "<pool type='dir'>\n  <name>images</name>\n</pool>\n\n", "");
    says(state, "pool-dumpxml images --xpath //name", CST_EXIT_OK, "<name>images</name>\n\n", "");
    says(state, "pool-dumpxml images --xpath //@type", CST_EXIT_OK, " type=\"dir\"\n\n", "");
    says(state, "pool-dumpxml images --xpath //name --wrap", CST_EXIT_OK,
         "<nodes>\n  <name>images</name>\n</nodes>\n\n", "");
    says(state, "pool-dumpxml images --xpath //none --wrap", CST_EXIT_OK, "<nodes/>\n\n", "");
    says(state, "pool-dumpxml images --xpath //[", CST_EXIT_USAGE, "\n",
         "error: invalid argument: Incorrect xpath '//['\n");
}

static void find_sources_as_builds_a_source(void **state)
{
    says(state, "find-storage-pool-sources-as netfs h 3260 iqn", CST_EXIT_OK,
         "<sources type='netfs'>\n<source>\n  <host name='h' port='3260'/>\n  <initiator>\n"
         "    <iqn name='iqn'/>\n  </initiator>\n</source>\n</sources>\n\n",
         "");
    says(state, "find-storage-pool-sources-as netfs", CST_EXIT_OK,
         "<sources type='netfs'>\n</sources>\n\n", "");
}

static void definitions_come_from_files(void **state)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "cli-test-XXXXXX", NULL);
    int fd = g_mkstemp(path);
    g_autofree char *line = g_strdup_printf("pool-define '%s' --validate", path);
    g_autofree char *expected = g_strdup_printf("Pool filed defined from %s\n\n", path);

    assert_true(fd >= 0);
    assert_true(g_file_set_contents(path, "<pool><name>filed</name></pool>", -1, NULL));
    says(state, line, CST_EXIT_OK, expected, "");
    assert_string_equal(fake_world.last_xml, "<pool><name>filed</name></pool>");
    assert_int_equal(fake_world.last_flags, CST_POOL_DEFINE_VALIDATE);
    close(fd);
    unlink(path);
    g_free(line);
    g_free(expected);
    line = g_strdup_printf("pool-create '%s'", path);
    expected =
        g_strdup_printf("error: Failed to open file '%s': No such file or directory\n", path);
    says(state, line, CST_EXIT_NOT_FOUND, "\n", expected);
}

static void edit_redefines_the_pool_from_the_editors_text(void **state)
{
    g_setenv("VISUAL", "sed -i s/images/edited/", TRUE);
    says(state, "pool-edit images", CST_EXIT_OK, "Pool edited XML configuration edited.\n\n", "");
    assert_string_equal(fake_world.last_xml, "<pool type='dir'>\n  <name>edited</name>\n</pool>\n");
    g_setenv("VISUAL", "true", TRUE);
    says(state, "pool-edit images", CST_EXIT_OK, "Pool images XML configuration not changed.\n\n",
         "");
    assert_int_equal(fake_world.changes, 1);
    g_setenv("VISUAL", "false", TRUE);
    says(state, "pool-edit images", CST_EXIT_FAILED, "\n",
         "error: Failed to edit pool images\n"
         "error: operation failed: the editor 'false' failed with status 1\n");
    g_unsetenv("VISUAL");
}

static void events_are_awaited_one_or_in_a_loop(void **state)
{
    says(state, "pool-event --list", CST_EXIT_OK, "lifecycle\nrefresh\n\n", "");
    says(state, "pool-event", CST_EXIT_USAGE, "\n",
         "error: either --list or --event <type> is required\n");
    says(state, "pool-event --event x", CST_EXIT_USAGE, "\n", "error: unknown event type x\n");
    says(state, "pool-event --event lifecycle", CST_EXIT_OK,
         "event 'lifecycle' for storage pool images: Started\nevents received: 1\n\n", "");
    says(state, "pool-event --event lifecycle --loop --timeout 1", CST_EXIT_OK,
         "event 'lifecycle' for storage pool images: Started\nevent loop timed out\n"
         "events received: 1\n\n",
         "");
}

static void several_commands_run_and_the_last_status_counts(void **state)
{
    says(state, "pool-uuid nope; pool-uuid images", CST_EXIT_OK,
         "\n6f9619ff-8b86-d011-b42d-00c04fc964ff\n\n",
         "error: failed to get pool 'nope'\n"
         "error: Storage pool not found: no storage pool with matching name 'nope'\n");
    says(state, "echo a; quit; echo b", CST_EXIT_OK, "a\n", "");
    says(state, "echo a; nosuch", CST_EXIT_USAGE, "", "error: unknown command: 'nosuch'\n");
}

static void no_server_is_exit_6(void **state)
{
    Session *session = *state;

    fake_world.fail_open = g_strdup("x:///");
    session->settings.uri = "x:///";
    says(state, "pool-list", CST_EXIT_UNREACHABLE, "",
         "error: failed to connect to the hypervisor\n"
         "error: no connection driver available for x:///\n"
         "hint: URIs are storage:///system, storage:///session, storage+ssh://HOST/system and "
         "storage:///embed?root=DIR\n");
}

static void a_mistyped_type_is_no_mistake_in_xml(void **state)
{
    says(state, "pool-define-as n dirr", CST_EXIT_USAGE, "\n",
         "error: unknown pool type 'dirr'; did you mean 'dir'?\n");
    says(state, "pool-create-as n warehouse --target /x", CST_EXIT_USAGE, "\n",
         "error: unknown pool type 'warehouse'; `cistern pool-capabilities` lists the types\n");
}

static void relative_target_is_resolved_against_the_working_directory(void **state)
{
    g_autofree char *here = g_get_current_dir();
    g_autofree char *path = g_strdup_printf("    <path>%s/d</path>\n", here);
    Session *session = *state;

    assert_non_null(strstr(output(state, "pool-define-as n dir --target d/ --print-xml"), path));
    assert_non_null(
        strstr(output(state, "pool-define-as n dir --target ./x/../d --print-xml"), path));
    session->settings.uri = "storage+ssh://h/system";
    says(state, "pool-define-as n dir --target d", CST_EXIT_USAGE, "\n",
         "error: --target 'd' must be an absolute path: the pool is on another host\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, session_setup, session_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(list_shows_active_pools_unless_asked),
        TEST(list_sorts_by_name_and_shows_details),
        TEST(pool_health_is_shown_if_the_pool_reports_it),
        TEST(list_passes_its_filters_on),
        TEST(list_prints_bare_names_in_fixed_width),
        TEST(info_of_a_running_pool),
        TEST(info_accepts_uuids_and_the_bytes_option),
        TEST(a_missing_pool_is_exit_3_with_two_lines),
        TEST(a_wrong_state_is_exit_5),
        TEST(a_read_only_connection_is_exit_4),
        TEST(every_change_reports_its_result),
        TEST(pool_dry_run_makes_no_change),
        TEST(build_flags_are_passed_on),
        TEST(define_as_builds_virsh_s_xml),
        TEST(dumpxml_selects_with_xpath),
        TEST(find_sources_as_builds_a_source),
        TEST(definitions_come_from_files),
        TEST(edit_redefines_the_pool_from_the_editors_text),
        TEST(events_are_awaited_one_or_in_a_loop),
        TEST(several_commands_run_and_the_last_status_counts),
        TEST(no_server_is_exit_6),
        TEST(a_mistyped_type_is_no_mistake_in_xml),
        TEST(relative_target_is_resolved_against_the_working_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
