/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs LVM's tools and translates what they complain of. A tool gets an argument vector, no shell,
 * LVM's C locale, no inherited descriptors and a time limit (base/child.h); its output is bounded
 * by OUTPUT_LIMIT.
 */
#include "lvm.h"

#include <string.h>

#include <base/child.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/units.h>

#define OUTPUT_LIMIT (32u << 20)

LvmHost lvm_host = {.dev = "/dev", .report_s = 60, .change_s = 300, .fresh_us = G_TIME_SPAN_SECOND};

/*
 * Parts of LVM's messages (it has one locale here) and the class of error that they mean; the first
 * row that fits counts. Capital letters are left out where a message begins in either way.
 */
static const struct {
    const char *words;
    CstErrorCode code;
} meanings[] = {
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
};

static CstErrorCode meaning_of(const char *said)
{
    for (size_t i = 0; i < G_N_ELEMENTS(meanings); i++)
        if (strstr(said, meanings[i].words))
            return meanings[i].code;
    return CST_ERROR_FAILED;
}

/*
 * Returns the tool's messages on one line, without the warnings that accompany success as well.
 * Bounded, as it becomes part of an error.
 */
static char *complaint(const char *err)
{
    g_auto(GStrv) lines = g_strsplit(err, "\n", -1);
    g_autoptr(GString) text = g_string_new(NULL);

    for (char **line = lines; *line && text->len < 1000; line++) {
        g_strstrip(*line);
        if (**line && !g_str_has_prefix(*line, "WARNING:"))
            g_string_append_printf(text, "%s%s", text->len > 0 ? "; " : "", *line);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Only the exit status decides; warnings of a success go to the log. */
static gboolean judge(const char *tool, const CstChildResult *result, GError **error)
{
    g_autofree char *said = complaint(result->err);

    if (result->status == 0) {
        if (*said)
            cst_log(CST_LOG_DEBUG, "%s: %s", tool, said);
        return TRUE;
    }
    if (!*said)
        return cst_fail(error, CST_ERROR_FAILED, _("'%s' failed with status %d and no word why"),
                        tool, result->status);
    return cst_fail(error, meaning_of(said), _("'%s' failed: %s"), tool, said);
}

/* Returns the path of a tool; free it. A daemon's PATH may lack /usr/sbin. */
static char *find_tool(const char *name)
{
    char *path = g_find_program_in_path(name);

    return path ? path : g_build_filename("/usr/sbin", name, NULL);
}

gboolean lvm_output(const char *const *argv, unsigned timeout_s, CstTask *task, char **ret_out,
                    GError **error)
{
    g_autofree char *path = find_tool(argv[0]);
    g_autofree char *program = g_find_program_in_path(path);
    g_auto(CstChildResult) result = {0};
    g_autoptr(GPtrArray) vector = g_ptr_array_new();
    CstChild child = {.timeout_s = timeout_s, .output_limit = OUTPUT_LIMIT};

    if (!program)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("there is no '%s' on this host; install LVM's tools (package lvm2)"),
                        argv[0]);
    g_ptr_array_add(vector, path);
    for (size_t i = 1; argv[i]; i++)
        g_ptr_array_add(vector, (gpointer)argv[i]);
    g_ptr_array_add(vector, NULL);
    child.argv = (const char *const *)vector->pdata;
    if (!cst_child_run(&child, task, &result, error) || !judge(argv[0], &result, error))
        return FALSE;
    if (ret_out)
        *ret_out = g_steal_pointer(&result.out);
    return TRUE;
}

char *lvm_size(const char *option, uint64_t bytes)
{
    uint64_t kib = cst_div_up(bytes, CST_KIB);

    return g_strdup_printf("%s%" G_GUINT64_FORMAT "k", option, MAX(kib, 1));
}
