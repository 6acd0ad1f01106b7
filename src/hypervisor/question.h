/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/hypervisor.h>

#include "protocol.h"

/** A question to the helper process. All members are borrowed. */
typedef struct {
    HypervisorKind kind;
    const CstHypervisorVolume *volume;      /**< NULL: for DESCRIBE and DEFINE */
    const CstHypervisorDisk *disk;          /**< for HYPERVISOR_RESIZE; else NULL */
    const char *domain;                     /**< for HYPERVISOR_DESCRIBE; else NULL */
    const HypervisorDefinition *definition; /**< for HYPERVISOR_DEFINE; else NULL */
} HypervisorQuestion;

/** The answers to one question at several connections. */
typedef struct {
    GPtrArray *disks;   /**< of CstDomainDisk *, borrowed: the answer's disks are appended */
    GPtrArray *domains; /**< of CstDomain *, borrowed like @disks */
    gboolean answered;  /**< FALSE: libvirt does not run, or is not used */
    CstDiskFitness fitness;
    uint64_t capacity;
    gboolean sent; /**< the change, which libvirt did not refuse */
} HypervisorAnswer;

/** Returns the question as the helper reads it. */
GBytes *hypervisor_question_encode(const HypervisorQuestion *question);

/**
 * Decodes the answer of @uri, which another process has written. *ret_message is valid UTF-8; the
 * caller frees it. Returns FALSE if the answer is malformed.
 */
gboolean hypervisor_answer_decode(GBytes *bytes, const char *uri, HypervisorAnswer *ret_answer,
                                  HypervisorOutcome *ret_outcome, char **ret_message);
