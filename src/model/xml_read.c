/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parsing and reading of untrusted XML.
 *
 * Bounds: the size is checked first, the number of attributes by xml_guard.c, the depth by libxml2
 * (256 levels). The parser stops at a document type declaration, so there are no entities and no
 * external files. As in libvirt, only the first fatal error is reported, with its line and
 * position. libxml2 prints no messages.
 */
#include "xml_read.h"

#include <errno.h>
#include <libxml2_library.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <model/limits.h>

#include "xml_guard.h"

typedef struct {
    xmlParserCtxt *parser;
    const char *text;
    const char *what;
    char *problem; /* the first fatal error; later errors result from it */
    gboolean has_dtd;
} Reader;

static void init_parser(void)
{
    static gsize done;

    if (g_once_init_enter(&done)) {
        xmlInitParser();
        g_once_init_leave(&done, 1);
    }
}

/* Returns a copy of line @line of @text, without its line end. */
static char *line_of(const char *text, int line)
{
    for (int i = 1; i < line && text; i++) {
        text = strchr(text, '\n');
        if (text)
            text++;
    }
    return text ? g_strndup(text, strcspn(text, "\r\n")) : g_strdup("");
}

/* Returns the line of the error with an arrow below it; "" for a line of more than 1024 bytes. */
static char *describe_position(const Reader *reader, const xmlError *err)
{
    const size_t widest = 1024;
    g_autofree char *line = line_of(reader->text, err->line);
    g_autofree char *arrow = NULL;
    size_t column = err->int2 > 0 ? (size_t)err->int2 - 1 : 0;

    if (strlen(line) > widest)
        return g_strdup("");
    column = MIN(column, strlen(line));
    arrow = g_strnfill(column, '-');
    for (size_t i = 0; i < column; i++)
        if (line[i] == '\t')
            arrow[i] = '\t';
    return g_strdup_printf("\n%s\n%s^", line, arrow);
}

#if LIBXML_VERSION >= 21200
static void on_error(void *data, const xmlError *err)
#else
static void on_error(void *data, xmlError *err)
#endif
{
    xmlParserCtxt *parser = data;
    Reader *reader = parser->_private;
    g_autofree char *message = NULL;
    g_autofree char *position = NULL;

    if (err->level != XML_ERR_FATAL || reader->problem)
        return;
    message = g_strchomp(g_strdup(err->message ? err->message : "?"));
    position = describe_position(reader, err);
    reader->problem = g_strdup_printf("%s:%d: %s%s", reader->what, err->line, message, position);
}

/*
 * Stops at a document type, because it could define entities, external files and default
 * attributes.
 */
static void on_doctype(void *data, const xmlChar *name, const xmlChar *public_id,
                       const xmlChar *system_id)
{
    xmlParserCtxt *parser = data;
    Reader *reader = parser->_private;

    reader->has_dtd = TRUE;
    xmlStopParser(parser);
}

