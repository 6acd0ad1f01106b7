/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The documents of virDomainBackupBegin() (see the header). */
#include <model/domain_backup.h>

#include <base/i18n.h>
#include <model/xml_write.h>

#include "xml_read.h"

static void backup_disk_format(CstXmlWriter *xml, const CstDomainBackupDisk *disk)
{
    if (!disk->scratch) {
        cst_xml_empty(xml, "disk", "name", disk->target, "backup", "no", NULL);
        return;
    }
    cst_xml_open(xml, "disk", "name", disk->target, "backup", "yes", "type", "file", "exportname",
                 disk->target, NULL);
    cst_xml_empty(xml, "driver", "type", "qcow2", NULL);
    cst_xml_empty(xml, "scratch", "file", disk->scratch, NULL);
    cst_xml_close(xml, "disk");
}

char *cst_domain_backup_format(const char *socket, const CstDomainBackupDisk *disks, guint n_disks,
                               GError **error)
{
    CstXmlWriter xml = {.out = g_string_new(NULL)};

    cst_xml_open(&xml, "domainbackup", "mode", "pull", NULL);
    cst_xml_empty(&xml, "server", "transport", "unix", "socket", socket, NULL);
    cst_xml_open(&xml, "disks", NULL);
    for (guint i = 0; i < n_disks; i++)
        backup_disk_format(&xml, &disks[i]);
    cst_xml_close(&xml, "disks");
    cst_xml_close(&xml, "domainbackup");
    return cst_xml_take(&xml, error);
}

char *cst_domain_backup_socket(const char *xml)
{
    g_autoptr(xmlDoc) doc = cst_xml_parse(xml, "domainbackup", _("(domain_backup)"), NULL);

    return doc ? cst_xml_path_attr(xmlDocGetRootElement(doc), "server", "socket") : NULL;
}
