/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image that a command makes. It grows in a hidden directory next to its final name, so that
 * its parts get the names that they keep, and moves to that name when it is complete and synced,
 * the parts first. Whatever ends the command before that removes the directory, and an interrupt
 * waits for it; only a kill leaves it behind. A block device is written in place.
 *
 * A file that is replaced is claimed, so that no machine goes on with it unnoticed, and passes its
 * mode and owner on. A new name is taken without replacing what somebody else has put there
 * meanwhile.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <blob/dry.h>
#include <image/hold.h>

#include "core/interrupt.h"
#include "output/confirm.h"

/** Where links lead, so that the file is replaced and not the link to it. */
static char *follow_links(const char *path)
{
    char *real = realpath(path, NULL);
    char *copy = g_strdup(real ? real : path);

    free(real);
    return copy;
}

/** A machine that has the file open would go on with one that has no name any more. */
static gboolean claim_old(CliImageTarget *target, const char *real, GError **error)
{
    target->old = cst_blob_file_open(real, FALSE, error);
    return target->old && cst_image_hold(target->old, error);
}

static gboolean look_at_place(CliCtl *ctl, CliImageTarget *target, const char *real,
                              gboolean *ret_device, GError **error)
{
    struct stat st;

    *ret_device = FALSE;
    if (stat(real, &st) < 0)
        return errno == ENOENT || cst_fail_errno(error, errno, _("cannot open '%s'"), target->path);
    *ret_device = S_ISBLK(st.st_mode);
    if (!*ret_device && !S_ISREG(st.st_mode))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is neither a file nor a block device"),
                        target->path);
    target->replace = TRUE;
    return cli_confirm(ctl, error, _("'%s' exists. Overwrite it?"), target->path) &&
           (*ret_device || claim_old(target, real, error));
}

static gboolean open_draft(CliImageTarget *target, GError **error)
{
    g_autofree char *dir = g_build_filename(target->final_dir, ".cistern-XXXXXX", NULL);
    g_autofree char *draft = NULL;

    cli_interrupt_begin();
    target->guarded = TRUE;
    if (!mkdtemp(dir))
        return cst_fail_errno(error, errno, _("cannot create '%s'"), target->path);
    target->dir = g_steal_pointer(&dir);
    draft = g_build_filename(target->dir, target->name, NULL);
    target->blob = cst_blob_file_create(draft, error);
    return target->blob != NULL;
}

/* For a dry run: takes what is written, and leaves nothing. */
static gboolean open_nowhere(CliImageTarget *target, const char *path, GError **error)
{
    if (access(target->final_dir, W_OK | X_OK) < 0)
        return cst_fail_errno(error, errno, _("cannot create '%s'"), target->path);
    target->blob = cst_blob_dry_new(NULL, path);
    return TRUE;
}

/* The draft has the mode that the umask left it, in a directory that nobody else can enter. */
static gboolean limit_mode(const char *draft, mode_t most, GError **error)
{
    struct stat st;

    return (stat(draft, &st) == 0 && chmod(draft, st.st_mode & most) == 0) ||
           cst_fail_errno(error, errno, _("cannot set mode of '%s' to %04o"), draft, most);
}

/* Named on this command line, so nobody else decides which file that is; yet none is replaced. */
static CstBlob *create_elsewhere(CliImageTarget *target, const char *name, GError **error)
{
    g_autofree char *path = cst_path_named(target->path, name);

    if (!path || target->data) {
        cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' can't be a data file of '%s'"), name,
                 target->path);
        return NULL;
    }
    if (!cst_may_change(error) || !(target->data = cst_blob_file_create(path, error)))
        return NULL;
    return cst_blob_ref(target->data);
}

static CstBlob *create_part(const char *name, gpointer data, GError **error)
{
    CliImageTarget *target = data;
    const CstImageFiles beside = cst_path_parts(target->blob);

    return strchr(name, '/') ? create_elsewhere(target, name, error)
                             : beside.create(name, beside.data, error);
}

static CstBlob *open_part(const char *name, gboolean writable, gpointer data, GError **error)
{
    CliImageTarget *target = data;
    const CstImageFiles beside = cst_path_parts(target->blob);

    /* an image has one data file, and this is the one that has just been made */
    return strchr(name, '/') && target->data ? cst_blob_ref(target->data)
                                             : beside.open(name, writable, beside.data, error);
}

CstImageFiles cli_image_target_files(CliImageTarget *target)
{
    return (CstImageFiles){.open = open_part, .create = create_part, .data = target};
}

