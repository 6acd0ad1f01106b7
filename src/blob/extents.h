/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

typedef struct {
    int fd;
    const char *name; /**< for messages */
    uint64_t offset;
} CstFileRange;

/**
 * Whether two ranges of files that have just been made to share their extents do: the file system
 * is asked where they lie on the disk, which takes no reading. Where it can't tell, or tells of two
 * places, the bytes are read and compared.
 */
gboolean cst_extents_are_same(const CstFileRange *a, const CstFileRange *b, uint64_t length,
                              gboolean *ret_same, GError **error);
