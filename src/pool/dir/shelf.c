/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the snapshots of files are: TARGET/.cistern-snapshots/VOLUME, a shelf for each volume that
 * has some. Both directories are ours alone (cst_handle_open_own()): who may write to the target
 * can put something else in their place, which is refused, or remove them. Each is opened below the
 * other; with a path of two parts only the last one would be guarded.
 *
 * The snapshots of a draft are on a shelf of its name, and become the volume's right before it
 * does. For that moment a second name of the draft's file lies among them: it says whose they are
 * if its maker dies then.
 */
#include "dir.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>

/* Somebody who removes the last snapshot of another volume may take the upper directory along. */
#define MAKE_TRIES 8

void cst_dir_shelf_clear(CstDirShelf *shelf)
{
    cst_handle_clear(&shelf->volume);
    cst_handle_clear(&shelf->all);
}

/* TRUE with descriptors of -1 where directories are missing and not to be made. */
static gboolean try_open(const CstDirHandle *target, const char *volume, gboolean make,
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

        if (try_open(target, volume, make, ret_shelf, &why))
            break;
        /* A directory of another user is refused, and stays. */
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

/* Removes what is empty. */
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
    /* The volume keeps the name @from, and its snapshots are found by that. */
    cst_entry_rename_new(&all, to, from);
    return FALSE;
}

/* --- drafts ----------------------------------------------------------------------------------- */

gboolean cst_dir_place_snapshots(const CstDirHandle *target, const char *draft, int fd,
                                 const char *volume, gboolean *ret_placed, GError **error)
{
    g_auto(CstDirShelf) shelf = CST_DIR_SHELF_NONE;

    *ret_placed = FALSE;
    if (!try_open(target, draft, FALSE, &shelf, error))
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

    if (try_open(target, volume, FALSE, &shelf, NULL) && shelf.volume.fd >= 0)
        cst_entry_remove(&shelf.volume, draft, FALSE);
}

/* The mark goes last: without it nobody would know what is left. */
static void clear_shelf(const CstDirHandle *target, const CstDirShelf *shelf, const char *name,
                        const char *draft)
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

/* Whether @entry marks the shelf of @name as that of a draft, which is not the volume yet. */
static gboolean is_mark(const CstDirHandle *target, const CstDirShelf *shelf, const char *name,
                        const char *entry)
{
    struct statx mark, draft;

    return cst_dir_is_draft(entry) && cst_entry_stat(&shelf->volume, entry, FALSE, &mark) &&
           cst_entry_stat(target, entry, FALSE, &draft) && mark.stx_ino == draft.stx_ino &&
           mark.stx_dev_major == draft.stx_dev_major && mark.stx_dev_minor == draft.stx_dev_minor &&
           !cst_entry_same(target, entry, name);
}

/* The draft in @target whose shelf it is, by the shelf's name or its mark; NULL: none. Free it. */
static char *draft_of_shelf(const CstDirHandle *target, const CstDirShelf *shelf, const char *name)
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

/* Calls @each for each directory of snapshots that is ours. */
static void each_shelf(const CstDirHandle *target,
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
            try_open(target, entry->d_name, FALSE, &shelf, NULL) && shelf.volume.fd >= 0)
            each(target, &shelf, entry->d_name, draft);
    }
    if (dir)
        closedir(dir);
}

/* Of a draft that has become a volume they are the volume's, and the mark is all that is left. */
static void drop_if_of(const CstDirHandle *target, const CstDirShelf *shelf, const char *name,
                       const char *draft)
{
    g_autofree char *of = draft_of_shelf(target, shelf, name);

    if (g_strcmp0(of, draft) == 0)
        clear_shelf(target, shelf, name, draft);
    else
        cst_entry_remove(&shelf->volume, draft, FALSE);
}

void cst_dir_drop_snapshots_of(const CstDirHandle *target, const char *draft)
{
    each_shelf(target, drop_if_of, draft);
}

/* --- what is left over ------------------------------------------------------------------------ */

static void drop_if_dead(const CstDirHandle *target, const CstDirShelf *shelf, const char *name,
                         const char *draft)
{
    g_autofree char *of = draft_of_shelf(target, shelf, name);

    if (of && cst_dir_draft_is_dead(target, of))
        clear_shelf(target, shelf, name, of);
    else if (!of)
        cst_dir_drop_dead(&shelf->volume);
    if (!of)
        cst_dir_shelf_tidy(target, &shelf->all, name);
}

/* Directories that are not ours are left alone. */
void cst_dir_drop_snapshot_drafts(const CstDirHandle *target)
{
    each_shelf(target, drop_if_dead, NULL);
    /* It may have been made by a process that died before it put anything into it. */
    cst_entry_remove(target, CST_SNAPSHOT_DIR, TRUE);
}
