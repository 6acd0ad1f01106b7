/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Information about the host for libvirt clients: processors, memory, capabilities. Each call reads
 * it from the kernel, without a cache or a lock, because processors and memory can be hot-plugged.
 */
#include <service/host.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/uuid.h>
#include <model/pool_def.h>
#include <model/xml_write.h>
#include <service/pools.h>

#define SYS_CPU          "/sys/devices/system/cpu/"
#define KVM_DEVICE       "/dev/kvm"
#define KVM_CPUS_DEFAULT 4 /* the default documented for the kernel's KVM_CAP_NR_VCPUS */

static char *host_read_text(const char *path)
{
    char *text;

    /* Files of procfs and sysfs report no useful size. This function reads until the end. */
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    return g_strstrip(text);
}

/* Skips parts that do not parse. Ignores numbers beyond the map of cst_host_get_cpus(). */
static void each_in_list(const char *list, void (*func)(int number, gpointer data), gpointer data)
{
    g_auto(GStrv) parts = g_strsplit(list, ",", -1);

    for (char **part = parts; *part; part++) {
        int first, last;

        switch (sscanf(*part, "%d-%d", &first, &last)) {
        case 1: last = first; break;
        case 2: break;
        default: continue;
        }
        for (int n = MAX(first, 0); n <= MIN(last, CST_HOST_CPUS_MAX - 1); n++)
            func(n, data);
    }
}

/* A missing file is an empty list, for example on a kernel without NUMA. */
static void each_in_file(const char *path, void (*func)(int number, gpointer data), gpointer data)
{
    g_autofree char *list = host_read_text(path);

    if (list)
        each_in_list(list, func, data);
}

/* --- KVM ------------------------------------------------------------------------------------- */

/* Returns the maximum, not the recommended number, as libvirt's getMaxVcpus does. */
gboolean cst_host_kvm_max_cpus(int *ret_cpus, GError **error)
{
    g_auto(CstFd) fd = open(KVM_DEVICE, O_RDONLY | O_CLOEXEC);
    int cpus;

    if (fd < 0)
        return cst_fail_errno(error, errno, _("Unable to open %s"), KVM_DEVICE);
    cpus = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    /* Old kernels lack this capability. Use the recommended number, or 4 if that is missing too. */
    if (cpus <= 0)
        cpus = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
    *ret_cpus = cpus > 0 ? cpus : KVM_CPUS_DEFAULT;
    return TRUE;
}

/* --- processors ------------------------------------------------------------------------------ */

/* The length of the map is the highest number plus one, so that gaps count. */
static void count_present(int cpu, gpointer data)
{
    CstHostCpus *cpus = data;

    cpus->present = MAX(cpus->present, cpu + 1);
}

static void count_online(int cpu, gpointer data)
{
    CstHostCpus *cpus = data;

    cpus->online++;
    cpus->map[cpu / 8] |= (uint8_t)(1u << (cpu % 8));
}

void cst_host_get_cpus(CstHostCpus *ret_cpus)
{
    memset(ret_cpus, 0, sizeof(*ret_cpus));
    each_in_file(SYS_CPU "present", count_present, ret_cpus);
    each_in_file(SYS_CPU "online", count_online, ret_cpus);
}

typedef struct {
    GHashTable *packages;
    GHashTable *cores; /* package << 32 | core */
    guint nodes;
} Topology;

/*
 * Returns 0 if the kernel does not report the number. All processors then count as one package or
 * one core.
 */
static gint64 cpu_number(int cpu, const char *what)
{
    g_autofree char *path = g_strdup_printf(SYS_CPU "cpu%d/topology/%s", cpu, what);
    g_autofree char *text = host_read_text(path);

    return text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

/* Counts cores per package, because core ids are unique only within a package. */
static void add_cpu(int cpu, gpointer data)
{
    Topology *topology = data;
    gint64 package = cpu_number(cpu, "physical_package_id");
    gint64 core = package * (1LL << 32) + cpu_number(cpu, "core_id");

    g_hash_table_add(topology->packages, g_memdup2(&package, sizeof(package)));
    g_hash_table_add(topology->cores, g_memdup2(&core, sizeof(core)));
}

static void topology_add_node(int node, gpointer data)
{
    ((Topology *)data)->nodes++;
}

/*
 * The product of the levels must be the number of processors. For an asymmetric machine the result
 * is one socket with all cores, as in libvirt.
 */
static void fill_topology(CstHostInfo *info)
{
    Topology topology = {
        .packages = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL),
        .cores = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL),
    };
    int packages, cores;

    each_in_file(SYS_CPU "online", add_cpu, &topology);
    each_in_file("/sys/devices/system/node/online", topology_add_node, &topology);
    packages = (int)MAX(g_hash_table_size(topology.packages), 1);
    cores = (int)MAX(g_hash_table_size(topology.cores), 1);
    g_hash_table_unref(topology.packages);
    g_hash_table_unref(topology.cores);

    info->nodes = (int)MAX(topology.nodes, 1);
    info->sockets = packages % info->nodes == 0 ? packages / info->nodes : 1;
    info->cores = cores / packages;
    info->threads = info->cpus / cores;
    if (info->nodes * info->sockets * info->cores * info->threads != info->cpus) {
        info->nodes = info->sockets = info->threads = 1;
        info->cores = info->cpus;
    }
}

/*
 * Returns the current clock of the first processor. Returns 0 if the architecture does not report
 * it.
 */
