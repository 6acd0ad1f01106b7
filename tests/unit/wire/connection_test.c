/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

static char *open_name(Probe *probe, const char *name, int code)
{
    char *text = (char *)name;
    wire_open_args args = {.name = name ? &text : NULL};

    if (code != 0)
        return probe_call_error(probe, WIRE_PROC_CONNECT_OPEN, XDR_OF(open_args), &args, code);
    probe_call(probe, WIRE_PROC_CONNECT_OPEN, XDR_OF(open_args), &args, NULL, NULL);
    return NULL;
}

static void assert_uri(Bench *bench, const char *name, const char *uri, const char *type)
{
    Probe probe = probe_connect(bench, FALSE);
    wire_text text = {0};

    open_name(&probe, name, 0);
    probe_call(&probe, WIRE_PROC_CONNECT_GET_URI, NULL, NULL, XDR_OF(text), &text);
    assert_string_equal(text.value, uri);
    xdr_free(XDR_OF(text), (char *)&text);
    probe_call(&probe, WIRE_PROC_CONNECT_GET_TYPE, NULL, NULL, XDR_OF(text), &text);
    assert_string_equal(text.value, type);
    xdr_free(XDR_OF(text), (char *)&text);
    probe_close(&probe);
}

static void names_open_their_driver(void **state)
{
    assert_uri(*state, "storage:///system", "storage:///system", "storage");
    assert_uri(*state, "secret:///system", "secret:///system", "secret");
    assert_uri(*state, "qemu:///system", "qemu:///system", "QEMU");
    assert_uri(*state, "", "storage:///system", "storage");
    assert_uri(*state, NULL, "storage:///system", "storage");
    assert_uri(*state, "storage:///system?unknown=1", "storage:///system", "storage");
}

static void assert_not_opened(Bench *bench, const char *name, int code, const char *expected)
{
    Probe probe = probe_connect(bench, FALSE);
    g_autofree char *text = open_name(&probe, name, code);

    assert_string_equal(text, expected);
    /* It may try again. */
    open_name(&probe, bench->options.session ? "storage:///session" : "storage:///system", 0);
    probe_close(&probe);
}

static void other_names_are_refused_in_libvirts_words(void **state)
{
    assert_not_opened(*state, "storage:///session", 1,
                      "internal error: unexpected storage URI path '/session', try "
                      "storage:///system");
    assert_not_opened(*state, "storage:///", 1,
                      "internal error: unexpected storage URI path '/', try storage:///system");
    assert_not_opened(*state, "qemu:///session", 1,
                      "internal error: unexpected QEMU URI path '/session', try qemu:///system");
    assert_not_opened(*state, "xen:///system", 5,
                      "no connection driver available for xen:///system");
    assert_not_opened(*state, "storage://host/system", 5,
                      "no connection driver available for storage://host/system");
    assert_not_opened(*state, "%%%", 5, "no connection driver available for %%%");
}

static void a_session_daemon_answers_session_names(void **state)
{
    Bench *bench = *state;

    bench->options.session = TRUE;
    bench_restart(bench);
    assert_uri(bench, "storage:///session", "storage:///session", "storage");
    assert_uri(bench, "", "storage:///session", "storage");
    assert_not_opened(bench, "storage:///system", 1,
                      "internal error: unexpected storage URI path '/system', try "
                      "storage:///session");
}

static void a_second_open_is_refused_and_the_first_stays(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    g_autofree char *text = open_name(&probe, "storage:///system", 1);

    assert_string_equal(text, "internal error: connection already open");
    probe_call(&probe, WIRE_PROC_CONNECT_NUM_OF_STORAGE_POOLS, NULL, NULL, NULL, NULL);
    probe_close(&probe);
}

static void call_before_open_is_refused(void **state)
{
    Probe probe = probe_connect(*state, FALSE);
    wire_int feature = {.value = 14}, answer = {0};
    wire_auth_list_ret auth = {0};
    g_autofree char *call = probe_call_error(&probe, WIRE_PROC_CONNECT_GET_TYPE, NULL, NULL, 1);
    g_autofree char *asked = NULL;

    assert_string_equal(call, "internal error: connection not open");
    asked = probe_call_error(&probe, WIRE_PROC_CONNECT_SUPPORTS_FEATURE, XDR_OF(int), &feature, 1);
    assert_string_equal(asked, "internal error: hypervisor connection not open");
    feature.value = 10;
    probe_call(&probe, WIRE_PROC_CONNECT_SUPPORTS_FEATURE, XDR_OF(int), &feature, XDR_OF(int),
               &answer);
    assert_int_equal(answer.value, 1);
    probe_call(&probe, WIRE_PROC_AUTH_LIST, NULL, NULL, XDR_OF(auth_list_ret), &auth);
    assert_int_equal(auth.types.types_len, 1);
    assert_int_equal(auth.types.types_val[0], 0);
    xdr_free(XDR_OF(auth_list_ret), (char *)&auth);
    probe_close(&probe);
}

