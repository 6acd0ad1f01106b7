/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loop.h"

/* In the loop's thread. */

/** Accepts connections again unless the server is full. Does nothing while they are accepted. */
void listeners_resume(Loop *loop);
/** Closes all listening sockets of @loop for good. */
void listeners_close(Loop *loop);
