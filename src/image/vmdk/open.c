/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Opens and closes images and the files of their extents. A file that begins with the descriptor's
 * first line is a descriptor. Its extents are files in the same directory, named without a path.
 * Every other file is the single extent of its image and may embed the descriptor. Two extents must
 * not share bytes of a file. The content ID of the parent must match the descriptor.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "sparse.h"
#include "vmdk.h"

/* --- one sparse extent ------------------------------------------------------------------------ */

gboolean vmdk_read_header(CstBlob *blob, VmdkHeader *ret_header, GError **error)
{
    uint8_t raw[VMDK_HEADER_LEN];
    const char *problem;
    uint64_t size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (size < sizeof(raw))
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is no VMDK extent"), blob->name);
    if (!cst_blob_pread(blob, raw, sizeof(raw), 0, error))
        return FALSE;
    if (memcmp(raw, "COWD", 4) == 0)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is a sparse extent of an ESX server, which can only be read"),
                        blob->name);
    if (memcmp(raw, "KDMV", 4) != 0)
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is no VMDK extent"), blob->name);
    vmdk_header_decode(raw, ret_header);
    if (ret_header->version == 0 || ret_header->version > VMDK_MAX_VERSION)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is a VMDK image of version %u, which is not supported"), blob->name,
                        ret_header->version);
    problem = vmdk_header_problem(ret_header);
    return !problem ||
           cst_fail(error, CST_ERROR_CORRUPT, _("'%s' can't be opened: %s"), blob->name, problem);
}

static gboolean fit_length(CstBlob *blob, const VmdkHeader *header, VmdkExtentHow *how,
                           GError **error)
{
    if (how->length == 0)
        how->length = header->capacity * VMDK_SECTOR;
    return how->length <= header->capacity * VMDK_SECTOR ||
           cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is shorter than its VMDK descriptor says"),
                    blob->name);
}

VmdkExtent *vmdk_sparse_open(CstBlob *blob, const VmdkExtentHow *how, GError **error)
{
    VmdkExtentHow fitted = *how;
    gboolean is_cowd = FALSE;
    VmdkHeader header;

    if (!vmdk_is_cowd(blob, &is_cowd, error)) {
        cst_blob_unref(blob);
        return NULL;
    }
    if (is_cowd)
        return vmdk_cowd_open(blob, how, error);
    if (!vmdk_read_header(blob, &header, error) || !fit_length(blob, &header, &fitted, error)) {
        cst_blob_unref(blob);
        return NULL;
    }
    if (header.flags & VMDK_FLAG_COMPRESSED)
        return vmdk_stream_new(blob, &header, &fitted, error);
    return vmdk_sparse_new(blob, &header, &fitted, error);
}

/* --- the list of extents ---------------------------------------------------------------------- */

static VmdkExtent *extent_add(Vmdk *vmdk, VmdkExtent *extent)
{
    if (extent) {
        vmdk->image.capacity += extent->length;
        g_ptr_array_add(vmdk->extents, extent);
    }
    return extent;
}

/* Only flat extents may share a file, if their ranges do not overlap. */
static gboolean check_alone(const Vmdk *vmdk, guint index, GError **error)
{
    const VmdkLine *line = vmdk_descriptor_line(&vmdk->descriptor, index);

    for (guint i = 0; i < index; i++) {
        const VmdkLine *other = vmdk_descriptor_line(&vmdk->descriptor, i);

        if (!other->file || strcmp(line->file, other->file) != 0)
            continue;
        if (strcmp(line->type, "FLAT") != 0 || strcmp(other->type, "FLAT") != 0 ||
            (line->offset < other->offset + other->sectors &&
             other->offset < line->offset + line->sectors))
            return cst_fail(error, CST_ERROR_CORRUPT,
                            _("two extents of '%s' are in the same place of '%s'"),
                            vmdk->blob->name, line->file);
    }
    return TRUE;
}

