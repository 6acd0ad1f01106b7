/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Storms: calls that change files fail, kill the process, or cut the power, when a test says so.
 * The linker leads the calls here (see meson.build).
 *
 * A power cut loses what was not synced: of files that were written to since their last fsync(2)
 * the content, and of names that were made or removed since the fsync(2) of their directory any.
 */
typedef enum { STORM_NONE, STORM_FULL, STORM_KILL, STORM_POWER } StormKind;

/** The @nth changing call from now on (1 is the next), and all after it, meet the storm. */
void storm_arm(StormKind kind, unsigned nth, unsigned seed);
/** Ends it, a power cut by cutting the power; returns how many changing calls there were. */
unsigned storm_calm(void);

/** Has the next unlinkat(2) in a directory that is called @folder fail with EIO, once. */
void storm_refuse_removal(const char *folder);
/** Whether such a call has failed since then; drops the order if it has not. */
gboolean storm_removal_refused(void);

/** What a process ends with that was killed. */
#define STORM_STATUS 77
