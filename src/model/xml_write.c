/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes XML in libvirt's layout (see the header). The output is identical to libvirt's, so that
 * files can be compared and clients can search documents as text.
 */
#include <model/xml_write.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* Writes a line end or tab as a character reference if a parser would normalise it. */
static void add_blank(GString *out, char blank, gboolean in_attribute)
{
    if (blank == '\r' || in_attribute)
        g_string_append_printf(out, "&#%d;", blank);
    else
        g_string_append_c(out, blank);
}

/* Whether XML 1.0 can represent the byte @c. */
static gboolean can_write(unsigned char c)
{
    return c >= 0x20 || c == '\t' || c == '\n' || c == '\r';
}

static gboolean can_write_text(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!can_write((unsigned char)*p))
            return FALSE;
    return g_utf8_validate(text, -1, NULL);
}

static void add_escaped(CstXmlWriter *xml, const char *text, gboolean in_attribute)
{
    GString *out = xml->out;

    if (!xml->incomplete && !can_write_text(text))
        xml->incomplete = text;
    for (const char *p = text; *p; p++) {
        switch (*p) {
        case '<': g_string_append(out, "&lt;"); break;
        case '>': g_string_append(out, "&gt;"); break;
        case '&': g_string_append(out, "&amp;"); break;
        case '"': g_string_append(out, "&quot;"); break;
        case '\'': g_string_append(out, "&apos;"); break;
        case '\r':
        case '\n':
        case '\t': add_blank(out, *p, in_attribute); break;
        default:
            if (can_write((unsigned char)*p))
                g_string_append_c(out, *p);
        }
    }
}

static void add_indent(CstXmlWriter *xml)
{
    static const char blanks[] = "                                ";
    size_t width = 2 * (size_t)xml->depth;

    g_string_append_len(xml->out, blanks, (gssize)MIN(width, sizeof(blanks) - 1));
}

static void add_start(CstXmlWriter *xml, const char *name, va_list attrs, const char *end)
{
    const char *attr;

    add_indent(xml);
    g_string_append_c(xml->out, '<');
    g_string_append(xml->out, name);
    while ((attr = va_arg(attrs, const char *))) {
        const char *value = va_arg(attrs, const char *);

        if (!value)
            continue;
        g_string_append_c(xml->out, ' ');
        g_string_append(xml->out, attr);
        g_string_append(xml->out, "='");
        add_escaped(xml, value, TRUE);
        g_string_append_c(xml->out, '\'');
    }
    g_string_append(xml->out, end);
}

static void add_end(CstXmlWriter *xml, const char *name)
{
    g_string_append(xml->out, "</");
    g_string_append(xml->out, name);
    g_string_append(xml->out, ">\n");
}

void cst_xml_open(CstXmlWriter *xml, const char *name, ...)
{
    va_list attrs;

    va_start(attrs, name);
    add_start(xml, name, attrs, ">\n");
    va_end(attrs);
    xml->depth++;
}

void cst_xml_close(CstXmlWriter *xml, const char *name)
{
    xml->depth--;
    add_indent(xml);
    add_end(xml, name);
}

void cst_xml_empty(CstXmlWriter *xml, const char *name, ...)
{
    va_list attrs;

    va_start(attrs, name);
    add_start(xml, name, attrs, "/>\n");
    va_end(attrs);
}

void cst_xml_element(CstXmlWriter *xml, const char *name, const char *text)
{
    if (!text)
        return;
    add_indent(xml);
    g_string_append_c(xml->out, '<');
    g_string_append(xml->out, name);
    g_string_append_c(xml->out, '>');
    add_escaped(xml, text, FALSE);
    add_end(xml, name);
}

void cst_xml_size(CstXmlWriter *xml, const char *name, const char *unit, uint64_t value)
{
    add_indent(xml);
    g_string_append_c(xml->out, '<');
    g_string_append(xml->out, name);
    if (unit)
        g_string_append_printf(xml->out, " unit='%s'", unit);
    g_string_append_printf(xml->out, ">%" G_GUINT64_FORMAT, value);
    add_end(xml, name);
}

gboolean cst_xml_check_text(const char *text, GError **error)
{
    return can_write_text(text) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("cannot write '%s' in XML: it has a control character or is not UTF-8"),
                    text);
}

char *cst_xml_take(CstXmlWriter *xml, GError **error)
{
    gboolean ok = !xml->incomplete || cst_xml_check_text(xml->incomplete, error);
    char *text = g_string_free(xml->out, !ok);

    xml->out = NULL;
    return text;
}
