/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Untrusted text in messages and logs. A terminal must not execute control sequences in it, and
 * direction marks must not reorder the text around it. Invalid UTF-8 is escaped byte by byte.
 */
#include <base/text.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

gboolean cst_text_is_plain(gunichar c)
{
    /* g_unichar_isprint() accepts the line and paragraph separators. */
    return g_unichar_isprint(c) && c != 0x2028 && c != 0x2029;
}

static gboolean is_direction_mark(gunichar c)
{
    return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

gboolean cst_text_name_check(const char *name, const char *what, GError **error)
{
    g_autofree char *valid = g_utf8_make_valid(name, -1);

    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        if (g_unichar_iscntrl(c))
            return cst_fail(error, CST_ERROR_INVALID, _("%s name contains a control character"),
                            what);
        if (is_direction_mark(c) || c == 0x2028 || c == 0x2029)
            return cst_fail(error, CST_ERROR_INVALID,
                            _("%s name contains a direction mark or a separator of lines"), what);
    }
    return TRUE;
}

/* Return: the end of the printable ASCII at the start of the text from @text to @end. */
static const char *ascii_end(const char *text, const char *end)
{
    while (text < end && *text >= ' ' && *text < 0x7f)
        text++;
    return text;
}

/* Appends @len bytes at @text. Characters in @kept are copied, although they are not printable. */
static void append_escaped(GString *out, const char *text, gsize len, const char *kept)
{
    const char *end = text + len;

    while (text < end) {
        const char *ascii = ascii_end(text, end), *next;
        gboolean valid;
        gunichar c;

        if (ascii > text) {
            g_string_append_len(out, text, ascii - text);
            text = ascii;
            continue;
        }
        c = g_utf8_get_char_validated(text, end - text);
        valid = c != (gunichar)-1 && c != (gunichar)-2;
        next = valid ? g_utf8_next_char(text) : text + 1;

        if (valid && (cst_text_is_plain(c) || (c < 0x80 && strchr(kept, (int)c))))
            g_string_append_len(out, text, next - text);
        else
            for (const char *p = text; p < next; p++)
                g_string_append_printf(out, "\\x%02x", (guchar)*p);
        text = next;
    }
}

static char *text_escape(const char *text, const char *kept)
{
    gsize len = strlen(text);
    GString *out = g_string_sized_new(len + 1);

    append_escaped(out, text, len, kept);
    return g_string_free(out, FALSE);
}

char *cst_text_escape(const char *text)
{
    return text_escape(text, "");
}

char *cst_text_escape_lines(const char *text)
{
    return text_escape(text, "\n\t");
}

/*
 * Returns the end of the conversion that begins with the "%" at @percent. "%%" is a conversion,
 * too.
 */
static const char *conversion_end(const char *percent)
{
    const char *letter = percent + 1 + strcspn(percent + 1, "diouxXeEfFgGaAcCsSpnm%");

    return *letter ? letter + 1 : letter;
}

/* Returns @format with @mark after each conversion. */
static char *mark_conversions(const char *format, char mark)
{
    GString *marked = g_string_new(NULL);

    for (const char *at = format; *at;) {
        const char *percent = strchrnul(at, '%');
        const char *end = *percent ? conversion_end(percent) : percent;

        g_string_append_len(marked, at, end - at);
        if (*percent)
            g_string_append_c(marked, mark);
        at = end;
    }
    return g_string_free(marked, FALSE);
}

#pragma GCC diagnostic push
/*
 * The compiler has checked the arguments of the caller's format, and the marks do not change them.
 */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static char *format_marked(const char *format, char mark, va_list args)
{
    g_autofree char *marked = mark_conversions(format, mark);
    char *text;
    va_list copy;

    va_copy(copy, args);
    text = g_strdup_vprintf(marked, copy);
    va_end(copy);
    return text;
}
#pragma GCC diagnostic pop

/*
 * Formats the text twice, with different marks after the conversions. After the start of a
 * conversion, the first difference is the end of its text, regardless of the bytes in the text.
 * This works for each kind of conversion, and for translations that change the order of the
 * arguments.
 */
char *cst_text_vformat(const char *format, va_list args)
{
    g_autofree char *one = format_marked(format, '\1', args);
    g_autofree char *two = format_marked(format, '\2', args);
    GString *out = g_string_sized_new(strlen(one) + 1);
    gsize at = 0;

    while (*format) {
        const char *percent = strchrnul(format, '%');
        gsize begin = at + (gsize)(percent - format);

        g_string_append_len(out, format, percent - format);
        if (!*percent)
            break;
        at = begin;
        while (one[at] && one[at] == two[at])
            at++;
        append_escaped(out, one + begin, at - begin, "");
        at += one[at] != '\0';
        format = conversion_end(percent);
    }
    return g_string_free(out, FALSE);
}

char *cst_text_format(const char *format, ...)
{
    char *text;
    va_list args;

    va_start(args, format);
    text = cst_text_vformat(format, args);
    va_end(args);
    return text;
}

int cst_text_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}
