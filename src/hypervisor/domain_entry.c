/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files by which processes that work on a domain are found again. A directory has up to three
 * files for a domain:
 *
 *   UUID       the entry: a key file, which an administrator can read
 *   UUID.new   the next entry, until it is renamed to UUID
 *   UUID.lock  flock(2) of the processes
 *
 * A complete entry is replaced by a complete entry. Neither the files nor the directory are synced:
 * after a power cut no domain is paused or backed up, and the directory is on a file system in
 * memory (/run).
 *
 * All files are opened beneath the descriptor of the directory, and no symbolic link is followed.
 * An entry that another user could have written is refused, because it names a domain to change.
 */
#include "domain_entry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>
#include <base/uuid.h>

#include "connection.h"

#define VERSION        1     /* of the keys */
#define ENTRY_MAX      16384 /* bytes */
#define NEW_SUFFIX     ".new"
#define LOCK_SUFFIX    ".lock"
#define UUID_CHARS     (CST_UUID_TEXT_LEN - 1)
#define LOCK_TRIES_MAX 100

gboolean domain_uuid_is_canonical(const char *text)
{
    char canonical[CST_UUID_TEXT_LEN];
    CstUuid uuid;

    return cst_uuid_parse(text, &uuid) && strcmp(cst_uuid_format(&uuid, canonical), text) == 0;
}

/* --- the directory ---------------------------------------------------------------------------- */

int domain_directory_open(const char *path, mode_t mode, GError **error)
{
    struct stat st;
    g_auto(CstFd) fd = -1;

    /* A dry run checks the domain, too, and this directory is not part of its result. */
    if (mode && mkdir(path, mode) < 0 && errno != EEXIST) {
        cst_fail_errno(error, errno, _("cannot create directory '%s'"), path);
        return -1;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        cst_fail_errno(error, errno, _("cannot open directory '%s'"), path);
        return -1;
    }
    if (!cst_only_we_write(&st)) {
        cst_fail(error, CST_ERROR_DENIED,
                 _("other users can write to directory '%s'; run chmod 0700"), path);
        return -1;
    }
    /* The umask may have removed bits. */
    if ((st.st_mode & mode) != mode && fchmod(fd, mode) < 0) {
        cst_fail_errno(error, errno, _("cannot change the mode of directory '%s'"), path);
        return -1;
    }
    return g_steal_fd(&fd);
}

/* Returns the UUID of a file's name, or NULL for other files. The caller frees it. */
static char *file_uuid(const char *name)
{
    g_autofree char *uuid = g_strndup(name, UUID_CHARS);

    if (!domain_uuid_is_canonical(uuid))
        return NULL;
    name += UUID_CHARS;
    if (*name && strcmp(name, NEW_SUFFIX) != 0 && strcmp(name, LOCK_SUFFIX) != 0)
        return NULL;
    return g_steal_pointer(&uuid);
}

GPtrArray *domain_directory_list(int dirfd)
{
    GPtrArray *uuids = g_ptr_array_new_with_free_func(g_free);
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *file;

    while (dir && (file = readdir(dir))) {
        char *uuid = file_uuid(file->d_name);

        if (uuid && !g_ptr_array_find_with_equal_func(uuids, uuid, g_str_equal, NULL))
            g_ptr_array_add(uuids, uuid);
        else
            g_free(uuid);
    }
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    g_ptr_array_sort(uuids, cst_text_compare);
    return uuids;
}

