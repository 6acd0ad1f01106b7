/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loop.h"

/* All functions: in the loop's thread. */

/** Resumes accepting unless the server is full. Does nothing if the loop accepts already. */
void listeners_resume(Loop *loop);
/** Closes all listening sockets of @loop for good. */
void listeners_close(Loop *loop);
