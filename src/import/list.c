/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parses lists of checksums. A line of another form is ignored, as in `sha256sum -c`, because lists
 * have comments and headings. If a file has several digests, the strongest is used. Two digests of
 * one kind must be equal.
 *
 * The list of a published image may name it with directories ("./images/d.qcow2") of the build
 * machine. Therefore only the last component of the name is compared. Two files with one name in
 * different directories are two digests of one name, and are refused. A manifest belongs to a
 * package with directories, so the whole name is compared.
 */
#include "list.h"

#include <string.h>

#include <base/i18n.h>
#include <base/text.h>

typedef struct {
    const char *name; /* in the line */
    size_t name_len;
    gboolean escaped; /* with coreutils' backslashes */
    ImportChecksum checksum;
} Line;

#define KINDS (CST_SHA1 + 1)

/* "HEX  name", "HEX *name", "\HEX  na\\me": the length determines the kind. */
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

/* Checks the text between a name and @hex. *ret_end receives the end of the name. */
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

/*
 * Returns the text after the name of @kind ("SHA256", or "SHA2-256" and "SHA-256"), or NULL for
 * another kind.
 */
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

/* "SHA256 (name) = HEX", "SHA256(name)= HEX". The name may contain parentheses. */
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

/* Returns @name without its directories. */
static const char *base_name(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? slash + 1 : name;
}

/*
 * Returns whether @line is of the file: by its whole path in a manifest, by its last part in a
 * list.
 */
static gboolean line_is_of(const Line *line, const char *name, gboolean manifest)
{
    g_autofree char *text = g_strndup(line->name, line->name_len);
    g_autofree char *plain = line->escaped ? g_strcompress(text) : NULL;
    const char *found = plain ? plain : text;

    if (!manifest)
        return g_str_equal(base_name(found), name);
    return g_str_equal(g_str_has_prefix(found, "./") ? found + 2 : found, name);
}

/* Reads a file with one digest and no name, as published by NixOS and Alpine. */
static gboolean read_bare(const char *text, ImportChecksum *ret_checksum)
{
    static const char space[] = " \t\r\n";
    const char *hex = text + strspn(text, space);
    size_t len = strcspn(hex, space);

    if (hex[len + strspn(hex + len, space)] != '\0')
        return FALSE;
    for (unsigned kind = 0; kind < KINDS; kind++)
        if (import_checksum_take((CstDigestKind)kind, hex, len, ret_checksum))
            return TRUE;
    return FALSE;
}

/* The digests of one file in a list: at most one of each kind. */
typedef struct {
    gboolean found[KINDS];
    ImportChecksum checksums[KINDS];
} Digests;

/* Adds a line's digest. Returns FALSE if an earlier line has another digest of its kind. */
static gboolean digests_add(Digests *digests, const ImportChecksum *checksum)
{
    ImportChecksum *known = &digests->checksums[checksum->kind];

    if (digests->found[checksum->kind])
        return g_str_equal(known->hex, checksum->hex);
    *known = *checksum;
    digests->found[checksum->kind] = TRUE;
    return TRUE;
}

/* Returns the strongest accepted digest. SHA-1 is accepted only in a manifest. */
static gboolean digests_best(const Digests *digests, gboolean manifest,
                             ImportChecksum *ret_checksum)
{
    gboolean any = FALSE;

    for (unsigned kind = 0; kind < KINDS; kind++)
        if (digests->found[kind] && (manifest || kind != CST_SHA1) &&
            (!any || cst_digest_size(ret_checksum->kind) < cst_digest_size((CstDigestKind)kind))) {
            *ret_checksum = digests->checksums[kind];
            any = TRUE;
        }
    return any;
}

gboolean import_list_find(const char *text, const char *name, const char *what, gboolean manifest,
                          ImportChecksum *ret_checksum, GError **error)
{
    g_autofree char *shown = cst_text_escape(name);
    Digests digests = {0};
    ImportChecksum bare;
    Line line;

    if (!manifest && read_bare(text, &bare))
        digests_add(&digests, &bare);
    for (const char *at = text, *end; *at; at = *end ? end + 1 : end) {
        size_t len;

        end = strchrnul(at, '\n');
        len = (size_t)(end - at);
        if (len > 0 && at[len - 1] == '\r')
            len--;
        if ((read_coreutils(at, len, &line) || read_bsd(at, len, &line)) &&
            line_is_of(&line, name, manifest) && !digests_add(&digests, &line.checksum))
            return cst_fail(error, CST_ERROR_MISMATCH,
                            _("'%s' has two different checksums of '%s'"), what, shown);
    }
    if (digests_best(&digests, manifest, ret_checksum))
        return TRUE;
    return manifest ? cst_fail(error, CST_ERROR_NOT_FOUND,
                               _("'%s' has no SHA-1 or SHA-2 checksum of '%s'"), what, shown)
                    : cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no SHA-2 checksum of '%s'"),
                               what, shown);
}
