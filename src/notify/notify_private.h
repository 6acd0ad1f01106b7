/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <notify/notify.h>

#define SEND_SECONDS 60 /* time for a target to accept a message */

/* --- message.c ------------------------------------------------------------------------------- */

/** Returns a mail with its header. The caller frees it. */
char *message_mail(const CstNotifyRule *rule, const GPtrArray *events);
/** Returns a JSON document, which programs and webhooks get. The caller frees it. */
char *message_json(const CstNotifyRule *rule, const GPtrArray *events, GError **error);

/* --- webhook.c ------------------------------------------------------------------------------- */

/** Posts the message to the URL of the rule. */
gboolean webhook_send(const CstNotifyRule *rule, const char *body, CstTask *task, GError **error);
