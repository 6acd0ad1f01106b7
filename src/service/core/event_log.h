/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/event_record.h>
#include <store/paths.h>

/**
 * The writer of the log of events (store/events.h). A thread writes the events, and exists only
 * while there are some, so that no operation waits for the database. Safe from any thread.
 */
typedef struct EventLog EventLog;

/** Called by the thread of the writer after each write of events, without a lock. */
typedef void (*EventLogWritten)(gpointer data);

/** @paths is borrowed. @user: the uid of events without a client, or CST_EVENT_NO_USER. */
EventLog *event_log_new(const CstPaths *paths, uint32_t user);
/** Writes the events that wait. Further ones are still written. */
void event_log_flush(EventLog *log);
/** Writes the events that wait, and frees the log. NULL is accepted. */
void event_log_free(EventLog *log);
/** Sets the function that a write calls; NULL: no function. A call of the former one has ended. */
void event_log_set_written(EventLog *log, EventLogWritten written, gpointer data);

/**
 * Adds an event of this moment. The user is that of the thread's log context (base/log_context.h).
 * @type, @object, @message: see CstEventRecord. A log of NULL is accepted, without effect.
 */
void event_log_add(EventLog *log, CstEventKind kind, const char *type, const char *object,
                   const char *message);
/** Adds the end of the state @kind of an object. It is recorded only if the state was reported. */
void event_log_add_end(EventLog *log, CstEventKind kind, const char *type, const char *object,
                       const char *message);
/** Adds the ends of the states @kind of all volumes of a pool. */
void event_log_add_pool_end(EventLog *log, CstEventKind kind, const char *pool,
                            const char *message);
/** Like event_log_add(), for the user @uid. */
void event_log_add_by(EventLog *log, CstEventKind kind, const char *type, const char *object,
                      uint32_t uid, const char *message);
