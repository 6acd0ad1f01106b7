/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/confine.h>
#include <base/task.h>

/**
 * Consumes the next part of stdout. If the rest is not needed, sets *@ret_enough: the child is
 * killed and the run succeeds. On FALSE with @error the child is killed and the run fails with
 * @error.
 */
typedef gboolean (*CstChildTake)(const void *bytes, size_t length, gpointer data,
                                 gboolean *ret_enough, GError **error);

/**
 * Consumer of a child's stdout, which is then not kept. The waiting thread passes each part to
 * @take as it arrives. The total length is not limited.
 */
typedef struct {
    CstChildTake take;
    gpointer data;
    unsigned silence_s; /**< fail with TIMEOUT after so many seconds without output; 0: never */
    /**
     * Checks an end condition that stdout does not show. Called ten times a second. TRUE has the
     * effect of *@ret_enough. NULL: no check.
     */
    gboolean (*enough)(gpointer data);
} CstChildStream;

/**
 * An external program. It has an argument vector (never a shell), LC_ALL=C, no inherited
 * descriptors above 2, umask 077 and its own process group. Timeout and cancellation kill the whole
 * group. Output is bounded. The debug log shows the arguments, because every user of the host can
 * see them anyway. So never pass a secret as an argument; pass it as @input.
 */
typedef struct {
    const char *const *argv; /**< argv[0] is looked up in PATH */
    unsigned timeout_s;      /**< seconds; 0: no timeout */
    size_t output_limit;     /**< bytes of stdout kept; more is an error. 0: 16 MiB */
    const void *input;       /**< content of its stdin; NULL: stdin is /dev/null */
    size_t input_len;
    const int *fds;               /**< descriptors that it gets as 3, 4 and so on */
    guint n_fds;                  /**< length of @fds */
    const CstConfine *confine;    /**< its rights, with only PATH and LC_ALL set; NULL: ours */
    const char *search_path;      /**< its PATH, not used to find argv[0]; NULL: ours */
    gboolean ends_with_us;        /**< gets SIGTERM when the calling thread or process is killed */
    const CstChildStream *stream; /**< consumes stdout, which is then not kept; NULL: keep stdout */
} CstChild;

typedef struct {
    int status; /**< exit status, or 128 + signal */
    char *out;  /**< stdout, NUL-terminated */
    char *err;  /**< stderr, NUL-terminated, at most 64 KiB */
} CstChildResult;

/** Frees the texts of @result, not @result itself. */
void cst_child_result_clear(CstChildResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstChildResult, cst_child_result_clear)

/**
 * Runs @child and waits for its end. @task may be NULL.
 *
 * Returns TRUE for any exit status; the caller then clears *@ret_result. If the stream ended the
 * child early, the status is 0. Returns FALSE if the child did not run to its end: NOT_FOUND
 * (cannot be started), TIMEOUT, CANCELLED, LIMIT (too much output). *@ret_result is then unchanged.
 */
gboolean cst_child_run(const CstChild *child, CstTask *task, CstChildResult *ret_result,
                       GError **error);
