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

/** A pool known to the service. References keep the handle valid even after the pool is gone. */
typedef struct CstPool CstPool;

/** Returns @pool with one reference more. From any thread. */
CstPool *cst_pool_ref(CstPool *pool);
/** Drops a reference. NULL is accepted. */
void cst_pool_unref(CstPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPool, cst_pool_unref)

/* --- finding --------------------------------------------------------------------------------- */

/**
 * Returns the pools that match CST_LIST_POOLS_* @filter (0: all), ordered by name, as references
 * that go with the array.
 */
GPtrArray *cst_service_pools(CstService *service, unsigned filter, GError **error);
/**
 * Each returns a new reference; NULL with NO_POOL when there is none. An embedded process reads the
 * files first when they have changed.
 */
CstPool *cst_service_pool_by_name(CstService *service, const char *name, GError **error);
CstPool *cst_service_pool_by_uuid(CstService *service, const CstUuid *uuid, GError **error);
/** Finds an active pool by the absolute path of its target, in whatever spelling. */
CstPool *cst_service_pool_by_target(CstService *service, const char *path, GError **error);

/* --- describing ------------------------------------------------------------------------------ */

/** Name and UUID never change while the handle lives. Borrowed. */
const char *cst_pool_name(const CstPool *pool);
const CstUuid *cst_pool_uuid(const CstPool *pool);

/** Reads state and sizes from memory; an embedded process asks the storage for the sizes. */
void cst_pool_get_info(CstPool *pool, CstPoolInfo *ret_info);
/** Whether the pool is active now; another thread may stop it right away. */
gboolean cst_pool_is_active(CstPool *pool);
/**
 * Returns why the last start failed, or what is wrong with an active pool; NULL: nothing. The
 * caller frees it.
 */
char *cst_pool_get_problem(CstPool *pool);
/**
 * Returns the pool's thin stores as CstThinStore; empty where there are none, or the pool is not
 * active.
 */
GPtrArray *cst_pool_thin_stores(CstPool *pool, GError **error);
/**
 * Asks how many bytes new volumes of an active pool can have. Known for pools of files only, and
 * not for every file system (base/room.h).
 */
gboolean cst_pool_room(CstPool *pool, CstRoom *ret_room, GError **error);
/**
 * Asks how the storage of an active pool is, by its own technology; UNKNOWN where that does not
 * tell. The caller clears *ret_health.
 */
gboolean cst_pool_get_health(CstPool *pool, CstPoolHealth *ret_health, GError **error);
/**
 * Returns the definition as XML, which the caller frees. @flags: CST_STORAGE_XML_INACTIVE for the
 * one in force from the next start.
 */
char *cst_pool_get_xml(CstPool *pool, unsigned flags, GError **error);
/** Reads whether the pool is started with the daemon; a transient one never is. Always succeeds. */
gboolean cst_pool_get_autostart(CstPool *pool, gboolean *ret_autostart, GError **error);

/* --- definitions ----------------------------------------------------------------------------- */

/**
 * Defines a pool, or redefines the one of the same name and UUID (an active one from its next start
 * on). Returns a reference. POOL_EXISTS when only one of the two matches, EXISTS when another pool
 * has the source. @flags: CstPoolDefineFlags.
 */
CstPool *cst_service_pool_define(CstService *service, const char *xml, unsigned flags,
                                 GError **error);
/**
 * Creates a transient pool and starts it. Returns a reference. @flags: CstPoolCreateFlags. @task:
 * as in the lifecycle.
 */
CstPool *cst_service_pool_create(CstService *service, const char *xml, unsigned flags,
                                 CstTask *task, GError **error);
/**
 * Removes the definition of an inactive pool, whose storage stays. STATE when it is active. @task:
 * as in the lifecycle.
 */
gboolean cst_pool_undefine(CstPool *pool, CstTask *task, GError **error);
/** Sets the flag on the disk, then in memory. NOT_PERSISTENT for a transient pool. */
gboolean cst_pool_set_autostart(CstPool *pool, gboolean autostart, GError **error);

/* --- lifecycle ------------------------------------------------------------------------------- */

/*
 * Each waits until other changes of the pool and the work on its volumes have ended; @task (NULL:
 * nobody) limits and cancels the wait. BUSY names who is in the way: at once when that is an upload
 * or a download, which lasts as long as its client likes.
 */

/**
 * Prepares the storage of an inactive pool (a directory, a file system, a volume group). @flags:
 * CstPoolBuildFlags. STATE when it is active.
 */
gboolean cst_pool_build(CstPool *pool, unsigned flags, CstTask *task, GError **error);
/**
 * Makes the pool active; builds it first when @flags (CstPoolCreateFlags) say so. STATE when it is
 * active.
 */
gboolean cst_pool_start(CstPool *pool, unsigned flags, CstTask *task, GError **error);
/** libvirt's "destroy": deactivates; the data stays. */
gboolean cst_pool_stop(CstPool *pool, CstTask *task, GError **error);
/** libvirt's "delete": removes the pool's storage (a directory: only an empty one). */
gboolean cst_pool_delete(CstPool *pool, unsigned flags, CstTask *task, GError **error);
/** Waits for no work on volumes, only for another refresh. */
gboolean cst_pool_refresh(CstPool *pool, unsigned flags, CstTask *task, GError **error);

/* --- about pools ----------------------------------------------------------------------------- */

/**
 * Returns a <sources> document of what a pool of @type could use; @spec is NULL or a <source>
 * document that narrows the search. The caller frees it.
 */
char *cst_service_find_sources(CstService *service, const char *type, const char *spec,
                               unsigned flags, GError **error);
/** Returns the <storagepoolCapabilities> document. The caller frees it. */
char *cst_service_pool_capabilities(CstService *service, GError **error);
