/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/** Fails with STATE if the volume is protected against deletion. Requires its claim. */
gboolean volume_not_protected(CstPool *pool, const char *name, GError **error);
/**
 * Removes the protection and the tags that a former volume of this name may have had. Call it after
 * the creation of a volume.
 */
void volume_is_new(CstPool *pool, const char *name);
