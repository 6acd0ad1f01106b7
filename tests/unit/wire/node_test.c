/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Queries of hypervisor clients about the host, by the URI of the connection. */
#include "probe.h"

enum { NO_SUPPORT = 3, INVALID_ARG = 8 };

static Probe open_name(Bench *bench, const char *name)
{
    Probe probe = probe_connect(bench, FALSE);
    char *text = (char *)name;
    wire_open_args args = {.name = &text};

    probe_call(&probe, WIRE_PROC_CONNECT_OPEN, XDR_OF(open_args), &args, NULL, NULL);
    return probe;
}

static wire_memory_stats_ret ask_memory(Probe *probe, int room, int cell)
{
    wire_node_stats_args args = {.first = room, .second = cell};
    wire_memory_stats_ret ret = {0};

    probe_call(probe, WIRE_PROC_NODE_GET_MEMORY_STATS, XDR_OF(node_stats_args), &args,
               XDR_OF(memory_stats_ret), &ret);
    return ret;
}

static void memory_statistics_need_room_in_the_reply(void **state)
{
    static const char *const names[] = {"total", "free", "buffers", "cached"};
    static const struct {
        int cell, count;
    } cells[] = {{-1, 4}, {0, 2}};
    Probe probe = open_name(*state, "qemu:///system");

    for (size_t i = 0; i < G_N_ELEMENTS(cells); i++) {
        wire_memory_stats_ret ret = ask_memory(&probe, 0, cells[i].cell);

        assert_int_equal(ret.count, cells[i].count);
        assert_int_equal(ret.stats.stats_len, 0);
        xdr_free(XDR_OF(memory_stats_ret), (char *)&ret);
        ret = ask_memory(&probe, cells[i].count, cells[i].cell);
        assert_int_equal(ret.count, cells[i].count);
        assert_int_equal((int)ret.stats.stats_len, cells[i].count);
        for (int n = 0; n < cells[i].count; n++)
            assert_string_equal(ret.stats.stats_val[n].field, names[n]);
        assert_true(ret.stats.stats_val[0].value > ret.stats.stats_val[1].value);
        assert_true(ret.stats.stats_val[1].value > 0);
        xdr_free(XDR_OF(memory_stats_ret), (char *)&ret);
    }
    probe_close(&probe);
}

/* KiB, by the kernel's name of it. */
static uint64_t meminfo(const char *key)
{
    g_autofree char *text = NULL, *wanted = g_strdup_printf("\n%s: ", key);
    const char *line;

    assert_true(g_file_get_contents("/proc/meminfo", &text, NULL, NULL));
    line = strstr(text, wanted);
    assert_non_null(line);
    return g_ascii_strtoull(line + strlen(wanted), NULL, 10);
}

/* The values change during the test, but only a little. */
static void memory_statistics_equal_the_kernels_values(void **state)
{
    static const char *const keys[] = {NULL, "MemFree", "Buffers", "Cached"};
    Probe probe = open_name(*state, "qemu:///system");
    wire_memory_stats_ret ret = ask_memory(&probe, G_N_ELEMENTS(keys), -1);

    for (size_t i = 1; i < G_N_ELEMENTS(keys); i++) {
        uint64_t value = ret.stats.stats_val[i].value, now = meminfo(keys[i]);

        if (value / 4 > now || now / 4 > value)
            fail_msg("%s: %d, not %d", keys[i], (int)value, (int)now);
    }
    xdr_free(XDR_OF(memory_stats_ret), (char *)&ret);
    probe_close(&probe);
}

static void wrong_questions_about_memory_are_refused(void **state)
{
    static const wire_node_stats_args wrong[] = {
        {3, -1, 0}, {5, -1, 0}, {4, 0, 0}, {-1, -1, 0}, {0, -1, 1}, {4, -1, 1}, {0, 100000, 0},
    };
    Probe probe = open_name(*state, "qemu:///system");

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_free(probe_call_error(&probe, WIRE_PROC_NODE_GET_MEMORY_STATS, XDR_OF(node_stats_args),
                                &wrong[i], INVALID_ARG));
    probe_close(&probe);
}

