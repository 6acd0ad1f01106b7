/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/hypervisor.h>

/**
 * A block job of one disk of a running domain: libvirt moves data between the images of the disk
 * while the guest goes on.
 *
 * A process of its own, the keeper, holds the connection to libvirt for the whole session. It is
 * this program (/proc/self/exe) in another session. It aborts the job when the caller ends, and
 * when the session cannot go on. The guest stays on its images then. A switch to another image that
 * has begun is never aborted: its result is read from the definition of the domain. If the keeper
 * ends, cst_hypervisor_job_recover() does that.
 */
typedef struct CstHypervisorJob CstHypervisorJob;

typedef enum {
    CST_HYPERVISOR_JOB_COPY,   /**< copy the disk to an existing destination, then pivot */
    CST_HYPERVISOR_JOB_PULL,   /**< copy the data of backing files to the disk's image */
    CST_HYPERVISOR_JOB_COMMIT, /**< copy the data of an image to a backing file of it */
    CST_HYPERVISOR_JOB_KIND_LAST
} CstHypervisorJobKind;

/** The result of a pivot. */
typedef enum {
    CST_HYPERVISOR_NOT_PIVOTED,   /**< the guest uses its image of before */
    CST_HYPERVISOR_PIVOTED,       /**< the guest uses the destination */
    CST_HYPERVISOR_PIVOT_UNKNOWN, /**< one of both; remove neither */
    CST_HYPERVISOR_PIVOT_LAST
} CstHypervisorPivot;

/** All members are borrowed. Each volume must have a file. */
typedef struct {
    CstHypervisorJobKind kind;
    const char *uri, *uuid;            /**< of the domain, as cst_hypervisor_find() returned them */
    const char *name;                  /**< of the domain, for messages; NULL: its UUID */
    const CstHypervisorVolume *volume; /**< the top layer of the disk */
    /** COMMIT: the image that is committed; NULL: the top layer. Its file remains. */
    const CstHypervisorVolume *top;
    /** COMMIT: the image that gets the data; NULL: the one directly below @top. Its pool and volume
     * and those of @volume decide whether the persistent definition names the base. PULL: the
     * backing file that remains; NULL: none. */
    const CstHypervisorVolume *base;
    /** COPY: absolute path of the destination. The caller has created it as an image of
     * @destination_format with the size of the disk. QEMU's user must be able to search its
     * parents. */
    const char *destination, *destination_format;
    /** COPY: pool and name of the destination. If the persistent definition names @volume by its
     * pool and name, it gets these in their place after the pivot. NULL: it names the path. */
    const char *pool, *pool_volume;
    gboolean is_device; /**< the destination is a block device */
    gboolean shallow;   /**< COPY: only the top layer; the destination has its backing file */
    gboolean transient; /**< accept a domain without a persistent definition */
    uint64_t rate;      /**< bytes per second; 0: no limit */
    /** Of the entries: on a file system in memory, such as below /run. Created with mode 0700. Not
     * a directory of pauses or backups. */
    const char *directory;
} CstHypervisorJobRequest;

/**
 * Checks the domain and begins the job. @task may be NULL and waits, as in cst_hypervisor_find().
 * The caller holds no lock that a look-up of pools and volumes needs. A dry run (base/dry_run.h)
 * makes the same checks, without those of the destination, which need not exist.
 *
 * Return: NULL with BUSY if the domain or the disk has a job, if an I/O error has stopped the
 * domain, or if another session has the domain. If the processes of that session were killed, this
 * call starts their repair. NOT_FOUND if the domain does not run, or a volume is not a layer of its
 * disk. INVALID for a shareable or read-only disk, for a volume below the top of a disk, for a
 * transient domain, and for a destination that a disk of the domain has already. TIMEOUT and FAILED
 * as cst_hypervisor_find(). CANCELLED. *ret_pivot decides about the destination of a COPY then:
 *
 *     NOT_PIVOTED   this call has begun no job, or its job has ended. The caller may remove it
 *     PIVOTED       another program has pivoted the job. The guest uses the destination
 *     UNKNOWN       libvirt has not answered. The job may begin later, and a process goes on that
 *                   aborts it. Do not remove the destination, and do not use it for another job
 *
 * Failures before libvirt was asked for the job, and refusals by libvirt, are NOT_PIVOTED.
 */
