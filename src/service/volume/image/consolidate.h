/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <service/pools.h>

/**
 * Resumes an interrupted cst_vol_consolidate() with the parameters of its job's file. If the
 * reference of the image was changed before the interruption, its declaration is completed, and the
 * layers that were to be deleted are deleted. Errors: as cst_vol_consolidate(); FAILED if @how
 * cannot be parsed.
 */
gboolean volume_consolidate_resume(CstPool *pool, const char *name, const char *how, CstTask *task,
                                   GError **error);
