/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Decodes, checks and encodes the header of a hosted sparse extent, and writes directories that
 * refer to consecutive tables. The checked bounds prevent overflows in later arithmetic, and keep
 * the directory short enough to be walked.
 */
#include "header.h"

#include <string.h>

#include <base/alloc.h>
#include <base/i18n.h>

#include "bytes.h"

#define MAX_GRAIN     0x200000u /* 1 GiB; QEMU has the same bounds */
#define MAX_DIRECTORY (32u << 20)

static const char newlines[4] = "\n \r\n";

void vmdk_header_decode(const uint8_t *raw, VmdkHeader *ret_header)
{
    *ret_header = (VmdkHeader){
        .version = cst_le32(raw + 4),
        .flags = cst_le32(raw + 8),
        .capacity = cst_le64(raw + 12),
        .grain = cst_le64(raw + 20),
        .descriptor = cst_le64(raw + 28),
        .descriptor_len = cst_le64(raw + 36),
        .gtes = cst_le32(raw + 44),
        .rgd = cst_le64(raw + 48),
        .gd = cst_le64(raw + 56),
        .overhead = cst_le64(raw + 64),
        .unclean = raw[72] != 0,
        .compression = cst_le16(raw + 77),
    };
    ret_header->mangled =
        (ret_header->flags & VMDK_FLAG_NEWLINES) && memcmp(raw + 73, newlines, 4) != 0;
}

void vmdk_header_encode(const VmdkHeader *header, uint8_t *raw)
{
    memset(raw, 0, VMDK_HEADER_LEN);
    memcpy(raw, "KDMV", 4);
    cst_put_le32(raw + 4, header->version);
    cst_put_le32(raw + 8, header->flags);
    cst_put_le64(raw + 12, header->capacity);
    cst_put_le64(raw + 20, header->grain);
    cst_put_le64(raw + 28, header->descriptor);
    cst_put_le64(raw + 36, header->descriptor_len);
    cst_put_le32(raw + 44, header->gtes);
    cst_put_le64(raw + 48, header->rgd);
    cst_put_le64(raw + 56, header->gd);
    cst_put_le64(raw + 64, header->overhead);
    raw[72] = header->unclean ? 1 : 0;
    memcpy(raw + 73, newlines, 4);
    cst_put_le16(raw + 77, header->compression);
}

const char *vmdk_header_problem(const VmdkHeader *header)
{
    if (header->version == 0 || header->version > VMDK_MAX_VERSION)
        return _("the VMDK image has an unknown version");
    if (header->mangled)
        return _("the VMDK image was transferred as text");
    if (header->capacity > VMDK_MAX_SECTORS)
        return _("the VMDK image has a bad size");
    if (header->grain == 0 || (header->grain & (header->grain - 1)) != 0 ||
        header->grain > MAX_GRAIN)
        return _("the VMDK image has a bad grain size");
    if (header->gtes == 0 || header->gtes > VMDK_MAX_GTES)
        return _("the VMDK image has bad grain tables");
    if (header->capacity / (header->gtes * header->grain) >= MAX_DIRECTORY)
        return _("the VMDK image's grain directory is too large");
    if (header->descriptor != 0 && (header->descriptor > VMDK_MAX_SECTORS / 2 ||
                                    header->descriptor_len > VMDK_MAX_SECTORS / 2))
        return _("the VMDK image has a bad descriptor");
    if (header->overhead > VMDK_FILE_SECTORS)
        return _("the VMDK image's first grain lies out of reach");
    return NULL;
}

static gboolean sectors_overlap(uint64_t sector, uint64_t count, uint64_t start, uint64_t len)
{
    return sector < start + len && start < sector + count;
}

gboolean vmdk_header_hits_metadata(const VmdkHeader *header, uint64_t sector, uint64_t count)
{
    uint64_t directory = vmdk_header_directory_len(header);

    return sector == 0 ||
           (header->descriptor &&
            sectors_overlap(sector, count, header->descriptor, header->descriptor_len)) ||
           sectors_overlap(sector, count, header->gd, directory) ||
           ((header->flags & VMDK_FLAG_REDUNDANT) &&
            sectors_overlap(sector, count, header->rgd, directory));
}

gboolean vmdk_write_directory(CstBlob *blob, uint64_t sector, uint64_t first, uint64_t count,
                              uint64_t table, uint64_t table_len, GError **error)
{
    size_t room = (size_t)MIN(count, CST_MIB / 4);
    g_autofree uint8_t *chunk = cst_alloc(room, 4, blob->name, error);

    if (!chunk)
        return FALSE;
    for (uint64_t done = 0; done < count;) {
        size_t n = (size_t)MIN(room, count - done);

        for (size_t i = 0; i < n; i++)
            cst_put_le32(chunk + i * 4, (uint32_t)(table + (done + i) * table_len));
        if (!cst_blob_pwrite(blob, chunk, n * 4, sector * VMDK_SECTOR + (first + done) * 4, error))
            return FALSE;
        done += n;
    }
    return TRUE;
}

gboolean vmdk_write_header(CstBlob *blob, const VmdkHeader *header, GError **error)
{
    uint8_t raw[VMDK_HEADER_LEN];

    vmdk_header_encode(header, raw);
    return cst_blob_pwrite(blob, raw, sizeof(raw), 0, error);
}
