/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "contract.h"

extern const Ground iscsi_ground, iscsi_direct_ground, scsi_ground, mpath_ground;
