/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parsing of pool documents: definitions and states. Defaults, checks, their order and the messages
 * follow libvirt, because the user sees the first failure.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <base/url.h>

#include "adapter.h"
#include "options.h"
#include "perms.h"
#include "pool_xml.h"

static CstPoolDef *parse_type(xmlNode *node, GError **error)
{
    g_autofree char *name = cst_xml_attr(node, "type");
    CstPoolType type;

    if (!name) {
        cst_fail(error, CST_ERROR_XML, _("Missing required attribute '%s' in element '%s'"), "type",
                 "pool");
        return NULL;
    }
    if (!cst_pool_type_parse(name, &type)) {
        cst_xml_bad_attr(node, "type", name, NULL, error);
        return NULL;
    }
    return cst_pool_def_new(type);
}

/*
 * The name becomes a file name (NAME.xml) and a line in lists, so it may contain neither / nor \n.
 */
static gboolean parse_name(xmlNode *node, const CstPoolTypeInfo *info, CstPoolDef *def,
                           GError **error)
{
    def->name = cst_xml_text(node, "name");
    if (!def->name && (info->source_parts & CST_SOURCE_NAME))
        def->name = g_strdup(def->source.name);
    if (!def->name)
        return cst_fail(error, CST_ERROR_XML, _("missing pool source name element"));
    if (strchr(def->name, '/'))
        return cst_fail(error, CST_ERROR_XML, _("name %s cannot contain '/'"), def->name);
    if (strchr(def->name, '\n'))
        return cst_fail(error, CST_ERROR_XML_SYNTAX, _("invalid char in name: %c"), '\n');
    return TRUE;
}

static gboolean parse_uuid(xmlNode *node, CstUuid *ret_uuid, GError **error)
{
    g_autofree char *text = cst_xml_text(node, "uuid");

    if (!text)
        cst_uuid_generate(ret_uuid);
    else if (!cst_uuid_parse(text, ret_uuid))
        return cst_fail(error, CST_ERROR_XML, _("malformed uuid element"));
    return TRUE;
}

/*
 * Parses <features><cow state='no'/></features>: whether the pool's files are copied on write
 * (Btrfs).
 */
static gboolean parse_features(xmlNode *node, const CstPoolTypeInfo *info, CstPoolDef *def,
                               GError **error)
{
    xmlNode *cow = cst_xml_find(node, "features/cow");

    if (!cow)
        return TRUE;
    if (!cst_xml_attr_yes_no(cow, "state", &def->feature_cow, error))
        return FALSE;
    if (def->feature_cow >= 0 && !info->cow_feature)
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("cow feature may only be used for 'fs' and 'dir' pools"));
    return TRUE;
}

/* Checks that the source has all parts that its type requires. Sets the source's default name. */
static gboolean check_source(const CstPoolTypeInfo *info, CstPoolDef *def, GError **error)
{
    CstPoolSource *source = &def->source;

    if ((info->source_parts & CST_SOURCE_HOST) && source->hosts->len == 0)
        return cst_fail(error, CST_ERROR_XML, _("missing storage pool source host name"));
    if ((info->source_parts & CST_SOURCE_DIR) && !source->dir)
        return cst_fail(error, CST_ERROR_XML, _("missing storage pool source path"));
    /*
     * The pool's name is also the source's default. parse_name() has rejected a document with
     * neither.
     */
    if ((info->source_parts & CST_SOURCE_NAME) && !source->name)
        source->name = g_strdup(def->name);
    if ((info->source_parts & CST_SOURCE_ADAPTER) && !cst_adapter_check(&source->adapter, error))
        return FALSE;
    if (info->device_required && source->devices->len == 0)
        return cst_fail(error, CST_ERROR_XML, _("missing storage pool source device name"));
    return TRUE;
}

