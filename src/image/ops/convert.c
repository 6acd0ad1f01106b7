/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies a guest's view into an image: a new image without a backing image, a new one with a
 * backing image (which gets only the differences), or an existing one. This file decides on
 * compression, sharing and holes. cst_blob_copy(), cst_write_difference() or cst_image_pack() move
 * the bytes.
 */
#include <image/convert.h>

#include <inttypes.h>
#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <blob/copy.h>
#include <image/pack.h>

#include "difference.h"
#include "format.h"
#include "marker.h"

typedef struct {
    CstBlob *from, *to;
    const CstImageFormat *format;
    CstImageCreate create;
    const uint64_t *zero_run; /* NULL: the fastest method */
    unsigned flags;
} Conversion;

/* Partition tables count in sectors, so a guest finds no partitions if the sector size differs. */
static gboolean check_sector_size(CstBlob *from, unsigned target, unsigned flags, GError **error)
{
    unsigned source = cst_guest_sector_size(from);

    return source == target || (flags & CST_CONVERT_DROP_SECTOR_SIZE) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("cannot convert '%s': its sectors have %u bytes, and the sectors of the copy "
                      "%u, so a guest would find no partitions; convert it to vhdx, or with "
                      "--drop-sector-size"),
                    from->name, source, target);
}

gboolean cst_image_keep_sector_size(CstBlob *from, const CstImageFormat *format,
                                    CstImageCreate *options, unsigned flags, GError **error)
{
    if (!cst_image_format_has_sector_size(format))
        return check_sector_size(from, CST_SECTOR_SIZE, flags, error);
    if (!options->sector_size)
        options->sector_size = cst_guest_sector_size(from);
    return TRUE;
}

static gboolean target_create(Conversion *conversion, CstTask *task, GError **error)
{
    CstImageCreate *create = &conversion->create;

    if (!cst_blob_get_size(conversion->from, &create->capacity, error))
        return FALSE;
    cst_task_set_total(task, create->capacity);
    if (create->preallocation > CST_PREALLOC_METADATA)
        cst_task_add_total(task, create->capacity);
    return cst_image_create(conversion->to, conversion->format, create, task, error);
}

/* Checks that the image can be compressed. @image is NULL for a plain format, which has no separate
 * view. */
static gboolean check_compression(CstImage *image, GError **error)
{
    return (image && cst_image_compression_unit(image) > 0) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("images of format '%s' can't be written compressed; leave --compress out"),
                    image ? image->format->name : "raw");
}

/* With a zero run of 0 bytes no zeroes become holes: all of them are written. */
static unsigned pack_flags(const uint64_t *zero_run)
{
    return zero_run && *zero_run == 0 ? CST_PACK_ALL : 0;
}

static gboolean fill_compressed(const Conversion *conversion, CstImage *image, CstTask *task,
                                GError **error)
{
    return check_compression(image, error) && cst_may_change(error) &&
           cst_image_pack(conversion->from, image, pack_flags(conversion->zero_run), task, error) &&
           cst_image_flush(image, error);
}

/*
 * Drops the old content first, because compressed data gets new space. Therefore the copy needs the
 * least space, and ranges that it leaves out read as zeroes.
 */
static gboolean overwrite_compressed(CstBlob *from, CstBlob *guest, const uint64_t *zero_run,
                                     gboolean zero, CstTask *task, GError **error)
{
    CstImage *image = cst_guest_image(guest);
    uint64_t size;

    return check_compression(image, error) && cst_may_change(error) &&
           cst_blob_get_size(from, &size, error) &&
           (zero || cst_blob_zero(guest, 0, size, CST_ZERO_MAY_UNMAP, error)) &&
           cst_image_pack(from, image, CST_PACK_ZEROED | pack_flags(zero_run), task, error);
}

/** Copies all of @from over the guest's view. */
static gboolean guest_copy(CstBlob *from, CstBlob *guest, const uint64_t *zero_run, gboolean zero,
                           CstTask *task, GError **error)
{
    unsigned flags = zero ? CST_COPY_DST_ZERO : 0;
    uint64_t size;

    if (!cst_blob_get_size(from, &size, error))
        return FALSE;
    return zero_run ? cst_blob_copy_sparse(from, 0, guest, 0, size, *zero_run, flags, task, error)
                    : cst_blob_copy(from, 0, guest, 0, size, flags, task, error);
}

