/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mode of a file that is a copy of other files (see the header). */
#include <base/access.h>

#include <sys/stat.h>
#include <unistd.h>

/* Returns the bits of @mode for a file whose group differs from that of the source. */
static mode_t without_group(mode_t mode)
{
    mode_t common = (mode >> 3) & mode & S_IRWXO;

    return (mode & S_IRWXU) | common << 3 | common;
}

void cst_access_restrict(CstAccess *access, mode_t mode, gid_t group)
{
    if (access->grouped && access->group != group)
        mode = without_group(mode);
    access->mode &= mode;
    /* The group of an earlier source may differ from this group as well. */
    if (access->grouped && access->group != group)
        access->mode = without_group(access->mode);
    access->group = group;
    access->grouped = TRUE;
}

mode_t cst_access_mode(const CstAccess *access, gid_t group)
{
    return access->grouped && access->group != group ? without_group(access->mode) : access->mode;
}

mode_t cst_access_mode_at(const CstAccess *access, const CstPlace *place)
{
    struct stat dir;

    return cst_access_mode(
        access, fstat(place->dir, &dir) == 0 && dir.st_mode & S_ISGID ? dir.st_gid : getegid());
}
