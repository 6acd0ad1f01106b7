/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The time limit of a process that calls libvirt for a backup session. A call can hang and cannot
 * be cancelled. So when the limit passes, the handler of a signal reports TIMEOUT to the caller and
 * executes this program in the mode "repair", with the same lock.
 */

/**
 * Prepares the repair of domain @uuid. @limits and @uuid are used until the end of the process.
 * @lock: descriptor of the entry's lock. @caller: socket of the caller, or -1. @round: repairs
 * before this process.
 */
void backup_guard_init(const unsigned *limits, const char *uuid, int lock, int caller,
                       unsigned round);
/** Sets the limit from now on, in milliseconds. 0: no limit. */
void backup_guard_set(unsigned ms);
/** Executes this program as a repair. Closes the connection to the caller. */
void backup_guard_repair(void) G_GNUC_NORETURN;
