/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image that a command creates. It is written in a hidden draft directory next to its final
 * name, so that its parts have their final names. When it is complete and synced, its parts and
 * then the image are moved. With --cache unsafe, files and directories are not synced. If the
 * command ends early, the directory is removed, and interrupts are deferred until then. A kill
 * leaves it; a directory that cannot be removed is reported. A block device is written in place.
 *
 * A file that is replaced is claimed, so that no virtual machine continues to use it. The new file
 * gets its mode and owner, but no set-user-ID bits. A new image never replaces a file that another
 * program has created since the check.
 *
 * Another user may own the parent directory, and may replace names in it at any time. All steps are
 * therefore relative to its descriptor (base/place.h) and to that of the draft directory. Mode and
 * owner are set by descriptor before a file leaves the draft directory, which no other user can
 * enter. Parts are removed by the names in target->parts, and never by a directory listing.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/test_point.h>
#include <base/units.h>
#include <blob/dry.h>
#include <blob/room.h>
#include <image/hold.h>
#include <image/path.h>

#include "commands/room.h"
#include "core/interrupt.h"
#include "output/confirm.h"
#include "output/report.h"
#include "output/text.h"

/* --- opening ---------------------------------------------------------------------------------- */

/*
 * Claim the existing file, because a machine that has it open would continue to use the unlinked
 * file.
 */
static gboolean claim_old(CliImageTarget *target, GError **error)
{
    int fd = cst_place_open(&target->place, O_RDONLY | O_NONBLOCK);

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), target->path);
    target->old = cst_blob_file_new(fd, target->path, FALSE, error);
    if (!target->old || !cst_image_check_unused(target->old, error))
        return FALSE;
    return fstat(cst_blob_file_fd(target->old), &target->old_st) == 0 ||
           cst_fail_errno(error, errno, _("cannot open '%s'"), target->path);
}

/*
 * Return: TRUE if the new file may get the owner of the old one. Another user may have created a
 * file in a foreign directory, such as /tmp, in order to obtain the content.
 */
static gboolean keeps_owner(const CliImageTarget *target)
{
    return cst_place_may_give(&target->place, &target->old_st);
}

static void warn_of_owner(CliCtl *ctl, CliImageTarget *target)
{
    if (keeps_owner(target))
        return;
    target->access.mode = 0600;
    if (!ctl->settings.quiet)
        cli_warn(ctl,
                 _("warning: '%s' belongs to user %u, and its directory does not; the new file is "
                   "yours, with mode 0600\n"),
                 target->path, (unsigned)target->old_st.st_uid);
}

/* Ask about an existing file or device. *ret_device is TRUE for a block device. */
static gboolean check_existing(CliCtl *ctl, CliImageTarget *target, gboolean *ret_device,
                               GError **error)
{
    struct stat st;

    *ret_device = FALSE;
    if (!cst_place_stat(&target->place, &st))
        return errno == ENOENT || cst_fail_errno(error, errno, _("cannot open '%s'"), target->path);
    *ret_device = S_ISBLK(st.st_mode);
    if (!*ret_device && !S_ISREG(st.st_mode))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is neither a file nor a block device"),
                        target->path);
    target->replace = TRUE;
    if (!cli_confirm(ctl, error, _("'%s' exists. Overwrite it?"), target->path))
        return FALSE;
    if (*ret_device)
        return TRUE;
    if (!claim_old(target, error))
        return FALSE;
    warn_of_owner(ctl, target);
    return TRUE;
}

static char *path_beside(const CliImageTarget *target, const char *name)
{
    g_autofree char *dir = g_path_get_dirname(target->path);

    return g_build_filename(dir, name, NULL);
}

/* Create the blob of a part. Takes ownership of @fd. Parts of an unsafe target are not synced. */
static CstBlob *part_blob(const CliImageTarget *target, int fd, const char *path, gboolean writable,
                          GError **error)
{
    CstBlob *blob = cst_blob_file_new(fd, path, writable, error);

    if (blob && target->unsafe)
        cst_blob_file_skip_sync(blob);
    return blob;
}

/* Create the file @name in the draft directory. Its blob has the final path, for messages. */
static CstBlob *create_in_draft(CliImageTarget *target, const char *name, GError **error)
{
    g_autofree char *path = path_beside(target, name);
    int fd = openat(target->draft, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);

    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot create '%s'"), path);
        return NULL;
    }
    g_ptr_array_add(target->parts, g_strdup(name));
    return part_blob(target, fd, path, TRUE, error);
}

