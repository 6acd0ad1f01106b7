/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fixture.h"

/**
 * Operations in which one step on the disk fails: making, changing or removing a name, a write, a
 * sync, a record of the service. A failed operation either leaves the state unchanged and succeeds
 * when it is repeated, so that no claim is left. Or it leaves its intent, and the next start
 * completes or undoes the operation. A successful operation is complete.
 */
typedef gboolean (*StepCall)(CstPool *p, CstPool *q, GError **error);

typedef struct {
    const char *name;
    StepCall call;
    StepCall before;  /**< NULL: not needed */
    gboolean deletes; /**< the file may be missing although the sync of its directory failed */
    gboolean stays;   /**< a failure may leave the new state */
} StepOperation;

/** Ends with a row without a name. */
extern const StepOperation step_operations[];

/** Returns the operation with that name, which must exist. */
const StepOperation *step_operation(const char *name);
/** Returns a text of the state after a successful operation. The caller frees it. */
char *step_after(void **state, const StepOperation *operation);
/**
 * Runs the operation in a new environment in which its @nth step (from 1) fails. Fails the test
 * unless the result is as described above. @after: result of step_after(). Returns FALSE if there
 * are fewer steps.
 */
gboolean step_fail(void **state, const StepOperation *operation, guint nth, const char *after);
/**
 * Makes another step fail: the @nth one from now on (from 1). Call it during step_fail(), after the
 * failure.
 */
void step_fail_again(guint nth);
