/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists of checksums. Lines that have another form are passed over, as `sha256sum -c` does: lists
 * have comments and headings. Of several lines for a file the strongest digest counts, and two of
 * one kind have to agree.
 */
#include "list.h"

#include <string.h>

#include <base/i18n.h>
#include <base/text.h>

typedef struct {
    const char *name; /* in the line */
    size_t name_len;
    gboolean escaped; /* coreutils' backslashes */
    ImportChecksum checksum;
} Line;

#define KINDS (CST_SHA1 + 1)

/* "HEX  name", "HEX *name", "\HEX  na\\me": the length tells of which kind it is. */
static gboolean read_coreutils(const char *text, size_t len, Line *ret_line)
{
    gboolean escaped = len > 0 && *text == '\\';
    const char *hex = text + escaped, *space = memchr(text, ' ', len), *end = text + len;

    if (!space || end - space < 3 || !strchr(" *", space[1]))
        return FALSE;
    *ret_line =
        (Line){.name = space + 2, .name_len = (size_t)(end - space - 2), .escaped = escaped};
    for (unsigned kind = 0; kind < KINDS; kind++)
        if (import_checksum_take((CstDigestKind)kind, hex, (size_t)(space - hex),
                                 &ret_line->checksum))
            return TRUE;
    return FALSE;
}

/* Whether what stands between a name and @hex is one; *ret_end is the name's end. */
static gboolean read_middle(const char *text, const char *hex, const char **ret_end)
{
    const char *at = hex;

    if (at - text < 3 || memcmp(at - 2, "= ", 2) != 0)
        return FALSE;
    at -= 2;
    if (at[-1] == ' ')
        at--;
    *ret_end = at - 1;
    return at - 1 > text && at[-1] == ')';
}

/* Returns what follows the name of @kind: "SHA256", or "SHA2-256" and "SHA-256"; NULL: another. */
static const char *skip_kind(const char *text, CstDigestKind kind)
{
    static const char *const prefixes[] = {"SHA2-", "SHA-"};
    const char *word = cst_digest_name(kind), *bits = word + strlen("SHA");

    if (g_ascii_strncasecmp(text, word, strlen(word)) == 0)
        return text + strlen(word);
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes) && kind != CST_SHA1; i++)
        if (g_ascii_strncasecmp(text, prefixes[i], strlen(prefixes[i])) == 0 &&
            strncmp(text + strlen(prefixes[i]), bits, strlen(bits)) == 0)
            return text + strlen(prefixes[i]) + strlen(bits);
    return NULL;
}

/* "SHA256 (name) = HEX", "SHA256(name)= HEX". The name may have parentheses itself. */
static gboolean read_bsd(const char *text, size_t len, Line *ret_line)
{
    for (unsigned i = 0; i < KINDS; i++) {
        CstDigestKind kind = (CstDigestKind)i;
        const char *name = skip_kind(text, kind), *end;
        size_t hex = 2 * cst_digest_size(kind);

        if (!name || len < (size_t)(name - text) + 2 + hex)
            continue;
        name += *name == ' ';
        if (*name++ != '(' || !read_middle(name, text + len - hex, &end))
            continue;
        *ret_line = (Line){.name = name, .name_len = (size_t)(end - name)};
        return import_checksum_take(kind, text + len - hex, hex, &ret_line->checksum);
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
    if (!*found || cst_digest_size(best->kind) < cst_digest_size(checksum->kind))
        *best = *checksum;
    *found = TRUE;
    return TRUE;
}

gboolean import_list_find(const char *text, const char *name, const char *what,
                          gboolean damage_only, ImportChecksum *ret_checksum, GError **error)
{
    g_autofree char *shown = cst_text_escape(name);
    gboolean found = FALSE;
    ImportChecksum best;
    Line line;

    for (const char *at = text, *end; *at; at = *end ? end + 1 : end) {
        size_t len;

        end = strchrnul(at, '\n');
        len = (size_t)(end - at);
        if (len > 0 && at[len - 1] == '\r')
            len--;
        if ((read_coreutils(at, len, &line) || read_bsd(at, len, &line)) &&
            (damage_only || line.checksum.kind != CST_SHA1) && is_of(&line, name) &&
            !take(&line.checksum, &best, &found))
            return cst_fail(error, CST_ERROR_MISMATCH,
                            _("'%s' has two different checksums of '%s'"), what, shown);
    }
    if (!found)
        return damage_only ? cst_fail(error, CST_ERROR_NOT_FOUND,
                                      _("'%s' has no SHA-1 or SHA-2 checksum of '%s'"), what, shown)
                           : cst_fail(error, CST_ERROR_NOT_FOUND,
                                      _("'%s' has no SHA-2 checksum of '%s'"), what, shown);
    *ret_checksum = best;
    return TRUE;
}
