/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs LVM's tools and maps their messages. Their output is limited to OUTPUT_LIMIT. */
#include "lvm.h"

#include <base/process.h>
#include <base/units.h>
#include <pool/tool.h>

#define OUTPUT_LIMIT (32u << 20)

LvmHost lvm_host = {.dev = "/dev",
                    .mapping = lvm_mapping_read,
                    .pool_held = lvm_pool_held,
                    .status = lvm_status_read,
                    .dmeventd_runs = lvm_dmeventd_runs,
                    .pool_message = lvm_pool_message,
                    .report_s = 60,
                    .change_s = 300,
                    .linger_s = 10,
                    .fresh_us = G_TIME_SPAN_SECOND,
                    .estimate_us = 10 * G_TIME_SPAN_SECOND};

/*
 * Parts of LVM's messages (in the C locale) and their error class; the first matching row is used.
 * The first letter is left out if a message may begin with a capital.
 */
static const CstToolMeaning meanings[] = {
    {"insufficient free space", CST_ERROR_NO_SPACE},
    {"nsufficient suitable allocatable", CST_ERROR_NO_SPACE},
    {"nsufficient free extents", CST_ERROR_NO_SPACE},
    {"has insufficient", CST_ERROR_NO_SPACE},
    {"not enough free", CST_ERROR_NO_SPACE},
    {"free metadata space", CST_ERROR_NO_SPACE},
    {"reached threshold", CST_ERROR_NO_SPACE},
    {"already exists", CST_ERROR_EXISTS},
    {"in use", CST_ERROR_BUSY},
    {"is used by another device", CST_ERROR_BUSY},
    {"open logical volume", CST_ERROR_BUSY},
    {"Can't open", CST_ERROR_BUSY},
    {"not found", CST_ERROR_NOT_FOUND},
    {"Failed to find", CST_ERROR_NOT_FOUND},
    {"ermission denied", CST_ERROR_DENIED},
    {NULL, 0},
};

gboolean lvm_output(const char *const *argv, unsigned timeout_s, CstTask *task, char **ret_out,
                    GError **error)
{
    const CstTool tool = {.argv = argv,
                          .package = "lvm2",
                          .meanings = meanings,
                          .timeout_s = timeout_s,
                          .output_limit = OUTPUT_LIMIT};

    return cst_tool_run(&tool, task, ret_out, error);
}

gboolean lvm_dmeventd_runs(void)
{
    return cst_process_runs("dmeventd");
}

#define DELTA         "thin_delta"
#define DELTA_PACKAGE "thin-provisioning-tools"

gboolean lvm_delta_require(GError **error)
{
    return cst_tool_require(DELTA, DELTA_PACKAGE, error);
}

gboolean lvm_delta_stream(const char *const *argv, CstChildTake take, gpointer data, CstTask *task,
                          GError **error)
{
    const CstChildStream stream = {.take = take, .data = data, .silence_s = lvm_host.report_s};
    const CstTool tool = {.argv = argv, .package = DELTA_PACKAGE, .stream = &stream};

    return cst_tool_run(&tool, task, NULL, error);
}

/* Each '-' in a name is doubled, so that the separator between the names is unique. */
char *lvm_layer_path(const char *vg, const char *lv, const char *layer)
{
    g_auto(GStrv) group = g_strsplit(vg, "-", -1), volume = g_strsplit(lv, "-", -1);
    g_autofree char *vg_part = g_strjoinv("--", group), *lv_part = g_strjoinv("--", volume);

    return g_strdup_printf("%s/mapper/%s-%s%s", lvm_host.dev, vg_part, lv_part, layer);
}

char *lvm_size(const char *option, uint64_t bytes)
{
    uint64_t kib = cst_div_up(bytes, CST_KIB);

    return g_strdup_printf("%s%" G_GUINT64_FORMAT "k", option, MAX(kib, 1));
}
