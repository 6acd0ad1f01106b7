/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The <permissions> element: mode, owner, group and label. Each of them may be absent. */
#include "perms.h"

#include <base/error.h>
#include <base/i18n.h>

/* Parses <mode>0755</mode>: octal, permission bits only. */
static gboolean parse_mode(xmlNode *node, uint32_t *ret_mode, GError **error)
{
    g_autofree char *text = cst_xml_text(node, "mode");
    int64_t mode;

    if (!text)
        return TRUE;
    if (!cst_parse_int(text, 8, 0, 0777, &mode))
        return cst_fail(error, CST_ERROR_XML, _("malformed octal mode"));
    *ret_mode = (uint32_t)mode;
    return TRUE;
}

/* -1 means "not set", because old versions of libvirt wrote it. */
static gboolean parse_id(xmlNode *node, const char *name, uint32_t *ret_id, GError **error)
{
    g_autofree char *text = cst_xml_text(node, name);
    int64_t id;

    if (!cst_xml_find(node, name))
        return TRUE;
    if (!text || !cst_parse_int(text, 10, -1, G_MAXUINT32, &id))
        return cst_fail(error, CST_ERROR_XML, _("malformed %s element"), name);
    *ret_id = (uint32_t)id;
    return TRUE;
}

gboolean cst_perms_parse(xmlNode *node, const char *path, CstPerms *perms, GError **error)
{
    xmlNode *found = cst_xml_find(node, path);

    *perms = (CstPerms)CST_PERMS_INIT;
    if (!found)
        return TRUE;
    if (!parse_mode(found, &perms->mode, error) || !parse_id(found, "owner", &perms->uid, error) ||
        !parse_id(found, "group", &perms->gid, error))
        return FALSE;
    perms->label = cst_xml_text(found, "label");
    return TRUE;
}

/*
 * Formats an id as an unsigned number. libvirt writes ids above INT32_MAX as negative numbers,
 * which it cannot read back.
 */
static void format_id(CstXmlWriter *xml, const char *name, uint32_t id)
{
    char text[16];

    if (id == CST_PERMS_UNSET)
        return;
    g_snprintf(text, sizeof(text), "%u", id);
    cst_xml_element(xml, name, text);
}

void cst_perms_format(CstXmlWriter *xml, const CstPerms *perms)
{
    char mode[16];

    if (perms->mode == CST_PERMS_UNSET && perms->uid == CST_PERMS_UNSET &&
        perms->gid == CST_PERMS_UNSET && !perms->label)
        return;
    cst_xml_open(xml, "permissions", NULL);
    if (perms->mode != CST_PERMS_UNSET) {
        g_snprintf(mode, sizeof(mode), "0%o", perms->mode);
        cst_xml_element(xml, "mode", mode);
    }
    format_id(xml, "owner", perms->uid);
    format_id(xml, "group", perms->gid);
    cst_xml_element(xml, "label", perms->label);
    cst_xml_close(xml, "permissions");
}

void cst_perms_copy(CstPerms *to, const CstPerms *from)
{
    *to = *from;
    to->label = g_strdup(from->label);
}
