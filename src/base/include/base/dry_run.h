/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Dry runs. A dry run makes every check of the real call. It ends before the first change with
 * CST_ERROR_DRY_RUN, which propagates like any other error. So the cleanup code for failures
 * releases claims and removes drafts. Only the caller that requested the dry run treats that error
 * as success. Any other error is the error that the real call would return.
 *
 * The dry run is a property of the calling thread, so that no layer has to pass it on. Code that
 * runs a request on behalf of a client sets it before and clears it afterwards.
 */

/** Sets or clears the dry run of this thread. */
void cst_dry_run_set(gboolean on);

/** Whether this thread is in a dry run. */
gboolean cst_dry_run(void);

/**
 * Call directly before the first lasting change, after all checks. Returns TRUE if the change may
 * be made. FALSE with CST_ERROR_DRY_RUN: this is a dry run, and all checks have passed.
 */
gboolean cst_may_change(GError **error);
