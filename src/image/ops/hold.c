/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Locks on an image file that this process shares with QEMU's processes (image/hold.h describes the
 * bytes). All of them are shared locks of the open file description. They live as long as the
 * blob's descriptor, and closing another descriptor of the same file does not release them.
 * F_OFD_GETLK with a write lock tests whether another description holds a byte.
 *
 * The kernel does not report the process of such a lock. For the error message the process is
 * searched in /proc/PID/fdinfo, which shows other users' processes only to root. The result of the
 * search affects only the message.
 */
#include <image/hold.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file_writers.h>
#include <base/i18n.h>
#include <base/process.h>

enum { READ, WRITE, WRITE_UNCHANGED, RESIZE };

#define DOES    100
#define FORBIDS 200

typedef struct {
    size_t count;
    off_t at[6];
} Bytes;

static const Bytes claimed = {
    5, {DOES + READ, DOES + WRITE, DOES + RESIZE, FORBIDS + WRITE, FORBIDS + RESIZE}};
/* Bytes that conflict with our open mode if another process locks them. */
static const Bytes refused = {
    5, {FORBIDS + READ, FORBIDS + WRITE, FORBIDS + RESIZE, DOES + WRITE, DOES + RESIZE}};
/* Bytes that a process locks if it has the file open in any mode. */
static const Bytes using = {
    6,
    {FORBIDS + READ, FORBIDS + WRITE, FORBIDS + RESIZE, DOES + READ, DOES + WRITE, DOES + RESIZE}};
/* Bytes that a process locks if it changes the file. */
static const Bytes changing = {2, {DOES + WRITE, DOES + RESIZE}};

static int lock_byte(CstBlob *blob, int command, short type, off_t byte, short *ret_type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int result = cst_blob_lock(blob, command, &lock);

    *ret_type = lock.l_type;
    return result;
}

static void let_go(CstBlob *blob)
{
    short type;

    for (size_t i = 0; i < claimed.count; i++)
        lock_byte(blob, F_OFD_SETLK, F_UNLCK, claimed.at[i], &type);
}

/* --- holders of locks ------------------------------------------------------------------------- */

/* Matches a line of proc_pid_fdinfo(5):
 * "lock:\t1: OFDLCK  ADVISORY  READ -1 08:01:INODE FIRST LAST". */
static gboolean is_lock_on(const char *line, const char *inode, const Bytes *bytes)
{
    const char *at = strstr(line, "OFDLCK") ? strstr(line, inode) : NULL;
    char *end;
    gint64 first, last;

    if (!at)
        return FALSE;
    first = g_ascii_strtoll(at + strlen(inode), &end, 10);
    last = g_str_has_prefix(end, " EOF") ? G_MAXINT64 : g_ascii_strtoll(end, NULL, 10);
    for (size_t i = 0; i < bytes->count; i++)
        if (bytes->at[i] >= first && bytes->at[i] <= last)
            return TRUE;
    return FALSE;
}

static gboolean has_lock(const char *path, const char *inode, const Bytes *bytes)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL) || !strstr(text, inode))
        return FALSE;
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        if (is_lock_on(*line, inode, bytes))
            return TRUE;
    return FALSE;
}

/* The file of the blob: its inode in the kernel's notation, and its identity. */
typedef struct {
    char *inode;
    struct stat st;
} File;

static void file_clear(File *file)
{
    g_free(file->inode);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(File, file_clear)

static gboolean file_of(CstBlob *blob, File *ret_file)
{
    int fd = cst_blob_file_fd(blob);

    if (fd < 0 || fstat(fd, &ret_file->st) < 0)
        return FALSE;
    ret_file->inode = g_strdup_printf(":%ju ", (uintmax_t)ret_file->st.st_ino);
    return TRUE;
}

/* Compares the file of a descriptor, because other file systems may have the same inode number. An
 * unreadable descriptor counts as a match. */
static gboolean is_file(const char *pid, const char *descriptor, const File *file)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fd/%s", pid, descriptor);
    struct stat st;

    return stat(path, &st) < 0 || (st.st_dev == file->st.st_dev && st.st_ino == file->st.st_ino);
}

static gboolean process_holds(const char *pid, const File *file, const Bytes *bytes)
{
    g_autofree char *dir_name = g_strdup_printf("/proc/%s/fdinfo", pid);
    GDir *dir = g_dir_open(dir_name, 0, NULL);
    gboolean found = FALSE;
    const char *name;

    while (dir && !found && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(dir_name, name, NULL);

        found = has_lock(path, file->inode, bytes) && is_file(pid, name, file);
    }
    if (dir)
        g_dir_close(dir);
    return found;
}

