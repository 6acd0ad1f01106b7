/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See the header. A connection is a number, a file a descriptor; locks are the kernel's, of open
 * file descriptions. One lock guards the faults and the counts.
 */
#include "fake_gluster.h"

#include <errno.h>
#include <fcntl.h>
#include <glusterfs/api/glfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct glfs {
    char *volume;
    gboolean up;
};

struct glfs_fd {
    int fd;
    DIR *dir;
};

typedef struct {
    guint skip, times;
    int err;
    gboolean hangs;
    guint calls;
} Fault;

static GMutex lock;
static GCond cond;
static GHashTable *faults; /* function to Fault */
static char *directory, *volume, *servers;
static const char *layer;
static gboolean copies_wrong;
static void (*at_exit)(void);
static guint8 id_byte;
static guint connections, files; /* open */

static Fault *fault_of(const char *function)
{
    Fault *fault;

    if (!faults)
        faults = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    fault = g_hash_table_lookup(faults, function);
    if (!fault) {
        fault = g_new0(Fault, 1);
        g_hash_table_insert(faults, (gpointer)function, fault);
    }
    return fault;
}

void fake_gluster_reset(const char *new_directory, const char *new_volume, guint8 id)
{
    g_mutex_lock(&lock);
    g_clear_pointer(&faults, g_hash_table_unref);
    g_free(directory);
    g_free(volume);
    g_free(servers);
    directory = g_strdup(new_directory);
    volume = g_strdup(new_volume);
    servers = g_strdup("");
    id_byte = id;
    layer = NULL;
    copies_wrong = FALSE;
    g_mutex_unlock(&lock);
}

void fake_gluster_copy_wrong(void)
{
    copies_wrong = TRUE;
}

void fake_gluster_set_layer(const char *new_layer)
{
    layer = new_layer;
}

void fake_gluster_fail(const char *function, guint skip, guint times, int err)
{
    Fault *fault;

    g_mutex_lock(&lock);
    fault = fault_of(function);
    fault->skip = skip;
    fault->times = times;
    fault->err = err;
    g_mutex_unlock(&lock);
}

void fake_gluster_hang(const char *function)
{
    g_mutex_lock(&lock);
    fault_of(function)->hangs = TRUE;
    g_mutex_unlock(&lock);
}

void fake_gluster_resume(void)
{
    GHashTableIter iter;
    gpointer fault;

    g_mutex_lock(&lock);
    fault_of("glfs_new");
    g_hash_table_iter_init(&iter, faults);
    while (g_hash_table_iter_next(&iter, NULL, &fault))
        ((Fault *)fault)->hangs = FALSE;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
}

guint fake_gluster_calls(const char *function)
{
    guint calls;

    g_mutex_lock(&lock);
    calls = fault_of(function)->calls;
    g_mutex_unlock(&lock);
    return calls;
}

#define LIMIT_S 300

void fake_gluster_await(const char *function, guint calls)
{
    gint64 end = g_get_monotonic_time() + LIMIT_S * G_TIME_SPAN_SECOND;
    guint made;

    g_mutex_lock(&lock);
    while ((made = fault_of(function)->calls) < calls)
        if (!g_cond_wait_until(&cond, &lock, end))
            g_error("%s was called %u times instead of %u", function, made, calls);
    g_mutex_unlock(&lock);
}

void fake_gluster_await_open(guint open_connections, guint open_files)
{
    gint64 end = g_get_monotonic_time() + LIMIT_S * G_TIME_SPAN_SECOND;

    g_mutex_lock(&lock);
    while (connections != open_connections || files != open_files)
        if (!g_cond_wait_until(&cond, &lock, end))
            g_error("%u connections and %u files are open instead of %u and %u", connections, files,
                    open_connections, open_files);
    g_mutex_unlock(&lock);
}

/* Counts what is opened or closed. */
static void count(guint *counter, gint by)
{
    g_mutex_lock(&lock);
    *counter += (guint)by;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
}

static guint counted(const guint *counter)
{
    guint value;

    g_mutex_lock(&lock);
    value = *counter;
    g_mutex_unlock(&lock);
    return value;
}

guint fake_gluster_connections(void)
{
    return counted(&connections);
}

