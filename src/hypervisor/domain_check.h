/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libvirt_library.h>

#include "pause_protocol.h"

/** Checks of a running domain before its disks are copied. Each failure sets the answer. */

/** Sets the outcome with a text of libvirt, which is untrusted. Always returns FALSE. */
gboolean pause_answer_fail(PauseAnswer *answer, PauseOutcome outcome, const char *message);
/** Sets the outcome to libvirt's last error. Always returns FALSE. */
gboolean pause_answer_fail_libvirt(PauseAnswer *answer);

gboolean domain_load_libraries(PauseAnswer *answer);
/** Reads the document of the domain. */
gboolean domain_read_def(virDomainPtr domain, CstDomainDef **ret_def, PauseAnswer *answer);
/** Likewise for its persistent definition. */
gboolean domain_read_persistent_def(virDomainPtr domain, CstDomainDef **ret_def,
                                    PauseAnswer *answer);
/**
 * Returns the disk of which the volume is the top layer. Returns NULL if there is no such disk, if
 * it is shareable, or if it has a block job.
 */
const CstDomainLayer *domain_check_volume(virConnectPtr conn, virDomainPtr domain,
                                          const CstHypervisorVolume *volume,
                                          const CstDomainDef *def, PauseAnswer *answer);
/**
 * Fails if a domain with this state of virDomainGetState() neither runs nor is paused by an
 * administrator. *ret_paused: it is paused.
 */
gboolean domain_check_state(int state, int reason, gboolean *ret_paused, PauseAnswer *answer);
/** Fails if the domain has a job. */
gboolean domain_check_job(virDomainPtr domain, PauseAnswer *answer);