/* Returns the URL of the directory with the volumes, as libvirt writes it into their paths. */
static char *url_of_source(const CstPoolSource *source, const char *scheme)
{
    const CstHost *host = g_ptr_array_index(source->hosts, 0);
    gboolean bare_ipv6 = strchr(host->name, ':') && host->name[0] != '[';
    const char *dir = source->dir[0] == '/' && source->dir[1] ? source->dir : "";
    g_autofree char *path = g_strconcat(source->name, dir, NULL);
    g_autofree char *escaped = cst_url_escape_path(path);
    g_autofree char *port = host->port ? g_strdup_printf(":%u", host->port) : g_strdup("");

    /* A socket path cannot precede the volume's name in the URL (docs/gluster.md). */
    if (host->name[0] == '/')
        return g_strconcat(scheme, "+unix:///", escaped, NULL);
    return g_strconcat(scheme, "://", bare_ipv6 ? "[" : "", host->name, bare_ipv6 ? "]" : "", port,
                       "/", escaped, NULL);
}

/* Parses <target><path>…</path><permissions>…</permissions></target>. */
static gboolean parse_target(xmlNode *node, const CstPoolTypeInfo *info, CstPoolDef *def,
                             GError **error)
{
    g_autofree char *path = NULL;

    if (info->url_scheme)
        def->target_path = url_of_source(&def->source, info->url_scheme);
    if (!info->has_target)
        return TRUE;
    /* The system creates the device nodes there. libvirt ignores a different <path>. */
    if (info->target_prefix)
        path = g_strconcat(info->target_prefix, def->source.name, NULL);
    else
        path = cst_xml_text(node, "target/path");
    if (!path)
        return cst_fail(error, CST_ERROR_XML, _("missing storage pool target path"));
    def->target_path = cst_path_tidy(path);
    return cst_perms_parse(node, "target/permissions", &def->target_perms, error);
}

/*
 * Parses <refresh><volume allocation='capacity'/></refresh>: the allocation of volumes that a
 * refresh reports.
 */
static gboolean parse_refresh(xmlNode *node, CstPoolDef *def, GError **error)
{
    g_autofree char *allocation = cst_xml_path_attr(node, "refresh/volume", "allocation");

    if (!allocation)
        return TRUE;
    if (strcmp(allocation, "default") == 0)
        def->refresh_alloc = CST_REFRESH_ALLOC_DEFAULT;
    else if (strcmp(allocation, "capacity") == 0)
        def->refresh_alloc = CST_REFRESH_ALLOC_CAPACITY;
    else
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("unknown storage pool volume refresh allocation type %s"), allocation);
    return TRUE;
}

/* Parses <capacity unit='bytes'>…</capacity>. Used for states only. A missing element is 0. */
static gboolean parse_size(xmlNode *node, const char *name, uint64_t *ret_bytes, GError **error)
{
    return cst_xml_bytes(node, name, name, G_MAXUINT64, ret_bytes, NULL, error);
}

static gboolean parse_live(xmlNode *node, CstPoolDef *def, GError **error)
{
    return parse_size(node, "capacity", &def->capacity, error) &&
           parse_size(node, "allocation", &def->allocation, error) &&
           parse_size(node, "available", &def->available, error);
}

static gboolean is_own_element(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && node->ns &&
           strcmp((const char *)node->ns->href, CST_XML_NAMESPACE) == 0 &&
           strcmp((const char *)node->name, name) == 0;
}

/* Parses a percentage. An absent attribute is 0: not set. */
static gboolean parse_threshold(xmlNode *node, const char *name, uint8_t *ret_percent,
                                GError **error)
{
    g_autofree char *text = cst_xml_attr(node, name);
    guint64 percent = 0;

    if (text && !g_ascii_string_to_unsigned(text, 10, 1, 100, &percent, NULL))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("the threshold '%s' of a pool wants a percentage from 1 to 100"), name);
    *ret_percent = (uint8_t)percent;
    return TRUE;
}

/* Parses <cistern:thresholds warn='80' critical='90'/>. The last element counts. */
static gboolean parse_thresholds(xmlNode *node, CstThresholds *thresholds, GError **error)
{
    for (xmlNode *child = node->children; child; child = child->next) {
        if (!is_own_element(child, CST_THRESHOLDS_ELEMENT))
            continue;
        if (!parse_threshold(child, "warn", &thresholds->warn, error) ||
            !parse_threshold(child, "critical", &thresholds->critical, error))
            return FALSE;
        if (thresholds->critical && thresholds->warn > thresholds->critical)
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("the threshold 'warn' of a pool must not be above 'critical'"));
    }
    return TRUE;
}

