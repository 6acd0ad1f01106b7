/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** QEMU's monitor (QMP), asked whether the guest runs. It belongs to one thread. */
typedef struct GuestMonitor GuestMonitor;

/** Makes one. *ret_far: QEMU's end, which the caller closes. NULL with an error. */
GuestMonitor *guest_monitor_new(int *ret_far, GError **error);
/** NULL is accepted. */
void guest_monitor_free(GuestMonitor *monitor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestMonitor, guest_monitor_free)

/**
 * Asks every two seconds, and reads the answers so far. Returns the state in which QEMU keeps a
 * guest that cannot run on this host, "internal-error" or "io-error", or NULL. Never blocks.
 */
const char *guest_monitor_stuck(GuestMonitor *monitor);
