/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list of the backends. To add a backend, add a line here. The order is not significant. */
#include <pool/registry.h>

#include <base/error.h>
#include <base/i18n.h>

#include "dir/dir.h"
#include "disk/disk.h"
#include "gluster/gluster.h"
#include "iscsi/iscsi.h"
#include "iscsi_direct/iscsi_direct.h"
#include "logical/logical.h"
#include "mount/mount.h"
#include "mpath/mpath.h"
#include "rbd/rbd.h"
#include "scsi/scsi.h"
#include "zfs/zfs.h"

static const CstBackend *const backends[] = {
    &cst_dir_backend,   &cst_disk_backend,         &cst_fs_backend,      &cst_gluster_backend,
    &cst_iscsi_backend, &cst_iscsi_direct_backend, &cst_logical_backend, &cst_mpath_backend,
    &cst_netfs_backend, &cst_rbd_backend,          &cst_scsi_backend,    &cst_zfs_backend,
};

/* NULL: this build has no backend for the type. */
static const CstBackend *backend_find(CstPoolType type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++)
        if (backends[i]->type == type)
            return backends[i];
    return NULL;
}

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    const CstBackend *backend = backend_find(type);

    if (!backend)
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("pools of type '%s' are not supported by this version"),
                 cst_pool_type_name(type));
    return backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return backend_find(type) != NULL;
}
