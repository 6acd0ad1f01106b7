/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-compare: compares the guest-visible content of two images. Only reads. The exit status
 * reports whether they differ.
 */
#include "image.h"

#include <base/i18n.h>

#include "commands/view_report.h"
#include "options.h"
#include "output/progress.h"

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

gboolean cli_image_compare_files(CliCtl *ctl, const CliArgs *args, CstDifference *ret_difference,
                                 GError **error)
{
    g_auto(Comparison) comparison = {0};

    comparison.a = cli_image_source(ctl, args, "a", "a-format", error);
    comparison.b = comparison.a ? cli_image_source(ctl, args, "b", "b-format", error) : NULL;
    if (!comparison.b || !cli_run_task(ctl, _("Comparing"), run_comparison, &comparison, error))
        return FALSE;
    *ret_difference = comparison.difference;
    return TRUE;
}

static gboolean cmd_image_compare(CliCtl *ctl, const CliArgs *args, GError **error)
{
    CstDifference difference;
    CstCompareReport report;

    if (!cli_image_compare_files(ctl, args, &difference, error))
        return FALSE;
    report = (CstCompareReport){
        .same = difference.same, .sizes_same = difference.sizes_same, .offset = difference.offset};
    return cli_compare_judge(ctl, &report, cli_args_has(args, "strict"), error);
}

static const CliOption compare_options[] = {
    CLI_REQUIRED("a", N_("first image")),
    CLI_REQUIRED("b", N_("second image")),
    FORMAT("a-format", 'f', N_("format of the first image; else it is looked for")),
    FORMAT("b-format", 'F', N_("format of the second image; else it is looked for")),
    CLI_STRICT,
    FOLLOW,
    DATA_FILE,
    FORCE_SHARE,
    {0},
};

const CliCommand cli_image_compare_command = {
    .name = "image-compare",
    .summary = N_("compare the guest-visible content of two images"),
    .description = N_(
        "Where one image is longer, the rest must be zero. The exit status is 0 when they are the "
        "same, 7 when they differ, another one when they can't be compared."),
    .options = compare_options,
    .handler = cmd_image_compare,
    .flags = OURS,
};
