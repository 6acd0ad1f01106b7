/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checksums are made right first, so that what lies behind them is reached. */
#include <vhdx/log.h>

#include "fuzz.h"
#include "image_work.h"
#include "sparse.h"

#define MAX_ENTRY (64 * CST_KIB)

static void sign(CstBlob *blob, uint64_t offset, size_t len)
{
    g_autofree uint8_t *raw = g_malloc(len);
    uint64_t size = 0;

    g_assert_true(cst_blob_get_size(blob, &size, NULL));
    if (offset > size || len > size - offset || !cst_blob_pread(blob, raw, len, offset, NULL))
        return;
    vhdx_checksum_set(raw, len);
    g_assert_true(cst_blob_pwrite(blob, raw, len, offset, NULL));
}

/* The log is where everybody puts it. */
static void sign_log(CstBlob *blob)
{
    uint64_t size = 0;

    g_assert_true(cst_blob_get_size(blob, &size, NULL));
    for (uint64_t at = CST_MIB; at < 2 * CST_MIB && at + VHDX_SECTOR <= size; at += VHDX_SECTOR) {
        uint8_t head[12];
        uint32_t len;

        if (!cst_blob_pread(blob, head, sizeof(head), at, NULL) || memcmp(head, "loge", 4) != 0)
            continue;
        memcpy(&len, head + 8, 4);
        if (len >= VHDX_SECTOR && len <= MAX_ENTRY)
            sign(blob, at, len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(CstBlob) blob = sparse_blob(data, size);
    g_autoptr(CstBlob) parent = cst_blob_memory_new(NULL, 100000);
    g_auto(CstImageInfo) info = {0};

    sign(blob, 64 * CST_KIB, VHDX_HEADER_LEN);
    sign(blob, 128 * CST_KIB, VHDX_HEADER_LEN);
    sign(blob, VHDX_AT_REGIONS, VHDX_REGIONS_LEN);
    sign(blob, VHDX_AT_REGIONS + VHDX_REGIONS_LEN, VHDX_REGIONS_LEN);
    sign_log(blob);
    cst_image_inspect(blob, cst_image_format_find("vhdx", NULL), &info, NULL);
    work_on(blob, "vhdx", g_strcmp0(info.subformat, "differencing") == 0 ? parent : NULL);
    return 0;
}
