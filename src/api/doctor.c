/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for the command doctor. A check accesses the storage of pools, so it is LONG. It names
 * processes and files of the host, as VOL_HOLDERS does, so it is refused over a read-only
 * connection. Mutes are in a database of the service, so they are QUICK.
 */
#include <base/error.h>
#include <service/doctor.h>

#include "api_private.h"

static gboolean api_doctor_check(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_doctor_check_args *args = data;
    wire_doctor_check_ret *ret = ret_data;
    const CstDoctorQuery query = {
        .pool = cst_api_opt_text(args->pool),
        .volume = cst_api_opt_text(args->volume),
        .path = cst_api_opt_text(args->path),
        .after = cst_api_opt_text(args->after),
    };
    char *next = NULL;
    g_autoptr(GPtrArray) findings =
        cst_service_doctor(call->service, &query, call->task, &next, error);

    if (!findings)
        return FALSE;
    ret->next = cst_api_opt(next);
    ret->now = g_get_real_time();
    ret->findings.findings_val = g_new0(wire_doctor_finding, findings->len + 1);
    for (guint i = 0; i < MIN(findings->len, WIRE_LIST_MAX); i++) {
        CstDoctorFinding *finding = findings->pdata[i];

        ret->findings.findings_val[ret->findings.findings_len++] = (wire_doctor_finding){
            .id = g_steal_pointer(&finding->id),
            .severity = finding->severity,
            .object = g_steal_pointer(&finding->object),
            .evidence = g_steal_pointer(&finding->evidence),
            .repair = cst_api_opt(g_steal_pointer(&finding->repair)),
        };
    }
    return TRUE;
}

static gboolean api_doctor_mutes(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    wire_doctor_mutes_ret *ret = ret_data;
    g_autoptr(GPtrArray) mutes = cst_service_doctor_mutes(call->service, error);

    if (!mutes)
        return FALSE;
    ret->mutes.mutes_val = g_new0(wire_doctor_mute, mutes->len + 1);
    for (guint i = 0; i < MIN(mutes->len, WIRE_PAGE_MAX); i++) {
        const CstDoctorMute *mute = mutes->pdata[i];

        ret->mutes.mutes_val[ret->mutes.mutes_len++] = (wire_doctor_mute){
            .id = g_strdup(mute->id),
            .object = g_strdup(mute->object),
            .severity = mute->severity,
            .until = mute->until,
        };
    }
    return TRUE;
}

static gboolean api_doctor_mute(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_doctor_mute *wire = &((const wire_doctor_mute_args *)data)->mute;
    const CstDoctorMute mute = {
        .id = wire->id,
        .object = wire->object,
        .severity = (CstSeverity)wire->severity,
        .until = wire->until,
    };

    return cst_service_doctor_mute(call->service, &mute, error);
}

const CstProcedure cst_api_doctor_procedures[] = {
    CST_OWN_PROCEDURE(DOCTOR_CHECK, LONG, WRITE, "cisternDoctorCheck", doctor_check_args,
                      doctor_check_ret, api_doctor_check, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(DOCTOR_MUTES, QUICK, READ, "cisternDoctorMutes", void, doctor_mutes_ret,
                      api_doctor_mutes),
    CST_OWN_PROCEDURE(DOCTOR_MUTE, QUICK, WRITE, "cisternDoctorMute", doctor_mute_args, void,
                      api_doctor_mute),
    {0},
};
