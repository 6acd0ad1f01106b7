/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/hypervisor.h>
#include <model/consistency.h>

/**
 * A pause of a running domain, so that its disks can be copied as of one point in time.
 *
 * Three processes take part, so that the domain never stays paused or frozen because of Cistern:
 *
 *   caller --- watchdog --- worker --- libvirt, or the monitor of a QEMU
 *
 * The watchdog is this program (/proc/self/exe) in a session of its own. It calls no function of
 * libvirt, so it cannot hang. Before each step of the worker it writes the step to an entry in the
 * directory of the request. It resumes and thaws the domain when the caller ends, when the worker
 * ends, and when a limit has passed. If the watchdog ends, the worker does the same. If all end,
 * cst_hypervisor_pause_recover() does, at the next start.
 *
 * The order of the calls: begin, suspend, resume, end. Only the thread that began a pause uses it.
 */
typedef struct CstHypervisorPause CstHypervisorPause;

/** Seconds after which the watchdog resumes a domain that this program suspended. */
#define CST_HYPERVISOR_PAUSE_S 5
/** Seconds after which the watchdog ends a freeze. Shadow copies of Windows end after 10 s. */
#define CST_HYPERVISOR_FREEZE_S 8

/** All members are borrowed. */
typedef struct {
    /** Of the domain, as cst_hypervisor_find() or cst_qmp_domain_disk() returned them. */
    const char *uri, *uuid;
    const char *name; /**< of the domain, for messages; NULL: its UUID */
    /** Each one must have a file, and be the top layer of a disk of the domain. */
    const CstHypervisorVolume *volumes;
    guint n_volumes; /**< at least 1 */
    gboolean freeze; /**< freeze the file systems first, if the guest has an agent */
    /** Freeze only: the domain is neither suspended nor resumed. Its caller copies the disks by a
     * job of libvirt, which has a point in time of its own. */
    gboolean keep_running;
    /** Of the entries: on a file system in memory, such as below /run. Created with mode 0700. */
    const char *directory;
} CstHypervisorPauseRequest;

typedef struct {
    CstConsistency consistency; /**< CST_CONSISTENCY_FILESYSTEM or CST_CONSISTENCY_CRASH */
    char *reason;       /**< why it is not FILESYSTEM; NULL if it is. The caller frees it. */
    uint64_t paused_us; /**< microseconds for which the guest stood; 0: it was paused before */
    uint64_t frozen_us; /**< microseconds for which its file systems were frozen; 0: never */
} CstHypervisorPauseResult;

/**
 * Connects to the domain and checks that it may be paused; changes nothing. It must run, or be
 * paused by an administrator, who then keeps it paused. @task may be NULL and waits, as in
 * cst_hypervisor_find(). The caller holds no lock that a look-up of pools and volumes needs.
 *
 * Return: NULL with BUSY if the domain has a job, is stopped by an I/O error, is ending, or is
 * paused by another Cistern. A domain that ended processes have left paused is BUSY, too; this call
 * starts its repair. NOT_FOUND if it does not run, or a volume is not a disk of it. INVALID
 * for a shareable disk, and for a volume below the top of a disk. DENIED if other users can write
 * to the directory. TIMEOUT and FAILED as cst_hypervisor_find(). Each message names the domain and
 * the reason.
 */
CstHypervisorPause *cst_hypervisor_pause_begin(CstHypervisor *hypervisor,
                                               const CstHypervisorPauseRequest *request,
                                               CstTask *task, GError **error);

/**
 * Freezes the file systems if that was requested and the agent answers, then suspends the domain.
 * libvirt flushes the caches of all disks before this returns. The guest stands from here on, for
 * at most CST_HYPERVISOR_PAUSE_S. A freeze that fails is no error; the result has its reason.
 * With keep_running the guest runs, and the call returns at once if there is no agent to ask.
 *
 * Return: FALSE with TIMEOUT, FAILED or BUSY, and with NOT_FOUND if the domain has ended. The
 * domain is then running, or the watchdog resumes it.
 */
gboolean cst_hypervisor_pause_suspend(CstHypervisorPause *pause, GError **error);

/**
 * Resumes and thaws the domain, and verifies that it stood since cst_hypervisor_pause_suspend().
 *
 * Return: FALSE if it did not, or if that is unknown. The copies must then be dropped. INTERRUPTED
 * is reported as BUSY: another program resumed the domain. TIMEOUT: the limit had passed. With
 * keep_running a passed limit is no failure, but the reason of the level CRASH.
 */
gboolean cst_hypervisor_pause_resume(CstHypervisorPause *pause,
                                     CstHypervisorPauseResult *ret_result, GError **error);

/**
 * Ends the pause; resumes and thaws if that was not done. Blocks for up to a second; the watchdog
 * goes on if it needs longer. NULL is accepted.
 */
void cst_hypervisor_pause_end(CstHypervisorPause *pause);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstHypervisorPause, cst_hypervisor_pause_end)

/**
 * Starts a watchdog for each entry in @directory whose processes have ended. It resumes a domain
 * that this program suspended, and thaws a domain until its agent confirms it. A missing directory
 * has no entries. Returns without waiting for the repairs. Fails if an entry cannot be read; the
 * other entries are repaired nevertheless.
 */
gboolean cst_hypervisor_pause_recover(const char *directory, GError **error);
