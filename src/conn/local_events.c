/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

#include "local_private.h"

/** Runs in whichever thread of the service caused the event. */
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

            cst_event_box_post(&local->events, &mine);
            /* Full: the reader is woken already. */
            if (write(local->event_fd, &one, sizeof(one)) < 0)
                return;
        }
}

void cst_local_events_clear(CstLocal *local)
{
    if (local->service_sub)
        cst_service_unsubscribe(local->service, local->service_sub);
    if (local->event_fd >= 0)
        close(local->event_fd);
    cst_event_box_clear(&local->events);
}

/** The first subscription makes the service's events come in. */
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

gboolean cst_local_subscribe(gpointer self, CstConnEventType type, const CstUuid *uuid,
                             CstConnEventFunc func, gpointer data, guint *ret_id, GError **error)
{
    CstLocal *local = self;

    if (!listen_to_service(local, error))
        return FALSE;
    *ret_id = cst_event_box_subscribe(&local->events, type, uuid, func, data);
    return TRUE;
}

gboolean cst_local_unsubscribe(gpointer self, guint id, GError **error)
{
    return cst_event_box_unsubscribe(&((CstLocal *)self)->events, id, error);
}

gboolean cst_local_wait_events(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                               GError **error)
{
    CstLocal *local = self;
    struct pollfd fds[2] = {{.fd = local->event_fd, .events = POLLIN},
                            {.fd = wake_fd, .events = POLLIN}};
    gint64 end = g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);
    guint delivered = cst_event_box_deliver(&local->events);

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
        delivered = cst_event_box_deliver(&local->events);
    }
    *ret_delivered = delivered;
    return TRUE;
}
