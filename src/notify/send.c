/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sends a message to the target of a rule: to sendmail, a program or a webhook. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/child.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/text.h>

#include "notify_private.h"

/* Each mail server has this interface. */
#define SENDMAIL "/usr/sbin/sendmail"

/* The program runs with the rights of the daemon, so no other user may be able to exchange it. */
static gboolean program_is_trusted(const char *path, GError **error)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    struct stat st;

    if (!cst_place_init(&place, path, error))
        return FALSE;
    if (!cst_place_stat(&place, &st))
        return cst_fail_errno(error, errno, _("cannot run '%s'"), path);
    return (cst_place_is_secure(&place) && (st.st_uid == 0 || st.st_uid == geteuid()) &&
            !(st.st_mode & 0022)) ||
           cst_fail(error, CST_ERROR_DENIED, _("another user can exchange or change '%s'"), path);
}

/* Runs a program with @input. Its last line of stderr is the reason of a failure. */
static gboolean program_run(const char *const *argv, const char *input, CstTask *task,
                            GError **error)
{
    const CstChild child = {.argv = argv,
                            .timeout_s = SEND_SECONDS,
                            .input = input,
                            .input_len = strlen(input),
                            .ends_with_us = TRUE};
    g_auto(CstChildResult) result = {0};
    g_autofree char *reason = NULL;

    if (!program_is_trusted(argv[0], error) || !cst_child_run(&child, task, &result, error))
        return FALSE;
    if (result.status == 0)
        return TRUE;
    reason = cst_text_escape(g_strchomp(result.err));
    return cst_fail(error, CST_ERROR_FAILED, _("%s ended with status %d: %s"), argv[0],
                    result.status, *reason ? reason : "-");
}

static gboolean mail_send(const CstNotifyRule *rule, const char *text, CstTask *task,
                          GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    g_ptr_array_add(argv, rule->sendmail ? rule->sendmail : (char *)SENDMAIL);
    /* A line with a single dot does not end the mail. */
    g_ptr_array_add(argv, (gpointer) "-i");
    g_ptr_array_add(argv, (gpointer) "--");
    for (char **address = rule->mail; *address; address++)
        g_ptr_array_add(argv, *address);
    g_ptr_array_add(argv, NULL);
    return program_run((const char *const *)argv->pdata, text, task, error);
}

gboolean cst_notify_send(const CstNotifyRule *rule, const GPtrArray *events, CstTask *task,
                         GError **error)
{
    g_autofree char *text =
        rule->mail ? message_mail(rule, events) : message_json(rule, events, error);

    if (!text)
        return FALSE;
    if (rule->mail)
        return mail_send(rule, text, task, error);
    if (rule->webhook)
        return webhook_send(rule, text, task, error);
    {
        const char *const argv[] = {rule->program, NULL};

        return program_run(argv, text, task, error);
    }
}
