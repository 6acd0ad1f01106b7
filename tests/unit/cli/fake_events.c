/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake server has no events and no notification rules. */
#include <base/error.h>
#include <conn/events.h>

GPtrArray *cst_conn_events(CstConn *conn, const CstEventQuery *query, int64_t *ret_last,
                           GError **error)
{
    *ret_last = 0;
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_event_record_free);
}

GPtrArray *cst_conn_notify_test(CstConn *conn, const char *rule, CstTask *task, GError **error)
{
    cst_fail(error, CST_ERROR_NOT_FOUND, "there are no notification rules");
    return NULL;
}
