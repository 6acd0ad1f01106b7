/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parsing and formatting of <secret> documents. Checks and messages are libvirt's. */
#include <model/secret_def.h>

#include <base/error.h>
#include <base/i18n.h>
#include <model/pool_def.h>

#include "xml_read.h"
#include <model/xml_write.h>

/* The element that contains the id of each usage type, and the message if it is missing. */
static const struct {
    const char *element;
    const char *missing;
} usage_table[] = {
    [CST_SECRET_NONE] = {NULL, NULL},
    [CST_SECRET_VOLUME] = {"volume", N_("volume usage specified, but volume path is missing")},
    [CST_SECRET_CEPH] = {"name", N_("Ceph usage specified, but name is missing")},
    [CST_SECRET_ISCSI] = {"target", N_("iSCSI usage specified, but target is missing")},
    [CST_SECRET_TLS] = {"name", N_("TLS usage specified, but name is missing")},
    [CST_SECRET_VTPM] = {"name", N_("vTPM usage specified, but name is missing")},
};

static gboolean parse_flag(xmlNode *node, const char *attr, gboolean *ret_value, GError **error)
{
    static const char *const names[] = {"no", "yes", NULL};
    g_autofree char *text = cst_xml_attr(node, attr);
    int value;

    /* As in libvirt, an empty attribute counts as missing here. */
    if (!text || !*text)
        return TRUE;
    value = cst_name_index(names, text);
    if (value < 0)
        return cst_fail(error, CST_ERROR_XML, _("invalid value of '%s'"), attr);
    *ret_value = value;
    return TRUE;
}

/*
 * Parses <usage type='ceph'><name>client.admin secret</name></usage>. Without it the secret has no
 * usage.
 */
static gboolean parse_usage(xmlNode *node, CstSecretDef *def, GError **error)
{
    g_autofree char *type = NULL;
    g_autofree char *path = NULL;

    if (!cst_xml_find(node, "usage"))
        return TRUE;
    type = cst_xml_path_attr(node, "usage", "type");
    if (!type)
        return cst_fail(error, CST_ERROR_XML, _("unknown secret usage type"));
    if (!cst_secret_usage_parse(type, &def->usage))
        return cst_fail(error, CST_ERROR_CONFIG, _("unknown secret usage type %s"), type);
    if (def->usage == CST_SECRET_NONE)
        return TRUE;
    path = g_strconcat("usage/", usage_table[def->usage].element, NULL);
    def->usage_id = cst_xml_text(node, path);
    if (!def->usage_id)
        return cst_fail(error, CST_ERROR_XML, "%s", _(usage_table[def->usage].missing));
    return TRUE;
}

static gboolean parse_secret(xmlNode *node, CstSecretDef *def, GError **error)
{
    g_autofree char *uuid = NULL;

    if (!parse_flag(node, "ephemeral", &def->ephemeral, error) ||
        !parse_flag(node, "private", &def->is_private, error))
        return FALSE;
    uuid = cst_xml_text(node, "uuid");
    if (!uuid)
        cst_uuid_generate(&def->uuid);
    else if (!cst_uuid_parse(uuid, &def->uuid))
        return cst_fail(error, CST_ERROR_XML, _("malformed uuid element"));
    def->description = cst_xml_text(node, "description");
    return parse_usage(node, def, error);
}

CstSecretDef *cst_secret_def_parse(const char *xml, unsigned flags, GError **error)
{
    g_autoptr(xmlDoc) doc = cst_xml_parse(xml, "secret", "(definition_of_secret)", error);
    g_autoptr(CstSecretDef) def = NULL;

    if (!doc)
        return NULL;
    if ((flags & CST_PARSE_VALIDATE) && !cst_xml_validate(doc, "secret.rng", error))
        return NULL;
    def = cst_secret_def_new();
    if (!parse_secret(xmlDocGetRootElement(doc), def, error))
        return NULL;
    return g_steal_pointer(&def);
}

char *cst_secret_def_format(const CstSecretDef *def)
{
    CstXmlWriter xml = {.out = g_string_new(NULL)};
    const char *usage = cst_secret_usage_name(def->usage);
    char uuid[CST_UUID_TEXT_LEN];

    cst_xml_open(&xml, "secret", "ephemeral", def->ephemeral ? "yes" : "no", "private",
                 def->is_private ? "yes" : "no", NULL);
    cst_xml_element(&xml, "uuid", cst_uuid_format(&def->uuid, uuid));
    cst_xml_element(&xml, "description", def->description);
    if (usage && def->usage != CST_SECRET_NONE) {
        cst_xml_open(&xml, "usage", "type", usage, NULL);
        cst_xml_element(&xml, usage_table[def->usage].element, def->usage_id);
        cst_xml_close(&xml, "usage");
    }
    cst_xml_close(&xml, "secret");
    return g_string_free(xml.out, FALSE);
}
