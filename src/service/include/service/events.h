/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/event_record.h>
#include <notify/notify.h>
#include <service/service.h>

/** The log of events of the host (store/events.h), and its notifications. Any thread. */

/**
 * Returns events (CstEventRecord *) by id. The caller drops the array. *ret_last: the id of the
 * newest event of the log, from which a caller can follow. Accesses the database only.
 */
GPtrArray *cst_service_events(CstService *service, const CstEventQuery *query, int64_t *ret_last,
                              GError **error);

/**
 * Sets the rules of a daemon, which sends their messages after cst_service_start(). @rules (NULL:
 * no rules) must live as long as the service. Call it before cst_service_start(). An embedded
 * service sends no messages, except those of cst_service_notify_test().
 */
void cst_service_set_notify(CstService *service, const CstNotifyRules *rules);

/**
 * Sends a test message by rule @name (NULL: by all rules), one after the other, and waits for the
 * targets. Returns the results (CstNotifyResult *), which the caller drops. NOT_FOUND: there is no
 * such rule, or there are no rules. CANCELLED. An embedded service reads the rules from cisternd's
 * configuration.
 */
GPtrArray *cst_service_notify_test(CstService *service, const char *name, CstTask *task,
                                   GError **error);
