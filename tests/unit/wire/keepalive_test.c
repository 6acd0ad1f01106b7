/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A silent client is pinged. A client's ping is answered, also while its calls wait. */
#include "probe.h"

static void ask_for_keepalive(Probe *probe)
{
    wire_int feature = {.value = 10};

    probe_call(probe, WIRE_PROC_CONNECT_SUPPORTS_FEATURE, XDR_OF(int), &feature, NULL, NULL);
}

static void add_keepalive(GByteArray *buf, int procedure)
{
    const CstWireHeader header = {.program = WIRE_KEEPALIVE_PROGRAM,
                                  .version = WIRE_VERSION,
                                  .procedure = procedure,
                                  .type = WIRE_MESSAGE};

    cst_wire_append_raw(buf, &header, NULL, 0);
}

static void send_keepalive(Probe *probe, int procedure)
{
    g_autoptr(GByteArray) buf = g_byte_array_new();

    add_keepalive(buf, procedure);
    probe_write(probe, buf->data, buf->len);
}

/* The next packet is the ping or pong @procedure. */
static void expect_keepalive(Probe *probe, int procedure)
{
    Packet packet = probe_read(probe);

    assert_int_equal(packet.header.program, WIRE_KEEPALIVE_PROGRAM);
    assert_int_equal(packet.header.type, WIRE_MESSAGE);
    assert_int_equal(packet.header.procedure, procedure);
    packet_free(&packet);
}

#define MOST_CALLS 2

static void add_call(GByteArray *buf, Probe *probe, int procedure, xdrproc_t func, const void *args)
{
    const CstWireHeader header = {.program = WIRE_REMOTE_PROGRAM,
                                  .version = WIRE_VERSION,
                                  .procedure = procedure,
                                  .serial = ++probe->serial};

    assert_true(cst_wire_append(buf, &header, func, args, NULL));
}

/* Appends the maximum of calls, which all wait until fake.hold_build is cleared. */
static void add_all_calls(GByteArray *buf, Probe *probe)
{
    wire_pool_flags_args args = {.pool = probe_pool("images")};

    for (int i = 0; i < MOST_CALLS; i++)
        add_call(buf, probe, WIRE_PROC_STORAGE_POOL_BUILD, XDR_OF(pool_flags_args), &args);
}

static void add_quick_calls(GByteArray *buf, Probe *probe, guint count)
{
    for (guint i = 0; i < count; i++)
        add_call(buf, probe, WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL);
}

/* The next packets but for pings are replies to @count calls. */
static void expect_replies(Probe *probe, guint count)
{
    for (guint replies = 0; replies < count;) {
        Packet packet = probe_read(probe);

        if (packet.header.type == WIRE_MESSAGE)
            assert_int_equal(packet.header.procedure, WIRE_KEEPALIVE_PING);
        else
            assert_int_equal(packet.header.status, WIRE_OK);
        replies += packet.header.type == WIRE_REPLY;
        packet_free(&packet);
    }
}

/* Pings at any position: in the same write as the calls, after a waiting call, in two pieces. */
static void pings_are_answered_while_calls_wait(void **state)
{
    Bench *bench = *state;
    g_autoptr(GByteArray) buf = g_byte_array_new();
    Probe probe;

    bench->options.max_requests = MOST_CALLS;
    bench_restart(bench);
    probe = probe_open(bench, FALSE);
    fake_hold(&fake.hold_build, TRUE);
    add_all_calls(buf, &probe);
    add_quick_calls(buf, &probe, 1);
    add_keepalive(buf, WIRE_KEEPALIVE_PING);
    add_keepalive(buf, WIRE_KEEPALIVE_PING);
    probe_write(&probe, buf->data, buf->len);
    expect_keepalive(&probe, WIRE_KEEPALIVE_PONG);
    expect_keepalive(&probe, WIRE_KEEPALIVE_PONG);
    g_byte_array_set_size(buf, 0);
    add_quick_calls(buf, &probe, 1);
    add_keepalive(buf, WIRE_KEEPALIVE_PING);
    probe_write(&probe, buf->data, buf->len - 20);
    assert_true(probe_is_silent(*state, &probe));
    probe_write(&probe, buf->data + buf->len - 20, 20);
    expect_keepalive(&probe, WIRE_KEEPALIVE_PONG);
    assert_true(fake_wait(&fake.building, MOST_CALLS));
    fake_hold(&fake.hold_build, FALSE);
    expect_replies(&probe, MOST_CALLS + 2);
    send_keepalive(&probe, WIRE_KEEPALIVE_PING);
    expect_keepalive(&probe, WIRE_KEEPALIVE_PONG);
    assert_true(probe_is_silent(*state, &probe));
    probe_close(&probe);
}

/*
 * A client that answers stays, also if its answer follows more data than the server reads. The
 * other clients are dropped with their calls.
 */
static void client_that_does_not_answer_pings_is_dropped(void **state)
{
    enum { ALIVE, ALIVE_BUSY, FLOODING, DEAD, DEAD_BUSY, N_PROBES };
    const guint many = 4096;
    Bench *bench = *state;
    Probe probes[N_PROBES];

    bench->options.keepalive_seconds = 1;
    bench->options.keepalive_count = 1;
    bench->options.max_requests = MOST_CALLS;
    bench_restart(bench);
    fake_hold(&fake.hold_build, TRUE);
    for (int i = 0; i < N_PROBES; i++) {
        g_autoptr(GByteArray) buf = g_byte_array_new();

        probes[i] = probe_open(bench, FALSE);
        ask_for_keepalive(&probes[i]);
        if (i != ALIVE && i != DEAD)
            add_all_calls(buf, &probes[i]);
        if (i == FLOODING)
            add_quick_calls(buf, &probes[i], many);
        probe_write(&probes[i], buf->data, buf->len);
    }
    assert_true(fake_wait(&fake.building, 3 * MOST_CALLS));
    for (int i = 0; i < 3; i++)
        for (int j = ALIVE; j <= ALIVE_BUSY; j++) {
            expect_keepalive(&probes[j], WIRE_KEEPALIVE_PING);
            send_keepalive(&probes[j], WIRE_KEEPALIVE_PONG);
        }
    expect_keepalive(&probes[DEAD], WIRE_KEEPALIVE_PING);
    probe_assert_dropped(&probes[DEAD]);
    expect_keepalive(&probes[DEAD_BUSY], WIRE_KEEPALIVE_PING);
    probe_assert_dropped(&probes[DEAD_BUSY]);
    assert_true(fake_wait(&fake.building, 2 * MOST_CALLS));
    fake_hold(&fake.hold_build, FALSE);
    expect_replies(&probes[ALIVE_BUSY], MOST_CALLS);
    expect_replies(&probes[FLOODING], MOST_CALLS + many);
    probe_call(&probes[ALIVE], WIRE_PROC_CONNECT_IS_SECURE, NULL, NULL, NULL, NULL);
    for (int i = 0; i < N_PROBES; i++)
        probe_close(&probes[i]);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(pings_are_answered_while_calls_wait),
        BENCH_TEST(client_that_does_not_answer_pings_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
