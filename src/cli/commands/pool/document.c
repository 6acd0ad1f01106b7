/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The <pool> document of pool-define-as and pool-create-as, built from the options. Its layout is
 * virsh's, but the XML writer escapes each value, so that a name cannot add markup. An unknown
 * --type is refused here, because the server's message for it is not helpful.
 */
#include "pool.h"

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <model/pool_type.h>
#include <model/xml_write.h>

#include "core/suggest.h"

/** Values of pool-define-as's options. NULL: not given. */
typedef struct {
    const char *name, *type;
    const char *host, *path, *dev, *source_name, *format, *target;
    const char *auth_type, *auth_username, *secret_usage, *secret_uuid;
    const char *adapter, *wwnn, *wwpn;
    const char *parent, *parent_wwnn, *parent_wwpn, *parent_fabric_wwn;
    const char *protocol_ver, *initiator;
    const char *trash; /**< in the namespace of Cistern */
} Fields;

static gboolean read_pool_fields(const CliArgs *args, Fields *fields, GError **error)
{
    const struct {
        const char *option;
        const char **value;
    } table[] = {
        {"name", &fields->name},
        {"type", &fields->type},
        {"source-host", &fields->host},
        {"source-path", &fields->path},
        {"source-dev", &fields->dev},
        {"source-name", &fields->source_name},
        {"source-format", &fields->format},
        {"target", &fields->target},
        {"auth-type", &fields->auth_type},
        {"auth-username", &fields->auth_username},
        {"secret-usage", &fields->secret_usage},
        {"secret-uuid", &fields->secret_uuid},
        {"adapter-name", &fields->adapter},
        {"adapter-wwnn", &fields->wwnn},
        {"adapter-wwpn", &fields->wwpn},
        {"adapter-parent", &fields->parent},
        {"adapter-parent-wwnn", &fields->parent_wwnn},
        {"adapter-parent-wwpn", &fields->parent_wwpn},
        {"adapter-parent-fabric-wwn", &fields->parent_fabric_wwn},
        {"source-protocol-ver", &fields->protocol_ver},
        {"source-initiator", &fields->initiator},
        {"trash", &fields->trash},
    };

    if (!cli_args_exclusive(args, "secret-usage", "secret-uuid", error))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++)
        if (!cli_args_string(args, table[i].option, table[i].value, error))
            return FALSE;
    return TRUE;
}

/** As in virsh, credentials or --source-protocol-ver alone do not create a <source>. */
static gboolean has_source(const Fields *f)
{
    return f->host || f->path || f->dev || f->format || f->source_name || f->initiator ||
           f->adapter || (f->wwnn && f->wwpn);
}

/**
 * Make --target absolute, because a server has a different working directory. On another host, a
 * relative path is invalid.
 */
static gboolean resolve_target(const CliCtl *ctl, const char *target, char **ret_path,
                               GError **error)
{
    *ret_path = NULL;
    if (!target || !*target || g_path_is_absolute(target)) {
        *ret_path = g_strdup(target);
        return TRUE;
    }
    if (ctl->connected_uri && strstr(ctl->connected_uri, "+ssh:"))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("--target '%s' must be an absolute path: the pool is on another host"),
                        target);
    *ret_path = g_canonicalize_filename(target, NULL);
    return TRUE;
}

/** A Fibre Channel adapter needs both names. If both are given, --adapter-name is ignored. */
static void write_adapter(CstXmlWriter *xml, const Fields *f)
{
    gboolean by_names = !f->parent && f->parent_wwnn && f->parent_wwpn;
    gboolean by_fabric = !f->parent && !by_names;

    if (f->wwnn && f->wwpn)
        cst_xml_empty(xml, "adapter", "type", "fc_host", "parent", f->parent, "parent_wwnn",
                      by_names ? f->parent_wwnn : NULL, "parent_wwpn",
                      by_names ? f->parent_wwpn : NULL, "parent_fabric_wwn",
                      by_fabric ? f->parent_fabric_wwn : NULL, "wwnn", f->wwnn, "wwpn", f->wwpn,
                      NULL);
    else if (f->adapter)
        cst_xml_empty(xml, "adapter", "type", "scsi_host", "name", f->adapter, NULL);
}

