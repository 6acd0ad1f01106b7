/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fixture.h"

/**
 * Operations of which one step on the disk fails: a name that is made, changed or removed, a write,
 * a sync, a record of the service. A failed operation leaves everything as it was, and succeeds
 * when it is repeated: no claim is left. Or it leaves its intent, and the next start completes or
 * undoes the operation. An operation that succeeds has done all of it.
 */
typedef gboolean (*StepCall)(CstPool *p, CstPool *q, GError **error);

typedef struct {
    const char *name;
    StepCall call;
    StepCall before;  /**< NULL: not needed */
    gboolean deletes; /**< the file may be gone although the sync of its directory failed */
    gboolean stays;   /**< a failure may leave what it should become */
} StepOperation;

/** Ends with a row without a name. */
extern const StepOperation step_operations[];

/** The operation of that name, which exists. */
const StepOperation *step_operation(const char *name);
/** Returns a text of the world after an operation that has succeeded; free it. */
char *step_after(void **state, const StepOperation *operation);
/**
 * Plays the operation in a new world with its @nth step (from 1) failing, and fails the test unless
 * all is as described above. @after: as step_after() returns it. FALSE: there are fewer steps.
 */
gboolean step_fail(void **state, const StepOperation *operation, guint nth, const char *after);
/** Within step_fail(), after the failure: the @nth step from now on (from 1) fails, too. */
void step_fail_again(guint nth);
