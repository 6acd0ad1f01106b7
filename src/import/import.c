/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An import: a source (source.c), or the disks of a package (package.c); their images (disk.c),
 * which are all opened first; and their content, piece by piece.
 */
#include <import/import.h>

#include <base/alloc.h>
#include <base/i18n.h>
#include <blob/room.h>

#include "disk.h"
#include "memory_file.h"
#include "name.h"
#include "package.h"
#include "source.h"

#define TIMEOUT_S   30u
#define CA_FILE_MAX (16u << 20) /* bytes */

typedef struct {
    const ImportSource *source; /* borrowed */
    const CstImageFormat *format;
    CstBlob *content; /* the content as a guest sees it */
    uint64_t capacity;
    uint64_t packed; /* bytes of its image, or of the compressed file that contains it */
} Disk;

/* The receiver of a disk's content. */
typedef struct {
    CstImportPieceFunc piece;
    gpointer data;
    uint8_t *buf; /* of IMPORT_STEP bytes */
} Sink;

struct CstImport {
    CstImportHow how;
    ImportContext context;
    ImportMemoryFile authorities; /* the content of how.ca_file */
    ImportSource source;
    GPtrArray *parts; /* ImportSource, of a package; NULL: not a package */
    GArray *disks;    /* Disk */
};

static gboolean import_open_disk(CstImport *import, const ImportSource *source, GError **error)
{
    Disk disk = {.source = source};
    uint64_t whole = import->source.packed; /* of a package */

    if (!cst_blob_get_size(source->blob, &disk.packed, error))
        return FALSE;
    if (source->packed > 0)
        disk.packed = MIN(disk.packed, source->packed);
    if (whole > 0)
        disk.packed = MIN(disk.packed, whole);
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

static gboolean import_open_disks(CstImport *import, GError **error)
{
    if (!import_package_open(&import->context, &import->source, &import->parts, error))
        return FALSE;
    if (!import->parts && import->how.disk > 1)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no disk %u: it has %u"),
                        import->source.name, import->how.disk, 1u);
    if (!import->parts)
        return import_open_disk(import, &import->source, error);
    for (guint i = 0; i < import->parts->len; i++)
        if (!import_open_disk(import, import->parts->pdata[i], error))
            return FALSE;
    return TRUE;
}

static gboolean uses_server(const CstImportHow *how)
{
    return import_is_url(how->source) || how->checksum_url;
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
    import->authorities.fd = -1;
    if (how->ca_file && uses_server(how)) {
        if (!import_memory_file_load_any(&import->authorities, how->ca_file, CA_FILE_MAX, error))
            return NULL;
        import->how.ca_file = import->authorities.path;
    }
    return import_source_open(&import->source, &import->context, error) &&
                   import_open_disks(import, error)
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
    import_memory_file_clear(&import->authorities);
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

gboolean cst_import_data_size(const CstImport *import, guint disk, uint64_t *ret_size,
                              GError **error)
{
    return cst_blob_data_size(disk_of(import, disk)->content, import->context.task, ret_size,
                              error);
}

/*
 * Sends the data of one extent, and adds its length to *made. An image with compressed clusters, or
 * with many references to one cluster, can expand as far as a compressed file. Therefore the same
 * bound applies.
 */
static gboolean import_send_extent(const CstImport *import, const Disk *disk,
                                   const CstExtent *extent, uint64_t *made, const Sink *sink,
                                   GError **error)
{
    uint64_t offset = extent->offset, end = extent->offset + extent->length;

    while (offset < end) {
        size_t len = (size_t)MIN(end - offset, IMPORT_STEP);

        *made += len;
        if (!import_check_expansion(&import->context, *made, disk->packed, disk->source->name,
                                    error) ||
            !cst_blob_pread(disk->content, sink->buf, len, offset, error) ||
            !sink->piece(sink->buf, len, 0, sink->data, error))
            return FALSE;
        offset += len;
    }
    return TRUE;
}

gboolean cst_import_send(CstImport *import, guint number, CstImportPieceFunc piece, gpointer data,
                         GError **error)
{
    const Disk *disk = disk_of(import, number);
    g_autofree uint8_t *buf = cst_alloc(IMPORT_STEP, 1, disk->source->name, error);
    const Sink sink = {piece, data, buf};
    uint64_t made = 0;
    CstExtent extent;

    if (!buf)
        return FALSE;
    for (uint64_t offset = 0; offset < disk->capacity; offset += extent.length) {
        if (!cst_blob_extent(disk->content, offset, disk->capacity - offset, &extent, error))
            return FALSE;
        if (extent.flags & CST_EXTENT_ZERO
                ? !piece(NULL, 0, extent.length, data, error)
                : !import_send_extent(import, disk, &extent, &made, &sink, error))
            return FALSE;
    }
    return import_source_is_unchanged(&import->source, error) &&
           import_source_is_unchanged(disk->source, error);
}
