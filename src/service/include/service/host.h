/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <service/service.h>

/** What generic clients ask about the machine underneath. */

/** The libvirt generation whose calls are answered: major·10⁶ + minor·10³ + micro. */
#define CST_LIBVIRT_GENERATION 9000000
/** The QEMU whose image formats are written, in the same form. */
#define CST_QEMU_GENERATION 7002000

#define CST_HOST_CPUS_MAX 16384 /* as many as a cpu map on the wire has bits */

typedef struct {
    char model[32];                     /**< "x86_64" */
    uint64_t memory;                    /**< KiB */
    int cpus;                           /**< online */
    int mhz;                            /**< 0: the kernel doesn't say */
    int nodes, sockets, cores, threads; /**< per level above; their product is cpus or more */
} CstHostInfo;

/** Reads the machine's description from the kernel; what the kernel does not say is 0 or 1. */
void cst_host_get_info(CstHostInfo *ret_info);
/** Returns the free memory in bytes; 0: unknown. */
uint64_t cst_host_free_memory(void);

/** Counters of the kernel; the last two are known of the whole machine only. In KiB. */
typedef struct {
    uint64_t total, free, buffers, cached;
} CstHostMemory;

/** Reads the memory statistics of NUMA node @node, or of the whole machine when it is -1. */
gboolean cst_host_get_memory(int node, CstHostMemory *ret_memory, GError **error);

typedef struct {
    int present;
    int online;
    uint8_t map[CST_HOST_CPUS_MAX / 8]; /**< bit n of byte n/8: cpu n is online */
} CstHostCpus;

/** Reads which processors are present and online. */
void cst_host_get_cpus(CstHostCpus *ret_cpus);

/**
 * Reads the largest number of processors of a KVM guest from /dev/kvm. Fails where there is no KVM.
 */
gboolean cst_host_kvm_max_cpus(int *ret_cpus, GError **error);

/**
 * Returns the <capabilities> document: host UUID, architecture and the pool types there are. The
 * caller frees it.
 */
char *cst_service_capabilities(CstService *service, GError **error);
