/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists of checksums. Lines that have another form are passed over, as `sha256sum -c` does: lists
 * have comments and headings. Of several lines for a file the strongest digest counts, and two of
 * one kind have to agree.
 */
#include "list.h"

#include <string.h>

#include <base/i18n.h>

typedef struct {
    const char *name; /* in the line */
    size_t name_len;
    gboolean escaped; /* coreutils' backslashes */
    ImportChecksum checksum;
} Line;

/* Takes @len characters as a digest of @kind. */
static gboolean take_hex(CstDigestKind kind, const char *hex, size_t len, ImportChecksum *ret)
{
    g_autofree char *text = g_strdup_printf("%s:%.*s", cst_digest_name(kind), (int)len, hex);

    return len == 2 * cst_digest_size(kind) && import_checksum_parse(text, ret, NULL);
}

/* "HEX  name", "HEX *name", "\HEX  na\\me": the length tells of which kind it is. */
static gboolean read_coreutils(const char *text, size_t len, Line *ret_line)
{
    gboolean escaped = len > 0 && *text == '\\';
    const char *hex = text + escaped, *space = memchr(text, ' ', len), *end = text + len;

    if (!space || end - space < 3 || !strchr(" *", space[1]))
        return FALSE;
    *ret_line =
        (Line){.name = space + 2, .name_len = (size_t)(end - space - 2), .escaped = escaped};
    for (unsigned kind = 0; kind < CST_DIGESTS; kind++)
        if (take_hex((CstDigestKind)kind, hex, (size_t)(space - hex), &ret_line->checksum))
            return TRUE;
    return FALSE;
}

/* "SHA256 (name) = HEX". The name may have parentheses itself. */
static gboolean read_bsd(const char *text, size_t len, Line *ret_line)
{
    for (unsigned i = 0; i < CST_DIGESTS; i++) {
        CstDigestKind kind = (CstDigestKind)i;
        size_t hex = 2 * cst_digest_size(kind), word = strlen(cst_digest_name(kind));
        size_t middle = strlen(") = ");

        if (len < word + 3 + middle + hex ||
            g_ascii_strncasecmp(text, cst_digest_name(kind), word) ||
            memcmp(text + word, " (", 2) != 0 ||
            memcmp(text + len - hex - middle, ") = ", middle) != 0)
            continue;
        *ret_line = (Line){.name = text + word + 2, .name_len = len - word - 2 - middle - hex};
        return take_hex(kind, text + len - hex, hex, &ret_line->checksum);
    }
    return FALSE;
}

static gboolean is_of(const Line *line, const char *name)
{
    g_autofree char *text = g_strndup(line->name, line->name_len);
    g_autofree char *plain = line->escaped ? g_strcompress(text) : NULL;
    const char *found = plain ? plain : text;

    return g_str_equal(g_str_has_prefix(found, "./") ? found + 2 : found, name);
}

/* Notes what a line says in @best; FALSE when it says otherwise than one before. */
static gboolean take(const ImportChecksum *checksum, ImportChecksum *best, gboolean *found)
{
    if (*found && best->kind == checksum->kind)
        return g_str_equal(best->hex, checksum->hex);
    if (!*found || best->kind < checksum->kind)
        *best = *checksum;
    *found = TRUE;
    return TRUE;
}

gboolean import_list_find(const char *text, const char *name, const char *what,
                          ImportChecksum *ret_checksum, GError **error)
{
    gboolean found = FALSE;
    ImportChecksum best;
    Line line;

    for (const char *at = text, *end; *at; at = *end ? end + 1 : end) {
        size_t len;

        end = strchrnul(at, '\n');
        len = (size_t)(end - at);
        if (len > 0 && at[len - 1] == '\r')
            len--;
        if ((read_coreutils(at, len, &line) || read_bsd(at, len, &line)) && is_of(&line, name) &&
            !take(&line.checksum, &best, &found))
            return cst_fail(error, CST_ERROR_MISMATCH,
                            _("'%s' has two different checksums of '%s'"), what, name);
    }
    if (!found)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no SHA-2 checksum of '%s'"), what,
                        name);
    *ret_checksum = best;
    return TRUE;
}
