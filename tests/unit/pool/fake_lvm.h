/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fake_tools.h"
#include "logical/logical.h"

/** A logical pool on a simulated volume group (script fake-lvm), for unit tests. */

int fake_set_up(void **unused);
int fake_tear_down(void **unused);
/** Opens a pool on the same group, with @options as XML. */
CstPoolState *fake_pool(const char *options);

/** Makes @tool misbehave as in @how from now on; "": normal behaviour. */
void fake_lie(const char *tool, const char *how);
/** Adds an existing LV; @attr as in the output of lvs. */
void fake_add(const char *name, uint64_t size, const char *attr, const char *origin,
              const char *tags);
gboolean fake_has(const char *lv);
guint fake_count(void);

/**
 * Puts the group, and the LV "disk", on a device with a known number, so that device-mapper reports
 * LVs on it. The table is in map/NAME instead of the default.
 */
void fake_on_known_device(void);

/** Returns whether the backend shows the volume. */
gboolean fake_is_seen(const char *name);

/** Writes @text, four bytes, to the start of the LV. */
void fake_write(const char *lv, const char *text);
void fake_assert_holds(const char *lv, const char *text);
/** Adds the thin pool "tp", and the volume "disk" of 8 MiB. */
void fake_add_disk(gboolean thin);
