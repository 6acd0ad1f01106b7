/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunks.h"

#include <string.h>

#include <blob/blob.h>

#include "commands/changed.h"

static const uint8_t blank[64 * 1024];

gboolean chunks_begin(Chunks *chunks, uint64_t capacity, uint64_t chunk, GError **error)
{
    *chunks = (Chunks){.of = {.capacity = capacity, .chunk = chunk, .length = capacity}};
    chunks->of.digests = g_byte_array_new();
    chunks->digest = cst_digest_new(CST_SHA256, error);
    return chunks->digest != NULL;
}

void chunks_clear(Chunks *chunks)
{
    cst_vol_digests_clear(&chunks->of);
    cst_digest_free(chunks->digest);
}

static void digest_zeroes(Chunks *chunks, uint64_t count)
{
    for (; count > 0; count -= MIN(count, sizeof(blank)))
        cst_digest_add(chunks->digest, blank, (size_t)MIN(count, sizeof(blank)));
}

/* A chunk of zeroes needs no digest, so zeroes are counted until another byte follows. */
static void add_to_chunk(Chunks *chunks, const uint8_t *bytes, uint64_t length)
{
    gboolean zero = !bytes || cst_bytes_are_zero(bytes, (size_t)length);

    chunks->filled += length;
    if (zero && !chunks->any_other) {
        chunks->zeroes += length;
        return;
    }
    digest_zeroes(chunks, chunks->zeroes);
    chunks->zeroes = 0;
    chunks->any_other = TRUE;
    if (bytes)
        cst_digest_add(chunks->digest, bytes, (size_t)length);
    else
        digest_zeroes(chunks, length);
}

void chunks_end(Chunks *chunks)
{
    uint8_t digest[CST_DIGEST_BYTES] = {0};

    if (chunks->filled == 0)
        return;
    if (chunks->any_other)
        cst_digest_end(chunks->digest, digest);
    g_byte_array_append(chunks->of.digests, digest, sizeof(digest));
    chunks->filled = chunks->zeroes = 0;
    chunks->any_other = FALSE;
}

void chunks_add(Chunks *chunks, const void *bytes, size_t len, uint64_t hole)
{
    const uint8_t *at = len ? bytes : NULL;
    uint64_t left = len ? len : hole;

    while (left > 0) {
        uint64_t n = MIN(left, chunks->of.chunk - chunks->filled);

        add_to_chunk(chunks, at, n);
        if (chunks->filled == chunks->of.chunk)
            chunks_end(chunks);
        at += at ? n : 0;
        left -= n;
    }
}

GArray *chunks_compare(const CstVolDigests *a, const CstVolDigests *b, uint64_t gap)
{
    GArray *runs = g_array_new(FALSE, FALSE, sizeof(CstRange));

    for (uint64_t at = 0; at < a->capacity; at += a->chunk) {
        size_t place = (size_t)(at / a->chunk * CST_VOL_DIGEST_SIZE);

        if (memcmp(a->digests->data + place, b->digests->data + place, CST_VOL_DIGEST_SIZE) != 0)
            cli_runs_add(runs, at, MIN(a->chunk, a->capacity - at), gap);
    }
    return runs;
}
