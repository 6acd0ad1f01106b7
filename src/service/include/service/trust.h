/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/declaration.h>
#include <model/image_report.h>
#include <service/pools.h>

/** What the administrator has declared of volumes' content; see docs/security-model.md. */

/**
 * Declares the format of @name's content and what it is based on. With CST_VOL_DECLARE_CONTENT
 * whatever the content names now is declared; without it, INVALID or MISMATCH when the content is
 * not what @how says, in which case the format is declared and no reference. UNSUPPORTED for
 * volumes that are no files.
 */
gboolean cst_vol_declare(CstPool *pool, const char *name, const CstVolDeclare *how, CstTask *task,
                         GError **error);

/**
 * Returns which references of its volumes the pool follows that are not declared one by one.
 * UNSUPPORTED for pools whose volumes name no files.
 */
gboolean cst_pool_get_follow(CstPool *pool, CstFollow *ret_follow, GError **error);
/** Sets the policy; it is on the disk when the call returns. */
gboolean cst_pool_set_follow(CstPool *pool, CstFollow follow, GError **error);