guint fake_gluster_files(void)
{
    return counted(&files);
}

char *fake_gluster_servers(void)
{
    return g_strdup(servers);
}

/* Counts a call, lets it hang, and says whether it has to fail. */
static gboolean faulty(const char *function)
{
    gboolean fails = FALSE;
    Fault *fault;

    g_mutex_lock(&lock);
    fault = fault_of(function);
    fault->calls++;
    g_cond_broadcast(&cond);
    while (fault->hangs)
        g_cond_wait(&cond, &lock);
    if (fault->skip > 0) {
        fault->skip--;
    } else if (fault->times > 0) {
        fault->times--;
        errno = fault->err;
        fails = TRUE;
    }
    g_mutex_unlock(&lock);
    return fails;
}

#define FAULTY() faulty(__func__)

/* In the volume's directory; the caller frees it. */
static char *local(const char *path)
{
    return g_build_filename(directory, path, NULL);
}

/* --- connections ------------------------------------------------------------------------------ */

glfs_t *glfs_new(const char *volname)
{
    glfs_t *fs;

    if (FAULTY())
        return NULL;
    fs = g_new0(glfs_t, 1);
    fs->volume = g_strdup(volname);
    g_mutex_lock(&lock);
    g_free(servers);
    servers = g_strdup("");
    g_mutex_unlock(&lock);
    count(&connections, 1);
    return fs;
}

int glfs_set_volfile_server(glfs_t *fs, const char *transport, const char *host, int port)
{
    char *all;

    if (FAULTY())
        return -1;
    g_mutex_lock(&lock);
    all = g_strdup_printf("%s%s %s %d\n", servers, transport, host, port);
    g_free(servers);
    servers = all;
    g_mutex_unlock(&lock);
    return 0;
}

int glfs_set_logging(glfs_t *fs, const char *logfile, int loglevel)
{
    return 0;
}

int glfs_set_xlator_option(glfs_t *fs, const char *xlator, const char *key, const char *value)
{
    return 0;
}

void fake_gluster_at_exit(void (*func)(void))
{
    at_exit = func;
}

int glfs_init(glfs_t *fs)
{
    if (FAULTY())
        return -1;
    if (at_exit)
        atexit(at_exit);
    at_exit = NULL;
    if (strcmp(fs->volume, volume) != 0) {
        errno = ENOENT;
        return -1;
    }
    fs->up = TRUE;
    return 0;
}

int glfs_fini(glfs_t *fs)
{
    gboolean fails = FAULTY();

    g_free(fs->volume);
    g_free(fs);
    count(&connections, -1);
    return fails ? -1 : 0;
}

ssize_t glfs_get_volfile(glfs_t *fs, void *buf, size_t len)
{
    g_autofree char *text =
        g_strdup_printf("volume x\n    type %s\nend-volume\n", layer ? layer : "protocol/client");

    if (FAULTY())
        return -1;
    if (len < strlen(text))
        return (ssize_t)len - (ssize_t)strlen(text);
    /* The real one goes on behind the end. */
    if (len > strlen(text))
        abort();
    memcpy(buf, text, len);
    return (ssize_t)len;
}

int glfs_get_volumeid(glfs_t *fs, char *volid, size_t size)
{
    if (FAULTY())
        return -1;
    memset(volid, 0, size);
    volid[15] = (char)id_byte;
    return 16;
}

/* --- files ------------------------------------------------------------------------------------ */

static glfs_fd_t *fd_new(int fd, DIR *dir)
{
    glfs_fd_t *made;

    if (fd < 0 && !dir)
        return NULL;
    made = g_new0(glfs_fd_t, 1);
    made->fd = fd;
    made->dir = dir;
    count(&files, 1);
    return made;
}

glfs_fd_t *glfs_open(glfs_t *fs, const char *path, int flags)
{
    g_autofree char *at = local(path);

    return FAULTY() ? NULL : fd_new(open(at, flags | O_CLOEXEC), NULL);
}

glfs_fd_t *glfs_creat(glfs_t *fs, const char *path, int flags, mode_t mode)
{
    g_autofree char *at = local(path);

    return FAULTY() ? NULL : fd_new(open(at, flags | O_CREAT | O_CLOEXEC, mode), NULL);
}

