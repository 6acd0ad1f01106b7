/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/job.h>

#include "../../../src/hypervisor/block_protocol.h"
#include "pause_fixture.h"

/**
 * A domain of the fake libvirt whose disk vda has the layers "disk", "middle" and "base", and the
 * processes of its block job. "copy" is the destination of a copy.
 */

extern char *block_directory; /* of the entries */
extern CstHypervisorJobRequest block_request;
extern CstHypervisorVolume block_middle, block_base; /* layers below the top */

/** The domain runs. The request is a copy. */
int block_setup(void **unused);
/** Waits for the end of all processes. Fails if an entry or a job is left. */
int block_teardown(void **unused);

/** Changes the request to a pull, or to a commit of the top layer. */
void block_request_kind(CstHypervisorJobKind kind);

/** Begins a job. *ret_pivot: after a failure. */
CstHypervisorJob *block_begin_full(CstTask *task, CstHypervisorPivot *ret_pivot, GError **error);
CstHypervisorJob *block_begin(GError **error);
/** Begins a job, which must succeed. */
CstHypervisorJob *block_begin_ok(void);
/** Begins a copy or a commit of the top layer, which becomes ready. */
CstHypervisorJob *block_begin_ready(void);
/**
 * Fails unless a new job fails with the code, and @text in its message. It is certain that there is
 * no job.
 */
void assert_block_refused(CstErrorCode code, const char *text);
/** Likewise, with a pivot of the failure. */
void assert_block_begin_fails(CstErrorCode code, const char *text, CstHypervisorPivot pivot);
void block_wait_ok(CstHypervisorJob *job);
/** Waits until the wait fails. Fails unless it has the code, and @text in its message. */
void assert_block_fails(CstHypervisorJob *job, CstErrorCode code, const char *text);
/** Fails unless the pivot succeeds, with both definitions. */
void block_pivot_ok(CstHypervisorJob *job);
/** Fails unless the pivot fails with the result and the code, and @text in its message. */
void assert_pivot_fails(CstHypervisorJob *job, CstHypervisorPivot pivot, CstErrorCode code,
                        const char *text);

/** Whether the domain has a block job. */
gboolean block_job_exists(void);
/** Fails unless the layers of the running domain have the names, as "disk;middle;base". */
void assert_chain(const char *names);
/** Likewise, in its persistent definition. */
void assert_config(const char *names);
/** Sets the layers of both definitions. */
void block_set_chain(const char *names);
/** Waits until there is neither a job nor an entry. */
void await_block_closed(void);
/** Returns the process of the keeper; 0: there is none. */
pid_t find_block_keeper(void);
