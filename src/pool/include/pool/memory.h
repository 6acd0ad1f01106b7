/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>
#include <pool/backend.h>

/**
 * The example backend, which tests use: pools whose volumes are memory of this process. No program
 * links it (pool_memory_dep); docs/backend.md walks through it. It poses as the type rbd, whose
 * volumes are no files and which has no directory either:
 *
 *     <pool type='rbd'><name>p</name><source><host name='localhost'/><name>STORE</name></source>
 *     </pool>
 *
 * What is stored lives in stores, apart from the pools that show it, as on any real technology: a
 * pool that is opened again, by this service or the next one, finds its volumes again.
 */
extern const CstBackend cst_memory_backend;

/** What a store holds, its drafts, snapshots and clones included, all together. */
#define CST_MEMORY_STORE_SIZE (UINT64_C(1) << 30)

/* --- the "tool" of this technology: what goes on behind the backend's back -------------------- */

/** Makes a volume that holds @data, building the store if needed; replaces one of that name. */
void cst_memory_put(const char *store, const char *volume, const void *data, size_t len);
/** Removes a volume, whatever depends on it; FALSE when there is none. */
gboolean cst_memory_take(const char *store, const char *volume);
/**
 * Returns the names of everything in the store, sorted: drafts as "token.part", snapshots as
 * "volume@name". g_strfreev() it.
 */
char **cst_memory_list(const char *store);
/** Adds a holder (@who, in words) of the volume; NULL removes all. */
void cst_memory_hold(const char *store, const char *volume, const char *who);
/** Forgets all stores and faults. */
void cst_memory_clear(void);

/* --- faults ----------------------------------------------------------------------------------- */

/**
 * The @nth call (from 1) of @callback from now on fails with IO. Callbacks have the names of their
 * members: "vol_delete", "snapshots.create"; reads and writes of content are "pread" and "pwrite",
 * then "flush".
 */
void cst_memory_fault(const char *callback, guint nth);
/** Does the same with another class of error, which all faults that are set then have. */
void cst_memory_fault_as(const char *callback, guint nth, CstErrorCode code);
/** Whether a fault has struck since the last cst_memory_fault(). */
gboolean cst_memory_struck(void);
/** Calls of @callback wait from now on, until cst_memory_release(). */
void cst_memory_hang(const char *callback);
/** Whether a call waits there. */
gboolean cst_memory_hangs(const char *callback);
/** Releases the calls that wait, and removes all faults. */
void cst_memory_release(void);
