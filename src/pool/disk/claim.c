/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims of new volumes on the disk before they are in the table: an extent and a number. Both are
 * locks of a descriptor of the disk's node (F_OFD_SETLK). One lock covers the bytes of the extent.
 * The other covers one byte, far after the end of any disk, that represents the number. Other
 * processes and threads that create volumes see the locks. The kernel drops them when their owner
 * ends, even after a crash.
 *
 * A caller that searches for an extent holds the lock of the disk, so no other caller claims the
 * same extent. Therefore a read lock is sufficient, and the node need not be open for writing.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>

#include <base/error.h>
#include <base/i18n.h>

/* The byte that represents number 0. */
#define NUMBERS (INT64_C(1) << 62)

static struct flock disk_claim_range(short type, uint64_t start, uint64_t end)
{
    return (struct flock){.l_type = type,
                          .l_whence = SEEK_SET,
                          .l_start = (off_t)start,
                          .l_len = (off_t)(end - start)};
}

/*
 * Adds the parts of the range that other descriptors have locked. The kernel reports one lock at a
 * time, in no order, so both sides of it are queried again. If the query fails, the claim itself
 * will fail.
 */
static void add_held(int fd, uint64_t start, uint64_t end, GArray *extents)
{
    struct flock lock = disk_claim_range(F_WRLCK, start, end);
    uint64_t from, to;

    if (start >= end || fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return;
    from = MAX((uint64_t)lock.l_start, start);
    to = lock.l_len == 0 ? end : MIN((uint64_t)lock.l_start + (uint64_t)lock.l_len, end);
    disk_extent_add(extents, from, to, 0);
    add_held(fd, start, from, extents);
    add_held(fd, to, end, extents);
}

void disk_claims(int fd, const DiskTable *table, GArray *numbers, GArray *extents)
{
    g_autoptr(GArray) bytes = g_array_new(FALSE, TRUE, sizeof(CstDeviceExtent));

    add_held(fd, table->start, table->end, extents);
    add_held(fd, NUMBERS, NUMBERS + G_MAXUINT16, bytes);
    for (guint i = 0; i < bytes->len; i++) {
        const CstDeviceExtent *extent = &g_array_index(bytes, CstDeviceExtent, i);

        for (uint64_t at = extent->start; at < extent->end; at++) {
            guint number = (guint)(at - NUMBERS);

            g_array_append_val(numbers, number);
        }
    }
}

static gboolean disk_claim_lock(int fd, uint64_t start, uint64_t end, GError **error)
{
    struct flock lock = disk_claim_range(F_RDLCK, start, end);

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return TRUE;
    if (errno == EAGAIN || errno == EACCES)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("another process holds a lock on this part of the disk"));
    return cst_fail_errno(error, errno, _("cannot claim a part of the disk"));
}

gboolean disk_claim(int fd, const DiskPartition *wanted, GError **error)
{
    return disk_claim_lock(fd, NUMBERS + wanted->number, NUMBERS + wanted->number + 1, error) &&
           disk_claim_lock(fd, wanted->start, wanted->end, error);
}
