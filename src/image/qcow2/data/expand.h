/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qcow2/snapshot/snaptable.h"
#include "qcow2/snapshot/switch.h"

/**
 * Replaces the entries that read as zeroes in the image and in its @snapshots (Qcow2Snapshot),
 * because version 2 has no such entries. They become unallocated if the image has no backing image,
 * else they refer to clusters full of zeroes. New tables and clusters belong to @change and are
 * unused before qcow2_switch_commit(). @walk is the result of qcow2_switch_walk(). Changes the L1
 * offsets in @snapshots, which the caller writes with qcow2_switch_put_snapshots(). UNSUPPORTED
 * when zeroes would have to be encrypted.
 */
gboolean qcow2_expand_zeroes(Qcow2Switch *change, const Qcow2Walk *walk, GArray *snapshots,
                             GError **error);
