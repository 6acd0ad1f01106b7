/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Records the system calls that change files, in their order, and makes one of them fail. A test
 * that depends on recorder_dep has its calls wrapped by the linker; calls of shared libraries
 * (SQLite, GLib) are not recorded.
 *
 * The text of a record has one step after another, separated by "; ":
 *
 *     create a.TMP; chmod a.TMP; write a.TMP; sync a.TMP; rename a.TMP a; open .; sync .
 *
 * Names are relative to the directory that is recorded. "TMP" is the random end of a temporary file
 * of cst_file_replace(). "open" is an open of a directory, "sync" is fsync(), "datasync" is
 * fdatasync(). The step that was made to fail ends with '!'.
 */

/** Records the calls about files below @dir (an absolute path) from now on, of all threads. */
void recorder_begin(const char *dir);

/** As recorder_begin(), and the @step'th recorded call, counted from 1, fails with @err. */
void recorder_begin_failing(const char *dir, guint step, int err);

/**
 * Calls @act(@data) once during the record, directly before the first @step, in the thread of that
 * step. @step has the form of the record: "lock a". Call it after recorder_begin().
 */
void recorder_run(const char *step, void (*act)(gpointer data), gpointer data);

/** Ends the record. Aborts the test if the step of recorder_run() did not occur. Returns the text;
 * g_free() it.
 */
char *recorder_end(void);

/** Returns the number of the steps in the last record. */
guint recorder_steps(void);

/**
 * Returns all names below @dir with mode, size and content or target, a line each; g_free() it.
 * Two trees are equal when their texts are.
 */
char *recorder_tree(const char *dir);

/** A change of files below a directory: returns TRUE, or FALSE with @error. */
typedef gboolean (*RecordedChange)(gpointer data, GError **error);

/** A change and the directory in which recorder_fail_each() makes each of its steps fail. */
typedef struct {
    const char *dir;
    void (*prepare)(gpointer data); /**< makes the state before; called before each attempt */
    RecordedChange change;
    gpointer data;
    const char *commit; /**< the step after which the new state counts; NULL: the last one */
} RecordedSteps;

/**
 * Makes each step of @steps->change fail in turn, with EIO. Each time the change has to fail with
 * an error, the files below the directory have to be as before, or as after a success if the
 * commit step was reached, and the change has to succeed when it is repeated. Returns the text of
 * the record without a failure; g_free() it.
 */
char *recorder_fail_each(const RecordedSteps *steps);
