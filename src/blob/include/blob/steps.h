/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <blob/blob.h>

/**
 * Calls over ranges of any length, in steps that @task (NULL: nobody) may end with CANCELLED: where
 * the storage does what is asked by writing, terabytes of it can't be taken back. The task's
 * progress is the caller's.
 */

/** cst_blob_allocate(); UNSUPPORTED, before anything has been done, is the caller's to handle. */
gboolean cst_blob_allocate_steps(CstBlob *blob, uint64_t offset, uint64_t length, CstTask *task,
                                 GError **error);
/** cst_blob_zero(). */
gboolean cst_blob_zero_steps(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                             CstTask *task, GError **error);
