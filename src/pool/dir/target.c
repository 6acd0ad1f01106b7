/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Identifies the pool's directory: the target. Each call opens the target once, in this file. It
 * first compares the target with the directory that the pool was started with. While the file
 * system is not mounted, the path leads to the directory below, which must be neither read nor
 * written.
 *
 * The core supplies the expected identity (expect) as one line:
 *
 *     mounted=1 type=58465342 inode=128 device=2049 boot=UUID
 *
 * The line records whether the directory is the root of a mounted file system, and the type of that
 * file system. It also records the inode and device of the directory. Device numbers are valid only
 * until the next boot. After a boot, a directory that is mounted as before is accepted. From then
 * on its inode and device must match as well.
 *
 * A type that mounts its own directory verifies the target itself (CstDirState.admit). For such a
 * pool only inode and device are compared, until the next mount.
 *
 * state->lock guards the expected identity. It is not held while the directory is accessed.
 */
#include "dir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/uuid.h>

static void read_boot_id(char boot[CST_UUID_TEXT_LEN])
{
    g_autofree char *text = cst_kernel_read("/proc/sys/kernel/random/boot_id");

    g_strlcpy(boot, text ? g_strchomp(text) : "", CST_UUID_TEXT_LEN);
}

/* A directory is the root of a mounted file system if its parent is on another device. */
static gboolean dir_identity_read(const CstDirHandle *target, CstDirIdentity *ret, GError **error)
{
    struct statfs fs;
    struct stat above;

    if (!cst_handle_stat_above(target, &above) || fstatfs(target->fd, &fs) < 0)
        return cst_fail_errno(error, errno, _("cannot stat path '%s'"), target->path);
    ret->known = TRUE;
    ret->exact = TRUE;
    ret->mounted = target->st.st_dev != above.st_dev;
    ret->type = (unsigned long)fs.f_type;
    ret->inode = target->st.st_ino;
    ret->device = target->st.st_dev;
    return TRUE;
}

/*
 * Parses the recorded line. An invalid line sets no expectation. The UUID of the boot may be
 * missing.
 */
static void dir_identity_parse(const char *recorded, CstDirIdentity *ret)
{
    char was[CST_UUID_TEXT_LEN] = "", is[CST_UUID_TEXT_LEN];

    *ret = (CstDirIdentity){0};
    if (!recorded || sscanf(recorded, "mounted=%d type=%lx inode=%llu device=%llu boot=%36s",
                            &ret->mounted, &ret->type, &ret->inode, &ret->device, was) < 4)
        return;
    read_boot_id(is);
    ret->known = TRUE;
    /* Unknown boot ids ("") cannot be compared. */
    ret->exact = *is && strcmp(was, is) == 0;
}

static gboolean is_exactly(const CstDirIdentity *must, const CstDirHandle *target)
{
    return must->device == target->st.st_dev && must->inode == target->st.st_ino;
}

/* Fails with STATE if @is does not match @must. The message names the difference. */
static gboolean dir_identity_compare(const CstDirIdentity *must, const CstDirIdentity *is,
                                     const char *path, GError **error)
{
    if (!must->known)
        return TRUE;
    if (must->mounted && !is->mounted)
        return cst_fail(error, CST_ERROR_STATE,
                        _("'%s' was the root of a mounted file system and has no mount now; mount "
                          "it, or run pool-build to accept the directory"),
                        path);
    if (must->mounted && must->type != is->type)
        return cst_fail(error, CST_ERROR_STATE,
                        _("another file system is mounted on '%s' than when the pool was last "
                          "started; mount the right one, or run pool-build to accept this one"),
                        path);
    if (must->exact && (must->device != is->device || must->inode != is->inode))
        return cst_fail(error, CST_ERROR_STATE,
                        _("'%s' is not the directory that the pool was started with; restore it, "
                          "or restart the pool to accept this one"),
                        path);
    return TRUE;
}

static void set_expected(CstDirState *state, const CstDirIdentity *must)
{
    g_mutex_lock(&state->lock);
    state->must = *must;
    g_mutex_unlock(&state->lock);
}

/* Decides whether a directory with another inode or device is still the pool's. */
static gboolean dir_target_admit(CstDirState *dir, const CstDirIdentity *must,
                                 const CstDirHandle *target, GError **error)
{
    CstDirIdentity is = {0};

    if (!dir_identity_read(target, &is, error) ||
        !(dir->admit ? dir->admit(&dir->head, target, error)
                     : dir_identity_compare(must, &is, dir->head.def->target_path, error)))
        return FALSE;
    /* From now on the inode and device that were found after a boot or a mount must match. */
    set_expected(dir, &is);
    return TRUE;
}

/* In the usual case, an unchanged directory, the only cost is the fstat() of the open. */
gboolean cst_dir_target_open(CstPoolState *state, CstDirHandle *ret_target, GError **error)
{
    CstDirState *dir = (CstDirState *)state;
    CstDirIdentity must;

    if (!cst_handle_open(state->def->target_path, ret_target, error))
        return FALSE;
    g_mutex_lock(&dir->lock);
    must = dir->must;
    g_mutex_unlock(&dir->lock);
    if (must.known ? must.exact && is_exactly(&must, ret_target) : !dir->admit)
        return TRUE;
    if (dir_target_admit(dir, &must, ret_target, error))
        return TRUE;
    cst_handle_clear(ret_target);
    return FALSE;
}

gboolean cst_dir_expect(CstPoolState *state, const char *recorded, gboolean starting,
                        GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    CstDirIdentity must, is = {0};

    dir_identity_parse(recorded, &must);
    if (starting) {
        /*
         * A start accepts another directory of the same kind, such as a restored or recreated one.
         */
        must.exact = FALSE;
        if (!cst_handle_open(state->def->target_path, &target, error) ||
            !dir_identity_read(&target, &is, error) ||
            !dir_identity_compare(&must, &is, target.path, error))
            return FALSE;
        must = is;
    }
    set_expected((CstDirState *)state, &must);
    return TRUE;
}

char *cst_dir_identity(CstPoolState *state, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    char boot[CST_UUID_TEXT_LEN];
    CstDirIdentity id = {0};

    if (!cst_dir_target_open(state, &target, error) || !dir_identity_read(&target, &id, error))
        return NULL;
    read_boot_id(boot);
    return g_strdup_printf("mounted=%d type=%lx inode=%llu device=%llu boot=%s\n", id.mounted,
                           id.type, id.inode, id.device, boot);
}

gboolean cst_dir_names_sync(CstPoolState *state, const CstDirHandle *target, GError **error)
{
    return cst_sync_group_wait(((CstDirState *)state)->names, target->fd, target->path, error);
}
