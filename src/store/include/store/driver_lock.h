/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

/**
 * The driver lock: its holder manages a root's definitions. It is a POSIX write lock on byte 0 of
 * driver.pid in the run directory of libvirt's driver. The file contains the holder's pid. libvirt
 * uses the same lock, so libvirtd, virtstoraged or virtsecretd, cisternd and embedded commands
 * exclude each other.
 *
 * POSIX locks belong to the process and are lost when it closes any descriptor of the file. So at
 * most one CstDriverLock of a kind may exist per root and process. The functions are not
 * thread-safe.
 */
typedef struct CstDriverLock CstDriverLock;

typedef enum {
    CST_DRIVER_STORAGE, /**< pools: run/libvirt/storage/driver.pid */
    CST_DRIVER_SECRET   /**< secrets: run/libvirt/secrets/driver.pid */
} CstDriver;

/** Makes the object without accessing files. */
CstDriverLock *cst_driver_lock_new(const CstPaths *paths, CstDriver driver);
/** Removes the file of a lock that is held, then releases the lock. NULL is accepted. */
void cst_driver_lock_free(CstDriverLock *lock);

/**
 * Acquires the lock, which the caller must not hold yet. Waits up to @timeout_ms milliseconds, then
 * fails with BUSY and names the holder's pid and command. Creates the run directory if it is
 * missing.
 */
gboolean cst_driver_lock_acquire(CstDriverLock *lock, unsigned timeout_ms, GError **error);
/** Releases the lock. No effect if it is not held. The file remains and is empty. */
void cst_driver_lock_release(CstDriverLock *lock);
/** Whether this object holds the lock. */
gboolean cst_driver_lock_is_held(const CstDriverLock *lock);

/**
 * Releases the locks of both drivers, for a process that ends while one of its threads hangs in the
 * kernel. Such a thread keeps the process, its descriptors and therefore its locks. Call it from
 * any thread directly before _exit(). The objects may be in any state. No effect for a lock that
 * this process does not hold.
 */
void cst_driver_locks_give_up(const CstPaths *paths);

/**
 * Describes the holder of the lock of @driver ("process 123 (libvirtd)") without acquiring it.
 * Returns NULL if the lock is free. The caller frees the text. A process that holds the lock must
 * not call it, because closing the file would release the lock.
 */
char *cst_driver_lock_holder(const CstPaths *paths, CstDriver driver);
/**
 * Whether a daemon that listens at this root's sockets (cisternd, virtstoraged) holds the storage
 * driver's lock. Returns FALSE also if this user may not read the file. A process that holds the
 * lock must not call it.
 */
gboolean cst_driver_lock_is_of_daemon(const CstPaths *paths);
