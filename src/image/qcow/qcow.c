/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "inflate.h"
#include "lookup.h"

/* The first version of QEMU's copy-on-write format, big endian (keramics.github.io/qcow.html,
 * "QCOW file header version 1"). Bounds as qemu has them. */
#define QCOW_MAGIC      0x514649fbu
#define QCOW_HEADER_LEN 48

static int qcow_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= 8 && cst_be32(head) == QCOW_MAGIC && cst_be32(head + 4) == 1 ? 100 : 0;
}

static void read_backing(CstImageLook *look, uint64_t offset, uint32_t len)
{
    if (offset == 0)
        return;
    if (len > 1023)
        cst_look_problem(look, _("the qcow header has a bad backing file name length"));
    else if (len > 0)
        look->info->backing = cst_look_string(look, offset, len);
}

static void qcow_inspect(CstImageLook *look)
{
    CstImageInfo *info = look->info;
    uint8_t raw[QCOW_HEADER_LEN];
    unsigned cluster_bits, l2_bits;
    uint32_t crypt;

    if (!cst_look_read(look, 0, raw, sizeof(raw)))
        return;
    if (!qcow_probe(raw, sizeof(raw), look->size)) {
        cst_look_problem(look, _("this is no qcow image of version 1"));
        return;
    }
    info->capacity = cst_be64(raw + 24);
    cluster_bits = raw[32];
    l2_bits = raw[33];
    crypt = cst_be32(raw + 36);
    read_backing(look, cst_be64(raw + 8), cst_be32(raw + 16));
    if (crypt == 1)
        cst_look_set(&info->encryption, "aes");
    if (cluster_bits < 9 || cluster_bits > 16) {
        cst_look_problem(look, _("the qcow header has a bad cluster size"));
        return;
    }
    info->cluster_size = UINT64_C(1) << cluster_bits;
    if (l2_bits < 6 || l2_bits > 13)
        cst_look_problem(look, _("the qcow header has a bad L2 table size"));
    else if (info->capacity < 2 || info->capacity > G_MAXINT64 ||
             info->capacity >> (cluster_bits + l2_bits) > G_MAXINT32 / 8)
        cst_look_problem(look, _("the qcow header has a bad size"));
    else if (crypt > 1)
        cst_look_problem(look, _("the qcow header has a bad encryption method"));
}

/* --- reading --------------------------------------------------------------------------------- */

/*
 * An L1 table of places of L2 tables, whose entries are places of clusters, 0 for none. The highest
 * bit of an entry marks a compressed cluster; below it come as many bits of length as a cluster's
 * offset has, then the place, of bytes.
 */
#define QCOW_COMPRESSED (UINT64_C(1) << 63)

typedef struct {
    CstLookup lookup;
    unsigned cluster_bits, l2_bits;
    uint64_t l1_offset;
} Qcow;

static gboolean read_entry(Qcow *qcow, uint64_t table, uint64_t index, uint64_t *ret_entry,
                           GError **error)
{
    uint8_t raw[8];

    if (table > qcow->lookup.file_size)
        return cst_lookup_corrupt(&qcow->lookup, error, _("a table lies outside the file"));
    if (!cst_lookup_read(&qcow->lookup, table + index * 8, raw, sizeof(raw), error))
        return FALSE;
    *ret_entry = cst_be64(raw);
    return TRUE;
}

static gboolean qcow_find(CstLookup *lookup, uint64_t index, CstLookupCluster *ret_cluster,
                          GError **error)
{
    Qcow *qcow = (Qcow *)lookup;
    uint64_t entries = UINT64_C(1) << qcow->l2_bits, inside = index & (entries - 1);
    uint64_t table = 0, entry = 0;

    if (!read_entry(qcow, qcow->l1_offset, index >> qcow->l2_bits, &table, error))
        return FALSE;
    if (table != 0 && !read_entry(qcow, table, inside, &entry, error))
        return FALSE;
    if (entry == 0)
        *ret_cluster =
            (CstLookupCluster){cst_lookup_nowhere(lookup), 0, table ? 1 : entries - inside};
    else if (entry & QCOW_COMPRESSED)
        *ret_cluster = (CstLookupCluster){CST_RUN_PACKED, entry, 1};
    else if (entry % 512 != 0)
        return cst_lookup_corrupt(lookup, error, _("an L2 entry is damaged"));
    else
        return cst_lookup_place(lookup, entry, ret_cluster, error);
    return TRUE;
}

static gboolean qcow_unpack(CstLookup *lookup, uint64_t entry, uint8_t *buf, GError **error)
{
    const Qcow *qcow = (const Qcow *)lookup;
    unsigned shift = 63 - qcow->cluster_bits;
    size_t len = (size_t)(entry >> shift) & (lookup->cluster_size - 1);
    uint64_t host = entry & ((UINT64_C(1) << shift) - 1);
    g_autofree uint8_t *packed = g_malloc(len + 1);

    if (host >= lookup->file_size)
        return cst_lookup_corrupt(lookup, error, _("data lies outside the file"));
    if (!cst_blocks_read_host(&lookup->blocks, packed, len, host, error))
        return FALSE;
    return cst_inflate(packed, len, buf, lookup->cluster_size) ||
           cst_lookup_corrupt(lookup, error, _("a compressed cluster is damaged"));
}

static const CstLookupOps qcow_ops = {.find = qcow_find, .unpack = qcow_unpack};

static gboolean take_geometry(Qcow *qcow, CstBlob *blob, GError **error)
{
    uint64_t span, tables;
    uint8_t raw[QCOW_HEADER_LEN];

    if (!cst_blob_pread(blob, raw, sizeof(raw), 0, error))
        return FALSE;
    qcow->cluster_bits = raw[32];
    qcow->l2_bits = raw[33];
    qcow->l1_offset = cst_be64(raw + 40);
    span = UINT64_C(1) << (qcow->cluster_bits + qcow->l2_bits);
    tables = cst_div_up(qcow->lookup.blocks.image.capacity, span);
    return (qcow->l1_offset <= qcow->lookup.file_size &&
            tables <= (qcow->lookup.file_size - qcow->l1_offset) / 8) ||
           cst_lookup_corrupt(&qcow->lookup, error, _("a table lies outside the file"));
}

static CstImage *qcow_open(CstBlob *blob, const CstImageOpen *how, GError **error)
{
    g_autofree Qcow *qcow = g_new0(Qcow, 1);
    g_auto(CstImageInfo) info = {0};

    if (!cst_lookup_open(&qcow->lookup, &qcow_ops, blob, &cst_format_qcow, how, &info, error))
        return NULL;
    if (!take_geometry(qcow, blob, error)) {
        cst_lookup_clear(&qcow->lookup);
        return NULL;
    }
    return &g_steal_pointer(&qcow)->lookup.blocks.image;
}

const CstImageFormat cst_format_qcow = {
    .name = "qcow",
    .probe = qcow_probe,
    .inspect = qcow_inspect,
    .open = qcow_open,
    .close = cst_lookup_close,
    .pread = cst_blocks_pread,
    .extent = cst_blocks_extent,
};
