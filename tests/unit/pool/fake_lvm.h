/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fake_tools.h"
#include "logical/logical.h"

/** A logical pool on a volume group that a script plays (fake-lvm), for unit tests. */

int fake_set_up(void **unused);
int fake_tear_down(void **unused);
/** A pool on the same group, with @options as XML. */
CstPoolState *fake_pool(const char *options);

/** From now on @tool misbehaves in that way; "": no longer. */
void fake_lie(const char *tool, const char *how);
/** An LV that was there before; @attr as lvs shows it. */
void fake_add(const char *name, uint64_t size, const char *attr, const char *origin,
              const char *tags);
gboolean fake_has(const char *lv);
guint fake_count(void);

/**
 * Puts the group, and the LV "disk", on a device whose number is known, so that device-mapper tells
 * of LVs on it: a table in map/NAME instead of the one that fits.
 */
void fake_on_known_device(void);

/** The backend shows the volume. */
gboolean fake_is_seen(const char *name);

/** The LV begins with @text, four bytes. */
void fake_write(const char *lv, const char *text);
void fake_assert_holds(const char *lv, const char *text);
/** A thin pool "tp", and the volume "disk" of 8 MiB. */
void fake_add_disk(gboolean thin);