static void write_auth(CstXmlWriter *xml, const Fields *f)
{
    if (!f->auth_type || !f->auth_username || !(f->secret_usage || f->secret_uuid))
        return;
    cst_xml_open(xml, "auth", "type", f->auth_type, "username", f->auth_username, NULL);
    if (f->secret_usage)
        cst_xml_empty(xml, "secret", "usage", f->secret_usage, NULL);
    else
        cst_xml_empty(xml, "secret", "uuid", f->secret_uuid, NULL);
    cst_xml_close(xml, "auth");
}

static void write_source(CstXmlWriter *xml, const Fields *f)
{
    cst_xml_open(xml, "source", NULL);
    if (f->host)
        cst_xml_empty(xml, "host", "name", f->host, NULL);
    if (f->path)
        cst_xml_empty(xml, "dir", "path", f->path, NULL);
    if (f->dev)
        cst_xml_empty(xml, "device", "path", f->dev, NULL);
    if (f->initiator) {
        cst_xml_open(xml, "initiator", NULL);
        cst_xml_empty(xml, "iqn", "name", f->initiator, NULL);
        cst_xml_close(xml, "initiator");
    }
    write_adapter(xml, f);
    write_auth(xml, f);
    if (f->format)
        cst_xml_empty(xml, "format", "type", f->format, NULL);
    cst_xml_element(xml, "name", f->source_name);
    if (f->protocol_ver)
        cst_xml_empty(xml, "protocol", "ver", f->protocol_ver, NULL);
    cst_xml_close(xml, "source");
}

/* The name becomes a file name. The server refuses '/' and newline with libvirt's messages. */
static gboolean check_pool_name(const char *name, GError **error)
{
    return strpbrk(name, "/\n") || cst_name_check(name, _("pool"), error);
}

gboolean cli_pool_build_xml(CliCtl *ctl, const CliArgs *args, const char **ret_name, char **ret_xml,
                            GError **error)
{
    CstXmlWriter xml = {0};
    g_autofree char *target = NULL;
    Fields fields = {0};

    if (!read_pool_fields(args, &fields, error) || !check_pool_name(fields.name, error) ||
        !resolve_target(ctl, fields.target, &target, error))
        return FALSE;
    ctl->blame |= CLI_BLAME_DOCUMENT;
    cli_blame_name(ctl, fields.name);
    xml.out = g_string_new(NULL);
    cst_xml_open(&xml, "pool", "type", fields.type, NULL);
    cst_xml_element(&xml, "name", fields.name);
    if (has_source(&fields))
        write_source(&xml, &fields);
    if (target) {
        cst_xml_open(&xml, "target", NULL);
        cst_xml_element(&xml, "path", target);
        cst_xml_close(&xml, "target");
    }
    if (fields.trash)
        cst_xml_empty(&xml, "cistern:trash", "xmlns:cistern", CST_XML_NAMESPACE, "days",
                      fields.trash, NULL);
    cst_xml_close(&xml, "pool");
    *ret_name = fields.name;
    *ret_xml = cst_xml_take(&xml, error);
    return *ret_xml != NULL;
}

gboolean cli_pool_check_type(const CliArgs *args, GError **error)
{
    g_auto(CliNearest) nearest = {0};
    const char *type;

    if (!cli_args_string(args, "type", &type, error))
        return FALSE;
    cli_nearest_init(&nearest, type);
    for (const CliPoolType *known = cli_pool_types(); known->name; known++) {
        if (g_str_equal(known->name, type))
            return TRUE;
        cli_nearest_offer(&nearest, known->name);
    }
    if (nearest.found)
        return cst_fail(error, CST_ERROR_USAGE, _("unknown pool type '%s'; did you mean '%s'?"),
                        type, nearest.found);
    return cst_fail(error, CST_ERROR_USAGE,
                    _("unknown pool type '%s'; `cistern pool-capabilities` lists the types"), type);
}
