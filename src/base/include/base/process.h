/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** Other processes of this host: their description for messages, and searches for them. */

/**
 * Returns the command name of process @pid (proc_pid_comm(5)), or NULL if the process does not
 * exist. Characters that are not printable are replaced by '?'. The caller frees it.
 */
char *cst_process_command(int64_t pid);

/**
 * Returns the start time of process @pid in the kernel's ticks since boot; 0 if it does not exist.
 * A pid is used again, but not with the same start time. *ret_state (may be NULL): the state of
 * proc_pid_stat(5), such as 'Z'.
 */
uint64_t cst_process_start(int64_t pid, char *ret_state);

/** Returns the pid of the parent of process @pid; 0 if the process or its parent does not exist. */
int64_t cst_process_parent(int64_t pid);

/**
 * Whether process @pid has been killed or has exited, but still exists because the kernel holds a
 * thread of it (hanging storage). The process runs no further instruction of its program, but its
 * descriptors and locks remain. FALSE for 0 and for a process that does not exist.
 */
gboolean cst_process_is_ending(int64_t pid);

/**
 * Describes process @pid for a message: "process 123 (qemu-system-x86, domain 'web1')", or the part
 * of it that can be found out; "another process" for 0. The domain comes from libvirt's pid files
 * for QEMU. The caller frees the result.
 */
char *cst_process_describe(int64_t pid);

/** Whether a process has the command name @name (proc_pid_comm(5)), at most 15 characters. */
gboolean cst_process_runs(const char *name);

/**
 * Whether a process other than this one has @text in its command line (proc_pid_cmdline(5)). Use it
 * for unique texts, such as a UUID.
 */
gboolean cst_process_is_about(const char *text);
