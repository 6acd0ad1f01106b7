/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "contract.h"

/** For a ground whose callbacks fail and hang at will (pool/memory.h). */
extern const ContractTest fault_tests[];

/* --- each fault of each operation ------------------------------------------------------------- */

#define FAULT_VOLUME_SIZE   (6 * TAG_BLOCK)
#define FAULT_VOLUME_BLOCKS ((guint)(FAULT_VOLUME_SIZE / TAG_BLOCK))

typedef gboolean (*FaultRun)(Site *site, CstTask *task, GError **error);

/** Parts of volume "v" that a failure may leave in a third state. */
typedef enum {
    FAULT_WHOLE = 0,
    FAULT_CONTENT = 1 << 0,   /**< it is being overwritten */
    FAULT_SNAPSHOTS = 1 << 1, /**< they go one by one before the volume does */
    FAULT_EVENTS = 1 << 2     /**< the end of a stream is an event, even if it fails */
} FaultParts;

typedef struct {
    const char *name;
    FaultRun run;
    FaultRun before; /**< after the stage is set; NULL: nothing */
    FaultParts partly;
} FaultOperation;

/**
 * What is done to a pool with the volume "v", which holds 2 and whose snapshot "s" holds 1, and
 * with "w", which is empty. Ends with a row without a name.
 */
extern const FaultOperation fault_operations[];

/** Each call of each callback of each operation fails once (each_fault.c). */
void every_fault_is_told(Site *site);
