/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "access_rows.h"
#include "await.h"

static const struct {
    uint32_t number;
    const Row *rows;
    size_t count;
    int last;
} programs[] = {
    {WIRE_REMOTE_PROGRAM, libvirts, G_N_ELEMENTS(libvirts), WIRE_PROC_LAST},
    {WIRE_CISTERN_PROGRAM, own, G_N_ELEMENTS(own), WIRE_CISTERN_LAST},
};

static Packet call_with_zeros(Probe *probe, uint32_t program, int procedure)
{
    static const uint8_t zeros[256];
    g_autoptr(GByteArray) buf = g_byte_array_new();
    CstWireHeader header = {.program = program,
                            .version = WIRE_VERSION,
                            .procedure = procedure,
                            .serial = ++probe->serial};

    cst_wire_append_raw(buf, &header, zeros, sizeof(zeros));
    probe_write(probe, buf->data, buf->len);
    return probe_reply(probe);
}

typedef void (*RowFunc)(Probe *probe, uint32_t program, const Row *row);

static void for_every_row(Probe *probe, RowFunc func)
{
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++)
        for (size_t j = 0; j < programs[i].count; j++)
            func(probe, programs[i].number, &programs[i].rows[j]);
}

static void assert_change_refused(Probe *probe, uint32_t program, const Row *row)
{
    g_autofree char *expected = NULL, *text = NULL;
    Packet packet;

    if (!row->writes)
        return;
    expected = g_strdup_printf("operation forbidden: read only access prevents %s", row->writes);
    packet = call_with_zeros(probe, program, row->procedure);
    text = packet_error(&packet, 29);
    assert_string_equal(text, expected);
    packet_free(&packet);
}

static void assert_every_change_refused(Probe *probe)
{
    guint before = fake.mutations;

    for_every_row(probe, assert_change_refused);
    assert_int_equal(fake.mutations, before);
}

static void the_read_only_socket_refuses_every_change(void **state)
{
    Probe probe = probe_open(*state, TRUE);

    assert_every_change_refused(&probe);
    probe_close(&probe);
}

static void opening_read_only_refuses_every_change(void **state)
{
    char text[] = "storage:///system", *name = text;
    wire_open_args args = {.name = &name, .flags = 1};
    Probe probe = probe_connect(*state, FALSE);

    probe_call(&probe, WIRE_PROC_CONNECT_OPEN, XDR_OF(open_args), &args, NULL, NULL);
    assert_every_change_refused(&probe);
    probe_close(&probe);
}

/* Asserts that the procedure itself has answered, for any reason. */
static void assert_answered(Probe *probe, uint32_t program, const Row *row)
{
    Packet packet = call_with_zeros(probe, program, row->procedure);
    wire_error wire = {0};

    assert_int_equal(packet.header.procedure, row->procedure);
    if (packet.header.status == WIRE_ERROR) {
        assert_true(cst_wire_payload_decode(packet.bytes, packet.len, XDR_OF(error), &wire, NULL));
        if (wire.code == 29 || wire.code == 39)
            fail_msg("procedure %d: %s", row->procedure, *wire.message);
        xdr_free(XDR_OF(error), (char *)&wire);
    }
    packet_free(&packet);
}

static void assert_reading_answered(Probe *probe, uint32_t program, const Row *row)
{
    if (!row->writes)
        assert_answered(probe, program, row);
}

static void reading_is_answered_on_the_read_only_socket(void **state)
{
    Probe probe = probe_open(*state, TRUE);

    for_every_row(&probe, assert_reading_answered);
    probe_close(&probe);
}

static void every_procedure_is_answered(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    for_every_row(&probe, assert_answered);
    probe_close(&probe);
}

static gboolean is_listed(size_t program, int procedure)
{
    for (size_t i = 0; i < programs[program].count; i++)
        if (programs[program].rows[i].procedure == procedure)
            return TRUE;
    return programs[program].number == WIRE_REMOTE_PROGRAM &&
           (procedure == WIRE_PROC_CONNECT_OPEN || procedure == WIRE_PROC_CONNECT_CLOSE);
}

/* A new procedure must be added to the table above, with its effect. */
static void procedure_that_is_not_in_the_table_does_not_exist(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        uint32_t number = programs[i].number;

        for (int procedure = -1; procedure <= programs[i].last + 1; procedure++) {
            gboolean libvirts_own =
                number == WIRE_REMOTE_PROGRAM && procedure > 0 && procedure <= programs[i].last;
            g_autofree char *text = NULL;
            Packet packet;

            if (is_listed(i, procedure))
                continue;
            packet = call_with_zeros(&probe, number, procedure);
            text = packet_error(&packet, libvirts_own ? 3 : 39);
            assert_non_null(strstr(text, libvirts_own ? "(this server manages storage only)"
                                                      : "unknown procedure"));
            packet_free(&packet);
        }
    }
    probe_close(&probe);
}

