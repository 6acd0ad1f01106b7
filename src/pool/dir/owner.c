/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attributes of a new file or directory besides its content: the owner, and no copy-on-write. Both
 * functions work on descriptors only.
 */
#include "dir.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

gboolean cst_dir_set_owner(int fd, const char *name, const CstPerms *perms, GError **error)
{
    uid_t uid = perms->uid == CST_PERMS_UNSET ? (uid_t)-1 : perms->uid;
    gid_t gid = perms->gid == CST_PERMS_UNSET ? (gid_t)-1 : perms->gid;

    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) < 0)
        return cst_fail_errno(error, errno, _("cannot chown '%s' to (%u, %u)"), name, uid, gid);
    return TRUE;
}

/*
 * Btrfs honors the flag of a file only while the file is empty. New entries of a directory inherit
 * the directory's flag.
 */
gboolean cst_dir_turn_cow_off(int fd)
{
    int attributes;

    if (ioctl(fd, FS_IOC_GETFLAGS, &attributes) < 0)
        return FALSE;
    attributes |= FS_NOCOW_FL;
    return ioctl(fd, FS_IOC_SETFLAGS, &attributes) == 0;
}
