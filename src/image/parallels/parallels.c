/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "parallels.h"

#include <base/i18n.h>

#include "bytes.h"

#define PARALLELS_MAX_TRACKS (G_MAXINT32 / 513u)
#define PARALLELS_MAX_BAT    (G_MAXINT32 / 4u)

gboolean parallels_is_old(const uint8_t *head)
{
    return memcmp(head, "WithoutFreeSpace", 16) == 0;
}

static int parallels_probe(const uint8_t *head, size_t len, uint64_t size)
{
    if (len < 20)
        return 0;
    if (memcmp(head, "WithouFreSpacExt", 16) == 0) /* libvirt takes any version of this one */
        return 100;
    return parallels_is_old(head) && cst_le32(head + 16) == 2 ? 100 : 0;
}

static void parallels_inspect(CstImageLook *look)
{
    CstImageInfo *info = look->info;
    uint8_t raw[PARALLELS_HEADER_LEN];
    uint64_t sectors, tracks, entries;

    if (!cst_look_read(look, 0, raw, sizeof(raw)))
        return;
    if (!parallels_probe(raw, sizeof(raw), look->size)) {
        cst_look_problem(look, _("this is no Parallels image"));
        return;
    }
    tracks = cst_le32(raw + 28);
    entries = cst_le32(raw + 32);
    sectors = parallels_is_old(raw) ? cst_le32(raw + 36) : cst_le64(raw + 36);
    info->dirty = cst_le32(raw + 44) == PARALLELS_IN_USE;
    if (sectors > (uint64_t)G_MAXINT64 / 512) {
        cst_look_problem(look, _("the Parallels header has a bad size"));
        return;
    }
    info->capacity = sectors * 512;
    info->cluster_size = tracks * 512;
    if (cst_le32(raw + 16) != 2)
        cst_look_unsupported(look, _("the Parallels image has an unknown version"));
    else if (tracks == 0 || tracks > PARALLELS_MAX_TRACKS)
        cst_look_problem(look, _("the Parallels header has a bad cluster size"));
    else if (entries > PARALLELS_MAX_BAT || entries * 4 > look->size - sizeof(raw))
        cst_look_problem(look, _("the Parallels block table lies outside the file"));
    else if (entries * tracks < sectors)
        cst_look_problem(look, _("the Parallels block table is too small for the image"));
}

/* --- reading --------------------------------------------------------------------------------- */

/* "BAT": the place of each cluster, in sectors or, with the newer magic, in clusters; 0 is
 * nowhere. */
typedef struct {
    CstLookup lookup;
    uint64_t unit; /* bytes that an entry counts in */
} Parallels;

static gboolean parallels_find(CstLookup *lookup, uint64_t index, CstLookupCluster *ret_cluster,
                               GError **error)
{
    const Parallels *parallels = (const Parallels *)lookup;
    uint8_t raw[4];

    if (!cst_lookup_read(lookup, PARALLELS_HEADER_LEN + index * 4, raw, sizeof(raw), error))
        return FALSE;
    if (cst_le32(raw) != 0)
        return cst_lookup_place(lookup, cst_le32(raw) * parallels->unit, ret_cluster, error);
    *ret_cluster = (CstLookupCluster){cst_lookup_nowhere(lookup), 0, 1};
    return TRUE;
}

static const CstLookupOps parallels_ops = {.find = parallels_find};

static CstImage *parallels_open(CstBlob *blob, const CstImageOpen *how, GError **error)
{
    g_autofree Parallels *parallels = g_new0(Parallels, 1);
    g_auto(CstImageInfo) info = {0};
    uint8_t raw[PARALLELS_HEADER_LEN];

    if (!cst_lookup_open(&parallels->lookup, &parallels_ops, blob, &cst_format_parallels, how,
                         &info, error))
        return NULL;
    if (!cst_blob_pread(blob, raw, sizeof(raw), 0, error)) {
        cst_lookup_clear(&parallels->lookup);
        return NULL;
    }
    parallels->unit = parallels_is_old(raw) ? 512 : info.cluster_size;
    return &g_steal_pointer(&parallels)->lookup.blocks.image;
}

const CstImageFormat cst_format_parallels = {
    .name = "parallels",
    .alias = "ploop",
    .xml_name = "ploop",
    .probe = parallels_probe,
    .magic = {CST_IMAGE_MAGIC(0, "WithouFreSpacExt"), CST_IMAGE_MAGIC(0, "WithoutFreeSpace")},
    .inspect = parallels_inspect,
    .is_layered = TRUE,
    .open = parallels_open,
    .close = cst_lookup_close,
    .pread = cst_blocks_pread,
    .extent = cst_blocks_extent,
    .locate = cst_blocks_locate,
    .check = parallels_check,
};
