/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Decodes, checks and encodes the header and the extensions that this code uses.
 *
 * The header may come from an attacker. All reads are bounded: at most MAX_EXTENSIONS extensions
 * inside the first cluster, names up to the limits of header.h. Names are read before features and
 * tables are checked, so that the references of a damaged image are reported too.
 */
#include "header.h"

#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

#define MAX_EXTENSIONS 256

static void header_decode(const uint8_t *raw, Qcow2Header *header)
{
    header->version = cst_be32(raw + 4);
    header->backing_offset = cst_be64(raw + 8);
    header->backing_size = cst_be32(raw + 16);
    header->cluster_bits = cst_be32(raw + 20);
    header->size = cst_be64(raw + QCOW2_AT_SIZE);
    header->crypt = cst_be32(raw + 32);
    header->l1_size = cst_be32(raw + QCOW2_AT_L1_SIZE);
    header->l1_offset = cst_be64(raw + QCOW2_AT_L1_OFFSET);
    header->reftable_offset = cst_be64(raw + QCOW2_AT_REFTABLE_OFFSET);
    header->reftable_clusters = cst_be32(raw + QCOW2_AT_REFTABLE_SIZE);
    header->snapshots = cst_be32(raw + QCOW2_AT_SNAPSHOTS);
    header->snapshots_offset = cst_be64(raw + 64);
    header->refcount_order = 4;
    header->length = QCOW2_V2_LENGTH;
}

static void decode_v3(const uint8_t *raw, Qcow2Header *header)
{
    header->incompatible = cst_be64(raw + QCOW2_AT_INCOMPATIBLE);
    header->compatible = cst_be64(raw + 80);
    header->autoclear = cst_be64(raw + QCOW2_AT_AUTOCLEAR);
    header->refcount_order = cst_be32(raw + 96);
    header->length = cst_be32(raw + 100);
    if (header->length > 104) /* "not present when header_length is not beyond its offset" */
        header->compression = raw[104];
}

static gboolean header_bad(CstInspection *inspection, const char *what)
{
    cst_inspection_problem(inspection, _("the qcow2 header has a bad %s"), what);
    return FALSE;
}

/* Checks the fields that are needed to find all other content of the header. */
static gboolean check_frame(CstInspection *inspection, const Qcow2Header *header)
{
    uint64_t cluster_size;

    if (header->cluster_bits < QCOW2_MIN_CLUSTER_BITS ||
        header->cluster_bits > QCOW2_MAX_CLUSTER_BITS)
        return header_bad(inspection, "cluster size");
    cluster_size = UINT64_C(1) << header->cluster_bits;
    if (header->version >= 3 && (header->length < QCOW2_V3_LENGTH || header->length % 8 != 0 ||
                                 header->length > cluster_size))
        return header_bad(inspection, "header length");
    if (header->backing_offset > cluster_size)
        return header_bad(inspection, "backing file offset");
    if (header->backing_offset != 0 &&
        (header->backing_size > QCOW2_MAX_BACKING_NAME ||
         header->backing_size > cluster_size - header->backing_offset))
        return header_bad(inspection, "backing file name length");
    return TRUE;
}

static gboolean table_is_sane(const CstInspection *inspection, const Qcow2Header *header,
                              uint64_t offset, uint64_t bytes)
{
    uint64_t cluster_size = UINT64_C(1) << header->cluster_bits;

    if (bytes == 0)
        return TRUE;
    return offset % cluster_size == 0 && offset >= cluster_size && offset <= inspection->size &&
           bytes <= inspection->size - offset;
}

static gboolean check_tables(CstInspection *inspection, const Qcow2Header *header)
{
    uint64_t reftable_bytes = (uint64_t)header->reftable_clusters << header->cluster_bits;
    uint64_t span = qcow2_l1_span(header);
    uint64_t needed = cst_div_up(header->size, span);

    if (header->size > G_MAXINT64)
        return header_bad(inspection, "size");
    if (header->l1_size > QCOW2_MAX_L1_BYTES / 8 || needed > QCOW2_MAX_L1_BYTES / 8)
        return header_bad(inspection, "L1 table size: it is too large");
    if (header->l1_size < needed)
        return header_bad(inspection, "L1 table size: it is too small for the image");
    if (!table_is_sane(inspection, header, header->l1_offset, (uint64_t)header->l1_size * 8))
        return header_bad(inspection, "L1 table offset");
    if (reftable_bytes == 0 || reftable_bytes > QCOW2_MAX_REFTABLE_BYTES)
        return header_bad(inspection, "refcount table size");
    if (!table_is_sane(inspection, header, header->reftable_offset, reftable_bytes))
        return header_bad(inspection, "refcount table offset");
    if (header->snapshots > QCOW2_MAX_SNAPSHOTS) {
        header_bad(inspection, "number of snapshots");
        return TRUE; /* a repair removes the snapshots beyond the limit */
    }
    if (!table_is_sane(inspection, header, header->snapshots_offset,
                       (uint64_t)header->snapshots * 40))
        return header_bad(inspection, "snapshot table offset");
    return TRUE;
}

