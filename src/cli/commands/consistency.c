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
    return !word || strcmp(word, "best") == 0 || cst_consistency_parse(word, ret_minimum) ||
           cst_fail(error, CST_ERROR_USAGE,
                    _("--consistency '%s' is not crash, filesystem, application, offline or best"),
                    word);
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
