/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

/**
 * The lock that decides who manages a root's definitions: a POSIX write lock on byte 0 of
 * driver.pid in the pools' run directory, the file holding the pid. libvirt's storage driver takes
 * the same one, so libvirtd, virtstoraged, cisternd and embedded commands exclude each other.
 *
 * POSIX locks belong to the process and vanish when any descriptor of the file is closed: at most
 * one CstDriverLock per root and process may exist. Taking and releasing is for one thread at a
 * time.
 */
typedef struct CstDriverLock CstDriverLock;

CstDriverLock *cst_driver_lock_new(const CstPaths *paths);
/** Releases too, and removes the file of a lock that is held: its manager goes away. */
void cst_driver_lock_free(CstDriverLock *lock);

/**
 * Waits up to @timeout_ms; then BUSY, naming the holder's pid and command. The run directory is
 * made when missing.
 */
gboolean cst_driver_lock_take(CstDriverLock *lock, unsigned timeout_ms, GError **error);
/** The file stays, empty, so that taking and releasing leave the directory as it is. */
void cst_driver_lock_release(CstDriverLock *lock);
