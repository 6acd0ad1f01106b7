/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/**
 * A simulated kernel in a directory. The four functions that query the kernel are wrapped with
 * --wrap. The kernel's files are below the directory. A device node is a file there that begins
 * with "MAJOR:MINOR".
 */

extern char *kernel_folder;
/** errno of an exclusive (O_EXCL) or direct (O_DIRECT) open; 0: success */
extern int kernel_open_errno;
/** Loop devices have no nodes. */
extern gboolean kernel_no_nodes;
/** The node whose open hangs until this is changed; atomic. NULL: no open hangs. */
extern const char *kernel_hanging;

/** Makes the empty directory. */
void kernel_make(void);
/** Removes it. */
void kernel_remove(void);
/**
 * Returns the file that simulates @path; a path below the directory is itself. The caller frees it.
 */
char *kernel_file(const char *path);
/** Writes a file, and makes its parent directories. */
void kernel_put(const char *path, const char *text);
/**
 * Makes a symbolic link at @path to @target, which may be in another directory. Both are the
 * kernel's paths.
 */
void kernel_link(const char *path, const char *target);
/** Removes a file or a tree. */
void kernel_drop(const char *path);
/** Parses the device number at the start of @text, as in a node. */
gboolean kernel_number(const char *text, dev_t *ret_device);

char *__wrap_cst_kernel_read(const char *path);
