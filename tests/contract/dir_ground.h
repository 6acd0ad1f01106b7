/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "contract.h"

extern Ground dir_ground;
extern const Ground dir_qcow2_ground, dir_reflink_ground, fs_ground, nfs_ground, cifs_ground;
