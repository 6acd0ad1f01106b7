/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * State of a domain of the fake libvirt that all processes share: a key file with one group. Each
 * access locks it. The keys:
 *
 *     state = running        or: paused, and the other words of fake.c
 *     id = 7
 *     filesystems = 2        of the guest
 *     frozen = 0             file systems that are frozen
 *     agent = ok             or: hung. It does not answer, and executes a freeze when it wakes up
 *                            hung-later: so from the next freeze on
 *     pending = yes          a freeze that the agent has not executed
 *     events = SR            S: the domain was suspended; R: it was resumed; E: it has ended;
 *                            N: ENOSPC of a write; J: a job has ended
 *                            Y: the block job is ready; C: it is completed; F: failed; X: aborted
 *     backup = /socket       the socket of the running backup job; absent: there is none
 *     scratch = /a;/b        its scratch files
 *     server = 123           the process that serves its content
 *     checkpoints = A;B      names of the checkpoints
 *     broken = A/vda;B/vdb   checkpoints whose bitmap of a disk is lost
 *     made = 3               number of checkpoints that were made; also the time of a new one
 *     time-A = 3             time of checkpoint A
 *     orphans = yes          a checkpoint was deleted without its bitmaps, although it has them
 *     refuses = checkpoint   a backup with a new checkpoint does not begin; or: changes. So with
 *                            the changes since a checkpoint
 *     chain = /top;/base     layers of disk vda; absent: the document of the domain has them. "p/v"
 *                            is volume v of pool p
 *     config = /top;/base    likewise in its persistent definition
 *     block-type = 2         of the block job of vda, as in libvirt; absent: there is none
 *     block-last = 2         likewise of the last one
 *     block-copy = /copy     path to which it can pivot
 *     block-top = /t         path of the layer that a commit removes; block-base: the one below
 *     block-ready = yes      it can pivot; pivot: it pivots
 *     block-cur = 5          its bytes; block-end: of all
 *     block-rate = 0         its limit
 *     block-fate = ready     a job is ready (done, failed) before the call that begins it returns
 *                            It changes "config" only if both have the same top layer
 *     keeps-config = yes     a block job leaves the persistent definition as it is
 *     silent = yes           there are no events
 *     timeout = 5            virDomainAgentSetResponseTimeout()
 */

/** Returns a value, or NULL. The caller frees it. */
char *live_get(const char *path, const char *key);
int live_get_number(const char *path, const char *key);
/** @value NULL: removes the key. */
void live_set(const char *path, const char *key, const char *value);
void live_set_number(const char *path, const char *key, int value);

/** Suspends a running domain, with its event. Returns FALSE if it does not run. */
gboolean live_suspend(const char *path);
/** Resumes a paused domain, with its event. Returns FALSE if it is not paused. */
gboolean live_resume(const char *path);
/** Appends a letter to the events. */
void live_report(const char *path, const char *event);
/** A write of the guest has failed with ENOSPC, and pauses a running domain, with its event. */
void live_io_error(const char *path);
/** Removes the backup job and its scratch files, with its event. FALSE: there is no such job. */
gboolean live_end_backup(const char *path);
/** Begins a block job of disk vda. The paths may be NULL. FALSE: there is one. */
gboolean live_block_begin(const char *path, int type, const char *copy, const char *top,
                          const char *base);
/** The block job can pivot, with its event. */
void live_block_ready(const char *path);
/**
 * Ends the block job with its event: C, F or X. C: the layers of both definitions change. FALSE:
 * there is none.
 */
gboolean live_block_end(const char *path, const char *event);
/** Returns the document of a domain with disk vda, for free(); NULL: "chain" is absent. */
char *live_block_document(const char *path, gboolean persistent);
/** Returns the number of file systems that are frozen now; -1: the agent hangs; -2: it refuses. */
int live_freeze(const char *path);
/** Returns the number of file systems that were frozen; -1: the agent hangs. */
int live_thaw(const char *path);
/** A hung agent wakes up, and executes the freeze that it has received. */
void live_wake_agent(const char *path);
