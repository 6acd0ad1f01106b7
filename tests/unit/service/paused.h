/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "fixture.h"

/**
 * A simulated domain "web1", which has each volume as a disk. It logs its pause among the calls of
 * the simulated tools (fake_tools.h). Each pause is good, with consistent file systems.
 */

extern void (*paused_hook)(void); /**< called when the domain stands; NULL: no function */
extern guint paused_count;        /**< pauses since paused_reset() */

/**
 * Each look of the test's thread at the clock advances it by this; 0: it is the real one. So the
 * load of the machine does not decide how long a rehearsal takes. Other threads have the real one.
 */
extern gint64 paused_clock_step_us;

/** Call it in the test's thread. The clock is the real one. */
void paused_reset(void);
/**
 * Restarts the service without a daemon, which would read reports at any time. Starts the pool of
 * @xml, and has the clock advance by a millisecond at each look. The caller drops the pool.
 */
CstPool *paused_start_pool(Fixture *f, const char *xml);
/** Returns the calls of tools between the suspension and the resumption. The caller frees them. */
char *paused_log(void);
