/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The content of a new volume: a range of the whole disk. It is written through the disk's page
 * cache, which the later node of the partition does not share. Therefore the commit syncs it, and
 * old cached content of the range is dropped first. The disk is opened by a node that udev does not
 * watch, because udev would probe all partitions after a writer closes the watched node. The
 * watched node has the claim.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

typedef struct {
    CstBlob head;
    CstBlob *disk; /* NULL: closed */
    int claim;     /* -1: released */
    DiskPartition partition;
} DraftBlob;

#define DRAFT(blob) ((DraftBlob *)(blob))

static gboolean is_open(CstBlob *blob, GError **error)
{
    return DRAFT(blob)->disk ||
           cst_fail(error, CST_ERROR_STATE, _("volume '%s' is no draft any more"), blob->name);
}

static uint64_t draft_disk_offset(CstBlob *blob, uint64_t offset)
{
    return DRAFT(blob)->partition.start + offset;
}

static gboolean draft_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    return is_open(blob, error) &&
           cst_blob_pread(DRAFT(blob)->disk, buf, len, draft_disk_offset(blob, offset), error);
}

static gboolean draft_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = DRAFT(blob)->partition.end - DRAFT(blob)->partition.start;
    return TRUE;
}

static void draft_close(CstBlob *blob)
{
    cst_blob_unref(DRAFT(blob)->disk);
    cst_fd_clear(&DRAFT(blob)->claim);
    g_free(blob);
}

/* Another partition may follow the end of the range. */
static gboolean draft_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                             GError **error)
{
    uint64_t size = DRAFT(blob)->partition.end - DRAFT(blob)->partition.start;

    if (offset > size || len > size - offset)
        return cst_fail(error, CST_ERROR_NO_SPACE, _("volume '%s' ends before that"), blob->name);
    return is_open(blob, error) &&
           cst_blob_pwrite(DRAFT(blob)->disk, buf, len, draft_disk_offset(blob, offset), error);
}

static gboolean draft_flush(CstBlob *blob, GError **error)
{
    return is_open(blob, error) && cst_blob_flush(DRAFT(blob)->disk, error);
}

static gboolean draft_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                           GError **error)
{
    return is_open(blob, error) &&
           cst_blob_zero(DRAFT(blob)->disk, draft_disk_offset(blob, offset), length, flags, error);
}

static gboolean draft_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return is_open(blob, error) &&
           cst_blob_discard(DRAFT(blob)->disk, draft_disk_offset(blob, offset), length, error);
}

static const CstBlobOps draft_ops = {
    .kind = "partition draft",
    .pread = draft_pread,
    .get_size = draft_get_size,
    .close = draft_close,
    .pwrite = draft_pwrite,
    .flush = draft_flush,
    .zero = draft_zero,
    .discard = draft_discard,
};

/* Opens the whole disk as a blob, and drops the cached content of the range. */
static CstBlob *draft_open_disk(const char *node, const DiskPartition *wanted, GError **error)
{
    int fd = cst_node_open_aside(node, O_RDWR);

    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot open device '%s'"), node);
        return NULL;
    }
    posix_fadvise(fd, (off_t)wanted->start, (off_t)(wanted->end - wanted->start),
                  POSIX_FADV_DONTNEED);
    return cst_blob_file_new(fd, node, TRUE, error);
}

CstBlob *disk_draft_new(int claim, const char *node, const DiskPartition *wanted, GError **error)
{
    g_auto(CstFd) claimed = claim;
    CstBlob *disk = draft_open_disk(node, wanted, error);
    DraftBlob *draft;

    if (!disk)
        return NULL;
    draft = g_new0(DraftBlob, 1);
    cst_blob_init(&draft->head, &draft_ops, node, TRUE);
    draft->disk = disk;
    draft->claim = g_steal_fd(&claimed);
    draft->partition = *wanted;
    return &draft->head;
}

const DiskPartition *disk_draft_partition(CstBlob *blob)
{
    return blob && blob->ops == &draft_ops ? &DRAFT(blob)->partition : NULL;
}

void disk_draft_close(CstBlob *blob)
{
    g_clear_pointer(&DRAFT(blob)->disk, cst_blob_unref);
    cst_fd_clear(&DRAFT(blob)->claim);
}
