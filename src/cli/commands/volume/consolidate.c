/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-consolidate: merges a run of layers of the backing chain of a volume into the volume. The
 * server does the work. A dry run asks it for the plan, which names the layers.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/url.h>
#include <conn/chains.h>

#include "domains.h"
#include "options.h"
#include "output/confirm.h"
#include "output/json.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    CstVolConsolidate how;
    gboolean is_plan;
    CstConsolidation result;
} Consolidate;

static void consolidate_clear(Consolidate *work)
{
    cst_consolidation_clear(&work->result);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Consolidate, consolidate_clear)

static gboolean run_consolidate(CstTask *task, gpointer data, GError **error)
{
    Consolidate *work = data;

    return cst_conn_vol_consolidate(work->conn, work->vol, &work->how, work->is_plan, task,
                                    &work->result, error);
}

/* --- the plan --------------------------------------------------------------------------------- */

static char *layer_names(const CstConsolidation *result)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < result->layers->len; i++) {
        const CstMergedLayer *layer = result->layers->pdata[i];
        g_autofree char *shown = cst_reference_shown(layer->name);

        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", shown);
    }
    return g_string_free(text, FALSE);
}

/* Returns the names of the layers to delete; NULL: no layer. */
static char *deleted_names(const Consolidate *work)
{
    g_autofree char *pool = g_strconcat(work->vol->pool, "/", NULL);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; work->how.flags && i < work->result.layers->len; i++) {
        const CstMergedLayer *layer = work->result.layers->pdata[i];
        g_autofree char *shown = cst_reference_shown(layer->name);

        /* The deletion ends at a layer that stays. */
        if (layer->state != CST_LAYER_UNUSED || !g_str_has_prefix(layer->name, pool))
            break;
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", shown);
    }
    return text->len > 0 ? g_strdup(text->str) : NULL;
}

/*
 * Sets the plan of a dry run: the layers and the size of the copy. *ret_deleted: the names of the
 * layers to delete, for the question; NULL: no layer.
 */
static gboolean plan_consolidate(CliCtl *ctl, Consolidate *work, const char *name,
                                 char **ret_deleted, GError **error)
{
    g_autofree char *layers = NULL, *size = NULL, *base = NULL;

    *ret_deleted = NULL;
    cli_plan(ctl, _("Would consolidate vol %s"), name);
    if (!ctl->settings.dry_run && !work->how.flags)
        return TRUE;
    work->is_plan = TRUE;
    if (!run_consolidate(NULL, work, error))
        return cli_failed(ctl, _("Failed to consolidate vol %s"), name);
    work->is_plan = FALSE;
    if (work->result.layers->len == 0) {
        cli_plan(ctl, _("Would leave vol %s as it is: its chain has %u images"), name,
                 work->result.depth);
    } else {
        layers = layer_names(&work->result);
        size = cli_size_text(ctl, work->result.bytes);
        base = cst_reference_shown(work->result.base);
        cli_plan(ctl, _("Would merge %s into vol %s, copy at most %s, and keep %s below it"),
                 layers, name, size, base);
        *ret_deleted = deleted_names(work);
        if (*ret_deleted)
            cli_plan(ctl, _("Would delete the layers %s"), *ret_deleted);
    }
    cst_consolidation_clear(&work->result);
    return TRUE;
}

/* --- the result ------------------------------------------------------------------------------- */

static void print_text(CliCtl *ctl, const CstConsolidation *result, const char *name)
{
    for (guint i = 0; i < result->layers->len; i++) {
        const CstMergedLayer *layer = result->layers->pdata[i];
        const char *word = cst_layer_state_word((int)layer->state);
        g_autofree char *shown = cst_reference_shown(layer->name);

        if (layer->problem)
            cli_print(ctl, "  %s: %s (%s)\n", shown, word ? _(word) : "?", layer->problem);
        else
            cli_print(ctl, "  %s: %s\n", shown, word ? _(word) : "?");
    }
}

static void print_json(CliCtl *ctl, const Consolidate *work, const CstDomainDisk *disk,
                       const char *message)
{
    const CstConsolidation *result = &work->result;
    CliJson json;

    cli_json_begin(&json);
    cli_json_add_string(&json, "volume", work->vol->name);
    cli_json_add_string(&json, "command", "vol-consolidate");
    cli_json_add_string(&json, "message", message);
    cli_json_add_number(&json, "depth", result->depth);
    cli_json_add_string(&json, "base", result->base);
    cli_json_add_number(&json, "bytes", result->bytes);
    cli_json_open(&json, "layers", '[');
    for (guint i = 0; i < result->layers->len; i++) {
        const CstMergedLayer *layer = result->layers->pdata[i];

        cli_json_open(&json, NULL, '{');
        cli_json_add_string(&json, "layer", layer->name);
        cli_json_add_string(&json, "state", cst_layer_state_word((int)layer->state));
        cli_json_add_string(&json, "problem", layer->problem);
        cli_json_close(&json, '}');
    }
    cli_json_close(&json, ']');
    if (disk) {
        cli_json_add_string(&json, "domain", disk->domain);
        cli_json_add_string(&json, "disk", disk->target);
    }
    cli_json_end(&json, ctl->out);
}

