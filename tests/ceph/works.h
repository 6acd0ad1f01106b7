/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Pieces of work (blob/ceph.h) that were begun and that somebody holds still. */
guint ceph_works(void);
/** Waits until there are none, nothing is open, and nobody waits for an answer; FALSE: in vain. */
gboolean ceph_is_quiet(void);
