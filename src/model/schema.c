/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Validation against libvirt's RelaxNG schemas, on request (the VALIDATE flags). A schema is loaded
 * for each validation and not cached.
 */
#include <model/schema.h>

#include <libxml2_library.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <model/pool_type.h>

#include "xml_read.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlRelaxNG, xmlRelaxNGFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlRelaxNGParserCtxt, xmlRelaxNGFreeParserCtxt)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlRelaxNGValidCtxt, xmlRelaxNGFreeValidCtxt)

static char *schema_dir;

void cst_schema_set_dir(const char *dir)
{
    g_free(schema_dir);
    schema_dir = g_strdup(dir);
}

/*
 * Collects messages up to a limit, because a broken document may cause one for each of its nodes.
 */
#if LIBXML_VERSION >= 21200
static void collect(void *data, const xmlError *err)
#else
static void collect(void *data, xmlError *err)
#endif
{
    const size_t enough = 2048;
    GString *problems = data;

    if (err->message && problems->len < enough)
        g_string_append(problems, err->message);
}

/*
 * Compiles a schema. The first compilation initialises libxml2's global tables of data types
 * without a lock, so it needs the mutex.
 */
static xmlRelaxNG *schema_compile(xmlRelaxNGParserCtxt *parser)
{
    static GMutex lock;
    xmlRelaxNG *schema;

    g_mutex_lock(&lock);
    schema = xmlRelaxNGParse(parser);
    g_mutex_unlock(&lock);
    return schema;
}

static xmlRelaxNG *schema_load(const char *path, GError **error)
{
    g_autoptr(GString) problems = g_string_new(NULL);
    g_autoptr(xmlRelaxNGParserCtxt) parser = NULL;
    xmlRelaxNG *schema = NULL;

    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED,
                 _("cannot validate: there is no schema '%s'; install libvirt's schemas or leave "
                   "validation out"),
                 path);
        return NULL;
    }
    parser = xmlRelaxNGNewParserCtxt(path);
    if (parser) {
        xmlRelaxNGSetParserStructuredErrors(parser, collect, problems);
        schema = schema_compile(parser);
    }
    if (!schema)
        cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED, _("cannot validate: schema '%s': %s"), path,
                 problems->str);
    return schema;
}

/*
 * Removes our own elements, because libvirt's schemas do not have them (its parser ignores them).
 */
static void drop_own_elements(xmlNode *parent)
{
    for (xmlNode *node = parent->children, *next; node; node = next) {
        next = node->next;
        if (node->type == XML_ELEMENT_NODE && node->ns &&
            strcmp((const char *)node->ns->href, CST_XML_NAMESPACE) == 0) {
            xmlUnlinkNode(node);
            xmlFreeNode(node);
        }
    }
}

gboolean cst_xml_validate(const xmlDoc *document, const char *schema, GError **error)
{
    g_autofree char *path =
        g_build_filename(schema_dir ? schema_dir : CST_SCHEMA_DIR, schema, NULL);
    g_autoptr(GString) problems = g_string_new(NULL);
    g_autoptr(xmlRelaxNG) compiled = schema_load(path, error);
    g_autoptr(xmlRelaxNGValidCtxt) validator = NULL;
    g_autoptr(xmlDoc) doc = NULL;

    if (!compiled)
        return FALSE;
    validator = xmlRelaxNGNewValidCtxt(compiled);
    if (!validator)
        return cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED, _("cannot validate against '%s'"),
                        path);
    /* A copy, because elements are removed. If it cannot be allocated, validation fails. */
    doc = xmlCopyDoc((xmlDoc *)document, 1);
    if (doc)
        drop_own_elements(xmlDocGetRootElement(doc));
    xmlRelaxNGSetValidStructuredErrors(validator, collect, problems);
    if (xmlRelaxNGValidateDoc(validator, doc) != 0)
        return cst_fail(error, CST_ERROR_XML_SCHEMA, _("Unable to validate doc against %s\n%s"),
                        path, problems->str);
    return TRUE;
}