gboolean domain_directory_recover(const char *path, DomainRecoverFunc recover, gpointer data,
                                  GError **error)
{
    g_autoptr(GError) why = NULL;
    g_auto(CstFd) dirfd = domain_directory_open(path, 0, &why);
    g_autoptr(GPtrArray) uuids = NULL;
    gboolean ok = TRUE;

    if (dirfd < 0) {
        if (cst_error_code(why) == CST_ERROR_NOT_FOUND)
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    uuids = domain_directory_list(dirfd);
    if (uuids->len > 0 && !hypervisor_check_helper(error))
        return FALSE;
    for (guint i = 0; i < uuids->len; i++)
        ok = recover(dirfd, uuids->pdata[i], data, ok ? error : NULL) && ok;
    return ok;
}

/* --- the lock --------------------------------------------------------------------------------- */

static gboolean lock_is_present(int dirfd, const char *name, int lock_fd)
{
    struct stat open_file, named;

    return fstat(lock_fd, &open_file) == 0 &&
           fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/*
 * Locks the file. Returns FALSE with errno set, and with ESTALE if its last holder has removed the
 * file.
 */
static gboolean lock_try(int dirfd, const char *name, int *ret_fd)
{
    g_auto(CstFd) fd =
        openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return FALSE;
    errno = ESTALE;
    if (!lock_is_present(dirfd, name, fd))
        return FALSE;
    *ret_fd = g_steal_fd(&fd);
    return TRUE;
}

int domain_entry_lock(int dirfd, const char *uuid, GError **error)
{
    g_autofree char *name = g_strconcat(uuid, LOCK_SUFFIX, NULL);
    int fd = -1;

    for (guint i = 0; i < LOCK_TRIES_MAX; i++) {
        if (lock_try(dirfd, name, &fd))
            return fd;
        if (errno != ESTALE)
            break;
    }
    if (errno == EWOULDBLOCK || errno == ESTALE)
        cst_fail(error, CST_ERROR_BUSY,
                 _("another process holds the lock of domain %s; try again later"), uuid);
    else
        cst_fail_errno(error, errno, _("cannot lock '%s'"), name);
    return -1;
}

gboolean domain_entry_holds(int dirfd, const char *uuid, int lock_fd)
{
    g_autofree char *name = g_strconcat(uuid, LOCK_SUFFIX, NULL);

    /* A descriptor that already has the lock acquires it again. */
    return flock(lock_fd, LOCK_EX | LOCK_NB) == 0 && lock_is_present(dirfd, name, lock_fd);
}

void domain_entry_unlock(int dirfd, const char *uuid, int lock_fd)
{
    g_autofree char *name = g_strconcat(uuid, LOCK_SUFFIX, NULL);

    unlinkat(dirfd, name, 0);
    flock(lock_fd, LOCK_UN);
    close(lock_fd);
}

/* --- the entry -------------------------------------------------------------------------------- */

static gboolean entry_write_new(int dirfd, const char *name, const char *text, gsize len,
                                GError **error)
{
    g_auto(CstFd) fd = -1;

    unlinkat(dirfd, name, 0);
    fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot create '%s'"), name);
    return cst_pwrite_full(fd, text, len, 0, name, error);
}

void domain_entry_clear(DomainEntry *entry)
{
    g_clear_pointer(&entry->uri, g_free);
    g_clear_pointer(&entry->uuid, g_free);
    g_clear_pointer(&entry->name, g_free);
}

GKeyFile *domain_entry_encode(const DomainEntry *entry, const char *group)
{
    GKeyFile *file = g_key_file_new();

    g_key_file_set_integer(file, group, "version", VERSION);
    g_key_file_set_string(file, group, "uri", entry->uri);
    g_key_file_set_string(file, group, "uuid", entry->uuid);
    g_key_file_set_string(file, group, "name", entry->name ? entry->name : "");
    g_key_file_set_integer(file, group, "id", entry->id);
    g_key_file_set_int64(file, group, "late-until", entry->late_until);
    return file;
}

gboolean domain_entry_write(int dirfd, const char *uuid, GKeyFile *file, GError **error)
{
    g_autofree char *name = g_strconcat(uuid, NEW_SUFFIX, NULL);
    gsize len = 0;
    g_autofree char *text = g_key_file_to_data(file, &len, NULL);

    if (!entry_write_new(dirfd, name, text, len, error))
        return FALSE;
    if (renameat(dirfd, name, dirfd, uuid) < 0)
        return cst_fail_errno(error, errno, _("cannot rename '%s'"), name);
    return TRUE;
}

/* Fails with CORRUPT if the file is no key file. */
static gboolean entry_load(int dirfd, const char *uuid, GKeyFile *file, GError **error)
{
    g_auto(CstFd) fd = openat(dirfd, uuid, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    g_autofree char *text = NULL;
    size_t len;

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot open the entry of domain %s"), uuid);
    return cst_file_read_open(fd, uuid, CST_FILE_PRIVATE, ENTRY_MAX, &text, &len, error) &&
           (g_key_file_load_from_data(file, text, len, G_KEY_FILE_NONE, NULL) ||
            cst_fail(error, CST_ERROR_CORRUPT, "%s", uuid));
}

/* Returns FALSE if a key is missing, or has a value out of its range. */
static gboolean entry_decode(GKeyFile *file, const char *group, const char *uuid,
                             DomainEntry *ret_entry)
{
    g_autoptr(GError) error = NULL;

    if (g_key_file_get_integer(file, group, "version", NULL) != VERSION)
        return FALSE;
    ret_entry->uri = g_key_file_get_string(file, group, "uri", NULL);
    ret_entry->uuid = g_key_file_get_string(file, group, "uuid", NULL);
    ret_entry->name = g_key_file_get_string(file, group, "name", NULL);
    ret_entry->id = g_key_file_get_integer(file, group, "id", &error);
    if (!error)
        ret_entry->late_until = g_key_file_get_int64(file, group, "late-until", &error);
    return !error && ret_entry->uri && g_strcmp0(ret_entry->uuid, uuid) == 0 && ret_entry->name &&
           ret_entry->id >= 0;
}

GKeyFile *domain_entry_read(int dirfd, const char *uuid, const char *group, const char *damaged,
                            DomainEntry *ret_entry, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) why = NULL;

    if (!entry_load(dirfd, uuid, file, &why) && cst_error_code(why) != CST_ERROR_CORRUPT) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    if (!why && entry_decode(file, group, uuid, ret_entry))
        return g_steal_pointer(&file);
    cst_fail(error, CST_ERROR_CORRUPT, "%s", damaged);
    return NULL;
}

void domain_entry_remove(int dirfd, const char *uuid)
{
    g_autofree char *name = g_strconcat(uuid, NEW_SUFFIX, NULL);

    unlinkat(dirfd, name, 0);
    unlinkat(dirfd, uuid, 0);
}

gboolean domain_entry_recover(int dirfd, const char *uuid, const DomainRecovery *recovery,
                              GError **error)
{
    g_autoptr(GError) why = NULL;
    g_auto(CstFd) lock = domain_entry_lock(dirfd, uuid, &why);

    if (lock < 0 && cst_error_code(why) == CST_ERROR_BUSY)
        return TRUE;
    if (lock >= 0 && recovery->check(dirfd, uuid, &why))
        return recovery->repair(dirfd, uuid, lock, error);
    if (lock >= 0 && cst_error_code(why) == CST_ERROR_NOT_FOUND) {
        domain_entry_remove(dirfd, uuid);
        g_clear_error(&why);
    }
    if (lock >= 0)
        domain_entry_unlock(dirfd, uuid, g_steal_fd(&lock));
    if (!why)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}
