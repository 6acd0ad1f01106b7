/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/room.h>
#include <base/task.h>
#include <model/flags.h>
#include <model/listing.h>
#include <model/pool_def.h>
#include <model/pool_health.h>
#include <model/thin_store.h>
#include <service/service.h>

/**
 * A pool known to the service. A reference keeps the handle valid even after the pool is removed.
 */
typedef struct CstPool CstPool;

/** Acquires a reference and returns @pool. Callable from any thread. */
CstPool *cst_pool_ref(CstPool *pool);
/** Drops a reference. NULL is accepted. */
void cst_pool_unref(CstPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPool, cst_pool_unref)

/* --- finding --------------------------------------------------------------------------------- */

/**
 * Returns the pools that match CST_LIST_POOLS_* @filter (0: all), ordered by name. The array owns a
 * reference to each pool.
 */
GPtrArray *cst_service_pools(CstService *service, unsigned filter, GError **error);
/**
 * Find a pool by name or UUID. Return a new reference, or NULL with NO_POOL. An embedded process
 * first reloads the files if they have changed.
 */
CstPool *cst_service_pool_by_name(CstService *service, const char *name, GError **error);
CstPool *cst_service_pool_by_uuid(CstService *service, const CstUuid *uuid, GError **error);
/** Finds an active pool by the absolute path of its target. The path need not be canonical. */
CstPool *cst_service_pool_by_target(CstService *service, const char *path, GError **error);

/* --- describing ------------------------------------------------------------------------------ */

/** Return the name or UUID, which never change. The handle owns the result. */
const char *cst_pool_name(const CstPool *pool);
const CstUuid *cst_pool_uuid(const CstPool *pool);

/** Reads state and sizes from memory. An embedded process queries the storage for the sizes. */
void cst_pool_get_info(CstPool *pool, CstPoolInfo *ret_info);
/** Returns whether the pool is active now. Another thread may stop it at any time. */
gboolean cst_pool_is_active(CstPool *pool);
/**
 * Returns the error of the last start, or the problem of an active pool; NULL: no problem. The
 * caller frees it.
 */
char *cst_pool_get_problem(CstPool *pool);
/**
 * Returns the thin stores of the pool as CstThinStore. The array is empty if the pool has no thin
 * stores or is not active.
 */
GPtrArray *cst_pool_thin_stores(CstPool *pool, GError **error);
/**
 * Computes how many bytes new volumes of an active pool can have. Known only for pools of files,
 * and not for every file system (base/room.h).
 */
gboolean cst_pool_room(CstPool *pool, CstRoom *ret_room, GError **error);
/**
 * Queries the health of the storage of an active pool from its own technology. UNKNOWN if the
 * technology does not report any. The caller clears *ret_health.
 */
gboolean cst_pool_get_health(CstPool *pool, CstPoolHealth *ret_health, GError **error);
/**
 * Returns the definition as XML, which the caller frees. @flags: CST_STORAGE_XML_INACTIVE selects
 * the definition that is in force from the next start on.
 */
char *cst_pool_get_xml(CstPool *pool, unsigned flags, GError **error);
/** Reads the autostart flag. It is always FALSE for a transient pool. Always succeeds. */
gboolean cst_pool_get_autostart(CstPool *pool, gboolean *ret_autostart, GError **error);

/* --- definitions ----------------------------------------------------------------------------- */

/**
 * Defines a pool, or redefines the pool with the same name and UUID. If that pool is active, the
 * new definition is in force from its next start. @flags: CstPoolDefineFlags. Returns a reference.
 * Errors: POOL_EXISTS when only one of name and UUID matches, EXISTS when another pool uses the
 * source.
 */
CstPool *cst_service_pool_define(CstService *service, const char *xml, unsigned flags,
                                 GError **error);
/**
 * Creates a transient pool and starts it. @flags: CstPoolCreateFlags. @task: see "lifecycle" below.
 * Returns a reference.
 */
CstPool *cst_service_pool_create(CstService *service, const char *xml, unsigned flags,
                                 CstTask *task, GError **error);
/**
 * Removes the definition of an inactive pool, and keeps its storage. @task: see "lifecycle" below.
 * Fails with STATE if the pool is active.
 */
gboolean cst_pool_undefine(CstPool *pool, CstTask *task, GError **error);
/**
 * Sets the autostart flag on disk, then in memory. Fails with NOT_PERSISTENT for a transient pool.
 */
gboolean cst_pool_set_autostart(CstPool *pool, gboolean autostart, GError **error);

/* --- lifecycle ------------------------------------------------------------------------------- */

/*
 * All of these wait until other changes of the pool and the operations on its volumes have ended.
 * @task limits and cancels the wait; NULL: no limit. BUSY names the operation that is in the way.
 * An upload or download causes BUSY at once, because its client decides how long it lasts.
 */

/**
 * Prepares the storage of an inactive pool, for example a directory, file system or volume group.
 * @flags: CstPoolBuildFlags. Fails with STATE if the pool is active.
 */
gboolean cst_pool_build(CstPool *pool, unsigned flags, CstTask *task, GError **error);
/**
 * Activates the pool. Builds it first if @flags (CstPoolCreateFlags) request that. Fails with STATE
 * if the pool is active.
 */
gboolean cst_pool_start(CstPool *pool, unsigned flags, CstTask *task, GError **error);
/** Deactivates the pool, and keeps its data. libvirt's "destroy". */
gboolean cst_pool_stop(CstPool *pool, CstTask *task, GError **error);
/** Removes the pool's storage; a directory only if it is empty. libvirt's "delete". */
gboolean cst_pool_delete(CstPool *pool, unsigned flags, CstTask *task, GError **error);
/** Rescans the pool. Waits only for another refresh, not for operations on volumes. */
gboolean cst_pool_refresh(CstPool *pool, unsigned flags, CstTask *task, GError **error);

/* --- discovery -------------------------------------------------------------------------------- */

/**
 * Returns a <sources> document with the sources that a pool of @type could use. @spec: a <source>
 * document that narrows the search, or NULL. The caller frees the result.
 */
char *cst_service_find_sources(CstService *service, const char *type, const char *spec,
                               unsigned flags, GError **error);
/** Returns the <storagepoolCapabilities> document. The caller frees it. */
char *cst_service_pool_capabilities(CstService *service, GError **error);