static gboolean sync_elsewhere(CstBlob *data, mode_t most, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(data->name);
    g_auto(CstFd) dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return limit_mode(data->name, most, error) && cst_blob_flush(data, error) &&
           (dirfd < 0 || cst_dir_sync(dirfd, dir, error));
}

gboolean cli_image_target_open(CliCtl *ctl, const char *path, CliImageTarget *ret_target,
                               GError **error)
{
    g_autofree char *real = follow_links(path);
    CliImageTarget *target = ret_target;
    gboolean device = FALSE;

    *target = (CliImageTarget){
        .path = g_strdup(path),
        .final_dir = g_path_get_dirname(real),
        .name = g_path_get_basename(real),
        .most = 0666,
    };
    if (!cst_name_check(target->name, _("image"), error) ||
        !look_at_place(ctl, target, real, &device, error))
        return FALSE;
    if (!device && ctl->settings.dry_run)
        return open_nowhere(target, real, error);
    if (!device)
        return open_draft(target, error);
    target->blob = cli_image_blob(ctl, real, TRUE, error);
    return target->blob != NULL;
}

/** Names in the draft's directory, the image itself last: it must not be there without its
 *  parts. */
static GPtrArray *draft_names(const CliImageTarget *target)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    GDir *dir = g_dir_open(target->dir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        if (strcmp(name, target->name) != 0)
            g_ptr_array_add(names, g_strdup(name));
    if (dir)
        g_dir_close(dir);
    g_ptr_array_add(names, g_strdup(target->name));
    return names;
}

/** Keeps mode and, where that is allowed, owner of the file that is replaced. */
static void keep_mode(const char *from, const char *to)
{
    struct stat st;

    if (stat(to, &st) < 0)
        return;
    if (chown(from, st.st_uid, st.st_gid) == 0 || st.st_uid == geteuid())
        chmod(from, st.st_mode & 07777);
}

static gboolean move(const CliImageTarget *target, const char *name, GError **error)
{
    g_autofree char *from = g_build_filename(target->dir, name, NULL);
    g_autofree char *to = g_build_filename(target->final_dir, name, NULL);

    if (!limit_mode(from, target->most, error))
        return FALSE;
    if (target->replace)
        keep_mode(from, to);
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, target->replace ? 0 : RENAME_NOREPLACE) == 0)
        return TRUE;
    /* Some file systems can't promise not to replace. */
    if (errno == EINVAL && access(to, F_OK) < 0 && rename(from, to) == 0)
        return TRUE;
    if (errno == EEXIST)
        return cst_fail(error, CST_ERROR_EXISTS,
                        _("'%s' has been made by somebody else meanwhile, and was not overwritten"),
                        to);
    return cst_fail_errno(error, errno, _("cannot create '%s'"), to);
}

gboolean cli_image_target_commit(CliImageTarget *target, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    g_auto(CstFd) dirfd = -1;

    g_clear_pointer(&target->blob, cst_blob_unref);
    /* the image that names it must not be there without it */
    if (target->data && !sync_elsewhere(target->data, target->most, error))
        return FALSE;
    if (!target->dir) {
        g_clear_pointer(&target->data, cst_blob_unref);
        return TRUE;
    }
    names = draft_names(target);
    for (guint i = 0; i < names->len; i++)
        if (!move(target, g_ptr_array_index(names, i), error)) {
            /* Parts that have moved are nobody's; files that were replaced are gone already. */
            for (guint k = 0; k < i && !target->replace; k++) {
                g_autofree char *part = g_build_filename(
                    target->final_dir, (const char *)g_ptr_array_index(names, k), NULL);

                unlink(part);
            }
            return FALSE;
        }
    rmdir(target->dir);
    g_clear_pointer(&target->dir, g_free);
    g_clear_pointer(&target->data, cst_blob_unref);
    dirfd = open(target->final_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dirfd < 0 || cst_dir_sync(dirfd, target->final_dir, error);
}

void cli_image_target_clear(CliImageTarget *target)
{
    if (target->blob)
        cst_blob_unref(target->blob);
    if (target->old)
        cst_blob_unref(target->old);
    if (target->data) {
        unlink(target->data->name);
        cst_blob_unref(target->data);
    }
    if (target->dir) {
        g_autoptr(GPtrArray) names = draft_names(target);

        for (guint i = 0; i < names->len; i++) {
            g_autofree char *path =
                g_build_filename(target->dir, (const char *)g_ptr_array_index(names, i), NULL);

            unlink(path);
        }
        rmdir(target->dir);
    }
    if (target->guarded)
        cli_interrupt_end();
    g_free(target->dir);
    g_free(target->name);
    g_free(target->final_dir);
    g_free(target->path);
    memset(target, 0, sizeof(*target));
}
