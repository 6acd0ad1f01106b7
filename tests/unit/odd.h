/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The duties of every checked dispatcher (of blobs, images, pool backends), tested with a callee
 * with settable results. A dispatcher passes results and errors on, turns a broken contract into
 * an INTERNAL error, and traces each call at level debug.
 */

/**
 * The behaviour of callbacks. ODD_SILENT fails without an error, ODD_BOTH succeeds with an error.
 */
typedef enum { ODD_RIGHT, ODD_SAYS_WHY, ODD_SILENT, ODD_BOTH } OddHow;

extern OddHow odd_how;

/** The complete callback: behaves as odd_how says. */
gboolean odd_act(GError **error);

/** A call of the dispatcher that leads to one callback. */
typedef struct {
    const char *slot; /**< the callback's name */
    gboolean (*call)(GError **error);
    const char *about; /**< the part of the callee that the log names; NULL: not named */
} OddCall;

typedef struct {
    const OddCall *calls;
    gsize count;
    char *(*blame)(const char *slot);    /**< of messages: "'o': the odd blob's" */
    char *(*trace)(const OddCall *call); /**< of the log: "odd.pread 'o' 16+8: " */
} OddDispatcher;

void odd_assert_handed_on(const OddDispatcher *dispatcher);
void odd_assert_broken_are_named(const OddDispatcher *dispatcher);
void odd_assert_traced(const OddDispatcher *dispatcher);

/** Asserts that @error is INTERNAL and names @slot and its fault @what. */
void odd_assert_broken(const OddDispatcher *dispatcher, const GError *error, const char *slot,
                       const char *what);
/** Asserts that @log has a line with @begin, the duration of the call, and @end. */
void odd_assert_line(const char *log, const char *begin, const char *end);
