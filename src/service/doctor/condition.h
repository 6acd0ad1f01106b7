/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "run.h"

/**
 * Checks the state and the definition of the pool of the run. Waits at most DOCTOR_STORAGE_US for
 * its storage, and does not access it. Returns whether its storage can be checked: the pool is
 * active, and its storage answers.
 */
gboolean doctor_check_condition(DoctorRun *run);
/** Checks the health of the storage, its directory and its device. May hang with the storage. */
void doctor_check_storage(DoctorRun *run);
