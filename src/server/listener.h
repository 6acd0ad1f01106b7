/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loop.h"

/**
 * Accepts connections from the listening, non-blocking socket @fd, which it takes over, in @loop. A
 * failure is logged; the socket then stays open and accepts nobody. In the loop's thread, as the
 * functions below.
 */
void listener_add(Loop *loop, int fd, gboolean read_only);
/** Accepts connections again unless the server is full. Does nothing while they are accepted. */
void listeners_resume(Loop *loop);
/** Closes all listening sockets of @loop for good. */
void listeners_close(Loop *loop);
