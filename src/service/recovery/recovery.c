/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Restores pools and jobs after a start or a failure. The parts are the journal's replay, the
 * autostart with its retries, the monitor of active pools, and the resumption of jobs of dead
 * processes. The use cases call them through the hooks of the service (ServiceHooks).
 *
 * Order of a start: definitions are loaded; domains that a dead process suspended are resumed; the
 * journal is replayed before any other use of the
 * storage; interrupted jobs are adopted; cst_service_start() starts pools and jobs.
 */
#include "recovery.h"

#include "autostart.h"
#include "core/domains.h"
#include "core/pool.h"
#include "core/service.h"
#include "monitor.h"
#include "replay.h"
#include "resume.h"

struct Recovery {
    Resumption *resumption;
    Monitor *monitor;     /* daemon only */
    Autostart *autostart; /* daemon only, from cst_service_start() on */
};

Recovery *recovery_new(void)
{
    return g_new0(Recovery, 1);
}

void recovery_load(CstService *service)
{
    domains_recover(service);
    replay_journal(service);
    service->recovery->resumption = resumption_new(service);
    if (service->mode == CST_SERVICE_DAEMON)
        service->recovery->monitor = monitor_new();
}

void recovery_start(CstService *service)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(service, 0, NULL);
    Recovery *recovery = service->recovery;

    recovery->autostart = autostart_new();
    for (guint i = 0; pools && i < pools->len; i++)
        autostart_add(recovery->autostart, g_ptr_array_index(pools, i));
    resumption_start(recovery->resumption);
}

/* Reverse order of use: resumed jobs need their pools, and starts need the monitor. */
void recovery_free(Recovery *recovery)
{
    resumption_free(recovery->resumption);
    autostart_free(recovery->autostart); /* its workers read this field until they have ended */
    recovery->autostart = NULL;
    monitor_free(recovery->monitor);
    g_free(recovery);
}

void recovery_pool_started(CstPool *pool)
{
    monitor_watch(pool->service->recovery->monitor, pool);
}

void recovery_pool_stopped(CstPool *pool)
{
    monitor_unwatch(pool->service->recovery->monitor);
}

/* Without autostart (an embedded process, or before cst_service_start()) no retry takes place. */
void recovery_retry(CstPool *pool)
{
    Autostart *autostart = pool->service->recovery->autostart;

    if (autostart)
        autostart_add(autostart, pool);
}
