/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "walk.h"

/**
 * The last pass of a check, after everything is counted: finds tables that share their place and
 * COPIED flags that do not agree with the refcounts, and mends entries.
 */
typedef struct {
    Qcow2Walk *walk;   /**< borrowed; complete */
    gboolean fix;      /**< write corrected entries */
    gboolean ask_file; /**< the counts in the file differ from the walk's and decide about flags */
} Qcow2Review;

/** Runs the pass. Adds to errors and errors_fixed of @result; flushes what it has fixed. @task may
 * be NULL. */
gboolean qcow2_review(Qcow2Review *review, CstImageCheck *result, CstTask *task, GError **error);
