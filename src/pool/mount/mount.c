/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of both backends. open() accesses no storage, because a definition may be loaded while
 * its server is down.
 */
#include "mount.h"

#include <pool/device.h>

static CstPoolState *mount_open(const CstPoolDef *def, GError **error)
{
    g_autofree char *source = mount_source(def, error);
    g_autofree MountState *state = NULL;

    if (!source)
        return NULL;
    state = g_new0(MountState, 1);
    if (!cst_dir_state_init(&state->dir, def, error))
        return NULL;
    state->dir.admit = mount_admit;
    state->source = g_steal_pointer(&source);
    return &g_steal_pointer(&state)->dir.head;
}

static void mount_close(CstPoolState *state)
{
    MountState *mounted = (MountState *)state;

    cst_dir_state_clear(&mounted->dir);
    g_free(mounted->source);
    g_free(mounted->recorded);
    g_free(mounted);
}

/*
 * Reads the device itself, because cached content of the file system does not show the device's
 * state.
 */
static gboolean touch_device(const CstPoolDef *def, GError **error)
{
    g_autofree char *source = mount_source(def, error);

    return source && cst_device_touch(source, error);
}

static gboolean touch_target(const CstPoolDef *def, GError **error)
{
    return cst_path_touch(def->target_path, error);
}

#define MOUNT_CALLBACKS                                                                    \
    CST_DIR_VOLUMES, .open = mount_open, .close = mount_close, .check = mount_check,       \
                     .start = mount_start, .stop = mount_stop, .identity = mount_identity, \
                     .expect = mount_expect, .destroy = mount_destroy

const CstBackend cst_fs_backend = {
    .type = CST_POOL_FS,
    MOUNT_CALLBACKS,
    .touch = touch_device,
    .build = mount_build_fs,
};

const CstBackend cst_netfs_backend = {
    .type = CST_POOL_NETFS,
    MOUNT_CALLBACKS,
    .remote = TRUE,
    .touch = touch_target,
    .build = cst_dir_build,
    .discover = mount_discover,
};
