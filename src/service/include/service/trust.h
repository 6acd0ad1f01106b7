/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/declaration.h>
#include <model/image_report.h>
#include <service/pools.h>

/** The administrator's declarations about the content of volumes; see docs/security-model.md. */

/**
 * Declares the format and the references of @name. With CST_VOL_DECLARE_CONTENT all references that
 * the content has now are declared. Without it, fails with INVALID or MISMATCH if the content
 * differs from @how. A failed call keeps the previous declaration. UNSUPPORTED for volumes that are
 * not files.
 */
gboolean cst_vol_declare(CstPool *pool, const char *name, const CstVolDeclare *how, CstTask *task,
                         GError **error);

/**
 * Returns the pool's follow policy: the references that are followed without individual
 * declarations. UNSUPPORTED if the volumes of the pool cannot reference files.
 */
gboolean cst_pool_get_follow(CstPool *pool, CstFollow *ret_follow, GError **error);
/** Sets the policy. It is durable when the call returns. */
gboolean cst_pool_set_follow(CstPool *pool, CstFollow follow, GError **error);
