/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cache of snapshot digests. ~/.cache/cistern/digests has a file for each volume:
 *
 *   SHA-256 of the remaining fields
 *   the volume's key, with its NUL
 *   the snapshot's identity, with its NUL
 *   the size of the content, 8 bytes
 *   the size of a chunk, 8 bytes
 *   the digests
 *
 * A file that does not match is ignored. The header is compared with the expected bytes, so that no
 * length or offset is read from the file.
 */
#include "known.h"

#include <string.h>

#include <base/digest.h>
#include <base/place.h>
#include <base/units.h>

/* Return: NULL if this user has no cache directory. */
static char *known_digests_path(const CstVolRef *vol)
{
    g_autofree char *name = g_compute_checksum_for_string(G_CHECKSUM_SHA256, vol->key, -1);
    g_autofree char *dir = cst_place_cache_dir("digests");

    return dir ? g_build_filename(dir, name, NULL) : NULL;
}

static GByteArray *head_of(const CstVolRef *vol, const char *identity, uint64_t capacity,
                           uint64_t chunk)
{
    const uint64_t sizes[] = {GUINT64_TO_BE(capacity), GUINT64_TO_BE(chunk)};
    GByteArray *head = g_byte_array_new();

    g_byte_array_append(head, (const guint8 *)vol->key, (guint)strlen(vol->key) + 1);
    g_byte_array_append(head, (const guint8 *)identity, (guint)strlen(identity) + 1);
    g_byte_array_append(head, (const guint8 *)sizes, sizeof(sizes));
    return head;
}

static gboolean digest_of(const void *bytes, size_t len, uint8_t ret_digest[CST_DIGEST_BYTES])
{
    g_autoptr(CstDigest) digest = cst_digest_new(CST_SHA256, NULL);

    if (!digest)
        return FALSE;
    cst_digest_add(digest, bytes, len);
    cst_digest_end(digest, ret_digest);
    return TRUE;
}

gboolean known_load(const CstVolRef *vol, const char *identity, uint64_t capacity, uint64_t chunk,
                    CstVolDigests *ret)
{
    g_autoptr(GByteArray) head = head_of(vol, identity, capacity, chunk);
    uint64_t count = cst_div_up(capacity, chunk) * CST_VOL_DIGEST_SIZE;
    g_autofree char *path = known_digests_path(vol);
    g_autofree char *content = NULL;
    uint8_t digest[CST_DIGEST_BYTES];
    const uint8_t *at;
    gsize len = 0;

    if (identity[0] == '\0' || !path || !g_file_get_contents(path, &content, &len, NULL) ||
        len < sizeof(digest) + head->len || len - sizeof(digest) - head->len != count)
        return FALSE;
    at = (const uint8_t *)content + sizeof(digest);
    if (memcmp(at, head->data, head->len) != 0 || !digest_of(at, len - sizeof(digest), digest) ||
        memcmp(content, digest, sizeof(digest)) != 0)
        return FALSE;
    *ret = (CstVolDigests){.capacity = capacity, .chunk = chunk, .length = capacity};
    ret->digests = g_byte_array_new();
    g_byte_array_append(ret->digests, at + head->len, (guint)count);
    return TRUE;
}

void known_save(const CstVolRef *vol, const char *identity, const CstVolDigests *digests)
{
    g_autoptr(GByteArray) content = head_of(vol, identity, digests->capacity, digests->chunk);
    g_autofree char *path = known_digests_path(vol);
    uint8_t digest[CST_DIGEST_BYTES];

    if (identity[0] == '\0' || !path)
        return;
    g_byte_array_append(content, digests->digests->data, digests->digests->len);
    if (!digest_of(content->data, content->len, digest))
        return;
    g_byte_array_prepend(content, digest, sizeof(digest));
    g_file_set_contents_full(path, (const char *)content->data, content->len,
                             G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
}
