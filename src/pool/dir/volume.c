/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/process.h>
#include <base/uuid.h>
#include <image/hold.h>
#include <pool/device.h>

#define DEFAULT_MODE 0600 /* of a directory too, as libvirt makes them */

/* --- drafts ----------------------------------------------------------------------------------- */

static char *draft_name(const char *token)
{
    return g_strconcat(CST_DRAFT_PREFIX, token, CST_DRAFT_SUFFIX, NULL);
}

static gboolean remove_draft(const CstDirPlace *place, const char *name)
{
    return cst_entry_remove(place, name, FALSE) || errno == ENOENT ||
           (errno == EISDIR && cst_entry_remove(place, name, TRUE));
}

gboolean cst_dir_lock_draft(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = G_MAXINT64 - 1, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static void turn_cow_off(int fd)
{
    int attributes;

    if (ioctl(fd, FS_IOC_GETFLAGS, &attributes) == 0) {
        attributes |= FS_NOCOW_FL;
        if (ioctl(fd, FS_IOC_SETFLAGS, &attributes) < 0)
            cst_log(CST_LOG_DEBUG, "cannot turn copy-on-write off: %s", g_strerror(errno));
    }
}

static gboolean make_draft(const CstDirPlace *target, const char *name, const CstVolDef *def,
                           CstVolDraft *draft, GError **error)
{
    g_auto(CstDirPlace) made = CST_DIR_PLACE_NONE;
    g_auto(CstFd) fd = -1;
    struct statx st;
    int blob_fd;

    /* It is given its owner by the commit: until then it must be seen to be ours. */
    if (def->type == CST_VOL_DIR)
        return cst_place_open_own(target, name, TRUE, &made, error);
    fd = cst_entry_create(target, name);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("Failed to create file '%s/%s'"), target->path,
                              def->name);
    cst_dir_lock_draft(fd);
    CST_CRASH_POINT("vol.reserve.created");
    if (def->nocow)
        turn_cow_off(fd);
    if (!cst_dir_set_owner(fd, def->name, &def->perms, error))
        return FALSE;
    if (cst_fd_stat(fd, &st))
        draft->id = (CstFileId){.inode = st.stx_ino, .btime_ns = cst_dir_btime_ns(&st)};
    blob_fd = fd;
    fd = -1;
    draft->blob = cst_blob_file_new(blob_fd, def->name, TRUE, error);
    return draft->blob != NULL;
}

/* What the new image is to point to must be there now; it is named, not opened. */
static gboolean check_backing(const CstVolDef *def, GError **error)
{
    if (!def->backing || !g_path_is_absolute(def->backing->path) ||
        cst_path_readable(def->backing->path))
        return TRUE;
    return cst_fail_errno(error, errno, _("inaccessible backing store volume %s"),
                          def->backing->path);
}

gboolean cst_dir_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error)
{
    g_autofree char *name = draft_name(draft->token);
    g_auto(CstDirPlace) target = CST_DIR_PLACE_NONE;
    struct statx st;

    if (!cst_dir_target_open(state, &target, error) || !check_backing(def, error))
        return FALSE;
    if (cst_entry_stat(&target, def->name, FALSE, &st))
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
    draft->zeroed = TRUE;
    draft->shared = !target.is_private;
    if (!cst_place_may_change(&target))
        return cst_fail_errno(error, errno, _("Failed to create file '%s/%s'"), target.path,
                              def->name);
    if (!cst_may_change(error))
        return FALSE;
    if (make_draft(&target, name, def, draft, error))
        return TRUE;
    remove_draft(&target, name);
    return FALSE;
}

/* Content, owner and mode of a finished draft; @fd is the file or the directory. */
static gboolean settle_draft(int fd, const CstVolDef *def, GError **error)
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

/* Gives the draft, which @fd has open, its name, for good. Not done: it has it no longer. */
static gboolean name_draft(CstPoolState *state, const CstDirPlace *target, int fd,
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
                        _("somebody put something else in the place of volume '%s' while it was "
                          "made; see who may write to '%s'"),
                        name, target->path);
    if (cst_dir_names_sync(state, target, error))
        return TRUE;
    remove_draft(target, name);
    return FALSE;
}

/*
 * The content is synced before the name appears, so that a volume is whole or not there; then the
 * directory, so that what was answered stays.
 */
gboolean cst_dir_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error)
{
    g_autofree char *name = draft_name(draft->token);
    g_auto(CstDirPlace) target = CST_DIR_PLACE_NONE;
    g_auto(CstDirPlace) made = CST_DIR_PLACE_NONE;
    int fd;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    if (!draft->blob && !cst_place_open_own(&target, name, FALSE, &made, error))
        return FALSE;
    fd = draft->blob ? cst_blob_file_fd(draft->blob) : made.fd;
    if (!settle_draft(fd, def, error))
        return FALSE;
    CST_CRASH_POINT("vol.commit.synced");
    return name_draft(state, &target, fd, name, def->name, error);
}

gboolean cst_dir_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    g_autofree char *name = draft_name(token);
    g_auto(CstDirPlace) target = CST_DIR_PLACE_NONE;

    if (strchr(token, '/'))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' does not name a draft"), token);
    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    if (!remove_draft(&target, name))
        return cst_fail_errno(error, errno, _("cannot unlink file '%s'"), name);
    return TRUE;
}