CstHypervisorJob *cst_hypervisor_job_begin(CstHypervisor *hypervisor,
                                           const CstHypervisorJobRequest *request, CstTask *task,
                                           CstHypervisorPivot *ret_pivot, GError **error);

/** Returns the disk of the job, borrowed: "vda". */
const char *cst_hypervisor_job_target(const CstHypervisorJob *job);

/**
 * Waits until a pivot is possible (COPY, COMMIT of the top layer), or until the job is done. @task
 * gets the progress, limits the rate, and can cancel the wait; the job goes on then. NULL: cannot
 * be cancelled. Needs no look-up of libvirt, so @task does not count as waiting.
 *
 * Return: FALSE if the job has ended otherwise. FAILED: the job failed, for example because its
 * destination is full; another program has ended it; the connection to libvirt was lost for too
 * long; or the keeper was killed. NOT_FOUND: the domain has ended. TIMEOUT: libvirt does not
 * answer. CANCELLED.
 */
gboolean cst_hypervisor_job_wait(CstHypervisorJob *job, CstTask *task, GError **error);

/**
 * Returns the progress as of the last call of this function or of cst_hypervisor_job_wait(). The
 * total grows with the writes of the guest; 0: not known. Any thread. Does not wait.
 */
CstProgress cst_hypervisor_job_progress(CstHypervisorJob *job);

/**
 * Limits the rate from now on, in bytes per second; 0: no limit. Any thread. Waits for libvirt.
 * Return: FALSE with the errors of cst_hypervisor_job_wait(), or with FAILED if libvirt refuses.
 */
gboolean cst_hypervisor_job_set_rate(CstHypervisorJob *job, uint64_t rate, GError **error);

typedef struct {
    CstHypervisorPivot pivot;
    gboolean live; /**< the definition of the running domain names the destination */
    /** Its persistent definition does, or names an overlay on it. FALSE: it names another image, or
     * there is none, unless @persistent_unknown. */
    gboolean persistent;
    gboolean persistent_unknown; /**< it cannot be read, or names an image of another chain */
    /** It names the destination by its pool and its name. FALSE: by its path. */
    gboolean named;
    /** Why it could not be changed so; NULL: it was, or it named no volume before. Borrowed from
     * the job. */
    const char *reason;
} CstHypervisorPivotResult;

/**
 * Switches the guest to the destination: of a COPY, or the base of a COMMIT of the top layer. Call
 * it after cst_hypervisor_job_wait(). The definitions of the domain decide about *ret_result, which
 * is set in any case. If libvirt's answer is lost, they are read until they are certain.
 *
 * Return: TRUE for CST_HYPERVISOR_PIVOTED. After CST_HYPERVISOR_NOT_PIVOTED the job may go on, so
 * that a pivot can be tried again. After CST_HYPERVISOR_PIVOT_UNKNOWN a process goes on, which
 * aborts the job unless the guest was switched. INVALID: the copy is not complete, or the job is of
 * another kind.
 */
gboolean cst_hypervisor_job_pivot(CstHypervisorJob *job, CstHypervisorPivotResult *ret_result,
                                  GError **error);

/**
 * Aborts the job unless it has ended, and frees @job. Blocks for up to five seconds; the keeper
 * goes on if it needs longer. NULL is accepted.
 *
 * Return: whether the guest uses the destination. Another program may have pivoted. UNKNOWN: the
 * job may not have ended; the caller must not remove a file. PULL, and COMMIT of another layer:
 * NOT_PIVOTED, but a job that is done has changed the backing files.
 */
CstHypervisorPivot cst_hypervisor_job_end(CstHypervisorJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstHypervisorJob, cst_hypervisor_job_end)

/**
 * Starts a process for each entry in @directory whose processes have ended. It aborts the job only
 * if it is the one of the entry, and never after a pivot. A pull or a commit has no name in
 * libvirt, so one that another program began on the disk meanwhile counts as that of the entry. A
 * missing directory has no entries. Returns without waiting for the processes. Fails if an entry
 * cannot be read; the other ones are recovered nevertheless.
 */
gboolean cst_hypervisor_job_recover(const char *directory, GError **error);
