/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * What every checked dispatcher must do (of blobs, images, pool backends), seen with a callee that
 * does as it is told: hand results and errors on, make an INTERNAL error of a broken contract, and
 * trace each call when debug is on.
 */

/** What callbacks do: the wrong things are failing silently, and succeeding with an error. */
typedef enum { ODD_RIGHT, ODD_SAYS_WHY, ODD_SILENT, ODD_BOTH } OddHow;

extern OddHow odd_how;

/** The whole of a callback: does as odd_how says. */
gboolean odd_act(GError **error);

/** A call of the dispatcher that leads to one callback. */
typedef struct {
    const char *slot; /**< the callback's name */
    gboolean (*call)(GError **error);
    const char *about; /**< what of the callee the log names; NULL: nothing */
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

/** @error is INTERNAL and says that @slot did @what, which begins what it says of it. */
void odd_assert_broken(const OddDispatcher *dispatcher, const GError *error, const char *slot,
                       const char *what);
/** @log has a line with @begin, the time that the call took, and @end. */
void odd_assert_line(const char *log, const char *begin, const char *end);
