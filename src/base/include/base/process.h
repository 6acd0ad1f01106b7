/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** Other processes of this host: in words for messages, and whether there is one that works on
 * something. */

/**
 * Returns the command name of process @pid (proc_pid_comm(5)) with whatever a terminal would act on
 * replaced by '?', or NULL when there is no such process. The caller frees it.
 */
char *cst_process_command(int64_t pid);

/** The pid of the process that process @pid is a child of; 0: there is no such process, or none. */
int64_t cst_process_parent(int64_t pid);

/**
 * Whether process @pid has been killed or has exited, and is still there because the kernel holds a
 * thread of it (hanging storage). It runs no further instruction of its program, but its
 * descriptors and locks stay. FALSE for 0 and for a process that is gone.
 */
gboolean cst_process_is_ending(int64_t pid);

/**
 * Describes process @pid for a message: "process 123 (qemu-system-x86, domain 'web1')", or as much
 * of it as can be found out; "another process" for 0. The domain is the one that libvirt's pid file
 * for QEMU names. The caller frees it.
 */
char *cst_process_describe(int64_t pid);

/**
 * Whether a process, this one not counted, has @text in its command line (proc_pid_cmdline(5)): for
 * texts that nobody else uses, a UUID.
 */
gboolean cst_process_is_about(const char *text);
