/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LVM's tools, and what they mean by what they say. Their output is bounded by OUTPUT_LIMIT. */
#include "lvm.h"

#include <base/units.h>
#include <pool/tool.h>

#define OUTPUT_LIMIT (32u << 20)

LvmHost lvm_host = {.dev = "/dev",
                    .mapping = lvm_mapping_read,
                    .report_s = 60,
                    .change_s = 300,
                    .linger_s = 10,
                    .fresh_us = G_TIME_SPAN_SECOND,
                    .estimate_us = 10 * G_TIME_SPAN_SECOND};

/*
 * Parts of LVM's messages (it has one locale here) and the class of error that they mean; the first
 * row that fits counts. Capital letters are left out where a message begins in either way.
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

char *lvm_size(const char *option, uint64_t bytes)
{
    uint64_t kib = cst_div_up(bytes, CST_KIB);

    return g_strdup_printf("%s%" G_GUINT64_FORMAT "k", option, MAX(kib, 1));
}