static gboolean check_features(CstInspection *inspection, const Qcow2Header *header)
{
    gboolean compression_bit = (header->incompatible & QCOW2_INCOMPAT_COMPRESSION) != 0;

    if (header->refcount_order > 6)
        return header_bad(inspection, "refcount width");
    if (header->crypt > QCOW2_CRYPT_LUKS)
        return header_bad(inspection, "encryption method");
    if (header->incompatible & QCOW2_INCOMPAT_CORRUPT)
        cst_inspection_problem(inspection, _("the image is marked as corrupt"));
    if (header->incompatible & ~(uint64_t)QCOW2_INCOMPAT_KNOWN)
        cst_inspection_unsupported(inspection, _("the image has unknown features (0x%" PRIx64 ")"),
                                   header->incompatible & ~(uint64_t)QCOW2_INCOMPAT_KNOWN);
    if ((header->incompatible & QCOW2_INCOMPAT_EXTENDED_L2) &&
        header->cluster_bits < QCOW2_MIN_EXT_CLUSTER_BITS)
        return header_bad(inspection, "cluster size for extended L2 entries");
    if (compression_bit != (header->compression != 0))
        return header_bad(inspection, "compression type");
    if (header->compression > QCOW2_ZSTD)
        cst_inspection_unsupported(inspection, _("the image has the unknown compression type %u"),
                                   header->compression);
    return TRUE;
}

static void header_describe(CstInspection *inspection, const Qcow2Header *header)
{
    static const char *const crypts[] = {NULL, "aes", "luks"};
    CstImageInfo *info = inspection->info;

    info->capacity = header->size;
    info->cluster_size = UINT64_C(1) << header->cluster_bits;
    info->snapshots = header->snapshots;
    cst_inspection_set(&info->compat, header->version == 2 ? "0.10" : "1.1");
    cst_inspection_set(&info->compression, header->compression == QCOW2_ZSTD ? "zstd" : "zlib");
    info->marked_corrupt = (header->incompatible & QCOW2_INCOMPAT_CORRUPT) != 0;
    if (header->refcount_order <= 6)
        info->refcount_bits = 1u << header->refcount_order;
    info->dirty = (header->incompatible & QCOW2_INCOMPAT_DIRTY) != 0;
    info->extended_l2 = (header->incompatible & QCOW2_INCOMPAT_EXTENDED_L2) != 0;
    info->lazy_refcounts = (header->compatible & QCOW2_COMPAT_LAZY_REFCOUNTS) != 0;
    if (header->crypt < G_N_ELEMENTS(crypts))
        cst_inspection_set(&info->encryption, crypts[header->crypt]);
}

static gboolean read_pointer(CstInspection *inspection, Qcow2Header *header, uint32_t type,
                             uint64_t offset, uint32_t len)
{
    uint8_t raw[24] = {0};

    if (!cst_inspection_read(inspection, offset, raw, MIN(len, sizeof(raw))))
        return FALSE;
    if (type == QCOW2_EXT_CRYPT) {
        header->crypt_offset = cst_be64(raw);
        header->crypt_bytes = cst_be64(raw + 8);
        return TRUE;
    }
    header->has_bitmaps = TRUE;
    header->bitmaps = cst_be32(raw);
    header->bitmaps_bytes = cst_be64(raw + 8);
    header->bitmaps_offset = cst_be64(raw + 16);
    inspection->info->bitmaps = header->autoclear & QCOW2_AUTOCLEAR_BITMAPS ? header->bitmaps : 0;
    return TRUE;
}

static gboolean read_extension(CstInspection *inspection, Qcow2Header *header, uint32_t type,
                               uint64_t offset, uint32_t len)
{
    char **field = NULL;

    if (type == QCOW2_EXT_BITMAPS || type == QCOW2_EXT_CRYPT)
        return read_pointer(inspection, header, type, offset, len);
    if (type == QCOW2_EXT_BACKING_FORMAT)
        field = &inspection->info->backing_format;
    else if (type == QCOW2_EXT_DATA_FILE)
        field = &inspection->info->data_file;
    if (!field)
        return TRUE;
    if (len > QCOW2_MAX_EXTENSION_NAME)
        return header_bad(inspection, "header extension");
    g_free(*field);
    *field = cst_inspection_string(inspection, offset, len);
    return *field != NULL;
}

