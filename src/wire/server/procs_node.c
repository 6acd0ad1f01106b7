/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "procedures.h"
#include <service/host.h>

/* The machine underneath, for tools that ask it of any connection. */

static gboolean node_info(Call *call, const void *args, void *data, GError **error)
{
    wire_node_info_ret *ret = data;
    CstHostInfo info;

    cst_host_get_info(&info);
    G_STATIC_ASSERT(sizeof(ret->model) == sizeof(info.model));
    memcpy(ret->model, info.model, sizeof(ret->model));
    ret->memory = info.memory;
    ret->cpus = info.cpus;
    ret->mhz = info.mhz;
    ret->nodes = info.nodes;
    ret->sockets = info.sockets;
    ret->cores = info.cores;
    ret->threads = info.threads;
    return TRUE;
}

static gboolean free_memory(Call *call, const void *args, void *ret, GError **error)
{
    ((wire_hyper *)ret)->value = cst_host_free_memory();
    return TRUE;
}

static gboolean cpu_map(Call *call, const void *data, void *ret_data, GError **error)
{
    const wire_cpu_map_args *args = data;
    wire_cpu_map_ret *ret = ret_data;
    g_autofree CstHostCpus *cpus = g_new(CstHostCpus, 1);

    if (!cst_flags_check(args->flags, 0, "virNodeGetCPUMap", error))
        return FALSE;
    cst_host_get_cpus(cpus);
    if (args->need_map) {
        ret->map.map_len = (u_int)(cpus->present + 7) / 8;
        ret->map.map_val = g_memdup2(cpus->map, ret->map.map_len);
    }
    if (args->need_online)
        ret->online = (u_int)cpus->online;
    ret->ret = cpus->present;
    return TRUE;
}

/* Processors of a guest that QEMU emulates: libvirt's number for any type that needs no KVM. */
#define EMULATED_CPUS_MAX 16

static gboolean max_vcpus(Call *call, const void *data, void *ret, GError **error)
{
    const wire_max_vcpus_args *args = data;
    const char *type = args->type ? *args->type : NULL;
    int *cpus = &((wire_int *)ret)->value;

    if (call->client->driver != DRIVER_QEMU)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s", call->procedure->api);
    if (type && g_ascii_strcasecmp(type, "kvm") == 0)
        return cst_host_kvm_max_cpus(cpus, error);
    if (type && g_ascii_strcasecmp(type, "qemu") != 0)
        return cst_fail(error, CST_ERROR_INVALID, _("unknown type '%s'"), type);
    *cpus = EMULATED_CPUS_MAX;
    return TRUE;
}

static gboolean unsupported(Call *call, const void *args, void *ret, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s", call->procedure->api);
}

/* Asked twice: without room for an answer, how many statistics there are; then for them. */
static gboolean memory_stats(Call *call, const void *data, void *ret_data, GError **error)
{
    const wire_node_stats_args *args = data;
    wire_memory_stats_ret *ret = ret_data;
    int count = args->second < 0 ? 4 : 2;
    CstHostMemory memory;

    if (call->client->driver != DRIVER_QEMU)
        return unsupported(call, data, ret_data, error);
    if (!cst_flags_check(args->flags, 0, "virNodeGetMemoryStats", error) ||
        !cst_host_get_memory(args->second, &memory, error))
        return FALSE;
    if (args->first != 0 && args->first != count)
        return cst_fail(error, CST_ERROR_INVALID, _("%d memory statistics wanted, there are %d"),
                        args->first, count);
    ret->count = count;
    if (args->first == count) {
        const wire_memory_stat all[] = {{(char *)"total", memory.total},
                                        {(char *)"free", memory.free},
                                        {(char *)"buffers", memory.buffers},
                                        {(char *)"cached", memory.cached}};

        ret->stats.stats_len = (u_int)count;
        ret->stats.stats_val = g_memdup2(all, sizeof(all[0]) * (gsize)count);
        for (int i = 0; i < count; i++)
            ret->stats.stats_val[i].field = g_strdup(all[i].field);
    }
    return TRUE;
}

#define ROW(number, run, api, args, ret, handler)                                               \
    {                                                                                           \
        WIRE_PROC_##number, run, NEEDS_READ, api, "conn:read", CST_WIRE_FROM_DRIVER, args, ret, \
            handler, NULL, NULL, NULL                                                           \
    }

const Procedure procedures_node[] = {
    ROW(NODE_GET_INFO, RUN_QUICK, "virNodeGetInfo", NOTHING, WIRE_TYPE(node_info_ret), node_info),
    ROW(NODE_GET_FREE_MEMORY, RUN_INLINE, "virNodeGetFreeMemory", NOTHING, WIRE_TYPE(hyper),
        free_memory),
    ROW(NODE_GET_CPU_MAP, RUN_QUICK, "virNodeGetCPUMap", WIRE_TYPE(cpu_map_args),
        WIRE_TYPE(cpu_map_ret), cpu_map),
    ROW(CONNECT_GET_MAX_VCPUS, RUN_INLINE, "virConnectGetMaxVcpus", WIRE_TYPE(max_vcpus_args),
        WIRE_TYPE(int), max_vcpus),
    ROW(CONNECT_GET_SYSINFO, RUN_INLINE, "virConnectGetSysinfo", WIRE_TYPE(flags_args),
        WIRE_TYPE(text), unsupported),
    ROW(NODE_GET_CPU_STATS, RUN_INLINE, "virNodeGetCPUStats", WIRE_TYPE(node_stats_args), NOTHING,
        unsupported),
    ROW(NODE_GET_MEMORY_STATS, RUN_QUICK, "virNodeGetMemoryStats", WIRE_TYPE(node_stats_args),
        WIRE_TYPE(memory_stats_ret), memory_stats),
    ROW(NODE_GET_SECURITY_MODEL, RUN_INLINE, "virNodeGetSecurityModel", NOTHING, NOTHING,
        unsupported),
    ROW(CONNECT_GET_CPU_MODEL_NAMES, RUN_INLINE, "virConnectGetCPUModelNames",
        WIRE_TYPE(cpu_models_args), WIRE_TYPE(cpu_models_ret), unsupported),
    {WIRE_PROC_CONNECT_GET_DOMAIN_CAPABILITIES, RUN_INLINE, NEEDS_WRITE,
     "virConnectGetDomainCapabilities", "conn:write", CST_WIRE_FROM_DRIVER,
     WIRE_TYPE(domain_caps_args), WIRE_TYPE(text), unsupported, NULL, NULL, NULL},
    {0},
};
