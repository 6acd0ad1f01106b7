/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/i18n.h>

#include "bytes.h"
#include "format.h"

/* Parallels' expandable disk, ploop in libvirt's words, little endian (qemu
 * docs/interop/parallels, "Catalog file"). */
#define PARALLELS_HEADER_LEN 64
#define PARALLELS_IN_USE     0x746f6e59u
#define PARALLELS_MAX_TRACKS (G_MAXINT32 / 513u)
#define PARALLELS_MAX_BAT    (G_MAXINT32 / 4u)

/* The older magic has 32 bits of size; the newer one 64. */
static gboolean is_old(const uint8_t *head)
{
    return memcmp(head, "WithoutFreeSpace", 16) == 0;
}

static int parallels_probe(const uint8_t *head, size_t len, uint64_t size)
{
    if (len < 20)
        return 0;
    if (memcmp(head, "WithouFreSpacExt", 16) == 0) /* libvirt takes any version of this one */
        return 100;
    return is_old(head) && cst_le32(head + 16) == 2 ? 100 : 0;
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
    sectors = is_old(raw) ? cst_le32(raw + 36) : cst_le64(raw + 36);
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

const CstImageFormat cst_format_parallels = {
    .name = "parallels",
    .alias = "ploop",
    .xml_name = "ploop",
    .probe = parallels_probe,
    .inspect = parallels_inspect,
};
