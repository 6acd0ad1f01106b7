/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>
#include <pool/backend.h>

/**
 * The example backend, used by tests: the volumes are memory of this process. No program links it
 * (pool_memory_dep); docs/backend.md explains it. It uses the type rbd, because volumes of that
 * type are not files and have no directory:
 *
 *     <pool type='rbd'><name>p</name><source><host name='localhost'/><name>STORE</name></source>
 *     </pool>
 *
 * The content is kept in stores, separate from the pools that show it, as in a real technology. A
 * pool that is opened again, by this or a later service, finds its volumes.
 */
extern const CstBackend cst_memory_backend;

/** Size of a store, in bytes, for all volumes, drafts, snapshots and clones together. */
#define CST_MEMORY_STORE_SIZE (UINT64_C(1) << 30)

/* --- the "tool" of this technology: changes that bypass the backend --------------------------- */

/**
 * Creates a volume with the content @data, and the store if needed. Replaces a volume of that name.
 */
void cst_memory_put(const char *store, const char *volume, const void *data, size_t len);
/** Removes a volume, also if it has dependents. FALSE if it does not exist. */
gboolean cst_memory_take(const char *store, const char *volume);
/**
 * Returns the sorted names of all objects in the store: drafts as "token.part", snapshots as
 * "volume@name". g_strfreev() it.
 */
char **cst_memory_list(const char *store);
/** Adds a holder (@who, a description) of the volume. NULL removes all holders. */
void cst_memory_hold(const char *store, const char *volume, const char *who);
/** Drops all stores and faults. */
void cst_memory_clear(void);

/* --- faults ----------------------------------------------------------------------------------- */

/**
 * Makes the @nth call (from 1) of @callback, counted from now, fail with IO. Callbacks have the
 * names of their members: "vol_delete", "snapshots.create". Reads, writes and flushes of content
 * are "pread", "pwrite" and "flush".
 */
void cst_memory_fault(const char *callback, guint nth);
/** Like cst_memory_fault(), with another error code, which then applies to all faults. */
void cst_memory_fault_as(const char *callback, guint nth, CstErrorCode code);
/** Whether a fault was triggered since the last cst_memory_fault(). */
gboolean cst_memory_struck(void);
/** Makes calls of @callback wait until cst_memory_release(). */
void cst_memory_hang(const char *callback);
/** Whether a call of @callback is waiting. */
gboolean cst_memory_hangs(const char *callback);
/** Releases the waiting calls, and removes all faults. */
void cst_memory_release(void);
