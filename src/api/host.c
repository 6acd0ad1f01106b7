/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for the host and the connection. Tools call them on any connection; virt-manager and
 * virt-install call them on qemu:///system. They answer as well as a server without guests can. The
 * other procedures fail with NO_SUPPORT, as in a libvirt driver that lacks the call. Answers that
 * differ by driver depend on CstApiSession.driver, and thus on the URI.
 */
#include <string.h>

#include <service/host.h>
#include <stdio.h>

#include "api_private.h"

/* --- the host -------------------------------------------------------------------------------- */

static gboolean node_info(CstApiCall *call, const void *args, void *data, GError **error)
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

static gboolean free_memory(CstApiCall *call, const void *args, void *ret, GError **error)
{
    ((wire_hyper *)ret)->value = cst_host_free_memory();
    return TRUE;
}

static gboolean cpu_map(CstApiCall *call, const void *data, void *ret_data, GError **error)
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

/* libvirt's number for a guest that QEMU emulates, and for any type that does not need KVM. */
#define EMULATED_CPUS_MAX 16

static gboolean max_vcpus(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_max_vcpus_args *args = data;
    const char *type = cst_api_opt_text(args->type);
    int *cpus = &((wire_int *)ret)->value;

    if (call->session->driver != CST_API_QEMU)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s", call->procedure->name);
    if (type && g_ascii_strcasecmp(type, "kvm") == 0)
        return cst_host_kvm_max_cpus(cpus, error);
    if (type && g_ascii_strcasecmp(type, "qemu") != 0)
        return cst_fail(error, CST_ERROR_INVALID, _("unknown type '%s'"), type);
    *cpus = EMULATED_CPUS_MAX;
    return TRUE;
}

static gboolean api_call_unsupported(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s", call->procedure->name);
}

/*
 * Clients call this twice: first with 0 for the number of statistics, then with that number for the
 * values. All NUMA cells together (second < 0) have four, one cell has two.
 */
static gboolean memory_stats(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_node_stats_args *args = data;
    wire_memory_stats_ret *ret = ret_data;
    int count = args->second < 0 ? 4 : 2;
    CstHostMemory memory;

    if (call->session->driver != CST_API_QEMU)
        return api_call_unsupported(call, data, ret_data, error);
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

/* --- the connection ------------------------------------------------------------------------ */

static gboolean get_type(CstApiCall *call, const void *args, void *ret, GError **error)
{
    static const char *const types[] = {"storage", "secret", "QEMU"};

    ((wire_text *)ret)->value = g_strdup(types[call->session->driver]);
    return TRUE;
}

static gboolean get_uri(CstApiCall *call, const void *args, void *ret, GError **error)
{
    ((wire_text *)ret)->value = g_strdup(call->session->uri);
    return TRUE;
}

static gboolean get_version(CstApiCall *call, const void *args, void *ret, GError **error)
{
    unsigned major = 0, minor = 0, micro = 0;

    /*
     * Tools read QEMU's version to disable features that old releases lack: volume formats, backing
     * files.
     */
    if (call->session->driver == CST_API_QEMU) {
        ((wire_hyper *)ret)->value = CST_QEMU_GENERATION;
        return TRUE;
    }
    sscanf(CST_VERSION, "%u.%u.%u", &major, &minor, &micro);
    ((wire_hyper *)ret)->value = major * UINT64_C(1000000) + minor * 1000 + micro;
    return TRUE;
}

static gboolean get_lib_version(CstApiCall *call, const void *args, void *ret, GError **error)
{
    ((wire_hyper *)ret)->value = CST_LIBVIRT_GENERATION;
    return TRUE;
}

static gboolean get_hostname(CstApiCall *call, const void *args, void *ret, GError **error)
{
    ((wire_text *)ret)->value = g_strdup(g_get_host_name());
    return TRUE;
}

static gboolean is_secure(CstApiCall *call, const void *args, void *ret, GError **error)
{
    /* The socket is local; a remote connection arrives through SSH. */
    ((wire_int *)ret)->value = 1;
    return TRUE;
}

static gboolean get_capabilities(CstApiCall *call, const void *args, void *ret, GError **error)
{
    ((wire_text *)ret)->value = cst_service_capabilities(call->service, error);
    return ((wire_text *)ret)->value != NULL;
}

static gboolean api_version_get(CstApiCall *call, const void *args, void *data, GError **error)
{
    wire_version_ret *ret = data;

    ret->server = g_strdup("cistern");
    ret->release = g_strdup(CST_VERSION);
    ret->last_procedure = WIRE_CISTERN_LAST;
    return TRUE;
}

#define HOST(number, run, needs, ...) CST_REMOTE_PROCEDURE(number, run, needs, DRIVER, __VA_ARGS__)
#define CONN(number, run, ...)        CST_REMOTE_PROCEDURE(number, run, READ, RPC, __VA_ARGS__)

const CstProcedure cst_api_host_procedures[] = {
    HOST(NODE_GET_INFO, QUICK, READ, "virNodeGetInfo", void, node_info_ret, node_info),
    HOST(NODE_GET_FREE_MEMORY, INLINE, READ, "virNodeGetFreeMemory", void, hyper, free_memory),
    HOST(NODE_GET_CPU_MAP, QUICK, READ, "virNodeGetCPUMap", cpu_map_args, cpu_map_ret, cpu_map),
    HOST(CONNECT_GET_MAX_VCPUS, INLINE, READ, "virConnectGetMaxVcpus", max_vcpus_args, int,
         max_vcpus),
    HOST(CONNECT_GET_SYSINFO, INLINE, READ, "virConnectGetSysinfo", flags_args, text,
         api_call_unsupported),
    HOST(NODE_GET_CPU_STATS, INLINE, READ, "virNodeGetCPUStats", node_stats_args, void,
         api_call_unsupported),
    HOST(NODE_GET_MEMORY_STATS, QUICK, READ, "virNodeGetMemoryStats", node_stats_args,
         memory_stats_ret, memory_stats),
    HOST(NODE_GET_SECURITY_MODEL, INLINE, READ, "virNodeGetSecurityModel", void, void,
         api_call_unsupported),
    HOST(CONNECT_GET_CPU_MODEL_NAMES, INLINE, READ, "virConnectGetCPUModelNames", cpu_models_args,
         cpu_models_ret, api_call_unsupported),
    HOST(CONNECT_GET_DOMAIN_CAPABILITIES, INLINE, WRITE, "virConnectGetDomainCapabilities",
         domain_caps_args, text, api_call_unsupported, .reads = cst_api_only_reads),
    CONN(CONNECT_GET_TYPE, INLINE, "virConnectGetType", void, text, get_type),
    CONN(CONNECT_GET_URI, INLINE, "virConnectGetURI", void, text, get_uri),
    CONN(CONNECT_GET_VERSION, INLINE, "virConnectGetVersion", void, hyper, get_version),
    CONN(CONNECT_GET_LIB_VERSION, INLINE, "virConnectGetLibVersion", void, hyper, get_lib_version),
    CONN(CONNECT_GET_HOSTNAME, INLINE, "virConnectGetHostname", void, text, get_hostname),
    CONN(CONNECT_IS_SECURE, INLINE, "virConnectIsSecure", void, int, is_secure),
    CONN(CONNECT_GET_CAPABILITIES, QUICK, "virConnectGetCapabilities", void, text,
         get_capabilities),
    CST_OWN_PROCEDURE(VERSION, INLINE, READ, "cisternVersion", void, version_ret, api_version_get),
    {0},
};
