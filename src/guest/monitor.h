/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** QEMU's monitor (QMP), which is queried for the state of the guest. Used by one thread. */
typedef struct GuestMonitor GuestMonitor;

/**
 * Makes a monitor. *ret_far: QEMU's end, which the caller closes. Returns NULL with @error set on
 * failure.
 */
GuestMonitor *guest_monitor_new(int *ret_far, GError **error);
/** NULL is accepted. */
void guest_monitor_free(GuestMonitor *monitor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestMonitor, guest_monitor_free)

/**
 * Sends a query every two seconds, and reads the answers received so far. Returns "internal-error"
 * or "io-error" if QEMU has stopped the guest because it cannot run on this host, else NULL. Never
 * blocks.
 */
const char *guest_monitor_stuck(GuestMonitor *monitor);
