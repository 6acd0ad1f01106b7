/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's names and paths of volumes, and the parsing of a definition. A path begins with the
 * first portal, but the LUN may be read through another one.
 */
#include "iscsi_direct.h"

#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define NAME_PREFIX "unit:0:0:"
#define LUN_MAX     0x3fff

/* --- definitions ------------------------------------------------------------------------------ */

/* Checks an iSCSI name. It becomes part of a login's text, where a NUL ends it, and of paths. */
static gboolean iscsi_check_name(const char *name, const char *what, GError **error)
{
    size_t len = strlen(name);

    for (const char *at = name; *at; at++)
        if (g_ascii_iscntrl(*at) || *at == ' ' || *at == '/')
            len = 0;
    return (len > 0 && len <= CST_ISCSI_NAME_MAX) ||
           cst_fail(error, CST_ERROR_CONFIG, _("'%s' is no name of an iSCSI %s"), name, what);
}

gboolean direct_timeout(const CstPoolDef *def, guint *ret_ms, GError **error)
{
    const char *text = cst_options_get(def->options, "timeout");
    guint64 seconds = DIRECT_TIMEOUT_S;

    if (text && !g_ascii_string_to_unsigned(text, 10, 1, DIRECT_TIMEOUT_MAX_S, &seconds, NULL))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("option 'timeout' of pool '%s' is '%s', and has to be 1 to %d seconds"),
                        def->name, text, DIRECT_TIMEOUT_MAX_S);
    *ret_ms = (guint)seconds * 1000;
    return TRUE;
}

gboolean direct_check_source(const CstPoolDef *def, GError **error)
{
    const CstPoolSource *source = &def->source;
    const CstPoolDevice *device;
    guint timeout;

    if (source->hosts->len == 0)
        return cst_fail(error, CST_ERROR_CONFIG, _("missing source host"));
    if (source->devices->len != 1)
        return cst_fail(error, CST_ERROR_CONFIG, _("missing source device"));
    if (!source->initiator_iqn)
        return cst_fail(error, CST_ERROR_CONFIG, _("missing initiator IQN"));
    device = g_ptr_array_index(source->devices, 0);
    return iscsi_check_name(device->path, _("target"), error) &&
           iscsi_check_name(source->initiator_iqn, _("initiator"), error) &&
           direct_timeout(def, &timeout, error);
}

static char *portal_of(const CstHost *host)
{
    return cst_iscsi_portal(host->name, host->port ? host->port : CST_ISCSI_PORT);
}

char **direct_portals(const CstPoolSource *source)
{
    char **portals = g_new0(char *, source->hosts->len + 1);

    for (guint i = 0; i < source->hosts->len; i++)
        portals[i] = portal_of(g_ptr_array_index(source->hosts, i));
    return portals;
}

/* --- names and paths -------------------------------------------------------------------------- */

char *direct_prefix(const CstPoolDef *def)
{
    g_autofree char *portal = portal_of(g_ptr_array_index(def->source.hosts, 0));
    const CstPoolDevice *device = g_ptr_array_index(def->source.devices, 0);

    return g_strdup_printf("ip-%s-iscsi-%s-lun-", portal, device->path);
}

char *direct_name(uint16_t lun)
{
    return g_strdup_printf(NAME_PREFIX "%u", lun);
}

gboolean direct_lun_in_path(const char *number, uint16_t *ret_lun)
{
    guint64 value;

    /* "01" and "+1" are not accepted as "1". */
    if (!g_ascii_isdigit(number[0]) || (number[0] == '0' && number[1]) ||
        !g_ascii_string_to_unsigned(number, 10, 0, LUN_MAX, &value, NULL))
        return FALSE;
    *ret_lun = (uint16_t)value;
    return TRUE;
}

gboolean direct_lun_of(const char *name, uint16_t *ret_lun)
{
    return g_str_has_prefix(name, NAME_PREFIX) &&
           direct_lun_in_path(name + strlen(NAME_PREFIX), ret_lun);
}

char *direct_vol_path(CstPoolState *state, const char *name)
{
    const char *number = g_str_has_prefix(name, NAME_PREFIX) ? name + strlen(NAME_PREFIX) : name;

    return g_strconcat(((DirectState *)state)->prefix, number, NULL);
}

char *direct_vol_resolve(CstPoolState *state, const char *path)
{
    const char *prefix = ((DirectState *)state)->prefix;
    uint16_t lun;

    if (!g_str_has_prefix(path, prefix) || !direct_lun_in_path(path + strlen(prefix), &lun))
        return NULL;
    return direct_name(lun);
}
