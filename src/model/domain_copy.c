/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The document of virDomainBlockCopy() (see the header). */
#include <model/domain_copy.h>

#include <model/xml_write.h>

char *cst_domain_copy_format(const CstDomainCopy *copy, GError **error)
{
    CstXmlWriter xml = {.out = g_string_new(NULL)};

    cst_xml_open(&xml, "disk", "type", copy->is_device ? "block" : "file", NULL);
    cst_xml_empty(&xml, "driver", "type", copy->format, NULL);
    cst_xml_empty(&xml, "source", copy->is_device ? "dev" : "file", copy->path, NULL);
    cst_xml_close(&xml, "disk");
    return cst_xml_take(&xml, error);
}
