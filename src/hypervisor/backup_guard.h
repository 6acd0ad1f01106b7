/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The time limit of a process that calls libvirt for a backup or a block job. A call can hang and
 * cannot be cancelled. So when the limit passes, the handler of a signal reports TIMEOUT to the
 * caller and executes this program in the mode "repair", with the same lock.
 */

/** Descriptor of the caller's socket in a repair that answers the caller. */
#define BACKUP_GUARD_CALLER_FD 5

/**
 * Prepares the repair of domain @uuid. @limits and @uuid are used until the end of the process.
 * @lock: descriptor of the entry's lock. @caller: socket of the caller, or -1. @round: repairs
 * before this process.
 */
void backup_guard_init(const unsigned *limits, const char *uuid, int lock, int caller,
                       unsigned round);
/**
 * Likewise for another session. @argv: arguments of the repair, used until the end of the process.
 * argv[2] is its mode. @timeout: packet for the caller, of at most 256 bytes. @answers: the mode of
 * a repair that answers the caller. @lock and @caller are more than BACKUP_GUARD_CALLER_FD.
 */
void backup_guard_init_program(const char *const *argv, GBytes *timeout, const char *answers,
                               int lock, int caller);
/** Replaces the packet @timeout. No limit is set. */
void backup_guard_set_packet(GBytes *timeout);
/**
 * Whether a repair gets the socket of the caller and answers it. Then no TIMEOUT is reported. Only
 * after backup_guard_init_program().
 */
void backup_guard_keep_caller(gboolean keep);
/** Sets the limit from now on, in milliseconds. 0: no limit. */
void backup_guard_set(unsigned ms);
/** Executes this program as a repair. Closes the connection to the caller. */
void backup_guard_repair(void) G_GNUC_NORETURN;
