/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directories of a repository (see the header). A file is published atomically: written as a
 * draft, synced, renamed, and the directory synced. The directory of the drafts belongs to the
 * repository, so that it is on the same file system.
 */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/alloc.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/test_point.h>
#include <base/text.h>

#include "crypt.h"

#define CONFIG "config"

static const char *const names[N_FOLDERS] = {[FOLDER_PACKS] = "packs",
                                             [FOLDER_INDEX] = "index",
                                             [FOLDER_BACKUPS] = "backups",
                                             [FOLDER_LOCKS] = "locks",
                                             [FOLDER_DRAFTS] = "drafts"};

void folders_clear(Folders *folders)
{
    for (int i = 0; i < N_FOLDERS; i++)
        cst_fd_clear(&folders->fds[i]);
    cst_fd_clear(&folders->root);
    g_clear_pointer(&folders->path, g_free);
}

const char *folder_name(FolderKind kind)
{
    return names[kind];
}

char *folder_path(const Folders *folders, FolderKind kind, const char *name)
{
    return g_build_filename(folders->path, names[kind], name, NULL);
}

/* --- directories ------------------------------------------------------------------------------ */

static void folders_init(Folders *folders, const char *path)
{
    folders->path = g_canonicalize_filename(path, NULL);
    folders->root = -1;
    for (int i = 0; i < N_FOLDERS; i++)
        folders->fds[i] = -1;
}

/*
 * Returns whether a directory is empty, or holds only directories of an interrupted folders_make().
 */
static gboolean is_unused(int fd, gboolean *ret_unused, const char *path, GError **error)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;
    gboolean unused = TRUE;

    if (!dir) {
        cst_fail_errno(error, errno, _("cannot read directory '%s'"), path);
        if (copy >= 0)
            close(copy);
        return FALSE;
    }
    while (unused && (entry = readdir(dir))) {
        unused = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        for (int i = 0; i < N_FOLDERS && !unused; i++)
            unused = strcmp(entry->d_name, names[i]) == 0;
    }
    closedir(dir);
    *ret_unused = unused;
    return TRUE;
}

static gboolean may_trust(int fd, const char *path, gboolean shared_ok, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot look at directory '%s'"), path);
    if (shared_ok || (cst_owner_is_us(st.st_uid) && cst_only_we_write(&st)))
        return TRUE;
    return cst_fail(error, CST_ERROR_DENIED,
                    _("other users may write to directory '%s' (owner %u, mode %04o); say --shared "
                      "if that is intended"),
                    path, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
}

static int open_dir(int dirfd, const char *name, const char *path, GError **error)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        cst_fail_errno(error, errno, _("cannot open directory '%s'"), path);
    return fd;
}

static gboolean open_children(Folders *folders, gboolean shared_ok, GError **error)
{
    for (FolderKind kind = 0; kind < N_FOLDERS; kind++) {
        g_autofree char *path = folder_path(folders, kind, NULL);

        folders->fds[kind] = open_dir(folders->root, names[kind], path, error);
        if (folders->fds[kind] < 0 || !may_trust(folders->fds[kind], path, shared_ok, error))
            return FALSE;
    }
    return TRUE;
}

gboolean folders_make(Folders *folders, const char *path, GError **error)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    gboolean empty;

    folders_init(folders, path);
    if (!cst_place_init_making(&place, folders->path, error))
        return FALSE;
    folders->root = cst_place_open(&place, O_RDONLY | O_DIRECTORY);
    if (folders->root < 0 && errno != ENOENT)
        return cst_fail_errno(error, errno, _("cannot open directory '%s'"), folders->path);
    if (folders->root >= 0 && (!is_unused(folders->root, &empty, folders->path, error) ||
                               !may_trust(folders->root, folders->path, FALSE, error)))
        return FALSE;
    if (folders->root >= 0 && !empty)
        return cst_fail(error, CST_ERROR_EXISTS, _("directory '%s' is not empty"), folders->path);
    if (!cst_may_change(error))
        return FALSE;
    if (folders->root < 0) {
        if (mkdirat(place.dir, place.name, 0700) < 0 || !cst_place_sync(&place, NULL))
            return cst_fail_errno(error, errno, _("cannot make directory '%s'"), folders->path);
        folders->root = open_dir(place.dir, place.name, folders->path, error);
        if (folders->root < 0 || !may_trust(folders->root, folders->path, FALSE, error))
            return FALSE;
    }
    if (fchmod(folders->root, 0700) < 0)
        return cst_fail_errno(error, errno, _("cannot change the mode of '%s'"), folders->path);
    for (int i = 0; i < N_FOLDERS; i++)
        if (mkdirat(folders->root, names[i], 0700) < 0 && errno != EEXIST)
            return cst_fail_errno(error, errno, _("cannot make directory '%s' in '%s'"), names[i],
                                  folders->path);
    return cst_dir_sync(folders->root, folders->path, error) &&
           open_children(folders, FALSE, error);
}

gboolean folders_open(Folders *folders, const char *path, gboolean shared_ok, GError **error)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    struct stat st;

    folders_init(folders, path);
    if (!cst_place_init(&place, folders->path, error))
        return FALSE;
    folders->root = open_dir(place.dir, place.name, folders->path, error);
    if (folders->root < 0 || !may_trust(folders->root, folders->path, shared_ok, error))
        return FALSE;
    if (fstatat(folders->root, CONFIG, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("'%s' is no repository of backups; backup-init makes one"),
                        folders->path);
    return open_children(folders, shared_ok, error);
}

