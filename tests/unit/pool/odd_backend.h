/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

#include "../odd.h"

/** A backend whose callbacks behave as configured, for tests of the dispatcher. */
extern CstBackend odd_backend;
extern CstSnapshotBackend odd_snapshots; /**< of odd_backend */

extern guint odd_closed;         /**< closed states */
extern const char *odd_found;    /**< name of the volume that scan_one returns; NULL: not found */
extern gint odd_hangs;           /**< touch hangs; atomic */
extern gboolean odd_gives_blob;  /**< vol_reserve returns a writable draft */
extern gboolean odd_gives_draft; /**< draft_begin returns a draft, and plan_begin a plan */
extern guint odd_drafts_ended;   /**< calls of draft_end */
