/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options in an XML namespace: mount options of fs and netfs, librbd's configuration, and Cistern's
 * own options. Options in libvirt's namespaces may have any name. In Cistern's namespace an option
 * is an error if it is unknown or the type does not have it. To ignore it would silently give the
 * user another result.
 */
#include "options.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "xml_read.h"

static void option_free(gpointer data)
{
    CstPoolOption *option = data;

    g_free(option->key);
    g_free(option->value);
    g_free(option);
}

void cst_options_add(GPtrArray **options, const char *key, const char *value)
{
    CstPoolOption *option = g_new0(CstPoolOption, 1);

    option->key = g_strdup(key);
    option->value = g_strdup(value);
    if (!*options)
        *options = g_ptr_array_new_with_free_func(option_free);
    g_ptr_array_add(*options, option);
}

const char *cst_options_get(const GPtrArray *options, const char *key)
{
    /* From the end, because the last value counts. */
    for (guint i = options ? options->len : 0; i-- > 0;) {
        const CstPoolOption *option = g_ptr_array_index(options, i);

        if (strcmp(option->key, key) == 0)
            return option->value;
    }
    return NULL;
}

GPtrArray *cst_options_copy(const GPtrArray *options)
{
    GPtrArray *copy = NULL;

    for (guint i = 0; options && i < options->len; i++) {
        const CstPoolOption *option = g_ptr_array_index(options, i);

        cst_options_add(&copy, option->key, option->value);
    }
    return copy;
}

/* --- reading ---------------------------------------------------------------------------------- */

static gboolean is_element(const xmlNode *node, const CstPoolNamespace *ns, const char *name)
{
    return node->type == XML_ELEMENT_NODE && node->ns &&
           strcmp((const char *)node->ns->href, ns->uri) == 0 &&
           strcmp((const char *)node->name, name) == 0;
}

static gboolean check_name(const CstPoolNamespace *ns, const char *name, GError **error)
{
    if (!ns->names || g_strv_contains(ns->names, name))
        return TRUE;
    return cst_fail(error, CST_ERROR_CONFIG, _("unknown %s '%s'"), ns->what, name);
}

/* Parses <rbd:option name='client_mount_timeout' value='45'/>; mount options have no value. */
static gboolean parse_option(xmlNode *node, const CstPoolNamespace *ns, GPtrArray **options,
                             GError **error)
{
    g_autofree char *name = cst_xml_attr(node, "name");
    g_autofree char *value = NULL;

    if (!name)
        return cst_fail(error, CST_ERROR_XML, _("no %s name specified"), ns->what);
    if (ns->has_value) {
        /* The checks are in libvirt's order. */
        value = cst_xml_attr(node, "value");
        if (!*name)
            return cst_fail(error, CST_ERROR_XML, _("empty %s name specified"), ns->what);
        if (!value)
            return cst_fail(error, CST_ERROR_XML, _("no %s value specified for name '%s'"),
                            ns->what, name);
        if (!*value)
            return cst_fail(error, CST_ERROR_XML, _("empty %s value specified for name '%s'"),
                            ns->what, name);
    }
    if (!check_name(ns, name, error))
        return FALSE;
    cst_options_add(options, name, value);
    return TRUE;
}

/* Elements in Cistern's namespace that pools of all types may have. */
static const char *const own_elements[] = {CST_TRASH_ELEMENT,  CST_THRESHOLDS_ELEMENT,
                                           CST_LIMITS_ELEMENT, CST_AUTOEXTEND_ELEMENT,
                                           CST_CHAINS_ELEMENT, NULL};

/* Rejects elements in Cistern's namespace for a type that has no options there. */
static gboolean refuse_unknown(xmlNode *node, const CstPoolNamespace *ns, GError **error)
{
    if (ns && strcmp(ns->uri, CST_XML_NAMESPACE) == 0)
        return TRUE;
    for (const xmlNode *child = node->children; child; child = child->next)
        if (child->type == XML_ELEMENT_NODE && child->ns &&
            strcmp((const char *)child->ns->href, CST_XML_NAMESPACE) == 0 &&
            !g_strv_contains(own_elements, (const char *)child->name))
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("pools of this type have no options element '%s'; leave it out"),
                            child->name);
    return TRUE;
}

gboolean cst_options_parse(xmlNode *node, const CstPoolNamespace *ns, GPtrArray **options,
                           GError **error)
{
    if (!refuse_unknown(node, ns, error))
        return FALSE;
    for (xmlNode *list = node->children; ns && list; list = list->next) {
        if (!is_element(list, ns, ns->element))
            continue;
        for (xmlNode *option = list->children; option; option = option->next)
            if (is_element(option, ns, "option") && !parse_option(option, ns, options, error))
                return FALSE;
    }
    return TRUE;
}

/* --- writing ---------------------------------------------------------------------------------- */

const CstPoolNamespace *cst_options_namespace(const CstPoolNamespace *ns, const GPtrArray *options)
{
    return options && options->len > 0 ? ns : NULL;
}

void cst_options_format(CstXmlWriter *xml, const CstPoolNamespace *ns, const GPtrArray *options)
{
    g_autofree char *list = NULL, *element = NULL;

    if (!ns)
        return;
    list = g_strdup_printf("%s:%s", ns->prefix, ns->element);
    element = g_strdup_printf("%s:option", ns->prefix);
    cst_xml_open(xml, list, NULL);
    for (guint i = 0; i < options->len; i++) {
        const CstPoolOption *option = g_ptr_array_index(options, i);

        cst_xml_empty(xml, element, "name", option->key, "value",
                      ns->has_value ? option->value : NULL, NULL);
    }
    cst_xml_close(xml, list);
}
