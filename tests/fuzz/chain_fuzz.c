/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Chains whose images are all hostile. An input is up to four images, each a length of four bytes
 * (little endian) and that many bytes as in sparse.h; a reference means the image of which its last
 * byte is the number. Then everything that works on chains.
 */
#include <base/error.h>
#include <base/units.h>
#include <image/chain.h>
#include <image/compare.h>
#include <image/convert.h>
#include <image/map.h>
#include <image/rebase.h>

#include "fuzz.h"
#include "sparse.h"

#define IMAGES     4
#define SIZE_LIMIT (8 * CST_MIB)

typedef struct {
    CstBlob *blobs[IMAGES];
} Files;

static CstBlob *open_backing(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    const Files *files = data;
    size_t len = strlen(name);
    unsigned index = len > 0 ? (unsigned char)name[len - 1] % IMAGES : 0;

    if (files->blobs[index])
        return cst_blob_ref(files->blobs[index]);
    cst_fail(error, CST_ERROR_NOT_FOUND, "image %u", index);
    return NULL;
}

static void split(Files *files, const uint8_t *data, size_t size)
{
    for (unsigned i = 0; i < IMAGES && size >= 4; i++) {
        uint32_t len;

        memcpy(&len, data, 4);
        len = (uint32_t)MIN(GUINT32_FROM_LE(len), size - 4);
        files->blobs[i] = sparse_blob(data + 4, len);
        data += 4 + len;
        size -= 4 + len;
    }
}

static gboolean on_run(const CstMapRun *run, gpointer data, GError **error)
{
    uint64_t *at = data;

    g_assert_true(run->start == *at && run->length > 0);
    *at += run->length;
    return TRUE;
}

static void read_chain(CstChain *chain)
{
    g_autoptr(CstBlob) copy = sparse_blob(NULL, 0), raw = sparse_blob(NULL, 0);
    CstBlob *guest = cst_chain_guest(chain);
    CstDifference difference;
    uint64_t size = 0;

    g_assert_true(cst_blob_get_size(guest, &size, NULL));
    if (size > SIZE_LIMIT)
        return;
    cst_image_convert(guest, copy, cst_image_format_find("qcow2", NULL), NULL, 0, NULL, NULL);
    if (cst_image_convert(guest, raw, cst_image_format_find("raw", NULL), NULL,
                          CST_CONVERT_TARGET_ZERO, NULL, NULL))
        g_assert_true(cst_image_compare(guest, raw, &difference, NULL, NULL) && difference.same);
}

static void work_on_chain(Files *files)
{
    const CstChainFiles callbacks = {.open_backing = open_backing, .data = files};
    CstChain *chain = cst_chain_look(files->blobs[0], NULL, &callbacks, NULL);
    uint64_t at = 0;

    if (chain && cst_chain_info(chain, 0)->capacity <= SIZE_LIMIT)
        cst_chain_map(chain, on_run, &at, NULL, NULL);
    cst_chain_free(chain);
    chain = cst_chain_open(files->blobs[0], NULL, 0, &callbacks, NULL);
    if (chain)
        read_chain(chain);
    cst_chain_free(chain);
    chain = cst_chain_look(files->blobs[0], NULL, &callbacks, NULL);
    if (chain && cst_chain_info(chain, 0)->capacity <= SIZE_LIMIT)
        cst_chain_flatten(chain, NULL, NULL);
    cst_chain_free(chain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Files files = {{NULL}};

    split(&files, data, size);
    if (files.blobs[0])
        work_on_chain(&files);
    for (unsigned i = 0; i < IMAGES; i++)
        if (files.blobs[i])
            cst_blob_unref(files.blobs[i]);
    return 0;
}
