/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Dry runs. A call that is a dry run takes the way of the real one through every check, and ends
 * before its first change with CST_ERROR_DRY_RUN, which goes up like any other error: what was
 * claimed is released and what was begun is undone by the code that does so after a failure. Only
 * whoever asked for the dry run takes that error for success. Another error is the one that the
 * real call would have ended with.
 *
 * Being in a dry run is a property of the calling thread, so that no layer has to pass it on.
 * Whoever runs work on behalf of others sets it before and clears it afterwards.
 */

/** Makes what this thread does a dry run from now on, or real again. */
void cst_dry_run_set(gboolean on);

/** Whether this thread is in a dry run. */
gboolean cst_dry_run(void);

/**
 * Call right before the first change of anything that lasts, once all checks are passed. TRUE:
 * go on. FALSE with CST_ERROR_DRY_RUN: this is a dry run, and it has ended well.
 */
gboolean cst_may_change(GError **error);
