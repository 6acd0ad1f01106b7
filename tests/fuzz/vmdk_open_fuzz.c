/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An input that is a text descriptor ends with a NUL; what follows is the file of its extents. */
#include <base/error.h>

#include "fuzz.h"
#include "image_work.h"
#include "sparse.h"

#define GRAIN_LIMIT (UINT64_C(1) << 22)

static CstBlob *open_extent(const char *name, gboolean writable, gpointer data, GError **error)
{
    g_assert_true(*name && !strchr(name, '/') && strcmp(name, "..") != 0);
    return cst_blob_ref(data);
}

static CstBlob *create_extent(const char *name, gpointer data, GError **error)
{
    return cst_blob_memory_new(NULL, 0);
}

static CstBlob *open_text(CstBlob *text, CstBlob *extent, unsigned flags)
{
    const CstImageFiles files = {open_extent, create_extent, extent};
    const CstImageOpen how = {.flags = flags, .files = &files};
    CstImage *image = cst_image_open_as(text, cst_image_format_find("vmdk", NULL), &how, NULL);

    return image ? cst_image_guest_blob(image) : NULL;
}

static void work_on_text(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    size_t len = end ? (size_t)(end - data) : size;
    g_autoptr(CstBlob) text = cst_blob_memory_new(data, len);
    g_autoptr(CstBlob) extent = end ? sparse_blob(end + 1, size - len - 1) : sparse_blob(data, 0);
    CstBlob *guest = open_text(text, extent, 0);

    if (!guest)
        return;
    work_read(guest);
    cst_blob_unref(guest);
    guest = open_text(text, extent, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS);
    if (!guest)
        return;
    work_change(guest);
    cst_blob_unref(guest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(CstBlob) parent = cst_blob_memory_new(NULL, 100000);
    g_auto(CstImageInfo) info = {0};

    if (size > 0 && data[0] == '#') {
        work_on_text(data, size);
        return 0;
    }
    blob = sparse_blob(data, size);
    g_assert_true(cst_image_inspect(blob, cst_image_format_find("vmdk", NULL), &info, NULL));
    /* walking millions of missing tables is quick, but not with sanitizers */
    if (info.capacity / MAX(info.cluster_size, 512) > GRAIN_LIMIT)
        return 0;
    work_on(blob, "vmdk", info.backing ? parent : NULL);
    return 0;
}
