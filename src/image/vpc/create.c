/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creates an image. A fixed disk consists of zeroes and a footer. A dynamic or differencing disk
 * consists of footer, dynamic header, the parent's locator, an empty table and the footer again.
 * The footer at the end is written last, because it is the authoritative one.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <blob/steps.h>

#include "geometry.h"
#include "space.h"
#include "vpc.h"

#define BLOCK_SIZE (2 * CST_MIB) /* the specification's default */
#define CREATOR    "cist"

static gboolean choose_kind(const CstImageCreate *options, VpcKind *ret_kind, GError **error)
{
    const char *name = options->subformat;

    if (options->backing && name && strcmp(name, "differencing") != 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a VHD image of subformat '%s' has no backing image"), name);
    if (options->backing && strcmp(options->backing_format, "vpc") != 0 &&
        strcmp(options->backing_format, "vhd") != 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the backing image of a VHD image must be a VHD image"));
    if (options->backing)
        *ret_kind = VPC_DIFFERENCING;
    else if (!name || strcmp(name, "dynamic") == 0)
        *ret_kind = VPC_DYNAMIC;
    else if (strcmp(name, "fixed") == 0)
        *ret_kind = VPC_FIXED;
    else if (strcmp(name, "differencing") == 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a differencing VHD image needs a backing image"));
    else
        return cst_fail(error, CST_ERROR_INVALID, _("unknown VHD subformat '%s'"), name);
    if (*ret_kind == VPC_DIFFERENCING && options->preallocation != CST_PREALLOC_OFF)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("an image with a backing image can't be preallocated, as the backing "
                          "image would be hidden"));
    return TRUE;
}

/*
 * The footer has the exact size of the disk, because Azure refuses a rounded size, and a copy of a
 * disk must not grow. Rounding is for programs that use the geometry, such as Virtual PC: they see
 * the whole disk only if it has whole cylinders. A child has its parent's size. Beyond the largest
 * geometry, programs ignore the geometry.
 */
static gboolean set_size(VpcHeader *header, const CstImageCreate *options, GError **error)
{
    uint64_t sectors = options->capacity / VPC_SECTOR, round;
    gboolean exact =
        !options->round_size || header->kind == VPC_DIFFERENCING || sectors > VPC_MAX_GEOMETRY;

    if (options->capacity > VPC_MAX_CAPACITY)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a VHD image can have at most %" PRIu64 " bytes"), VPC_MAX_CAPACITY);
    round = vpc_geometry_sectors(vpc_geometry_round_up(sectors));
    vpc_footer_set_size(header, exact ? options->capacity : round * VPC_SECTOR, exact);
    return TRUE;
}

static gboolean create_fixed(CstBlob *blob, VpcHeader *header, const CstImageCreate *options,
                             CstTask *task, GError **error)
{
    uint64_t size = 0, at;
    gboolean zeroed = FALSE;

    if (!cst_space_reset(blob, header->capacity + VPC_FOOTER_LEN, &zeroed, error) ||
        !cst_blob_get_size(blob, &size, error))
        return FALSE;
    at = size - VPC_FOOTER_LEN;
    if (!zeroed && !cst_blob_zero_steps(blob, 0, at, CST_ZERO_MAY_UNMAP, task, error))
        return FALSE;
    return cst_space_preallocate(blob, 0, header->capacity, options->preallocation, task, error) &&
           cst_blob_pwrite(blob, header->footer, VPC_FOOTER_LEN, at, error);
}

static gboolean store_identity(const CstImageFormat *format, VpcHeader *header, CstBlob *guest,
                               GError **error)
{
    CstImage *parent = cst_guest_image_of(guest, format);

    if (!guest)
        return TRUE;
    if (!parent)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the backing image of a VHD image must be a VHD image"));
    vpc_parent_set_uuid(header, vpc_footer_uuid(&vpc_of(parent)->header));
    return TRUE;
}

/*
 * Lays out footer, header, locator, table and footer. *ret_text: the locator's text, which the
 * caller frees with g_free(); NULL: no locator.
 */
static gboolean lay_out(const CstImageFormat *format, VpcHeader *header,
                        const CstImageCreate *options, uint8_t **ret_text, size_t *ret_len,
                        GError **error)
{
    uint64_t at = header->header_offset + VPC_HEADER_LEN;

    if (options->backing &&
        (!store_identity(format, header, options->backing_guest, error) ||
         !vpc_parent_store(header, options->backing, at, ret_text, ret_len, error)))
        return FALSE;
    header->table_offset = at + *ret_len;
    header->entries = (uint32_t)cst_div_up(header->capacity, BLOCK_SIZE);
    header->block_size = BLOCK_SIZE;
    vpc_header_update(header);
    return TRUE;
}

static uint64_t table_end(const VpcHeader *header)
{
    return header->table_offset +
           cst_div_up(header->entries * UINT64_C(4), VPC_SECTOR) * VPC_SECTOR;
}

static gboolean write_empty(const CstImageFormat *format, CstBlob *blob, VpcHeader *header,
                            const CstImageCreate *options, CstTask *task, GError **error)
{
    g_autofree uint8_t *text = NULL;
    gboolean zeroed = FALSE;
    uint64_t size = 0, end;
    size_t len = 0;

    if (!lay_out(format, header, options, &text, &len, error))
        return FALSE;
    end = table_end(header);
    if (!cst_space_reset(blob, end + VPC_FOOTER_LEN, &zeroed, error) ||
        !cst_blob_get_size(blob, &size, error))
        return FALSE;
    return cst_blob_pwrite(blob, header->footer, VPC_FOOTER_LEN, 0, error) &&
           cst_blob_pwrite(blob, header->raw, VPC_HEADER_LEN, header->header_offset, error) &&
           cst_blob_pwrite(blob, text, len, header->table_offset - len, error) &&
           cst_table_fill(blob, header->table_offset, 0, (end - header->table_offset) / 4,
                          VPC_NOWHERE, task, error) &&
           cst_blob_pwrite(blob, header->footer, VPC_FOOTER_LEN, size - VPC_FOOTER_LEN, error);
}

static gboolean vpc_preallocate_new(const CstImageFormat *format, CstBlob *blob,
                                    CstPreallocation preallocation, CstTask *task, GError **error)
{
    g_autoptr(CstImage) image =
        cst_image_open(blob, format, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, error);
    Vpc *vpc = image ? vpc_of(image) : NULL;

    return vpc && vpc_preallocate(vpc, 0, vpc->header.entries, preallocation, task, error) &&
           cst_blocks_write_back(&vpc->blocks, error);
}

static gboolean vpc_choose_geometry(VpcHeader *header, const CstImageCreate *options,
                                    GError **error)
{
    header->header_offset = VPC_FOOTER_LEN;
    if (!choose_kind(options, &header->kind, error))
        return FALSE;
    vpc_footer_init(header, CREATOR);
    return set_size(header, options, error);
}

gboolean vpc_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error)
{
    g_autofree uint8_t *text = NULL;
    VpcHeader header = {0};
    uint64_t used = 0;
    size_t len = 0;

    if (!vpc_choose_geometry(&header, measuring->options, error) ||
        !cst_measuring_count(measuring, BLOCK_SIZE, &used, error))
        return FALSE;
    if (header.kind == VPC_FIXED) {
        *ret_measure = cst_measure_of(header.capacity + VPC_FOOTER_LEN, 0, 0, 0);
        return TRUE;
    }
    if (!lay_out(measuring->format, &header, measuring->options, &text, &len, error))
        return FALSE;
    if (measuring->options->preallocation != CST_PREALLOC_OFF)
        used = header.entries;
    vpc_header_derive(&header);
    *ret_measure = cst_measure_of(table_end(&header) + VPC_FOOTER_LEN, used, header.entries,
                                  vpc_stride(&header));
    return TRUE;
}

gboolean vpc_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                    CstTask *task, GError **error)
{
    VpcHeader header = {0};

    if (!vpc_choose_geometry(&header, options, error))
        return FALSE;
    if (header.kind == VPC_FIXED)
        return create_fixed(blob, &header, options, task, error);
    return write_empty(format, blob, &header, options, task, error) &&
           (options->preallocation == CST_PREALLOC_OFF ||
            vpc_preallocate_new(format, blob, options->preallocation, task, error));
}
