/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/flags.h>
#include <model/listing.h>
#include <model/pool_def.h>
#include <model/thin_store.h>
#include <service/service.h>

/** A pool known to the service. References keep the handle valid even after the pool is gone. */
typedef struct CstPool CstPool;

CstPool *cst_pool_ref(CstPool *pool);
void cst_pool_unref(CstPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPool, cst_pool_unref)

/* --- finding --------------------------------------------------------------------------------- */

/** Pools that match CST_LIST_POOLS_* @filter (0: all), ordered by name; frees as pool
 *  references. */
GPtrArray *cst_service_pools(CstService *service, unsigned filter, GError **error);
CstPool *cst_service_pool_by_name(CstService *service, const char *name, GError **error);
CstPool *cst_service_pool_by_uuid(CstService *service, const CstUuid *uuid, GError **error);
CstPool *cst_service_pool_by_target(CstService *service, const char *path, GError **error);

/* --- describing ------------------------------------------------------------------------------ */

/** Name and uuid never change while the handle lives. */
const char *cst_pool_name(const CstPool *pool);
const CstUuid *cst_pool_uuid(const CstPool *pool);

void cst_pool_get_info(CstPool *pool, CstPoolInfo *ret_info);
gboolean cst_pool_is_active(CstPool *pool);
/** Why the last start failed, or what is wrong with an active pool; NULL: nothing. Caller frees. */
char *cst_pool_get_problem(CstPool *pool);
/** Elements CstThinStore; empty where there are none, or the pool is not active. */
GPtrArray *cst_pool_thin_stores(CstPool *pool, GError **error);
char *cst_pool_get_xml(CstPool *pool, unsigned flags, GError **error);
/** FALSE with STATE for a transient pool, as libvirt answers. */
gboolean cst_pool_get_autostart(CstPool *pool, gboolean *ret_autostart, GError **error);

/* --- definitions ----------------------------------------------------------------------------- */

/** Defines or redefines. @flags: CstPoolDefineFlags. */
CstPool *cst_service_pool_define(CstService *service, const char *xml, unsigned flags,
                                 GError **error);
/** A transient pool, started at once. @flags: CstPoolCreateFlags. @task: as with the lifecycle. */
CstPool *cst_service_pool_create(CstService *service, const char *xml, unsigned flags,
                                 CstTask *task, GError **error);
/** @task: as with the lifecycle. */
gboolean cst_pool_undefine(CstPool *pool, CstTask *task, GError **error);
gboolean cst_pool_set_autostart(CstPool *pool, gboolean autostart, GError **error);

/* --- lifecycle ------------------------------------------------------------------------------- */

/*
 * Each waits until other changes of the pool and the work on its volumes have ended; @task (NULL:
 * nobody) limits and cancels the wait. BUSY names who is in the way: at once when that is an upload
 * or a download, which lasts as long as its client likes.
 */

gboolean cst_pool_build(CstPool *pool, unsigned flags, CstTask *task, GError **error);
gboolean cst_pool_start(CstPool *pool, unsigned flags, CstTask *task, GError **error);
/** libvirt's "destroy": deactivates; the data stays. */
gboolean cst_pool_stop(CstPool *pool, CstTask *task, GError **error);
/** libvirt's "delete": removes the pool's storage (a directory: only an empty one). */
gboolean cst_pool_delete(CstPool *pool, unsigned flags, CstTask *task, GError **error);
/** Waits for no work on volumes, only for another refresh. */
gboolean cst_pool_refresh(CstPool *pool, unsigned flags, CstTask *task, GError **error);

/* --- about pools ----------------------------------------------------------------------------- */

/** <sources> document; @spec NULL or a <source> document. */
char *cst_service_find_sources(CstService *service, const char *type, const char *spec,
                               unsigned flags, GError **error);
/** <storagepoolCapabilities> document. */
char *cst_service_pool_capabilities(CstService *service, GError **error);
