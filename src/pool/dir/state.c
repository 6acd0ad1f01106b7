/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of a pool of files, and the callbacks that need only the definition and a stat. A state
 * holds no descriptor between calls, so it never blocks an unmount.
 */
#include "dir.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include <base/error.h>
#include <base/i18n.h>

gboolean cst_dir_state_init(CstDirState *dir, const CstPoolDef *def, GError **error)
{
    if (!def->target_path || !g_path_is_absolute(def->target_path))
        return cst_fail(error, CST_ERROR_INVALID, _("path '%s' is not absolute"),
                        def->target_path ? def->target_path : "");
    g_mutex_init(&dir->lock);
    dir->names = cst_sync_group_new(cst_dir_sync);
    dir->head.def = cst_pool_def_copy(def);
    return TRUE;
}

void cst_dir_state_clear(CstDirState *dir)
{
    cst_sync_group_free(dir->names);
    g_mutex_clear(&dir->lock);
    cst_pool_def_free(dir->head.def);
}

gboolean cst_dir_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    struct statvfs fs;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    if (fstatvfs(target.fd, &fs) < 0)
        return cst_fail_errno(error, errno, _("cannot statvfs path '%s'"), target.path);
    /* Permission bits only, as in libvirt, because a definition has no other bits. */
    ret_usage->mode = target.st.st_mode & 0777;
    ret_usage->uid = target.st.st_uid;
    ret_usage->gid = target.st.st_gid;
    ret_usage->capacity = (uint64_t)fs.f_frsize * fs.f_blocks;
    /*
     * Uses f_bfree like libvirt, not f_bavail, so the blocks reserved for root count as available.
     */
    ret_usage->available = (uint64_t)fs.f_frsize * fs.f_bfree;
    ret_usage->allocation = ret_usage->capacity - ret_usage->available;
    ret_usage->room = cst_room_of(target.fd);
    return TRUE;
}

/* The target may be "/". */
char *cst_dir_vol_path(CstPoolState *state, const char *name)
{
    const char *target = state->def->target_path;

    return g_strconcat(target, g_str_has_suffix(target, "/") ? "" : "/", name, NULL);
}

/* Only direct entries of the directory are volumes. */
char *cst_dir_vol_resolve(CstPoolState *state, const char *path)
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