static void guests_have_sixteen_processors_without_kvm(void **state)
{
    static const char *const types[] = {NULL, "qemu", "QEMU"};
    Probe probe = open_name(*state, "qemu:///system");
    char *type = (char *)"kvm";
    wire_max_vcpus_args args = {0};
    Packet packet;

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        char *name = (char *)types[i];
        wire_int ret = {0};

        args.type = name ? &name : NULL;
        probe_call(&probe, WIRE_PROC_CONNECT_GET_MAX_VCPUS, XDR_OF(max_vcpus_args), &args,
                   XDR_OF(int), &ret);
        assert_int_equal(ret.value, 16);
    }
    /* KVM itself reports the limit if it is present. */
    args.type = &type;
    probe_send(&probe, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_GET_MAX_VCPUS, XDR_OF(max_vcpus_args),
               &args);
    packet = probe_reply(&probe);
    if (packet.header.status == WIRE_OK) {
        wire_int ret = {0};

        assert_true(cst_wire_payload_decode(packet.bytes, packet.len, XDR_OF(int), &ret, NULL));
        assert_true(ret.value > 16);
    }
    packet_free(&packet);
    type = (char *)"xen";
    g_free(probe_call_error(&probe, WIRE_PROC_CONNECT_GET_MAX_VCPUS, XDR_OF(max_vcpus_args), &args,
                            INVALID_ARG));
    probe_close(&probe);
}

static void storage_has_no_guests(void **state)
{
    Probe probe = open_name(*state, "storage:///system");
    wire_max_vcpus_args vcpus = {0};
    wire_node_stats_args memory = {.second = -1};

    g_free(probe_call_error(&probe, WIRE_PROC_CONNECT_GET_MAX_VCPUS, XDR_OF(max_vcpus_args), &vcpus,
                            NO_SUPPORT));
    g_free(probe_call_error(&probe, WIRE_PROC_NODE_GET_MEMORY_STATS, XDR_OF(node_stats_args),
                            &memory, NO_SUPPORT));
    probe_close(&probe);
}

static void processors_are_mapped_only_on_request(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    for (unsigned i = 0; i < 4; i++) {
        wire_cpu_map_args args = {.need_map = i & 1, .need_online = i >> 1};
        wire_cpu_map_ret ret = {0};
        u_int set = 0;

        probe_call(&probe, WIRE_PROC_NODE_GET_CPU_MAP, XDR_OF(cpu_map_args), &args,
                   XDR_OF(cpu_map_ret), &ret);
        assert_true(ret.ret > 0);
        assert_int_equal(ret.map.map_len, args.need_map ? (ret.ret + 7) / 8 : 0);
        for (u_int n = 0; n < ret.map.map_len * 8; n++)
            set += (u_int)ret.map.map_val[n / 8] >> n % 8 & 1;
        if (args.need_map && args.need_online)
            assert_int_equal(set, ret.online);
        assert_int_equal(ret.online > 0, args.need_online);
        xdr_free(XDR_OF(cpu_map_ret), (char *)&ret);
        args.flags = 1;
        g_free(probe_call_error(&probe, WIRE_PROC_NODE_GET_CPU_MAP, XDR_OF(cpu_map_args), &args,
                                INVALID_ARG));
    }
    probe_close(&probe);
}

/* The clock of the first processor, which changes, if the kernel reports it. */
static void clock_equals_the_kernels_value(void **state)
{
    Probe probe = open_name(*state, "qemu:///system");
    wire_node_info_ret ret = {0};
    g_autofree char *text = NULL;

    assert_true(g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL));
    probe_call(&probe, WIRE_PROC_NODE_GET_INFO, NULL, NULL, XDR_OF(node_info_ret), &ret);
    assert_int_equal(ret.mhz > 0, strstr(text, "cpu MHz") != NULL);
    probe_close(&probe);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(memory_statistics_need_room_in_the_reply),
        BENCH_TEST(clock_equals_the_kernels_value),
        BENCH_TEST(memory_statistics_equal_the_kernels_values),
        BENCH_TEST(wrong_questions_about_memory_are_refused),
        BENCH_TEST(guests_have_sixteen_processors_without_kvm),
        BENCH_TEST(storage_has_no_guests),
        BENCH_TEST(processors_are_mapped_only_on_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
