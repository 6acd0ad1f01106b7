/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/digest.h>

#include <gnutls_library.h>

#include <base/error.h>
#include <base/i18n.h>

static const struct {
    const char *name;
    gnutls_digest_algorithm_t algorithm;
    size_t bytes;
} kinds[] = {
    [CST_SHA256] = {"sha256", GNUTLS_DIG_SHA256, CST_DIGEST_BYTES},
    [CST_SHA384] = {"sha384", GNUTLS_DIG_SHA384, 48},
    [CST_SHA512] = {"sha512", GNUTLS_DIG_SHA512, CST_DIGEST_MAX},
    [CST_SHA1] = {"sha1", GNUTLS_DIG_SHA1, 20},
};

struct CstDigest {
    CstDigestKind kind;
    gnutls_hash_hd_t hash;
};

CstDigest *cst_digest_new(CstDigestKind kind, GError **error)
{
    CstDigest *digest;

    if (!cst_library_load(&cst_gnutls_library, error))
        return NULL;
    digest = g_new0(CstDigest, 1);
    digest->kind = kind;
    if (gnutls_hash_init(&digest->hash, kinds[kind].algorithm) >= 0)
        return digest;
    g_free(digest);
    cst_fail(error, CST_ERROR_UNSUPPORTED, _("this host's policy forbids %s"), kinds[kind].name);
    return NULL;
}

void cst_digest_add(CstDigest *digest, const void *bytes, size_t len)
{
    if (len > 0)
        gnutls_hash(digest->hash, bytes, len);
}

void cst_digest_end(CstDigest *digest, uint8_t *ret_bytes)
{
    gnutls_hash_output(digest->hash, ret_bytes);
}

void cst_digest_end_hex(CstDigest *digest, char ret_hex[CST_DIGEST_HEX])
{
    uint8_t bytes[CST_DIGEST_MAX];

    cst_digest_end(digest, bytes);
    for (size_t i = 0; i < kinds[digest->kind].bytes; i++)
        g_snprintf(ret_hex + 2 * i, 3, "%02x", bytes[i]);
}

const char *cst_digest_name(CstDigestKind kind)
{
    return kinds[kind].name;
}

size_t cst_digest_size(CstDigestKind kind)
{
    return kinds[kind].bytes;
}

void cst_digest_free(CstDigest *digest)
{
    if (!digest)
        return;
    gnutls_hash_deinit(digest->hash, NULL);
    g_free(digest);
}
