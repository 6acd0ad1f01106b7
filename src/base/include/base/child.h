/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/task.h>

/**
 * Runs an external program: argument vector only (never a shell), LC_ALL=C, no inherited
 * descriptors above 2, stdin from /dev/null, umask 077, its own process group, killed whole on
 * time-out or cancel. Output is capped. The log has the arguments, as every user of the host can
 * see them: nothing secret is ever one.
 */
typedef struct {
    const char *const *argv; /**< argv[0] is looked up in PATH */
    unsigned timeout_s;      /**< 0: none */
    size_t output_limit;     /**< bytes of stdout kept; more is an error. 0: 16 MiB */
} CstChild;

typedef struct {
    int status; /**< exit status, or 128 + signal */
    char *out;  /**< stdout, NUL-terminated */
    char *err;  /**< stderr, NUL-terminated, at most 64 KiB */
} CstChildResult;

void cst_child_result_clear(CstChildResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstChildResult, cst_child_result_clear)

/** FALSE only when it could not run to its end (missing program, time-out, cancel, output cap). */
gboolean cst_child_run(const CstChild *child, CstTask *task, CstChildResult *ret_result,
                       GError **error);