/* --- files ------------------------------------------------------------------------------------ */

int folder_file_open(int dirfd, const char *name, const char *path, GError **error)
{
    g_auto(CstFd) fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 && (errno == ELOOP || errno == ENXIO)) {
        cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is no file"), path);
        return -1;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        cst_fail_errno(error, errno, _("cannot open '%s'"), path);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is no file"), path);
        return -1;
    }
    return g_steal_fd(&fd);
}

uint8_t *folder_file_read(int dirfd, const char *name, const char *path, size_t limit,
                          size_t *ret_len, GError **error)
{
    g_auto(CstFd) fd = folder_file_open(dirfd, name, path, error);
    g_autofree uint8_t *data = NULL;
    struct stat st;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0) {
        cst_fail_errno(error, errno, _("cannot look at '%s'"), path);
        return NULL;
    }
    if (st.st_size < 0 || (uint64_t)st.st_size > limit) {
        cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is longer than it can be"), path);
        return NULL;
    }
    data = cst_alloc((uint64_t)st.st_size, 1, path, error);
    if (!data || !cst_pread_full(fd, data, (size_t)st.st_size, 0, path, error))
        return NULL;
    *ret_len = (size_t)st.st_size;
    return g_steal_pointer(&data);
}

int folder_draft(const Folders *folders, uint8_t ret_id[REPO_ID], GError **error)
{
    char name[REPO_ID_TEXT];
    int fd;

    if (!cst_may_change(error) || !repo_random(ret_id, REPO_ID, error))
        return -1;
    repo_id_format(ret_id, name);
    fd = openat(folders->fds[FOLDER_DRAFTS], name,
                O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        cst_fail_errno(error, errno, _("cannot make a file in '%s'"), folders->path);
    return fd;
}

static gboolean folder_draft_publish(const Folders *folders, int fd, const uint8_t draft[REPO_ID],
                                     int dirfd, const char *name, const char *path, GError **error)
{
    char draft_name[REPO_ID_TEXT];

    if (fsync(fd) < 0)
        return cst_fail_errno(error, errno, _("cannot write '%s'"), path);
    CST_TEST_POINT("folder.publish.synced");
    if (renameat(folders->fds[FOLDER_DRAFTS], repo_id_format(draft, draft_name), dirfd, name) < 0)
        return cst_fail_errno(error, errno, _("cannot make '%s'"), path);
    CST_TEST_POINT("folder.publish.renamed");
    return cst_dir_sync(dirfd, folders->path, error);
}

gboolean folder_publish(const Folders *folders, int fd, const uint8_t draft[REPO_ID],
                        FolderKind kind, const char *name, GError **error)
{
    g_autofree char *path = folder_path(folders, kind, name);

    return folder_draft_publish(folders, fd, draft, folders->fds[kind], name, path, error);
}

gboolean folder_publish_config(const Folders *folders, int fd, const uint8_t draft[REPO_ID],
                               GError **error)
{
    g_autofree char *path = g_build_filename(folders->path, CONFIG, NULL);

    return folder_draft_publish(folders, fd, draft, folders->root, CONFIG, path, error);
}

void folder_drop_draft(const Folders *folders, const uint8_t draft[REPO_ID])
{
    char name[REPO_ID_TEXT];

    (void)unlinkat(folders->fds[FOLDER_DRAFTS], repo_id_format(draft, name), 0);
}

gboolean folder_remove(const Folders *folders, FolderKind kind, const char *name, GError **error)
{
    g_autofree char *path = folder_path(folders, kind, name);

    if (!cst_may_change(error))
        return FALSE;
    return unlinkat(folders->fds[kind], name, 0) == 0 || errno == ENOENT ||
           cst_fail_errno(error, errno, _("cannot remove '%s'"), path);
}

gboolean folder_has(const Folders *folders, FolderKind kind, const char *name)
{
    struct stat st;

    return fstatat(folders->fds[kind], name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

gboolean folder_sync(const Folders *folders, FolderKind kind, GError **error)
{
    return cst_dir_sync(folders->fds[kind], folders->path, error);
}

GPtrArray *folder_list(const Folders *folders, FolderKind kind, guint *ret_others, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    int copy = openat(folders->fds[kind], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;
    uint8_t id[REPO_ID];
    guint others = 0;

    if (!dir) {
        cst_fail_errno(error, errno, _("cannot read directory '%s' in '%s'"), names[kind],
                       folders->path);
        if (copy >= 0)
            close(copy);
        return NULL;
    }
    while ((errno = 0, entry = readdir(dir))) {
        if (repo_id_parse(entry->d_name, id))
            g_ptr_array_add(found, g_strdup(entry->d_name));
        else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            others++;
    }
    if (errno != 0) {
        cst_fail_errno(error, errno, _("cannot read directory '%s' in '%s'"), names[kind],
                       folders->path);
        closedir(dir);
        return NULL;
    }
    closedir(dir);
    g_ptr_array_sort(found, cst_text_compare);
    if (ret_others)
        *ret_others = others;
    return g_steal_pointer(&found);
}
