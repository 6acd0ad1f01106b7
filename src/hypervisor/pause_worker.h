/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pause_protocol.h"

/** The process that calls libvirt for a watchdog. Its members are borrowed. */
typedef struct {
    const PauseRequest *request;
    const unsigned *limits;
    int id;         /**< of the domain, for PAUSE_STEP_ATTACH */
    int socket;     /**< to the watchdog */
    pid_t watchdog; /**< its process */
} PauseWorkerSetup;

/** Runs the steps that the watchdog requests. Call it in a new process with one thread. */
void pause_worker_main(const PauseWorkerSetup *setup) G_GNUC_NORETURN;
