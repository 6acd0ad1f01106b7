/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/confine.h>

/** A program, and what it begins with. */
typedef struct {
    const char *const *argv; /**< argv[0] is looked up in PATH */
    const char *const *env;
    int in, out, err; /**< become its descriptors 0 to 2 */
    const int *fds;   /**< become 3, 4 and so on; it gets no others */
    guint n_fds;
    const CstConfine *confine; /**< its rights; NULL: ours */
} Launch;

/**
 * Starts the program in a process group of its own, with umask 077 and signals as they are in a
 * shell. Returns the process, which the caller reaps, or -1 with errno set when it can't be run.
 */
GPid child_launch(const Launch *how);
