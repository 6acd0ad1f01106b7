/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>
#include <model/event_record.h>

/** The log of events of the server's host. All calls fail with NO_SUPPORT by a stock server. */

/**
 * Returns events (CstEventRecord *) by id, at most query->max. The caller drops the array.
 * *ret_last: the id of the newest event of the log.
 */
GPtrArray *cst_conn_events(CstConn *conn, const CstEventQuery *query, int64_t *ret_last,
                           GError **error);

/**
 * Has the server send a test message by rule @rule (NULL: by all rules). Returns the results
 * (CstNotifyResult *); NOT_FOUND if there is no such rule. The caller drops the array.
 */
GPtrArray *cst_conn_notify_test(CstConn *conn, const char *rule, CstTask *task, GError **error);
