/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/confine.h>
#include <base/task.h>

/** Who looks at what a child does while it runs, in the thread that waits for it. */
typedef struct {
    /** Gets stdout, which is not kept then. */
    void (*take)(const char *bytes, size_t len, gpointer data);
    /** Asked ten times a second: whether the child has done what it was run for, and may be killed.
     */
    gboolean (*enough)(gpointer data);
    gpointer data;
} CstChildWatch;

/**
 * An external program: argument vector only (never a shell), LC_ALL=C, no inherited descriptors
 * above 2, umask 077, its own process group, killed whole on timeout or cancellation. Output is
 * bounded. The debug log shows the arguments, as every user of the host can see them anyway:
 * secrets must never be among them, and are given as input.
 */
typedef struct {
    const char *const *argv; /**< argv[0] is looked up in PATH */
    unsigned timeout_s;      /**< 0: none */
    size_t output_limit;     /**< bytes of stdout kept; more is an error. 0: 16 MiB */
    const void *input;       /**< what it reads from its stdin; NULL: that is /dev/null */
    size_t input_len;
    const int *fds;             /**< descriptors that it gets, as 3, 4 and so on */
    guint n_fds;                /**< how many */
    const CstConfine *confine;  /**< its rights, and only PATH of the environment; NULL: ours */
    const CstChildWatch *watch; /**< NULL: nobody looks */
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
 * Runs @child and waits for its end. TRUE whatever its exit status is; the caller clears
 * *@ret_result. FALSE when it did not run to its end: NOT_FOUND (cannot be started), TIMEOUT,
 * CANCELLED, LIMIT (too much output); *@ret_result is then unchanged. A child that its watch has
 * had enough of has run to its end, by SIGKILL. @task may be NULL.
 */
gboolean cst_child_run(const CstChild *child, CstTask *task, CstChildResult *ret_result,
                       GError **error);