/* What is neither a file nor a directory is no draft of ours, whatever it is called. */
static void drop_if_dead(const CstDirPlace *place, const char *name)
{
    g_auto(CstFd) fd = -1;
    gboolean is_dir;
    struct statx st;

    if (!cst_entry_stat(place, name, FALSE, &st) ||
        (!S_ISREG(st.stx_mode) && !S_ISDIR(st.stx_mode)))
        return;
    is_dir = S_ISDIR(st.stx_mode);
    if (!is_dir)
        fd = cst_entry_open_draft(place, name);
    if ((is_dir || (fd >= 0 && cst_dir_lock_draft(fd))) && cst_entry_remove(place, name, is_dir))
        cst_log(CST_LOG_INFO, "dropped the half-made volume '%s'", name);
}

void cst_dir_drop_dead(const CstDirPlace *place)
{
    DIR *dir = cst_place_list(place);
    const struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (cst_dir_is_draft(entry->d_name))
            drop_if_dead(place, entry->d_name);
    closedir(dir);
}

gboolean cst_dir_drop_drafts(CstPoolState *state, GError **error)
{
    g_auto(CstDirPlace) target = CST_DIR_PLACE_NONE;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    cst_dir_drop_dead(&target);
    cst_dir_drop_snapshot_drafts(&target);
    return TRUE;
}

/* --- existing volumes ------------------------------------------------------------------------- */

gboolean cst_dir_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    g_auto(CstDirPlace) target = CST_DIR_PLACE_NONE;
    struct statx st = {0};
    gboolean is_dir;

    if (!cst_flags_check(flags, 0, "virStorageBackendVolDeleteLocal", error) ||
        !cst_dir_target_open(state, &target, error))
        return FALSE;
    if (!cst_entry_stat(&target, name, FALSE, &st) && errno != ENOENT)
        return cst_fail_errno(error, errno, _("cannot stat file '%s'"), name);
    is_dir = S_ISDIR(st.stx_mode);
    if (cst_dry_run() && is_dir && !cst_entry_is_empty(&target, name))
        return cst_fail_errno(error, errno, _("cannot remove directory '%s/%s'"), target.path,
                              name);
    if (!cst_place_may_change(&target))
        return cst_fail_errno(error, errno, _("cannot unlink file '%s/%s'"), target.path, name);
    if (!cst_may_change(error))
        return FALSE;
    CST_CRASH_POINT("vol.delete.before_unlink");
    if (!cst_entry_remove(&target, name, is_dir) && errno != ENOENT) {
        if (is_dir)
            return cst_fail_errno(error, errno, _("cannot remove directory '%s/%s'"), target.path,
                                  name);
        return cst_fail_errno(error, errno, _("cannot unlink file '%s/%s'"), target.path, name);
    }
    CST_CRASH_POINT("vol.delete.unlinked");
    return cst_dir_names_sync(state, &target, error);
}

CstBlob *cst_dir_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error)
{
    g_auto(CstDirPlace) target = CST_DIR_PLACE_NONE;
    int fd;

    if (cst_dir_name_hidden(name)) {
        cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching name '%s'"), name);
        return NULL;
    }
    if (!cst_dir_target_open(state, &target, error))
        return NULL;
    fd = cst_entry_open(&target, name, writable ? O_RDWR : O_RDONLY, error);
    return fd < 0 ? NULL : cst_blob_file_new(fd, name, writable, error);
}

gboolean cst_dir_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error)
{
    /* Nobody can be asked about what can't be opened, or is no file. */
    g_autoptr(CstBlob) blob = cst_dir_vol_open(state, name, FALSE, NULL);
    g_autofree char *who = NULL;
    int64_t pid = 0;

    if (!blob)
        return TRUE;
    if (cst_image_is_open(blob, &pid)) {
        who = cst_process_describe(pid);
        cst_holders_add(holders, pid, "%s", who)->reads_only = !cst_image_is_written(blob, NULL);
    }
    cst_file_holders(cst_blob_file_fd(blob), holders);
    return TRUE;
}

/* --- watch ------------------------------------------------------------------------------------ */

#define WATCHED                                                                         \
    (IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)

int cst_dir_watch_open(CstPoolState *state, GError **error)
{
    g_auto(CstDirPlace) target = CST_DIR_PLACE_NONE;
    g_autofree char *opened = NULL;
    int fd;

    if (!cst_dir_target_open(state, &target, error))
        return -1;
    /* What was opened and found to be the pool's is watched, whatever has the name by now. */
    opened = g_strdup_printf("/proc/self/fd/%d", target.fd);
    fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 && inotify_add_watch(fd, opened, WATCHED | IN_ONLYDIR) >= 0)
        return fd;
    cst_fail_errno(error, errno, _("cannot watch '%s'"), state->def->target_path);
    if (fd >= 0)
        close(fd);
    return -1;
}

void cst_dir_watch_read(CstPoolState *state, int fd,
                        void (*changed)(const char *name, gpointer data), gpointer data)
{
    char buf[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        for (char *p = buf; p < buf + n;) {
            const struct inotify_event *event = (const struct inotify_event *)p;

            p += sizeof(*event) + event->len;
            if (event->len == 0 || (event->mask & IN_Q_OVERFLOW))
                changed(NULL, data);
            else if (!cst_dir_name_hidden(event->name))
                changed(event->name, data);
        }
    }
}
