/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-edit: opens the inactive definition in an editor and defines the result. If another user has
 * changed the definition during the edit, it is not overwritten. The command reads the definition
 * again before it defines the result. It compares parsed definitions, because the sizes in the
 * document of an active pool change frequently.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <model/pool_def.h>

#include "editor.h"
#include "output/report.h"
#include "pool.h"

typedef struct {
    const CstPoolRef *pool;
    const char *original;
    CstPoolRef *edited;
} Edit;

/* Format only the definition, without the sizes, which change in an active pool. */
static char *definition_of(const char *xml)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    char *text = def ? cst_pool_def_format(def, NULL) : NULL;

    return text ? text : g_strdup(xml);
}

static gboolean pool_xml_is_same(const char *xml, const char *other)
{
    g_autofree char *a = definition_of(xml);
    g_autofree char *b = definition_of(other);

    return g_str_equal(a, b);
}

static gboolean pool_edit_apply(CliCtl *ctl, const char *xml, gpointer data, GError **error)
{
    Edit *edit = data;
    g_autofree char *now = NULL;
    GError *why = NULL;

    now = cst_conn_pool_xml(ctl->conn, edit->pool, CST_STORAGE_XML_INACTIVE, error);
    if (!now)
        return FALSE;
    if (!pool_xml_is_same(now, edit->original))
        return cst_fail(error, CST_ERROR_EXISTS, "%s",
                        _("the XML configuration was changed by another user"));
    edit->edited = cst_conn_pool_define(ctl->conn, xml, 0, &why);
    if (edit->edited)
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN)) {
        g_error_free(why);
        return TRUE;
    }
    g_propagate_error(error, why);
    return FALSE;
}

static gboolean cmd_edit(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(CstPoolRef) edited = NULL;
    g_autofree char *xml = NULL;
    Edit edit = {.pool = pool};
    gboolean changed = FALSE;

    if (!pool)
        return FALSE;
    xml = cst_conn_pool_xml(ctl->conn, pool, CST_STORAGE_XML_INACTIVE, error);
    if (!xml)
        return FALSE;
    edit.original = xml;
    if (!cli_edit(ctl, xml, pool_edit_apply, &edit, &changed, error))
        return cli_failed(ctl, _("Failed to edit pool %s"), pool->name);
    edited = edit.edited;
    if (changed && !edited) {
        cli_plan(ctl, _("Would redefine pool %s"), pool->name);
        return TRUE;
    }
    if (changed)
        cli_done(ctl, "pool", edited->name, _("Pool %s XML configuration edited."), edited->name);
    else
        cli_done(ctl, "pool", pool->name, _("Pool %s XML configuration not changed."), pool->name);
    return TRUE;
}

static const CliOption edit_options[] = {CLI_POOL_OPTION(cli_complete_pools), {0}};

const CliCommand cli_pool_edit_command = {
    .name = "pool-edit",
    .summary = N_("edit XML configuration for a storage pool"),
    .description = N_("Edit the XML configuration for a storage pool."),
    .options = edit_options,
    .handler = cmd_edit,
    .flags = CLI_CMD_MUTATES,
};
