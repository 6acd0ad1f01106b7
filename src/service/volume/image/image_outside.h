/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "image_chain.h"

/**
 * Opens the declared backing file of @owner for reading into @link. The file is not a volume of an
 * active pool. DENIED if other users can write to its directory and it is not declared by name.
 */
gboolean image_outside_open(ImageLink *link, const ImageLink *owner, GError **error);
