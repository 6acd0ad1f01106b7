/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parsing of <volume> documents.
 *
 * A document comes from a client. Its name becomes a path below the pool and its options reach
 * image formats, so both are checked here. Live parts (physical size, times, extents) are parsed
 * only on request, from documents that a daemon wrote.
 */
#include <model/vol_def.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "encryption.h"
#include "options.h"
#include "perms.h"
#include "xml_read.h"

/* The name becomes a path below the pool's directory and must not leave it. */
static gboolean check_name(const char *name, gboolean nested, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(name, "/", -1);

    if (!nested && parts[1])
        return cst_fail(error, CST_ERROR_STATE, _("volume name '%s' cannot contain '/'"), name);
    for (char **part = parts; *part; part++)
        if (**part == '\0' || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0)
            return cst_fail(error, CST_ERROR_XML, _("volume name '%s' is not a file name"), name);
    return TRUE;
}

static gboolean parse_name(xmlNode *node, const CstPoolTypeInfo *info, unsigned flags,
                           CstVolDef *def, GError **error)
{
    def->name = cst_xml_text(node, "name");
    if (!def->name)
        return cst_fail(error, CST_ERROR_XML, _("missing volume name element"));
    /* A daemon's document describes an existing volume, so its name is not checked. */
    return (flags & CST_VOL_PARSE_LIVE) || check_name(def->name, info->nested_names, error);
}

/* Parses <volume type='block'>. The pool type's own volume type applies if it is missing. */
static gboolean parse_type(xmlNode *node, const CstPoolTypeInfo *info, CstVolDef *def,
                           GError **error)
{
    g_autofree char *text = cst_xml_attr(node, "type");

    def->type = info->volume_type;
    if (text && *text && !cst_vol_type_parse(text, &def->type))
        return cst_fail(error, CST_ERROR_CONFIG, _("unknown volume type '%s'"), text);
    return TRUE;
}

/*
 * The limit is signed, because a size becomes a file offset. As in libvirt, the message names the
 * element "capacity" also for allocation and physical.
 */
static gboolean parse_size(xmlNode *node, const char *path, uint64_t *ret_bytes,
                           gboolean *ret_given, GError **error)
{
    return cst_xml_bytes(node, path, "capacity", G_MAXINT64, ret_bytes, ret_given, error);
}

static gboolean parse_sizes(xmlNode *node, unsigned flags, CstVolDef *def, GError **error)
{
    gboolean optional = (flags & CST_VOL_PARSE_NO_CAPACITY) ||
                        ((flags & CST_VOL_PARSE_OPT_CAPACITY) && def->backing);

    if (!parse_size(node, "capacity", &def->capacity, &def->has_capacity, error))
        return FALSE;
    if (!def->has_capacity && !optional)
        return cst_fail(error, CST_ERROR_XML, _("missing capacity element"));
    if (!parse_size(node, "allocation", &def->allocation, &def->has_allocation, error))
        return FALSE;
    /* As in libvirt, the default is the whole capacity. */
    if (!def->has_allocation)
        def->allocation = def->capacity;
    return TRUE;
}

/* @fallback: the format if the document has no format; may be NULL. */
static gboolean parse_format(xmlNode *node, const char *path, CstPoolType type,
                             const char *fallback, char **ret_format, GError **error)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);
    g_autofree char *format = NULL;

    if (!info->volume_formats)
        return TRUE;
    format = cst_xml_path_attr(node, path, "type");
    if (!format)
        format = g_strdup(fallback);
    if (!format)
        return TRUE;
    if (!cst_pool_volume_format_ok(type, format))
        return cst_fail(error, CST_ERROR_CONFIG, _("unknown volume format type %s"), format);
    *ret_format = g_steal_pointer(&format);
    return TRUE;
}

/* Parses <format> for types in which it is the mark of the volume. */
static gboolean parse_mark(xmlNode *node, CstPoolType type, char **ret_mark, GError **error)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);
    g_autofree char *mark = NULL;

    if (!info->volume_marks)
        return TRUE;
    mark = cst_xml_path_attr(node, "target/format", "type");
    if (!mark)
        mark = g_strdup(info->default_volume_format);
    if (!cst_pool_volume_mark_ok(type, mark))
        return cst_fail(error, CST_ERROR_CONFIG, _("unknown volume format type %s"), mark);
    *ret_mark = g_steal_pointer(&mark);
    return TRUE;
}

