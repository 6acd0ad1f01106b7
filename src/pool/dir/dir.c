/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's table. Every path is opened through beneath.c. target.c decides which directory is
 * the pool's.
 */
#include "dir.h"

/* Does not access the target, because a definition may be loaded before its storage is mounted. */
static CstPoolState *dir_open(const CstPoolDef *def, GError **error)
{
    g_autofree CstDirState *dir = g_new0(CstDirState, 1);

    if (!cst_dir_state_init(dir, def, error))
        return NULL;
    return &g_steal_pointer(&dir)->head;
}

static void dir_close(CstPoolState *state)
{
    cst_dir_state_clear((CstDirState *)state);
    g_free(state);
}

/* Any failure to open the right target means "not active". */
static gboolean dir_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    *ret_active = cst_dir_target_open(state, &target, NULL);
    return TRUE;
}

/* The directory must exist, because this type mounts no file system. */
static gboolean dir_start(CstPoolState *state, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    return cst_dir_target_open(state, &target, error);
}

const CstBackend cst_dir_backend = {
    .type = CST_POOL_DIR,
    CST_DIR_VOLUMES,
    .open = dir_open,
    .close = dir_close,
    .check = dir_check,
    .check_touches = TRUE,
    .touch = cst_dir_touch,
    .may_hang = cst_dir_may_hang,
    .build = cst_dir_build,
    .destroy = cst_dir_destroy,
    .start = dir_start,
    .identity = cst_dir_identity,
    .expect = cst_dir_expect,
};