static void close_is_answered_before_the_server_hangs_up(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    Packet packet;

    probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_CLOSE, NULL, NULL);
    packet = probe_reply(&probe);
    assert_int_equal(packet.header.status, WIRE_OK);
    packet_free(&packet);
    probe_assert_dropped(&probe);
    probe_close(&probe);
}

static void features_are_the_features_of_a_storage_connection(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    for (int feature = 0; feature < 20; feature++) {
        wire_int args = {.value = feature}, ret = {0};

        probe_call(&probe, WIRE_PROC_CONNECT_SUPPORTS_FEATURE, XDR_OF(int), &args, XDR_OF(int),
                   &ret);
        assert_int_equal(ret.value, feature == 10 || feature == 14 || feature == 15);
    }
    probe_close(&probe);
}

static void generic_questions_have_answers(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_node_info_ret node = {0};
    wire_hyper version = {0};
    wire_text text = {0};
    wire_list_all_args all = {.need_results = 1};
    wire_empty_list none = {.ret = 77};

    probe_call(&probe, WIRE_PROC_NODE_GET_INFO, NULL, NULL, XDR_OF(node_info_ret), &node);
    assert_true(node.cpus > 0 && node.memory > 1024);
    assert_true(node.nodes * node.sockets * node.cores * node.threads >= node.cpus);
    probe_call(&probe, WIRE_PROC_CONNECT_GET_LIB_VERSION, NULL, NULL, XDR_OF(hyper), &version);
    assert_true(version.value >= 9000000);
    probe_call(&probe, WIRE_PROC_CONNECT_GET_HOSTNAME, NULL, NULL, XDR_OF(text), &text);
    assert_string_equal(text.value, g_get_host_name());
    xdr_free(XDR_OF(text), (char *)&text);
    probe_call(&probe, WIRE_PROC_CONNECT_GET_CAPABILITIES, NULL, NULL, XDR_OF(text), &text);
    assert_non_null(strstr(text.value, "<arch>"));
    assert_non_null(strstr(text.value, "<value>dir</value>"));
    assert_null(strstr(text.value, "<value>zfs</value>"));
    xdr_free(XDR_OF(text), (char *)&text);
    probe_call(&probe, WIRE_PROC_CONNECT_LIST_ALL_DOMAINS, XDR_OF(list_all_args), &all,
               XDR_OF(empty_list), &none);
    assert_int_equal(none.count + none.ret, 0);
    probe_close(&probe);
}

static void calls_for_machines_are_not_supported(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    g_autofree char *text = probe_call_error(&probe, 23, NULL, NULL, 3);

    assert_true(g_str_has_prefix(text, "this function is not supported by the connection driver"));
    probe_close(&probe);
}

static void an_old_list_longer_than_the_protocol_knows_is_refused(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_int max = {.value = 16385};
    wire_names names = {0};
    g_autofree char *text =
        probe_call_error(&probe, WIRE_PROC_CONNECT_LIST_STORAGE_POOLS, XDR_OF(int), &max, 39);

    assert_string_equal(text, "maxnames > REMOTE_STORAGE_POOL_LIST_MAX");
    max.value = 1;
    probe_call(&probe, WIRE_PROC_CONNECT_LIST_STORAGE_POOLS, XDR_OF(int), &max, XDR_OF(names),
               &names);
    assert_int_equal(names.names.names_len, 1);
    xdr_free(XDR_OF(names), (char *)&names);
    probe_close(&probe);
}

