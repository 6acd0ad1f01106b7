/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/**
 * Memory for values of secrets and for keys. It is locked (never swapped), left out of core dumps,
 * emptied in a child of fork(), between pages that nothing may touch, and overwritten when it is
 * freed. Any thread.
 *
 * The kernel limits how much a process may lock (RLIMIT_MEMLOCK). Above it memory is given all the
 * same, with everything but the lock, and the log says so once: a value that could be swapped is
 * better than a pool that cannot start. cst_secret_bytes_locked() tells.
 */
typedef struct {
    uint8_t *data; /**< with a zero behind it that @len does not count; NULL: none */
    size_t len;
} CstSecretBytes;

/** Makes room for @len zeroed bytes. NO_MEMORY. */
gboolean cst_secret_bytes_alloc(CstSecretBytes *ret_bytes, size_t len, GError **error);
/** Makes a copy of @len bytes; the original stays the caller's to wipe. NO_MEMORY. */
gboolean cst_secret_bytes_copy(CstSecretBytes *ret_bytes, const void *data, size_t len,
                               GError **error);
/** Overwrites and frees; does nothing when there are none. */
void cst_secret_bytes_clear(CstSecretBytes *bytes);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstSecretBytes, cst_secret_bytes_clear)

/** The bytes as base64 text, @len its characters. NO_MEMORY. */
gboolean cst_secret_bytes_to_base64(CstSecretBytes *ret_text, const CstSecretBytes *bytes,
                                    GError **error);
/** Reads base64; passes over what is none, as libvirt does. NO_MEMORY. */
gboolean cst_secret_bytes_from_base64(CstSecretBytes *ret_bytes, const char *text, size_t len,
                                      GError **error);

/** Whether all memory that was ever given out here is locked. */
gboolean cst_secret_bytes_locked(void);

/**
 * Keeps what this process has in memory from others: no core dumps, and no reading of /proc/PID/mem
 * by other processes of its user. It also keeps those from /proc/PID/fd. Done by itself when a
 * process first holds a secret; a daemon, whose libraries keep secrets of their own, does it at its
 * start. Children that execute a program are as they always are, but for the limit of core dumps.
 */
void cst_secret_process_protect(void);
/** For debugging: the process stays as it is. Call it before anything else here. */
void cst_secret_process_allow_dumps(void);