static void call(Probe *probe, uint32_t program, const Row *row)
{
    Packet packet = call_with_zeros(probe, program, row->procedure);

    packet_free(&packet);
}

/* A procedure that the table marks as reading makes no change. */
static void read_only_socket_makes_no_change(void **state)
{
    const Row flatten = {WIRE_CISTERN_VOL_FLATTEN, NULL};
    Probe reader = probe_open(*state, TRUE), writer = probe_open(*state, FALSE);

    fake_hold(&fake.any_name, TRUE);
    for_every_row(&reader, call);
    assert_int_equal(fake.mutations, 0);
    call(&writer, WIRE_CISTERN_PROGRAM, &flatten);
    assert_int_equal(fake.mutations, 1);
    probe_close(&reader);
    probe_close(&writer);
}

static void arguments_are_decoded_before_the_access_check(void **state)
{
    Probe probe = probe_open(*state, TRUE);
    g_autofree char *text = probe_call_error(&probe, WIRE_PROC_STORAGE_POOL_CREATE, NULL, NULL, 39);

    assert_string_equal(text, "Unable to decode message payload");
    probe_close(&probe);
}

static void a_call_may_not_be_cancelled_by_a_reader(void **state)
{
    Probe probe = probe_open(*state, TRUE);
    wire_serial_args args = {.serial = 1};
    g_autofree char *text = NULL;
    Packet packet;

    probe_send(&probe, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_CALL_CANCEL, XDR_OF(serial_args), &args);
    packet = probe_reply(&probe);
    text = packet_error(&packet, 29);
    packet_free(&packet);
    probe_close(&probe);
}

#define STORAGE_TEAM 64123

static Probe connect_as(Bench *bench, gid_t primary, gid_t other, gboolean read_only)
{
    return probe_connect_as(bench, primary, &other, 1, read_only);
}

static char *open_refused(Probe *probe)
{
    wire_open_args args = {0};

    probe_call(probe, WIRE_PROC_AUTH_LIST, NULL, NULL, NULL, NULL);
    return probe_call_error(probe, WIRE_PROC_CONNECT_OPEN, XDR_OF(open_args), &args, 45);
}

static void open_allowed(Probe *probe)
{
    wire_open_args args = {0};

    probe_call(probe, WIRE_PROC_CONNECT_OPEN, XDR_OF(open_args), &args, NULL, NULL);
}

static void untrusted_user_may_only_read(void **state)
{
    Probe writer = connect_as(*state, PROBE_STRANGER, PROBE_STRANGER, FALSE);
    Probe reader = connect_as(*state, PROBE_STRANGER, PROBE_STRANGER, TRUE);
    g_autofree char *text = open_refused(&writer), *later = NULL;

    assert_non_null(strstr(text, "user 65534 may not use this socket"));
    later = probe_call_error(&writer, WIRE_PROC_CONNECT_GET_HOSTNAME, NULL, NULL, 45);
    open_allowed(&reader);
    assert_every_change_refused(&reader);
    probe_close(&writer);
    probe_close(&reader);
}

/* The token of a daemon of this host may be shown by root only. */
static void untrusted_user_cannot_set_another_identity(void **state)
{
    Probe reader = probe_open_stranger(*state, TRUE);
    wire_identity_args args = {0};
    g_autofree char *text =
        probe_call_error(&reader, WIRE_PROC_CONNECT_SET_IDENTITY, XDR_OF(identity_args), &args, 45);

    assert_non_null(strstr(text, "only root may act for another user"));
    probe_close(&reader);
}

static void members_of_the_group_may_write(void **state)
{
    Bench *bench = *state;
    g_autofree char *text = NULL;
    Probe first, second, third;

    bench->options.has_group = TRUE;
    bench->options.group = STORAGE_TEAM;
    bench_restart(bench);
    first = connect_as(bench, STORAGE_TEAM, PROBE_STRANGER, FALSE);
    second = connect_as(bench, PROBE_STRANGER, STORAGE_TEAM, FALSE);
    third = connect_as(bench, PROBE_STRANGER, PROBE_STRANGER, FALSE);
    open_allowed(&first);
    open_allowed(&second);
    text = open_refused(&third);
    probe_close(&first);
    probe_close(&second);
    probe_close(&third);
}

