/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "contract.h"

extern const Ground gluster_ground, gluster_raw_ground;
