/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/pool.h>

/**
 * A folder in which a script plays the host's tools for a backend, and its pool; for unit tests.
 */

#define MIB   (UINT64_C(1) << 20)
#define TOKEN "01234567-89ab-cdef-0123-456789abcdef" /**< of the draft that fake_create() makes */

/** What the script plays, and with what. */
typedef struct {
    const char *script;         /**< called by each tool's name; its folder is in @variable */
    const char *variable;       /**< of the environment */
    const char *const *tools;   /**< ends with NULL */
    const char *const *folders; /**< besides "bin" and "lie"; ends with NULL */
    const char *remover;        /**< what removes a volume, by its name among the lies */
    gboolean has_verbs;         /**< a call is known by its verb, too ("zfs-list") */
} FakeTools;

extern char *fake_folder;
extern CstPoolState *fake_state; /**< the caller's to make, by fake_open() */

/** Makes the folder and puts the tools first in PATH. */
void fake_tools_set_up(const FakeTools *tools);
/** Closes the pool and removes the folder; what a test's teardown returns. */
int fake_tools_tear_down(void);
/** The pool of a document. */
CstPoolState *fake_open(const char *xml);

char *fake_path(const char *name);
void fake_put(const char *name, const char *text);
/** Number of files in one of the folders. */
guint fake_count_in(const char *folder);
/** A tool was called with a line that @line is part of. */
gboolean fake_was_called(const char *line);
/** The tools called since the last time were these, each with a blank behind it. */
void fake_assert_calls(const char *expected);

/** Call @number of the tools from now on, from 1, misbehaves in that way. */
void fake_fault(guint number, const char *how);
/** Ends that; whether the call has come. */
gboolean fake_fault_end(void);
/** What the shell prints that runs @command in the folder; free it. */
char *fake_output(const char *command);

/** An operation in which each call of a tool fails in turn. */
typedef struct {
    const char *what;
    void (*prepare)(void);
    gboolean (*call)(GError **error); /**< what it has made, it abandons on failure */
    /** A failure may leave the finished work; then a second call finds nothing to do. */
    gboolean may_be_done;
} FakeOperation;

/**
 * Plays the operation once undisturbed, then with each call of a tool failing in turn: before it
 * has done anything ("fail"), and afterwards ("failing"). After a failure everything is as before,
 * and the operation works when it is repeated. @state: what there is, as text; @set_up and
 * @tear_down make the fake anew.
 */
void fake_play_faults(const FakeOperation *operation, char *(*state)(void),
                      int (*set_up)(void **unused), int (*tear_down)(void **unused));

CstVolDef *fake_volume(const char *name, uint64_t capacity);
/**
 * What has changed of volume "disk", as numbers of blocks of @block bytes, each with a blank behind
 * it, asked for with 1, 2 and 3 ranges at a time, which is the same.
 */
void fake_assert_told(const char *since, const char *until, uint64_t block, const char *expected);

/** A volume of 5 MiB by a draft; what fails leaves nothing. */
gboolean fake_create(const char *name, GError **error);
