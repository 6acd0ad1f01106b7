/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The question before data is destroyed. It is asked on stderr and answered on stdin; both must be
 * terminals. The answer may start with the translated letter for "yes" or with "y". Any other
 * answer, and Enter alone, means no.
 */
#include "confirm.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

/* Return: TRUE if @answer starts with the first letter of @word ("yes" in some language). */
static gboolean begins_alike(const char *answer, const char *word)
{
    return *word && g_unichar_tolower(g_utf8_get_char_validated(answer, -1)) ==
                        g_unichar_tolower(g_utf8_get_char_validated(word, -1));
}

static gboolean confirm_read_answer(CliCtl *ctl, const char *question)
{
    char answer[16] = "";

    /* Translators: the letters for yes and no; "no" is the answer to Enter alone. */
    fprintf(ctl->err, "%s %s ", question, _("[y/N]"));
    if (!fgets(answer, sizeof(answer), stdin))
        return FALSE;
    /* Translators: the letter that means "yes" in the answer to "… [y/N]". */
    return begins_alike(answer, _("y")) || begins_alike(answer, "y");
}

gboolean cli_can_ask(const CliCtl *ctl)
{
    return !ctl->settings.no_input && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

gboolean cli_confirm(CliCtl *ctl, GError **error, const char *format, ...)
{
    g_autofree char *question = NULL;
    gboolean terminal = cli_can_ask(ctl);
    va_list args;

    g_assert(ctl->current->command->flags & CLI_CMD_DESTROYS);
    if (ctl->settings.yes || ctl->settings.dry_run)
        return TRUE;
    if (!terminal && !(ctl->current->command->flags & CLI_CMD_OURS))
        return TRUE;
    va_start(args, format);
    question = cli_format(ctl, format, args);
    va_end(args);
    if (!terminal)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("%s There is no terminal to ask at: --yes says yes"), question);
    if (!confirm_read_answer(ctl, question))
        return cst_fail(error, CST_ERROR_CANCELLED, "%s", _("not confirmed"));
    return TRUE;
}
