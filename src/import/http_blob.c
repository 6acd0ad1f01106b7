/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file on a server as a blob. A cache keeps CACHE blocks of BLOCK bytes, and replaces the least
 * recently used one. A read that continues after the last request requests twice as many blocks, up
 * to AHEAD. Thus a sequential read needs few requests, and random reads of tables transfer little.
 * Requests are serialized by the lock.
 */
#include <string.h>

#include <base/alloc.h>

#include "http.h"

#define BLOCK (128u << 10)
#define CACHE 96u /* blocks: 12 MiB */
#define AHEAD 32u /* blocks: 4 MiB */

typedef struct {
    uint64_t number; /* IMPORT_UNKNOWN: empty */
    uint64_t used;   /* time of the last use, by the blob's clock */
    uint8_t *data;
} Slot;

typedef struct {
    CstBlob head;
    ImportHttp *http;
    GMutex lock;
    uint64_t size;
    uint64_t clock;
    uint64_t next;  /* the block after the last request */
    unsigned ahead; /* blocks of the last request */
    Slot slots[CACHE];
} HttpBlob;

typedef struct {
    HttpBlob *blob;
    uint64_t offset; /* of the next byte */
    Slot *slot;      /* slot of the next byte; NULL: not chosen yet */
} Fetch;

static Slot *http_cache_find(HttpBlob *self, uint64_t number)
{
    for (unsigned i = 0; i < CACHE; i++)
        if (self->slots[i].number == number) {
            self->slots[i].used = ++self->clock;
            return &self->slots[i];
        }
    return NULL;
}

static Slot *http_cache_oldest(HttpBlob *self)
{
    Slot *slot = self->slots;

    for (unsigned i = 1; i < CACHE; i++)
        if (self->slots[i].used < slot->used)
            slot = &self->slots[i];
    return slot;
}

/* Stores received bytes. A block is valid once it is complete. */
static gboolean http_cache_put(const void *buf, size_t len, gpointer data, GError **error)
{
    Fetch *fetch = data;
    HttpBlob *self = fetch->blob;
    const uint8_t *from = buf;

    while (len > 0) {
        uint64_t number = fetch->offset / BLOCK, inside = fetch->offset % BLOCK;
        size_t n = (size_t)MIN(len, BLOCK - inside);

        if (!fetch->slot) {
            fetch->slot = http_cache_oldest(self);
            fetch->slot->number = IMPORT_UNKNOWN;
            fetch->slot->used = ++self->clock;
            if (!fetch->slot->data)
                fetch->slot->data = cst_alloc(BLOCK, 1, self->head.name, error);
            if (!fetch->slot->data)
                return FALSE;
        }
        memcpy(fetch->slot->data + inside, from, n);
        fetch->offset += n;
        from += n;
        len -= n;
        if (fetch->offset % BLOCK == 0 || fetch->offset == self->size) {
            fetch->slot->number = number;
            fetch->slot = NULL;
        }
    }
    return TRUE;
}

static gboolean fetch_blocks(HttpBlob *self, uint64_t number, GError **error)
{
    Fetch fetch = {self, number * BLOCK, NULL};
    uint64_t length;

    self->ahead = number == self->next ? MIN(2 * self->ahead, AHEAD) : 1;
    length = MIN((uint64_t)self->ahead * BLOCK, self->size - fetch.offset);
    if (!import_http_get(self->http, fetch.offset, length, http_cache_put, &fetch, error))
        return FALSE;
    self->next = number + self->ahead;
    return TRUE;
}

static gboolean read_block(HttpBlob *self, uint8_t *buf, size_t len, uint64_t offset,
                           GError **error)
{
    uint64_t number = offset / BLOCK;
    Slot *slot;

    g_mutex_lock(&self->lock);
    slot = http_cache_find(self, number);
    if (!slot && fetch_blocks(self, number, error))
        slot = http_cache_find(self, number);
    if (slot)
        memcpy(buf, slot->data + offset % BLOCK, len);
    g_mutex_unlock(&self->lock);
    return slot != NULL;
}

static gboolean http_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    uint8_t *at = buf;

    while (len > 0) {
        size_t n = (size_t)MIN(len, BLOCK - offset % BLOCK);

        if (!read_block((HttpBlob *)blob, at, n, offset, error))
            return FALSE;
        at += n;
        offset += n;
        len -= n;
    }
    return TRUE;
}

static gboolean http_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = ((HttpBlob *)blob)->size;
    return TRUE;
}

static void http_close(CstBlob *blob)
{
    HttpBlob *self = (HttpBlob *)blob;

    for (unsigned i = 0; i < CACHE; i++)
        g_free(self->slots[i].data);
    g_mutex_clear(&self->lock);
    g_free(self);
}

static const CstBlobOps http_ops = {
    .kind = "http",
    .pread = http_pread,
    .get_size = http_get_size,
    .close = http_close,
};

CstBlob *import_http_blob(ImportHttp *http)
{
    HttpBlob *self = g_new0(HttpBlob, 1);

    cst_blob_init(&self->head, &http_ops, import_http_name(http), FALSE);
    g_mutex_init(&self->lock);
    self->http = http;
    self->size = import_http_size(http);
    for (unsigned i = 0; i < CACHE; i++)
        self->slots[i].number = IMPORT_UNKNOWN;
    self->next = IMPORT_UNKNOWN;
    return &self->head;
}
