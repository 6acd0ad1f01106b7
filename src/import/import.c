/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An import: a source (source.c), or the disks of the package that it is (package.c); the images in
 * them (disk.c), all of which are opened first; and their content, piece by piece.
 */
#include <import/import.h>

#include <base/alloc.h>
#include <base/i18n.h>

#include "disk.h"
#include "package.h"
#include "source.h"

#define TIMEOUT_S 30u

typedef struct {
    const ImportSource *source; /* borrowed */
    const CstImageFormat *format;
    CstBlob *content; /* what a guest sees */
    uint64_t capacity;
} Disk;

struct CstImport {
    CstImportHow how;
    ImportContext context;
    ImportSource source;
    GPtrArray *parts; /* ImportSource, of a package; NULL: it is none */
    GArray *disks;    /* Disk */
};

static gboolean open_disk(CstImport *import, const ImportSource *source, GError **error)
{
    Disk disk = {.source = source};

    disk.content =
        import_disk_open(&import->context, source->name, source->blob, &disk.format, error);
    if (!disk.content)
        return FALSE;
    if (!cst_blob_get_size(disk.content, &disk.capacity, error)) {
        cst_blob_unref(disk.content);
        return FALSE;
    }
    g_array_append_val(import->disks, disk);
    return TRUE;
}

static gboolean open_disks(CstImport *import, GError **error)
{
    if (!import_package_open(&import->context, &import->source, &import->parts, error))
        return FALSE;
    if (!import->parts && import->how.disk > 1)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no disk %u: it has %u"),
                        import->source.name, import->how.disk, 1u);
    if (!import->parts)
        return open_disk(import, &import->source, error);
    for (guint i = 0; i < import->parts->len; i++)
        if (!open_disk(import, import->parts->pdata[i], error))
            return FALSE;
    return TRUE;
}

CstImport *cst_import_open(const CstImportHow *how, CstTask *task, GError **error)
{
    g_autoptr(CstImport) import = g_new0(CstImport, 1);

    import->how = *how;
    import->context = (ImportContext){.how = &import->how,
                                      .task = task,
                                      .max_size = how->max_size,
                                      .bounded = how->max_size > 0,
                                      .timeout_s = how->timeout_s > 0 ? how->timeout_s : TIMEOUT_S};
    if (!import->context.bounded)
        import->context.max_size = CST_IMPORT_MAX_SIZE;
    import->disks = g_array_new(FALSE, FALSE, sizeof(Disk));
    return import_source_open(&import->source, &import->context, error) && open_disks(import, error)
               ? g_steal_pointer(&import)
               : NULL;
}

void cst_import_done(CstImport *import)
{
    import_download_forget(import->source.download);
    for (guint i = 0; import->parts && i < import->parts->len; i++)
        import_download_forget(((ImportSource *)import->parts->pdata[i])->download);
}

void cst_import_free(CstImport *import)
{
    if (!import)
        return;
    for (guint i = 0; i < import->disks->len; i++)
        cst_blob_unref(g_array_index(import->disks, Disk, i).content);
    g_array_unref(import->disks);
    if (import->parts)
        g_ptr_array_unref(import->parts);
    import_source_clear(&import->source);
    g_free(import);
}

static const Disk *disk_of(const CstImport *import, guint disk)
{
    return &g_array_index(import->disks, Disk, disk);
}

guint cst_import_disks(const CstImport *import)
{
    return import->disks->len;
}

const char *cst_import_format(const CstImport *import, guint disk)
{
    return cst_image_format_name(disk_of(import, disk)->format);
}

uint64_t cst_import_capacity(const CstImport *import, guint disk)
{
    return disk_of(import, disk)->capacity;
}

static gboolean send_data(const Disk *disk, uint64_t offset, uint64_t length, uint8_t *buf,
                          CstImportPieceFunc piece, gpointer data, GError **error)
{
    while (length > 0) {
        size_t len = (size_t)MIN(length, IMPORT_STEP);

        if (!cst_blob_pread(disk->content, buf, len, offset, error) ||
            !piece(buf, len, 0, data, error))
            return FALSE;
        offset += len;
        length -= len;
    }
    return TRUE;
}

gboolean cst_import_send(CstImport *import, guint number, CstImportPieceFunc piece, gpointer data,
                         GError **error)
{
    const Disk *disk = disk_of(import, number);
    g_autofree uint8_t *buf = cst_alloc(IMPORT_STEP, 1, disk->source->name, error);
    CstExtent extent;

    if (!buf)
        return FALSE;
    for (uint64_t offset = 0; offset < disk->capacity; offset += extent.length) {
        if (!cst_blob_extent(disk->content, offset, disk->capacity - offset, &extent, error))
            return FALSE;
        if (extent.flags & CST_EXTENT_ZERO
                ? !piece(NULL, 0, extent.length, data, error)
                : !send_data(disk, offset, extent.length, buf, piece, data, error))
            return FALSE;
    }
    return import_source_is_unchanged(&import->source, error) &&
           import_source_is_unchanged(disk->source, error);
}
