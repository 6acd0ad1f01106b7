/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's table, above the files that do the work, and the callbacks that need no more than
 * the definition and a stat. Every path goes through beneath.c; which directory is the pool's is
 * decided in target.c. A state holds no descriptor between calls, so an unmount is never in its
 * way.
 */
#include "dir.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include <base/error.h>
#include <base/i18n.h>

/* The target is not touched: a definition may be loaded before its storage is mounted. */
static CstPoolState *dir_open(const CstPoolDef *def, GError **error)
{
    DirState *state;

    if (!def->target_path || !g_path_is_absolute(def->target_path)) {
        cst_fail(error, CST_ERROR_INVALID, _("path '%s' is not absolute"),
                 def->target_path ? def->target_path : "");
        return NULL;
    }
    state = g_new0(DirState, 1);
    g_mutex_init(&state->lock);
    state->names = cst_sync_group_new(cst_dir_sync);
    state->head.def = cst_pool_def_copy(def);
    return &state->head;
}

static void dir_close(CstPoolState *state)
{
    DirState *dir = (DirState *)state;

    cst_sync_group_free(dir->names);
    g_mutex_clear(&dir->lock);
    cst_pool_def_free(state->def);
    g_free(dir);
}

/* Any failure to open the right target means "not active". */
static gboolean dir_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    *ret_active = cst_dir_target_open(state, &target, NULL);
    return TRUE;
}

/* Nothing is mounted by this type: the directory has to be there. */
static gboolean dir_start(CstPoolState *state, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    return cst_dir_target_open(state, &target, error);
}

static gboolean dir_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    struct statvfs fs;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    if (fstatvfs(target.fd, &fs) < 0)
        return cst_fail_errno(error, errno, _("cannot statvfs path '%s'"), target.path);
    ret_usage->mode = target.st.st_mode & 07777;
    ret_usage->uid = target.st.st_uid;
    ret_usage->gid = target.st.st_gid;
    ret_usage->capacity = (uint64_t)fs.f_frsize * fs.f_blocks;
    /* f_bfree and not f_bavail, as libvirt shows it: with what is reserved for root. */
    ret_usage->available = (uint64_t)fs.f_frsize * fs.f_bfree;
    ret_usage->allocation = ret_usage->capacity - ret_usage->available;
    return TRUE;
}

/* The target may be "/". */
static char *dir_vol_path(CstPoolState *state, const char *name)
{
    const char *target = state->def->target_path;

    return g_strconcat(target, g_str_has_suffix(target, "/") ? "" : "/", name, NULL);
}

/* Only direct entries of the directory are volumes. */
static char *dir_vol_resolve(CstPoolState *state, const char *path)
{
    const char *target = state->def->target_path;
    size_t len = strlen(target);

    if (strncmp(path, target, len) != 0)
        return NULL;
    if (len > 1) {
        if (path[len] != '/')
            return NULL;
        len++;
    }
    if (path[len] == '\0' || strchr(path + len, '/'))
        return NULL;
    return g_strdup(path + len);
}

/*
 * No vol_resize and no vol_children: files are images, which the image engine resizes and the
 * core's tables relate.
 */
const CstBackend cst_dir_backend = {
    .type = CST_POOL_DIR,
    .on_mounts = TRUE,
    .reserved_prefix = CST_DRAFT_PREFIX,
    .ends_dry_runs = TRUE,
    .open = dir_open,
    .close = dir_close,
    .check = dir_check,
    .scan = cst_dir_scan,
    .scan_one = cst_dir_scan_one,
    .usage = dir_usage,
    .vol_path = dir_vol_path,
    .vol_resolve = dir_vol_resolve,
    .build = cst_dir_build,
    .start = dir_start,
    .destroy = cst_dir_destroy,
    .drop_drafts = cst_dir_drop_drafts,
    .identity = cst_dir_identity,
    .expect = cst_dir_expect,
    .vol_reserve = cst_dir_vol_reserve,
    .vol_commit = cst_dir_vol_commit,
    .vol_abandon = cst_dir_vol_abandon,
    .vol_delete = cst_dir_vol_delete,
    .vol_declare = cst_dir_vol_declare,
    .vol_open = cst_dir_vol_open,
    .vol_holders = cst_dir_vol_holders,
    .snapshots = &cst_dir_snapshots,
    .watch_open = cst_dir_watch_open,
    .watch_read = cst_dir_watch_read,
};
