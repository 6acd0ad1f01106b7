/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake server finds no problems and has no mutes. */
#include <base/error.h>
#include <conn/doctor.h>

gboolean cst_conn_doctor(CstConn *conn, const CstConnDoctorQuery *query, GPtrArray *findings,
                         CstTask *task, int64_t *ret_now, GError **error)
{
    *ret_now = g_get_real_time();
    return TRUE;
}

GPtrArray *cst_conn_doctor_mutes(CstConn *conn, GError **error)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_doctor_mute_free);
}

gboolean cst_conn_doctor_mute(CstConn *conn, const CstDoctorMute *mute, GError **error)
{
    return mute->until > 0 ||
           cst_fail(error, CST_ERROR_NOT_FOUND, "there is no mute of '%s'", mute->id);
}
