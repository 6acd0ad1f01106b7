/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "walk.h"

/**
 * The second look of a check, once everything is counted: tables that share their place, COPIED
 * flags that do not agree with the refcounts, entries that can be mended.
 */
typedef struct {
    Qcow2Walk *walk;
    gboolean fix;
    gboolean ask_file; /**< the counts in the file differ from the walk's: flags go by the file's */
} Qcow2Review;

/** Adds to the errors of @result. */
gboolean qcow2_review(Qcow2Review *review, CstImageCheck *result, CstTask *task, GError **error);
