/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake server has no schedules. */
#include <base/error.h>
#include <conn/schedules.h>

GPtrArray *cst_conn_schedules(CstConn *conn, const char *name, GError **error)
{
    if (!name)
        return g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_free);
    cst_fail(error, CST_ERROR_NOT_FOUND, "there is no schedule '%s'", name);
    return NULL;
}

gboolean cst_conn_schedule_set(CstConn *conn, const CstSchedule *schedule, GError **error)
{
    return TRUE;
}

gboolean cst_conn_schedule_delete(CstConn *conn, const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, "there is no schedule '%s'", name);
}

GPtrArray *cst_conn_schedule_history(CstConn *conn, const char *name, guint max, GError **error)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_run_free);
}

gboolean cst_conn_schedule_begin(CstConn *conn, CstScheduleRun *run, int64_t handled,
                                 GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, "there is no schedule '%s'", run->schedule);
}

gboolean cst_conn_schedule_end(CstConn *conn, const CstScheduleRun *run, GError **error)
{
    return TRUE;
}

GPtrArray *cst_conn_schedule_copies(CstConn *conn, const char *name, GError **error)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_copy_free);
}

gboolean cst_conn_schedule_set_copies(CstConn *conn, const char *name, const GPtrArray *copies,
                                      GError **error)
{
    return TRUE;
}

gboolean cst_conn_schedule_forget_copies(CstConn *conn, const GPtrArray *copies, GError **error)
{
    return TRUE;
}
