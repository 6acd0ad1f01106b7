/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/digest.h>

#include <base/error.h>

/** What a digest has to be. */
typedef struct {
    CstDigestKind kind;
    char hex[CST_DIGEST_HEX]; /**< lower case */
} ImportChecksum;

/** Takes @len characters as a digest of @kind. FALSE: they are none. */
gboolean import_checksum_take(CstDigestKind kind, const char *hex, size_t len,
                              ImportChecksum *ret_checksum);
/** Reads "sha256:HEX" as a user writes it; USAGE. */
gboolean import_checksum_parse(const char *text, ImportChecksum *ret_checksum, GError **error);
/** Ends @digest, which is of the checksum's kind. MISMATCH when it is not what it says of @name. */
gboolean import_checksum_verify(const ImportChecksum *checksum, CstDigest *digest, const char *name,
                                GError **error);
