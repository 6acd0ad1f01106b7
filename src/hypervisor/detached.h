/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/task.h>

/** A process of this program that outlives its caller. Its limits are in its arguments. */

/**
 * Starts this program with the arguments @argv, and with @fds as its descriptors 3, 4 and so on.
 * Waits until it has detached.
 */
gboolean detached_start(const char *const *argv, const int *fds, guint n_fds, GError **error);
/**
 * Starts this program with @dirfd and one end of a socket pair as its descriptors 3 and 4. Returns
 * the other end, of type SOCK_SEQPACKET, or -1.
 */
int detached_connect(const char *const *argv, int dirfd, GError **error);
/**
 * Waits until the other end has sent a packet, or has ended. @task: may cancel the wait; NULL:
 * cannot be cancelled. Returns FALSE with CANCELLED, or without an error after @limit_ms.
 */
gboolean detached_await(int fd, CstTask *task, unsigned limit_ms, GError **error);
/**
 * Continues in a new process with its own session. Closes the descriptors after @last_fd. @repairs:
 * continues in this process if there can be no new one.
 */
void detached_fork(int last_fd, gboolean repairs);

/**
 * Rests before a repair. @round: repairs before this one. The second one begins at once, too. The
 * third one rests for @retry_ms, and each further one twice as long, up to @max_ms. Until
 * @late_until (monotonic microseconds) libvirt may begin a job late, and a rest has at most two
 * seconds.
 */
void detached_rest(unsigned round, unsigned retry_ms, unsigned max_ms, gint64 late_until);

/** Formats @count numbers for a command line. The caller frees the text. */
char *detached_limits_format(const unsigned *limits, guint count);
/** Parses the text of detached_limits_format(). Returns FALSE for other texts. */
gboolean detached_limits_parse(const char *text, unsigned *ret_limits, guint count);
