/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Storms: file changes that fail, kill the process, or cut the power, as a test selects. The
 * linker redirects the calls to this file (see meson.build).
 *
 * A power cut loses unsynced changes: the content of files that were written to since their last
 * fsync(2), and names that were made or removed since the fsync(2) of their directory.
 */
typedef enum { STORM_NONE, STORM_FULL, STORM_KILL, STORM_POWER } StormKind;

/** The @nth changing call from now on (1 is the next), and all after it, meet the storm. */
void storm_arm(StormKind kind, unsigned nth, unsigned seed);
/** Ends the storm, a power cut by cutting the power. Returns the number of changing calls. */
unsigned storm_calm(void);

/** Has the next unlinkat(2) in a directory that is called @folder fail with EIO, once. */
void storm_refuse_removal(const char *folder);
/** Whether such a call has failed since then; drops the order if it has not. */
gboolean storm_removal_refused(void);

/** Exit status of a killed process. */
#define STORM_STATUS 77