/*
 * Parses <backingStore><path>…</path><format type='qcow2'/></backingStore>. An empty path counts as
 * missing.
 */
static gboolean parse_backing(xmlNode *node, CstPoolType type, CstVolDef *def, GError **error)
{
    g_autofree char *path = cst_xml_text(node, "backingStore/path");

    if (!path)
        return TRUE;
    def->backing = cst_backing_def_new(path, NULL);
    return parse_format(node, "backingStore/format", type, NULL, &def->backing->format, error) &&
           cst_perms_parse(node, "backingStore/permissions", &def->backing->perms, error);
}

/* The value must be two numbers ("1.1"), because it becomes an option of an image format. */
static gboolean check_compat(const char *compat, GError **error)
{
    size_t major = strspn(compat, "0123456789");
    size_t minor = compat[major] == '.' ? strspn(compat + major + 1, "0123456789") : 0;

    if (major == 0 || minor == 0 || compat[major + 1 + minor] != '\0')
        return cst_fail(error, CST_ERROR_XML, _("forbidden characters in 'compat' attribute"));
    return TRUE;
}

/* Parses <clusterSize unit='KiB'>64</clusterSize>. The image's format checks the value. */
static gboolean parse_cluster_size(xmlNode *node, CstVolDef *def, GError **error)
{
    g_autofree char *text = cst_xml_text(node, "target/clusterSize");
    g_autofree char *unit = cst_xml_path_attr(node, "target/clusterSize", "unit");

    if (!text)
        return TRUE;
    if (!cst_parse_uint(text, 10, &def->cluster_size))
        return cst_fail(error, CST_ERROR_XML, _("Invalid value '%s' for element or attribute '%s'"),
                        text, "./target/clusterSize");
    return cst_units_scale(&def->cluster_size, unit, 1, G_MAXUINT64, error);
}

/* Parses <features><lazy_refcounts/><extended_l2/></features>. */
static gboolean parse_features(xmlNode *node, CstVolDef *def, GError **error)
{
    xmlNode *features = cst_xml_find(node, "target/features");

    if (!features)
        return TRUE;
    def->has_features = TRUE;
    /* qcow2 has features since version 3, which is compat 1.1. */
    if (!def->compat)
        def->compat = g_strdup("1.1");
    for (xmlNode *feature = features->children; feature; feature = feature->next) {
        const char *name = (const char *)feature->name;

        if (feature->type != XML_ELEMENT_NODE)
            continue;
        if (strcmp(name, "lazy_refcounts") == 0)
            def->lazy_refcounts = TRUE;
        else if (strcmp(name, "extended_l2") == 0)
            def->extended_l2 = TRUE;
        else
            return cst_fail(error, CST_ERROR_CONFIG, _("unsupported feature %s"), name);
    }
    return TRUE;
}

static gboolean parse_target(xmlNode *node, CstPoolType type, CstVolDef *def, GError **error)
{
    xmlNode *encryption = cst_xml_find(node, "target/encryption");

    def->path = cst_xml_text(node, "target/path");
    if (!parse_format(node, "target/format", type, cst_pool_type_info(type)->default_volume_format,
                      &def->format, error) ||
        !parse_mark(node, type, &def->mark, error) ||
        !cst_perms_parse(node, "target/permissions", &def->perms, error))
        return FALSE;
    if (encryption) {
        def->encryption = cst_encryption_parse(encryption, error);
        if (!def->encryption)
            return FALSE;
    }
    def->compat = cst_xml_text(node, "target/compat");
    if (def->compat && !check_compat(def->compat, error))
        return FALSE;
    def->nocow = cst_xml_find(node, "target/nocow") != NULL;
    return parse_cluster_size(node, def, error) && parse_features(node, def, error);
}

