/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes of a directory pool: creation as drafts (draft.c), opening, and removal.
 *
 * A volume is complete or does not exist. Its draft is filled under a hidden name with mode 0600.
 * The commit sets owner and mode, syncs the content, renames without replacing, and syncs the
 * directory before the call returns. A process killed before the rename leaves the draft, which is
 * removed by its token or at the pool's next start. After the rename, the volume exists.
 */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/file_writers.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/process.h>
#include <image/hold.h>
#include <pool/device.h>

#define DEFAULT_MODE 0600 /* also for directories, as in libvirt */

/* --- drafts ----------------------------------------------------------------------------------- */

/*
 * Creates the file or directory and, for a file, its blob. The file has its owner from the
 * beginning, and no other user may read it yet.
 */
static gboolean dir_draft_create(const CstDirHandle *target, const char *name, const CstVolDef *def,
                                 CstVolDraft *draft, GError **error)
{
    g_auto(CstDirHandle) made = CST_DIR_HANDLE_NONE;
    g_auto(CstFd) fd = -1;
    struct statx st;

    /*
     * A directory gets its owner at the commit. Until then cst_handle_open_own() must recognise it
     * as belonging to this program.
     */
    if (def->type == CST_VOL_DIR)
        return cst_handle_open_own(target, name, TRUE, &made, error);
    fd = cst_dir_create_draft(target, name);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("Failed to create file '%s/%s'"), target->path,
                              def->name);
    CST_CRASH_POINT("vol.reserve.created");
    if (def->nocow && !cst_dir_turn_cow_off(fd))
        cst_log(CST_LOG_DEBUG, "cannot turn copy-on-write off: %s", g_strerror(errno));
    if (!cst_dir_set_owner(fd, def->name, &def->perms, error))
        return FALSE;
    if (cst_fd_stat(fd, &st))
        draft->id = (CstFileId){.inode = st.stx_ino, .btime_ns = cst_dir_btime_ns(&st)};
    draft->blob = cst_blob_file_new(g_steal_fd(&fd), def->name, TRUE, error);
    return draft->blob != NULL;
}

/*
 * Verifies that the backing file is accessible, like libvirt. It is not opened, because the image
 * only names it.
 */
static gboolean dir_check_backing(const CstVolDef *def, GError **error)
{
    if (!def->backing || !g_path_is_absolute(def->backing->path) ||
        cst_path_readable(def->backing->path))
        return TRUE;
    return cst_fail_errno(error, errno, _("inaccessible backing store volume %s"),
                          def->backing->path);
}

/* All checks come before the end of a dry run. The rename of the commit checks the name again. */
gboolean cst_dir_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error)
{
    g_autofree char *name = cst_dir_draft_name(draft->token);
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    struct statx st;

    if (!cst_dir_target_open(state, &target, error) || !dir_check_backing(def, error))
        return FALSE;
    if (cst_entry_stat(&target, def->name, FALSE, &st))
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
    draft->zeroed = TRUE;
    draft->shared = !target.is_private;
    if (!cst_handle_may_change(&target))
        return cst_fail_errno(error, errno, _("Failed to create file '%s/%s'"), target.path,
                              def->name);
    if (!cst_may_change(error))
        return FALSE;
    if (!dir_draft_create(&target, name, def, draft, error)) {
        cst_dir_remove_draft(&target, name);
        return FALSE;
    }
    draft->name = def->type == CST_VOL_DIR ? NULL : g_steal_pointer(&name);
    return TRUE;
}

/*
 * Sets the mode of a finished draft and, for a directory, its owner, and syncs it. @fd is the file
 * or the directory.
 */
static gboolean dir_draft_set_perms(int fd, const CstVolDef *def, GError **error)
{
    mode_t mode = def->perms.mode == CST_PERMS_UNSET ? DEFAULT_MODE : def->perms.mode & 07777;

    if (def->type == CST_VOL_DIR && !cst_dir_set_owner(fd, def->name, &def->perms, error))
        return FALSE;
    if (fchmod(fd, mode) < 0)
        return cst_fail_errno(error, errno, _("cannot set mode of '%s' to %04o"), def->name, mode);
    if (fsync(fd) < 0)
        return cst_fail_errno(error, errno, _("cannot sync data to file '%s'"), def->name);
    return TRUE;
}

/*
 * Renames the draft, which is open as @fd, to @name, and syncs the change. Fails with DENIED if the
 * name refers to another user's file, which is kept. If the sync fails, the volume becomes the
 * draft again, because the mark of its snapshots (shelf.c) names the draft. vol_abandon() finds the
 * snapshots by the mark.
 */
static gboolean dir_draft_rename(CstPoolState *state, const CstDirHandle *target, int fd,
                                 const char *draft, const char *name, GError **error)
{
    if (!cst_entry_rename_new(target, draft, name)) {
        if (errno == EEXIST)
            return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", name);
        return cst_fail_errno(error, errno, _("Failed to create file '%s/%s'"), target->path, name);
    }
    CST_CRASH_POINT("vol.commit.renamed");
    if (!cst_entry_is(target, name, fd))
        return cst_fail(error, CST_ERROR_DENIED,
                        _("volume '%s' was replaced by another file during its creation; check who "
                          "may write to '%s'"),
                        name, target->path);
    if (cst_dir_names_sync(state, target, error))
        return TRUE;
    if (!cst_entry_rename_new(target, name, draft))
        cst_dir_remove_draft(target, name);
    return FALSE;
}

