/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * The audit trail of the server's host. Both calls fail with NO_SUPPORT by a stock server, and with
 * READ_ONLY over a read-only connection.
 */

/** Receives a line of JSON. Returns FALSE with @error to end the list. */
typedef gboolean (*CstConnAuditLine)(const char *line, gpointer data, GError **error);
/** Passes all lines to @func, the oldest first. */
gboolean cst_conn_audit_list(CstConn *conn, CstConnAuditLine func, gpointer data, GError **error);

/** The result of a verification. */
typedef struct {
    uint64_t records;
    uint64_t first, last; /**< sequence numbers; 0: there are no records */
    uint64_t repairs;     /**< records about incomplete lines or missing records */
    char *head;           /**< hash of the last record; "": there are no records */
    GPtrArray *problems;  /**< sentences (char *); empty: the trail is complete */
} CstConnAudit;

/** Frees the members. */
void cst_conn_audit_clear(CstConnAudit *audit);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstConnAudit, cst_conn_audit_clear)

/**
 * Verifies the trail. @head: the hash of a record that must exist; NULL: any. INVALID if it is no
 * hash.
 */
gboolean cst_conn_audit_verify(CstConn *conn, const char *head, CstTask *task,
                               CstConnAudit *ret_audit, GError **error);
