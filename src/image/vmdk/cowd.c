/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A sparse extent of an ESX server ("Virtual Disk Format 1.1", "ESX Server Sparse Extents"), which
 * is only read: a grain directory of tables of 4096 entries, all 32-bit sector numbers, 0 for no
 * grain. Of the header of 2 KiB the first 32 bytes describe the extent; the rest is ignored.
 * Entries are looked up through lookup.h, which caches them and checks every place against the
 * file.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "lookup.h"
#include "vmdk.h"

#define COWD_HEADER_LEN 32u
#define COWD_GTES       4096u

typedef struct {
    CstLookup lookup;
    VmdkExtent extent;
    uint64_t directory; /* place in the file, bytes */
} Cowd;

static Cowd *cowd_of(VmdkExtent *extent)
{
    return (Cowd *)((char *)extent - G_STRUCT_OFFSET(Cowd, extent));
}

gboolean vmdk_is_cowd(CstBlob *blob, gboolean *ret_is_cowd, GError **error)
{
    uint64_t size = 0;
    char magic[4] = "";

    if (!cst_blob_get_size(blob, &size, error) ||
        (size >= VMDK_HEADER_LEN && !cst_blob_pread(blob, magic, sizeof(magic), 0, error)))
        return FALSE;
    *ret_is_cowd = memcmp(magic, "COWD", 4) == 0;
    return TRUE;
}

static gboolean read_entry(CstLookup *lookup, uint64_t table, uint64_t index, uint32_t *ret_entry,
                           GError **error)
{
    uint8_t raw[4];

    if (!cst_lookup_read(lookup, table + index * 4, raw, sizeof(raw), error))
        return FALSE;
    *ret_entry = cst_le32(raw);
    return TRUE;
}

static gboolean cowd_find(CstLookup *lookup, uint64_t grain, CstLookupCluster *ret_cluster,
                          GError **error)
{
    const Cowd *cowd = (const Cowd *)lookup;
    uint64_t inside = grain % COWD_GTES;
    uint32_t table = 0, entry = 0;

    if (!read_entry(lookup, cowd->directory, grain / COWD_GTES, &table, error))
        return FALSE;
    if (table != 0 && !read_entry(lookup, table * UINT64_C(512), inside, &entry, error))
        return FALSE;
    if (entry != 0)
        return cst_lookup_place(lookup, entry * UINT64_C(512), ret_cluster, error);
    *ret_cluster =
        (CstLookupCluster){cst_lookup_nowhere(lookup), 0, table ? 1 : COWD_GTES - inside};
    return TRUE;
}

static const CstLookupOps cowd_lookup = {.find = cowd_find};

static gboolean cowd_pread(VmdkExtent *extent, void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    return cst_blocks_pread(&cowd_of(extent)->lookup.blocks.image, buf, len, offset, error);
}

static gboolean cowd_extent(VmdkExtent *extent, uint64_t offset, uint64_t length,
                            CstExtent *ret_extent, GError **error)
{
    return cst_blocks_extent(&cowd_of(extent)->lookup.blocks.image, offset, length, ret_extent,
                             error);
}

static void cowd_close(VmdkExtent *extent)
{
    cst_blob_unref(extent->blob);
    cst_lookup_close(&cowd_of(extent)->lookup.blocks.image);
}

static const VmdkExtentOps cowd_ops = {
    .pread = cowd_pread,
    .extent = cowd_extent,
    .close = cowd_close,
};

static gboolean check(const CstBlob *blob, const uint8_t *raw, const VmdkExtentHow *how,
                      GError **error)
{
    VmdkHeader header = {.version = cst_le32(raw + 4),
                         .capacity = cst_le32(raw + 12),
                         .grain = cst_le32(raw + 16),
                         .gtes = VMDK_MAX_GTES};
    const char *problem = vmdk_header_problem(&header);

    if (how->image.flags & CST_IMAGE_WRITE)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is a sparse extent of an ESX server, which can only be read: "
                          "convert it"),
                        blob->name);
    if (cst_le32(raw + 4) != 1)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is a sparse extent of an ESX server in version %u, which is not "
                          "supported"),
                        blob->name, cst_le32(raw + 4));
    if (problem)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' can't be opened: %s"), blob->name,
                        problem);
    if (cst_le32(raw + 24) < cst_div_up(header.capacity, header.grain * COWD_GTES))
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("the grain directory of '%s' is too small for the extent"), blob->name);
    return how->length <= header.capacity * VMDK_SECTOR ||
           cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is shorter than its VMDK descriptor says"),
                    blob->name);
}

static gboolean init(Cowd *cowd, CstBlob *blob, const VmdkExtentHow *how, GError **error)
{
    uint8_t raw[COWD_HEADER_LEN];
    uint64_t length;

    if (!cst_blob_pread(blob, raw, sizeof(raw), 0, error) || !check(blob, raw, how, error))
        return FALSE;
    length = how->length ? how->length : cst_le32(raw + 12) * UINT64_C(512);
    if (!cst_lookup_init(&cowd->lookup, &cowd_lookup, blob, &how->image,
                         cst_le32(raw + 16) * UINT64_C(512), length, error))
        return FALSE;
    cowd->lookup.blocks.backing_start = how->start;
    cowd->lookup.blocks.lacks_backing = how->lacks_backing;
    cowd->extent = (VmdkExtent){&cowd_ops, blob, how->start, length, how->access};
    cowd->directory = cst_le32(raw + 20) * UINT64_C(512);
    return TRUE;
}

VmdkExtent *vmdk_cowd_open(CstBlob *blob, const VmdkExtentHow *how, GError **error)
{
    Cowd *cowd = g_new0(Cowd, 1);

    if (init(cowd, blob, how, error))
        return &cowd->extent;
    cst_blob_unref(blob);
    g_free(cowd);
    return NULL;
}
