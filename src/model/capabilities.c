/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The <storagepoolCapabilities> document, which is generated from the table of pool types. Order
 * and content are libvirt's, down to the types that we do not have, because clients read the
 * document as a list of what libvirt knows.
 */
#include <model/pool_def.h>

#include "xml_write.h"

/*
 * The entries in libvirt's order. Two of the types do not exist here; they are listed as
 * unsupported for clients that expect all of libvirt's types.
 */
static const struct {
    int type; /* CstPoolType; -1: one of libvirt's only */
    const char *foreign_name;
    gboolean foreign_has_volumes;
} rows[] = {
    {CST_POOL_DIR, NULL, FALSE},
    {CST_POOL_FS, NULL, FALSE},
    {CST_POOL_NETFS, NULL, FALSE},
    {CST_POOL_LOGICAL, NULL, FALSE},
    {CST_POOL_DISK, NULL, FALSE},
    {CST_POOL_ISCSI, NULL, FALSE},
    {CST_POOL_ISCSI_DIRECT, NULL, FALSE},
    {CST_POOL_SCSI, NULL, FALSE},
    {CST_POOL_MPATH, NULL, FALSE},
    {CST_POOL_RBD, NULL, FALSE},
    {-1, "sheepdog", FALSE},
    {CST_POOL_GLUSTER, NULL, FALSE},
    {CST_POOL_ZFS, NULL, FALSE},
    {-1, "vstorage", TRUE},
};

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
        format_options(xml, "poolOptions", "sourceFormatType", info->source_formats,
                       info->source_formats[info->default_source_format]);
    format_options(xml, "volOptions", "targetFormatType", info->listed_formats,
                   info->default_volume_format);
    cst_xml_close(xml, "pool");
}

static void format_foreign(CstXmlWriter *xml, const char *name, gboolean has_volumes)
{
    const CstPoolTypeInfo *dir = cst_pool_type_info(CST_POOL_DIR);

    cst_xml_open(xml, "pool", "type", name, "supported", "no", NULL);
    if (has_volumes)
        /* vstorage has the formats of directories. */
        format_options(xml, "volOptions", "targetFormatType", dir->listed_formats,
                       dir->default_volume_format);
    cst_xml_close(xml, "pool");
}

char *cst_pool_capabilities_format(const gboolean supported[CST_POOL_TYPE_LAST])
{
    CstXmlWriter xml = {.out = g_string_sized_new(8192)};

    cst_xml_open(&xml, "storagepoolCapabilities", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int type = rows[i].type;

        if (type < 0)
            format_foreign(&xml, rows[i].foreign_name, rows[i].foreign_has_volumes);
        else
            format_type(&xml, cst_pool_type_info(type), !supported || supported[type]);
    }
    cst_xml_close(&xml, "storagepoolCapabilities");
    return g_string_free(xml.out, FALSE);
}
