/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fake_tools.h"
#include "zfs/zfs.h"

/** A zfs pool on simulated ZFS tools (script fake-zfs), for unit tests. */

int fake_set_up(void **unused);
int fake_tear_down(void **unused);
/** Opens a pool on dataset @root, with @options as XML. */
CstPoolState *fake_pool(const char *root, const char *options);

/** Makes "zfs VERB" or "zpool VERB" misbehave as in @how from now on; "": normal behaviour. */
void fake_lie(const char *verb, const char *how);
/** Adds an existing volume of 8 MiB, with its device. */
void fake_add(const char *dataset);
/** Adds an existing file system. */
void fake_add_filesystem(const char *dataset);
/** Adds a volume as a clone of @origin (may be NULL), with our mark @mark (may be NULL). */
void fake_add_as(const char *dataset, const char *origin, const char *mark);
/** Runs a tool like another program, without the backend's knowledge. Ends with NULL. */
void fake_by_others(const char *tool, ...) G_GNUC_NULL_TERMINATED;
/** Runs @line in a shell, like another program, when the next tool starts. */
void fake_between(const char *line);
void fake_snapshot(const char *dataset, const char *name);
/** Returns whether a dataset or snapshot with that full name exists. */
gboolean fake_has(const char *name);
/** Returns the number of datasets and snapshots, except the pool's own dataset. */
guint fake_count(void);
/** Returns line @number (from 0) of the script's record of a dataset. The caller frees it. */
char *fake_fact(const char *dataset, guint number);

/** Returns the names in a scan, each followed by a space; NULL: the scan failed. */
char *fake_names(GError **error);

/** Writes @text, four bytes, to the start of the volume. */
void fake_write(const char *volume, const char *text);
void fake_assert_holds(const char *volume, const char *text);
/** Fails the test unless @error has @code, and clears it. */
void fake_assert_error(GError **error, int code);
