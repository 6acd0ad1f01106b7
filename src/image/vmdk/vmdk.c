/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/i18n.h>

#include "bytes.h"
#include "descriptor.h"
#include "format.h"

/*
 * VMware's disk: a text descriptor, or a "hosted sparse" extent (KDMV) that may embed one, or ESX's
 * older sparse extent (COWD) ("Virtual Disk Format 5.0", "Hosted Sparse Extents", "ESX Server
 * Sparse Extents"). Little endian, counted in sectors. Bounds as qemu has them.
 */
#define KDMV_HEADER_LEN   79
#define MAX_GRAIN_SECTORS 0x200000u
#define MAX_GTES          512u
#define MAX_DIRECTORY     (32u << 20)
#define MAX_SECTORS       ((uint64_t)G_MAXINT64 / 512)
#define DESCRIPTOR_MARK   "# Disk DescriptorFile"

static gboolean is_descriptor(const uint8_t *head, size_t len)
{
    size_t mark = strlen(DESCRIPTOR_MARK);

    return len >= mark && g_ascii_strncasecmp((const char *)head, DESCRIPTOR_MARK, mark) == 0;
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
        return version >= 1 && version <= 3 ? 100 : 0;
    return memcmp(head, "COWD", 4) == 0 && version == 1 ? 90 : 0;
}

static void read_descriptor(CstImageLook *look, uint64_t offset, uint64_t len,
                            VmdkExtents *ret_extents)
{
    g_autofree char *text = NULL;

    len = MIN(len, VMDK_MAX_DESCRIPTOR);
    text = cst_look_string(look, offset, (size_t)len);
    if (text)
        vmdk_descriptor_parse(look, text, ret_extents);
}

static void check_sparse(CstImageLook *look, uint64_t capacity, uint64_t grain, uint64_t gtes)
{
    if (capacity > MAX_SECTORS)
        cst_look_problem(look, _("the VMDK image has a bad size"));
    else if (grain == 0 || (grain & (grain - 1)) != 0 || grain > MAX_GRAIN_SECTORS)
        cst_look_problem(look, _("the VMDK image has a bad grain size"));
    else if (gtes == 0 || gtes > MAX_GTES)
        cst_look_problem(look, _("the VMDK image has bad grain tables"));
    else if (capacity / (gtes * grain) >= MAX_DIRECTORY)
        cst_look_problem(look, _("the VMDK image's grain directory is too large"));
}

static void inspect_kdmv(CstImageLook *look)
{
    uint8_t raw[KDMV_HEADER_LEN];
    uint64_t capacity, grain, descriptor, descriptor_len;
    VmdkExtents extents = {0};

    if (!cst_look_read(look, 0, raw, sizeof(raw)))
        return;
    capacity = cst_le64(raw + 12);
    grain = cst_le64(raw + 20);
    descriptor = cst_le64(raw + 28);
    descriptor_len = cst_le64(raw + 36);
    check_sparse(look, capacity, grain, cst_le32(raw + 44));
    if (capacity <= MAX_SECTORS)
        look->info->capacity = capacity * 512;
    if (grain <= MAX_GRAIN_SECTORS)
        look->info->cluster_size = grain * 512;
    if (descriptor == 0)
        return;
    if (descriptor > MAX_SECTORS || descriptor_len > MAX_SECTORS)
        cst_look_problem(look, _("the VMDK image has a bad descriptor"));
    else
        read_descriptor(look, descriptor * 512, descriptor_len * 512, &extents);
    g_clear_pointer(&look->info->data_file, g_free); /* the extent names itself */
}

static void inspect_cowd(CstImageLook *look)
{
    uint8_t raw[28];

    if (!cst_look_read(look, 0, raw, sizeof(raw)))
        return;
    look->info->capacity = cst_le32(raw + 12) * UINT64_C(512);
    look->info->cluster_size = cst_le32(raw + 16) * UINT64_C(512);
    cst_look_set(&look->info->subformat, "vmfsSparse");
    check_sparse(look, cst_le32(raw + 12), cst_le32(raw + 16), MAX_GTES);
}

static void vmdk_inspect(CstImageLook *look)
{
    VmdkExtents extents = {0};

    if (is_descriptor(look->head, look->head_len)) {
        read_descriptor(look, 0, look->size, &extents);
        look->info->capacity = extents.sectors * 512;
        if (extents.extents == 0)
            cst_look_problem(look, _("the VMDK descriptor names no extent"));
    } else if (look->head_len >= 4 && memcmp(look->head, "KDMV", 4) == 0) {
        inspect_kdmv(look);
    } else if (look->head_len >= 4 && memcmp(look->head, "COWD", 4) == 0) {
        inspect_cowd(look);
    } else {
        cst_look_problem(look, _("this is no VMDK image"));
    }
}

const CstImageFormat cst_format_vmdk = {
    .name = "vmdk",
    .probe = vmdk_probe,
    .inspect = vmdk_inspect,
};
