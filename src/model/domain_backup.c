/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The documents of virDomainBackupBegin(), and of its checkpoints (see the header). */
#include <model/domain_backup.h>

#include <string.h>

#include <base/i18n.h>
#include <model/xml_write.h>

#include "xml_read.h"

/* Of the bitmap that QEMU exports with a disk. */
#define BITMAP_PREFIX "changes-"

#define CHECKPOINT_PREFIX "cistern-backup-"
#define CHECKPOINT_HEX    8 /* digits of the repository's id, and of the random number */

/* The formats that can keep a bitmap of QEMU. */
static const char *const tracked_formats[] = {"qcow2", NULL};

gboolean cst_domain_can_track(const char *format)
{
    return format && g_strv_contains(tracked_formats, format);
}

char *cst_domain_backup_context(const char *target)
{
    return g_strconcat("qemu:dirty-bitmap:" BITMAP_PREFIX, target, NULL);
}

static void backup_disk_format(CstXmlWriter *xml, const CstDomainBackupDisk *disk)
{
    if (!disk->scratch) {
        cst_xml_empty(xml, "disk", "name", disk->target, "backup", "no", NULL);
        return;
    }
    if (disk->base) {
        g_autofree char *bitmap = g_strconcat(BITMAP_PREFIX, disk->target, NULL);

        cst_xml_open(xml, "disk", "name", disk->target, "backup", "yes", "type", "file",
                     "backupmode", "incremental", "incremental", disk->base, "exportname",
                     disk->target, "exportbitmap", bitmap, NULL);
    } else {
        cst_xml_open(xml, "disk", "name", disk->target, "backup", "yes", "type", "file",
                     "exportname", disk->target, NULL);
    }
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

char *cst_domain_checkpoint_format(const char *name, const CstDomainBackupDisk *disks,
                                   guint n_disks, GError **error)
{
    CstXmlWriter xml = {.out = g_string_new(NULL)};

    cst_xml_open(&xml, "domaincheckpoint", NULL);
    cst_xml_element(&xml, "name", name);
    cst_xml_open(&xml, "disks", NULL);
    for (guint i = 0; i < n_disks; i++)
        cst_xml_empty(&xml, "disk", "name", disks[i].target, "checkpoint",
                      disks[i].tracked ? "bitmap" : "no", NULL);
    cst_xml_close(&xml, "disks");
    cst_xml_close(&xml, "domaincheckpoint");
    return cst_xml_take(&xml, error);
}

static xmlDoc *checkpoint_parse(const char *xml)
{
    return cst_xml_parse(xml, "domaincheckpoint", _("(checkpoint)"), NULL);
}

/* Whether a disk is part of its checkpoint, and its changes are known. */
static gboolean checkpoint_disk_has(xmlNode *disk, gboolean changes)
{
    g_autofree char *kind = cst_xml_attr(disk, "checkpoint"), *size = cst_xml_attr(disk, "size");

    return g_strcmp0(kind, "bitmap") == 0 && (size != NULL) == changes;
}

gboolean cst_domain_checkpoint_has_changes(const char *xml, const char *target)
{
    g_autoptr(xmlDoc) doc = checkpoint_parse(xml);
    xmlNode *disk = doc ? cst_xml_find(xmlDocGetRootElement(doc), "disks/disk") : NULL;

    for (; disk; disk = cst_xml_next(disk)) {
        g_autofree char *name = cst_xml_attr(disk, "name");

        if (g_strcmp0(name, target) == 0)
            return checkpoint_disk_has(disk, TRUE);
    }
    return FALSE;
}

gboolean cst_domain_checkpoint_is_broken(const char *xml)
{
    g_autoptr(xmlDoc) doc = checkpoint_parse(xml);
    xmlNode *disk = doc ? cst_xml_find(xmlDocGetRootElement(doc), "disks/disk") : NULL;

    for (; disk; disk = cst_xml_next(disk))
        if (checkpoint_disk_has(disk, FALSE))
            return TRUE;
    return FALSE;
}

gint64 cst_domain_checkpoint_created(const char *xml)
{
    g_autoptr(xmlDoc) doc = checkpoint_parse(xml);
    g_autofree char *text = doc ? cst_xml_text(xmlDocGetRootElement(doc), "creationTime") : NULL;
    gint64 created = 0;

    if (text)
        g_ascii_string_to_signed(text, 10, 1, G_MAXINT64, &created, NULL);
    return created;
}

/* Whether @text begins with the digits of a number in lower case. */
static gboolean text_begins_with_hex(const char *text)
{
    for (guint i = 0; i < CHECKPOINT_HEX; i++)
        if (!g_ascii_isxdigit(text[i]) || g_ascii_isupper(text[i]))
            return FALSE;
    return TRUE;
}

gboolean cst_checkpoint_name_is_valid(const char *name)
{
    size_t prefix = strlen(CHECKPOINT_PREFIX);

    return strlen(name) == prefix + CHECKPOINT_HEX + 1 + CHECKPOINT_HEX &&
           g_str_has_prefix(name, CHECKPOINT_PREFIX) && text_begins_with_hex(name + prefix) &&
           name[prefix + CHECKPOINT_HEX] == '-' &&
           text_begins_with_hex(name + prefix + CHECKPOINT_HEX + 1);
}

gboolean cst_checkpoint_is_sibling(const char *name, const char *other)
{
    return cst_checkpoint_name_is_valid(name) && cst_checkpoint_name_is_valid(other) &&
           strncmp(name, other, strlen(CHECKPOINT_PREFIX) + CHECKPOINT_HEX) == 0;
}

char *cst_domain_backup_socket(const char *xml)
{
    g_autoptr(xmlDoc) doc = cst_xml_parse(xml, "domainbackup", _("(domain_backup)"), NULL);

    return doc ? cst_xml_path_attr(xmlDocGetRootElement(doc), "server", "socket") : NULL;
}
