/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>
#include <model/event_record.h>

/**
 * Notification rules: which events go to which target. A rule has one target: mail by sendmail's
 * interface, a webhook, or a program. This module parses rules, formats messages and sends them. It
 * keeps no state: src/service/event decides which events a message has.
 */

/** Maximum number of rules. */
#define CST_NOTIFY_RULES_MAX 64

typedef struct {
    char *name;
    GStrv events;      /**< kinds, severities (this one and higher ones), "all" */
    GStrv mail;        /**< addresses; NULL: not set, like the next two */
    char *sendmail;    /**< program that sends mail; NULL: /usr/sbin/sendmail */
    char *webhook;     /**< URL */
    char *program;     /**< absolute path */
    char *webhook_key; /**< file with the key that signs messages; NULL: no signature */
    char *
        webhook_ca; /**< file with certificates of authorities; NULL: the authorities of the host */
    uint64_t repeat_s;   /**< an equal event is sent again after so many seconds */
    uint64_t interval_s; /**< minimum between two messages; events wait and are sent together */
} CstNotifyRule;

/** Rules by name. Constant after cst_notify_rules_check(), so that any thread may read them. */
typedef struct {
    GPtrArray *rules; /**< of CstNotifyRule *, sorted by name after the check */
} CstNotifyRules;

CstNotifyRules *cst_notify_rules_new(void);
/** NULL is accepted. */
void cst_notify_rules_free(CstNotifyRules *rules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstNotifyRules, cst_notify_rules_free)

/** Whether a group of a configuration file is a rule: "notify NAME". */
gboolean cst_notify_is_rule(const char *group);
/** Sets @key of the rule of @group. Fails with CONFIG for an unknown key or a wrong value. */
gboolean cst_notify_rules_set(CstNotifyRules *rules, const char *group, const char *key,
                              const char *value, GError **error);
/** Checks that each rule has events and one target. Fails with CONFIG, naming the rule. */
gboolean cst_notify_rules_check(CstNotifyRules *rules, GError **error);
/** Returns a text that is equal for equal rules. NULL: no rules. The caller frees it. */
char *cst_notify_rules_text(const CstNotifyRules *rules);

/** Whether the rule selects @event. A rule never selects an event about itself. */
gboolean cst_notify_rule_selects(const CstNotifyRule *rule, const CstEventRecord *event);
/** Returns the target for users: no secret part of a URL. The caller frees it. */
char *cst_notify_rule_target(const CstNotifyRule *rule);

/**
 * Sends a message about @events (CstEventRecord *, at least one) to the target of the rule, and
 * waits at most a minute for its answer. Fails with UNREACHABLE, DENIED, NOT_FOUND, TIMEOUT,
 * CANCELLED, UNSUPPORTED (libcurl is missing). The error names no secret.
 */
gboolean cst_notify_send(const CstNotifyRule *rule, const GPtrArray *events, CstTask *task,
                         GError **error);