/* However many groups a user is in, the last one counts as the first. */
static void members_of_many_groups_are_known(void **state)
{
    static const size_t counts[] = {0, 1, 63, 64, 65, 1000};
    Bench *bench = *state;
    gid_t groups[1001];

    bench->options.has_group = TRUE;
    bench->options.group = STORAGE_TEAM;
    bench_restart(bench);
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        Probe member, stranger;

        /* The kernel sorts the groups, so the searched one is the last. */
        for (size_t n = 0; n < counts[i]; n++)
            groups[n] = (gid_t)(10000 + n);
        groups[counts[i]] = STORAGE_TEAM;
        member = probe_connect_as(bench, PROBE_STRANGER, groups, counts[i] + 1, FALSE);
        open_allowed(&member);
        probe_close(&member);
        stranger = probe_connect_as(bench, PROBE_STRANGER, groups, counts[i], FALSE);
        g_free(open_refused(&stranger));
        probe_close(&stranger);
    }
}

static void user_cannot_use_all_connections(void **state)
{
    Bench *bench = *state;
    Probe first, second, root;

    bench->options.max_user_clients = 1;
    bench_restart(bench);
    first = connect_as(bench, PROBE_STRANGER, PROBE_STRANGER, TRUE);
    open_allowed(&first);
    second = connect_as(bench, PROBE_STRANGER, PROBE_STRANGER, TRUE);
    probe_assert_dropped(&second);
    root = probe_open(bench, FALSE);
    probe_call(&first, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    probe_close(&first);
    probe_close(&second);
    probe_close(&root);
}

static void wait_for_events(Probe *probe)
{
    wire_pool_event_args args = {.event = 0};

    probe_call(probe, WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY, XDR_OF(pool_event_args),
               &args, NULL, NULL);
}

/*
 * A connection is refused when the limit is reached. Then a silent reader is dropped to make room.
 * A client that calls, waits for events, may write, or is root is never dropped.
 */
static void silent_readers_make_room_when_connections_are_scarce(void **state)
{
    enum { BUSY, EVENTS, WRITER, ROOT, N_KEPT };
    wire_int keepalive = {.value = 10};
    Bench *bench = *state;
    Probe kept[N_KEPT], silent, refused;

    bench->options.max_user_clients = 4;
    bench->options.idle_seconds = 1;
    bench->options.keepalive_seconds = 60;
    bench->options.has_group = TRUE;
    bench->options.group = STORAGE_TEAM;
    bench_restart(bench);
    silent = probe_open_stranger(bench, TRUE);
    kept[BUSY] = probe_open_stranger(bench, TRUE);
    kept[EVENTS] = probe_open_stranger(bench, TRUE);
    wait_for_events(&kept[EVENTS]);
    kept[WRITER] = connect_as(bench, STORAGE_TEAM, PROBE_STRANGER, FALSE);
    open_allowed(&kept[WRITER]);
    kept[ROOT] = probe_open(bench, TRUE);
    /* With such a client the server checks all clients every second. */
    probe_call(&kept[ROOT], WIRE_PROC_CONNECT_SUPPORTS_FEATURE, XDR_OF(int), &keepalive, NULL,
               NULL);
    assert_true(probe_is_silent_for(*state, &silent, 3));
    probe_call(&silent, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    probe_call(&kept[BUSY], WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    refused = connect_as(bench, PROBE_STRANGER, PROBE_STRANGER, TRUE);
    probe_assert_dropped(&refused);
    AWAIT((probe_call(&kept[BUSY], WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL),
           !probe_is_silent(bench, &silent)));
    probe_assert_dropped(&silent);
    for (int i = 0; i < N_KEPT; i++) {
        probe_call(&kept[i], WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
        probe_close(&kept[i]);
    }
    probe_close(&silent);
    probe_close(&refused);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(the_read_only_socket_refuses_every_change),
        BENCH_TEST(opening_read_only_refuses_every_change),
        BENCH_TEST(reading_is_answered_on_the_read_only_socket),
        BENCH_TEST(every_procedure_is_answered),
        BENCH_TEST(procedure_that_is_not_in_the_table_does_not_exist),
        BENCH_TEST(read_only_socket_makes_no_change),
        BENCH_TEST(arguments_are_decoded_before_the_access_check),
        BENCH_TEST(a_call_may_not_be_cancelled_by_a_reader),
        BENCH_TEST(untrusted_user_may_only_read),
        BENCH_TEST(untrusted_user_cannot_set_another_identity),
        BENCH_TEST(members_of_the_group_may_write),
        BENCH_TEST(members_of_many_groups_are_known),
        BENCH_TEST(user_cannot_use_all_connections),
        BENCH_TEST(silent_readers_make_room_when_connections_are_scarce),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
