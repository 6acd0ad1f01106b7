/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs zfs and zpool (pool/tool.h) and maps their messages. The tools report the kernel's refusals
 * in one language, with an exit status other than 0.
 */
#include "tool.h"

#include <string.h>

#include <base/units.h>
#include <pool/tool.h>

#define OUTPUT_LIMIT (32u << 20)
#define TRY_AGAIN_US (50 * G_TIME_SPAN_MILLISECOND)

/*
 * zfs's message for an open dataset, in contrast to a dataset with dependents; zpool's is the same.
 */
#define IS_BUSY "is busy"

ZfsHost zfs_host = {.dev = "/dev",
                    .kstat = "/proc/spl/kstat/zfs",
                    .report_s = 60,
                    .change_s = 300,
                    .node_us = 10 * G_TIME_SPAN_SECOND,
                    .busy_us = 3 * G_TIME_SPAN_SECOND,
                    .fresh_us = G_TIME_SPAN_SECOND,
                    .estimate_us = 5 * G_TIME_SPAN_SECOND};

static const CstToolMeaning meanings[] = {
    {"does not exist", CST_ERROR_NOT_FOUND},
    {"no such pool", CST_ERROR_NOT_FOUND},
    {"already exists", CST_ERROR_EXISTS},
    {"out of space", CST_ERROR_NO_SPACE},
    {"greater than available space", CST_ERROR_NO_SPACE},
    {IS_BUSY, CST_ERROR_BUSY},
    {"has children", CST_ERROR_BUSY},
    {"has dependent clones", CST_ERROR_BUSY},
    {"clones of previous snapshots exist", CST_ERROR_BUSY},
    {"more recent snapshots", CST_ERROR_BUSY},
    {"in use", CST_ERROR_BUSY},
    {"currently suspended", CST_ERROR_UNREACHABLE},
    {"ncorrect key", CST_ERROR_AUTH},
    {"ermission denied", CST_ERROR_DENIED},
    {"cannot be auto-loaded", CST_ERROR_NO_SUPPORT},
    {NULL, CST_ERROR_FAILED},
};

/* Runs @tool. The caller sets the vector, the time limit and the input. */
static gboolean zfs_tool_run(CstTool tool, CstTask *task, char **ret_out, GError **error)
{
    tool.package = "zfsutils-linux";
    tool.meanings = meanings;
    tool.output_limit = OUTPUT_LIMIT;
    return cst_tool_run(&tool, task, ret_out, error);
}

gboolean zfs_report(const char *const *argv, CstTask *task, char **ret_out, GError **error)
{
    return zfs_tool_run((CstTool){.argv = argv, .timeout_s = zfs_host.report_s}, task, ret_out,
                        error);
}

gboolean zfs_report_stream(const char *const *argv, CstChildTake take, gpointer data, CstTask *task,
                           GError **error)
{
    const CstChildStream stream = {.take = take, .data = data, .silence_s = zfs_host.report_s};

    return zfs_tool_run((CstTool){.argv = argv, .stream = &stream}, task, NULL, error);
}

gboolean zfs_change_with(const char *const *argv, const void *input, size_t length, char **ret_out,
                         GError **error)
{
    const CstTool tool = {
        .argv = argv, .timeout_s = zfs_host.change_s, .input = input, .input_len = length};

    return zfs_tool_run(tool, NULL, ret_out, error);
}

gboolean zfs_changev(const char *const *argv, CstTask *task, GError **error)
{
    return zfs_tool_run((CstTool){.argv = argv, .timeout_s = zfs_host.change_s}, task, NULL, error);
}

GPtrArray *zfs_vector(const char *tool, va_list args)
{
    GPtrArray *argv = g_ptr_array_new();
    const char *argument = tool;

    do {
        g_ptr_array_add(argv, (gpointer)argument);
        argument = va_arg(args, const char *);
    } while (argument);
    g_ptr_array_add(argv, NULL);
    return argv;
}

gboolean zfs_changev_once(gpointer data, gboolean *ret_busy, GError **error)
{
    GError *why = NULL;

    if (zfs_changev(data, NULL, &why))
        return TRUE;
    *ret_busy = strstr(why->message, IS_BUSY) != NULL;
    g_propagate_error(error, why);
    return FALSE;
}

gboolean zfs_attempt(ZfsAttempt attempt, gpointer data, GError **error)
{
    gint64 end = g_get_monotonic_time() + zfs_host.busy_us;
    gboolean busy = FALSE;
    GError *why = NULL;

    while (!attempt(data, &busy, &why)) {
        if (!busy || g_get_monotonic_time() > end) {
            g_propagate_error(error, why);
            return FALSE;
        }
        g_clear_error(&why);
        g_usleep(TRY_AGAIN_US);
        busy = FALSE;
    }
    return TRUE;
}

char *zfs_size(const char *property, uint64_t bytes)
{
    return g_strdup_printf("%s=%" G_GUINT64_FORMAT "K", property, cst_div_up(bytes, CST_KIB));
}
