/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/** Fails with STATE when the volume must not be deleted. With its claim held. */
gboolean volume_not_protected(CstPool *pool, const char *name, GError **error);
/** Says that the volume was made just now: what was said of one of its name is not true of it. */
void volume_is_new(CstPool *pool, const char *name);
