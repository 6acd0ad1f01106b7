/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compressed files, within each other as often as they are: at most what is allowed comes out, it
 * ends, and the same comes out in large reads and in small ones.
 */
#include <stdlib.h>

#include "fuzz.h"
#include "unpack.h"

#define LIMIT (4u << 20)
#define DEPTH 4

/* Returns the output, in reads of @step bytes; NULL: it fails. */
static GByteArray *unpack_all(const uint8_t *data, size_t size, size_t step)
{
    const CstImportHow how = {0};
    const ImportContext context = {.how = &how, .max_size = LIMIT, .bounded = TRUE};
    g_autoptr(CstBlob) blob = cst_blob_memory_new(data, size);
    g_autoptr(ImportReader) reader = import_reader_of_blob(blob, NULL);
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree uint8_t *buf = g_malloc(step);
    const ImportCodec *codec;
    const uint8_t *head;
    size_t len = 16;

    for (unsigned i = 0; i < DEPTH && import_reader_peek(reader, 16, &head, &len, NULL) &&
                         (codec = import_codec_probe(head, len));
         i++)
        reader = import_unpack(g_steal_pointer(&reader), codec, &context);
    do {
        if (!import_reader_read(reader, buf, step, &len, NULL))
            return NULL;
        g_byte_array_append(out, buf, (guint)len);
        if (out->len > MAX(LIMIT, size))
            abort();
    } while (len > 0);
    return g_steal_pointer(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GByteArray) large = unpack_all(data, size, LIMIT);
    g_autoptr(GByteArray) small = unpack_all(data, size, 1000);

    if (!large != !small ||
        (large && (large->len != small->len ||
                   (large->len > 0 && memcmp(large->data, small->data, large->len) != 0))))
        abort();
    return 0;
}
