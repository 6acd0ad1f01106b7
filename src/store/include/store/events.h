/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/event_record.h>
#include <store/paths.h>

/**
 * The database DATA/events.db: the log of events of the host, the states that events have reported
 * and that last, and the messages of notification rules. A power cut may lose the last events, but
 * no event is half there. A handle belongs to one thread; several handles and processes may use the
 * database at a time. Errors: IO, NO_SPACE.
 */
typedef struct CstEvents CstEvents;

/** The log keeps events for this number of days, and at most this number of events. */
#define CST_EVENTS_DAYS 30
#define CST_EVENTS_MAX  50000

/** Opens the database, and creates it when it does not exist. The caller closes the handle. */
CstEvents *cst_events_open(const CstPaths *paths, GError **error);
/** Like cst_events_open(), but returns NULL without an error if the database does not exist. */
CstEvents *cst_events_open_existing(const CstPaths *paths, GError **error);
/**
 * Returns a text that differs after each change of the database. The caller frees it. Does not open
 * the database.
 */
char *cst_events_stamp(const CstPaths *paths);
/** NULL is accepted. */
void cst_events_close(CstEvents *events);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstEvents, cst_events_close)

/**
 * Adds @records (CstEventRecord *, without ids), all or no record, and drops old events. Does not
 * add an event with over = TRUE if the state has not been reported. Does not add an event of kind
 * CST_EVENT_LASTS whose state has been reported and is not over. A record with over = TRUE and an
 * object that ends in '/' adds the ends of all states of its kind and type whose objects begin with
 * that text.
 */
gboolean cst_events_add(CstEvents *events, const GPtrArray *records, GError **error);
/** Returns events (CstEventRecord *) by id. The caller drops the array. */
GPtrArray *cst_events_list(CstEvents *events, const CstEventQuery *query, GError **error);
/** Sets *@ret_id to the id of the newest event; 0: there is no event. */
gboolean cst_events_last(CstEvents *events, int64_t *ret_id, GError **error);

/* --- notification rules ----------------------------------------------------------------------- */

/**
 * Sets *@ret_after to the id up to which rule @rule has handled events. A new rule begins after the
 * newest event.
 */
gboolean cst_events_rule_position(CstEvents *events, const char *rule, int64_t *ret_after,
                                  GError **error);
/**
 * Sets *@ret_wants to whether the rule has to send @event: not if it has sent an equal one (kind
 * and object) after @since (microseconds since 1970), and the end of a state only if it has sent
 * its begin.
 */
gboolean cst_events_rule_wants(CstEvents *events, const char *rule, const CstEventRecord *event,
                               int64_t since, gboolean *ret_wants, GError **error);
/**
 * Records that the rule has handled all events up to @after, and has sent @sent (CstEventRecord *).
 * Forgets messages that were sent before @since.
 */
gboolean cst_events_rule_handled(CstEvents *events, const char *rule, int64_t after,
                                 const GPtrArray *sent, int64_t since, GError **error);
