/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Formatting of <volume> documents, with libvirt's order of elements. Members that are not set are
 * omitted. A type or format that libvirt cannot parse is an error.
 */
#include <model/vol_def.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "encryption.h"
#include "options.h"
#include "perms.h"
#include <model/xml_write.h>

/* Consecutive extents of one device are written into one <device> element. */
static void format_extents(CstXmlWriter *xml, const GPtrArray *extents)
{
    const char *open = NULL;

    cst_xml_open(xml, "source", NULL);
    for (guint i = 0; i < extents->len; i++) {
        const CstVolExtent *extent = g_ptr_array_index(extents, i);
        char start[24], end[24];

        if (open && strcmp(open, extent->path) != 0) {
            cst_xml_close(xml, "device");
            open = NULL;
        }
        if (!open)
            cst_xml_open(xml, "device", "path", extent->path, NULL);
        open = extent->path;
        g_snprintf(start, sizeof(start), "%" G_GUINT64_FORMAT, extent->start);
        g_snprintf(end, sizeof(end), "%" G_GUINT64_FORMAT, extent->end);
        cst_xml_empty(xml, "extent", "start", start, "end", end, NULL);
    }
    if (open)
        cst_xml_close(xml, "device");
    cst_xml_close(xml, "source");
}

static gboolean format_format(CstXmlWriter *xml, const char *format, CstPoolType type,
                              GError **error)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);

    if (!info->volume_formats)
        return TRUE;
    if (!format)
        format = info->default_volume_format;
    if (!cst_pool_volume_format_ok(type, format))
        return cst_fail(error, CST_ERROR_INVALID, _("unknown volume format %s"), format);
    cst_xml_empty(xml, "format", "type", format, NULL);
    return TRUE;
}

static gboolean format_mark(CstXmlWriter *xml, const char *mark, CstPoolType type, GError **error)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);

    if (!info->volume_marks)
        return TRUE;
    if (!mark)
        mark = info->default_volume_format;
    if (!cst_pool_volume_mark_ok(type, mark))
        return cst_fail(error, CST_ERROR_INVALID, _("unknown volume format %s"), mark);
    cst_xml_empty(xml, "format", "type", mark, NULL);
    return TRUE;
}

static void format_time(CstXmlWriter *xml, const char *name, const struct timespec *time)
{
    char text[40];

    /* The file system does not report this time. */
    if (time->tv_nsec < 0)
        return;
    if (time->tv_nsec)
        g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT ".%09ld", (guint64)time->tv_sec,
                   time->tv_nsec);
    else
        g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, (guint64)time->tv_sec);
    cst_xml_element(xml, name, text);
}

static void format_times(CstXmlWriter *xml, const CstTimes *times)
{
    if (!times)
        return;
    cst_xml_open(xml, "timestamps", NULL);
    format_time(xml, "atime", &times->atime);
    format_time(xml, "mtime", &times->mtime);
    format_time(xml, "ctime", &times->ctime);
    format_time(xml, "btime", &times->btime);
    cst_xml_close(xml, "timestamps");
}

static void format_features(CstXmlWriter *xml, const CstVolDef *def)
{
    if (!def->lazy_refcounts && !def->extended_l2) {
        /* An empty element means qcow2 version 3 without features. */
        if (def->has_features)
            cst_xml_empty(xml, "features", NULL);
        return;
    }
    cst_xml_open(xml, "features", NULL);
    if (def->lazy_refcounts)
        cst_xml_empty(xml, "lazy_refcounts", NULL);
    if (def->extended_l2)
        cst_xml_empty(xml, "extended_l2", NULL);
    cst_xml_close(xml, "features");
}

static gboolean format_target(CstXmlWriter *xml, const CstVolDef *def, CstPoolType type,
                              GError **error)
{
    cst_xml_open(xml, "target", NULL);
    cst_xml_element(xml, "path", def->path);
    if (!format_format(xml, def->format, type, error) || !format_mark(xml, def->mark, type, error))
        return FALSE;
    cst_perms_format(xml, &def->perms);
    format_times(xml, def->times);
    if (def->encryption)
        cst_encryption_format(xml, def->encryption);
    cst_xml_element(xml, "compat", def->compat);
    if (def->cluster_size > 0)
        cst_xml_size(xml, "clusterSize", "B", def->cluster_size);
    format_features(xml, def);
    cst_xml_close(xml, "target");
    return TRUE;
}

static gboolean format_backing(CstXmlWriter *xml, const CstBackingDef *backing, CstPoolType type,
                               GError **error)
{
    if (!backing)
        return TRUE;
    cst_xml_open(xml, "backingStore", NULL);
    cst_xml_element(xml, "path", backing->path);
    if (!format_format(xml, backing->format, type, error))
        return FALSE;
    cst_perms_format(xml, &backing->perms);
    format_times(xml, backing->times);
    cst_xml_close(xml, "backingStore");
    return TRUE;
}

static gboolean format_volume(CstXmlWriter *xml, const CstVolDef *def, CstPoolType type,
                              GError **error)
{
    const char *type_name = cst_vol_type_name(def->type);
    const CstPoolTypeInfo *info = cst_pool_type_info(type);
    const CstPoolNamespace *ns;
    g_autofree char *declaration = NULL;

    if (!info)
        return cst_fail(error, CST_ERROR_INVALID, _("unknown storage pool type %d"), type);
    if (!type_name)
        return cst_fail(error, CST_ERROR_INVALID, _("unknown volume type %d"), def->type);
    ns = cst_options_namespace(info->volume_options, def->options);
    declaration = g_strdup_printf("xmlns:%s", ns ? ns->prefix : "");
    cst_xml_open(xml, "volume", "type", type_name, declaration, ns ? ns->uri : NULL, NULL);
    cst_xml_element(xml, "name", def->name);
    cst_xml_element(xml, "key", def->key);
    if (def->extents && def->extents->len > 0)
        format_extents(xml, def->extents);
    cst_xml_size(xml, "capacity", "bytes", def->capacity);
    cst_xml_size(xml, "allocation", "bytes", def->allocation);
    if (def->physical)
        cst_xml_size(xml, "physical", "bytes", def->physical);
    if (!format_target(xml, def, type, error) || !format_backing(xml, def->backing, type, error))
        return FALSE;
    cst_options_format(xml, ns, def->options);
    cst_xml_close(xml, "volume");
    return TRUE;
}

char *cst_vol_def_format(const CstVolDef *def, CstPoolType type, GError **error)
{
    g_autoptr(GString) out = g_string_sized_new(1024);
    CstXmlWriter xml = {.out = out};

    if (!format_volume(&xml, def, type, error))
        return NULL;
    return g_string_free(g_steal_pointer(&out), FALSE);
}
