/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creation of snapshots of files, in one step or in two. The state on the disk after each step:
 *
 * - draft_begin: the synced directory of the volume's snapshots, and in it a draft that shares the
 *   extents of the volume's file at that time;
 * - draft_update: the draft has the present content. It is not synced. XFS passes over extents that
 *   are shared already, so the step is quick if few of them have changed;
 * - draft_commit: the draft has the attributes and the record, and is synced. It is renamed without
 *   replacing, and the directory is synced.
 *
 * A crash before the rename leaves a draft, which drop_drafts removes. The descriptors of the draft
 * stay open between the steps, so that no step has to look up a name again.
 */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>

struct CstSnapshotDraft {
    char *volume;
    char *name; /* of the future snapshot */
    CstDirHandle target;
    CstDirShelf shelf;
    CstFd from; /* the volume's file */
    CstFd copy; /* the draft's file, which has the lock */
    char *file; /* name of the draft; NULL: it was not created, or has become the snapshot */
    gboolean committed;
};

void cst_dir_snapshot_draft_end(CstPoolState *state, CstSnapshotDraft *draft)
{
    if (draft->file)
        cst_entry_remove(&draft->shelf.volume, draft->file, FALSE);
    if (!draft->committed && draft->shelf.volume.fd >= 0)
        cst_dir_shelf_tidy(&draft->target, &draft->shelf.all, draft->volume);
    cst_fd_clear(&draft->from);
    cst_fd_clear(&draft->copy);
    cst_dir_shelf_clear(&draft->shelf);
    cst_handle_clear(&draft->target);
    g_free(draft->volume);
    g_free(draft->name);
    g_free(draft->file);
    g_free(draft);
}

/* Opens the files of @draft and creates its copy. On failure the caller ends the draft. */
static gboolean snapshot_draft_open(CstPoolState *state, CstSnapshotDraft *draft, GError **error)
{
    struct statx st;

    if (!cst_dir_target_open(state, &draft->target, error))
        return FALSE;
    draft->from = cst_entry_open_file(&draft->target, draft->volume, O_RDONLY, error);
    if (draft->from < 0 ||
        !cst_dir_shelf_open(state, &draft->target, draft->volume, TRUE, &draft->shelf, error))
        return FALSE;
    if (cst_entry_stat(&draft->shelf.volume, draft->name, FALSE, &st))
        return cst_fail_snapshot_exists(draft->volume, draft->name, error);
    draft->copy = cst_dir_copy_to_draft(draft->from, &draft->shelf.volume, draft->volume,
                                        &draft->file, error);
    return draft->copy >= 0;
}

gboolean cst_dir_snapshot_draft_begin(CstPoolState *state, const char *volume, const char *name,
                                      CstSnapshotDraft **ret_draft, GError **error)
{
    CstSnapshotDraft *draft = g_new(CstSnapshotDraft, 1);

    *draft = (CstSnapshotDraft){.volume = g_strdup(volume),
                                .name = g_strdup(name),
                                .target = CST_DIR_HANDLE_NONE,
                                .shelf = CST_DIR_SHELF_NONE,
                                .from = -1,
                                .copy = -1};
    if (!snapshot_draft_open(state, draft, error)) {
        cst_dir_snapshot_draft_end(state, draft);
        return FALSE;
    }
    *ret_draft = draft;
    return TRUE;
}

/*
 * Shortens the draft first if the volume has become smaller. FICLONE does not shorten a file, and
 * refuses a longer one (EINVAL) unless the size of the source is a multiple of the block size.
 */
gboolean cst_dir_snapshot_draft_update(CstPoolState *state, CstSnapshotDraft *draft, GError **error)
{
    struct stat from, copy;

    if (!cst_entry_is(&draft->target, draft->volume, draft->from))
        return cst_fail(error, CST_ERROR_BUSY,
                        _("cannot make snapshot '%s' of volume '%s': the volume was replaced by "
                          "another file in the meantime; try again"),
                        draft->name, draft->volume);
    if (fstat(draft->from, &from) < 0 || fstat(draft->copy, &copy) < 0 ||
        (copy.st_size > from.st_size && ftruncate(draft->copy, from.st_size) < 0))
        return cst_fail_errno(error, errno, _("cannot copy volume '%s'"), draft->volume);
    return cst_dir_copy_share(draft->from, draft->copy, draft->volume, error);
}

/* The content must be durable before the rename makes it visible. */
gboolean cst_dir_snapshot_draft_commit(CstPoolState *state, CstSnapshotDraft *draft,
                                       const CstSnapshotCreate *how, GError **error)
{
    const CstDirHandle *dir = &draft->shelf.volume;

    cst_dir_copy_attributes(draft->from, draft->copy);
    cst_dir_record_write(draft->copy, how, draft->volume);
    if (!cst_dir_copy_sync(draft->copy, draft->volume, error))
        return FALSE;
    if (!cst_entry_rename_new(dir, draft->file, draft->name)) {
        if (errno == EEXIST)
            return cst_fail_snapshot_exists(draft->volume, draft->name, error);
        return cst_fail_errno(error, errno, _("cannot put a copy of volume '%s' in place"),
                              draft->volume);
    }
    CST_CRASH_POINT("snapshot.draft.renamed");
    g_clear_pointer(&draft->file, g_free);
    draft->committed = cst_dir_sync(dir->fd, draft->volume, error);
    if (!draft->committed)
        cst_entry_remove(dir, draft->name, FALSE);
    return draft->committed;
}

gboolean cst_dir_snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                 const CstSnapshotCreate *how, CstTask *task, GError **error)
{
    CstSnapshotDraft *draft = NULL;
    gboolean done;

    if (how->limit)
        return cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED,
                        _("snapshots of files have no size of their own"));
    if (!cst_dir_snapshot_draft_begin(state, volume, name, &draft, error))
        return FALSE;
    done = cst_dir_snapshot_draft_commit(state, draft, how, error);
    cst_dir_snapshot_draft_end(state, draft);
    return done;
}
