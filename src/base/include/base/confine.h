/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Rights of a child that works on what strangers made (base/child.h): whoever takes it over has
 * what it was given and no more. It gains no rights, has a network of its own with nothing in it,
 * leaves no core, cannot connect(2), and ends with the thread that started it. When this process is
 * root's it has another user and no groups, and a root directory with the system's programs and a
 * few devices, all read only; it is alone in a PID namespace, below an init that reaps its orphans,
 * and no process of it is left when it ends. The init passes the end by a signal on as the exit
 * status 128 + signal. An ordinary user's child keeps that user's rights, and where the kernel
 * grants users no network of their own, the network too.
 */
typedef struct {
    uid_t uid;        /**< user and group; 0: those of this process */
    gid_t group;      /**< a further group with @uid; 0: none */
    const char *file; /**< absolute path of a file that it may read, with @uid; NULL: none */
    uint64_t memory;  /**< bytes of address space; 0: as many as it likes */
} CstConfine;

/** Exit status of a child that could not be confined; its stderr says why. */
#define CST_CONFINE_FAILED 125

/**
 * Chooses a user for @confine that has neither a name nor files: one of those that systemd gives
 * away for the time of a service, 61184 to 65519. 0 when this process may not become another.
 */
void cst_confine_choose_user(CstConfine *confine);

/**
 * Gives up rights, in a child before exec(): ends the process when one can't be. @program: the
 * absolute path of what will be run; NULL: it is not known. @parent: pidfd of the process that
 * started the child.
 */
void cst_confine_enter(const CstConfine *confine, const char *program, int parent);
