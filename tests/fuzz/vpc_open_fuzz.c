/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checksums are made right first, so that what lies behind them is reached. */
#include "fuzz.h"
#include "image_work.h"
#include "sparse.h"

static void sign(CstBlob *blob, uint64_t offset, size_t len, size_t at)
{
    uint8_t raw[1024];
    uint32_t sum = 0;
    uint64_t size = 0;

    g_assert_true(cst_blob_get_size(blob, &size, NULL));
    if (offset > size || len > size - offset || !cst_blob_pread(blob, raw, len, offset, NULL))
        return;
    memset(raw + at, 0, 4);
    for (size_t i = 0; i < len; i++)
        sum += raw[i];
    sum = GUINT32_TO_BE(~sum);
    g_assert_true(cst_blob_pwrite(blob, &sum, sizeof(sum), offset + at, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(CstBlob) blob = sparse_blob(data, size);
    g_autoptr(CstBlob) parent = cst_blob_memory_new(NULL, 100000);
    g_auto(CstImageInfo) info = {0};
    gboolean is_child;
    uint64_t length = 0;

    g_assert_true(cst_blob_get_size(blob, &length, NULL));
    sign(blob, 0, 512, 64);
    sign(blob, 512, 1024, 36);
    if (length >= 512)
        sign(blob, length - 512, 512, 64);
    cst_image_inspect(blob, cst_image_format_find("vpc", NULL), &info, NULL);
    is_child = g_strcmp0(info.subformat, "differencing") == 0;
    work_on(blob, "vpc", is_child ? parent : NULL);
    return 0;
}
