/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "snaptable.h"
#include "switch.h"

/**
 * Replaces entries that read as zeroes, which version 2 does not have, in the image and in its
 * @snapshots: where nothing can show below they become unallocated, elsewhere clusters full of
 * zeroes. Takes part in @change: what is written is not in use before that is committed.
 * @walk is what qcow2_switch_walk() has found; @snapshots change and have to be put afterwards.
 * UNSUPPORTED when zeroes would have to be encrypted.
 */
gboolean qcow2_expand_zeroes(Qcow2Switch *change, const Qcow2Walk *walk, GArray *snapshots,
                             GError **error);
