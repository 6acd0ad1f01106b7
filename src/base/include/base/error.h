/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Errors: one GError domain and one enum.
 *
 * GError.message has only the detail ("no storage pool with matching name 'x'"). cst_error_text()
 * returns the sentence for people, with the class before the detail ("Storage pool not found: …").
 * A message names the failure and the object, and gives the next step.
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
    CST_ERROR_NOT_PERSISTENT, /**< the pool has no definition file; libvirt's number is 1 */
    /* the caller's mistake */
    CST_ERROR_INVALID,
    CST_ERROR_FLAGS,
    CST_ERROR_XML,
    CST_ERROR_XML_SYNTAX, /**< not well-formed; the message shows the position */
    CST_ERROR_XML_SCHEMA,
    CST_ERROR_CONFIG,
    CST_ERROR_INVALID_SECRET,
    CST_ERROR_OVERFLOW,
    CST_ERROR_RPC,
    CST_ERROR_USAGE,
    /* cannot be done on this host or by this storage */
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
    CST_ERROR_UNPROVEN, /**< a check could not be made on this host */
    CST_ERROR_IO,
    CST_ERROR_FAILED,
    CST_ERROR_INTERNAL, /**< a bug in this project, never the user's mistake */
    /* no failure */
    CST_ERROR_DRY_RUN, /**< a dry run has passed every check (base/dry_run.h) */
    CST_ERROR_LAST
} CstErrorCode;

/** Returns the quark of the domain CST_ERROR. */
GQuark cst_error_quark(void);

/**
 * Returns the code of @error if its domain is CST_ERROR. For GIOError and GFileError returns the
 * nearest code.
 */
CstErrorCode cst_error_code(const GError *error);

/** Returns the whole sentence for people, in the user's language; the caller frees it. */
char *cst_error_text(const GError *error);

/**
 * Sets @error, which may be NULL, to @code with the formatted detail. Always returns FALSE, so that
 * a caller can write `return cst_fail(error, …)`.
 */
gboolean cst_fail(GError **error, CstErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/**
 * As cst_fail() with ": " and strerror(@err) appended. The code depends on @err: ENOSPC and EDQUOT
 * are NO_SPACE; EACCES, EPERM and EROFS are DENIED; ENOENT is NOT_FOUND; EINTR is CANCELLED; any
 * other value is IO. All of these except CANCELLED are SYSTEM_ERROR (38) on the wire, as in
 * libvirt.
 */
gboolean cst_fail_errno(GError **error, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* --- not in the library: hints for the compiler about another file --------------------------- */

/**
 * Shows the compiler at the call that the result of @call is always FALSE. It then does not warn
 * that a variable which is set only on success is read after a failure.
 */
#define CST_GIVES_FALSE(call) \
    ({                        \
        (void)call;           \
        FALSE;                \
    })
#define cst_fail(...)       CST_GIVES_FALSE(cst_fail(__VA_ARGS__))
#define cst_fail_errno(...) CST_GIVES_FALSE(cst_fail_errno(__VA_ARGS__))