static xmlDoc *read_doc(Reader *reader, size_t len)
{
    xmlDoc *doc;

    reader->parser->_private = reader;
    reader->parser->sax->serror = on_error;
    reader->parser->sax->internalSubset = on_doctype;
    /*
     * The length is at most CST_XML_MAX_BYTES, so it fits an int. No option enables entities, DTDs
     * or huge documents.
     */
    doc = xmlCtxtReadMemory(reader->parser, reader->text, (int)len, NULL, NULL,
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlFreeParserCtxt(reader->parser);
    return doc;
}

xmlDoc *cst_xml_parse(const char *text, const char *root, const char *what, GError **error)
{
    Reader reader = {.text = text, .what = what};
    g_autoptr(xmlDoc) doc = NULL;
    g_autofree char *problem = NULL;
    const char *found;
    size_t len = strnlen(text, CST_XML_MAX_BYTES + 1);

    if (!cst_library_load(&cst_libxml2_library, error))
        return NULL;
    init_parser();
    if (len > CST_XML_MAX_BYTES) {
        cst_fail(error, CST_ERROR_XML, _("%s: document is larger than %u bytes"), what,
                 (unsigned)CST_XML_MAX_BYTES);
        return NULL;
    }
    if (!cst_xml_guard(text, what, error))
        return NULL;
    reader.parser = xmlNewParserCtxt();
    if (!reader.parser) {
        cst_fail(error, CST_ERROR_XML, _("failed to parse xml document '%s'"), what);
        return NULL;
    }
    doc = read_doc(&reader, len);
    problem = reader.problem;
    /* Checked first, because stopping the parser may have left an error or a partial document. */
    if (reader.has_dtd) {
        cst_fail(error, CST_ERROR_XML, _("%s: document type declarations are not allowed"), what);
        return NULL;
    }
    if (!doc || !xmlDocGetRootElement(doc)) {
        if (problem)
            cst_fail(error, CST_ERROR_XML_SYNTAX, "%s", problem);
        else
            cst_fail(error, CST_ERROR_XML, _("failed to parse xml document '%s'"), what);
        return NULL;
    }
    found = (const char *)xmlDocGetRootElement(doc)->name;
    if (strcmp(found, root) != 0) {
        cst_fail(error, CST_ERROR_XML, _("expecting root element of '%s', not '%s'"), root, found);
        return NULL;
    }
    return g_steal_pointer(&doc);
}

/* Matches elements as libvirt's XPath expressions do: by a name without a namespace. */
static gboolean is_element(const xmlNode *node, const char *name, size_t len)
{
    return node->type == XML_ELEMENT_NODE && !node->ns &&
           strncmp((const char *)node->name, name, len) == 0 && node->name[len] == '\0';
}

/* Searches depth first, so the second of two <target>s is searched if the first has no match. */
static xmlNode *node_find(xmlNode *node, const char *path, const char *attr)
{
    size_t len = strcspn(path, "/");

    for (xmlNode *child = node->children; child; child = child->next) {
        xmlNode *found = NULL;

        if (!is_element(child, path, len))
            continue;
        if (path[len] == '/')
            found = node_find(child, path + len + 1, attr);
        else if (!attr || xmlHasNsProp(child, BAD_CAST attr, NULL))
            found = child;
        if (found)
            return found;
    }
    return NULL;
}

xmlNode *cst_xml_find(xmlNode *node, const char *path)
{
    return node_find(node, path, NULL);
}

xmlNode *cst_xml_next(xmlNode *node)
{
    const char *name = (const char *)node->name;

    for (xmlNode *next = node->next; next; next = next->next)
        if (is_element(next, name, strlen(name)))
            return next;
    return NULL;
}

/*
 * Copies a libxml2 string into GLib's memory and frees it, because the two may have different
 * allocators. An empty string counts as NULL unless @keep_empty.
 */
static char *xml_text_steal(xmlChar *text, gboolean keep_empty)
{
    char *copy = NULL;

    if (text && (*text || keep_empty))
        copy = g_strdup((const char *)text);
    xmlFree(text);
    return copy;
}

char *cst_xml_text(xmlNode *node, const char *path)
{
    xmlNode *found = cst_xml_find(node, path);

    return found ? xml_text_steal(xmlNodeGetContent(found), FALSE) : NULL;
}

char *cst_xml_path_attr(xmlNode *node, const char *path, const char *attr)
{
    xmlNode *found = node_find(node, path, attr);

    return found ? xml_text_steal(xmlGetNoNsProp(found, BAD_CAST attr), FALSE) : NULL;
}

char *cst_xml_attr(xmlNode *node, const char *attr)
{
    return xml_text_steal(xmlGetNoNsProp(node, BAD_CAST attr), TRUE);
}

gboolean(cst_xml_bad_attr)(xmlNode *node, const char *attr, const char *value, const char *expected,
                           GError **error)
{
    if (expected)
        return cst_fail(error, CST_ERROR_XML,
                        _("Invalid value for attribute '%s' in element '%s': '%s'. Expected %s"),
                        attr, (const char *)node->name, value, expected);
    return cst_fail(error, CST_ERROR_XML,
                    _("Invalid value for attribute '%s' in element '%s': '%s'."), attr,
                    (const char *)node->name, value);
}

gboolean cst_xml_attr_yes_no(xmlNode *node, const char *attr, int *ret_value, GError **error)
{
    static const char *const names[] = {"no", "yes", NULL};

    return cst_xml_attr_enum(node, attr, names, ret_value, error);
}

gboolean cst_xml_attr_enum(xmlNode *node, const char *attr, const char *const *names,
                           int *ret_index, GError **error)
{
    g_autofree char *value = cst_xml_attr(node, attr);
    int index = -1;

    if (value) {
        index = cst_name_index(names, value);
        if (index < 0)
            return cst_xml_bad_attr(node, attr, value, NULL, error);
    }
    *ret_index = index;
    return TRUE;
}

gboolean cst_xml_attr_uint(xmlNode *node, const char *attr, unsigned base, uint32_t *ret_value,
                           GError **error)
{
    g_autofree char *text = cst_xml_attr(node, attr);
    uint64_t value;

    if (!text)
        return TRUE;
    if (!cst_parse_uint(text, base, &value) || value > G_MAXUINT32)
        return cst_xml_bad_attr(node, attr, text, _("non-negative integer value"), error);
    *ret_value = (uint32_t)value;
    return TRUE;
}

gboolean cst_xml_bytes(xmlNode *node, const char *path, const char *called, uint64_t max,
                       uint64_t *ret_bytes, gboolean *ret_given, GError **error)
{
    g_autofree char *text = cst_xml_text(node, path);
    g_autofree char *unit = cst_xml_path_attr(node, path, "unit");
    uint64_t bytes;

    if (ret_given)
        *ret_given = FALSE;
    if (!text)
        return TRUE;
    if (!cst_parse_uint(text, 10, &bytes))
        return cst_fail(error, CST_ERROR_XML, _("malformed %s element"), called);
    if (!cst_units_scale(&bytes, unit, 1, max, error))
        return FALSE;
    *ret_bytes = bytes;
    if (ret_given)
        *ret_given = TRUE;
    return TRUE;
}

gboolean cst_parse_int(const char *text, unsigned base, int64_t min, int64_t max,
                       int64_t *ret_value)
{
    char *end = NULL;
    int64_t value;

    errno = 0;
    value = g_ascii_strtoll(text, &end, base);
    if (errno != 0 || end == text || *end || value < min || value > max)
        return FALSE;
    *ret_value = value;
    return TRUE;
}

gboolean cst_parse_uint(const char *text, unsigned base, uint64_t *ret_value)
{
    char *end = NULL;
    uint64_t value;

    errno = 0;
    value = g_ascii_strtoull(text, &end, base);
    /* strtoull() accepts a minus sign and wraps around. */
    if (errno != 0 || end == text || *end || strchr(text, '-'))
        return FALSE;
    *ret_value = value;
    return TRUE;
}

int cst_name_index(const char *const *names, const char *text)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    return -1;
}