static gboolean target_open_draft(CliImageTarget *target, GError **error)
{
    cli_interrupt_begin();
    target->guarded = TRUE;
    target->draft = cst_place_make_draft(&target->place, &target->dir, error);
    if (target->draft < 0)
        return FALSE;
    target->blob = create_in_draft(target, target->place.name, error);
    return target->blob != NULL;
}

/* Open a target for a dry run, which accepts writes and keeps no data on disk. */
static gboolean open_nowhere(CliImageTarget *target, GError **error)
{
    if (faccessat(target->place.dir, ".", W_OK | X_OK, AT_EACCESS) < 0)
        return cst_fail_errno(error, errno, _("cannot create '%s'"), target->path);
    target->blob = cst_blob_dry_new(NULL, target->path);
    return TRUE;
}

static gboolean open_device(CliImageTarget *target, GError **error)
{
    int fd = cst_place_open(&target->place, O_RDWR | O_NONBLOCK);

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), target->path);
    target->blob = cst_blob_file_new(fd, target->path, TRUE, error);
    return target->blob && cst_image_hold(target->blob, error) &&
           cst_image_refuse_writer(target->blob, error);
}

static gboolean target_find_place(CliImageTarget *target, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (cst_place_init(&target->place, target->path, &why))
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return cst_fail_errno(error, ENOENT, _("cannot create '%s'"), target->path);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean cli_image_check_room(const char *path, CstBlob *from, const CstImageCreate *create,
                              gboolean whole, gboolean packed, GError **error)
{
    const unsigned shrink = packed ? CLI_DEFLATE_SHRINK : 1;
    const gboolean all = whole || create->preallocation == CST_PREALLOC_FALLOC ||
                         create->preallocation == CST_PREALLOC_FULL;
    CstRoom room;
    uint64_t needed;

    /* A data file may be in another file system. */
    if (create->backing || create->data_file ||
        (packed && g_strcmp0(create->compression, "zstd") == 0))
        return TRUE;
    room = cli_room_of_path(path);
    if (room.bytes > UINT64_MAX / shrink)
        return TRUE;
    room.bytes *= shrink;
    return cst_room_check_copy(&room, from, all && !packed, NULL, &needed, error) &&
           (needed == 0 ||
            cst_room_fail_file(path, cst_div_up(needed, shrink), room.bytes / shrink, error));
}

gboolean cli_image_target_open(CliCtl *ctl, const char *path, CliImageTarget *ret_target,
                               GError **error)
{
    CliImageTarget *target = ret_target;
    gboolean device = FALSE;

    *target = (CliImageTarget){
        .ctl = ctl,
        .path = g_strdup(path),
        .data_place = CST_PLACE_INIT,
        .parts = g_ptr_array_new_with_free_func(g_free),
        .draft = -1,
        .access.mode = 0666,
    };
    if (!target_find_place(target, error) || !cst_name_check(target->place.name, _("image"), error))
        return FALSE;
    target->name = target->place.name;
    cli_warn_of_exchange(ctl, &target->place);
    if (!check_existing(ctl, target, &device, error))
        return FALSE;
    if (device)
        return open_device(target, error);
    return ctl->settings.dry_run ? open_nowhere(target, error) : target_open_draft(target, error);
}

void cli_image_target_skip_sync(CliImageTarget *target)
{
    target->unsafe = TRUE;
    cst_blob_file_skip_sync(target->blob);
}

/* --- parts ------------------------------------------------------------------------------------ */

/*
 * Create the data file in its final place. The command line names it, so no other user chooses the
 * path. An existing file is never replaced.
 */
static CstBlob *create_elsewhere(CliImageTarget *target, const char *name, GError **error)
{
    g_autofree char *path = cst_path_named(target->path, name);
    int fd;

    if (!path || target->data) {
        cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' can't be a data file of '%s'"), name,
                 target->path);
        return NULL;
    }
    if (!cst_may_change(error) || !cst_place_init(&target->data_place, path, error))
        return NULL;
    fd = cst_place_create(&target->data_place,
                          cst_access_mode_at(&target->access, &target->data_place));
    if (fd < 0 && errno == EEXIST)
        cst_fail(error, CST_ERROR_EXISTS, _("'%s' exists"), path);
    else if (fd < 0)
        cst_fail_errno(error, errno, _("cannot create '%s'"), path);
    target->data = fd < 0 ? NULL : part_blob(target, fd, path, TRUE, error);
    return target->data ? cst_blob_ref(target->data) : NULL;
}

