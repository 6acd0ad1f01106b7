/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pause_worker.h"

/** The state of a worker. Each table of steps has its own. */
typedef struct PauseWorker PauseWorker;

/**
 * How the worker of a pause changes the domain: by libvirt (pause_libvirt.c), or by the monitor of
 * a QEMU that libvirt does not manage (pause_qmp.c).
 */
typedef struct {
    /** A step without an answer may still be executed when a later worker has its answer. */
    gboolean may_be_late;
    /** Returns the state, which is valid until the process ends. @setup stays valid, too. */
    PauseWorker *(*begin)(const PauseWorkerSetup *setup);
    /** Waits for the next step, or for the end of the watchdog. Receives events meanwhile. */
    void (*await)(PauseWorker *worker);
    /** By PauseStep. Each one sets the answer; PAUSE_STEP_QUIT is NULL. */
    void (*run[PAUSE_STEP_LAST])(PauseWorker *worker, PauseAnswer *answer);
} PauseSteps;

extern const PauseSteps pause_steps_libvirt, pause_steps_qmp;

/** Returns the table for a domain with this URI, or for a QEMU (qmp_uri.h). */
const PauseSteps *pause_steps_of(const char *uri);
