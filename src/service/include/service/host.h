/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <service/service.h>

/** Information about the host, for generic libvirt clients. */

/** The version that libvirt clients see: major·10⁶ + minor·10³ + micro. */
#define CST_LIBVIRT_GENERATION 9000000
/** The version of QEMU for the written image formats, in the same form. */
#define CST_QEMU_GENERATION 7002000

#define CST_HOST_CPUS_MAX 16384 /* the bits of a cpu map in the protocol */

typedef struct {
    char model[32];                     /**< "x86_64" */
    uint64_t memory;                    /**< KiB */
    int cpus;                           /**< online */
    int mhz;                            /**< 0: the kernel does not report the clock */
    int nodes, sockets, cores, threads; /**< per next higher level; the product is at least cpus */
} CstHostInfo;

/**
 * Reads the description of the host from the kernel. A value that the kernel does not report is 0
 * or 1.
 */
void cst_host_get_info(CstHostInfo *ret_info);
/** Returns the free memory in bytes. Returns 0 if it is unknown. */
uint64_t cst_host_free_memory(void);

/** Memory counters of the kernel, in KiB. buffers and cached are known only for the whole host. */
typedef struct {
    uint64_t total, free, buffers, cached;
} CstHostMemory;

/** Reads the memory statistics of NUMA node @node, or of the whole host if @node is -1. */
gboolean cst_host_get_memory(int node, CstHostMemory *ret_memory, GError **error);

typedef struct {
    int present;
    int online;
    uint8_t map[CST_HOST_CPUS_MAX / 8]; /**< bit n of byte n/8: cpu n is online */
} CstHostCpus;

/** Reads the sets of present and online processors. */
void cst_host_get_cpus(CstHostCpus *ret_cpus);

/**
 * Reads the maximal number of processors of a KVM guest from /dev/kvm. Fails if KVM is not
 * available.
 */
gboolean cst_host_kvm_max_cpus(int *ret_cpus, GError **error);

/**
 * Returns the <capabilities> document: host UUID, architecture and the supported pool types. The
 * caller frees it.
 */
char *cst_service_capabilities(CstService *service, GError **error);