/* An image on a block device has no draft directory, so it cannot have parts. */
static gboolean may_have_parts(const CliImageTarget *target, const char *name, GError **error)
{
    return cst_name_check(name, _("part of an image"), error) &&
           (target->draft >= 0 || cst_fail(error, CST_ERROR_UNSUPPORTED,
                                           _("'%s' can't have the part '%s'"), target->path, name));
}

/* The search for a part in the image that is replaced. */
typedef struct {
    CstImageFiles files;
    const char *name;
    gboolean found;
} PartSearch;

static CstBlob *part_search_open(const char *name, gboolean writable, gpointer data, GError **error)
{
    PartSearch *search = data;

    search->found = search->found || strcmp(name, search->name) == 0;
    return search->files.open(name, writable, search->files.data, error);
}

/* Return: TRUE if the image that the user agreed to replace has the part @name. */
static gboolean old_has_part(const CliImageTarget *target, const char *name)
{
    PartSearch search = {.files = cst_path_parts(target->old), .name = name};
    const CstImageFiles files = {.open = part_search_open, .data = &search};
    const CstImageOpen how = {.files = &files};
    g_auto(CstImageInfo) info = {0};
    g_autoptr(CstImage) image = NULL;

    if (!cst_image_inspect(target->old, NULL, &info, NULL) || !info.format)
        return FALSE;
    image = cst_image_open_as(target->old, info.format, &how, NULL);
    return search.found;
}

/*
 * Fail if the part @name would replace a file of another image, or a file that a program uses. The
 * user agreed to replace the image, which includes only the image's own parts.
 */
