/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "image_chain.h"

/**
 * Opens, for reading, the declared backing file of @owner, which is no volume of an active pool,
 * into @link. DENIED when it lies where others can write and is not declared by name.
 */
gboolean image_outside_open(ImageLink *link, const ImageLink *owner, GError **error);
