/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <service/service.h>

/** What generic clients ask about the machine underneath. */

/** The libvirt generation whose calls are answered: major·10⁶ + minor·10³ + micro. */
#define CST_LIBVIRT_GENERATION 9000000

#define CST_HOST_CPUS_MAX 16384 /* as many as a cpu map on the wire has bits */

typedef struct {
    char model[32];                     /**< "x86_64" */
    uint64_t memory;                    /**< KiB */
    int cpus;                           /**< online */
    int mhz;                            /**< 0: the kernel doesn't say */
    int nodes, sockets, cores, threads; /**< per level above; their product is cpus or more */
} CstHostInfo;

void cst_host_get_info(CstHostInfo *ret_info);
/** Bytes. */
uint64_t cst_host_free_memory(void);

typedef struct {
    int present;
    int online;
    uint8_t map[CST_HOST_CPUS_MAX / 8]; /**< bit n of byte n/8: cpu n is online */
} CstHostCpus;

void cst_host_get_cpus(CstHostCpus *ret_cpus);

/** The <capabilities> document: host uuid and architecture, and the pool types there are. */
char *cst_service_capabilities(CstService *service, GError **error);
