/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * Sends @state ("READY=1", sd_notify(3)) to the service manager. Does nothing without a service
 * manager, and ignores failures.
 */
void daemon_notify(const char *state);
