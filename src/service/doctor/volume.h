/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "run.h"

/** Checks a volume of the pool of the run by its record and its file. */
void doctor_check_volume(DoctorRun *run, const CstVolume *volume);
