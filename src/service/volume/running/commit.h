/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/journal.h>

#include "volume/image/image_chain.h"

/** Operation of the intent in the journal. */
#define RUNNING_COMMIT "commit-running"

/**
 * Commits the volume that a running domain has as its disk into image @chain->base of @chain, and
 * switches the domain to that image. Then empties the volume, and makes it refer to that image, so
 * that it has the same content. @chain is open with the domain, and the dependents of its images
 * were checked. @flags as for cst_vol_commit().
 *
 * Errors as running_job_start() and cst_hypervisor_job_pivot(). If it is not known which image the
 * domain uses, or the volume could not be emptied, a replay of the journal completes it. FAILED
 * also if the commit is complete, and the persistent definition of the domain does not name the
 * base.
 */
gboolean running_commit(ImageChain *chain, unsigned flags, GError **error);

/**
 * Checks that no interrupted running_commit() of a claimed volume is recorded. BUSY: the volume may
 * have old data. A commit without a domain would write them to the base, and another name would
 * hide the record.
 */
gboolean running_commit_is_settled(const VolumeClaim *claim, GError **error);

/**
 * Completes an interrupted running_commit(): the definition of the domain decides whether it uses
 * the base. FALSE if it has to be retried, and with STATE if only a user can decide.
 */
gboolean running_commit_replay(CstService *service, const CstIntentRecord *record, GError **error);