/** Fills the new image. */
static gboolean target_fill(Conversion *conversion, CstBlob *guest, CstTask *task, GError **error)
{
    /* A new image reads as zeroes; a bare device keeps its old content. */
    gboolean zero = guest != conversion->to || (conversion->flags & CST_CONVERT_TARGET_ZERO);
    g_autoptr(CstBlob) endless = NULL;

    if (!conversion->create.backing)
        return guest_copy(conversion->from, guest, conversion->zero_run, zero, task, error) &&
               cst_blob_flush(guest, error);
    endless = cst_marker_new(conversion->from);
    return cst_may_change(error) &&
           cst_write_difference(endless, guest, conversion->create.backing_guest, 0, task, error) &&
           cst_blob_flush(guest, error);
}

static gboolean conversion_perform(Conversion *conversion, CstTask *task, GError **error)
{
    const CstImageOpen how = {.flags = CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS,
                              .files = conversion->create.files,
                              .backing = conversion->create.backing_guest};
    g_autoptr(CstBlob) guest = NULL;
    const char *packs_itself = conversion->format->compressed_subformat;
    CstImage *image;

    if ((conversion->flags & CST_CONVERT_COMPRESS) && !conversion->create.subformat)
        conversion->create.subformat = packs_itself;
    if (!cst_image_keep_sector_size(conversion->from, conversion->format, &conversion->create,
                                    conversion->flags, error) ||
        !target_create(conversion, task, error))
        return FALSE;
    image = cst_image_open_as(conversion->to, conversion->format, &how, error);
    if (!image)
        return FALSE;
    /* A subformat that always compresses accepts plain writes. */
    if ((conversion->flags & CST_CONVERT_COMPRESS) &&
        !(packs_itself && strcmp(conversion->create.subformat, packs_itself) == 0)) {
        gboolean ok = fill_compressed(conversion, image, task, error);

        cst_image_free(image);
        return ok;
    }
    guest = cst_image_guest_blob(image);
    return target_fill(conversion, guest, task, error);
}

static gboolean check_target_size(CstBlob *from, CstBlob *guest, CstTask *task, GError **error)
{
    uint64_t size, capacity;

    if (!cst_blob_get_size(from, &size, error) || !cst_blob_get_size(guest, &capacity, error))
        return FALSE;
    cst_task_set_total(task, size);
    return size <= capacity || cst_fail(error, CST_ERROR_INVALID,
                                        _("'%s' has room for %" PRIu64 " bytes, and %" PRIu64
                                          " are to be copied into it; make it larger first"),
                                        guest->name, capacity, size);
}

gboolean cst_image_overwrite(CstBlob *from, CstBlob *guest, const uint64_t *zero_run,
                             unsigned flags, CstTask *task, GError **error)
{
    gboolean zero = (flags & CST_CONVERT_TARGET_ZERO) != 0;

    return check_sector_size(from, cst_guest_sector_size(guest), flags, error) &&
           check_target_size(from, guest, task, error) &&
           (flags & CST_CONVERT_COMPRESS
                ? overwrite_compressed(from, guest, zero_run, zero, task, error)
                : guest_copy(from, guest, zero_run, zero, task, error)) &&
           cst_blob_flush(guest, error);
}

gboolean cst_image_convert_sparse(CstBlob *from, CstBlob *to, const CstImageFormat *format,
                                  const CstImageCreate *options, uint64_t zero_run, unsigned flags,
                                  CstTask *task, GError **error)
{
    Conversion conversion = {
        .from = from, .to = to, .format = format, .zero_run = &zero_run, .flags = flags};

    if (options)
        conversion.create = *options;
    return conversion_perform(&conversion, task, error);
}

gboolean cst_image_convert(CstBlob *from, CstBlob *to, const CstImageFormat *format,
                           const CstImageCreate *options, unsigned flags, CstTask *task,
                           GError **error)
{
    Conversion conversion = {.from = from, .to = to, .format = format, .flags = flags};

    if (options)
        conversion.create = *options;
    return conversion_perform(&conversion, task, error);
}
