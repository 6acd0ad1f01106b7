/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/** Tells the service manager "READY=1" and the like (sd_notify(3)); nothing without one. */
void daemon_notify(const char *state);
