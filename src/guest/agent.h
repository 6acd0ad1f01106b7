/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Makes a non-blocking channel to QEMU. The caller closes both ends. */
gboolean guest_channel_open(int *ret_near, int *ret_far, GError **error);

/** QEMU's guest agent at the other end of a channel. It is queried repeatedly until it answers. */
typedef struct GuestAgent GuestAgent;

/** Makes a channel. *@ret_far is QEMU's end; the caller closes it. */
GuestAgent *guest_agent_new(int *ret_far, GError **error);
/** NULL is accepted. */
void guest_agent_free(GuestAgent *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestAgent, guest_agent_free)
/** Sends a query if it is due, and returns whether the agent has answered. Does not wait. */
gboolean guest_agent_answers(GuestAgent *agent);
