/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OVF descriptors. Versions 1 and 2 have different namespaces, and programs mix them up, so
 * elements and attributes are found by their local names. A reference to a file must be a path
 * below the descriptor's directory. A path that leads out of it and a URL are rejected.
 */
#include <model/ovf.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>
#include <base/url.h>

#include "xml_read.h"

#define OVF_DISKS_MAX 64u

static void disk_free(gpointer data)
{
    CstOvfDisk *disk = data;

    g_free(disk->id);
    g_free(disk->file);
    g_free(disk);
}

static gboolean is_called(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNode *child_of(xmlNode *node, const char *name)
{
    for (xmlNode *child = node->children; child; child = child->next)
        if (is_called(child, name))
            return child;
    return NULL;
}

static char *ovf_attribute(xmlNode *node, const char *name)
{
    for (xmlAttr *attr = node->properties; attr; attr = attr->next)
        if (strcmp((const char *)attr->name, name) == 0) {
            xmlChar *value = xmlNodeGetContent((xmlNode *)attr);
            char *copy = g_strdup((const char *)value);

            xmlFree(value);
            return copy;
        }
    return NULL;
}

/*
 * Returns the section of the disks. OVF 0.9 and VirtualCenter 2.5 have <Section
 * xsi:type="ovf:DiskSection_Type"> instead.
 */
static xmlNode *disk_section_of(xmlNode *root)
{
    xmlNode *section = child_of(root, "DiskSection");

    for (xmlNode *child = root->children; child && !section; child = child->next) {
        g_autofree char *type = is_called(child, "Section") ? ovf_attribute(child, "type") : NULL;
        const char *local = type ? strrchr(type, ':') : NULL;

        if (type && g_str_equal(local ? local + 1 : type, "DiskSection_Type"))
            section = child;
    }
    return section;
}

/* Returns the <File> with @id, or NULL. */
static xmlNode *file_of(xmlNode *references, const char *id)
{
    for (xmlNode *file = references ? references->children : NULL; file; file = file->next) {
        g_autofree char *found = is_called(file, "File") ? ovf_attribute(file, "id") : NULL;

        if (found && g_str_equal(found, id))
            return file;
    }
    return NULL;
}

static gboolean check_file(const CstOvfDisk *disk, xmlNode *file, const char *what, GError **error)
{
    g_autofree char *chunks = ovf_attribute(file, "chunkSize");
    g_autofree char *compression = ovf_attribute(file, "compression");
    g_autofree char *shown = cst_text_escape(disk->file ? disk->file : "");

    if (!disk->file || !cst_reference_is_below(disk->file))
        return cst_fail(
            error, CST_ERROR_DENIED,
            _("%s: disk '%s' is in '%s', which is not a file in the directory of the descriptor"),
            what, disk->id, shown);
    if (chunks)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("%s: '%s' comes in pieces, which is not supported"), what, shown);
    if (compression && *compression && !g_str_equal(compression, "identity") &&
        !g_str_equal(compression, "gzip"))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("%s: '%s' has a compression that is not supported"), what, shown);
    return TRUE;
}

/* Rejects two disks in one file. They would be unpacked twice, and no program creates them. */
static gboolean check_once(const GPtrArray *disks, const CstOvfDisk *disk, const char *what,
                           GError **error)
{
    for (guint i = 0; i < disks->len; i++) {
        const CstOvfDisk *other = disks->pdata[i];

        if (other != disk && g_str_equal(other->file, disk->file))
            return cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("%s: disks '%s' and '%s' are the same file"), what, other->id,
                            disk->id);
    }
    return TRUE;
}

/* Returns the path of a <File>, without a leading "./", or NULL. */
static char *path_of(xmlNode *file)
{
    g_autofree char *href = ovf_attribute(file, "href");

    return href && g_str_has_prefix(href, "./") ? g_strdup(href + strlen("./"))
                                                : g_steal_pointer(&href);
}

static gboolean add_disk(xmlNode *node, xmlNode *references, const char *what, GPtrArray *disks,
                         guint *empty, GError **error)
{
    g_autofree char *name = ovf_attribute(node, "diskId"), *ref = ovf_attribute(node, "fileRef");
    g_autofree char *id = cst_text_escape(name ? name : "");
    g_autofree char *parent = ovf_attribute(node, "parentRef");
    xmlNode *file;
    CstOvfDisk *disk;

    if (parent)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("%s: disk '%s' is based on another one, which is not supported"), what,
                        id);
    if (!ref || !*ref) {
        (*empty)++;
        return TRUE;
    }
    file = file_of(references, ref);
    if (!file)
        return cst_fail(error, CST_ERROR_XML,
                        _("%s: disk '%s' refers to a file that is not listed"), what, id);
    if (disks->len >= OVF_DISKS_MAX)
        return cst_fail(error, CST_ERROR_LIMIT, _("%s: there are over %u disks"), what,
                        OVF_DISKS_MAX);
    disk = g_new0(CstOvfDisk, 1);
    g_ptr_array_add(disks, disk);
    disk->id = g_steal_pointer(&id);
    disk->file = path_of(file);
    return check_file(disk, file, what, error) && check_once(disks, disk, what, error);
}

GPtrArray *cst_ovf_disks(const char *text, const char *what, guint *ret_empty, GError **error)
{
    g_autoptr(xmlDoc) doc = cst_xml_parse(text, "Envelope", what, error);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(disk_free);
    xmlNode *section, *references;
    guint empty = 0;

    if (!doc)
        return NULL;
    references = child_of(root, "References");
    section = disk_section_of(root);
    for (xmlNode *node = section ? section->children : NULL; node; node = node->next)
        if (is_called(node, "Disk") && !add_disk(node, references, what, disks, &empty, error))
            return NULL;
    if (disks->len == 0) {
        cst_fail(error, CST_ERROR_NOT_FOUND, _("%s: no disk in it has content"), what);
        return NULL;
    }
    *ret_empty = empty;
    return g_steal_pointer(&disks);
}
