/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>

/** Seconds that the call of a client waits for a connection to cisternd. */
#define CLIENT_WAIT_S 5

/** A connection to cisternd, which has the identity of one caller. Used by one call at a time. */
typedef struct Link Link;

/**
 * Whether the calling thread works for libvirtd itself and not for a client: it has no identity, or
 * the identity of this process. Such threads reconnect and autostart guests.
 */
gboolean link_caller_is_libvirtd(void);

/**
 * Returns a link with the identity of the calling thread: an idle one, or a new one. A client's
 * call waits at most CLIENT_WAIT_S seconds for cisternd. @wait: waits without a limit. Returns NULL
 * and sets an error. Never call it in the event loop.
 */
Link *link_acquire(gboolean wait);

/** Returns the connection. The link owns it. */
virConnectPtr link_connection(const Link *link);

/** Whether the connection is still open. No call to cisternd. */
gboolean link_is_alive(const Link *link);

/**
 * Makes the link idle for the next call, or closes it. May wait for cisternd, so never call it in
 * the event loop. Changes the thread's last error.
 */
void link_release(Link *link);

/**
 * Opens a connection to cisternd with libvirtd's own identity, without a limit of time. Returns
 * NULL and sets an error if cisternd does not listen. The caller closes it. For threads of the
 * module.
 */
virConnectPtr link_open_own(void);
