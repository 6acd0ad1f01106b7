/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/**
 * A kernel that is played by a folder. Linked with --wrap for the four functions that ask the
 * kernel. Below the folder lie its files; a device node is a file there that begins with
 * "MAJOR:MINOR".
 */

extern char *kernel_folder;
/** Of opening alone (O_EXCL) or past the cache (O_DIRECT); 0: it opens. */
extern int kernel_open_errno;
/** Loop devices have no nodes. */
extern gboolean kernel_no_nodes;
/** The node that nobody gets to open until it is another; atomic. NULL: none. */
extern const char *kernel_hanging;

/** Makes the empty folder. */
void kernel_make(void);
/** Removes it. */
void kernel_remove(void);
/** The file that @path is; one that lies below the folder is itself. Free it. */
char *kernel_file(const char *path);
/** Writes a file, and makes its folders. */
void kernel_put(const char *path, const char *text);
/**
 * Makes a symbolic link at @path to @target, which need not be a neighbour; both as the kernel has
 * them.
 */
void kernel_link(const char *path, const char *target);
/** Removes a file or a tree. */
void kernel_drop(const char *path);
/** The number that @text begins with, as a node does. */
gboolean kernel_number(const char *text, dev_t *ret_device);

char *__wrap_cst_kernel_read(const char *path);
