/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The <pool> document of pool-define-as and pool-create-as, made of the options as virsh does:
 * values are inserted as they are, so that both tools send the same document. What virsh would let
 * the server refuse without a useful message (an unknown --type) is refused here.
 */
#include "pool.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <model/pool_type.h>

#include "core/suggest.h"

/** Values of pool-define-as's options, NULL where not given. */
typedef struct {
    const char *name, *type;
    const char *host, *path, *dev, *source_name, *format, *target;
    const char *auth_type, *auth_username, *secret_usage, *secret_uuid;
    const char *adapter, *wwnn, *wwpn;
    const char *parent, *parent_wwnn, *parent_wwpn, *parent_fabric_wwn;
    const char *protocol_ver, *initiator;
    const char *trash; /**< in our own namespace */
} Fields;

static gboolean read_fields(const CliArgs *args, Fields *fields, GError **error)
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

/** As in virsh, credentials and --source-protocol-ver alone make no source. */
static gboolean has_source(const Fields *f)
{
    return f->host || f->path || f->dev || f->format || f->source_name || f->initiator ||
           f->adapter || (f->wwnn && f->wwpn);
}

/**
 * --target as an absolute path: a server has a working directory of its own. On another host a
 * relative path means nothing.
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

/** A Fibre Channel adapter needs both names; with them --adapter-name plays no part. */
static void append_adapter(GString *xml, const Fields *f)
{
    if (f->wwnn && f->wwpn) {
        g_string_append(xml, "    <adapter type='fc_host'");
        if (f->parent)
            g_string_append_printf(xml, " parent='%s'", f->parent);
        else if (f->parent_wwnn && f->parent_wwpn)
            g_string_append_printf(xml, " parent_wwnn='%s' parent_wwpn='%s'", f->parent_wwnn,
                                   f->parent_wwpn);
        else if (f->parent_fabric_wwn)
            g_string_append_printf(xml, " parent_fabric_wwn='%s'", f->parent_fabric_wwn);
        g_string_append_printf(xml, " wwnn='%s' wwpn='%s'/>\n", f->wwnn, f->wwpn);
    } else if (f->adapter) {
        g_string_append_printf(xml, "    <adapter type='scsi_host' name='%s'/>\n", f->adapter);
    }
}

static void append_auth(GString *xml, const Fields *f)
{
    if (!f->auth_type || !f->auth_username || !(f->secret_usage || f->secret_uuid))
        return;
    g_string_append_printf(xml, "    <auth type='%s' username='%s'>\n", f->auth_type,
                           f->auth_username);
    if (f->secret_usage)
        g_string_append_printf(xml, "      <secret usage='%s'/>\n", f->secret_usage);
    else
        g_string_append_printf(xml, "      <secret uuid='%s'/>\n", f->secret_uuid);
    g_string_append(xml, "    </auth>\n");
}

static void append_source(GString *xml, const Fields *f)
{
    g_string_append(xml, "  <source>\n");
    if (f->host)
        g_string_append_printf(xml, "    <host name='%s'/>\n", f->host);
    if (f->path)
        g_string_append_printf(xml, "    <dir path='%s'/>\n", f->path);
    if (f->dev)
        g_string_append_printf(xml, "    <device path='%s'/>\n", f->dev);
    if (f->initiator)
        g_string_append_printf(xml, "    <initiator>\n      <iqn name='%s'/>\n    </initiator>\n",
                               f->initiator);
    append_adapter(xml, f);
    append_auth(xml, f);
    if (f->format)
        g_string_append_printf(xml, "    <format type='%s'/>\n", f->format);
    if (f->source_name)
        g_string_append_printf(xml, "    <name>%s</name>\n", f->source_name);
    if (f->protocol_ver)
        g_string_append_printf(xml, "    <protocol ver='%s'/>\n", f->protocol_ver);
    g_string_append(xml, "  </source>\n");
}

gboolean cli_pool_build_xml(CliCtl *ctl, const CliArgs *args, const char **ret_name, char **ret_xml,
                            GError **error)
{
    g_autoptr(GString) xml = g_string_new(NULL);
    g_autofree char *target = NULL;
    Fields fields = {0};

    if (!read_fields(args, &fields, error) || !resolve_target(ctl, fields.target, &target, error))
        return FALSE;
    ctl->blame |= CLI_BLAME_DOCUMENT;
    g_string_append_printf(xml, "<pool type='%s'>\n  <name>%s</name>\n", fields.type, fields.name);
    if (has_source(&fields))
        append_source(xml, &fields);
    if (target)
        g_string_append_printf(xml, "  <target>\n    <path>%s</path>\n  </target>\n", target);
    if (fields.trash)
        g_string_append_printf(
            xml, "  <cistern:trash xmlns:cistern='" CST_XML_NAMESPACE "' days='%s'/>\n",
            fields.trash);
    g_string_append(xml, "</pool>\n");
    *ret_name = fields.name;
    *ret_xml = g_string_free(g_steal_pointer(&xml), FALSE);
    return TRUE;
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
