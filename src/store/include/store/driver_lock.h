/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

/**
 * The lock that decides who manages a root's definitions: a POSIX write lock on byte 0 of
 * driver.pid in the run directory of libvirt's driver, the file holding the pid. libvirt's driver
 * takes the same one, so libvirtd, virtstoraged or virtsecretd, cisternd and embedded commands
 * exclude each other.
 *
 * POSIX locks belong to the process and vanish when any descriptor of the file is closed: at most
 * one CstDriverLock of a kind per root and process may exist. Taking and releasing is for one
 * thread at a time.
 */
typedef struct CstDriverLock CstDriverLock;

typedef enum {
    CST_DRIVER_STORAGE, /**< pools: run/libvirt/storage/driver.pid */
    CST_DRIVER_SECRET   /**< secrets: run/libvirt/secrets/driver.pid */
} CstDriver;

CstDriverLock *cst_driver_lock_new(const CstPaths *paths, CstDriver driver);
/** Releases too, and removes the file of a lock that is held: its manager goes away. */
void cst_driver_lock_free(CstDriverLock *lock);

/**
 * Waits up to @timeout_ms; then BUSY, naming the holder's pid and command. The run directory is
 * made when missing.
 */
gboolean cst_driver_lock_acquire(CstDriverLock *lock, unsigned timeout_ms, GError **error);
/**
 * Does nothing when the lock is not held. The file stays, empty, so that taking and releasing leave
 * the directory as it is.
 */
void cst_driver_lock_release(CstDriverLock *lock);
gboolean cst_driver_lock_is_held(const CstDriverLock *lock);

/**
 * Who holds the lock of @paths ("process 123 (libvirtd)"), without taking it; NULL: nobody. The
 * caller frees. Not for a process that holds the lock itself, which it would lose.
 */
char *cst_driver_lock_holder(const CstPaths *paths);
