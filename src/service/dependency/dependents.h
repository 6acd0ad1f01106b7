/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/image_report.h>

#include "core/claim.h"

/** Name of the row whose problem says how many more there are. */
#define VOLUME_MORE "..."

/**
 * Elements CstChainRow *: what would be lost with a claimed volume, each before its dependents;
 * level 0 depends on the volume. At most @most of them, and one more, VOLUME_MORE. @images: only
 * what would be lost with what the volume holds now.
 */
GPtrArray *volume_dependents(const VolumeClaim *claim, gboolean images, guint most, GError **error);

/** How many depend on it directly. */
gboolean volume_count_dependents(const VolumeClaim *claim, guint *ret_count, GError **error);