/*
 * Syncs the content before the name appears, so that a volume is complete or missing. Then syncs
 * the directory, so that a volume that was reported as created survives a power cut.
 */
gboolean cst_dir_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error)
{
    g_autofree char *name = cst_dir_draft_name(draft->token);
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    g_auto(CstDirHandle) made = CST_DIR_HANDLE_NONE;
    gboolean placed;
    int fd;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    /*
     * Create the directory again if it is gone, because the start of another process may drop it
     * (draft.c).
     */
    if (!draft->blob && !cst_handle_open_own(&target, name, TRUE, &made, error))
        return FALSE;
    fd = draft->blob ? cst_blob_file_fd(draft->blob) : made.fd;
    if (!dir_draft_set_perms(fd, def, error))
        return FALSE;
    CST_CRASH_POINT("vol.commit.synced");
    if (!cst_dir_place_snapshots(&target, name, fd, def->name, &placed, error) ||
        !dir_draft_rename(state, &target, fd, name, def->name, error))
        return FALSE;
    if (placed)
        cst_dir_unmark_snapshots(&target, name, def->name);
    return TRUE;
}

/* The token comes from a journal file, but it must not lead out of the directory. */
gboolean cst_dir_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    g_autofree char *name = cst_dir_draft_name(token);
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    if (strchr(token, '/'))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' does not name a draft"), token);
    CST_TEST_POINT("dir.abandon");
    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    cst_dir_drop_snapshots_of(&target, name);
    if (!cst_dir_remove_draft(&target, name))
        return cst_fail_errno(error, errno, _("cannot unlink file '%s'"), name);
    return TRUE;
}

gboolean cst_dir_drop_drafts(CstPoolState *state, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    /* The drafts identify the owner of their snapshots, so the snapshots are removed first. */
    cst_dir_drop_snapshot_drafts(&target);
    cst_dir_drop_dead(&target);
    return TRUE;
}

/* --- existing volumes ------------------------------------------------------------------------- */

/*
 * Unlinks the entry, without a sync. A missing file is success. For a symbolic link, only the link
 * is removed.
 */
static gboolean dir_vol_unlink(const CstDirHandle *target, const char *name, unsigned flags,
                               GError **error)
{
    struct statx st = {0};
    gboolean is_dir;

    if (!cst_flags_check(flags, 0, "virStorageBackendVolDeleteLocal", error))
        return FALSE;
    if (!cst_entry_stat(target, name, FALSE, &st) && errno != ENOENT)
        return cst_fail_errno(error, errno, _("cannot stat file '%s'"), name);
    is_dir = S_ISDIR(st.stx_mode);
    if (cst_dry_run() && is_dir && !cst_entry_is_empty(target, name))
        return cst_fail_errno(error, errno, _("cannot remove directory '%s/%s'"), target->path,
                              name);
    if (!cst_handle_may_change(target))
        return cst_fail_errno(error, errno, _("cannot unlink file '%s/%s'"), target->path, name);
    if (!cst_may_change(error))
        return FALSE;
    CST_CRASH_POINT("vol.delete.before_unlink");
    if (!cst_entry_remove(target, name, is_dir) && errno != ENOENT) {
        if (is_dir)
            return cst_fail_errno(error, errno, _("cannot remove directory '%s/%s'"), target->path,
                                  name);
        return cst_fail_errno(error, errno, _("cannot unlink file '%s/%s'"), target->path, name);
    }
    CST_CRASH_POINT("vol.delete.unlinked");
    return TRUE;
}

static void dir_deletion_explain(const char *name, GError **error)
{
    g_prefix_error(error,
                   _("volume '%s' is deleted, but a power cut may undo that (check the disk, then "
                     "run sync): "),
                   name);
}

gboolean cst_dir_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    if (!cst_dir_target_open(state, &target, error) || !dir_vol_unlink(&target, name, flags, error))
        return FALSE;
    if (cst_dir_names_sync(state, &target, error))
        return TRUE;
    dir_deletion_explain(name, error);
    return FALSE;
}

gboolean cst_dir_vols_delete(CstPoolState *state, CstVolDeletion *deletions, guint count,
                             GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    g_autoptr(GError) why = NULL;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    for (guint i = 0; i < count; i++)
        dir_vol_unlink(&target, deletions[i].name, deletions[i].flags, &deletions[i].error);
    if (cst_dir_names_sync(state, &target, &why))
        return TRUE;
    for (guint i = 0; i < count; i++) {
        if (deletions[i].error)
            continue;
        deletions[i].error = g_error_copy(why);
        dir_deletion_explain(deletions[i].name, &deletions[i].error);
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

CstBlob *cst_dir_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    int fd;

    if (!cst_dir_name_is_volume(name)) {
        cst_fail_no_volume(name, error);
        return NULL;
    }
    if (!cst_dir_target_open(state, &target, error))
        return NULL;
    fd = cst_entry_open(&target, name, writable ? O_RDWR : O_RDONLY, error);
    return fd < 0 ? NULL : cst_blob_file_new(fd, name, writable, error);
}
