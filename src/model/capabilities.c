/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The <storagepoolCapabilities> document, generated from the table of pool types. Order and content
 * are libvirt's, including the types without a backend, because clients read the document as the
 * list of types that libvirt knows.
 */
#include <model/pool_def.h>

#include <model/xml_write.h>

/* <volOptions><defaultFormat type='raw'/><enum name='targetFormatType'><value>none</value>… */
static void format_options(CstXmlWriter *xml, const char *element, const char *list,
                           const char *const *names, const char *default_name)
{
    if (!names)
        return;
    cst_xml_open(xml, element, NULL);
    cst_xml_empty(xml, "defaultFormat", "type", default_name, NULL);
    cst_xml_open(xml, "enum", "name", list, NULL);
    for (; *names; names++)
        cst_xml_element(xml, "value", *names);
    cst_xml_close(xml, "enum");
    cst_xml_close(xml, element);
}

static void format_type(CstXmlWriter *xml, const CstPoolTypeInfo *info, gboolean supported)
{
    cst_xml_open(xml, "pool", "type", info->name, "supported", supported ? "yes" : "no", NULL);
    if (info->source_formats)
        format_options(xml, "poolOptions", "sourceFormatType",
                       info->listed_source_formats ? info->listed_source_formats
                                                   : info->source_formats,
                       info->source_formats[info->default_source_format]);
    format_options(xml, "volOptions", "targetFormatType", info->listed_formats,
                   info->default_volume_format);
    cst_xml_close(xml, "pool");
}

char *cst_pool_capabilities_format(const gboolean supported[CST_POOL_TYPE_LAST])
{
    CstXmlWriter xml = {.out = g_string_sized_new(8192)};

    cst_xml_open(&xml, "storagepoolCapabilities", NULL);
    for (int type = 0; type < CST_POOL_TYPE_LAST; type++)
        format_type(&xml, cst_pool_type_info(type), !supported || supported[type]);
    cst_xml_close(&xml, "storagepoolCapabilities");
    return g_string_free(xml.out, FALSE);
}