static gboolean may_replace_part(const CliImageTarget *target, const char *name, GError **error)
{
    g_autofree char *path = path_beside(target, name);
    struct stat st;

    if (!target->old || fstatat(target->place.dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return TRUE;
    if (!old_has_part(target, name))
        return cst_fail(error, CST_ERROR_EXISTS,
                        _("cannot create '%s': it exists, and is no part of '%s'; remove it, or "
                          "choose another name for the image"),
                        path, target->path);
    return cst_image_check_path_unused(path, error);
}

static CstBlob *target_create_part(const char *name, gpointer data, GError **error)
{
    CliImageTarget *target = data;

    if (strchr(name, '/'))
        return create_elsewhere(target, name, error);
    if (!cst_may_change(error) || !may_have_parts(target, name, error) ||
        !may_replace_part(target, name, error))
        return NULL;
    return create_in_draft(target, name, error);
}

static CstBlob *target_open_part(const char *name, gboolean writable, gpointer data, GError **error)
{
    CliImageTarget *target = data;
    g_autofree char *path = path_beside(target, name);
    int fd;

    /* an image has only one data file, which was just created */
    if (strchr(name, '/') && target->data)
        return cst_blob_ref(target->data);
    if (!may_have_parts(target, name, error))
        return NULL;
    fd = openat(target->draft, name,
                (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot open '%s'"), path);
        return NULL;
    }
    return part_blob(target, fd, path, writable, error);
}

CstImageFiles cli_image_target_files(CliImageTarget *target)
{
    return (CstImageFiles){.open = target_open_part, .create = target_create_part, .data = target};
}

/* --- commit ----------------------------------------------------------------------------------- */

/*
 * Apply @access to the mode, which the umask has set. Until then, no other user can enter the draft
 * directory.
 */
static gboolean limit_mode(int fd, const char *path, const CstAccess *access, GError **error)
{
    mode_t mode = access->mode;
    struct stat st;

    if (fstat(fd, &st) == 0) {
        mode = st.st_mode & cst_access_mode(access, st.st_gid);
        if (fchmod(fd, mode) == 0)
            return TRUE;
    }
    return cst_fail_errno(error, errno, _("cannot set mode of '%s' to %04o"), path, mode);
}

static gboolean sync_elsewhere(const CliImageTarget *target, GError **error)
{
    return limit_mode(cst_blob_file_fd(target->data), target->data->name, &target->access, error) &&
           cst_blob_flush(target->data, error) &&
           (target->unsafe || cst_place_sync(&target->data_place, error));
}

/*
 * Set mode and, if permitted, owner of the replaced file. They are read from the descriptor that
 * was opened before the question, and not from the current file of that name. Set-user-ID bits are
 * dropped.
 */
static void keep_mode(const CliImageTarget *target, int fd)
{
    const struct stat *old = &target->old_st;

    if (!keeps_owner(target))
        return;
    if (fchown(fd, old->st_uid, old->st_gid) == 0 || old->st_uid == geteuid())
        (void)!fchmod(fd, old->st_mode & 0777);
}

/* Fail if the file that the user agreed to replace is no longer the same file. */
static gboolean target_check_unchanged(const CliImageTarget *target, GError **error)
{
    return !target->old || cst_place_is(&target->place, &target->old_st) ||
           cst_fail(error, CST_ERROR_EXISTS,
                    _("'%s' has been exchanged since it was looked at, and was not overwritten"),
                    target->path);
}

/* Move the part @name to its final place. *ret_moved is its stat. */
static gboolean move_part(const CliImageTarget *target, const char *name, struct stat *ret_moved,
                          GError **error)
{
    g_autofree char *path = path_beside(target, name);
    g_auto(CstFd) fd = openat(target->draft, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), path);
    if (!limit_mode(fd, path, &target->access, error))
        return FALSE;
    if (target->old)
        keep_mode(target, fd);
    return (fstat(fd, ret_moved) == 0 ||
            cst_fail_errno(error, errno, _("cannot open '%s'"), path)) &&
           cst_place_adopt(&target->place, target->draft, name, name, target->replace, error);
}

/* Remove the first @count moved parts after a later part failed. */
static void undo_moves(const CliImageTarget *target, const struct stat *moved, guint count)
{
    CST_TEST_POINT("image.target.undo");
    for (guint i = 0; i < count; i++) {
        const char *name = g_ptr_array_index(target->parts, target->parts->len - 1 - i);
        struct stat st;

        /* Keep a file that another user has put there since. */
        if (fstatat(target->place.dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            cst_stat_is_same(&st, &moved[i]))
            unlinkat(target->place.dir, name, 0);
    }
}

/*
 * Move the parts. The image is the first part and moves last, so that it never exists without its
 * parts.
 */
static gboolean move_parts(const CliImageTarget *target, GError **error)
{
    guint count = target->parts->len;
    g_autofree struct stat *moved = g_new0(struct stat, count);

    for (guint i = 0; i < count; i++) {
        const char *name = g_ptr_array_index(target->parts, count - 1 - i);

        if (move_part(target, name, &moved[i], error))
            continue;
        /* Replaced files cannot be restored, so keep the moved parts. */
        if (!target->replace)
            undo_moves(target, moved, i);
        return FALSE;
    }
    return TRUE;
}

/* The image has its name already, or the command fails for another reason. So this only warns. */
static void target_drop_draft(CliImageTarget *target, const GPtrArray *files)
{
    g_autoptr(GError) why = NULL;

    if (!cst_place_drop_draft(&target->place, target->draft, target->dir, files, &why))
        cli_warn(target->ctl, _("warning: %s\n"), why->message);
    cst_fd_clear(&target->draft);
    g_clear_pointer(&target->dir, g_free);
}

gboolean cli_image_target_commit(CliImageTarget *target, GError **error)
{
    g_clear_pointer(&target->blob, cst_blob_unref);
    /* the data file must be synced before the image that refers to it */
    if (target->data && !sync_elsewhere(target, error))
        return FALSE;
    if (target->dir && (!target_check_unchanged(target, error) || !move_parts(target, error)))
        return FALSE;
    g_clear_pointer(&target->data, cst_blob_unref);
    if (!target->dir)
        return TRUE;
    target_drop_draft(target, NULL);
    return target->unsafe || cst_place_sync(&target->place, error);
}

void cli_image_target_clear(CliImageTarget *target)
{
    struct stat st;

    if (target->blob)
        cst_blob_unref(target->blob);
    if (target->old)
        cst_blob_unref(target->old);
    if (target->data) {
        if (fstat(cst_blob_file_fd(target->data), &st) == 0)
            cst_place_remove(&target->data_place, &st);
        cst_blob_unref(target->data);
    }
    if (target->dir)
        target_drop_draft(target, target->parts);
    if (target->guarded)
        cli_interrupt_end();
    g_clear_pointer(&target->parts, g_ptr_array_unref);
    cst_place_clear(&target->place);
    cst_place_clear(&target->data_place);
    g_free(target->path);
    memset(target, 0, sizeof(*target));
}
