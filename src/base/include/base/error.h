/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Errors: one GError domain and one enum.
 *
 * GError.message is the detail only ("no storage pool with matching name 'x'"); the sentence that
 * people read has the class in front of it ("Storage pool not found: …") and comes from
 * cst_error_text(). A message says what happened, to which object, and what to do next.
 */
#define CST_ERROR (cst_error_quark())

typedef enum {
    /* not found */
    CST_ERROR_NO_POOL,
    CST_ERROR_NO_VOL,
    CST_ERROR_NO_SECRET,
    CST_ERROR_NOT_FOUND,
    /* exists */
    CST_ERROR_POOL_EXISTS,
    CST_ERROR_VOL_EXISTS,
    CST_ERROR_EXISTS,
    CST_ERROR_POOL_BUILT,
    /* busy, or in the wrong state for the request */
    CST_ERROR_BUSY,
    CST_ERROR_STATE,
    CST_ERROR_NOT_PERSISTENT, /**< a pool without a definition file; libvirt's number is 1 */
    /* the caller's mistake */
    CST_ERROR_INVALID,
    CST_ERROR_FLAGS,
    CST_ERROR_XML,
    CST_ERROR_XML_SYNTAX, /**< not well-formed; the message shows the place */
    CST_ERROR_XML_SCHEMA,
    CST_ERROR_CONFIG,
    CST_ERROR_INVALID_SECRET,
    CST_ERROR_OVERFLOW,
    CST_ERROR_RPC,
    CST_ERROR_USAGE,
    /* can't be done here */
    CST_ERROR_UNSUPPORTED,
    CST_ERROR_ARGUMENT_UNSUPPORTED,
    CST_ERROR_NO_SUPPORT,
    CST_ERROR_NO_CONNECT,
    /* permission */
    CST_ERROR_DENIED,
    CST_ERROR_READ_ONLY,
    CST_ERROR_AUTH,
    /* storage and system */
    CST_ERROR_CORRUPT,
    CST_ERROR_PROBE,
    CST_ERROR_LIMIT,
    CST_ERROR_NO_SPACE,
    CST_ERROR_NO_MEMORY,
    CST_ERROR_CANCELLED,
    CST_ERROR_TIMEOUT,
    CST_ERROR_UNREACHABLE,
    CST_ERROR_MISMATCH,
    CST_ERROR_PARTIAL,
    CST_ERROR_UNPROVEN, /**< a check could not be made on this host, whatever it would find */
    CST_ERROR_IO,
    CST_ERROR_FAILED,
    CST_ERROR_INTERNAL, /**< a bug of ours, never the user's mistake */
    /* no failure */
    CST_ERROR_DRY_RUN, /**< a dry run has passed every check (base/dry_run.h) */
    CST_ERROR_LAST
} CstErrorCode;

/** CST_ERROR. */
GQuark cst_error_quark(void);

/**
 * Returns the code of @error if it is of our domain, otherwise the nearest one (GIOError,
 * GFileError).
 */
CstErrorCode cst_error_code(const GError *error);

/** Returns the whole sentence for people, in the user's language; the caller frees it. */
char *cst_error_text(const GError *error);

/**
 * Sets @error, which may be NULL, to @code with the formatted detail. Always FALSE, so that `return
 * cst_fail(error, …)` reads well.
 */
gboolean cst_fail(GError **error, CstErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/**
 * As cst_fail() with ": " and strerror(@err) appended; the code is chosen from @err (ENOSPC and
 * EDQUOT: NO_SPACE; EACCES, EPERM and EROFS: DENIED; ENOENT: NOT_FOUND; others: IO). All of these
 * are SYSTEM_ERROR (38) on the wire, as in libvirt.
 */
gboolean cst_fail_errno(GError **error, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* --- not in the library: what a compiler can't see in another file --------------------------- */

/**
 * Makes the result of @call, which is always FALSE, visible to the compiler where it is called: a
 * variable that is written only on success is then not taken to be read after a failure.
 */
#define CST_GIVES_FALSE(call) \
    ({                        \
        (void)call;           \
        FALSE;                \
    })
#define cst_fail(...)       CST_GIVES_FALSE(cst_fail(__VA_ARGS__))
#define cst_fail_errno(...) CST_GIVES_FALSE(cst_fail_errno(__VA_ARGS__))
