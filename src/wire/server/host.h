/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <service/service.h>

/** What generic clients ask about the machine underneath. */

#define HOST_CPUS_MAX 16384 /* as many as a cpu map on the wire has bits */

typedef struct {
    char model[32];                     /**< "x86_64" */
    uint64_t memory;                    /**< KiB */
    int cpus;                           /**< online */
    int mhz;                            /**< 0: the kernel doesn't say */
    int nodes, sockets, cores, threads; /**< per level above; their product is cpus or more */
} HostInfo;

void host_get_info(HostInfo *ret_info);
/** Bytes. */
uint64_t host_free_memory(void);

typedef struct {
    int present;
    int online;
    uint8_t map[HOST_CPUS_MAX / 8]; /**< bit n of byte n/8: cpu n is online */
} HostCpus;

void host_get_cpus(HostCpus *ret_cpus);

/** The <capabilities> document: host uuid and architecture, and the pool types there are. */
char *host_capabilities(CstService *service, GError **error);
