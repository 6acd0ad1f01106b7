/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drafts in a directory: new files and directories under names that no listing shows
 * (PREFIX<token>SUFFIX), until a rename gives them their final name.
 *
 * The process that creates a file holds a lock on its open file description. The kernel drops the
 * lock when the process dies. Therefore a draft belongs to a dead process if its lock can be
 * acquired. The lock covers one byte at an offset without content, and conflicts with no lock of
 * other programs.
 *
 * A directory cannot be locked. An empty draft directory is removed. Its creator may be alive on
 * another host or in a daemon with another root. The commit of such a creator finds the directory
 * missing and creates it again.
 */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <base/log.h>

#define NFS_PREFIX ".nfs"
#define NFS_DIGITS 24

/* --- names ------------------------------------------------------------------------------------ */

gboolean cst_dir_is_draft(const char *name)
{
    return g_str_has_prefix(name, CST_DRAFT_PREFIX) && g_str_has_suffix(name, CST_DRAFT_SUFFIX);
}

/*
 * Returns whether @name is a name that the NFS client of Linux gives to a file that is deleted
 * while it is open. The digits are the numbers of the inode (16) and of the rename (8). The file
 * disappears with its last descriptor.
 */
static gboolean is_nfs_leftover(const char *name)
{
    const size_t prefix = strlen(NFS_PREFIX);

    return g_str_has_prefix(name, NFS_PREFIX) && strlen(name + prefix) == NFS_DIGITS &&
           strspn(name + prefix, "0123456789abcdef") == NFS_DIGITS;
}

gboolean cst_dir_name_hidden(const char *name)
{
    if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')))
        return TRUE;
    if (g_str_has_prefix(name, CST_DRAFT_PREFIX) || is_nfs_leftover(name))
        return TRUE;
    /* XML cannot represent other control characters. */
    for (const char *p = name; *p; p++)
        if (g_ascii_iscntrl(*p) && *p != '\t' && *p != '\n')
            return TRUE;
    return FALSE;
}

gboolean cst_dir_name_is_volume(const char *name)
{
    return !cst_dir_name_hidden(name) || cst_name_is_trash(name);
}

char *cst_dir_draft_name(const char *token)
{
    return g_strconcat(CST_DRAFT_PREFIX, token, CST_DRAFT_SUFFIX, NULL);
}

/* --- the files -------------------------------------------------------------------------------- */

/*
 * Locks the byte before the last possible offset, because QEMU's locks are at the beginning.
 * Returns FALSE and errno on failure.
 */
static gboolean lock_draft(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = G_MAXINT64 - 1, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

int cst_dir_create_draft(const CstDirHandle *dir, const char *name)
{
    g_auto(CstFd) fd = cst_entry_create(dir, name);
    gboolean taken;

    if (fd < 0)
        return -1;
    /* On a file system without locks, no other process can hold one either. */
    taken = !lock_draft(fd) && errno == EAGAIN;
    if (taken || !cst_entry_is(dir, name, fd)) {
        errno = EAGAIN;
        return -1;
    }
    return g_steal_fd(&fd);
}

/* Linux returns EISDIR for the unlink of a directory. */
gboolean cst_dir_remove_draft(const CstDirHandle *dir, const char *name)
{
    return cst_entry_remove(dir, name, FALSE) || errno == ENOENT ||
           (errno == EISDIR && cst_entry_remove(dir, name, TRUE));
}

/*
 * Removes draft @name if the process that created it is dead. An entry that is neither a file nor a
 * directory is no draft of ours, regardless of its name.
 */
static void dir_draft_drop_dead(const CstDirHandle *dir, const char *name)
{
    struct statx st;
    gboolean is_dir = cst_entry_stat(dir, name, FALSE, &st) && S_ISDIR(st.stx_mode);
    g_auto(CstFd) fd = is_dir ? -1 : cst_entry_open_draft(dir, name);

    if ((is_dir || (fd >= 0 && lock_draft(fd))) && cst_entry_remove(dir, name, is_dir))
        cst_log(CST_LOG_INFO, "dropped the half-made volume '%s'", name);
}

gboolean cst_dir_draft_is_dead(const CstDirHandle *dir, const char *name)
{
    g_auto(CstFd) fd = cst_entry_open_draft(dir, name);

    return fd >= 0 ? lock_draft(fd) : errno == ENOENT;
}

void cst_dir_drop_dead(const CstDirHandle *dir)
{
    DIR *stream = cst_handle_list(dir);
    const struct dirent *entry;

    if (!stream)
        return;
    while ((entry = readdir(stream)))
        if (cst_dir_is_draft(entry->d_name))
            dir_draft_drop_dead(dir, entry->d_name);
    closedir(stream);
}
