/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe.h"

static int listen_to(Probe *probe, int event, const char *pool)
{
    wire_pool filter, *opt = NULL;
    wire_pool_event_args args = {.event = event};
    wire_int ret = {.value = -1};

    if (pool) {
        filter = probe_pool(pool);
        opt = &filter;
    }
    args.pool = opt;
    probe_call(probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY, XDR_OF(pool_event_args),
               &args, XDR_OF(int), &ret);
    return ret.value;
}

static void assert_lifecycle(Probe *probe, int callback, const char *pool, int kind)
{
    wire_pool_lifecycle_event event = {0};
    Packet packet = probe_read(probe);

    assert_int_equal(packet.header.type, WIRE_MESSAGE);
    assert_int_equal(packet.header.procedure, WIRE_PROC_STORAGE_POOL_EVENT_LIFECYCLE);
    assert_true(cst_wire_payload_decode(packet.bytes, packet.len, XDR_OF(pool_lifecycle_event),
                                        &event, NULL));
    assert_int_equal(event.callback, callback);
    assert_string_equal(event.pool.name, pool);
    assert_memory_equal(event.pool.uuid, fake_uuid(pool)->bytes, 16);
    assert_int_equal(event.event, kind);
    assert_int_equal(event.detail, 0);
    xdr_free(XDR_OF(pool_lifecycle_event), (char *)&event);
    packet_free(&packet);
}

static void events_are_delivered_only_to_subscribers(void **state)
{
    Probe all = probe_open(*state, FALSE), one = probe_open(*state, TRUE);
    Probe none = probe_open(*state, FALSE);
    int id_all = listen_to(&all, 0, NULL), id_one = listen_to(&one, 0, "images");

    fake_emit(CST_EVENT_POOL_LIFECYCLE, "empty", CST_POOL_EVENT_STARTED);
    fake_emit(CST_EVENT_POOL_REFRESH, "images", 0);
    fake_emit(CST_EVENT_POOL_LIFECYCLE, "images", CST_POOL_EVENT_STOPPED);
    assert_lifecycle(&all, id_all, "empty", CST_POOL_EVENT_STARTED);
    assert_lifecycle(&all, id_all, "images", CST_POOL_EVENT_STOPPED);
    assert_lifecycle(&one, id_one, "images", CST_POOL_EVENT_STOPPED);
    assert_true(probe_is_silent(*state, &none));
    probe_close(&all);
    probe_close(&one);
    probe_close(&none);
}

static void refreshes_and_secrets_have_their_own_messages(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_secret_event_args args = {.event = 1};
    Packet packet;

    listen_to(&probe, 1, NULL);
    probe_call(&probe, WIRE_PROC_CONNECT_SECRET_EVENT_REGISTER_ANY, XDR_OF(secret_event_args),
               &args, NULL, NULL);
    fake_emit(CST_EVENT_POOL_REFRESH, "images", 0);
    fake_emit(CST_EVENT_SECRET_LIFECYCLE, NULL, 0);
    fake_emit(CST_EVENT_SECRET_VALUE, NULL, 0);
    packet = probe_read(&probe);
    assert_int_equal(packet.header.procedure, WIRE_PROC_STORAGE_POOL_EVENT_REFRESH);
    packet_free(&packet);
    packet = probe_read(&probe);
    assert_int_equal(packet.header.procedure, WIRE_PROC_SECRET_EVENT_VALUE_CHANGED);
    packet_free(&packet);
    probe_close(&probe);
}

static void the_same_twice_is_refused(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_pool_event_args args = {.event = 0};
    g_autofree char *twice = NULL, *odd = NULL;

    assert_true(listen_to(&probe, 0, NULL) != listen_to(&probe, 0, "images"));
    twice = probe_call_error(&probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY,
                             XDR_OF(pool_event_args), &args, 8);
    assert_string_equal(twice, "invalid argument: event callback already tracked");
    args.event = 2;
    odd = probe_call_error(&probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY,
                           XDR_OF(pool_event_args), &args, 1);
    assert_string_equal(odd, "internal error: unsupported storage pool event ID 2");
    probe_close(&probe);
}

static void deregistered_client_gets_no_event(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_int id = {.value = listen_to(&probe, 0, NULL)};
    g_autofree char *text = NULL;

    probe_call(&probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY, XDR_OF(int), &id, NULL,
               NULL);
    fake_emit(CST_EVENT_POOL_LIFECYCLE, "images", 0);
    assert_true(probe_is_silent(*state, &probe));
    text = probe_call_error(&probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY,
                            XDR_OF(int), &id, 1);
    assert_string_equal(text, "internal error: storage pool event callback 0 not registered");
    probe_close(&probe);
}

