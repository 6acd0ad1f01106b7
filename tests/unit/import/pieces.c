/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pieces.h"

#include <string.h>

typedef struct {
    ImportReader head;
    GBytes *bytes;
    size_t at, step;
    gboolean fails;
} Pieces;

static gboolean pieces_read(ImportReader *reader, uint8_t *buf, size_t len, size_t *ret_len,
                            GError **error)
{
    Pieces *self = (Pieces *)reader;
    size_t size;
    const uint8_t *data = g_bytes_get_data(self->bytes, &size);

    *ret_len = MIN(MIN(len, self->step), size - self->at);
    if (*ret_len == 0 && self->fails)
        return cst_fail(error, CST_ERROR_IO, "%s", "broken");
    if (*ret_len > 0)
        memcpy(buf, data + self->at, *ret_len);
    self->at += *ret_len;
    return TRUE;
}

static void pieces_free(ImportReader *reader)
{
    g_bytes_unref(((Pieces *)reader)->bytes);
    g_free(reader);
}

ImportReader *pieces_new(GBytes *bytes, size_t step, gboolean fails)
{
    static const ImportReaderOps ops = {pieces_read, pieces_free};
    Pieces *self = g_new0(Pieces, 1);

    import_reader_init(&self->head, &ops, "pieces", NULL);
    self->bytes = g_bytes_ref(bytes);
    self->step = step;
    self->fails = fails;
    return &self->head;
}
