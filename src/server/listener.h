/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loop.h"

/** Takes @fd over, also when it fails. */
void listener_add(Loop *loop, int fd, gboolean read_only);
/** There may be room for further connections again. */
void listeners_resume(Loop *loop);
void listeners_close(Loop *loop);
