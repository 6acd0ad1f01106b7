/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XML documents: reads a definition from a file, and prints the nodes that an XPath expression
 * selects. A document may come from a server, so it is parsed without network access. Messages of
 * libxml2 are suppressed. The size of files is limited to CLI_XML_MAX.
 */
#include "xml.h"

#include <errno.h>
#include <libxml2_library.h>
#include <stdio.h>
#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/input.h>

#include "output/report.h"

#define PARSE_SILENTLY (XML_PARSE_NONET | XML_PARSE_NOERROR)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlXPathContext, xmlXPathFreeContext)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlXPathObject, xmlXPathFreeObject)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlBuffer, xmlBufferFree)

static gboolean read_stream(FILE *file, GString *text, const char *path, GError **error)
{
    char buffer[4096];
    size_t n;

    while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0) {
        if (text->len + n > CLI_XML_MAX)
            return cst_fail(error, CST_ERROR_LIMIT,
                            _("Failed to read file '%s': Value too large for defined data type"),
                            path);
        g_string_append_len(text, buffer, n);
    }
    if (ferror(file))
        return cst_fail_errno(error, errno, _("Failed to read file '%s'"), path);
    return TRUE;
}

gboolean cli_read_xml(const char *path, char **ret_xml, GError **error)
{
    g_autofree char *complaint = g_strdup_printf(_("Failed to open file '%s'"), path);
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(CstFd) fd = cst_input_open(path, complaint, error);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    gboolean ok;

    if (fd < 0)
        return FALSE;
    if (!file)
        return cst_fail_errno(error, errno, "%s", complaint);
    g_steal_fd(&fd);
    ok = read_stream(file, text, path, error);
    fclose(file);
    if (ok)
        *ret_xml = g_string_free(g_steal_pointer(&text), FALSE);
    return ok;
}

static void keep_silent(void *data, xmlErrorPtr error)
{
}

static char *node_text(xmlDoc *doc, xmlNode *node)
{
    g_autoptr(xmlBuffer) buffer = xmlBufferCreate();

    xmlNodeDump(buffer, doc, node, 0, 1);
    return g_strdup((const char *)xmlBufferContent(buffer));
}

static char *wrap_nodes(const xmlNodeSet *nodes)
{
    g_autoptr(xmlDoc) doc = xmlNewDoc(NULL);
    xmlNode *root = xmlNewNode(NULL, (const xmlChar *)"nodes");
    g_autofree char *text = NULL;

    xmlDocSetRootElement(doc, root);
    for (int i = 0; nodes && i < nodes->nodeNr; i++) {
        xmlNode *copy = xmlDocCopyNode(nodes->nodeTab[i], doc, 1);

        if (copy)
            xmlAddChild(root, copy);
    }
    text = node_text(doc, root);
    return g_strdup_printf("%s\n", text);
}

static char *list_nodes(xmlDoc *doc, const xmlNodeSet *nodes)
{
    GString *text = g_string_new(NULL);

    for (int i = 0; nodes && i < nodes->nodeNr; i++) {
        g_autofree char *one = node_text(doc, nodes->nodeTab[i]);

        g_string_append_printf(text, "%s\n", one);
    }
    return g_string_free(text, FALSE);
}

static xmlXPathObject *xpath_evaluate(xmlDoc *doc, const char *xpath)
{
    g_autoptr(xmlXPathContext) context = xmlXPathNewContext(doc);

    context->error = keep_silent;
    context->node = xmlDocGetRootElement(doc);
    return xmlXPathEval((const xmlChar *)xpath, context);
}

static char *select_nodes(const char *xml, const char *xpath, gboolean wrap, GError **error)
{
    g_autoptr(xmlDoc) doc = NULL;
    g_autoptr(xmlXPathObject) object = NULL;

    if (!cst_library_load(&cst_libxml2_library, error))
        return NULL;
    doc = xmlReadMemory(xml, (int)strlen(xml), "dump.xml", NULL, PARSE_SILENTLY);
    if (!doc) {
        cst_fail(error, CST_ERROR_XML, "%s", _("the server's answer is not well formed"));
        return NULL;
    }
    object = xpath_evaluate(doc, xpath);
    if (!object || object->type != XPATH_NODESET) {
        cst_fail(error, CST_ERROR_INVALID, _("Incorrect xpath '%s'"), xpath);
        return NULL;
    }
    return wrap ? wrap_nodes(object->nodesetval) : list_nodes(doc, object->nodesetval);
}

char *cli_xml_text(const char *xml, const char *xpath)
{
    g_autoptr(xmlDoc) doc = xmlReadMemory(xml, (int)strlen(xml), "dump.xml", NULL, PARSE_SILENTLY);
    g_autoptr(xmlXPathObject) object = doc ? xpath_evaluate(doc, xpath) : NULL;
    g_autofree char *found = NULL;
    xmlChar *text;

    if (!object)
        return NULL;
    text = xmlXPathCastToString(object);
    found = g_strdup((const char *)text);
    xmlFree(text);

    g_strstrip(found);
    return *found ? g_steal_pointer(&found) : NULL;
}

void cli_blame_name_in(CliCtl *ctl, const char *xml, const char *xpath)
{
    g_autofree char *name = cli_xml_text(xml, xpath);

    if (name)
        cli_blame_name(ctl, name);
}

gboolean cli_xml_has(const char *xml, const char *xpath)
{
    g_autofree char *found = select_nodes(xml, xpath, FALSE, NULL);

    return found && *found;
}

gboolean cli_dump_xml(CliCtl *ctl, const CliArgs *args, const char *xml, GError **error)
{
    const char *xpath;
    g_autofree char *selected = NULL;

    if (!cli_args_string(args, "xpath", &xpath, error))
        return FALSE;
    if (!xpath) {
        cli_document(ctl, "xml", xml);
        return TRUE;
    }
    selected = select_nodes(xml, xpath, cli_args_has(args, "wrap"), error);
    if (!selected)
        return FALSE;
    cli_document(ctl, "xml", selected);
    return TRUE;
}
