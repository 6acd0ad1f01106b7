/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parsing of the <source> element. As in libvirt, elements that the type does not use are also
 * parsed: they are checked, kept in the struct, and not formatted.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "adapter.h"
#include "pool_xml.h"
#include "secret_ref.h"

char *cst_path_tidy(const char *path)
{
    GString *tidy;
    const char *scheme = strstr(path, "://");
    const char *p = path;

    /* The slashes of a URI are not path separators. */
    if (scheme && strchr(path, '/') > scheme)
        return g_strdup(path);
    tidy = g_string_new(NULL);
    /* POSIX gives a path with exactly two leading slashes a special meaning. */
    if (p[0] == '/' && p[1] == '/' && p[2] != '/') {
        g_string_append(tidy, "//");
        p += 2;
    }
    for (; *p; p++) {
        gboolean repeated = p[0] == '/' && p[1] == '/';
        gboolean trailing = p[0] == '/' && p[1] == '\0' && tidy->len > 0;

        if (!repeated && !trailing)
            g_string_append_c(tidy, *p);
    }
    return g_string_free(tidy, FALSE);
}

/* Parses <format type='nfs'/>. The type's default applies if it is missing. */
static gboolean parse_format(xmlNode *node, CstPoolType type, CstPoolSource *source, GError **error)
{
    g_autofree char *format = NULL;

    if (!cst_pool_type_info(type)->source_formats)
        return TRUE;
    format = cst_xml_path_attr(node, "format", "type");
    if (format && !cst_pool_format_parse(type, format, &source->format))
        return cst_fail(error, CST_ERROR_CONFIG, _("unknown pool format type %s"), format);
    return TRUE;
}

/* Parses any number of <host name='mon1' port='6789'/>, because RBD has several monitors. */
static gboolean parse_hosts(xmlNode *node, CstPoolSource *source, GError **error)
{
    for (xmlNode *host = cst_xml_find(node, "host"); host; host = cst_xml_next(host)) {
        g_autofree char *name = cst_xml_attr(host, "name");
        g_autofree char *text = cst_xml_attr(host, "port");
        int64_t port = 0;

        if (!name)
            return cst_fail(error, CST_ERROR_XML, _("missing storage pool host name"));
        if (text && !cst_parse_int(text, 10, 0, G_MAXUINT16, &port))
            return cst_xml_bad_attr(host, "port", text, _("integer value"), error);
        cst_pool_source_add_host(source, name, (uint16_t)port);
    }
    return TRUE;
}

/*
 * Parses any number of <device path='/dev/sdb' part_separator='yes'/>, because a volume group has
 * several.
 */
static gboolean parse_devices(xmlNode *node, CstPoolSource *source, GError **error)
{
    for (xmlNode *device = cst_xml_find(node, "device"); device; device = cst_xml_next(device)) {
        g_autofree char *path = cst_xml_attr(device, "path");
        int separator;

        if (!path)
            return cst_fail(error, CST_ERROR_XML, _("missing storage pool source device path"));
        if (!cst_xml_attr_yes_no(device, "part_separator", &separator, error))
            return FALSE;
        cst_pool_source_add_device(source, path);
        ((CstPoolDevice *)g_ptr_array_index(source->devices, source->devices->len - 1))
            ->part_separator = separator;
    }
    return TRUE;
}

static gboolean parse_auth_type(const char *text, CstAuthType *ret_type, GError **error)
{
    static const char *const names[] = {"none", "chap", "ceph", NULL};
    int type = text ? cst_name_index(names, text) : CST_AUTH_NONE;

    if (type < 0)
        return cst_fail(error, CST_ERROR_CONFIG, _("unknown auth type '%s'"), text);
    *ret_type = type;
    return TRUE;
}

/* Parses <auth type='ceph' username='admin'><secret uuid='…'/></auth>. */
static gboolean parse_auth(xmlNode *node, CstAuth *auth, GError **error)
{
    xmlNode *element = cst_xml_find(node, "auth");
    xmlNode *secret;
    g_autofree char *type = NULL;

    if (!element)
        return TRUE;
    auth->username = cst_xml_path_attr(node, "auth", "username");
    if (!auth->username)
        return cst_fail(error, CST_ERROR_XML, _("missing username for auth"));
    type = cst_xml_path_attr(node, "auth", "type");
    if (!parse_auth_type(type, &auth->type, error))
        return FALSE;
    secret = cst_xml_find(element, "secret");
    if (!secret)
        return cst_fail(error, CST_ERROR_XML, _("Missing <secret> element in auth"));
    auth->secret_type = cst_xml_attr(secret, "type");
    if (!cst_secret_ref_parse(secret, &auth->by_uuid, &auth->secret_uuid, &auth->secret_usage,
                              error))
        return FALSE;
    /* Checked last, because libvirt reports missing parts of the element first. */
    if (auth->type == CST_AUTH_NONE)
        return cst_fail(error, CST_ERROR_CONFIG, _("storage pool missing auth type"));
    return TRUE;
}

/*
 * Accepts a version for the first two formats of any type's list. Only NFS uses it, but libvirt's
 * files may contain it for other formats.
 */
static gboolean parse_protocol(xmlNode *node, CstPoolType type, CstPoolSource *source,
                               GError **error)
{
    g_autofree char *version = cst_xml_path_attr(node, "protocol", "ver");

    if (!version)
        return TRUE;
    if (source->format > 1)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("storage pool protocol ver unsupported for pool type '%s'"),
                        cst_pool_format_name(type, source->format));
    /* The version becomes a mount option, in which a comma would add further options. */
    if (strchr(version, ','))
        return cst_fail(error, CST_ERROR_XML_SYNTAX,
                        _("storage pool protocol ver '%s' must not contain ','"), version);
    source->protocol_ver = g_steal_pointer(&version);
    return TRUE;
}

gboolean cst_pool_source_parse_node(xmlNode *node, CstPoolType type, CstPoolSource *source,
                                    GError **error)
{
    xmlNode *adapter = cst_xml_find(node, "adapter");
    g_autofree char *dir = NULL;

    source->name = cst_xml_text(node, "name");
    if (cst_pool_type_info(type)->source_name_required && !source->name)
        return cst_fail(error, CST_ERROR_XML, _("element 'name' is mandatory for RBD pool"));
    if (!parse_format(node, type, source, error) || !parse_hosts(node, source, error))
        return FALSE;
    source->initiator_iqn = cst_xml_path_attr(node, "initiator/iqn", "name");
    if (!parse_devices(node, source, error))
        return FALSE;
    dir = cst_xml_path_attr(node, "dir", "path");
    if (dir) {
        g_free(source->dir);
        source->dir = cst_path_tidy(dir);
    }
    if (adapter && !cst_adapter_parse(adapter, &source->adapter, error))
        return FALSE;
    if (!parse_auth(node, &source->auth, error) || !parse_protocol(node, type, source, error))
        return FALSE;
    source->vendor = cst_xml_path_attr(node, "vendor", "name");
    source->product = cst_xml_path_attr(node, "product", "name");
    return TRUE;
}

gboolean cst_pool_source_parse(const char *xml, CstPoolType type, CstPoolSource *ret_source,
                               GError **error)
{
    g_autoptr(xmlDoc) doc = cst_xml_parse(xml, "source", "(storage_source_specification)", error);
    CstPoolSource source;

    if (!doc)
        return FALSE;
    cst_pool_source_init(&source, type);
    if (!cst_pool_source_parse_node(xmlDocGetRootElement(doc), type, &source, error)) {
        cst_pool_source_clear(&source);
        return FALSE;
    }
    *ret_source = source;
    return TRUE;
}
