/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "run.h"

/** Checks of the host: definitions, secrets, multipath devices and libvirt's machines. */
void doctor_check_host(DoctorRun *run);
