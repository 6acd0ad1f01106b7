/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The embedded transport: the service runs in this process.
 *
 * A call runs the procedure's handler in the caller's thread with the caller's structs, without a
 * socket and without encoding. Threads of the service post events. They are queued, and an eventfd
 * wakes the connection's thread if it waits for them.
 */
#include "local.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log_context.h>

#include "event_queue.h"

typedef struct {
    CstService *service;
    CstApiSession session;

    CstEventQueue events;
    int event_fd;      /**< readable when events were queued; -1: no subscription yet */
    guint service_sub; /**< subscription at the service; 0: not subscribed yet */
} CstLocal;

/* --- calls ----------------------------------------------------------------------------------- */

static CstApiCall local_api_call(CstLocal *local, const CstProcedure *procedure, CstTask *task)
{
    cst_task_set_part_of(task, cst_client_jobs_group(local->session.jobs));
    return (CstApiCall){.service = local->service,
                        .session = &local->session,
                        .embedded = TRUE,
                        .procedure = procedure,
                        .task = task};
}

static gboolean local_supports(gpointer self, int number, gboolean *ret_supported, GError **error)
{
    /* All procedures are in this program. */
    *ret_supported = TRUE;
    return TRUE;
}

static gboolean local_run(CstApiCall *call, const CstProcedure *procedure, const void *args,
                          void *ret, CstTask *task, GError **error)
{
    /* The log shows no request, because there is no connection. */
    CstLogContext log = {.procedure = procedure->name, .task = task};
    gboolean ok;

    cst_log_push(&log);
    ok = cst_api_run(call, args, ret, error);
    cst_log_pop(&log);
    /* A handler may fail after it has filled in a part of the reply. */
    if (!ok)
        xdr_free(procedure->ret_func, ret);
    return ok;
}

static gboolean local_call(gpointer self, const CstProcedure *procedure, const void *args,
                           void *ret, CstTask *task, GError **error)
{
    CstApiCall call = local_api_call(self, procedure, task);

    return local_run(&call, procedure, args, ret, task, error);
}

static gboolean local_call_all(gpointer self, CstConnCall *calls, guint count, GError **error)
{
    for (guint i = 0; i < count; i++)
        local_call(self, calls[i].procedure, calls[i].args, calls[i].ret, NULL, &calls[i].error);
    return TRUE;
}

/* No action: conn.c sets the thread's dry-run state before each call. */
static gboolean local_set_dry_run(gpointer self, gboolean dry_run, GError **error)
{
    return TRUE;
}

static gboolean local_set_detach(gpointer self, gboolean detach, GError **error)
{
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("a detached job needs a daemon; start cisternd, or leave out "
                      "--detach"));
}

/* --- streams --------------------------------------------------------------------------------- */

/* An upload or a download. The service advances the task and checks for its cancellation. */
typedef struct {
    CstUpload *upload;
    CstDownload *download; /* exactly one of the two is set */
} LocalStream;

static gpointer local_stream_start(gpointer self, const CstProcedure *procedure, const void *args,
                                   void *ret, CstTask *task, GError **error)
{
    CstApiCall call = local_api_call(self, procedure, task);
    LocalStream *stream;

    if (!local_run(&call, procedure, args, ret, task, error))
        return NULL;
    stream = g_new0(LocalStream, 1);
    stream->upload = call.upload;
    stream->download = call.download;
    return stream;
}

static gboolean local_stream_put(gpointer self, const void *bytes, size_t len, uint64_t hole,
                                 GError **error)
{
    LocalStream *stream = self;

    return hole ? cst_upload_hole(stream->upload, hole, error)
                : cst_upload_write(stream->upload, bytes, len, error);
}

static gboolean local_stream_receive(gpointer self, CstPieceFunc func, gpointer data,
                                     GError **error)
{
    g_autofree uint8_t *buf = g_malloc(CST_STREAM_CHUNK);
    LocalStream *stream = self;
    size_t len;
    uint64_t hole;

    do {
        if (!cst_download_read(stream->download, buf, CST_STREAM_CHUNK, &len, &hole, error) ||
            ((len || hole) && !func(buf, len, hole, data, error)))
            return FALSE;
    } while (len || hole);
    return TRUE;
}

static gboolean local_stream_finish(gpointer self, GError **error)
{
    LocalStream *stream = self;

    return !stream->upload || cst_upload_finish(stream->upload, error);
}

static void local_stream_free(gpointer self)
{
    LocalStream *stream = self;

    cst_upload_free(stream->upload);
    cst_download_free(stream->download);
    g_free(stream);
}

/* --- events ---------------------------------------------------------------------------------- */

