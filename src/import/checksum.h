/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/digest.h>

#include <base/error.h>

/** The expected digest of a file. */
typedef struct {
    CstDigestKind kind;
    char hex[CST_DIGEST_HEX]; /**< lower case */
} ImportChecksum;

/** Parses @len characters as a hexadecimal digest of @kind. Returns FALSE if they are not one. */
gboolean import_checksum_take(CstDigestKind kind, const char *hex, size_t len,
                              ImportChecksum *ret_checksum);
/** Parses "sha256:HEX" as typed by a user. Fails with USAGE. */
gboolean import_checksum_parse(const char *text, ImportChecksum *ret_checksum, GError **error);
/**
 * Ends @digest, which has the checksum's kind, and compares it. Fails with MISMATCH if it differs.
 * @name is for the message.
 */
gboolean import_checksum_verify(const ImportChecksum *checksum, CstDigest *digest, const char *name,
                                GError **error);
