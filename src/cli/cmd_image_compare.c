/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <base/error.h>
#include <base/i18n.h>
#include <image/compare.h>

typedef struct {
    CstChain *a, *b;
    CstDifference difference;
} Comparison;

static void comparison_clear(Comparison *comparison)
{
    cst_chain_free(comparison->a);
    cst_chain_free(comparison->b);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Comparison, comparison_clear)

static gboolean run_comparison(CstTask *task, gpointer data, GError **error)
{
    Comparison *comparison = data;

    return cst_image_compare(cst_chain_guest(comparison->a), cst_chain_guest(comparison->b),
                             &comparison->difference, task, error);
}

static void print_json(CliCtl *ctl, const CstDifference *difference)
{
    JsonBuilder *json = cli_json_begin();

    json_builder_set_member_name(json, "identical");
    json_builder_add_boolean_value(json, difference->same);
    json_builder_set_member_name(json, "same-size");
    json_builder_add_boolean_value(json, difference->sizes_same);
    if (!difference->same)
        cli_json_add_size(json, "offset", difference->offset);
    cli_json_end(ctl->out, json);
}

static gboolean judge(CliCtl *ctl, const CstDifference *difference, gboolean strict, GError **error)
{
    if (ctl->settings.json)
        print_json(ctl, difference);
    if (!difference->same) {
        g_autofree char *offset = g_strdup_printf("%" G_GUINT64_FORMAT, difference->offset);

        return cst_fail(error, CST_ERROR_MISMATCH, _("the images differ, first at offset %s"),
                        offset);
    }
    if (strict && !difference->sizes_same)
        return cst_fail(error, CST_ERROR_MISMATCH, "%s", _("the images differ in size"));
    if (!difference->sizes_same)
        cli_print(ctl, "%s", _("Warning: Image size mismatch!\n"));
    cli_print(ctl, "%s", _("Images are identical.\n"));
    return TRUE;
}

gboolean cli_cmd_image_compare(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Comparison) comparison = {0};

    comparison.a = cli_image_source(ctl, args, "a", "a-format", error);
    comparison.b = comparison.a ? cli_image_source(ctl, args, "b", "b-format", error) : NULL;
    return comparison.b && cli_run_task(ctl, _("Comparing"), run_comparison, &comparison, error) &&
           judge(ctl, &comparison.difference, cli_args_has(args, "strict"), error);
}
