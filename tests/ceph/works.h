/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Pieces of work (blob/ceph.h) that were begun and that somebody holds still. */
guint ceph_works(void);
/** Waits until there is no such piece, no open image, and no completion. */
void ceph_await_quiet(void);
/**
 * Waits until the program has left the library (base/foreign.h) as often as it has entered it: once
 * for each connection. FALSE: in vain.
 */
gboolean ceph_has_left(void);
/**
 * With @keep, takes a reference to each work that is made from now on, as a thread has that was
 * interrupted between finishing its work and letting go of it. Without, drops all of them.
 */
void ceph_works_keep(gboolean keep);
