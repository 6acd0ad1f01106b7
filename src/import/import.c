/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An import: a source (source.c), the image in it (disk.c), and its content, piece by piece. */
#include <import/import.h>

#include <base/alloc.h>

#include "disk.h"
#include "source.h"

#define TIMEOUT_S 30u

struct CstImport {
    CstImportHow how;
    ImportContext context;
    ImportSource source;
    const CstImageFormat *format;
    CstBlob *content; /* what a guest sees */
    uint64_t capacity;
};

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
    if (!import_source_open(&import->source, &import->context, error))
        return NULL;
    import->content = import_disk_open(&import->context, import->source.name, import->source.blob,
                                       &import->format, error);
    if (!import->content || !cst_blob_get_size(import->content, &import->capacity, error))
        return NULL;
    return g_steal_pointer(&import);
}

void cst_import_free(CstImport *import)
{
    if (!import)
        return;
    if (import->content)
        cst_blob_unref(import->content);
    import_source_clear(&import->source);
    g_free(import);
}

const char *cst_import_format(const CstImport *import)
{
    return cst_image_format_name(import->format);
}

uint64_t cst_import_capacity(const CstImport *import)
{
    return import->capacity;
}

static gboolean send_data(CstImport *import, uint64_t offset, uint64_t length, uint8_t *buf,
                          CstImportPieceFunc piece, gpointer data, GError **error)
{
    while (length > 0) {
        size_t len = (size_t)MIN(length, IMPORT_STEP);

        if (!cst_blob_pread(import->content, buf, len, offset, error) ||
            !piece(buf, len, 0, data, error))
            return FALSE;
        offset += len;
        length -= len;
    }
    return TRUE;
}

gboolean cst_import_send(CstImport *import, CstImportPieceFunc piece, gpointer data, GError **error)
{
    g_autofree uint8_t *buf = cst_alloc(IMPORT_STEP, 1, import->source.name, error);
    CstExtent extent;

    if (!buf)
        return FALSE;
    for (uint64_t offset = 0; offset < import->capacity; offset += extent.length) {
        if (!cst_blob_extent(import->content, offset, import->capacity - offset, &extent, error))
            return FALSE;
        if (extent.flags & CST_EXTENT_ZERO
                ? !piece(NULL, 0, extent.length, data, error)
                : !send_data(import, offset, extent.length, buf, piece, data, error))
            return FALSE;
    }
    return import_source_is_unchanged(&import->source, error);
}
