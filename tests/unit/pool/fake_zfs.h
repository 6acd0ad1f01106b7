/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fake_tools.h"
#include "zfs/zfs.h"

/** A zfs pool on ZFS's tools as a script plays them (fake-zfs), for unit tests. */

int fake_set_up(void **unused);
int fake_tear_down(void **unused);
/** A pool on dataset @root, with @options as XML. */
CstPoolState *fake_pool(const char *root, const char *options);

/** From now on "zfs VERB", or "zpool VERB", misbehaves in that way; "": no longer. */
void fake_lie(const char *verb, const char *how);
/** A volume of 8 MiB that was there before, with its device. */
void fake_add(const char *dataset);
/** A file system that was there before. */
void fake_add_filesystem(const char *dataset);
/** The same as a clone of @origin (NULL: none), with our mark @mark (NULL: none). */
void fake_add_as(const char *dataset, const char *origin, const char *mark);
/** Others run a tool, of which the backend knows nothing; ends with NULL. */
void fake_by_others(const char *tool, ...) G_GNUC_NULL_TERMINATED;
/** Others do that, a line of shell, when the next program begins. */
void fake_between(const char *line);
void fake_snapshot(const char *dataset, const char *name);
/** There is a dataset, or a snapshot, of that whole name. */
gboolean fake_has(const char *name);
/** Number of datasets and snapshots but the pool's own. */
guint fake_count(void);
/** Line @number (from 0) of what the script has of a dataset; free it. */
char *fake_fact(const char *dataset, guint number);

/** Names of what a scan shows, each with a blank behind it; NULL: it failed. */
char *fake_names(GError **error);

/** The volume begins with @text, four bytes. */
void fake_write(const char *volume, const char *text);
void fake_assert_holds(const char *volume, const char *text);
/** Fails the test unless @error has @code, and clears it. */
void fake_assert_error(GError **error, int code);
