/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/hold.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

enum { READ, WRITE, WRITE_UNCHANGED, RESIZE };

#define DOES    100
#define FORBIDS 200

static const off_t claimed[] = {DOES + READ, DOES + WRITE, DOES + RESIZE, FORBIDS + WRITE,
                                FORBIDS + RESIZE};
/* Who has one of these does not go together with us. */
static const off_t refused[] = {FORBIDS + READ, FORBIDS + WRITE, FORBIDS + RESIZE, DOES + WRITE,
                                DOES + RESIZE};
/* Who has one of these reads what must not go away. */
static const off_t reading[] = {DOES + READ};
/* Who has one of these changes the file. */
static const off_t changing[] = {DOES + WRITE, DOES + RESIZE};

static int lock_byte(int fd, int command, short type, off_t byte, short *ret_type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int result = fcntl(fd, command, &lock);

    *ret_type = lock.l_type;
    return result;
}

static void let_go(int fd)
{
    short type;

    for (size_t i = 0; i < G_N_ELEMENTS(claimed); i++)
        lock_byte(fd, F_OFD_SETLK, F_UNLCK, claimed[i], &type);
}

/* --- who holds it ----------------------------------------------------------------------------- */

/** A line "lock: 1: OFDLCK ADVISORY READ -1 08:01:INODE FIRST LAST" of our file. */
static gboolean has_lock(const char *path, const char *inode)
{
    g_autofree char *text = NULL;
    const char *at;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return FALSE;
    for (at = strstr(text, "OFDLCK"); at; at = strstr(at + 1, "OFDLCK")) {
        const char *found = strstr(at, inode), *end = strchr(at, '\n');

        if (found && (!end || found < end))
            return TRUE;
    }
    return FALSE;
}

static gboolean process_holds(const char *pid, const char *inode)
{
    g_autofree char *dir_name = g_strdup_printf("/proc/%s/fdinfo", pid);
    GDir *dir = g_dir_open(dir_name, 0, NULL);
    gboolean found = FALSE;
    const char *name;

    while (dir && !found && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(dir_name, name, NULL);

        found = has_lock(path, inode);
    }
    if (dir)
        g_dir_close(dir);
    return found;
}

/** 0: not known, for others' descriptors show to root only. */
static int64_t holder(int fd)
{
    g_autofree char *self = g_strdup_printf("%d", getpid());
    g_autofree char *inode = NULL;
    GDir *dir = g_dir_open("/proc", 0, NULL);
    int64_t result = 0;
    const char *name;
    struct stat st;

    if (fstat(fd, &st) == 0)
        inode = g_strdup_printf(":%ju ", (uintmax_t)st.st_ino);
    while (dir && inode && result == 0 && (name = g_dir_read_name(dir)))
        if (g_ascii_isdigit(*name) && strcmp(name, self) != 0 && process_holds(name, inode))
            result = g_ascii_strtoll(name, NULL, 10);
    if (dir)
        g_dir_close(dir);
    return result;
}

/** "process 123 (qemu-nbd)", or as much of it as can be found out. */
static char *holder_in_words(int fd)
{
    int64_t pid = holder(fd);
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/comm", pid);
    g_autofree char *command = NULL;

    if (pid == 0)
        return g_strdup(_("another process"));
    if (!g_file_get_contents(path, &command, NULL, NULL))
        return g_strdup_printf(_("process %d"), (int)pid);
    return g_strdup_printf(_("process %d (%s)"), (int)pid, g_strchomp(command));
}

/* --- claiming --------------------------------------------------------------------------------- */

/** Does anybody else have a lock on one of @bytes? */
static gboolean is_locked(int fd, const off_t *bytes, size_t count)
{
    short type;

    for (size_t i = 0; i < count; i++)
        if (lock_byte(fd, F_OFD_GETLK, F_WRLCK, bytes[i], &type) == 0 && type != F_UNLCK)
            return TRUE;
    return FALSE;
}

gboolean cst_image_hold(CstBlob *blob, GError **error)
{
    int fd = cst_blob_file_fd(blob);
    g_autofree char *who = NULL;
    short type;

    if (fd < 0)
        return TRUE;
    /* Claim first, look then: of two that do so at once, at least one sees the other. */
    for (size_t i = 0; i < G_N_ELEMENTS(claimed); i++)
        if (lock_byte(fd, F_OFD_SETLK, F_RDLCK, claimed[i], &type) < 0 && errno != EAGAIN &&
            errno != EACCES)
            return TRUE; /* no locks here */
    if (!is_locked(fd, refused, G_N_ELEMENTS(refused)))
        return TRUE;
    who = holder_in_words(fd);
    let_go(fd);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("'%s' is in use by %s; stop it before the image is changed"), blob->name,
                    who);
}

gboolean cst_image_is_open(CstBlob *blob, int64_t *ret_pid)
{
    int fd = cst_blob_file_fd(blob);

    if (fd < 0 || !(is_locked(fd, refused, G_N_ELEMENTS(refused)) ||
                    is_locked(fd, reading, G_N_ELEMENTS(reading))))
        return FALSE;
    *ret_pid = holder(fd);
    return TRUE;
}

gboolean cst_image_is_written(CstBlob *blob, char **ret_who)
{
    int fd = cst_blob_file_fd(blob);

    if (fd < 0 || !is_locked(fd, changing, G_N_ELEMENTS(changing)))
        return FALSE;
    *ret_who = holder_in_words(fd);
    return TRUE;
}
