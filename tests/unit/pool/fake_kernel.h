/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * A kernel that is played by a folder, for tests of src/pool/device. Linked with --wrap for the
 * four functions that ask the kernel. Below the folder lie its files; a device node is a file there
 * that begins with "MAJOR:MINOR".
 */

extern char *kernel_folder;
extern int
    kernel_open_errno; /**< of opening alone (O_EXCL) or past the cache (O_DIRECT); 0: it opens */
extern gboolean kernel_no_nodes; /**< loop devices have none */

/** Makes the folder, with /dev/sdb (8:16). */
void kernel_make(void);
/** Removes it; what a test's teardown returns. */
int kernel_remove(void);
/** The file that @path is. Free it. */
char *kernel_file(const char *path);
/** Writes a file, and makes its folders. */
void kernel_put(const char *path, const char *text);

char *__wrap_cst_kernel_read(const char *path);
