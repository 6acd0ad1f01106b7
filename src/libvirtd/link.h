/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>

/** Seconds that the call of a client waits for a connection to a cisternd that listens. */
#define CLIENT_WAIT_S 5

/** Decides how long a call waits for cisternd. */
typedef enum {
    LINK_FOR_CLIENT, /**< a client waits: CLIENT_WAIT_S; no wait if cisternd does not listen */
    LINK_FOR_START,  /**< libvirtd starts, and accepts no client until the call ends: 30 s */
    LINK_FOR_GUEST   /**< an error would kill a running guest: no limit */
} LinkPurpose;

/** A connection to cisternd, which has the identity of one caller. Used by one call at a time. */
typedef struct Link Link;

/** Returns the purpose of a call that the calling thread makes on libvirtd's own connection. */
LinkPurpose link_own_purpose(void);

/**
 * Returns a link with the identity of the calling thread: an idle one, or a new one. @fresh: always
 * a new one, because the last one has broken. Waits for cisternd as @purpose allows. Returns NULL
 * and sets an error. Never call it in the event loop.
 */
Link *link_acquire(LinkPurpose purpose, gboolean fresh);

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
