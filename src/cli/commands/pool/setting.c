/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings of Cistern that are elements of a pool's definition. A command redefines the pool with a
 * changed element. The service applies it at once, even if the pool is active.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "pool.h"

CstPoolDef *cli_pool_definition(CliCtl *ctl, const CstPoolRef *pool, GError **error)
{
    g_autofree char *xml = cst_conn_pool_xml(ctl->conn, pool, CST_STORAGE_XML_INACTIVE, error);

    return xml ? cst_pool_def_parse(xml, 0, error) : NULL;
}

/* Refuses a transient pool, because defining it would make it persistent. */
static gboolean check_persistent(CliCtl *ctl, const CstPoolRef *pool, GError **error)
{
    gboolean persistent;

    if (!cst_conn_pool_is_persistent(ctl->conn, pool, &persistent, error))
        return FALSE;
    return persistent || cst_fail(error, CST_ERROR_STATE,
                                  _("pool '%s' has no definition to keep the setting; pool-define "
                                    "makes it persistent"),
                                  pool->name);
}

CstPoolDef *cli_pool_define_setting(CliCtl *ctl, const CstPoolRef *pool, const CstPoolDef *def,
                                    GError **error)
{
    g_autoptr(CstPoolRef) defined = NULL;
    g_autofree char *xml = NULL;

    if (!check_persistent(ctl, pool, error))
        return NULL;
    xml = cst_pool_def_format(def, error);
    defined = xml ? cst_conn_pool_define(ctl->conn, xml, 0, error) : NULL;
    return defined ? cli_pool_definition(ctl, pool, error) : NULL;
}

void cli_complete_off(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    g_ptr_array_add(words, g_strdup(CLI_SETTING_OFF));
}

gboolean cli_setting_percent(const CliArgs *args, const char *option, unsigned max,
                             gboolean may_be_off, uint8_t *ret_percent, GError **error)
{
    const char *word;
    guint64 percent = 0;

    if (!cli_args_string(args, option, &word, error))
        return FALSE;
    if (!word)
        return TRUE;
    if (!(may_be_off && g_str_equal(word, CLI_SETTING_OFF)) &&
        !g_ascii_string_to_unsigned(word, 10, 1, max, &percent, NULL))
        return may_be_off ? cst_fail(error, CST_ERROR_USAGE,
                                     _("--%s takes a percentage from 1 to %u, or %s"), option, max,
                                     CLI_SETTING_OFF)
                          : cst_fail(error, CST_ERROR_USAGE,
                                     _("--%s takes a percentage from 1 to %u"), option, max);
    *ret_percent = (uint8_t)percent;
    return TRUE;
}
