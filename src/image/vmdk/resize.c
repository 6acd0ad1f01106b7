/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Grows and shrinks an image. Growing makes the last extent longer, and adds files where extents
 * have a maximum size. The descriptor is written after the extents are flushed. Shrinking writes
 * the descriptor first and then makes the last extent shorter. So the descriptor never names more
 * data than the files have.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "create.h"

static gboolean write_text(Vmdk *vmdk, GError **error)
{
    gboolean ok = TRUE;

    g_mutex_lock(&vmdk->lock);
    if (vmdk->descriptor.text)
        ok = vmdk_text_write(vmdk, error);
    g_mutex_unlock(&vmdk->lock);
    return ok;
}

static VmdkExtent *last_extent(const Vmdk *vmdk)
{
    return vmdk_extent(vmdk, vmdk->extents->len - 1);
}

/* Makes the image agree with the descriptor, which has been written. */
static void set_capacity(Vmdk *vmdk, uint64_t capacity)
{
    vmdk->image.capacity = capacity;
    vmdk->descriptor.sectors = capacity / VMDK_SECTOR;
}

/* --- growing ---------------------------------------------------------------------------------- */

/* "disk-s007.vmdk" → "disk-s008.vmdk"; NULL if the name has no such number. */
static char *next_name(const char *name)
{
    const char *dot = strrchr(name, '.'), *end = dot ? dot : name + strlen(name), *digits = end;
    g_autofree char *stem = NULL;

    while (digits > name && g_ascii_isdigit(digits[-1]))
        digits--;
    if (digits == end || end - digits > 6)
        return NULL;
    stem = g_strndup(name, (gsize)(digits - name));
    return g_strdup_printf("%s%03u%s", stem, (unsigned)g_ascii_strtoull(digits, NULL, 10) + 1, end);
}

static VmdkExtent *make_extent(Vmdk *vmdk, const char *name, gboolean is_sparse, GError **error)
{
    CstBlob *blob = vmdk->files.create ? vmdk->files.create(name, vmdk->files.data, error) : NULL;
    VmdkExtentHow how = vmdk->how;

    if (!blob) {
        if (!vmdk->files.create)
            cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' needs another file to grow into"),
                     vmdk->blob->name);
        return NULL;
    }
    how.start = last_extent(vmdk)->start + last_extent(vmdk)->length;
    if (!is_sparse)
        return vmdk_flat_new(blob, 0, &how, error);
    if (!vmdk_sparse_create(blob, 0, VMDK_SPLIT_GRAIN, NULL, FALSE, error)) {
        cst_blob_unref(blob);
        return NULL;
    }
    return vmdk_sparse_open(blob, &how, error);
}

static gboolean add_extent(Vmdk *vmdk, GError **error)
{
    const VmdkLine *last = vmdk_descriptor_line(&vmdk->descriptor, vmdk->descriptor.lines->len - 1);
    g_autofree char *name = last->file ? next_name(last->file) : NULL;
    VmdkExtent *extent;

    if (!name || vmdk->descriptor.lines->len >= VMDK_MAX_EXTENTS)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("there is no name for another extent of '%s'"), vmdk->blob->name);
    extent = make_extent(vmdk, name, strcmp(last->type, "SPARSE") == 0, error);
    if (!extent)
        return FALSE;
    g_ptr_array_add(vmdk->extents, extent);
    vmdk_descriptor_add(&vmdk->descriptor, 0, last->type, name);
    return TRUE;
}

static gboolean is_split(const Vmdk *vmdk)
{
    return vmdk->descriptor.create_type &&
           g_ascii_strncasecmp(vmdk->descriptor.create_type, "twoGbMaxExtent", 14) == 0;
}

static gboolean grow_last(Vmdk *vmdk, uint64_t length, CstPreallocation preallocation,
                          CstTask *task, GError **error)
{
    VmdkExtent *extent = last_extent(vmdk);

    if (!extent->ops->resize || extent->access != VMDK_RW)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("the last extent of '%s' can't grow"),
                        vmdk->blob->name);
    if (!extent->ops->resize(extent, length, preallocation, task, error))
        return FALSE;
    if (vmdk->descriptor.lines && vmdk->descriptor.lines->len > 0)
        vmdk_descriptor_line(&vmdk->descriptor, vmdk->descriptor.lines->len - 1)->sectors =
            length / VMDK_SECTOR;
    return TRUE;
}

static gboolean vmdk_grow(Vmdk *vmdk, uint64_t capacity, CstPreallocation preallocation,
                          CstTask *task, GError **error)
{
    uint64_t most = is_split(vmdk) ? VMDK_SPLIT_SECTORS * UINT64_C(512) : G_MAXINT64;

    for (;;) {
        VmdkExtent *last = last_extent(vmdk);
        uint64_t wanted = MIN(capacity - last->start, MAX(most, last->length));

        if (wanted > last->length && !grow_last(vmdk, wanted, preallocation, task, error))
            return FALSE;
        if (last->start + wanted == capacity)
            break;
        if (!add_extent(vmdk, error))
            return FALSE;
    }
    for (guint i = 0; i < vmdk->extents->len; i++) {
        VmdkExtent *extent = vmdk_extent(vmdk, i);

        if (extent->ops->flush && extent->access == VMDK_RW && !extent->ops->flush(extent, error))
            return FALSE;
    }
    if (!write_text(vmdk, error))
        return FALSE;
    set_capacity(vmdk, capacity);
    return TRUE;
}

/* --- shrinking -------------------------------------------------------------------------------- */

static gboolean vmdk_shrink(Vmdk *vmdk, uint64_t capacity, CstTask *task, GError **error)
{
    VmdkExtent *extent = last_extent(vmdk);
    uint64_t length = capacity - MIN(capacity, extent->start);

    /* removing an extent would require deleting its file, which a resize does not do */
    if (capacity < extent->start || !extent->ops->resize || extent->access != VMDK_RW)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' can't be made shorter than its last extent allows"),
                        vmdk->blob->name);
    if (vmdk->descriptor.lines && vmdk->descriptor.lines->len > 0)
        vmdk_descriptor_line(&vmdk->descriptor, vmdk->descriptor.lines->len - 1)->sectors =
            length / VMDK_SECTOR;
    if (!write_text(vmdk, error) || (vmdk->barriers && !cst_blob_flush(vmdk->blob, error)) ||
        !extent->ops->resize(extent, length, CST_PREALLOC_OFF, task, error))
        return FALSE;
    set_capacity(vmdk, capacity);
    return TRUE;
}

gboolean vmdk_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                     CstTask *task, GError **error)
{
    Vmdk *vmdk = vmdk_of(image);

    if (capacity == image->capacity)
        return TRUE;
    if (vmdk->extents->len == 0)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' has no extents"), vmdk->blob->name);
    if (preallocation != CST_PREALLOC_OFF && vmdk->how.image.backing)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' has a backing image, so it can't be preallocated"),
                        vmdk->blob->name);
    if (!vmdk_begin_writing(vmdk, error))
        return FALSE;
    return capacity > image->capacity ? vmdk_grow(vmdk, capacity, preallocation, task, error)
                                      : vmdk_shrink(vmdk, capacity, task, error);
}
