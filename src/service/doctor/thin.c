/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thin pools and stores of snapshots. dmeventd watches thin pools. It extends them if lvm.conf has
 * a threshold below 100 percent, which is the default.
 */
#include "thin.h"

#include <string.h>

#include <base/i18n.h>
#include <base/process.h>
#include <pool/tool.h>

#define SPACE_FULL      8500 /* hundredths of a percent */
#define SPACE_ALMOST    9500
#define LVMCONFIG_MAX_S 3

static void spaces_check(DoctorRun *run)
{
    g_autoptr(GPtrArray) spaces = cst_pool_state_space_usage(run->state, NULL);

    for (guint i = 0; spaces && i < spaces->len; i++) {
        const CstSpaceUsage *space = spaces->pdata[i];

        if (space->lost)
            doctor_report(run, "space-lost", run->pool->name, NULL,
                          _("%s ran out of space, and its content is lost"), space->what);
        else if (space->hundredths >= SPACE_FULL)
            doctor_report_as(
                run, space->hundredths >= SPACE_ALMOST ? CST_SEVERITY_ERROR : CST_SEVERITY_WARNING,
                "space-nearly-full", run->pool->name, NULL, _("%s is %u%% full"), space->what,
                space->hundredths / 100);
    }
}

/* Returns the threshold from which on LVM extends thin pools, in percent; 0: unknown. */
static unsigned autoextend_threshold(CstTask *task)
{
    static const char *const argv[] = {"lvmconfig", "--type", "full",
                                       "activation/thin_pool_autoextend_threshold", NULL};
    const CstTool tool = {.argv = argv, .package = "lvm2", .timeout_s = LVMCONFIG_MAX_S};
    g_autofree char *out = NULL;
    const char *equals;

    if (!cst_tool_run(&tool, task, &out, NULL))
        return 0;
    equals = strchr(out, '=');
    return equals ? (unsigned)CLAMP(g_ascii_strtoll(equals + 1, NULL, 10), 0, 100) : 0;
}

/* Reports the spaces that the setting of the pool is about, but that are left to dmeventd. */
static void dmeventd_check(DoctorRun *run)
{
    g_autoptr(GPtrArray) growths = cst_pool_state_growths(run->state, TRUE, NULL);
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; growths && i < growths->len; i++) {
        const CstGrowth *growth = g_ptr_array_index(growths, i);

        /* The data of a thin pool stands for its metadata. */
        if (growth->by_system && growth->kind != CST_GROWTH_METADATA)
            g_string_append_printf(names, "%s'%s'", names->len > 0 ? ", " : "", growth->label);
    }
    if (names->len > 0)
        doctor_report(run, "autoextend-by-dmeventd", run->pool->name, NULL,
                      _("dmeventd extends %s by the thresholds in lvm.conf, so that the setting of "
                        "pool-autoextend has no effect there"),
                      names->str);
}

void doctor_check_thin(DoctorRun *run)
{
    g_autoptr(GPtrArray) stores = NULL;

    spaces_check(run);
    if (run->next_def->autoextend.threshold > 0) {
        dmeventd_check(run);
        return;
    }
    stores = cst_pool_state_thin(run->state, NULL);
    if (!stores || stores->len == 0)
        return;
    if (!cst_process_runs("dmeventd"))
        doctor_report(run, "dmeventd-absent", run->pool->name, NULL,
                      _("no dmeventd runs, so LVM neither warns of full thin pools nor extends "
                        "them (vgchange --monitor y)"));
    if (autoextend_threshold(run->task) >= 100)
        doctor_report(run, "autoextend-off", run->pool->name, NULL,
                      _("LVM does not extend thin pools, because thin_pool_autoextend_threshold in "
                        "lvm.conf is 100"));
}
