/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Makes a channel to QEMU that never blocks; the caller closes both ends. */
gboolean guest_channel_open(int *ret_near, int *ret_far, GError **error);

/** QEMU's guest agent at the other end of a channel: asked again and again whether it is there. */
typedef struct GuestAgent GuestAgent;

/** Makes a channel. *@ret_far is the end for QEMU, the caller's. */
GuestAgent *guest_agent_new(int *ret_far, GError **error);
/** NULL is accepted. */
void guest_agent_free(GuestAgent *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestAgent, guest_agent_free)
/** Asks when it is time to, and whether it has answered. Does not wait. */
gboolean guest_agent_answers(GuestAgent *agent);
