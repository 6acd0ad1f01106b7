/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/pause.h>

/**
 * A backup session of a running domain: libvirt exports disks of the domain over NBD, all as of one
 * point in time, while the guest goes on (virDomainBackupBegin(), pull mode).
 *
 * QEMU copies each block that the guest overwrites to a scratch file first. A full scratch file
 * system would stop the guest. So a process of its own, the keeper, holds the connection to libvirt
 * for the whole session and watches the free space. It is this program (/proc/self/exe) in another
 * session. It ends the job and removes all files when the caller ends, and when the session cannot
 * go on. If the keeper ends, cst_hypervisor_backup_recover() does that.
 */
typedef struct CstHypervisorBackup CstHypervisorBackup;

/** Maximum length of the path of a socket, in bytes. */
#define CST_HYPERVISOR_SOCKET_MAX 107

/** All members are borrowed. */
typedef struct {
    const char *uri, *uuid, *name; /**< as in CstHypervisorPauseRequest */
    /** Each one must have a file, and be the top layer of a disk that the guest can write. */
    const CstHypervisorVolume *volumes;
    guint n_volumes; /**< at least 1 */
    gboolean freeze; /**< freeze the file systems first, if the guest has an agent */
    /** Directory of the entries of pauses, as in CstHypervisorPauseRequest. */
    const char *pauses;
    /**
     * Absolute path of the directory of the entries and the sockets, on a file system in memory,
     * such as below /run. Created with mode 0711. QEMU's user must be able to search its parents,
     * and libvirt must see it in its own mount namespace. Not the directory of @pauses.
     */
    const char *directory;
    /**
     * Absolute path of an existing directory for the scratch files. Only root and this process's
     * user may write to it. QEMU's user must be able to search it. The guest's writes during the
     * session need space here, at most the size of the disks.
     */
    const char *scratch;
    uint64_t reserve; /**< bytes that must stay free on the file system of the scratch files */
    /**
     * Name of a new checkpoint of libvirt (cst_checkpoint_name_is_valid()), or NULL. QEMU records
     * from then on which parts of the qcow2 images the guest changes. The checkpoint stays after
     * the session. The next session with a checkpoint of the same repository deletes it, unless it
     * is a base.
     */
    const char *checkpoint;
    /**
     * Checkpoints of earlier sessions, one for each volume; NULL: the changes of the volume since
     * then are not exported. @bases NULL: of no volume.
     */
    const char *const *bases;
} CstHypervisorBackupRequest;

/**
 * Freezes the file systems if that was requested and the agent answers, begins the backup, and
 * thaws. *ret_result has the level: CST_CONSISTENCY_FILESYSTEM if the freeze lasted until the
 * backup had begun, else CST_CONSISTENCY_CRASH and the reason, which the caller frees. A domain
 * that an administrator has paused stays paused. @task may be NULL and waits, as in
 * cst_hypervisor_find(). It may be cancelled. The caller holds no lock that a look-up of pools and
 * volumes needs.
 *
 * Return: NULL with the errors of cst_hypervisor_pause_begin() and cst_hypervisor_pause_suspend().
 * BUSY also if the domain has a backup: of this or of another program. NO_SPACE if the scratch
 * space has less than the reserve. DENIED if other users can write to one of the directories.
 * INVALID for a read-only disk and for a path that is too long. TIMEOUT if libvirt does not begin
 * the backup in time. The domain is then running and thawed, or a process of its own ends the job
 * and the freeze.
 */
CstHypervisorBackup *cst_hypervisor_backup_begin(CstHypervisor *hypervisor,
                                                 const CstHypervisorBackupRequest *request,
                                                 CstTask *task,
                                                 CstHypervisorPauseResult *ret_result,
                                                 GError **error);

/**
 * Returns the path of the NBD server's socket, borrowed. Its directory belongs to QEMU's user and
 * has mode 0700.
 */
const char *cst_hypervisor_backup_socket(const CstHypervisorBackup *backup);
/** Returns the name of the export of a volume of the request, borrowed. */
const char *cst_hypervisor_backup_export(const CstHypervisorBackup *backup, guint volume);
/**
 * Returns the identity of the new checkpoint for the image of a volume: the domain, name and time
 * of the checkpoint, and the backing files of the image. The caller frees it. NULL: the checkpoint
 * does not have the disk, so its changes are not recorded.
 */
char *cst_hypervisor_backup_identity(const CstHypervisorBackup *backup, guint volume);
/**
 * Likewise for the base of a volume, with the backing files as they are now. The changes since the
 * base are complete only if this is the identity that the base had as a new checkpoint.
 */
char *cst_hypervisor_backup_base_identity(const CstHypervisorBackup *backup, guint volume);
/**
 * Returns the name of the metadata context with the changes of a volume since its base
 * (cst_blob_nbd_changes()). The caller frees it. Return: NULL with NOT_FOUND if libvirt or QEMU
 * have lost the changes, or if libvirt refuses to export them.
 */
char *cst_hypervisor_backup_changes(const CstHypervisorBackup *backup, guint volume,
                                    GError **error);

/**
 * Checks that the session goes on. Any thread. Does not wait, except for the start of a recovery if
 * the keeper was killed. After the end of a job the reason may follow up to a second later than the
 * failure of a reader. A reader whose data is complete must call this at its end.
 *
 * Return: FALSE if the session has ended. NO_SPACE: the scratch space had less than the reserve, or
 * a full one had stopped the guest, which was resumed. NOT_FOUND: the domain has ended. FAILED:
 * another program has ended the job, the connection to libvirt was lost, or the keeper was killed.
 * TIMEOUT: libvirt does not answer.
 */
gboolean cst_hypervisor_backup_check(CstHypervisorBackup *backup, GError **error);

/**
 * Ends the job, removes its files and frees @backup. Blocks for up to five seconds; the keeper goes
 * on if it needs longer. NULL is accepted.
 */
void cst_hypervisor_backup_end(CstHypervisorBackup *backup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstHypervisorBackup, cst_hypervisor_backup_end)

/**
 * Starts a process for each entry in @directory whose processes have ended. It ends the job only if
 * it is the one of the entry, and removes the files. Then removes the session directories in
 * @scratch that belong to no process and no entry, for example after a reboot. @scratch NULL: there
 * is none. A missing directory is empty. Returns without waiting for the processes. Fails if an
 * entry or a directory cannot be read; the other ones are recovered nevertheless.
 */
gboolean cst_hypervisor_backup_recover(const char *directory, const char *scratch, GError **error);