int glfs_close(glfs_fd_t *fd)
{
    gboolean fails = FAULTY();

    close(fd->fd);
    g_free(fd);
    count(&files, -1);
    return fails ? -1 : 0;
}

ssize_t glfs_pread(glfs_fd_t *fd, void *buf, size_t count, off_t offset, int flags,
                   struct glfs_stat *poststat)
{
    return FAULTY() ? -1 : pread(fd->fd, buf, count, offset);
}

ssize_t glfs_pwrite(glfs_fd_t *fd, const void *buf, size_t count, off_t offset, int flags,
                    struct glfs_stat *prestat, struct glfs_stat *poststat)
{
    return FAULTY() ? -1 : pwrite(fd->fd, buf, count, offset);
}

off_t glfs_lseek(glfs_fd_t *fd, off_t offset, int whence)
{
    return FAULTY() ? -1 : lseek(fd->fd, offset, whence);
}

ssize_t glfs_copy_file_range(struct glfs_fd *in, off64_t *off_in, struct glfs_fd *out,
                             off64_t *off_out, size_t len, unsigned int flags,
                             struct glfs_stat *statbuf, struct glfs_stat *prestat,
                             struct glfs_stat *poststat)
{
    if (FAULTY())
        return -1;
    memset(statbuf, 0, sizeof(*statbuf));
    memset(prestat, 0, sizeof(*prestat));
    memset(poststat, 0, sizeof(*poststat));
    if (copies_wrong) {
        off64_t start = 0;

        *off_in += (off64_t)len;
        return copy_file_range(in->fd, &start, out->fd, off_out, len, flags);
    }
    return copy_file_range(in->fd, off_in, out->fd, off_out, len, flags);
}

int glfs_ftruncate(glfs_fd_t *fd, off_t length, struct glfs_stat *prestat,
                   struct glfs_stat *poststat)
{
    return FAULTY() ? -1 : ftruncate(fd->fd, length);
}

int glfs_fsync(glfs_fd_t *fd, struct glfs_stat *prestat, struct glfs_stat *poststat)
{
    return FAULTY() ? -1 : fsync(fd->fd);
}

/* The number of a file of Gluster's is never given again; a local one is, with another birth. */
static int stat_at(int dir, const char *path, int flags, struct stat *st)
{
    struct statx born;

    if (fstatat(dir, path, st, flags) < 0 || statx(dir, path, flags, STATX_BTIME, &born) < 0)
        return -1;
    st->st_ino = st->st_ino * 0x9e3779b97f4a7c15 +
                 (ino_t)(born.stx_btime.tv_sec * 1000000000 + born.stx_btime.tv_nsec);
    return 0;
}

int glfs_fstat(glfs_fd_t *fd, struct stat *st)
{
    return FAULTY() ? -1 : stat_at(fd->fd, "", AT_EMPTY_PATH, st);
}

int glfs_fchmod(glfs_fd_t *fd, mode_t mode)
{
    return FAULTY() ? -1 : fchmod(fd->fd, mode);
}

int glfs_fchown(glfs_fd_t *fd, uid_t uid, gid_t gid)
{
    return FAULTY() ? -1 : fchown(fd->fd, uid, gid);
}

ssize_t glfs_fgetxattr(glfs_fd_t *fd, const char *name, void *value, size_t size)
{
    return FAULTY() ? -1 : fgetxattr(fd->fd, name, value, size);
}

int glfs_fsetxattr(glfs_fd_t *fd, const char *name, const void *value, size_t size, int flags)
{
    return FAULTY() ? -1 : fsetxattr(fd->fd, name, value, size, flags);
}

int glfs_fallocate(glfs_fd_t *fd, int keep_size, off_t offset, size_t len)
{
    return FAULTY() ? -1
                    : fallocate(fd->fd, keep_size ? FALLOC_FL_KEEP_SIZE : 0, offset, (off_t)len);
}

int glfs_discard(glfs_fd_t *fd, off_t offset, size_t len)
{
    return FAULTY()
               ? -1
               : fallocate(fd->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, (off_t)len);
}