/* Posts an event to the queue. Runs in the thread of the service that caused the event. */
static void on_service_event(const CstEvent *event, gpointer data)
{
    static const struct {
        CstEventType theirs;
        CstConnEventType ours;
    } types[] = {
        {CST_EVENT_POOL_LIFECYCLE, CST_CONN_EVENT_POOL_LIFECYCLE},
        {CST_EVENT_POOL_REFRESH, CST_CONN_EVENT_POOL_REFRESH},
        {CST_EVENT_SECRET_LIFECYCLE, CST_CONN_EVENT_SECRET_LIFECYCLE},
        {CST_EVENT_SECRET_VALUE, CST_CONN_EVENT_SECRET_VALUE},
    };
    CstLocal *local = data;
    uint64_t one = 1;

    for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
        if (types[i].theirs == event->type) {
            CstConnEvent mine = {types[i].ours, event->kind, event->uuid, event->name};

            cst_event_queue_post(&local->events, &mine);
            /* A failed write means that the counter is full, so the reader is awake already. */
            if (write(local->event_fd, &one, sizeof(one)) < 0)
                return;
        }
}

static void events_clear(CstLocal *local)
{
    if (local->service_sub)
        cst_service_unsubscribe(local->service, local->service_sub);
    if (local->event_fd >= 0)
        close(local->event_fd);
    cst_event_queue_clear(&local->events);
}

/* Subscribes at the service for the first subscription of the connection. */
static gboolean listen_to_service(CstLocal *local, GError **error)
{
    if (local->service_sub)
        return TRUE;
    local->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (local->event_fd < 0)
        return cst_fail_errno(error, errno, _("cannot listen for events"));
    local->service_sub = cst_service_subscribe(local->service, on_service_event, local);
    return TRUE;
}

static gboolean local_subscribe(gpointer self, CstConnEventType type, const CstUuid *uuid,
                                CstConnEventFunc func, gpointer data, guint *ret_id, GError **error)
{
    CstLocal *local = self;

    if (!listen_to_service(local, error))
        return FALSE;
    *ret_id = cst_event_queue_subscribe(&local->events, type, uuid, func, data);
    return TRUE;
}

static gboolean local_unsubscribe(gpointer self, guint id, GError **error)
{
    return cst_event_queue_unsubscribe(&((CstLocal *)self)->events, id, error);
}

static gboolean local_wait_events(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                                  GError **error)
{
    CstLocal *local = self;
    struct pollfd fds[2] = {{.fd = local->event_fd, .events = POLLIN},
                            {.fd = wake_fd, .events = POLLIN}};
    gint64 end = g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);
    /* Deliver queued events first, so that a call with a timeout of 0 delivers them. */
    guint delivered = cst_event_queue_deliver(&local->events);

    while (delivered == 0) {
        int left = timeout_ms < 0 ? -1 : (int)MAX(0, (end - g_get_monotonic_time() + 999) / 1000);
        int rc = poll(fds, 2, left);
        uint64_t count;

        if (rc < 0 && errno != EINTR)
            return cst_fail_errno(error, errno, _("cannot wait for events"));
        if (rc <= 0 || fds[1].revents)
            break;
        if (read(local->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
            return cst_fail_errno(error, errno, _("cannot wait for events"));
        delivered = cst_event_queue_deliver(&local->events);
    }
    *ret_delivered = delivered;
    return TRUE;
}

/* --- the transport --------------------------------------------------------------------------- */

static char *uri_of(const char *root)
{
    g_autofree char *escaped =
        root ? g_uri_escape_string(root, G_URI_RESERVED_CHARS_ALLOWED_IN_PATH, FALSE) : NULL;

    return escaped ? g_strconcat("storage:///embed?root=", escaped, NULL)
                   : g_strdup("storage:///embed");
}

gpointer cst_local_open(const CstPaths *paths, GError **error)
{
    g_autoptr(CstService) service = cst_service_new(paths, CST_SERVICE_EMBEDDED, error);
    CstLocal *local;

    if (!service)
        return NULL;
    local = g_new0(CstLocal, 1);
    local->service = g_steal_pointer(&service);
    local->session.driver = CST_API_STORAGE;
    local->session.uri = uri_of(paths->root);
    local->session.jobs = cst_client_jobs_new(local->service, geteuid(), getpid());
    local->session.live = cst_live_snapshots_new(local->service);
    local->event_fd = -1;
    cst_event_queue_init(&local->events);
    return local;
}

static void local_close(gpointer self)
{
    CstLocal *local = self;

    events_clear(local);
    cst_client_jobs_close(local->session.jobs);
    cst_client_jobs_free(local->session.jobs);
    cst_live_snapshots_free(local->session.live);
    cst_service_free(local->service);
    g_free(local->session.uri);
    g_free(local);
}

const CstTransport cst_local_transport = {
    .embedded = TRUE,
    .close = local_close,
    .supports = local_supports,
    .call = local_call,
    .call_all = local_call_all,
    .stream_start = local_stream_start,
    .stream_put = local_stream_put,
    .stream_take = local_stream_receive,
    .stream_finish = local_stream_finish,
    .stream_free = local_stream_free,
    .set_detach = local_set_detach,
    .set_dry_run = local_set_dry_run,
    .subscribe = local_subscribe,
    .unsubscribe = local_unsubscribe,
    .wait_events = local_wait_events,
};