static void report(CliCtl *ctl, const Consolidate *work, const CstDomainDisk *disk,
                   const char *name)
{
    const CstConsolidation *result = &work->result;
    g_autofree char *message = NULL;

    if (ctl->settings.dry_run)
        return;
    message = result->layers->len > 0
                  ? g_strdup_printf(_("Layers merged into vol %s: %u; images in its chain: %u"),
                                    name, result->layers->len, result->depth)
                  : g_strdup_printf(_("Vol %s stays as it is: its chain has %u images"), name,
                                    result->depth);
    if (ctl->settings.json) {
        print_json(ctl, work, disk, message);
        return;
    }
    cli_done(ctl, "volume", work->vol->name, "%s", message);
    if (!ctl->settings.quiet)
        print_text(ctl, result, name);
}

/*
 * Fails with PARTIAL if a layer of the pool could not be deleted, or its users are unknown. The
 * merge itself is done.
 */
static gboolean check_deleted(const Consolidate *work, const char *name, GError **error)
{
    const CstConsolidation *result = &work->result;
    g_autofree char *pool = g_strconcat(work->vol->pool, "/", NULL);

    for (guint i = 0; work->how.flags && i < result->layers->len; i++) {
        const CstMergedLayer *layer = result->layers->pdata[i];
        g_autofree char *shown = cst_reference_shown(layer->name);

        if (layer->problem && g_str_has_prefix(layer->name, pool))
            return cst_fail(error, CST_ERROR_PARTIAL,
                            _("the layers of vol %s are merged, but '%s' was not deleted: %s; "
                              "delete it when the reason is gone (vol-delete)"),
                            name, shown, layer->problem);
    }
    return TRUE;
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean read_options(CliCtl *ctl, const CliArgs *args, Consolidate *work, char **ret_path,
                             GError **error)
{
    const char *base = NULL;
    unsigned keep = 0;

    *ret_path = NULL;
    if (!cli_args_exclusive(args, "base", "keep", error) ||
        !cli_args_string(args, "base", &base, error) || !cli_args_uint(args, "keep", &keep, error))
        return FALSE;
    if (cli_args_has(args, "keep") && (keep < CST_CONSOLIDATE_KEEP || keep > CST_CHAINS_MAX))
        return cst_fail(error, CST_ERROR_USAGE, _("--keep takes a number from %d to %d"),
                        CST_CONSOLIDATE_KEEP, CST_CHAINS_MAX);
    if (!cli_vol_layer_path(ctl, work->vol, base, ret_path, error))
        return FALSE;
    work->how = (CstVolConsolidate){
        .base = *ret_path ? *ret_path : base,
        .keep = keep,
        .flags = cli_args_has(args, "delete-layers") ? CST_CONSOLIDATE_DELETE : 0,
    };
    return TRUE;
}

static gboolean cmd_vol_consolidate(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", &name, error);
    g_auto(Consolidate) work = {.conn = ctl->conn, .vol = vol};
    g_autoptr(CstDomainDisk) disk = NULL;
    g_autofree char *path = NULL, *deleted = NULL;

    if (!vol || !read_options(ctl, args, &work, &path, error) ||
        !plan_consolidate(ctl, &work, name, &deleted, error))
        return FALSE;
    if (deleted && !cli_confirm(ctl, error, _("Delete the layers %s of vol %s?"), deleted, name))
        return FALSE;
    disk = ctl->settings.json ? cli_vol_running_disk(ctl, vol) : NULL;
    if (!cli_run_task(ctl, _("Consolidating"), run_consolidate, &work, error))
        return cli_failed(ctl, _("Failed to consolidate vol %s"), name);
    report(ctl, &work, disk, name);
    return check_deleted(&work, name, error);
}

static const CliOption consolidate_options[] = {
    VOL,
    POOL,
    CLI_NAMED("base", N_("layer that stays as the backing volume; default: the last one")),
    {.name = "keep",
     .kind = CLI_OPT_INT,
     .flags = CLI_OPT_NAMED,
     .help = N_("number of images that the chain has afterwards at most (default 2)")},
    CLI_SWITCH("delete-layers", N_("delete the merged layers that no vol uses any more")),
    RATE_LIMIT,
    DETACH,
    {0},
};

const CliCommand cli_vol_consolidate_command = {
    .name = "vol-consolidate",
    .summary = N_("merge layers of the backing chain of a vol into the vol"),
    .description =
        N_("Copy the data of the layers between a vol and a layer further down into the vol, and "
           "make that layer its backing vol. The content of the vol is valid and the same at every "
           "point in time. A running domain may have it as its disk. The merged layers are not "
           "changed, because other vols may use them. They stay as vols unless --delete-layers is "
           "given, which deletes layers of the pool that no vol uses, into the trash of the pool "
           "if it has one."),
    .options = consolidate_options,
    .handler = cmd_vol_consolidate,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS | CLI_CMD_OURS,
};
