/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creates an image: header, map, and the blocks of a static or preallocated image. The header is
 * written after the map, so that a recognisable image always has a map. Blocks are aligned to 4
 * KiB.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "space.h"
#include "vdi.h"

#define BLOCK_SIZE (1 * CST_MIB) /* the only size that QEMU supports */
#define DATA_ALIGN 4096u         /* aligns blocks with the file system's blocks */

/* The other formats call this kind "fixed". */
static gboolean is_static(const CstImageCreate *options)
{
    return g_strcmp0(options->subformat, "static") == 0 ||
           g_strcmp0(options->subformat, "fixed") == 0;
}

static gboolean vdi_plan(const CstImageCreate *options, VdiHeader *header, GError **error)
{
    uint64_t blocks = cst_div_up(options->capacity, BLOCK_SIZE);

    if (options->subformat && strcmp(options->subformat, "dynamic") != 0 && !is_static(options))
        return cst_fail(error, CST_ERROR_INVALID, _("unknown VDI subformat '%s'"),
                        options->subformat);
    if (blocks > VDI_MAX_BLOCKS)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a VDI image can have at most %" PRIu64 " bytes"),
                        (uint64_t)VDI_MAX_CAPACITY);
    vdi_header_init(header);
    header->kind = is_static(options) ? VDI_STATIC : VDI_DYNAMIC;
    header->capacity = options->capacity;
    header->block_size = BLOCK_SIZE;
    header->blocks = (uint32_t)blocks;
    header->offset_map = VDI_SECTOR;
    header->offset_data = (uint32_t)cst_round_up(VDI_SECTOR + blocks * 4, DATA_ALIGN);
    return TRUE;
}

/* Returns TRUE if every block is allocated from the start. */
static gboolean is_filled(const VdiHeader *header, const CstImageCreate *options)
{
    return header->kind == VDI_STATIC || options->preallocation != CST_PREALLOC_OFF;
}

static gboolean vdi_preallocate_new(const CstImageFormat *format, CstBlob *blob,
                                    CstPreallocation preallocation, CstTask *task, GError **error)
{
    g_autoptr(CstImage) image =
        cst_image_open(blob, format, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, error);
    Vdi *vdi = image ? vdi_of(image) : NULL;

    return vdi && vdi_preallocate(vdi, 0, vdi->header.blocks, preallocation, task, error) &&
           cst_blocks_write_back(&vdi->blocks, error);
}

gboolean vdi_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error)
{
    VdiHeader header = {0};
    uint64_t used = 0;

    if (!vdi_plan(measuring->options, &header, error) ||
        !cst_measuring_count(measuring, header.block_size, &used, error))
        return FALSE;
    if (is_filled(&header, measuring->options))
        used = header.blocks;
    *ret_measure = cst_measure_of(header.offset_data, used, header.blocks, header.block_size);
    return TRUE;
}

gboolean vdi_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                    CstTask *task, GError **error)
{
    gboolean zeroed = FALSE;
    VdiHeader header = {0};

    if (!vdi_plan(options, &header, error) ||
        !cst_space_reset(blob, header.offset_data, &zeroed, error))
        return FALSE;
    vdi_header_update(&header);
    if (!cst_table_fill(blob, header.offset_map, 0, header.blocks, VDI_NOWHERE, task, error) ||
        !cst_blob_pwrite(blob, header.raw, sizeof(header.raw), 0, error))
        return FALSE;
    return !is_filled(&header, options) ||
           vdi_preallocate_new(format, blob, options->preallocation, task, error);
}