/* Parses a time in the form SECONDS or SECONDS.NNNNNNNNN. */
static gboolean parse_time(xmlNode *node, const char *name, struct timespec *ret_time,
                           GError **error)
{
    g_autofree char *text = cst_xml_text(node, name);
    char *dot;
    char digits[] = "000000000";
    uint64_t seconds;

    *ret_time = (struct timespec){.tv_nsec = CST_TIME_ABSENT};
    if (!text)
        return TRUE;
    dot = strchr(text, '.');
    if (dot) {
        size_t len = strspn(dot + 1, "0123456789");

        *dot = '\0';
        if (len > 9 || dot[1 + len] != '\0')
            return cst_fail(error, CST_ERROR_XML, _("malformed %s element"), name);
        memcpy(digits, dot + 1, len);
    }
    if (!cst_parse_uint(text, 10, &seconds) || seconds > G_MAXINT64)
        return cst_fail(error, CST_ERROR_XML, _("malformed %s element"), name);
    ret_time->tv_sec = (time_t)seconds;
    ret_time->tv_nsec = (long)g_ascii_strtoull(digits, NULL, 10);
    return TRUE;
}

static gboolean parse_times(xmlNode *node, const char *path, CstTimes **ret_times, GError **error)
{
    xmlNode *found = cst_xml_find(node, path);

    if (!found)
        return TRUE;
    *ret_times = g_new0(CstTimes, 1);
    return parse_time(found, "atime", &(*ret_times)->atime, error) &&
           parse_time(found, "mtime", &(*ret_times)->mtime, error) &&
           parse_time(found, "ctime", &(*ret_times)->ctime, error) &&
           parse_time(found, "btime", &(*ret_times)->btime, error);
}

static gboolean parse_extent(xmlNode *node, const char *path, CstVolDef *def, GError **error)
{
    g_autofree char *start = cst_xml_attr(node, "start");
    g_autofree char *end = cst_xml_attr(node, "end");
    uint64_t from, to;

    if (!start || !end || !cst_parse_uint(start, 10, &from) || !cst_parse_uint(end, 10, &to))
        return cst_fail(error, CST_ERROR_XML, _("malformed %s element"), "extent");
    cst_vol_def_add_extent(def, path, from, to);
    return TRUE;
}

/* Parses <source><device path='/dev/sdb'><extent start='0' end='1048576'/></device></source>. */
static gboolean parse_extents(xmlNode *node, CstVolDef *def, GError **error)
{
    xmlNode *device = cst_xml_find(node, "source/device");

    for (; device; device = cst_xml_next(device)) {
        g_autofree char *path = cst_xml_attr(device, "path");
        xmlNode *extent = cst_xml_find(device, "extent");

        for (; path && extent; extent = cst_xml_next(extent))
            if (!parse_extent(extent, path, def, error))
                return FALSE;
    }
    return TRUE;
}

/* Parses the parts that libvirt formats but does not parse. */
static gboolean parse_live(xmlNode *node, CstVolDef *def, GError **error)
{
    if (!parse_size(node, "physical", &def->physical, &def->has_physical, error) ||
        !parse_times(node, "target/timestamps", &def->times, error) ||
        !parse_extents(node, def, error))
        return FALSE;
    return !def->backing ||
           parse_times(node, "backingStore/timestamps", &def->backing->times, error);
}

static gboolean parse_volume(xmlNode *node, CstPoolType type, unsigned flags, CstVolDef *def,
                             GError **error)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);

    if (!parse_name(node, info, flags, def, error))
        return FALSE;
    def->key = cst_xml_text(node, "key");
    /*
     * The backing store before the sizes, because with a backing store the capacity may be
     * optional.
     */
    if (!parse_type(node, info, def, error) || !parse_backing(node, type, def, error) ||
        !parse_sizes(node, flags, def, error) || !parse_target(node, type, def, error))
        return FALSE;
    if (!cst_options_parse(node, info->volume_options, &def->options, error))
        return FALSE;
    return !(flags & CST_VOL_PARSE_LIVE) || parse_live(node, def, error);
}

CstVolDef *cst_vol_def_parse(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    g_autoptr(CstVolDef) def = NULL;
    g_autoptr(xmlDoc) doc = NULL;

    if (!cst_pool_type_info(type)) {
        cst_fail(error, CST_ERROR_INVALID, _("unknown storage pool type %d"), type);
        return NULL;
    }
    doc = cst_xml_parse(xml, "volume", "(storage_volume_definition)", error);
    if (!doc)
        return NULL;
    if ((flags & CST_VOL_PARSE_VALIDATE) && !cst_xml_validate(doc, "storagevol.rng", error))
        return NULL;
    def = cst_vol_def_new();
    if (!parse_volume(xmlDocGetRootElement(doc), type, flags, def, error))
        return NULL;
    return g_steal_pointer(&def);
}
