/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Pieces of work (blob/ceph.h) that were begun and that somebody holds still. */
guint ceph_works(void);
/** Waits until there are none, nothing is open, and nobody waits for an answer; FALSE: in vain. */
gboolean ceph_is_quiet(void);
/**
 * With @keep, takes a reference to each work that is made from now on, as a thread has that was
 * interrupted between finishing its work and letting go of it. Without, drops all of them.
 */
void ceph_works_keep(gboolean keep);
