/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A scan of untrusted XML before libxml2 parses it.
 *
 * libxml2 compares each attribute of an element with all other ones, so a document within the size
 * limit can keep it busy for very long. The scan finds start tags in one pass, skips comments,
 * CDATA and processing instructions, and counts the '=' outside of quotes. It need not recognise
 * well-formed XML: it may count more attributes than the parser would, never fewer.
 */
#include "xml_guard.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <model/limits.h>

/* Returns the position after the next @end, or the end of the text. */
static const char *skip_past(const char *p, const char *end)
{
    const char *found = strstr(p, end);

    return found ? found + strlen(end) : p + strlen(p);
}

/* Scans a tag from after its '<' to its '>'. *ret_count: number of '=' outside of quotes. */
static const char *scan_tag(const char *p, unsigned *ret_count)
{
    char quote = '\0';

    *ret_count = 0;
    for (; *p && (quote || *p != '>'); p++) {
        if (quote && *p == quote)
            quote = '\0';
        else if (!quote && (*p == '"' || *p == '\''))
            quote = *p;
        else if (!quote && *p == '=')
            (*ret_count)++;
    }
    return p;
}

static gboolean check_attributes(const char *text, const char *what, GError **error)
{
    const char *p = text;
    unsigned count;

    while ((p = strchr(p, '<'))) {
        p++;
        if (g_str_has_prefix(p, "!--")) {
            p = skip_past(p + strlen("!--"), "-->");
        } else if (g_str_has_prefix(p, "![CDATA[")) {
            p = skip_past(p, "]]>");
        } else if (*p == '?') {
            p = skip_past(p, "?>");
        } else {
            p = scan_tag(p, &count);
            if (count > CST_XML_MAX_ATTRIBUTES)
                return cst_fail(error, CST_ERROR_XML,
                                _("%s: an element has more than %u attributes"), what,
                                CST_XML_MAX_ATTRIBUTES);
        }
    }
    return TRUE;
}

/* Returns the value of encoding="…" in the XML declaration, or NULL. g_free() it. */
static char *declared_encoding(const char *text)
{
    g_autofree char *declaration = NULL;
    char *encoding, *value;

    if (!g_str_has_prefix(text, "<?xml"))
        return NULL;
    declaration = g_strndup(text, (gsize)(skip_past(text, "?>") - text));
    encoding = strstr(declaration, "encoding");
    value = encoding ? strpbrk(encoding, "\"'") : NULL;
    return value ? g_strndup(value + 1, strcspn(value + 1, "\"'")) : NULL;
}

static gboolean check_encoding(const char *text, const char *what, GError **error)
{
    static const char *const supersets[] = {"utf-8", "us-ascii", "ascii", "iso-8859-",
                                            "windows-125"};
    g_autofree char *encoding = declared_encoding(text);

    for (size_t i = 0; encoding && i < G_N_ELEMENTS(supersets); i++)
        if (g_ascii_strncasecmp(encoding, supersets[i], strlen(supersets[i])) == 0)
            return TRUE;
    if (encoding)
        return cst_fail(error, CST_ERROR_XML, _("%s: encoding '%s' is not supported; use UTF-8"),
                        what, encoding);
    return TRUE;
}

gboolean cst_xml_guard(const char *text, const char *what, GError **error)
{
    return check_encoding(text, what, error) && check_attributes(text, what, error);
}
