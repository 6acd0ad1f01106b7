/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * VMware's disk: a text descriptor, a hosted sparse extent (KDMV) that may embed one, or the older
 * sparse extent of ESX (COWD) ("Virtual Disk Format 5.0", "Hosted Sparse Extents", "ESX Server
 * Sparse Extents"). Little endian, counted in sectors. This file has probing, inspection without
 * opening, and the table of the format's callbacks.
 */
#include "vmdk.h"

#include <string.h>

#include <base/i18n.h>

#include "bytes.h"

#define KDMV_HEADER_LEN 79

static gboolean is_descriptor(const uint8_t *head, size_t len)
{
    size_t mark = strlen(VMDK_DESCRIPTOR_MARK);

    return len >= mark && g_ascii_strncasecmp((const char *)head, VMDK_DESCRIPTOR_MARK, mark) == 0;
}

static int vmdk_probe(const uint8_t *head, size_t len, uint64_t size)
{
    uint32_t version;

    if (is_descriptor(head, len))
        return 90;
    if (len < 8)
        return 0;
    version = cst_le32(head + 4);
    if (memcmp(head, "KDMV", 4) == 0)
        return version >= 1 && version <= VMDK_MAX_VERSION ? 100 : 0;
    return memcmp(head, "COWD", 4) == 0 && version == 1 ? 90 : 0;
}

static void take_string(char **field, char **from)
{
    g_free(*field);
    *field = g_steal_pointer(from);
}

static void take_ids(CstImageInfo *info, const VmdkDescriptor *d)
{
    info->has_cid = TRUE;
    info->cid = d->cid;
    info->parent_cid = d->parent_cid;
}

/* @is_extent: the text is embedded in the one extent, which names itself. */
static void describe(CstImageLook *look, uint64_t offset, uint64_t len, gboolean is_extent)
{
    g_autofree char *text = cst_look_string(look, offset, (size_t)MIN(len, VMDK_MAX_DESCRIPTOR));
    g_auto(VmdkDescriptor) d = {0};

    if (!text)
        return;
    vmdk_descriptor_parse(text, FALSE, &d);
    take_string(&look->info->subformat, &d.create_type);
    take_ids(look->info, &d);
    if (d.parent) {
        take_string(&look->info->backing, &d.parent);
        cst_look_set(&look->info->backing_format, "vmdk");
    }
    if (d.problem)
        cst_look_problem(look, "%s", d.problem);
    if (is_extent)
        return;
    if (d.lines->len > 0)
        take_string(&look->info->data_file, &vmdk_descriptor_line(&d, 0)->file);
    look->info->capacity = d.sectors * VMDK_SECTOR;
    if (d.extents == 0)
        cst_look_problem(look, _("the VMDK descriptor names no extent"));
}

static void take_geometry(CstImageLook *look, const VmdkHeader *header)
{
    const char *problem = vmdk_header_problem(header);

    if (problem)
        cst_look_problem(look, "%s", problem);
    if (header->capacity <= VMDK_MAX_SECTORS)
        look->info->capacity = header->capacity * VMDK_SECTOR;
    if (header->grain <= UINT32_MAX)
        look->info->cluster_size = header->grain * VMDK_SECTOR;
}

static void inspect_kdmv(CstImageLook *look)
{
    uint8_t raw[KDMV_HEADER_LEN];
    VmdkHeader header;

    if (!cst_look_read(look, 0, raw, sizeof(raw)))
        return;
    vmdk_header_decode(raw, &header);
    take_geometry(look, &header);
    if (header.overhead > look->size / VMDK_SECTOR)
        cst_look_problem(look, _("the VMDK image is cut off in front of its first grain"));
    look->info->dirty = header.unclean;
    if (header.flags & VMDK_FLAG_COMPRESSED)
        cst_look_set(&look->info->compression, "zlib");
    if (header.descriptor != 0 && header.descriptor <= VMDK_MAX_SECTORS / 2 &&
        header.descriptor_len <= VMDK_MAX_SECTORS / 2)
        describe(look, header.descriptor * VMDK_SECTOR, header.descriptor_len * VMDK_SECTOR, TRUE);
}

static void inspect_cowd(CstImageLook *look)
{
    VmdkHeader header = {.gtes = VMDK_MAX_GTES};
    uint8_t raw[28];

    if (!cst_look_read(look, 0, raw, sizeof(raw)))
        return;
    header.version = cst_le32(raw + 4) == 1 ? 1 : 0;
    header.capacity = cst_le32(raw + 12);
    header.grain = cst_le32(raw + 16);
    cst_look_set(&look->info->subformat, "vmfsSparse");
    take_geometry(look, &header);
}

static void vmdk_inspect(CstImageLook *look)
{
    if (is_descriptor(look->head, look->head_len))
        describe(look, 0, look->size, FALSE);
    else if (look->head_len >= 4 && memcmp(look->head, "KDMV", 4) == 0)
        inspect_kdmv(look);
    else if (look->head_len >= 4 && memcmp(look->head, "COWD", 4) == 0)
        inspect_cowd(look);
    else
        cst_look_problem(look, _("this is no VMDK image"));
}

/* --- the files that it is --------------------------------------------------------------------- */

static void list_lines(CstImageLook *look, GPtrArray *parts)
{
    g_autofree char *text = cst_look_string(look, 0, (size_t)MIN(look->size, VMDK_MAX_DESCRIPTOR));
    g_auto(VmdkDescriptor) d = {0};

    if (!text)
        return;
    vmdk_descriptor_parse(text, TRUE, &d);
    for (guint i = 0; i < d.lines->len; i++) {
        const VmdkLine *line = vmdk_descriptor_line(&d, i);
        CstImagePart *part = g_new0(CstImagePart, 1);

        part->file = g_strdup(line->file);
        part->kind = vmdk_line_kind(line);
        part->capacity = line->sectors * VMDK_SECTOR;
        g_ptr_array_add(parts, part);
    }
}

static void vmdk_inspect_parts(CstImageLook *look, GPtrArray *parts)
{
    CstImagePart *part;

    if (is_descriptor(look->head, look->head_len)) {
        list_lines(look, parts);
        return;
    }
    vmdk_inspect(look);
    part = g_new0(CstImagePart, 1);
    part->kind = "";
    part->capacity = look->info->capacity;
    part->cluster_size = look->info->cluster_size;
    part->compressed = look->info->compression != NULL;
    g_ptr_array_add(parts, part);
}

const CstImageFormat cst_format_vmdk = {
    .name = "vmdk",
    .probe = vmdk_probe,
    .magic = {CST_IMAGE_MAGIC(0, "KDMV"), CST_IMAGE_MAGIC(0, "COWD")},
    .inspect = vmdk_inspect,
    .inspect_parts = vmdk_inspect_parts,
    .create_options = CST_CREATE_BACKING | CST_CREATE_CLUSTER_SIZE | CST_CREATE_METADATA |
                      CST_CREATE_SUBFORMAT | CST_CREATE_ADAPTER_TYPE | CST_CREATE_HW_VERSION |
                      CST_CREATE_ZEROED_GRAIN,
    .compressed_subformat = VMDK_STREAM_OPTIMIZED,
    .create = vmdk_create,
    .measure = vmdk_measure,
    .is_layered = TRUE,
    .open = vmdk_open,
    .close = vmdk_close,
    .pread = vmdk_pread,
    .extent = vmdk_guest_extent,
    .locate = vmdk_locate,
    .pwrite = vmdk_pwrite,
    .zero = vmdk_zero,
    .discard = vmdk_discard,
    .flush = vmdk_flush,
    .resize = vmdk_resize,
    .set_backing = vmdk_set_backing,
    .expect = vmdk_expect,
    .follow = vmdk_follow,
    .empty = vmdk_empty,
    .check = vmdk_check,
};