/* The extensions lie between the header and the backing file's name, inside the first cluster. */
static gboolean read_extensions(CstInspection *inspection, Qcow2Header *header)
{
    uint64_t end =
        header->backing_offset ? header->backing_offset : UINT64_C(1) << header->cluster_bits;
    uint64_t at = header->length;

    end = MIN(end, inspection->size);
    for (unsigned i = 0; at + 8 <= end && i < MAX_EXTENSIONS; i++) {
        uint8_t raw[8];
        uint32_t len;

        if (!cst_inspection_read(inspection, at, raw, sizeof(raw)))
            return FALSE;
        len = cst_be32(raw + 4);
        at += 8;
        if (cst_be32(raw) == QCOW2_EXT_END)
            break;
        if (len > end - at)
            return header_bad(inspection, "header extension");
        if (!read_extension(inspection, header, cst_be32(raw), at, len))
            return FALSE;
        at += (len + UINT64_C(7)) / 8 * 8;
    }
    return TRUE;
}

static gboolean read_names(CstInspection *inspection, Qcow2Header *header)
{
    CstImageInfo *info = inspection->info;

    if (!read_extensions(inspection, header))
        return FALSE;
    if (header->incompatible & QCOW2_INCOMPAT_DATA_FILE) {
        info->data_file_raw = (header->autoclear & QCOW2_AUTOCLEAR_RAW_DATA) != 0;
        if (!info->data_file)
            cst_inspection_set(&info->data_file, "");
    } else {
        g_clear_pointer(&info->data_file, g_free);
    }
    if (header->backing_offset != 0 && header->backing_size != 0) {
        info->backing =
            cst_inspection_string(inspection, header->backing_offset, header->backing_size);
        return info->backing != NULL;
    }
    g_clear_pointer(&info->backing_format, g_free); /* no backing image */
    return TRUE;
}

gboolean qcow2_header_read(CstInspection *inspection, Qcow2Header *ret_header)
{
    uint8_t raw[112] = {0};
    Qcow2Header header = {0};

    if (!cst_inspection_read(inspection, 0, raw, QCOW2_V2_LENGTH))
        return FALSE;
    header_decode(raw, &header);
    if (cst_be32(raw) != QCOW2_MAGIC || header.version < 2 || header.version > 3) {
        cst_inspection_problem(inspection, _("this is no qcow2 image of version 2 or 3"));
        return FALSE;
    }
    if (header.version == 3) {
        if (!cst_inspection_read(inspection, 0, raw, QCOW2_V3_LENGTH))
            return FALSE;
        if (inspection->size >= sizeof(raw) &&
            !cst_inspection_read(inspection, 0, raw, sizeof(raw)))
            return FALSE;
        decode_v3(raw, &header);
    }
    if (!check_frame(inspection, &header))
        return FALSE;
    header_describe(inspection, &header);
    /* Read the names first, so that a damaged image reports its references too. */
    if (!read_names(inspection, &header) || !check_features(inspection, &header) ||
        !check_tables(inspection, &header))
        return FALSE;
    *ret_header = header;
    return TRUE;
}

void qcow2_header_encode(const Qcow2Header *header, uint8_t *raw)
{
    cst_put_be32(raw, QCOW2_MAGIC);
    cst_put_be32(raw + 4, header->version);
    cst_put_be64(raw + 8, header->backing_offset);
    cst_put_be32(raw + 16, header->backing_size);
    cst_put_be32(raw + 20, header->cluster_bits);
    cst_put_be64(raw + QCOW2_AT_SIZE, header->size);
    cst_put_be32(raw + 32, header->crypt);
    cst_put_be32(raw + QCOW2_AT_L1_SIZE, header->l1_size);
    cst_put_be64(raw + QCOW2_AT_L1_OFFSET, header->l1_offset);
    cst_put_be64(raw + QCOW2_AT_REFTABLE_OFFSET, header->reftable_offset);
    cst_put_be32(raw + QCOW2_AT_REFTABLE_SIZE, header->reftable_clusters);
    cst_put_be32(raw + QCOW2_AT_SNAPSHOTS, header->snapshots);
    cst_put_be64(raw + 64, header->snapshots_offset);
    if (header->version < 3)
        return;
    cst_put_be64(raw + QCOW2_AT_INCOMPATIBLE, header->incompatible);
    cst_put_be64(raw + 80, header->compatible);
    cst_put_be64(raw + QCOW2_AT_AUTOCLEAR, header->autoclear);
    cst_put_be32(raw + 96, header->refcount_order);
    cst_put_be32(raw + 100, header->length);
    raw[104] = header->compression;
}
