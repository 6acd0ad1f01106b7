/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Collects findings. The server makes the checks of its host. The command adds the checks of
 * schedules and orphans, and compares the clocks of both.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "doctor.h"

#define CLOCK_APART_US (5 * G_TIME_SPAN_SECOND)

gboolean doctor_check_server(DoctorWork *work, const CstConnDoctorQuery *query, GError **error)
{
    int64_t before = g_get_real_time(), now = before, after;
    g_autofree char *host = NULL;

    if (!cst_conn_doctor(work->ctl->conn, query, work->findings, work->task, &now, error))
        return FALSE;
    after = g_get_real_time();
    if (now >= before - CLOCK_APART_US && now <= after + CLOCK_APART_US)
        return TRUE;
    host = cst_conn_hostname(work->ctl->conn, NULL);
    cst_doctor_findings_add(
        work->findings, "clock-apart", cst_doctor_rule("clock-apart")->severity,
        host ? host : CST_DOCTOR_HOST, NULL,
        g_strdup_printf(_("its clock differs from that of this host by %" PRId64
                          " seconds, so schedules and ages of backups are wrong"),
                        (int64_t)((now < before ? before - now : now - after) / G_USEC_PER_SEC)));
    return TRUE;
}

static gboolean pools_check(DoctorWork *work, GError **error)
{
    g_autoptr(GPtrArray) pools = cst_conn_pool_list(work->ctl->conn, 0, error);

    for (guint i = 0; pools && i < pools->len; i++) {
        const CstPoolRef *pool = pools->pdata[i];
        const CstConnDoctorQuery query = {.pool = pool->name};
        g_autoptr(GError) why = NULL;

        /* The pool may have been undefined since the list. */
        if (doctor_check_server(work, &query, &why) ||
            g_error_matches(why, CST_ERROR, CST_ERROR_NO_POOL))
            continue;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return pools != NULL;
}

gboolean doctor_check_all(DoctorWork *work, GError **error)
{
    const CstConnDoctorQuery query = {0};

    return doctor_check_server(work, &query, error) && pools_check(work, error) &&
           doctor_check_schedules(work, error) && doctor_check_orphans(work, error);
}

void doctor_findings_order(GPtrArray *findings)
{
    cst_doctor_findings_sort(findings);
    for (guint i = findings->len; i-- > 1;) {
        const CstDoctorFinding *finding = findings->pdata[i];
        const CstDoctorFinding *previous = findings->pdata[i - 1];

        if (strcmp(finding->id, previous->id) == 0 &&
            strcmp(finding->object, previous->object) == 0 &&
            strcmp(finding->evidence, previous->evidence) == 0)
            g_ptr_array_remove_index(findings, i);
    }
}

GPtrArray *doctor_collect(CliCtl *ctl, GError **error)
{
    g_autoptr(GPtrArray) findings = cst_doctor_findings_new();
    DoctorWork work = {.ctl = ctl, .findings = findings};

    if (!doctor_check_all(&work, error))
        return NULL;
    doctor_findings_order(findings);
    return g_steal_pointer(&findings);
}
