/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** A range of an open file. */
typedef struct {
    int fd;           /**< borrowed */
    const char *name; /**< for messages */
    uint64_t offset;
} CstFileRange;

/**
 * Verify that two ranges of @length bytes, which were just made to share extents, have the same
 * content. Compares physical addresses (FIEMAP) without reading. If the file system reports no
 * addresses or different ones, reads and compares both ranges.
 */
gboolean cst_extents_are_same(const CstFileRange *a, const CstFileRange *b, uint64_t length,
                              gboolean *ret_same, GError **error);
