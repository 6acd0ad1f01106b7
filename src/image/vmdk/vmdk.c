/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * VMware's disk format. An image is a text descriptor, a hosted sparse extent (KDMV), which may
 * embed a descriptor, or the older sparse extent of ESX (COWD). See "Virtual Disk Format 5.0",
 * "Hosted Sparse Extents" and "ESX Server Sparse Extents". Little endian, counted in sectors. This
 * file has probing, inspection without opening, and the table of the format's callbacks.
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

/* @is_extent: the text is embedded in the single extent, so its extent line is not followed. */
static void vmdk_describe(CstInspection *inspection, uint64_t offset, uint64_t len,
                          gboolean is_extent)
{
    g_autofree char *text =
        cst_inspection_string(inspection, offset, (size_t)MIN(len, VMDK_MAX_DESCRIPTOR));
    g_auto(VmdkDescriptor) d = {0};

    if (!text)
        return;
    vmdk_descriptor_parse(text, FALSE, &d);
    take_string(&inspection->info->subformat, &d.create_type);
    take_ids(inspection->info, &d);
    if (d.parent) {
        take_string(&inspection->info->backing, &d.parent);
        cst_inspection_set(&inspection->info->backing_format, "vmdk");
    }
    if (d.problem)
        cst_inspection_problem(inspection, "%s", d.problem);
    if (is_extent)
        return;
    if (d.lines->len > 0)
        take_string(&inspection->info->data_file, &vmdk_descriptor_line(&d, 0)->file);
    inspection->info->capacity = d.sectors * VMDK_SECTOR;
    if (d.extents == 0)
        cst_inspection_problem(inspection, _("the VMDK descriptor names no extent"));
}

static void take_geometry(CstInspection *inspection, const VmdkHeader *header)
{
    const char *problem = vmdk_header_problem(header);

    if (problem)
        cst_inspection_problem(inspection, "%s", problem);
    if (header->capacity <= VMDK_MAX_SECTORS)
        inspection->info->capacity = header->capacity * VMDK_SECTOR;
    if (header->grain <= UINT32_MAX)
        inspection->info->cluster_size = header->grain * VMDK_SECTOR;
}

static void inspect_kdmv(CstInspection *inspection)
{
    uint8_t raw[KDMV_HEADER_LEN];
    VmdkHeader header;

    if (!cst_inspection_read(inspection, 0, raw, sizeof(raw)))
        return;
    vmdk_header_decode(raw, &header);
    take_geometry(inspection, &header);
    if (header.overhead > inspection->size / VMDK_SECTOR)
        cst_inspection_problem(inspection,
                               _("the VMDK image is cut off in front of its first grain"));
    inspection->info->dirty = header.unclean;
    if (header.flags & VMDK_FLAG_COMPRESSED)
        cst_inspection_set(&inspection->info->compression, "zlib");
    if (header.descriptor != 0 && header.descriptor <= VMDK_MAX_SECTORS / 2 &&
        header.descriptor_len <= VMDK_MAX_SECTORS / 2)
        vmdk_describe(inspection, header.descriptor * VMDK_SECTOR,
                      header.descriptor_len * VMDK_SECTOR, TRUE);
}

static void inspect_cowd(CstInspection *inspection)
{
    VmdkHeader header = {.gtes = VMDK_MAX_GTES};
    uint8_t raw[28];

    if (!cst_inspection_read(inspection, 0, raw, sizeof(raw)))
        return;
    header.version = cst_le32(raw + 4) == 1 ? 1 : 0;
    header.capacity = cst_le32(raw + 12);
    header.grain = cst_le32(raw + 16);
    cst_inspection_set(&inspection->info->subformat, "vmfsSparse");
    take_geometry(inspection, &header);
}

static void vmdk_inspect(CstInspection *inspection)
{
    if (is_descriptor(inspection->head, inspection->head_len))
        vmdk_describe(inspection, 0, inspection->size, FALSE);
    else if (inspection->head_len >= 4 && memcmp(inspection->head, "KDMV", 4) == 0)
        inspect_kdmv(inspection);
    else if (inspection->head_len >= 4 && memcmp(inspection->head, "COWD", 4) == 0)
        inspect_cowd(inspection);
    else
        cst_inspection_problem(inspection, _("this is no VMDK image"));
}

/* --- files of the image ----------------------------------------------------------------------- */

static void list_lines(CstInspection *inspection, GPtrArray *parts)
{
    g_autofree char *text =
        cst_inspection_string(inspection, 0, (size_t)MIN(inspection->size, VMDK_MAX_DESCRIPTOR));
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

static void vmdk_inspect_parts(CstInspection *inspection, GPtrArray *parts)
{
    CstImagePart *part;

    if (is_descriptor(inspection->head, inspection->head_len)) {
        list_lines(inspection, parts);
        return;
    }
    vmdk_inspect(inspection);
    part = g_new0(CstImagePart, 1);
    part->kind = "";
    part->capacity = inspection->info->capacity;
    part->cluster_size = inspection->info->cluster_size;
    part->compressed = inspection->info->compression != NULL;
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
