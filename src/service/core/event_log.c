/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The writer of the log of events. Events wait in a queue with a bound. A failed write is logged
 * once until a write succeeds. Its events stay in the queue, and the thread tries again after a
 * time. The file system may be full, and the events may report that. At the end of the log the
 * thread tries once more.
 *
 * A write takes as long as the creation of a volume. So notes are gathered for a moment and written
 * together. Warnings and errors are written at once.
 */
#include "event_log.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/log_context.h>
#include <base/test_point.h>
#include <store/events.h>

#define QUEUE_MAX 10000
#define GATHER_MS 100
#define RETRY_S   5

struct EventLog {
    const CstPaths *paths;
    uint32_t user;
    GMutex lock;         /* guards the members below */
    GCond idle;          /* the thread has ended */
    GCond urgent;        /* the members is_urgent or is_ending were set */
    GPtrArray *queue;    /* of CstEventRecord * */
    guint lost;          /* events that did not fit */
    gboolean is_writing; /* the thread exists */
    gboolean is_urgent;  /* the queue has an event that is more than a note */
    gboolean is_ending;  /* the caller waits for the end of the thread */
    gboolean has_failed; /* the last write failed */

    GMutex calls; /* held during a call of @written */
    EventLogWritten written;
    gpointer data;
};

static GPtrArray *queue_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_event_record_free);
}

EventLog *event_log_new(const CstPaths *paths, uint32_t user)
{
    EventLog *log = g_new0(EventLog, 1);

    log->paths = paths;
    log->user = user;
    log->queue = queue_new();
    g_mutex_init(&log->lock);
    g_mutex_init(&log->calls);
    g_cond_init(&log->idle);
    g_cond_init(&log->urgent);
    return log;
}

void event_log_flush(EventLog *log)
{
    g_mutex_lock(&log->lock);
    log->is_ending = TRUE;
    g_cond_signal(&log->urgent);
    while (log->is_writing) {
        CST_TEST_POINT("event_log.free.wait");
        g_cond_wait(&log->idle, &log->lock);
    }
    g_mutex_unlock(&log->lock);
}

void event_log_free(EventLog *log)
{
    if (!log)
        return;
    event_log_flush(log);
    g_ptr_array_unref(log->queue);
    g_mutex_clear(&log->lock);
    g_mutex_clear(&log->calls);
    g_cond_clear(&log->idle);
    g_cond_clear(&log->urgent);
    g_free(log);
}

void event_log_set_written(EventLog *log, EventLogWritten written, gpointer data)
{
    g_mutex_lock(&log->calls);
    log->written = written;
    log->data = data;
    g_mutex_unlock(&log->calls);
}

/* --- the thread ------------------------------------------------------------------------------- */

static CstEventRecord *event_new(CstEventKind kind, const char *type, const char *object,
                                 uint32_t uid, gboolean over, const char *message)
{
    const CstEventKindInfo *info = cst_event_kind_info(kind);
    CstEventRecord *event = g_new0(CstEventRecord, 1);

    *event = (CstEventRecord){
        .time = g_get_real_time(),
        .kind = g_strdup(info->name),
        .severity = over ? CST_SEVERITY_NOTE : info->severity,
        .over = over,
        .type = g_strdup(type),
        .object = g_strdup(object),
        .uid = uid,
        .message = g_strdup(message),
    };
    return event;
}

static void queue_add_lost(GPtrArray *queue, guint lost)
{
    g_autofree char *message = g_strdup_printf(_("%u events could not be recorded"), lost);

    g_ptr_array_add(queue,
                    event_new(CST_EVENTS_LOST, "host", "", CST_EVENT_NO_USER, FALSE, message));
}

static gboolean queue_write(const EventLog *log, const GPtrArray *queue, GError **error)
{
    g_autoptr(CstEvents) events = cst_events_open(log->paths, error);

    return events && cst_events_add(events, queue, error);
}

static void event_log_report(EventLog *log, gboolean ok, const GError *why)
{
    if (ok) {
        g_mutex_lock(&log->calls);
        if (log->written)
            log->written(log->data);
        g_mutex_unlock(&log->calls);
    } else if (!log->has_failed) {
        cst_log(CST_LOG_WARNING, _("events cannot be recorded: %s"), why->message);
    }
    log->has_failed = !ok;
}

/* Waits for further events. Requires the lock. */
static void event_log_gather(EventLog *log)
{
    gint64 until = g_get_monotonic_time() + GATHER_MS * G_TIME_SPAN_MILLISECOND;

    while (!log->is_urgent && !log->is_ending) {
        CST_TEST_POINT("event_log.gather");
        if (!g_cond_wait_until(&log->urgent, &log->lock, until))
            break;
    }
    log->is_urgent = FALSE;
}