static void more_volumes_than_a_list_holds_come_in_pages(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_vols_args args = {.pool = probe_pool("images"), .need_results = 1};
    wire_vol_page_args page = {.pool = probe_pool("images"), .flags = WIRE_PAGE_DETAILS};
    g_autofree char *text = NULL;
    char *after = NULL;
    guint seen = 0, pages = 0, more = 1;

    fake.volumes = 20000;
    text = probe_call_error(&probe, WIRE_PROC_STORAGE_POOL_LIST_ALL_VOLUMES, XDR_OF(vols_args),
                            &args, 39);
    assert_string_equal(text, "Too many storage_vols '20000' for limit '16384'");
    for (; more; pages++) {
        wire_vol_page_ret ret = {0};
        Packet packet;

        page.after = after ? &after : NULL;
        probe_send(&probe, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_LIST_PAGE, XDR_OF(vol_page_args),
                   &page);
        packet = probe_reply(&probe);
        assert_true(
            cst_wire_payload_decode(packet.bytes, packet.len, XDR_OF(vol_page_ret), &ret, NULL));
        more = ret.more;
        seen += ret.rows.rows_len;
        g_free(after);
        after = g_strdup(ret.rows.rows_val[ret.rows.rows_len - 1].name);
        assert_string_equal(*ret.rows.rows_val[0].format, "qcow2");
        xdr_free(XDR_OF(vol_page_ret), (char *)&ret);
        packet_free(&packet);
    }
    assert_int_equal(seen, 20000);
    assert_int_equal(pages, 5);
    g_free(after);
    probe_close(&probe);
}

static void pool_status_reports_the_problem(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_pool_args args = {.pool = probe_pool("empty")};
    wire_pool_status_ret ret = {0};
    Packet packet;

    probe_send(&probe, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_POOL_STATUS, XDR_OF(pool_args), &args);
    packet = probe_reply(&probe);
    assert_true(
        cst_wire_payload_decode(packet.bytes, packet.len, XDR_OF(pool_status_ret), &ret, NULL));
    assert_string_equal(*ret.problem, "nothing in it");
    xdr_free(XDR_OF(pool_status_ret), (char *)&ret);
    packet_free(&packet);
    probe_close(&probe);
}

static void pool_reports_the_usage_of_its_thin_pools(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_pool_args args = {.pool = probe_pool("empty")};
    wire_pool_thin_ret ret = {0};
    const wire_thin_store *store;
    Packet packet;

    probe_send(&probe, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_POOL_THIN, XDR_OF(pool_args), &args);
    packet = probe_reply(&probe);
    assert_true(
        cst_wire_payload_decode(packet.bytes, packet.len, XDR_OF(pool_thin_ret), &ret, NULL));
    assert_int_equal(ret.stores.stores_len, 1);
    store = &ret.stores.stores_val[0];
    assert_string_equal(store->name, "tp");
    assert_int_equal(store->size, 1000);
    assert_int_equal(store->used, 600);
    assert_int_equal(store->metadata_size, 100);
    assert_int_equal(store->metadata_used, 20);
    assert_int_equal(store->volumes, 3);
    xdr_free(XDR_OF(pool_thin_ret), (char *)&ret);
    packet_free(&packet);
    probe_close(&probe);
}

/* A child that is about to run a tool has all descriptors until then. */
static void a_client_that_left_is_not_heard_of_through_a_child(void **state)
{
    Bench *bench = *state;
    Probe probe = probe_open(bench, FALSE);
    pid_t child = fork();

    if (child == 0) {
        close(probe.fd);
        alarm(10); /* a failed test must leave no process */
        pause();
        _exit(0);
    }
    probe_close(&probe);
    bench_await_clients(bench, 0);
    assert_true(bench_is_idle(bench));
    probe = probe_open(bench, FALSE);
    probe_close(&probe);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void unknown_pool_is_reported_with_uuid_and_name(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_pool_args args = {.pool = {.name = (char *)"gone"}};
    g_autofree char *text =
        probe_call_error(&probe, WIRE_PROC_STORAGE_POOL_GET_INFO, XDR_OF(pool_args), &args, 49);

    assert_string_equal(text, "Storage pool not found: no storage pool with matching uuid "
                              "'00000000-0000-0000-0000-000000000000' (gone)");
    probe_close(&probe);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(names_open_their_driver),
        BENCH_TEST(other_names_are_refused_in_libvirts_words),
        BENCH_TEST(a_session_daemon_answers_session_names),
        BENCH_TEST(a_second_open_is_refused_and_the_first_stays),
        BENCH_TEST(call_before_open_is_refused),
        BENCH_TEST(close_is_answered_before_the_server_hangs_up),
        BENCH_TEST(features_are_the_features_of_a_storage_connection),
        BENCH_TEST(generic_questions_have_answers),
        BENCH_TEST(calls_for_machines_are_not_supported),
        BENCH_TEST(an_old_list_longer_than_the_protocol_knows_is_refused),
        BENCH_TEST(more_volumes_than_a_list_holds_come_in_pages),
        BENCH_TEST(pool_status_reports_the_problem),
        BENCH_TEST(pool_reports_the_usage_of_its_thin_pools),
        BENCH_TEST(a_client_that_left_is_not_heard_of_through_a_child),
        BENCH_TEST(unknown_pool_is_reported_with_uuid_and_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
