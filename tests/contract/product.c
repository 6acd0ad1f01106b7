/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dir_ground.h"
#include "logical_ground.h"
#include "rbd_ground.h"

/* The backends of the product, from its own registry: a new one adds its ground here. */

const Ground *const grounds[] = {&dir_ground,
                                 &dir_qcow2_ground,
                                 &dir_reflink_ground,
                                 &logical_ground,
                                 &logical_thin_ground,
                                 &rbd_ground,
                                 NULL};
