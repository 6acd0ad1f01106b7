/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/doctor.h>
#include <service/pools.h>

/**
 * Checks of the host, its pools and its volumes. They change no storage and no definition. The
 * checks of volumes use the pools' tables and the attributes of files. They open no image except to
 * list its snapshots, by the bounded reader.
 */

/** Volumes of a page. */
#define CST_DOCTOR_PAGE 2048

typedef struct {
    const char *pool;   /**< NULL: the host, or @path */
    const char *volume; /**< NULL: the pool and its volumes */
    const char *path;   /**< absolute; NULL: not a path */
    const char *after;  /**< begin after the volume of this name; NULL: from the start */
} CstDoctorQuery;

/**
 * Returns findings (CstDoctorFinding *). A page of a pool has the findings of at most
 * CST_DOCTOR_PAGE volumes; *ret_next is then the value of "after" for the next page, which the
 * caller frees, or NULL. The findings about the pool itself are in the first page. Storage that
 * does not answer for two seconds becomes a finding. @task cancels. Any thread.
 *
 * Fails with NO_POOL, NO_VOL, and with INVALID for a relative path.
 */
GPtrArray *cst_service_doctor(CstService *service, const CstDoctorQuery *query, CstTask *task,
                              char **ret_next, GError **error);

/** Returns the mutes (CstDoctorMute *) in force; see store/doctor_mutes.h. */
GPtrArray *cst_service_doctor_mutes(CstService *service, GError **error);
/**
 * Stores @mute, or removes the mute of its id and object if mute->until is 0. Fails with INVALID,
 * LIMIT, and with NOT_FOUND if there is none to remove.
 */
gboolean cst_service_doctor_mute(CstService *service, const CstDoctorMute *mute, GError **error);