/* Returns the reply to a subscription to events of the secret whose uuid ends in @number. */
static Packet listen_to_secret(Probe *probe, unsigned number)
{
    wire_secret secret = {.usage_id = (char *)""};
    wire_secret_event_args args = {.secret = &secret};

    secret.uuid[14] = (char)(number >> 8);
    secret.uuid[15] = (char)number;
    probe_send(probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_SECRET_EVENT_REGISTER_ANY,
               XDR_OF(secret_event_args), &args);
    return probe_reply(probe);
}

static void a_client_listens_to_1024_things_at_most(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    g_autofree char *twice = NULL, *many = NULL;
    Packet packet;

    for (unsigned i = 0; i < 1024; i++) {
        packet = listen_to_secret(&probe, i);
        assert_int_equal(packet.header.status, WIRE_OK);
        packet_free(&packet);
    }
    packet = listen_to_secret(&probe, 1023);
    twice = packet_error(&packet, 8);
    packet_free(&packet);
    packet = listen_to_secret(&probe, 1024);
    many = packet_error(&packet, 39);
    assert_non_null(strstr(many, "1024 event callbacks are registered already"));
    packet_free(&packet);
    probe_close(&probe);
}

static void events_of_a_pool_that_is_unknown_are_refused(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_pool nobody = {.name = (char *)"nobody"};
    wire_pool_event_args args = {.pool = &nobody};
    g_autofree char *text =
        probe_call_error(&probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY,
                         XDR_OF(pool_event_args), &args, 49);

    assert_non_null(strstr(text, "(nobody)"));
    probe_close(&probe);
}

static void a_listener_that_does_not_read_is_dropped(void **state)
{
    Bench *bench = *state;
    Probe probe;

    bench->options.max_events = 4096;
    bench_restart(bench);
    probe = probe_open(bench, FALSE);
    listen_to(&probe, 0, NULL);
    for (int i = 0; i < 20000 && cst_wire_server_clients(bench->server) > 0; i++)
        fake_emit(CST_EVENT_POOL_LIFECYCLE, "images", 0);
    probe_assert_dropped(&probe);
    probe_close(&probe);
}

/* Events that were read no longer count. */
static void a_listener_that_reads_stays(void **state)
{
    Bench *bench = *state;
    Probe probe;
    int id;

    bench->options.max_events = 4096;
    bench_restart(bench);
    probe = probe_open(bench, FALSE);
    id = listen_to(&probe, 0, NULL);
    for (int i = 0; i < 500; i++) {
        fake_emit(CST_EVENT_POOL_LIFECYCLE, "images", i);
        assert_lifecycle(&probe, id, "images", i);
    }
    probe_close(&probe);
}

/* The events wait after a piece of a download, in turns with replies. */
static void replies_that_are_not_read_do_not_count_as_events(void **state)
{
    wire_vol_stream_args args = {.vol = probe_vol("vol00000")};
    Bench *bench = *state;
    guint replies = 0, events = 0;
    Probe probe;

    bench->options.max_events = 4096;
    bench_restart(bench);
    probe = probe_open(bench, FALSE);
    listen_to(&probe, 0, NULL);
    g_byte_array_set_size(fake.data, 1 << 20);
    probe_call(&probe, WIRE_PROC_STORAGE_VOL_DOWNLOAD, XDR_OF(vol_stream_args), &args, NULL, NULL);
    assert_true(fake_wait(&fake.reads, 2));
    for (int i = 0; i < 3; i++) {
        fake_emit(CST_EVENT_POOL_LIFECYCLE, "images", i);
        for (int j = 0; j < 100; j++)
            probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL);
        bench_settle(bench);
    }
    while (replies < 300 || events < 3) {
        Packet packet = probe_read(&probe);

        replies += packet.header.type == WIRE_REPLY;
        events += packet.header.type == WIRE_MESSAGE;
        packet_free(&packet);
    }
    probe_close(&probe);
}

static void events_for_machines_are_accepted_and_never_come(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_domain_event_args args = {.event = 0};
    wire_int id = {0};

    probe_call(&probe, WIRE_PROC_CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY,
               XDR_OF(domain_event_args), &args, XDR_OF(int), &id);
    probe_call(&probe, WIRE_PROC_CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, XDR_OF(int), &id,
               NULL, NULL);
    probe_close(&probe);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(events_are_delivered_only_to_subscribers),
        BENCH_TEST(refreshes_and_secrets_have_their_own_messages),
        BENCH_TEST(the_same_twice_is_refused),
        BENCH_TEST(deregistered_client_gets_no_event),
        BENCH_TEST(a_client_listens_to_1024_things_at_most),
        BENCH_TEST(events_of_a_pool_that_is_unknown_are_refused),
        BENCH_TEST(a_listener_that_does_not_read_is_dropped),
        BENCH_TEST(a_listener_that_reads_stays),
        BENCH_TEST(replies_that_are_not_read_do_not_count_as_events),
        BENCH_TEST(events_for_machines_are_accepted_and_never_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
