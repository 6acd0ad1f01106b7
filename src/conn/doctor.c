/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed calls for the command doctor. */
#include <conn/doctor.h>

#include "conn_private.h"

/* Adds a page of findings. *after is the position of the next page; NULL: there is none. */
static gboolean doctor_add_page(CstConn *conn, const CstConnDoctorQuery *query, char **after,
                                GPtrArray *findings, CstTask *task, int64_t *ret_now,
                                GError **error)
{
    char *pool = (char *)query->pool, *volume = (char *)query->volume, *path = (char *)query->path;
    wire_doctor_check_args args = {cst_opt_arg(&pool), cst_opt_arg(&volume), cst_opt_arg(&path),
                                   cst_opt_arg(after)};
    wire_doctor_check_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_DOCTOR_CHECK, &args, &ret, task, error))
        return FALSE;
    for (guint i = 0; i < ret.findings.findings_len; i++) {
        wire_doctor_finding *wire = &ret.findings.findings_val[i];

        cst_doctor_findings_add(findings, wire->id,
                                (CstSeverity)MIN(wire->severity, CST_SEVERITY_ERROR), wire->object,
                                cst_opt_take(wire->repair), g_steal_pointer(&wire->evidence));
    }
    g_free(*after);
    *after = cst_opt_take(ret.next);
    *ret_now = ret.now;
    xdr_free((xdrproc_t)xdr_wire_doctor_check_ret, (char *)&ret);
    return TRUE;
}

gboolean cst_conn_doctor(CstConn *conn, const CstConnDoctorQuery *query, GPtrArray *findings,
                         CstTask *task, int64_t *ret_now, GError **error)
{
    g_autofree char *after = NULL;

    do {
        if (!doctor_add_page(conn, query, &after, findings, task, ret_now, error))
            return FALSE;
    } while (after);
    return TRUE;
}

GPtrArray *cst_conn_doctor_mutes(CstConn *conn, GError **error)
{
    wire_doctor_mutes_ret ret = {0};
    GPtrArray *mutes;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_DOCTOR_MUTES, NULL, &ret, NULL, error))
        return NULL;
    mutes = g_ptr_array_new_with_free_func((GDestroyNotify)cst_doctor_mute_free);
    for (guint i = 0; i < ret.mutes.mutes_len; i++) {
        wire_doctor_mute *wire = &ret.mutes.mutes_val[i];
        CstDoctorMute *mute = g_new0(CstDoctorMute, 1);

        *mute = (CstDoctorMute){
            .id = g_steal_pointer(&wire->id),
            .object = g_steal_pointer(&wire->object),
            .severity = (CstSeverity)MIN(wire->severity, CST_SEVERITY_ERROR),
            .until = wire->until,
        };
        g_ptr_array_add(mutes, mute);
    }
    xdr_free((xdrproc_t)xdr_wire_doctor_mutes_ret, (char *)&ret);
    return mutes;
}

gboolean cst_conn_doctor_mute(CstConn *conn, const CstDoctorMute *mute, GError **error)
{
    wire_doctor_mute_args args = {
        {mute->id, mute->object, (unsigned)mute->severity, mute->until},
    };

    return cst_conn_own_call(conn, WIRE_CISTERN_DOCTOR_MUTE, &args, NULL, NULL, error);
}
