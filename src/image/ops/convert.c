/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/convert.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/pack.h>

#define STREAM "streamOptimized"

typedef struct {
    CstBlob *from, *to;
    const CstImageFormat *format;
    CstImageCreate create;
    unsigned flags;
} Conversion;

static gboolean make(Conversion *conversion, CstTask *task, GError **error)
{
    CstImageCreate *create = &conversion->create;

    if (!cst_blob_get_size(conversion->from, &create->capacity, error))
        return FALSE;
    cst_task_set_total(task, create->capacity);
    if (create->preallocation > CST_PREALLOC_METADATA)
        cst_task_add_total(task, create->capacity);
    return cst_image_create(conversion->to, conversion->format, create, task, error);
}

static gboolean fill_compressed(Conversion *conversion, CstImage *image, CstTask *task,
                                GError **error)
{
    if (cst_image_compression_unit(image) == 0)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("compressed images of format '%s' can't be written"),
                        cst_image_format_name(conversion->format));
    return cst_image_pack(conversion->from, image, task, error) && cst_image_flush(image, error);
}

/** Copies what the guest sees into the empty image. */
static gboolean fill(Conversion *conversion, CstBlob *guest, CstTask *task, GError **error)
{
    /* An image made just now reads as zeroes; a bare device holds what it held. */
    gboolean zero = guest != conversion->to || (conversion->flags & CST_CONVERT_TARGET_ZERO);

    return cst_blob_copy(conversion->from, 0, guest, 0, conversion->create.capacity,
                         zero ? CST_COPY_DST_ZERO : 0, task, error) &&
           cst_blob_flush(guest, error);
}

static gboolean convert(Conversion *conversion, CstTask *task, GError **error)
{
    const CstImageOpen how = {.flags = CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS,
                              .files = conversion->create.files};
    g_autoptr(CstBlob) guest = NULL;
    CstImage *image;

    if (!make(conversion, task, error))
        return FALSE;
    image = cst_image_open_as(conversion->to, conversion->format, &how, error);
    if (!image)
        return FALSE;
    /* What compresses by itself takes plain writes. */
    if ((conversion->flags & CST_CONVERT_COMPRESS) &&
        g_strcmp0(conversion->create.subformat, STREAM) != 0) {
        gboolean ok = fill_compressed(conversion, image, task, error);

        cst_image_free(image);
        return ok;
    }
    guest = cst_image_guest_blob(image);
    return fill(conversion, guest, task, error);
}

gboolean cst_image_convert(CstBlob *from, CstBlob *to, const CstImageFormat *format,
                           const CstImageCreate *options, unsigned flags, CstTask *task,
                           GError **error)
{
    Conversion conversion = {.from = from, .to = to, .format = format, .flags = flags};

    if (options)
        conversion.create = *options;
    /* VMDK has a variant whose data is always compressed. */
    if ((flags & CST_CONVERT_COMPRESS) && !conversion.create.subformat &&
        strcmp(cst_image_format_name(format), "vmdk") == 0)
        conversion.create.subformat = STREAM;
    return convert(&conversion, task, error);
}
