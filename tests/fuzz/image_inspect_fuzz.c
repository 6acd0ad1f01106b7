/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Looking at an image, as what it seems to be and as every format there is. */
#include <base/units.h>
#include <image/luks.h>

#include "bytes.h"
#include "fuzz.h"
#include "sparse.h"
#include "vhdx/crc32c.h"

/* VHDX is full of checksums that no mutation would ever hit. */
static void mend(CstBlob *blob, uint64_t offset, size_t len)
{
    g_autofree uint8_t *raw = g_malloc(len);
    uint32_t crc;

    if (!cst_blob_pread(blob, raw, len, offset, NULL))
        return;
    memset(raw + 4, 0, 4);
    crc = cst_crc32c(0, raw, len);
    g_assert_true(cst_blob_pwrite(blob, &crc, sizeof(crc), offset + 4, NULL));
}

static void mend_vhdx(CstBlob *blob)
{
    char magic[8];

    if (!cst_blob_pread(blob, magic, sizeof(magic), 0, NULL) || memcmp(magic, "vhdxfile", 8) != 0)
        return;
    mend(blob, 64 * CST_KIB, 4096);
    mend(blob, 128 * CST_KIB, 4096);
    mend(blob, 192 * CST_KIB, 64 * CST_KIB);
    mend(blob, 256 * CST_KIB, 64 * CST_KIB);
}

static void look(CstBlob *blob, const CstImageFormat *format)
{
    g_auto(CstImageInfo) info = {0};
    g_auto(CstImageLuks) luks = {0};
    g_autoptr(GPtrArray) parts = NULL;

    g_assert_true(cst_image_inspect(blob, format, &info, NULL));
    g_assert_true(cst_image_inspect_luks(blob, info.format, &luks, NULL));
    g_assert_true(luks.active_slots <= luks.slot_count && luks.slot_count <= CST_LUKS_SLOTS);
    g_assert_nonnull(info.format);
    parts = cst_image_inspect_parts(blob, info.format, NULL);
    g_assert_true(!info.corrupt || info.problem);
    g_assert_true(info.corrupt || info.capacity <= G_MAXINT64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(CstBlob) blob = sparse_blob(data, size);

    mend_vhdx(blob);
    look(blob, NULL);
    for (size_t i = 0; cst_image_formats()[i]; i++)
        look(blob, cst_image_formats()[i]);
    return 0;
}