static CstBlob *open_file(Vmdk *vmdk, const VmdkLine *line, GError **error)
{
    gboolean writable = (vmdk->how.image.flags & CST_IMAGE_WRITE) && line->access == VMDK_RW;

    if (!line->file) {
        cst_fail(error, CST_ERROR_CORRUPT, _("an extent of '%s' names no file"), vmdk->blob->name);
        return NULL;
    }
    /* the name has no path, so the file is in the directory of the image */
    if (!cst_name_check(line->file, _("VMDK extent"), error))
        return NULL;
    if (!vmdk->files.open) {
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("'%s' is an image of several files, which can't be opened here"),
                 vmdk->blob->name);
        return NULL;
    }
    return vmdk->files.open(line->file, writable, vmdk->files.data, error);
}

gboolean vmdk_line_is_sparse(const VmdkLine *line)
{
    return strcmp(line->type, "SPARSE") == 0 || strcmp(line->type, "VMFSSPARSE") == 0;
}

CstBlob *vmdk_open_part(Vmdk *vmdk, guint index, GError **error)
{
    const VmdkLine *line = vmdk_descriptor_line(&vmdk->descriptor, index);
    g_autoptr(CstBlob) blob = NULL;

    if (!vmdk_line_is_sparse(line) && strcmp(line->type, "FLAT") != 0 &&
        strcmp(line->type, "VMFS") != 0) {
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("'%s' has extents of type '%s', which are not supported"), vmdk->blob->name,
                 line->type);
        return NULL;
    }
    blob = open_file(vmdk, line, error);
    return blob && check_alone(vmdk, index, error) ? g_steal_pointer(&blob) : NULL;
}

static VmdkExtent *open_extent(Vmdk *vmdk, guint index, GError **error)
{
    const VmdkLine *line = vmdk_descriptor_line(&vmdk->descriptor, index);
    VmdkExtentHow how = vmdk->how;
    CstBlob *blob;

    how.start = vmdk->image.capacity;
    how.length = line->sectors * VMDK_SECTOR;
    how.access = line->access;
    if (strcmp(line->type, "ZERO") == 0)
        return vmdk_void_new(&how);
    blob = vmdk_open_part(vmdk, index, error);
    if (!blob)
        return NULL;
    if (vmdk_line_is_sparse(line))
        return vmdk_sparse_open(blob, &how, error);
    return vmdk_flat_new(blob, line->offset * VMDK_SECTOR, &how, error);
}

static gboolean open_extents(Vmdk *vmdk, GError **error)
{
    for (guint i = 0; i < vmdk->descriptor.lines->len; i++)
        if (!extent_add(vmdk, open_extent(vmdk, i, error)))
            return FALSE;
    return TRUE;
}

/* --- the descriptor --------------------------------------------------------------------------- */

static gboolean read_text(Vmdk *vmdk, uint64_t place, uint64_t len, GError **error)
{
    g_autofree char *text = cst_alloc0(len + 1, 1, vmdk->blob->name, error);

    if (!text || !cst_blob_pread(vmdk->blob, text, (size_t)len, place, error))
        return FALSE;
    vmdk->text_place = place;
    vmdk_descriptor_parse(text, TRUE, &vmdk->descriptor);
    return !vmdk->descriptor.problem ||
           cst_fail(error, CST_ERROR_CORRUPT, _("'%s' can't be opened: %s"), vmdk->blob->name,
                    vmdk->descriptor.problem);
}

static gboolean read_embedded(Vmdk *vmdk, const VmdkHeader *header, uint64_t size, GError **error)
{
    uint64_t place = header->descriptor * VMDK_SECTOR;
    uint64_t len = MIN(header->descriptor_len * VMDK_SECTOR, VMDK_MAX_DESCRIPTOR);

    if (header->descriptor == 0)
        return TRUE;
    if (place > size || len > size - place)
        return cst_fail(error, CST_ERROR_CORRUPT, _("the descriptor of '%s' lies outside the file"),
                        vmdk->blob->name);
    vmdk->text_room = len;
    return read_text(vmdk, place, len, error);
}