static int clock_mhz(void)
{
    g_autofree char *text = host_read_text("/proc/cpuinfo");
    const char *mark = text ? strstr(text, "cpu MHz") : NULL;

    mark = mark ? strchr(mark, ':') : NULL;
    return mark ? (int)g_ascii_strtod(mark + 1, NULL) : 0;
}

void cst_host_get_info(CstHostInfo *ret_info)
{
    struct utsname name;
    struct sysinfo memory;

    memset(ret_info, 0, sizeof(*ret_info));
    if (uname(&name) == 0)
        g_strlcpy(ret_info->model, name.machine, sizeof(ret_info->model));
    if (sysinfo(&memory) == 0)
        ret_info->memory = (uint64_t)memory.totalram * memory.mem_unit / 1024;
    /*
     * g_get_num_processors() counts the processors that this process may use. Prefer the number of
     * online ones.
     */
    ret_info->cpus = (int)g_get_num_processors();
    if (sysconf(_SC_NPROCESSORS_ONLN) > 0)
        ret_info->cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    ret_info->mhz = clock_mhz();
    fill_topology(ret_info);
}

uint64_t cst_host_free_memory(void)
{
    struct sysinfo memory;

    return sysinfo(&memory) == 0 ? (uint64_t)memory.freeram * memory.mem_unit : 0;
}

static void max_node(int node, gpointer data)
{
    int *max = data;

    *max = MAX(*max, node);
}

/*
 * Returns the number after @key in lines like "MemTotal: 123 kB" or "Node 0 MemTotal: 123 kB".
 * Returns 0 if @key is missing. @key must begin a word: "Cached" does not match "SwapCached".
 */
static uint64_t meminfo_value(const char *text, const char *key)
{
    g_autofree char *wanted = g_strconcat(key, ":", NULL);

    for (const char *p = strstr(text, wanted); p; p = strstr(p + 1, wanted))
        if (p == text || p[-1] == '\n' || p[-1] == ' ')
            return g_ascii_strtoull(p + strlen(wanted), NULL, 10);
    return 0;
}

gboolean cst_host_get_memory(int node, CstHostMemory *ret_memory, GError **error)
{
    g_autofree char *of_node = g_strdup_printf("/sys/devices/system/node/node%d/meminfo", node);
    const char *path = node < 0 ? "/proc/meminfo" : of_node;
    g_autofree char *text = NULL;
    int last = 0;

    each_in_file("/sys/devices/system/node/online", max_node, &last);
    if (node < -1 || node > last)
        return cst_fail(error, CST_ERROR_INVALID, _("there is no NUMA node %d; the last one is %d"),
                        node, last);
    text = host_read_text(path);
    if (!text)
        return cst_fail(error, CST_ERROR_IO, _("cannot read '%s'"), path);
    *ret_memory = (CstHostMemory){
        .total = meminfo_value(text, "MemTotal"),
        .free = meminfo_value(text, "MemFree"),
        .buffers = meminfo_value(text, "Buffers"),
        .cached = meminfo_value(text, "Cached"),
    };
    return TRUE;
}

/* --- capabilities ---------------------------------------------------------------------------- */

/* Rejects a zero UUID, which means that the firmware has not set it. */
static gboolean read_uuid(const char *path, CstUuid *ret_uuid)
{
    g_autofree char *text = host_read_text(path);

    return text && cst_uuid_parse(text, ret_uuid) && !cst_uuid_is_zero(ret_uuid);
}

/* Uses the firmware's UUID, or systemd's machine id if the firmware has not set one. */
static void append_host(GString *xml)
{
    char text[CST_UUID_TEXT_LEN];
    struct utsname name;
    CstUuid uuid;

    CstXmlWriter writer = {.out = xml, .depth = 1};

    cst_xml_open(&writer, "host", NULL);
    if (read_uuid("/sys/class/dmi/id/product_uuid", &uuid) || read_uuid("/etc/machine-id", &uuid))
        cst_xml_element(&writer, "uuid", cst_uuid_format(&uuid, text));
    if (uname(&name) == 0) {
        cst_xml_open(&writer, "cpu", NULL);
        cst_xml_element(&writer, "arch", name.machine);
        cst_xml_close(&writer, "cpu");
    }
    cst_xml_close(&writer, "host");
    g_string_append_c(xml, '\n');
}

char *cst_service_capabilities(CstService *service, GError **error)
{
    g_autofree char *pools = cst_service_pool_capabilities(service, error);
    GString *xml;

    if (!pools)
        return NULL;
    xml = g_string_new("<capabilities>\n\n");
    append_host(xml);
    g_string_append(xml, "  <pool>\n    <enum name='type'>\n");
    for (int type = 0; type < CST_POOL_TYPE_LAST; type++) {
        const char *word = cst_pool_type_name(type);
        /* Parses the pool capabilities, so that both documents agree. */
        g_autoptr(GString) mark = g_string_new(NULL);
        CstXmlWriter pool = {.out = mark};
        CstXmlWriter value = {.out = xml, .depth = 3};

        cst_xml_open(&pool, "pool", "type", word, "supported", "yes", NULL);
        if (strstr(pools, mark->str))
            cst_xml_element(&value, "value", word);
    }
    g_string_append(xml, "    </enum>\n  </pool>\n\n</capabilities>\n");
    return g_string_free(xml, FALSE);
}
