/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "link.h"
#include "queue.h"

typedef struct Watch Watch;

/**
 * A stream of libvirtd, forwarded by a thread to a stream of cisternd. The stream of libvirtd and
 * the thread have a reference each, and a watch has one.
 */
typedef struct {
    gint refs;          /* atomic */
    Link *link;         /* of the thread */
    virStreamPtr inner; /* of the thread, on the link */
    gboolean upload;
    gboolean nonblocking;
    GMutex lock; /* guards all members below */
    GCond changed;
    DataQueue queue;
    gboolean finished; /* upload: the client has sent everything */
    gboolean aborted;  /* the client wants no more */
    gboolean done;     /* the thread makes no more calls of the stream */
    gboolean reported; /* the watch has reported the error */
    virErrorPtr error; /* of the thread; NULL: no error */
    Watch *watch;      /* NULL: no callback is registered */
} Relay;

/**
 * Starts the thread. Owns @link and @inner, also on failure. Returns NULL and sets an error if no
 * thread can be started.
 */
Relay *relay_start(Link *link, virStreamPtr inner, gboolean upload, gboolean nonblocking);

/** Drops a reference. */
void relay_unref(Relay *relay);

/** Has the thread abort the stream of cisternd, unless it is finished. Does not wait. */
void relay_abort(Relay *relay);

/** Wakes the thread and the watch after a change. The lock is held. */
void relay_notify(Relay *relay);

/**
 * Has @callback called in libvirtd's event loop when @outer, the stream of @relay, is ready for
 * @events, or fails. Returns -1 and sets an error if there is a callback already.
 */
int relay_watch(Relay *relay, virStreamPtr outer, int events, virStreamEventCallback callback,
                void *opaque, virFreeCallback free_opaque);
/** Returns -1 and sets an error without a callback. */
int relay_watch_update(Relay *relay, int events);
/** The free function is called later, in the event loop. */
int relay_watch_remove(Relay *relay);