/* Returns the other processes that lock one of @bytes, at most @max. */
static GArray *holders(CstBlob *blob, const Bytes *bytes, guint max)
{
    g_autofree char *self = g_strdup_printf("%d", getpid());
    GArray *users = g_array_new(FALSE, FALSE, sizeof(CstImageUser));
    GDir *dir = g_dir_open("/proc", 0, NULL);
    g_auto(File) file = {0};
    const char *name;

    if (dir && file_of(blob, &file))
        while (users->len < max && (name = g_dir_read_name(dir)))
            if (g_ascii_isdigit(*name) && strcmp(name, self) != 0 &&
                process_holds(name, &file, bytes)) {
                const CstImageUser user = {g_ascii_strtoll(name, NULL, 10),
                                           process_holds(name, &file, &changing)};

                g_array_append_val(users, user);
            }
    if (dir)
        g_dir_close(dir);
    return users;
}

/*
 * Returns the process that locks one of @bytes; 0 when it is unknown, because only root can read
 * the descriptors of other users, or because it is on another host.
 */
static int64_t holder(CstBlob *blob, const Bytes *bytes)
{
    g_autoptr(GArray) one = holders(blob, bytes, 1);

    return one->len > 0 ? g_array_index(one, CstImageUser, 0).pid : 0;
}

GArray *cst_image_users(CstBlob *blob)
{
    return holders(blob, &using, G_MAXUINT);
}

/* --- claiming --------------------------------------------------------------------------------- */

/* Returns whether this process holds such a lock through another descriptor than the blob's, which
 * has no lock. */
static gboolean is_ours(CstBlob *blob, const Bytes *bytes)
{
    g_auto(File) file = {0};

    return file_of(blob, &file) && process_holds("self", &file, bytes);
}

/* Returns whether another open file description locks one of @bytes. */
static gboolean is_locked(CstBlob *blob, const Bytes *bytes)
{
    short type;

    for (size_t i = 0; i < bytes->count; i++)
        if (lock_byte(blob, F_OFD_GETLK, F_WRLCK, bytes->at[i], &type) == 0 && type != F_UNLCK)
            return TRUE;
    return FALSE;
}

gboolean cst_image_hold(CstBlob *blob, GError **error)
{
    g_autofree char *who = NULL;
    short type;

    /* Claim first, then check, so that of two concurrent claims at least one sees the other. */
    for (size_t i = 0; i < claimed.count; i++)
        if (lock_byte(blob, F_OFD_SETLK, F_RDLCK, claimed.at[i], &type) < 0 && errno != EAGAIN &&
            errno != EACCES)
            return TRUE; /* the file system has no locks */
    if (!is_locked(blob, &refused))
        return TRUE;
    who = cst_process_describe(holder(blob, &refused));
    let_go(blob);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("'%s' is in use by %s; stop it before the image is changed"), blob->name,
                    who);
}

gboolean cst_image_is_open(CstBlob *blob, int64_t *ret_pid)
{
    if (!is_locked(blob, &using))
        return FALSE;
    *ret_pid = holder(blob, is_locked(blob, &changing) ? &changing : &using);
    if (*ret_pid == 0 && is_ours(blob, &using))
        *ret_pid = getpid();
    return TRUE;
}

static gboolean is_written_without_lock(CstBlob *blob, char **ret_who)
{
    char *who = cst_file_writer_describe(cst_blob_file_fd(blob));
    gboolean found = who != NULL;

    if (ret_who)
        *ret_who = g_steal_pointer(&who);
    g_free(who);
    return found;
}

gboolean cst_image_is_written(CstBlob *blob, char **ret_who)
{
    if (!is_locked(blob, &changing))
        return is_written_without_lock(blob, ret_who);
    if (ret_who)
        *ret_who = cst_process_describe(holder(blob, &changing));
    return TRUE;
}

gboolean cst_image_refuse_writer(CstBlob *blob, GError **error)
{
    g_autofree char *who = NULL;

    return !is_written_without_lock(blob, &who) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("'%s' is open for writing in %s; stop it before the image is changed"),
                    blob->name, who);
}

CstFileStamp cst_image_stamp(CstBlob *blob)
{
    return cst_image_is_written(blob, NULL) ? (CstFileStamp){0}
                                            : cst_file_stamp(cst_blob_file_fd(blob));
}

gboolean cst_image_is_as_before(CstBlob *blob, const CstFileStamp *before, const char *name,
                                GError **error)
{
    const CstFileStamp now = cst_file_stamp(cst_blob_file_fd(blob));

    return !cst_file_stamp_differs(before, &now) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("another program has written to '%s' while it was copied; stop it and repeat "
                      "the copy, or say --force-share"),
                    name);
}
