/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <blob/blob.h>

/*
 * Images are mostly zeroes, and inputs must be small: an input that starts with SPARSE_MARK is a
 * list of records, each a little-endian offset (4 bytes), length (2 bytes) and that many bytes; a
 * record without bytes sets the size. Any other input is the image itself.
 */
#define SPARSE_MARK "CSTSPARS"
#define SPARSE_MAX  (UINT64_C(8) << 20)

static inline void sparse_fill(CstBlob *blob, const uint8_t *data, size_t size)
{
    while (size >= 6) {
        uint32_t offset;
        uint16_t len;

        memcpy(&offset, data, 4);
        memcpy(&len, data + 4, 2);
        data += 6;
        size -= 6;
        if (len > size || offset > SPARSE_MAX)
            return;
        if (len > 0)
            g_assert_true(cst_blob_pwrite(blob, data, len, offset, NULL));
        else
            g_assert_true(cst_blob_resize(blob, offset, NULL));
        data += len;
        size -= len;
    }
}

/* The image of an input, in a file without a name, so that far offsets cost nothing. */
static inline CstBlob *sparse_blob(const uint8_t *data, size_t size)
{
    CstBlob *blob = cst_blob_file_new(memfd_create("fuzz", MFD_CLOEXEC), "fuzz", TRUE, NULL);
    size_t mark = strlen(SPARSE_MARK);

    g_assert_nonnull(blob);
    if (size >= mark && memcmp(data, SPARSE_MARK, mark) == 0)
        sparse_fill(blob, data + mark, size - mark);
    else if (size > 0)
        g_assert_true(cst_blob_pwrite(blob, data, size, 0, NULL));
    return blob;
}