int glfs_zerofill(glfs_fd_t *fd, off_t offset, off_t len)
{
    static const char zeroes[65536];

    if (FAULTY())
        return -1;
    while (len > 0) {
        ssize_t done = pwrite(fd->fd, zeroes, (size_t)MIN(len, (off_t)sizeof(zeroes)), offset);

        if (done < 0)
            return -1;
        offset += done;
        len -= done;
    }
    return 0;
}

int glfs_fd_set_lkowner(glfs_fd_t *fd, void *data, int len)
{
    return FAULTY() ? -1 : 0;
}

int glfs_posix_lock(glfs_fd_t *fd, int cmd, struct flock *flock)
{
    if (FAULTY())
        return -1;
    flock->l_pid = 0;
    return fcntl(fd->fd, cmd == F_GETLK ? F_OFD_GETLK : F_OFD_SETLK, flock);
}

/* --- paths ------------------------------------------------------------------------------------ */

int glfs_lstat(glfs_t *fs, const char *path, struct stat *st)
{
    g_autofree char *at = local(path);

    return FAULTY() ? -1 : stat_at(AT_FDCWD, at, AT_SYMLINK_NOFOLLOW, st);
}

int glfs_stat(glfs_t *fs, const char *path, struct stat *st)
{
    g_autofree char *at = local(path);

    return FAULTY() ? -1 : stat_at(AT_FDCWD, at, 0, st);
}

int glfs_mkdir(glfs_t *fs, const char *path, mode_t mode)
{
    g_autofree char *at = local(path);

    return FAULTY() ? -1 : mkdir(at, mode);
}

int glfs_unlink(glfs_t *fs, const char *path)
{
    g_autofree char *at = local(path);

    return FAULTY() ? -1 : unlink(at);
}

int glfs_rmdir(glfs_t *fs, const char *path)
{
    g_autofree char *at = local(path);

    return FAULTY() ? -1 : rmdir(at);
}

int glfs_link(glfs_t *fs, const char *oldpath, const char *newpath)
{
    g_autofree char *old = local(oldpath);
    g_autofree char *new = local(newpath);

    return FAULTY() ? -1 : link(old, new);
}

int glfs_rename(glfs_t *fs, const char *oldpath, const char *newpath)
{
    g_autofree char *old = local(oldpath);
    g_autofree char *new = local(newpath);

    return FAULTY() ? -1 : rename(old, new);
}

int glfs_chmod(glfs_t *fs, const char *path, mode_t mode)
{
    g_autofree char *at = local(path);

    return FAULTY() ? -1 : chmod(at, mode);
}

int glfs_chown(glfs_t *fs, const char *path, uid_t uid, gid_t gid)
{
    g_autofree char *at = local(path);

    return FAULTY() ? -1 : chown(at, uid, gid);
}

int glfs_statvfs(glfs_t *fs, const char *path, struct statvfs *buf)
{
    g_autofree char *at = local(path);

    return FAULTY() ? -1 : statvfs(at, buf);
}

/* --- directories ------------------------------------------------------------------------------ */

/* A failure at the root is told as another one by the real library, and so is a stat's. */
glfs_fd_t *glfs_opendir(glfs_t *fs, const char *path)
{
    g_autofree char *at = local(path);

    if (!FAULTY())
        return fd_new(-1, opendir(at));
    if (strcmp(path, "/") == 0)
        errno = ENOTDIR;
    return NULL;
}

int glfs_readdirplus_r(glfs_fd_t *fd, struct stat *st, struct dirent *entry, struct dirent **result)
{
    const struct dirent *found;

    *result = NULL;
    if (FAULTY())
        return -1;
    found = readdir(fd->dir);
    if (!found)
        return 0;
    *entry = *found;
    *result = entry;
    /* As real servers do, tells nothing of some entries. */
    memset(st, 0, sizeof(*st));
    if (!g_str_has_prefix(entry->d_name, "untold"))
        stat_at(dirfd(fd->dir), entry->d_name, AT_SYMLINK_NOFOLLOW, st);
    return 0;
}

int glfs_closedir(glfs_fd_t *fd)
{
    gboolean fails = FAULTY();

    closedir(fd->dir);
    g_free(fd);
    count(&files, -1);
    return fails ? -1 : 0;
}
