/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/**
 * Memory for values of secrets and for keys. It is locked (never swapped), excluded from core
 * dumps, emptied in a child of fork(), placed between inaccessible pages, and overwritten when it
 * is freed. Any thread.
 *
 * The kernel limits the memory that a process may lock (RLIMIT_MEMLOCK). Above the limit memory is
 * still allocated, with all protections except the lock, and the log reports it once. A value that
 * may be swapped is better than a pool that cannot start. See cst_secret_bytes_locked().
 */
typedef struct {
    uint8_t *data; /**< followed by a zero byte that @len does not count; NULL: no value */
    size_t len;
} CstSecretBytes;

/** Allocates @len zeroed bytes. Fails with NO_MEMORY. */
gboolean cst_secret_bytes_alloc(CstSecretBytes *ret_bytes, size_t len, GError **error);
/** Copies @len bytes. The caller still wipes the original. Fails with NO_MEMORY. */
gboolean cst_secret_bytes_copy(CstSecretBytes *ret_bytes, const void *data, size_t len,
                               GError **error);
/** Overwrites and frees the bytes. No effect if @bytes is empty. */
void cst_secret_bytes_clear(CstSecretBytes *bytes);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstSecretBytes, cst_secret_bytes_clear)

/**
 * Encodes the bytes as base64; the len of the result counts its characters. Fails with NO_MEMORY.
 */
gboolean cst_secret_bytes_to_base64(CstSecretBytes *ret_text, const CstSecretBytes *bytes,
                                    GError **error);
/** Decodes base64. Skips invalid characters, as libvirt does. Fails with NO_MEMORY. */
gboolean cst_secret_bytes_from_base64(CstSecretBytes *ret_bytes, const char *text, size_t len,
                                      GError **error);

/** Whether all memory that these functions ever allocated is locked. */
gboolean cst_secret_bytes_locked(void);

/**
 * Prevents core dumps and access to /proc/PID/mem by other processes of the same user. These can
 * then not read /proc/PID/fd either. Called automatically when the process first allocates a
 * secret. A daemon calls it at its start, because its libraries keep secrets of their own. Children
 * that execute a program are not affected, except for the limit of core dumps.
 */
void cst_secret_process_protect(void);
/**
 * For debugging: disables cst_secret_process_protect(). Call it before any other function of this
 * file.
 */
void cst_secret_process_allow_dumps(void);
