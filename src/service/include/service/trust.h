/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/declaration.h>
#include <model/image_report.h>
#include <service/pools.h>

/** What the administrator stands behind of the content of volumes; see docs/security-model.md. */

/**
 * Declares what @name's content is, and what it is based on. With CST_VOL_DECLARE_CONTENT whatever
 * the content names now is declared; without, INVALID or MISMATCH when the content is not what @how
 * says, and then no reference is. UNSUPPORTED for volumes that are no files.
 */
gboolean cst_vol_declare(CstPool *pool, const char *name, const CstVolDeclare *how, CstTask *task,
                         GError **error);

/** Which references of its volumes a pool follows that are not declared one by one. */
gboolean cst_pool_get_follow(CstPool *pool, CstFollow *ret_follow, GError **error);
gboolean cst_pool_set_follow(CstPool *pool, CstFollow follow, GError **error);