/* Parses the attributes quota and unit. An absent quota is 0: no limit. */
static gboolean parse_quota(xmlNode *node, uint64_t *ret_bytes, GError **error)
{
    g_autofree char *text = cst_xml_attr(node, "quota");
    g_autofree char *unit = cst_xml_attr(node, "unit");
    guint64 bytes = 0;

    if (text && !g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT64, &bytes, NULL))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("the limit 'quota' of a pool wants a size above 0, not '%s'"), text);
    *ret_bytes = bytes;
    return cst_units_scale(ret_bytes, unit, 1, G_MAXINT64, error);
}

/*
 * Parses <cistern:limits overcommit='1.5' quota='10' unit='GiB' volumes='1000'/>. The last element
 * counts.
 */
static gboolean parse_limits(xmlNode *node, CstPoolLimits *limits, GError **error)
{
    for (xmlNode *child = node->children; child; child = child->next) {
        g_autofree char *overcommit = NULL;
        g_autofree char *volumes = NULL;
        g_autoptr(GError) why = NULL;
        guint64 number = 0;

        if (!is_own_element(child, CST_LIMITS_ELEMENT))
            continue;
        *limits = (CstPoolLimits){0};
        overcommit = cst_xml_attr(child, "overcommit");
        volumes = cst_xml_attr(child, "volumes");
        if (overcommit && !cst_overcommit_parse(overcommit, &limits->overcommit, &why))
            return cst_fail(error, CST_ERROR_CONFIG, "%s", why->message);
        if (volumes && !g_ascii_string_to_unsigned(volumes, 10, 1, G_MAXUINT32, &number, NULL))
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("the limit 'volumes' of a pool wants a number above 0, not '%s'"),
                            volumes);
        limits->volumes = (uint32_t)number;
        if (!parse_quota(child, &limits->quota, error))
            return FALSE;
    }
    return TRUE;
}

/* Parses a number of an attribute. An absent attribute leaves *ret_number unchanged. */
static gboolean parse_autoextend_number(xmlNode *node, const char *name, guint64 min, guint64 max,
                                        guint64 *ret_number, GError **error)
{
    g_autofree char *text = cst_xml_attr(node, name);

    return !text || g_ascii_string_to_unsigned(text, 10, min, max, ret_number, NULL) ||
           cst_fail(error, CST_ERROR_CONFIG,
                    _("'%s' of the automatic extension of a pool wants a number from %" PRIu64
                      " to %" PRIu64),
                    name, min, max);
}

/*
 * Parses <cistern:autoextend threshold='80' step='20' maximum='BYTES' reserve='BYTES'/>. The last
 * element counts.
 */
static gboolean parse_autoextend(xmlNode *node, CstAutoextend *setting, GError **error)
{
    for (xmlNode *child = node->children; child; child = child->next) {
        guint64 threshold = 0, step = 0, maximum = 0, reserve = 0;

        if (!is_own_element(child, CST_AUTOEXTEND_ELEMENT))
            continue;
        if (!parse_autoextend_number(child, "threshold", 1, CST_AUTOEXTEND_THRESHOLD_MAX,
                                     &threshold, error) ||
            !parse_autoextend_number(child, "step", 1, CST_AUTOEXTEND_STEP_MAX, &step, error) ||
            !parse_autoextend_number(child, "maximum", 0, G_MAXINT64, &maximum, error) ||
            !parse_autoextend_number(child, "reserve", 0, G_MAXINT64, &reserve, error))
            return FALSE;
        if (threshold == 0)
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("the automatic extension of a pool wants a threshold"));
        *setting = (CstAutoextend){(uint8_t)threshold, (uint8_t)step, maximum, reserve};
    }
    return TRUE;
}

/* Parses a depth of an attribute. An absent attribute is 0. */
static gboolean parse_chain_depth(xmlNode *node, const char *name, uint32_t *ret_depth,
                                  GError **error)
{
    g_autofree char *text = cst_xml_attr(node, name);
    guint64 depth = 0;

    if (text && !g_ascii_string_to_unsigned(text, 10, CST_CHAINS_MIN, CST_CHAINS_MAX, &depth, NULL))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("'%s' of the chains of a pool wants a number from %d to %d"), name,
                        CST_CHAINS_MIN, CST_CHAINS_MAX);
    *ret_depth = (uint32_t)depth;
    return TRUE;
}

