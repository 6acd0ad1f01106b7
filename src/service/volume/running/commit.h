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
 * domain uses, or the volume could not be emptied, the next replay of the journal completes it.
 */
gboolean running_commit(ImageChain *chain, unsigned flags, GError **error);

/**
 * Completes an earlier running_commit() of the volume, whose process has died or did not get
 * libvirt's answer. BUSY if that is not possible yet: a commit without a domain would write old
 * data to the base.
 */
gboolean running_commit_settle(const VolumeClaim *claim, GError **error);

/**
 * Completes an interrupted running_commit(): the definition of the domain decides whether it uses
 * the base. FALSE with UNREACHABLE if the block job has not ended. Errors of libvirt are returned.
 */
gboolean running_commit_replay(CstService *service, CstPoolState *state,
                               const CstIntentRecord *record, GError **error);
