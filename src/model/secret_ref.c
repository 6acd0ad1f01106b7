/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A reference to a secret, by UUID or by usage, in pool and volume documents. The secret is looked
 * up only when its value is needed.
 */
#include "secret_ref.h"

#include <base/error.h>
#include <base/i18n.h>

gboolean cst_secret_ref_parse(xmlNode *node, gboolean *ret_by_uuid, CstUuid *ret_uuid,
                              char **ret_usage, GError **error)
{
    g_autofree char *uuid = cst_xml_attr(node, "uuid");
    g_autofree char *usage = cst_xml_attr(node, "usage");

    if (!uuid && !usage)
        return cst_fail(error, CST_ERROR_XML, _("missing secret uuid or usage attribute"));
    if (uuid && usage)
        return cst_fail(error, CST_ERROR_XML, _("either secret uuid or usage expected"));
    if (uuid && !cst_uuid_parse(uuid, ret_uuid))
        return cst_fail(error, CST_ERROR_XML, _("invalid secret uuid '%s'"), uuid);
    *ret_by_uuid = uuid != NULL;
    *ret_usage = g_steal_pointer(&usage);
    return TRUE;
}

void cst_secret_ref_format(CstXmlWriter *xml, const char *type, gboolean by_uuid,
                           const CstUuid *uuid, const char *usage)
{
    char text[CST_UUID_TEXT_LEN];

    if (by_uuid)
        cst_xml_empty(xml, "secret", "type", type, "uuid", cst_uuid_format(uuid, text), NULL);
    else
        cst_xml_empty(xml, "secret", "type", type, "usage", usage, NULL);
}