/* Parses <cistern:chains warn='8' refuse='16'/>. The last element counts. */
static gboolean parse_chains(xmlNode *node, CstChainLimits *limits, GError **error)
{
    for (xmlNode *child = node->children; child; child = child->next) {
        if (!is_own_element(child, CST_CHAINS_ELEMENT))
            continue;
        if (!parse_chain_depth(child, "warn", &limits->warn, error) ||
            !parse_chain_depth(child, "refuse", &limits->refuse, error))
            return FALSE;
        if (limits->refuse && limits->warn > limits->refuse)
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("'warn' of the chains of a pool must not be above 'refuse'"));
    }
    return TRUE;
}

/*
 * Parses <cistern:trash days='7'/>: the days for which deleted volumes are kept. The last element
 * counts, as with options.
 */
static gboolean parse_trash(xmlNode *node, CstPoolDef *def, GError **error)
{
    for (xmlNode *child = node->children; child; child = child->next) {
        g_autofree char *text = NULL;
        guint64 days;

        if (!is_own_element(child, CST_TRASH_ELEMENT))
            continue;
        text = cst_xml_attr(child, "days");
        if (!text || !g_ascii_string_to_unsigned(text, 10, 0, CST_TRASH_DAYS_MAX, &days, NULL))
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("the trash of a pool wants a number of days from 0 to %d"),
                            CST_TRASH_DAYS_MAX);
        def->trash_days = (uint32_t)days;
    }
    return TRUE;
}

static gboolean parse_body(xmlNode *node, unsigned flags, CstPoolDef *def, GError **error)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(def->type);
    xmlNode *source = cst_xml_find(node, "source");

    /* The source first, because the pool's name may default to the source's. */
    if (source && !cst_pool_source_parse_node(source, def->type, &def->source, error))
        return FALSE;
    if (!parse_name(node, info, def, error) || !parse_uuid(node, &def->uuid, error) ||
        !parse_features(node, info, def, error) || !check_source(info, def, error) ||
        !parse_target(node, info, def, error))
        return FALSE;
    if (info->initiator_required && !def->source.initiator_iqn)
        return cst_fail(error, CST_ERROR_CONFIG, _("missing initiator IQN"));
    if (!parse_refresh(node, def, error) ||
        !cst_options_parse(node, info->options, &def->options, error) ||
        !parse_trash(node, def, error) || !parse_thresholds(node, &def->thresholds, error) ||
        !parse_limits(node, &def->limits, error) ||
        !parse_autoextend(node, &def->autoextend, error) ||
        !parse_chains(node, &def->chains, error))
        return FALSE;
    return !(flags & CST_PARSE_LIVE) || parse_live(node, def, error);
}

static CstPoolDef *parse_node(xmlNode *node, unsigned flags, GError **error)
{
    g_autoptr(CstPoolDef) def = parse_type(node, error);

    if (!def || !parse_body(node, flags, def, error))
        return NULL;
    return g_steal_pointer(&def);
}

CstPoolDef *cst_pool_def_parse(const char *xml, unsigned flags, GError **error)
{
    g_autoptr(xmlDoc) doc = cst_xml_parse(xml, "pool", "(storage_pool_definition)", error);

    if (!doc)
        return NULL;
    if ((flags & CST_PARSE_VALIDATE) && !cst_xml_validate(doc, "storagepool.rng", error))
        return NULL;
    return parse_node(xmlDocGetRootElement(doc), flags, error);
}

CstPoolDef *cst_pool_state_parse(const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = cst_xml_parse(xml, "poolstate", "(pool state)", error);
    xmlNode *pool;

    if (!doc)
        return NULL;
    pool = cst_xml_find(xmlDocGetRootElement(doc), "pool");
    if (!pool) {
        cst_fail(error, CST_ERROR_XML, _("Could not find any 'pool' element in state file"));
        return NULL;
    }
    return parse_node(pool, CST_PARSE_LIVE, error);
}
