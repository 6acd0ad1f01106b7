/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/pool.h>

/**
 * A directory with a script that simulates the host's tools for a backend, and its pool; for unit
 * tests.
 */

#define MIB   (UINT64_C(1) << 20)
#define TOKEN "01234567-89ab-cdef-0123-456789abcdef" /**< of the draft of fake_create() */

/** Description of the simulated tools. */
typedef struct {
    const char *script;         /**< called under each tool's name; the directory is in @variable */
    const char *variable;       /**< environment variable */
    const char *const *tools;   /**< ends with NULL */
    const char *const *folders; /**< in addition to "bin" and "lie"; ends with NULL */
    const char *remover;        /**< the tool that removes a volume, as named in "lie" */
    gboolean has_verbs;         /**< a call is also identified by its verb ("zfs-list") */
} FakeTools;

extern char *fake_folder;
extern CstPoolState *fake_state; /**< set by the caller with fake_open() */

/** Makes the directory and puts the tools first in PATH. */
void fake_tools_set_up(const FakeTools *tools);
/** Closes the pool and removes the directory. Returns the value for a test's teardown. */
int fake_tools_tear_down(void);
/** Opens the pool of a document. */
CstPoolState *fake_open(const char *xml);

char *fake_path(const char *name);
void fake_put(const char *name, const char *text);
/** Returns the number of files in a directory. */
guint fake_count_in(const char *folder);
/** Returns whether a logged call contains @line. */
gboolean fake_was_called(const char *line);
/** Checks the tools called since the last check, each followed by a space. */
void fake_assert_calls(const char *expected);

/** Makes call @number of the tools from now on (from 1) misbehave as in @how. */
void fake_fault(guint number, const char *how);
/** Ends the fault. Returns whether the call has occurred. */
gboolean fake_fault_end(void);
/** Returns the output of @command, run by the shell in the directory. The caller frees it. */
char *fake_output(const char *command);

/** An operation that is run with each call of a tool failing in turn. */
typedef struct {
    const char *what;
    void (*prepare)(void);
    gboolean (*call)(GError **error); /**< abandons its objects on failure */
    /** A failure may leave the completed work. A second call then has no work left. */
    gboolean may_be_done;
} FakeOperation;

/**
 * Runs the operation without a fault, and then with each call of a tool failing in turn: before it
 * does its work ("fail"), and afterwards ("failing"). After a failure the state is unchanged, and
 * the repeated operation succeeds. @state returns the state as text; @set_up and @tear_down make
 * the simulation again.
 */
void fake_play_faults(const FakeOperation *operation, char *(*state)(void),
                      int (*set_up)(void **unused), int (*tear_down)(void **unused));

CstVolDef *fake_volume(const char *name, uint64_t capacity);
/**
 * Checks the changed ranges of volume "disk", as numbers of blocks of @block bytes, each followed
 * by a space. Queries them with 1, 2 and 3 ranges at a time, with equal results.
 */
void fake_assert_told(const char *since, const char *until, uint64_t block, const char *expected);

/** Makes a volume of 5 MiB through a draft. A failure leaves no object. */
gboolean fake_create(const char *name, GError **error);
