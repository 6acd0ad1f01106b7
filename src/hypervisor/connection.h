/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/hypervisor.h>

/** Connections of hypervisor.c, for the other callers of helper processes. */

/** argv[0] of a helper process: this program. */
#define HYPERVISOR_PROGRAM "/proc/self/exe"

/** Seconds in which a helper process must have begun. */
#define HYPERVISOR_START_S 10

/** Fails if main() would run this whole program again instead of a helper. */
gboolean hypervisor_check_helper(GError **error);
/** Returns the limit of a question, in seconds. */
unsigned hypervisor_deadline(const CstHypervisor *hypervisor);
/**
 * Waits until no helper asks @uri, and registers the helper of this caller. Fails with the
 * remembered failure of @uri, and with TIMEOUT or CANCELLED. End it with hypervisor_end().
 */
gboolean hypervisor_begin(CstHypervisor *hypervisor, const char *uri, CstTask *task,
                          GError **error);
/** @failure: to remember for @uri; NULL: no failure of libvirt. */
void hypervisor_end(CstHypervisor *hypervisor, const char *uri, const GError *failure);