/* The content ID of the parent must not have changed since the image was created on it. */
static gboolean check_parent(Vmdk *vmdk, GError **error)
{
    CstBlob *backing = vmdk->how.image.backing;
    gboolean wanted = vmdk->descriptor.text && vmdk->descriptor.parent_cid != VMDK_NO_PARENT;
    CstImage *parent = cst_guest_image_of(backing, vmdk->image.format);

    if (backing && !wanted && !(vmdk->how.image.flags & CST_IMAGE_SAME_CONTENT))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' has no backing image"), vmdk->blob->name);
    vmdk->how.lacks_backing = wanted && !backing;
    if (parent && vmdk_of(parent)->descriptor.cid != vmdk->descriptor.parent_cid &&
        vmdk_of(parent)->descriptor.cid != vmdk->descriptor.next_parent_cid)
        return cst_fail(error, CST_ERROR_MISMATCH,
                        _("the backing image of '%s' has changed: its content ID is %08x, not "
                          "%08x"),
                        vmdk->blob->name, vmdk_of(parent)->descriptor.cid,
                        vmdk->descriptor.parent_cid);
    return TRUE;
}

static gboolean open_sparse_file(Vmdk *vmdk, GError **error)
{
    gboolean is_cowd = FALSE;
    VmdkHeader header;
    uint64_t size = 0;

    if (!cst_blob_get_size(vmdk->blob, &size, error) || !vmdk_is_cowd(vmdk->blob, &is_cowd, error))
        return FALSE;
    return (is_cowd || (vmdk_read_header(vmdk->blob, &header, error) &&
                        read_embedded(vmdk, &header, size, error))) &&
           check_parent(vmdk, error) &&
           extent_add(vmdk, vmdk_sparse_open(cst_blob_ref(vmdk->blob), &vmdk->how, error)) != NULL;
}

gboolean vmdk_read_descriptor(Vmdk *vmdk, gboolean *ret_is_text, GError **error)
{
    char head[sizeof(VMDK_DESCRIPTOR_MARK) - 1] = "";
    uint64_t size = 0;

    if (!cst_blob_get_size(vmdk->blob, &size, error) ||
        !cst_blob_pread(vmdk->blob, head, (size_t)MIN(size, sizeof(head)), 0, error))
        return FALSE;
    *ret_is_text = g_ascii_strncasecmp(head, VMDK_DESCRIPTOR_MARK, sizeof(head)) == 0;
    if (!*ret_is_text)
        return TRUE;
    if (size > VMDK_MAX_DESCRIPTOR)
        return cst_fail(error, CST_ERROR_CORRUPT, _("the VMDK descriptor '%s' is too long"),
                        vmdk->blob->name);
    return read_text(vmdk, 0, size, error);
}

static gboolean open_any(Vmdk *vmdk, GError **error)
{
    gboolean is_text = FALSE;

    if (!vmdk_read_descriptor(vmdk, &is_text, error))
        return FALSE;
    return is_text ? check_parent(vmdk, error) && open_extents(vmdk, error)
                   : open_sparse_file(vmdk, error);
}

static void close_extent(gpointer data)
{
    VmdkExtent *extent = data;

    extent->ops->close(extent);
}

void vmdk_release(Vmdk *vmdk)
{
    g_ptr_array_unref(vmdk->extents);
    vmdk_descriptor_clear(&vmdk->descriptor);
    g_mutex_clear(&vmdk->lock);
    g_free(vmdk);
}

Vmdk *vmdk_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how)
{
    Vmdk *vmdk = g_new0(Vmdk, 1);

    vmdk->image.format = format;
    vmdk->blob = blob;
    vmdk->barriers = !(how->flags & CST_IMAGE_NO_BARRIERS);
    vmdk->how.image = *how;
    if (how->files)
        vmdk->files = *how->files;
    vmdk->extents = g_ptr_array_new_with_free_func(close_extent);
    g_mutex_init(&vmdk->lock);
    return vmdk;
}

CstImage *vmdk_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error)
{
    Vmdk *vmdk = vmdk_new(format, blob, how);

    if (open_any(vmdk, error))
        return &vmdk->image;
    vmdk_release(vmdk);
    return NULL;
}

void vmdk_close(CstImage *image)
{
    Vmdk *vmdk = vmdk_of(image);

    /* callers that need the result have flushed before */
    for (guint i = 0; image->writable && i < vmdk->extents->len; i++) {
        VmdkExtent *extent = vmdk_extent(vmdk, i);

        if (extent->ops->write_back && extent->access == VMDK_RW)
            extent->ops->write_back(extent, NULL);
    }
    vmdk_release(vmdk);
}
