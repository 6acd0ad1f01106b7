/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The free space of a file system, for a check before a copy begins. The check may miss a copy that
 * will not fit, but must never refuse a copy that fits. So only listed file systems have an answer:
 * Btrfs and ZFS compress, a network file system may be stored on one of them, and overlayfs does
 * not name the file system below it.
 */
#include <base/room.h>

#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef EXFAT_SUPER_MAGIC
#define EXFAT_SUPER_MAGIC 0x2011BAB0
#endif

#define SECTOR 512u

static gboolean stores_bytes_as_they_are(unsigned long type)
{
    switch (type) {
    case EXT4_SUPER_MAGIC: /* also ext2 and ext3 */
    case TMPFS_MAGIC:
    case XFS_SUPER_MAGIC:
    case MSDOS_SUPER_MAGIC:
    case EXFAT_SUPER_MAGIC: return TRUE;
    default: return FALSE;
    }
}

CstRoom cst_room_of(int fd)
{
    CstRoom room = {0};
    struct statfs fs;
    struct stat st;

    /* A tmpfs without a size limit reports 0 blocks. */
    if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0 || fs.f_blocks == 0 ||
        !stores_bytes_as_they_are((unsigned long)fs.f_type))
        return room;
    room.known = TRUE;
    room.device = st.st_dev;
    room.bytes = (uint64_t)(fs.f_frsize ? fs.f_frsize : fs.f_bsize) *
                 (geteuid() == 0 ? fs.f_bfree : fs.f_bavail);
    room.sharing = fs.f_type == XFS_SUPER_MAGIC;
    /* XFS preallocates blocks after growing files, and releases them before it is full. */
    if (room.sharing)
        room.bytes += room.bytes / 8;
    return room;
}

gboolean cst_room_count_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                              GError **error)
{
    static const uint8_t zeroes[SECTOR];
    CstRoomCount *count = data;
    const uint8_t *at = bytes;

    (void)hole;
    for (size_t done = 0; done < len && !count->exceeded; done += SECTOR) {
        size_t step = MIN(len - done, SECTOR);

        if (memcmp(at + done, zeroes, step) == 0)
            continue;
        count->exceeded = step > count->left;
        count->left -= MIN(step, count->left);
    }
    if (count->exceeded)
        return cst_fail(error, CST_ERROR_NO_SPACE, "no space left");
    return cst_task_check(count->task, error);
}

gboolean cst_room_fail_pool(const char *name, const char *pool, uint64_t needed, uint64_t free,
                            GError **error)
{
    const char *needed_unit, *free_unit;
    double needed_value = cst_units_pretty(needed, &needed_unit);
    double free_value = cst_units_pretty(free, &free_unit);

    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("cannot make volume '%s' in pool '%s': it needs %.2f %s and the pool has "
                      "%.2f %s available; free space in the pool, or choose another pool"),
                    name, pool, needed_value, needed_unit, free_value, free_unit);
}

gboolean cst_room_fail_file(const char *path, uint64_t needed, uint64_t free, GError **error)
{
    const char *needed_unit, *free_unit;
    double needed_value = cst_units_pretty(needed, &needed_unit);
    double free_value = cst_units_pretty(free, &free_unit);

    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("cannot write '%s': it needs %.2f %s and its file system has %.2f %s "
                      "available; free space there, or name another directory"),
                    path, needed_value, needed_unit, free_value, free_unit);
}
