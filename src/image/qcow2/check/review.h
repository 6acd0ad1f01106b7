/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "walk.h"

/**
 * The last pass of a check, after all references are counted. It finds tables that share their
 * clusters and COPIED flags that disagree with the refcounts, and repairs entries.
 */
typedef struct {
    Qcow2Walk *walk;   /**< borrowed; complete */
    gboolean fix;      /**< write corrected entries */
    gboolean ask_file; /**< compare flags with the file's counts, which differ from the walk's */
} Qcow2Review;

/** Runs the pass. Adds to errors and errors_fixed of @result. Flushes the repaired entries. @task
 * may be NULL. */
gboolean qcow2_review(Qcow2Review *review, CstImageCheck *result, CstTask *task, GError **error);
