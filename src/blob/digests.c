/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The digests of another blob's chunks as a blob. A read computes the digests of its range. They
 * are not cached, because readers read them once, from start to end. A run ends after STEP bytes of
 * content, so that a caller that reads run by run can be cancelled.
 */
#include <blob/digests.h>

#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#define STEP (UINT64_C(64) << 20)

typedef struct {
    CstBlob head;
    CstBlob *of;
    uint64_t chunk;
    uint64_t content; /* size of @of, bytes */
} DigestsBlob;

/* Computes the digest of one chunk; zeroes for a chunk of zeroes. */
static gboolean block_digest(const DigestsBlob *digests, uint64_t index, uint8_t *buf,
                             CstDigest *digest, uint8_t ret_bytes[CST_DIGEST_BYTES], GError **error)
{
    uint64_t start = index * digests->chunk;
    size_t len = (size_t)MIN(digests->chunk, digests->content - start);

    if (!cst_blob_pread(digests->of, buf, len, start, error))
        return FALSE;
    if (cst_bytes_are_zero(buf, len)) {
        memset(ret_bytes, 0, CST_DIGEST_BYTES);
        return TRUE;
    }
    cst_digest_add(digest, buf, len);
    cst_digest_end(digest, ret_bytes);
    return TRUE;
}

static gboolean digests_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    const DigestsBlob *digests = (DigestsBlob *)blob;
    g_autoptr(CstDigest) digest = cst_digest_new(CST_SHA256, error);
    g_autofree uint8_t *chunk =
        digest ? cst_alloc((size_t)digests->chunk, 1, blob->name, error) : NULL;
    uint8_t *to = buf;

    if (!chunk)
        return FALSE;
    while (len > 0) {
        uint8_t one[CST_DIGEST_BYTES];
        size_t inside = (size_t)(offset % CST_DIGEST_BYTES);
        size_t n = MIN(len, CST_DIGEST_BYTES - inside);

        if (!block_digest(digests, offset / CST_DIGEST_BYTES, chunk, digest, one, error))
            return FALSE;
        memcpy(to, one + inside, n);
        to += n;
        offset += n;
        len -= n;
    }
    return TRUE;
}

static gboolean digests_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    const DigestsBlob *digests = (DigestsBlob *)blob;

    *ret_size = (digests->content / digests->chunk + (digests->content % digests->chunk ? 1 : 0)) *
                CST_DIGEST_BYTES;
    return TRUE;
}

/* Sets *ret_length to the length of the zeroes at @start, at most @most bytes. */
static gboolean zeroes_at(const DigestsBlob *digests, uint64_t start, uint64_t most,
                          uint64_t *ret_length, GError **error)
{
    CstExtent extent;

    *ret_length = 0;
    while (*ret_length < most) {
        if (!cst_blob_extent(digests->of, start + *ret_length, most - *ret_length, &extent, error))
            return FALSE;
        if (!(extent.flags & CST_EXTENT_ZERO))
            return TRUE;
        *ret_length += extent.length;
    }
    return TRUE;
}

static gboolean digests_extent(CstBlob *blob, uint64_t offset, uint64_t length,
                               CstExtent *ret_extent, GError **error)
{
    const DigestsBlob *digests = (DigestsBlob *)blob;
    uint64_t index = offset / CST_DIGEST_BYTES, start = index * digests->chunk;
    uint64_t left = digests->content - start, zeroes, chunks;
    uint64_t inside = offset % CST_DIGEST_BYTES;

    if (!zeroes_at(digests, start, left, &zeroes, error))
        return FALSE;
    chunks =
        zeroes == left ? (left + digests->chunk - 1) / digests->chunk : zeroes / digests->chunk;
    *ret_extent = (CstExtent){offset, 0, CST_EXTENT_HOLE | CST_EXTENT_ZERO};
    if (chunks == 0) {
        chunks = MAX(STEP / digests->chunk, 1);
        ret_extent->flags = CST_EXTENT_DATA;
    }
    ret_extent->length = MIN(length, chunks * CST_DIGEST_BYTES - inside);
    return TRUE;
}

static void digests_close(CstBlob *blob)
{
    cst_blob_unref(((DigestsBlob *)blob)->of);
    g_free(blob);
}

static const CstBlobOps digests_ops = {
    .kind = "digests",
    .pread = digests_pread,
    .get_size = digests_get_size,
    .close = digests_close,
    .extent = digests_extent,
};

CstBlob *cst_blob_digests(CstBlob *of, uint64_t chunk, GError **error)
{
    DigestsBlob *digests;
    uint64_t content;

    if (chunk < CST_DIGESTS_CHUNK_MIN || chunk > CST_DIGESTS_CHUNK_MAX || (chunk & (chunk - 1))) {
        cst_fail(error, CST_ERROR_INVALID,
                 _("digests are of chunks of 64 KiB to 64 MiB, a power of two, and not of %" PRIu64
                   " bytes"),
                 chunk);
        return NULL;
    }
    if (!cst_blob_get_size(of, &content, error))
        return NULL;
    digests = g_new0(DigestsBlob, 1);
    cst_blob_init(&digests->head, &digests_ops, of->name, FALSE);
    digests->of = cst_blob_ref(of);
    digests->chunk = chunk;
    digests->content = content;
    return &digests->head;
}
