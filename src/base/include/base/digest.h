/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** Digests by GnuTLS. */

typedef enum {
    CST_SHA256,
    CST_SHA384,
    CST_SHA512,
    CST_DIGESTS,           /**< number of kinds without known collisions */
    CST_SHA1 = CST_DIGESTS /**< detects damage only */
} CstDigestKind;

#define CST_DIGEST_BYTES 32                       /* of SHA-256 */
#define CST_DIGEST_MAX   64                       /* of the longest digest */
#define CST_DIGEST_HEX   (2 * CST_DIGEST_MAX + 1) /* its hexadecimal characters, with the NUL */

/** A digest that is being computed. */
typedef struct CstDigest CstDigest;

/** Fails with UNSUPPORTED if the host's policy forbids this kind. The caller frees the result. */
CstDigest *cst_digest_new(CstDigestKind kind, GError **error);
void cst_digest_add(CstDigest *digest, const void *bytes, size_t len);
/**
 * Returns the digest of the added bytes in @ret_bytes, cst_digest_size() bytes. Then starts again.
 */
void cst_digest_end(CstDigest *digest, uint8_t *ret_bytes);
/** As cst_digest_end(), in lower-case hexadecimal. */
void cst_digest_end_hex(CstDigest *digest, char ret_hex[CST_DIGEST_HEX]);
/** "sha256", as coreutils name it; static. */
const char *cst_digest_name(CstDigestKind kind);
/** Bytes of a digest of @kind. */
size_t cst_digest_size(CstDigestKind kind);
/** NULL is accepted. */
void cst_digest_free(CstDigest *digest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDigest, cst_digest_free)
