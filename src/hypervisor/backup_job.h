/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libvirt_library.h>

#include "backup_protocol.h"
#include "domain_link.h"

/**
 * The backup job of a domain. All functions call libvirt and may hang. Each failure sets the
 * answer.
 */

typedef struct {
    DomainLink link;
    const char *uuid;
    const char *socket; /* of the job; no job of another program has it */
    gboolean event;     /* libvirt has reported an event since this was cleared */
    gboolean no_space;  /* libvirt has reported that a scratch file system is full */
    gboolean aborted;   /* backup_job_end() has aborted the job */
} BackupJob;

/** The facts about a domain before its backup. */
typedef struct {
    char *name;         /* of the domain */
    CstDomainDef *def;  /* of the domain */
    GPtrArray *exports; /* of BackupExport *: the disks of the request's volumes */
    char *refusal;      /* as in BackupAnswer */
    gint64 created;     /* the same */
    uid_t uid;          /* QEMU's user and group */
    gid_t gid;
    gboolean ran; /* no administrator has paused the domain */
} BackupPlan;

void backup_plan_clear(BackupPlan *plan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BackupPlan, backup_plan_clear)

/** As domain_link_open(), for the domain of the job. */
gboolean backup_job_connect(BackupJob *job, const char *uri, PauseAnswer *answer);
/** Registers for the events of the domain. */
gboolean backup_job_watch(BackupJob *job, PauseAnswer *answer);
/** Checks that the backup of the request may begin. */
gboolean backup_job_check(BackupJob *job, const BackupRequest *request, BackupPlan *ret_plan,
                          PauseAnswer *answer);
/** Gives up the new checkpoint. Returns FALSE if no disk was to be tracked. */
gboolean backup_plan_drop_checkpoint(BackupPlan *plan);
/**
 * Begins the job, with the changes since the bases of the request and with its checkpoint. If
 * libvirt refuses that, begins it without the changes, and then without the checkpoint, and sets
 * the losses of the bases.
 */
gboolean backup_job_begin(BackupJob *job, BackupRequest *request, BackupPlan *plan,
                          PauseAnswer *answer);
/**
 * Checks that the job goes on. PAUSE_ENDED: the domain has ended, and the job with it.
 * PAUSE_ABORTED: the domain has no such job.
 */
gboolean backup_job_look(BackupJob *job, PauseAnswer *answer);
/** Whether an I/O error has paused the domain; FALSE also after a failure. */
gboolean backup_job_has_io_error(BackupJob *job);
/** Aborts the job and waits until it has ended. Succeeds if there is no such job. */
gboolean backup_job_end(BackupJob *job, PauseAnswer *answer);
/** Resumes the domain if an I/O error has paused it. */
gboolean backup_job_resume(BackupJob *job, PauseAnswer *answer);
