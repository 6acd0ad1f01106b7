/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Rights of a child that processes untrusted content (base/child.h). An attacker that takes over
 * the child gets only the rights and files that it was given. The child gains no privileges, has a
 * network namespace with no interface configured, dumps no core, cannot connect(2), and ends with
 * the thread that started it.
 *
 * If this process runs as root, the child gets another user and no supplementary groups. Its root
 * directory has the system's programs and a few devices, all read-only. It is alone in a PID
 * namespace, below an init that reaps its orphans, and all its processes end with it. The init
 * reports an end by a signal as the exit status 128 + signal.
 *
 * The child of an unprivileged user keeps that user's rights. If the kernel does not grant users a
 * network namespace, it keeps the network too.
 */
typedef struct {
    uid_t uid;        /**< user and group; 0: unchanged */
    gid_t group;      /**< a supplementary group with @uid; 0: no group */
    const char *file; /**< absolute path of a file that it may read, with @uid; NULL: no file */
    uint64_t memory;  /**< limit of the address space in bytes; 0: unlimited */
} CstConfine;

/** Exit status of a child that could not be confined; its stderr has the reason. */
#define CST_CONFINE_FAILED 125

/**
 * Chooses a user for @confine that has neither a name nor files, from the range that systemd uses
 * for dynamic users, 61184 to 65519. Sets 0 if this process cannot change its user.
 */
void cst_confine_choose_user(CstConfine *confine);

/**
 * Drops rights in a child before exec(). Ends the process if a right cannot be dropped. @program:
 * absolute path of the program that will run; NULL: unknown. @parent: pidfd of the process that
 * started the child.
 */
void cst_confine_enter(const CstConfine *confine, const char *program, int parent);
