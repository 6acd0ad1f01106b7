/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libvirt_library.h>

#include "block_entry.h"
#include "block_protocol.h"
#include "domain_link.h"

/**
 * The block job of a disk. All functions call libvirt and may hang. Each failure sets the answer;
 * PAUSE_LOST: the connection has failed, and block_job_connect() may open another one.
 */

typedef struct {
    DomainLink link;
    const BlockEntry *entry; /* the job */
    gboolean event;          /* libvirt has reported an event since this was cleared */
    gboolean finished;       /* libvirt has reported that a job of the type has ended */
    gboolean cancelled;      /* libvirt has reported that the job was aborted */
    gboolean aborted;        /* block_job_end() has aborted the job */
} BlockJob;

/** The facts about a domain before its job. */
typedef struct {
    char *document;           /* COPY: for virDomainBlockCopy() */
    gboolean shallow;         /* COPY: of the top layer only */
    char *top_ref, *base_ref; /* "vda[3]", as libvirt names layers; NULL: not given */
} BlockPlan;

void block_plan_clear(BlockPlan *plan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BlockPlan, block_plan_clear)

/** As domain_link_open(), for the domain of the job. Registers for its events. */
gboolean block_job_connect(BlockJob *job, PauseAnswer *answer);
/** Checks that the job of the request may begin. Sets the job in @entry, which is that of @job. */
gboolean block_job_check(BlockJob *job, const BlockRequest *request, BlockEntry *entry,
                         BlockPlan *ret_plan, PauseAnswer *answer);
/** Begins the job. */
gboolean block_job_begin(BlockJob *job, const BlockPlan *plan, uint64_t rate, PauseAnswer *answer);
/** Checks that the volume is the top layer of the disk. */
gboolean block_job_verify(BlockJob *job, const CstHypervisorVolume *volume, PauseAnswer *answer);

typedef enum {
    BLOCK_PHASE_ABSENT, /* the disk has no such job */
    BLOCK_PHASE_RUNS,
    BLOCK_PHASE_READY,
    BLOCK_PHASE_ENDS, /* libvirt pivots or aborts it */
} BlockPhase;

typedef struct {
    BlockPhase phase;
    uint64_t done, total;     /* bytes */
    gboolean complete;        /* the job has ended, and the disk has the layers of its success */
    CstHypervisorPivot pivot; /* of a job that has ended; NOT_PIVOTED while it exists */
} BlockView;

/** Reads the state of the job. PAUSE_ENDED: the domain has ended, and the job with it. */
gboolean block_job_look(BlockJob *job, BlockView *ret_view, PauseAnswer *answer);
gboolean block_job_set_rate(BlockJob *job, uint64_t rate, PauseAnswer *answer);
/** Switches the guest to the destination. */
gboolean block_job_switch(BlockJob *job, PauseAnswer *answer);
/**
 * Returns the image that the persistent definition names, as the result of a pivot. NOT_PIVOTED:
 * another image, or there is no such definition. UNKNOWN: it cannot be read, or its image is not a
 * layer of the running domain. *ret_named: it names the destination by its pool and volume.
 */
CstHypervisorPivot block_job_find_persistent(BlockJob *job, gboolean *ret_named);
/**
 * Aborts the job and waits until it has ended. Succeeds if there is no such job. *ret_view: the
 * last look at it.
 */
gboolean block_job_end(BlockJob *job, BlockView *ret_view, PauseAnswer *answer);
