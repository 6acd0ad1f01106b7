/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/confine.h>

/** A program and its environment, descriptors and rights. */
typedef struct {
    const char *const *argv; /**< argv[0] is looked up in PATH */
    const char *const *env;
    int in, out, err; /**< become its descriptors 0 to 2 */
    const int *fds;   /**< become 3, 4 and so on; all other descriptors are closed */
    guint n_fds;
    const CstConfine *confine; /**< its rights; NULL: this process's */
    GPid ends_with; /**< the program gets SIGTERM when this process ends; 0: no process */
} Launch;

/**
 * Starts the program in a new process group, with umask 077 and default signal actions. Returns the
 * process, which the caller reaps, or -1 with errno set if it cannot be run.
 */
GPid child_launch(const Launch *how);
