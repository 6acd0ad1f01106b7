/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "run.h"

/**
 * Checks the spaces of the active pool of the run that fill up while guests write, and whether LVM
 * watches them. May hang with the storage.
 */
void doctor_check_thin(DoctorRun *run);
