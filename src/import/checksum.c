/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checksums in the form that users type. */
#include "checksum.h"

#include <string.h>

#include <base/i18n.h>

gboolean import_checksum_take(CstDigestKind kind, const char *hex, size_t len,
                              ImportChecksum *ret_checksum)
{
    ImportChecksum checksum = {.kind = kind};

    if (len != 2 * cst_digest_size(kind))
        return FALSE;
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isxdigit(hex[i]))
            return FALSE;
        checksum.hex[i] = g_ascii_tolower(hex[i]);
    }
    *ret_checksum = checksum;
    return TRUE;
}

gboolean import_checksum_parse(const char *text, ImportChecksum *ret_checksum, GError **error)
{
    for (unsigned i = 0; i < CST_DIGESTS; i++) {
        CstDigestKind kind = (CstDigestKind)i;
        const char *name = cst_digest_name(kind);
        size_t len = strlen(name);
        const char *hex = text + len + 1;

        if (g_ascii_strncasecmp(text, name, len) != 0 || text[len] != ':')
            continue;
        return import_checksum_take(kind, hex, strlen(hex), ret_checksum) ||
               cst_fail(error, CST_ERROR_USAGE, _("'%s' is no %s checksum"), hex, name);
    }
    return cst_fail(error, CST_ERROR_USAGE,
                    _("'%s' is no checksum; write sha256:HEX, sha384:HEX or sha512:HEX"), text);
}

gboolean import_checksum_verify(const ImportChecksum *checksum, CstDigest *digest, const char *name,
                                GError **error)
{
    char found[CST_DIGEST_HEX];

    cst_digest_end_hex(digest, found);
    if (g_str_equal(checksum->hex, found))
        return TRUE;
    return cst_fail(error, CST_ERROR_MISMATCH, _("'%s' has the %s checksum %s, and not %s"), name,
                    cst_digest_name(checksum->kind), found, checksum->hex);
}
