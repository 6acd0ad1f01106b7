/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <blob/blob.h>

/**
 * Calls over ranges of any length, divided into steps so that they can be cancelled. Storage that
 * allocates or zeroes by writing may need hours for terabytes. Between steps they check @task (may
 * be NULL) and fail with CANCELLED; they do not change its progress.
 */

/** Like cst_blob_allocate(). UNSUPPORTED means that no space has been allocated. */
gboolean cst_blob_allocate_steps(CstBlob *blob, uint64_t offset, uint64_t length, CstTask *task,
                                 GError **error);
/** Like cst_blob_zero(). */
gboolean cst_blob_zero_steps(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                             CstTask *task, GError **error);
