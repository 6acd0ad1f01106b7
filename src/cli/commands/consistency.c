/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The option --consistency of commands that copy a volume at one point in time, and its result. */
#include "consistency.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "output/text.h"

gboolean cli_consistency_read(const CliArgs *args, CstConsistency *ret_minimum, GError **error)
{
    const char *word = NULL;

    if (!cli_args_string(args, "consistency", &word, error))
        return FALSE;
    return !word || cli_consistency_parse(word, ret_minimum, error);
}

gboolean cli_consistency_parse(const char *word, CstConsistency *ret_minimum, GError **error)
{
    return strcmp(word, "best") == 0 || cst_consistency_parse(word, ret_minimum) ||
           cst_fail(error, CST_ERROR_USAGE,
                    _("--consistency '%s' is not crash, filesystem, application, offline or best"),
                    word);
}

/* Returns the milliseconds of "500ms" or "2s"; 0: the word is not valid. */
static guint64 pause_ms(const char *word)
{
    char *unit = NULL;
    guint64 number = g_ascii_isdigit(*word) ? g_ascii_strtoull(word, &unit, 10) : 0;

    if (number > CST_SNAPSHOT_PAUSE_MAX_MS)
        return 0;
    if (g_strcmp0(unit, "s") == 0)
        number *= 1000;
    else if (g_strcmp0(unit, "ms") != 0)
        number = 0;
    return number <= CST_SNAPSHOT_PAUSE_MAX_MS ? number : 0;
}

gboolean cli_pause_parse(const char *word, uint32_t *ret_ms, GError **error)
{
    *ret_ms = (uint32_t)pause_ms(word);
    return *ret_ms > 0 ||
           cst_fail(error, CST_ERROR_USAGE,
                    _("--max-pause '%s' is not a time from 1ms to 5s, such as 500ms or 2s"), word);
}

void cli_consistency_print(CliCtl *ctl, CstConsistency consistency, const char *reason)
{
    g_autofree char *line = NULL;

    if (ctl->settings.json || ctl->settings.quiet || consistency == CST_CONSISTENCY_OFFLINE ||
        consistency == CST_CONSISTENCY_UNKNOWN)
        return;
    line = g_strdup_printf(_("Consistency: %s"), cst_consistency_word(consistency));
    if (ctl->out_is_data && reason)
        cli_warn(ctl, "%s (%s)\n", line, reason);
    else if (ctl->out_is_data)
        cli_warn(ctl, "%s\n", line);
    else if (reason)
        cli_extra(ctl, "%s (%s)\n", line, reason);
    else
        cli_extra(ctl, "%s\n", line);
}

void cli_complete_consistency(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    g_ptr_array_add(words, g_strdup("best"));
    for (int i = CST_CONSISTENCY_CRASH; i < CST_CONSISTENCY_LAST; i++)
        g_ptr_array_add(words, g_strdup(cst_consistency_word(i)));
}
