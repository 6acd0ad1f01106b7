/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a new file or directory gets besides its content: its owner, and no copy-on-write. Both work
 * on descriptors only.
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
 * Of a file, btrfs obeys the flag only while it is empty; what is made in a directory inherits it.
 */
gboolean cst_dir_turn_cow_off(int fd)
{
    int attributes;

    if (ioctl(fd, FS_IOC_GETFLAGS, &attributes) < 0)
        return FALSE;
    attributes |= FS_NOCOW_FL;
    return ioctl(fd, FS_IOC_SETFLAGS, &attributes) == 0;
}
