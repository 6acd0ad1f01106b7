/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Directories of the snapshots of files: TARGET/.cistern-snapshots/VOLUME, one for each volume that
 * has snapshots. Only this program uses both directories (cst_handle_open_own()). A user with write
 * access to the target can remove them, or replace them by other entries, which are then refused.
 * Each one is opened relative to its parent, because a path of two parts would guard only the last
 * part.
 *
 * The snapshots of a draft are in a directory with the draft's name. The directory is renamed to
 * the volume's name right before the draft itself. During this step the directory holds a mark: a
 * hard link to the draft's file. After a crash the mark identifies the owner of the snapshots.
 */
#include "dir.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

/* The removal of another volume's last snapshot may remove the upper directory. */
#define MAKE_TRIES 8

void cst_dir_shelf_clear(CstDirShelf *shelf)
{
    cst_handle_clear(&shelf->volume);
    cst_handle_clear(&shelf->all);
}

/* Returns TRUE with descriptors of -1 if directories are missing and @make is FALSE. */
static gboolean snapshot_dir_try_open(const CstDirHandle *target, const char *volume, gboolean make,
                                      CstDirShelf *ret_shelf, GError **error)
{
    *ret_shelf = CST_DIR_SHELF_NONE;
    if (!cst_handle_open_own(target, CST_SNAPSHOT_DIR, make, &ret_shelf->all, error))
        return FALSE;
    return ret_shelf->all.fd < 0 ||
           cst_handle_open_own(&ret_shelf->all, volume, make, &ret_shelf->volume, error);
}

gboolean cst_dir_shelf_open(CstPoolState *state, const CstDirHandle *target, const char *volume,
                            gboolean make, CstDirShelf *ret_shelf, GError **error)
{
    for (guint tries = MAKE_TRIES;; tries--) {
        g_autoptr(GError) why = NULL;
        gboolean ours;

        if (snapshot_dir_try_open(target, volume, make, ret_shelf, &why))
            break;
        /* A directory of another user is refused and never removed. */
        ours = ret_shelf->all.fd >= 0;
        cst_dir_shelf_clear(ret_shelf);
        if (tries == 1 || !g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND)) {
            if (make && ours)
                cst_entry_remove(target, CST_SNAPSHOT_DIR, TRUE);
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
    }
    if (!make || (cst_dir_sync(ret_shelf->all.fd, ret_shelf->all.path, error) &&
                  cst_dir_names_sync(state, target, error)))
        return TRUE;
    cst_dir_shelf_tidy(target, &ret_shelf->all, volume);
    return FALSE;
}

void cst_dir_shelf_tidy(const CstDirHandle *target, const CstDirHandle *all, const char *volume)
{
    if (cst_entry_remove(all, volume, TRUE))
        cst_entry_remove(target, CST_SNAPSHOT_DIR, TRUE);
}

/* --- a volume's name -------------------------------------------------------------------------- */

gboolean cst_dir_has_snapshots(const CstDirHandle *target, const char *volume)
{
    g_auto(CstDirHandle) all = CST_DIR_HANDLE_NONE;
    struct statx st;

    return cst_handle_open_own(target, CST_SNAPSHOT_DIR, FALSE, &all, NULL) && all.fd >= 0 &&
           cst_entry_stat(&all, volume, FALSE, &st);
}

gboolean cst_dir_move_snapshots(const CstDirHandle *target, const char *from, const char *to,
                                GError **error)
{
    g_auto(CstDirHandle) all = CST_DIR_HANDLE_NONE;

    if (!cst_handle_open_own(target, CST_SNAPSHOT_DIR, FALSE, &all, error))
        return FALSE;
    if (all.fd < 0)
        return TRUE;
    if (!cst_entry_rename_new(&all, from, to)) {
        if (errno == ENOENT)
            return TRUE;
        if (errno == EEXIST || errno == ENOTEMPTY)
            return cst_fail(error, CST_ERROR_EXISTS,
                            _("there are snapshots of a former volume '%s' in '%s'"), to, all.path);
        return cst_fail_errno(error, errno, _("cannot rename the snapshots of volume '%s'"), from);
    }
    if (cst_dir_sync(all.fd, all.path, error))
        return TRUE;
    /* The volume keeps the name @from, so its snapshots must be found by this name. */
    cst_entry_rename_new(&all, to, from);
    return FALSE;
}

/* --- drafts ----------------------------------------------------------------------------------- */

gboolean cst_dir_place_snapshots(const CstDirHandle *target, const char *draft, int fd,
                                 const char *volume, gboolean *ret_placed, GError **error)
{
    g_auto(CstDirShelf) shelf = CST_DIR_SHELF_NONE;

    *ret_placed = FALSE;
    if (!snapshot_dir_try_open(target, draft, FALSE, &shelf, error))
        return FALSE;
    if (shelf.volume.fd < 0)
        return TRUE;
    if (!cst_entry_link_open(&shelf.volume, fd, draft))
        return cst_fail_errno(error, errno, _("cannot mark the snapshots of volume '%s'"), volume);
    CST_CRASH_POINT("snapshot.shelf.marked");
    if (!cst_dir_sync(shelf.volume.fd, volume, error) ||
        !cst_dir_move_snapshots(target, draft, volume, error))
        return FALSE;
    CST_CRASH_POINT("snapshot.shelf.moved");
    *ret_placed = TRUE;
    return TRUE;
}

