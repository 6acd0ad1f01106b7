/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attached_ground.h"
#include "dir_ground.h"
#include "logical_ground.h"
#include "rbd_ground.h"
#include "zfs_ground.h"

/* The backends of the product, from its own registry: a new one adds its ground here. */

const Ground *const grounds[] = {
    &dir_ground,          &dir_qcow2_ground, &dir_reflink_ground,  &fs_ground,  &nfs_ground,
    &cifs_ground,         &logical_ground,   &logical_thin_ground, &rbd_ground, &iscsi_ground,
    &iscsi_direct_ground, &scsi_ground,      &mpath_ground,        &zfs_ground, NULL};
