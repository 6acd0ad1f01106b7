/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Formatting of pool documents: definitions, states, sources. The pool type determines the parts of
 * <source> that are written. The order of the elements is libvirt's, because people compare and
 * edit definition files. A format or type without a name is an error (INVALID), because a file
 * without it could not be parsed again.
 */
#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>

#include "adapter.h"
#include "options.h"
#include "perms.h"
#include "pool_xml.h"
#include "secret_ref.h"

static const char *yes_no(int value)
{
    if (value < 0)
        return NULL;
    return value ? "yes" : "no";
}

static void format_hosts(CstXmlWriter *xml, const CstPoolSource *source)
{
    for (guint i = 0; source->hosts && i < source->hosts->len; i++) {
        const CstHost *host = g_ptr_array_index(source->hosts, i);
        char port[8];

        g_snprintf(port, sizeof(port), "%u", host->port);
        cst_xml_empty(xml, "host", "name", host->name, "port", host->port ? port : NULL, NULL);
    }
}

/* Formats the free extents that the disk backend reports for people. A parser ignores them. */
static void format_free_extents(CstXmlWriter *xml, const GArray *extents)
{
    for (guint i = 0; i < extents->len; i++) {
        const CstDeviceExtent *extent = &g_array_index(extents, CstDeviceExtent, i);
        char start[24], end[24];

        g_snprintf(start, sizeof(start), "%" G_GUINT64_FORMAT, extent->start);
        g_snprintf(end, sizeof(end), "%" G_GUINT64_FORMAT, extent->end);
        cst_xml_empty(xml, "freeExtent", "start", start, "end", end, NULL);
    }
}

static void format_devices(CstXmlWriter *xml, const CstPoolSource *source)
{
    for (guint i = 0; source->devices && i < source->devices->len; i++) {
        const CstPoolDevice *device = g_ptr_array_index(source->devices, i);
        const char *separator = yes_no(device->part_separator);

        if (!device->free_extents || device->free_extents->len == 0) {
            cst_xml_empty(xml, "device", "path", device->path, "part_separator", separator, NULL);
            continue;
        }
        cst_xml_open(xml, "device", "path", device->path, "part_separator", separator, NULL);
        format_free_extents(xml, device->free_extents);
        cst_xml_close(xml, "device");
    }
}

static void format_auth(CstXmlWriter *xml, const CstAuth *auth)
{
    if (auth->type == CST_AUTH_NONE)
        return;
    cst_xml_open(xml, "auth", "type", auth->type == CST_AUTH_CHAP ? "chap" : "ceph", "username",
                 auth->username, NULL);
    cst_secret_ref_format(xml, auth->secret_type, auth->by_uuid, &auth->secret_uuid,
                          auth->secret_usage);
    cst_xml_close(xml, "auth");
}

static void format_initiator(CstXmlWriter *xml, const char *iqn)
{
    if (!iqn)
        return;
    cst_xml_open(xml, "initiator", NULL);
    cst_xml_empty(xml, "iqn", "name", iqn, NULL);
    cst_xml_close(xml, "initiator");
}

/*
 * Formats the parts that the type uses. Other parts may have been parsed; they are kept in the
 * struct.
 */
static void format_parts(CstXmlWriter *xml, const CstPoolSource *source, unsigned parts)
{
    if (parts & CST_SOURCE_HOST)
        format_hosts(xml, source);
    if (parts & CST_SOURCE_DEVICE)
        format_devices(xml, source);
    if ((parts & CST_SOURCE_DIR) && source->dir)
        cst_xml_empty(xml, "dir", "path", source->dir, NULL);
    if (parts & CST_SOURCE_ADAPTER)
        cst_adapter_format(xml, &source->adapter);
    if (parts & CST_SOURCE_NAME)
        cst_xml_element(xml, "name", source->name);
    if (parts & CST_SOURCE_INITIATOR)
        format_initiator(xml, source->initiator_iqn);
}

