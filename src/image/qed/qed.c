/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "lookup.h"

/* QEMU's enhanced disk, little endian (qemu docs/interop/qed_spec, "Header"). */
#define QED_HEADER_LEN 64

enum { QED_BACKING = 1, QED_NEED_CHECK = 2, QED_BACKING_NO_PROBE = 4, QED_KNOWN = 7 };

/* libvirt compares three letters only; the fourth byte is NUL in every image. */
static int qed_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= 4 && memcmp(head, "QED", 4) == 0 ? 100 : 0;
}

static gboolean is_power_of_two(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

static gboolean check(CstImageLook *look, uint64_t cluster, uint64_t table, uint64_t header)
{
    uint64_t capacity = look->info->capacity, entries = table * cluster / 8;

    if (!is_power_of_two(cluster) || cluster < 4 * CST_KIB || cluster > 64 * CST_MIB)
        cst_look_problem(look, _("the QED header has a bad cluster size"));
    else if (!is_power_of_two(table) || table > 16)
        cst_look_problem(look, _("the QED header has a bad table size"));
    else if (header == 0 || header > G_MAXUINT32 / cluster)
        cst_look_problem(look, _("the QED header has a bad header size"));
    else if (capacity % 512 != 0 || capacity > G_MAXINT64 || capacity / cluster / entries > entries)
        cst_look_problem(look, _("the QED header has a bad size"));
    return !look->info->corrupt;
}

static void qed_inspect(CstImageLook *look)
{
    CstImageInfo *info = look->info;
    uint8_t raw[QED_HEADER_LEN];
    uint64_t features, cluster, header, name, name_len;

    if (!cst_look_read(look, 0, raw, sizeof(raw)))
        return;
    if (!qed_probe(raw, sizeof(raw), look->size)) {
        cst_look_problem(look, _("this is no QED image"));
        return;
    }
    cluster = cst_le32(raw + 4);
    header = cst_le32(raw + 12);
    features = cst_le64(raw + 16);
    info->capacity = cst_le64(raw + 48);
    info->cluster_size = cluster;
    info->dirty = (features & QED_NEED_CHECK) != 0;
    if (!check(look, cluster, cst_le32(raw + 8), header))
        return;
    if (features & ~(uint64_t)QED_KNOWN)
        cst_look_unsupported(look, _("the QED image has unknown features"));
    if (!(features & QED_BACKING))
        return;
    name = cst_le32(raw + 56);
    name_len = cst_le32(raw + 60);
    if (name > header * cluster || name_len > header * cluster - name || name_len > 1023) {
        cst_look_problem(look, _("the QED header has a bad backing file name"));
        return;
    }
    info->backing = cst_look_string(look, name, name_len);
    if (features & QED_BACKING_NO_PROBE)
        cst_look_set(&info->backing_format, "raw");
}

/* --- reading --------------------------------------------------------------------------------- */

/* "Tables": one of places of others, which are of places of clusters; 0 is nowhere, 1 zeroes. */
typedef struct {
    CstLookup lookup;
    uint64_t entries; /* of a table */
    uint64_t l1_offset;
} Qed;

static gboolean read_entry(Qed *qed, uint64_t table, uint64_t index, uint64_t *ret_entry,
                           GError **error)
{
    uint8_t raw[8];

    if (table % qed->lookup.cluster_size != 0)
        return cst_lookup_corrupt(&qed->lookup, error, _("a table is not aligned"));
    if (table > qed->lookup.file_size)
        return cst_lookup_corrupt(&qed->lookup, error, _("a table lies outside the file"));
    if (!cst_lookup_read(&qed->lookup, table + index * 8, raw, sizeof(raw), error))
        return FALSE;
    *ret_entry = cst_le64(raw);
    return TRUE;
}

static gboolean qed_find(CstLookup *lookup, uint64_t index, CstLookupCluster *ret_cluster,
                         GError **error)
{
    Qed *qed = (Qed *)lookup;
    uint64_t inside = index % qed->entries, table = 0, entry = 0;

    if (!read_entry(qed, qed->l1_offset, index / qed->entries, &table, error))
        return FALSE;
    if (table != 0 && !read_entry(qed, table, inside, &entry, error))
        return FALSE;
    if (entry > 1 && entry % lookup->cluster_size != 0)
        return cst_lookup_corrupt(lookup, error, _("an L2 entry is damaged"));
    if (entry > 1)
        return cst_lookup_place(lookup, entry, ret_cluster, error);
    *ret_cluster = (CstLookupCluster){entry == 1 ? CST_RUN_ZERO : cst_lookup_nowhere(lookup), 0,
                                      table ? 1 : qed->entries - inside};
    return TRUE;
}

static const CstLookupOps qed_ops = {.find = qed_find};

static CstImage *qed_open(CstBlob *blob, const CstImageOpen *how, GError **error)
{
    g_autofree Qed *qed = g_new0(Qed, 1);
    g_auto(CstImageInfo) info = {0};
    uint8_t raw[QED_HEADER_LEN];

    if (!cst_lookup_open(&qed->lookup, &qed_ops, blob, &cst_format_qed, how, &info, error))
        return NULL;
    if (!cst_blob_pread(blob, raw, sizeof(raw), 0, error)) {
        cst_lookup_clear(&qed->lookup);
        return NULL;
    }
    qed->entries = cst_le32(raw + 8) * info.cluster_size / 8;
    qed->l1_offset = cst_le64(raw + 40);
    return &g_steal_pointer(&qed)->lookup.blocks.image;
}

const CstImageFormat cst_format_qed = {
    .name = "qed",
    .probe = qed_probe,
    .inspect = qed_inspect,
    .open = qed_open,
    .close = cst_lookup_close,
    .pread = cst_blocks_pread,
    .extent = cst_blocks_extent,
    .locate = cst_blocks_locate,
};
