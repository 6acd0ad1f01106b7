/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/pool.h>

#include "logical/logical.h"

/** A logical pool on a volume group that a script plays (fake-lvm), for unit tests. */

#define MIB   (UINT64_C(1) << 20)
#define TOKEN "01234567-89ab-cdef-0123-456789abcdef" /**< of the draft that fake_create() makes */

extern char *fake_folder; /**< what the script plays with */
extern CstPoolState *fake_state;

int fake_set_up(void **unused);
int fake_tear_down(void **unused);
/** A pool on the same group, with @options as XML. */
CstPoolState *fake_pool(const char *options);

char *fake_path(const char *name);
void fake_put(const char *name, const char *text);
/** From now on @tool misbehaves in that way; "": no longer. */
void fake_lie(const char *tool, const char *how);
/** An LV that was there before; @attr as lvs shows it. */
void fake_add(const char *name, uint64_t size, const char *attr, const char *origin,
              const char *tags);
gboolean fake_has(const char *lv);
guint fake_count(void);

CstVolDef *fake_volume(const char *name, uint64_t capacity);
/** A volume of 5 MiB through the backend; what fails leaves nothing. */
gboolean fake_create(const char *name, GError **error);
/** The backend shows the volume. */
gboolean fake_is_seen(const char *name);

/** The LV begins with @text, four bytes. */
void fake_write(const char *lv, const char *text);
void fake_assert_holds(const char *lv, const char *text);
/** A tool was called with a line that @line is part of. */
gboolean fake_was_called(const char *line);
/** A thin pool "tp", and the volume "disk" of 8 MiB. */
void fake_add_disk(gboolean thin);