gboolean cst_pool_source_format_node(CstXmlWriter *xml, const CstPoolSource *source,
                                     CstPoolType type, GError **error)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);
    const char *format = cst_pool_format_name(type, source->format);

    if (!info)
        return cst_fail(error, CST_ERROR_INVALID, _("unknown storage pool type %d"), type);
    if (info->source_formats && !format)
        return cst_fail(error, CST_ERROR_INVALID, _("unknown pool format number %d"),
                        source->format);
    cst_xml_open(xml, "source", NULL);
    format_parts(xml, source, info->source_parts);
    if (format)
        cst_xml_empty(xml, "format", "type", format, NULL);
    format_auth(xml, &source->auth);
    if (source->protocol_ver)
        cst_xml_empty(xml, "protocol", "ver", source->protocol_ver, NULL);
    if (source->vendor)
        cst_xml_empty(xml, "vendor", "name", source->vendor, NULL);
    if (source->product)
        cst_xml_empty(xml, "product", "name", source->product, NULL);
    cst_xml_close(xml, "source");
    return TRUE;
}

static void format_features(CstXmlWriter *xml, const CstPoolDef *def)
{
    if (def->feature_cow < 0)
        return;
    cst_xml_open(xml, "features", NULL);
    cst_xml_empty(xml, "cow", "state", yes_no(def->feature_cow), NULL);
    cst_xml_close(xml, "features");
}

static void format_refresh(CstXmlWriter *xml, CstRefreshAlloc allocation)
{
    if (allocation == CST_REFRESH_ALLOC_UNSET)
        return;
    cst_xml_open(xml, "refresh", NULL);
    cst_xml_empty(xml, "volume", "allocation",
                  allocation == CST_REFRESH_ALLOC_CAPACITY ? "capacity" : "default", NULL);
    cst_xml_close(xml, "refresh");
}

static void format_head(CstXmlWriter *xml, const CstPoolDef *def)
{
    char uuid[CST_UUID_TEXT_LEN];

    cst_xml_element(xml, "name", def->name);
    cst_xml_element(xml, "uuid", cst_uuid_format(&def->uuid, uuid));
    cst_xml_size(xml, "capacity", "bytes", def->capacity);
    cst_xml_size(xml, "allocation", "bytes", def->allocation);
    cst_xml_size(xml, "available", "bytes", def->available);
}

static void format_trash(CstXmlWriter *xml, uint32_t days)
{
    g_autofree char *text = g_strdup_printf("%u", days);

    if (days)
        cst_xml_empty(xml, "cistern:" CST_TRASH_ELEMENT, "days", text, NULL);
}

static void format_thresholds(CstXmlWriter *xml, const CstThresholds *thresholds)
{
    g_autofree char *warn = g_strdup_printf("%u", thresholds->warn);
    g_autofree char *critical = g_strdup_printf("%u", thresholds->critical);

    if (thresholds->warn || thresholds->critical)
        cst_xml_empty(xml, "cistern:" CST_THRESHOLDS_ELEMENT, "warn",
                      thresholds->warn ? warn : NULL, "critical",
                      thresholds->critical ? critical : NULL, NULL);
}

static void format_limits(CstXmlWriter *xml, const CstPoolLimits *limits)
{
    g_autofree char *overcommit = cst_overcommit_format(limits->overcommit);
    g_autofree char *quota = g_strdup_printf("%" PRIu64, limits->quota);
    g_autofree char *volumes = g_strdup_printf("%u", limits->volumes);

    if (cst_limits_are_set(limits))
        cst_xml_empty(xml, "cistern:" CST_LIMITS_ELEMENT, "overcommit",
                      limits->overcommit ? overcommit : NULL, "quota", limits->quota ? quota : NULL,
                      "unit", limits->quota ? "bytes" : NULL, "volumes",
                      limits->volumes ? volumes : NULL, NULL);
}

static void format_autoextend(CstXmlWriter *xml, const CstAutoextend *setting)
{
    g_autofree char *threshold = g_strdup_printf("%u", setting->threshold);
    g_autofree char *step = g_strdup_printf("%u", setting->step);
    g_autofree char *maximum = g_strdup_printf("%" G_GUINT64_FORMAT, setting->maximum);
    g_autofree char *reserve = g_strdup_printf("%" G_GUINT64_FORMAT, setting->reserve);

    if (setting->threshold)
        cst_xml_empty(xml, "cistern:" CST_AUTOEXTEND_ELEMENT, "threshold", threshold, "step",
                      setting->step ? step : NULL, "maximum", setting->maximum ? maximum : NULL,
                      "reserve", setting->reserve ? reserve : NULL, NULL);
}

