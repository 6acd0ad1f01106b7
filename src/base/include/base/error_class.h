/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

/**
 * The meaning of each code for programs. One table (error.c) maps a code to its word in JSON
 * output, its exit status on the command line and its libvirt code on the wire.
 */

/** Exit statuses of the command line (product contract; a number is never reused). */
typedef enum {
    CST_EXIT_OK = 0,
    CST_EXIT_FAILED = 1,
    CST_EXIT_USAGE = 2,
    CST_EXIT_NOT_FOUND = 3,
    CST_EXIT_DENIED = 4,
    CST_EXIT_CONFLICT = 5,
    CST_EXIT_UNREACHABLE = 6,
    CST_EXIT_MISMATCH = 7,
    CST_EXIT_PARTIAL = 8,
    CST_EXIT_TRY_AGAIN = 75,
    CST_EXIT_CANCELLED = 10,
} CstExitStatus;

typedef struct {
    const char *word;   /**< stable token in JSON: "no-pool" */
    CstExitStatus exit; /**< status of the command line */
    int wire;           /**< virErrorNumber */
    const char *format; /**< sentence around the detail, one %s ("Storage pool not found: %s") */
} CstErrorInfo;

/** Returns the row of @code, or that of CST_ERROR_INTERNAL for a number outside the enum. */
const CstErrorInfo *cst_error_info(int code);

/**
 * Returns the most general code with libvirt's number @wire, or CST_ERROR_FAILED if no code has it.
 */
CstErrorCode cst_error_from_wire(int wire);

/** Finds the code with @word. Returns FALSE if no code has it. */
gboolean cst_error_from_word(const char *word, CstErrorCode *ret_code);
