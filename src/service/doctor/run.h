/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/doctor.h>
#include <pool/mounts.h>

#include "core/pool.h"
#include "core/service.h"
#include "dependency/problem.h"

#include "user.h"

/** Longest wait for the storage of a pool that may hang, in microseconds. */
#define DOCTOR_STORAGE_US (2 * G_TIME_SPAN_SECOND)
/** Longest duration of a page of checks, in microseconds. */
#define DOCTOR_PAGE_US (4 * G_TIME_SPAN_SECOND)

/** The checks of one page. One thread has it. */
typedef struct {
    CstService *service;
    CstTask *task;       /* borrowed; NULL: not cancellable */
    GPtrArray *findings; /* of CstDoctorFinding * */
    gint64 until;        /* monotonic: end of the page */
    GPtrArray *mounts;   /* of CstMount * */
    DoctorUser *user;    /* NULL: libvirt's QEMU does not run on this host */
    GHashTable *walked;  /* set of the directories (char *) that were checked */
    VolumeBases *bases;  /* cache of volume_problem() */
    gboolean is_single;  /* one volume or path is checked, so more costly checks are made */

    /* Of the pool; NULL and zero without one. */
    CstPool *pool;
    CstPoolState *state;  /* NULL: the pool is not active */
    CstPoolDef *def;      /* a copy of the definition in force */
    CstPoolDef *next_def; /* a copy of the definition from the next start on */
    gboolean is_persistent, has_autostart, is_starting;
    gboolean is_redefined; /* it was redefined while active */
    guint files_left;      /* images that may be opened in this page */
} DoctorRun;

/** Makes a run with the mounts and the user of this moment. The caller frees it. */
DoctorRun *doctor_run_new(CstService *service, CstTask *task);
void doctor_run_free(DoctorRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DoctorRun, doctor_run_free)

/**
 * Adds a finding with the severity of the check @id. Consumes @repair, a command of
 * cst_doctor_command(), or NULL.
 */
void doctor_report(DoctorRun *run, const char *id, const char *object, char *repair,
                   const char *format, ...) G_GNUC_PRINTF(5, 6);
/** As doctor_report(), with another severity than that of the check. */
void doctor_report_as(DoctorRun *run, CstSeverity severity, const char *id, const char *object,
                      char *repair, const char *format, ...) G_GNUC_PRINTF(6, 7);

/** Whether the time of the page is over, or the task was cancelled. */
gboolean doctor_run_is_over(const DoctorRun *run);
/** Returns "POOL/VOLUME", which the caller frees. */
char *doctor_volume_object(const DoctorRun *run, const char *volume);
/** Returns the mount that has @path, borrowed; NULL: unknown. @path is absolute and canonical. */
const CstMount *doctor_mount_of(const DoctorRun *run, const char *path);
/** Returns the path of a file of the host below the root of the service. The caller frees it. */
char *doctor_root_path(const DoctorRun *run, const char *path);
/**
 * Reads the number @name of the request queue of the block device @device, or of the disk that has
 * it as a partition. FALSE: it is unknown.
 */
gboolean doctor_queue_number(const DoctorRun *run, dev_t device, const char *name,
                             guint64 *ret_number);
/** Returns @bytes as text with a unit; the caller frees it. */
char *doctor_size(uint64_t bytes);
