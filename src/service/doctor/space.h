/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "run.h"

/** Checks the space of the active pool of the run. */
void doctor_check_space(DoctorRun *run);
