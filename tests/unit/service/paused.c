/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The functions that query and pause a domain, and the clock, are wrapped with --wrap. */
#include "paused.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <hypervisor/pause.h>

#include "../pool/fake_tools.h"
#include "core/domains.h"

void (*paused_hook)(void);
guint paused_count;
gint64 paused_clock_step_us;
static GThread *test_thread;

void paused_reset(void)
{
    paused_hook = NULL;
    paused_count = 0;
    paused_clock_step_us = 0;
    test_thread = g_thread_self();
}

CstPool *paused_start_pool(Fixture *f, const char *xml)
{
    g_autoptr(GError) error = NULL;
    CstPool *pool;

    fixture_restart(f, CST_SERVICE_EMBEDDED);
    pool = cst_service_pool_define(f->service, xml, 0, &error);
    assert_no_error(error);
    cst_pool_start(pool, 0, NULL, &error);
    assert_no_error(error);
    paused_clock_step_us = 1000;
    return pool;
}

gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);

gint64 __wrap_g_get_monotonic_time(void)
{
    static gint64 now;

    if (g_thread_self() != test_thread)
        return __real_g_get_monotonic_time();
    if (paused_clock_step_us == 0)
        return now = __real_g_get_monotonic_time();
    return now += paused_clock_step_us;
}

GPtrArray *__wrap_volume_domains(CstPool *of, CstPoolState *state, const char *name, CstTask *task,
                                 GError **error);
CstHypervisorPause *__wrap_volume_domain_pause(const VolumeClaim *claim, const CstDomainDisk *disk,
                                               const CstHypervisorVolume *volumes, guint count,
                                               GError **error);
gboolean __wrap_cst_hypervisor_pause_suspend(CstHypervisorPause *pause, GError **error);
gboolean __wrap_cst_hypervisor_pause_resume(CstHypervisorPause *pause,
                                            CstHypervisorPauseResult *ret_result, GError **error);
void __wrap_cst_hypervisor_pause_end(CstHypervisorPause *pause);

GPtrArray *__wrap_volume_domains(CstPool *of, CstPoolState *state, const char *name, CstTask *task,
                                 GError **error)
{
    GPtrArray *disks = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    CstDomainDisk *disk = g_new0(CstDomainDisk, 1);

    disk->uri = g_strdup("qemu:///system");
    disk->uuid = g_strdup("01234567-89ab-cdef-0123-456789abcdef");
    disk->domain = g_strdup("web1");
    disk->target = g_strdup(name);
    disk->state = CST_DOMAIN_RUNNING;
    disk->agent = CST_DOMAIN_AGENT_CONNECTED;
    g_ptr_array_add(disks, disk);
    return disks;
}

static void log_line(const char *line)
{
    g_autofree char *path = fake_path("log");
    FILE *log = fopen(path, "a");

    assert_non_null(log);
    fprintf(log, "%s\n", line);
    fclose(log);
}

CstHypervisorPause *__wrap_volume_domain_pause(const VolumeClaim *claim, const CstDomainDisk *disk,
                                               const CstHypervisorVolume *volumes, guint count,
                                               GError **error)
{
    return (CstHypervisorPause *)&paused_count;
}

gboolean __wrap_cst_hypervisor_pause_suspend(CstHypervisorPause *pause, GError **error)
{
    log_line("SUSPEND");
    paused_count++;
    if (paused_hook)
        paused_hook();
    return TRUE;
}

gboolean __wrap_cst_hypervisor_pause_resume(CstHypervisorPause *pause,
                                            CstHypervisorPauseResult *ret_result, GError **error)
{
    log_line("RESUME");
    *ret_result = (CstHypervisorPauseResult){.consistency = CST_CONSISTENCY_FILESYSTEM};
    return TRUE;
}

void __wrap_cst_hypervisor_pause_end(CstHypervisorPause *pause)
{
}

char *paused_log(void)
{
    g_autofree char *path = fake_path("log");
    char *text = NULL, *begin, *end;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    begin = strstr(text, "SUSPEND\n");
    assert_non_null(begin);
    end = strstr(begin, "RESUME\n");
    assert_non_null(end);
    *end = '\0';
    memmove(text, begin + strlen("SUSPEND\n"), strlen(begin + strlen("SUSPEND\n")) + 1);
    return text;
}
