/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>
#include <model/doctor.h>

/** Findings about the server's host. All calls fail with NO_SUPPORT by a stock server. */

/** The object of a check. All NULL: the host. The texts are borrowed. */
typedef struct {
    const char *pool;
    const char *volume; /**< of the pool */
    const char *path;   /**< absolute */
} CstConnDoctorQuery;

/**
 * Appends the findings about the object to @findings (cst_doctor_findings_new()), page by page.
 * *ret_now: the clock of the server at the last page, in microseconds since 1970. @task may be
 * NULL. Fails with NO_POOL, NO_VOL and INVALID.
 */
gboolean cst_conn_doctor(CstConn *conn, const CstConnDoctorQuery *query, GPtrArray *findings,
                         CstTask *task, int64_t *ret_now, GError **error);
/** Returns the mutes in force (CstDoctorMute *). */
GPtrArray *cst_conn_doctor_mutes(CstConn *conn, GError **error);
/**
 * Stores @mute, or removes the mute of its id and object if mute->until is 0. Fails with INVALID,
 * LIMIT and NOT_FOUND.
 */
gboolean cst_conn_doctor_mute(CstConn *conn, const CstDoctorMute *mute, GError **error);
