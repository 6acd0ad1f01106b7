/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cancellable allocation and zeroing of long ranges.
 *
 * The length of a step adapts to the duration of the previous one. It doubles while the storage
 * only updates metadata, which keeps preallocation to a few large extents. It halves while the
 * storage writes data, so that the task is checked several times a second.
 */
#include <blob/steps.h>

#include <base/units.h>

#define STEP_FIRST (16 * CST_MIB)
#define STEP_MIN   (1 * CST_MIB)
#define STEP_MAX   (4 * CST_GIB)
#define FAST_US    (10 * G_TIME_SPAN_MILLISECOND) /* shorter steps double */
#define SLOW_US    (50 * G_TIME_SPAN_MILLISECOND) /* longer steps halve */

typedef gboolean (*StepFunc)(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                             GError **error);

static uint64_t next_step(uint64_t step, gint64 took)
{
    if (took < FAST_US)
        return MIN(step * 2, STEP_MAX);
    return took > SLOW_US ? MAX(step / 2, STEP_MIN) : step;
}

static gboolean run_in_steps(CstBlob *blob, uint64_t offset, uint64_t length, StepFunc func,
                             unsigned flags, CstTask *task, GError **error)
{
    uint64_t step = STEP_FIRST;

    for (uint64_t done = 0, n; done < length; done += n) {
        gint64 began = g_get_monotonic_time();

        n = MIN(step, length - done);
        if (!cst_task_check(task, error) || !func(blob, offset + done, n, flags, error))
            return FALSE;
        step = next_step(step, g_get_monotonic_time() - began);
    }
    return TRUE;
}

static gboolean allocate_step(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                              GError **error)
{
    return cst_blob_allocate(blob, offset, length, error);
}

gboolean cst_blob_allocate_steps(CstBlob *blob, uint64_t offset, uint64_t length, CstTask *task,
                                 GError **error)
{
    return run_in_steps(blob, offset, length, allocate_step, 0, task, error);
}

gboolean cst_blob_zero_steps(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                             CstTask *task, GError **error)
{
    return run_in_steps(blob, offset, length, cst_blob_zero, flags, task, error);
}