static void format_chains(CstXmlWriter *xml, const CstChainLimits *limits)
{
    g_autofree char *warn = g_strdup_printf("%u", limits->warn);
    g_autofree char *refuse = g_strdup_printf("%u", limits->refuse);

    if (limits->warn || limits->refuse)
        cst_xml_empty(xml, "cistern:" CST_CHAINS_ELEMENT, "warn", limits->warn ? warn : NULL,
                      "refuse", limits->refuse ? refuse : NULL, NULL);
}

/* Whether the definition has an element of Cistern that pools of all types may have. */
static gboolean has_own_element(const CstPoolDef *def)
{
    return def->trash_days || def->thresholds.warn || def->thresholds.critical ||
           cst_limits_are_set(&def->limits) || def->autoextend.threshold || def->chains.warn ||
           def->chains.refuse;
}

static gboolean format_pool(CstXmlWriter *xml, const CstPoolDef *def, GError **error)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(def->type);
    const CstPoolNamespace *ns;
    g_autofree char *declaration = NULL;
    gboolean declares_ours;

    if (!info)
        return cst_fail(error, CST_ERROR_INVALID, _("unknown storage pool type %d"), def->type);
    /* Declared only if used, so that documents without options are identical to libvirt's. */
    ns = cst_options_namespace(info->options, def->options);
    declaration = g_strdup_printf("xmlns:%s", ns ? ns->prefix : "");
    declares_ours = has_own_element(def) && !(ns && strcmp(ns->uri, CST_XML_NAMESPACE) == 0);
    cst_xml_open(xml, "pool", "type", info->name, declaration, ns ? ns->uri : NULL, "xmlns:cistern",
                 declares_ours ? CST_XML_NAMESPACE : NULL, NULL);
    format_head(xml, def);
    format_features(xml, def);
    if (!cst_pool_source_format_node(xml, &def->source, def->type, error))
        return FALSE;
    if (info->has_target) {
        cst_xml_open(xml, "target", NULL);
        cst_xml_element(xml, "path", def->target_path);
        cst_perms_format(xml, &def->target_perms);
        cst_xml_close(xml, "target");
    }
    format_refresh(xml, def->refresh_alloc);
    cst_options_format(xml, ns, def->options);
    format_trash(xml, def->trash_days);
    format_thresholds(xml, &def->thresholds);
    format_limits(xml, &def->limits);
    format_autoextend(xml, &def->autoextend);
    format_chains(xml, &def->chains);
    cst_xml_close(xml, "pool");
    return TRUE;
}

char *cst_pool_def_format(const CstPoolDef *def, GError **error)
{
    g_autoptr(GString) out = g_string_sized_new(1024);
    CstXmlWriter xml = {.out = out};

    return format_pool(&xml, def, error) ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}

char *cst_pool_state_format(const CstPoolDef *def, GError **error)
{
    g_autoptr(GString) out = g_string_sized_new(1024);
    CstXmlWriter xml = {.out = out};

    cst_xml_open(&xml, "poolstate", NULL);
    if (!format_pool(&xml, def, error))
        return NULL;
    cst_xml_close(&xml, "poolstate");
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *cst_pool_source_format(const CstPoolSource *source, CstPoolType type, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    CstXmlWriter xml = {.out = out};

    if (!cst_pool_source_format_node(&xml, source, type, error))
        return NULL;
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *cst_pool_source_list_format(const CstPoolSource *sources, gsize n_sources, CstPoolType type,
                                  GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    CstXmlWriter xml = {.out = out};

    cst_xml_open(&xml, "sources", NULL);
    for (gsize i = 0; i < n_sources; i++)
        if (!cst_pool_source_format_node(&xml, &sources[i], type, error))
            return NULL;
    cst_xml_close(&xml, "sources");
    return g_string_free(g_steal_pointer(&out), FALSE);
}