void cst_dir_unmark_snapshots(const CstDirHandle *target, const char *draft, const char *volume)
{
    g_auto(CstDirShelf) shelf = CST_DIR_SHELF_NONE;

    if (snapshot_dir_try_open(target, volume, FALSE, &shelf, NULL) && shelf.volume.fd >= 0 &&
        !cst_entry_remove(&shelf.volume, draft, FALSE) && errno != ENOENT)
        cst_log(CST_LOG_WARNING,
                "volume '%s': cannot remove '%s' from the directory of its snapshots: %s; the next "
                "start of the pool removes it",
                volume, draft, g_strerror(errno));
}

/* Removes the mark last, because only the mark identifies the remaining snapshots after a crash. */
static void snapshot_dir_clear(const CstDirHandle *target, const CstDirShelf *shelf,
                               const char *name, const char *draft)
{
    DIR *dir = cst_handle_list(&shelf->volume);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, draft) != 0)
            cst_entry_remove(&shelf->volume, entry->d_name, FALSE);
    if (dir)
        closedir(dir);
    cst_entry_remove(&shelf->volume, draft, FALSE);
    cst_dir_shelf_tidy(target, &shelf->all, name);
}

/*
 * Returns whether @entry marks the snapshot directory of @name as that of a draft that is not yet
 * the volume.
 */
static gboolean is_mark(const CstDirHandle *target, const CstDirShelf *shelf, const char *name,
                        const char *entry)
{
    struct statx mark, draft;

    return cst_dir_is_draft(entry) && cst_entry_stat(&shelf->volume, entry, FALSE, &mark) &&
           cst_entry_stat(target, entry, FALSE, &draft) && mark.stx_ino == draft.stx_ino &&
           mark.stx_dev_major == draft.stx_dev_major && mark.stx_dev_minor == draft.stx_dev_minor &&
           !cst_entry_same(target, entry, name);
}

/*
 * Returns the draft in @target that owns the snapshot directory, by the directory's name or its
 * mark. NULL: a volume owns it. The caller frees the result.
 */
static char *snapshot_dir_draft(const CstDirHandle *target, const CstDirShelf *shelf,
                                const char *name)
{
    DIR *dir = cst_dir_is_draft(name) ? NULL : cst_handle_list(&shelf->volume);
    char *found = cst_dir_is_draft(name) ? g_strdup(name) : NULL;
    const struct dirent *entry;

    while (dir && !found && (entry = readdir(dir)))
        if (is_mark(target, shelf, name, entry->d_name))
            found = g_strdup(entry->d_name);
    if (dir)
        closedir(dir);
    return found;
}

/* Calls @each for each snapshot directory that belongs to this program. */
static void snapshot_dir_foreach(const CstDirHandle *target,
                                 void (*each)(const CstDirHandle *target, const CstDirShelf *shelf,
                                              const char *name, const char *draft),
                                 const char *draft)
{
    g_auto(CstDirHandle) all = CST_DIR_HANDLE_NONE;
    const struct dirent *entry;
    DIR *dir = NULL;

    if (cst_handle_open_own(target, CST_SNAPSHOT_DIR, FALSE, &all, NULL) && all.fd >= 0)
        dir = cst_handle_list(&all);
    while (dir && (entry = readdir(dir))) {
        g_auto(CstDirShelf) shelf = CST_DIR_SHELF_NONE;

        if ((cst_dir_name_is_volume(entry->d_name) || cst_dir_is_draft(entry->d_name)) &&
            snapshot_dir_try_open(target, entry->d_name, FALSE, &shelf, NULL) &&
            shelf.volume.fd >= 0)
            each(target, &shelf, entry->d_name, draft);
    }
    if (dir)
        closedir(dir);
}

/*
 * If the draft has become a volume, the volume owns the snapshots, and only the mark is left to
 * remove.
 */
static void drop_if_of(const CstDirHandle *target, const CstDirShelf *shelf, const char *name,
                       const char *draft)
{
    g_autofree char *of = snapshot_dir_draft(target, shelf, name);

    if (g_strcmp0(of, draft) == 0)
        snapshot_dir_clear(target, shelf, name, draft);
    else
        cst_entry_remove(&shelf->volume, draft, FALSE);
}

void cst_dir_drop_snapshots_of(const CstDirHandle *target, const char *draft)
{
    snapshot_dir_foreach(target, drop_if_of, draft);
}

/* --- leftovers of dead processes -------------------------------------------------------------- */

static void snapshot_dir_drop_dead(const CstDirHandle *target, const CstDirShelf *shelf,
                                   const char *name, const char *draft)
{
    g_autofree char *of = snapshot_dir_draft(target, shelf, name);

    if (of && cst_dir_draft_is_dead(target, of))
        snapshot_dir_clear(target, shelf, name, of);
    else if (!of)
        cst_dir_drop_dead(&shelf->volume);
    if (!of)
        cst_dir_shelf_tidy(target, &shelf->all, name);
}

/* Directories of other users are not changed. */
void cst_dir_drop_snapshot_drafts(const CstDirHandle *target)
{
    snapshot_dir_foreach(target, snapshot_dir_drop_dead, NULL);
    /* A process may have created the directory and died before it added an entry. */
    cst_entry_remove(target, CST_SNAPSHOT_DIR, TRUE);
}
