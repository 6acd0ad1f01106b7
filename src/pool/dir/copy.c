/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies of whole files that share extents, for snapshots. A copy in progress has the name and the
 * lock of a draft. Therefore the copy of a dead process is not mistaken for a snapshot.
 *
 * The extended attribute "user.cistern.consistency" of a snapshot's file is the record of its
 * consistency (model/consistency.h). Other users cannot write it, because only this program's user
 * can enter the directory of the snapshots (cst_handle_open_own()). The owner of a volume's file
 * can set the same attribute on that file. Therefore a copy never receives the attribute of its
 * source, and the attribute of a volume's file is never read.
 */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/uuid.h>

#define RECORD_XATTR   "user.cistern.consistency"
#define RECORD_MAX     1024
#define XATTR_LIST_MAX 65536

/* --- content ---------------------------------------------------------------------------------- */

/* Maps all errors that mean "this file system cannot share extents" to UNSUPPORTED. */
gboolean cst_dir_copy_share(int from, int to, const char *volume, GError **error)
{
    if (ioctl(to, FICLONE, from) == 0)
        return TRUE;
    if (errno == EOPNOTSUPP || errno == EXDEV || errno == EINVAL || errno == ENOTTY)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' can't have snapshots: its file system does not share "
                          "extents (XFS with reflink and Btrfs do), and of the formats only qcow2 "
                          "keeps snapshots inside of the image"),
                        volume);
    return cst_fail_errno(error, errno, _("cannot copy volume '%s'"), volume);
}

int cst_dir_copy_to_draft(int from, const CstDirHandle *dir, const char *volume, char **ret_draft,
                          GError **error)
{
    char token[CST_UUID_TEXT_LEN];
    g_autofree char *draft = NULL;
    g_auto(CstFd) fd = -1;
    CstUuid id;

    cst_uuid_generate(&id);
    draft = cst_dir_draft_name(cst_uuid_format(&id, token));
    fd = cst_dir_create_draft(dir, draft);
    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot make a copy of volume '%s'"), volume);
        return -1;
    }
    CST_CRASH_POINT("snapshot.draft.created");
    if (!cst_dir_copy_share(from, fd, volume, error)) {
        cst_entry_remove(dir, draft, FALSE);
        return -1;
    }
    *ret_draft = g_steal_pointer(&draft);
    return g_steal_fd(&fd);
}

gboolean cst_dir_copy_sync(int fd, const char *volume, GError **error)
{
    if (fsync(fd) < 0)
        return cst_fail_errno(error, errno, _("cannot sync a copy of volume '%s'"), volume);
    CST_CRASH_POINT("snapshot.draft.synced");
    return TRUE;
}

/* --- attributes ------------------------------------------------------------------------------- */

/*
 * Capabilities would give rights to each user that runs the file. The record describes the content
 * of one snapshot only.
 */
static gboolean copy_omits_attribute(const char *name)
{
    return strcmp(name, "security.capability") == 0 || strcmp(name, RECORD_XATTR) == 0;
}

/* Ignores failures, because the copy of the content is sufficient. */
void cst_dir_copy_attributes(int from, int to)
{
    g_autofree char *names = g_malloc(XATTR_LIST_MAX);
    g_autofree char *value = g_malloc(XATTR_LIST_MAX);
    ssize_t len = flistxattr(from, names, XATTR_LIST_MAX);

    for (const char *name = names; len > 0 && name < names + len; name += strlen(name) + 1) {
        ssize_t size =
            copy_omits_attribute(name) ? -1 : fgetxattr(from, name, value, XATTR_LIST_MAX);

        if (size >= 0 && fsetxattr(to, name, value, (size_t)size, 0) < 0)
            continue; /* this process may not set it */
    }
}

/* A file system without extended attributes is no error: the snapshot then has no record. */
void cst_dir_record_write(int fd, const CstSnapshotCreate *how, const char *volume)
{
    g_autofree char *record = cst_consistency_record(how->consistency, how->consistency_reason);

    if (record && fsetxattr(fd, RECORD_XATTR, record, strlen(record), 0) < 0)
        cst_log(CST_LOG_DEBUG, "cannot record the consistency of a snapshot of '%s': %s", volume,
                g_strerror(errno));
}

char *cst_dir_record_read(const CstDirHandle *dir, const char *name)
{
    g_auto(CstFd) fd = cst_entry_open_file(dir, name, O_RDONLY, NULL);
    char value[RECORD_MAX + 1];
    ssize_t len = fd < 0 ? -1 : fgetxattr(fd, RECORD_XATTR, value, RECORD_MAX);

    return len > 0 ? g_strndup(value, (gsize)len) : NULL;
}