/* Puts the events of a failed write before the later ones. Requires the lock. Consumes @events. */
static void queue_prepend(EventLog *log, GPtrArray *events)
{
    g_ptr_array_extend_and_steal(events, g_steal_pointer(&log->queue));
    log->queue = events;
    if (events->len > QUEUE_MAX) {
        log->lost += events->len - QUEUE_MAX;
        g_ptr_array_set_size(events, QUEUE_MAX);
    }
}

/* Writes the queue. Returns FALSE if that fails. Requires the lock, which it releases meanwhile. */
static gboolean queue_flush(EventLog *log)
{
    GPtrArray *events = g_steal_pointer(&log->queue);
    guint lost = log->lost;
    g_autoptr(GError) error = NULL;
    gboolean ok;

    log->queue = queue_new();
    log->lost = 0;
    g_mutex_unlock(&log->lock);
    if (lost > 0)
        queue_add_lost(events, lost);
    CST_TEST_POINT("event_log.write");
    ok = queue_write(log, events, &error);
    event_log_report(log, ok, error);
    g_mutex_lock(&log->lock);
    if (ok) {
        g_ptr_array_unref(events);
        return TRUE;
    }
    /* The next write reports the sum. */
    if (lost > 0)
        g_ptr_array_set_size(events, (gint)events->len - 1);
    log->lost += lost;
    queue_prepend(log, events);
    return FALSE;
}

/* Waits until the next attempt to write. Returns FALSE at the end of the log. Requires the lock. */
static gboolean event_log_wait_for_retry(EventLog *log)
{
    gint64 until = g_get_monotonic_time() + RETRY_S * G_TIME_SPAN_SECOND;

    if (log->is_ending)
        return FALSE;
    CST_TEST_POINT("event_log.retry");
    while (!log->is_ending && g_cond_wait_until(&log->urgent, &log->lock, until))
        ;
    return TRUE;
}

/* The lock is the last access to the log, which may be freed after it. */
static gpointer event_log_write(gpointer data)
{
    EventLog *log = data;

    g_mutex_lock(&log->lock);
    while (log->queue->len > 0) {
        event_log_gather(log);
        if (!queue_flush(log) && !event_log_wait_for_retry(log))
            break;
    }
    log->is_writing = FALSE;
    g_cond_broadcast(&log->idle);
    g_mutex_unlock(&log->lock);
    return NULL;
}

/* --- additions -------------------------------------------------------------------------------- */

/* Takes ownership of @event. */
static void event_log_push(EventLog *log, CstEventRecord *event)
{
    GThread *thread;

    g_mutex_lock(&log->lock);
    if (log->queue->len >= QUEUE_MAX) {
        log->lost++;
        cst_event_record_free(event);
    } else {
        log->is_urgent |= event->over || event->severity != CST_SEVERITY_NOTE;
        g_ptr_array_add(log->queue, event);
        if (log->is_urgent)
            g_cond_signal(&log->urgent);
    }
    if (!log->is_writing) {
        /* Without a thread the next event tries again. */
        thread = g_thread_try_new("events", event_log_write, log, NULL);
        log->is_writing = thread != NULL;
        g_clear_pointer(&thread, g_thread_unref);
    }
    g_mutex_unlock(&log->lock);
}

static uint32_t event_log_user(const EventLog *log)
{
    const CstLogContext *context = cst_log_context();

    return context && context->connection > 0 ? (uint32_t)context->uid : log->user;
}

void event_log_add(EventLog *log, CstEventKind kind, const char *type, const char *object,
                   const char *message)
{
    if (log)
        event_log_add_by(log, kind, type, object, event_log_user(log), message);
}

void event_log_add_by(EventLog *log, CstEventKind kind, const char *type, const char *object,
                      uint32_t uid, const char *message)
{
    if (log)
        event_log_push(log, event_new(kind, type, object, uid, FALSE, message));
}

void event_log_add_end(EventLog *log, CstEventKind kind, const char *type, const char *object,
                       const char *message)
{
    if (log)
        event_log_push(log, event_new(kind, type, object, event_log_user(log), TRUE, message));
}

void event_log_add_pool_end(EventLog *log, CstEventKind kind, const char *pool, const char *message)
{
    g_autofree char *volumes = g_strconcat(pool, "/", NULL);

    event_log_add_end(log, kind, "volume", volumes, message);
}
