/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/** Jobs of the connection in memory: 3 runs, 4 failed for lack of space, 5 is done. */
typedef struct {
    uint64_t cancelled; /**< job that was asked to stop last */
    uint64_t limited;   /**< job whose limit was set last */
    uint64_t limit;
    gboolean detach;     /**< as set last */
    gint64 waited_until; /**< the last wait; 0: without end */
} FakeJobs;

extern FakeJobs fake_jobs;
