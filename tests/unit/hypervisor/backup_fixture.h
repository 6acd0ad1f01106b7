/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/backup.h>

#include "../../../src/hypervisor/backup_protocol.h"
#include "pause_fixture.h"

/** A domain of the fake libvirt with two disks, and the processes that back it up. */

extern char *backup_directory; /* of the entries and sockets */
extern char *backup_scratch;   /* directory of the scratch files */
extern CstHypervisorBackupRequest backup_request;
extern CstHypervisorPauseResult backup_result; /* of the last begin */

/** The domain runs, with two file systems and an agent. The request has its disk vda. */
int backup_setup(void **unused);
/** Waits for the end of all processes. Fails if a file is left. */
int backup_teardown(void **unused);

CstHypervisorBackup *backup_begin(GError **error);
/** Begins a session, which must succeed with the level and the reason (NULL: without one). */
CstHypervisorBackup *backup_begin_ok(CstConsistency level, const char *reason);
/** Fails unless a new session fails with the code, and @text in its message. */
void assert_backup_refused(CstErrorCode code, const char *text);
/** Waits until check() fails. Fails unless it has the code, and @text in its message. */
void assert_backup_ends(CstHypervisorBackup *backup, CstErrorCode code, const char *text);

/** Sets the free bytes of the scratch file system. */
void backup_set_free(uint64_t bytes);
/** Whether the domain has a backup job. */
gboolean backup_job_exists(void);
/** Waits until there is no job, no file and no lock, and the domain is thawed. */
void await_closed(void);
/** Returns the process of the keeper; 0: there is none. */
pid_t find_keeper(void);
/** Returns the changes of the domain in their order: " FSFreeze BackupBegin". Free it. */
char *backup_changes(void);
