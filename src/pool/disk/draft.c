/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The content of a volume that is being made: a range of the whole disk. It is written there
 * through the disk's own page cache, which the partition's node, once there is one, does not share;
 * so the commit syncs it, and what the cache has of the range from before is dropped first.
 */
#include "disk.h"

#include <fcntl.h>

#include <base/error.h>
#include <base/i18n.h>

typedef struct {
    CstBlob head;
    CstBlob *disk; /* NULL: closed */
    DiskPartition partition;
} DraftBlob;

#define DRAFT(blob) ((DraftBlob *)(blob))

static gboolean is_open(CstBlob *blob, GError **error)
{
    return DRAFT(blob)->disk ||
           cst_fail(error, CST_ERROR_STATE, _("volume '%s' is no draft any more"), blob->name);
}

static uint64_t at(CstBlob *blob, uint64_t offset)
{
    return DRAFT(blob)->partition.start + offset;
}

static gboolean draft_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    return is_open(blob, error) &&
           cst_blob_pread(DRAFT(blob)->disk, buf, len, at(blob, offset), error);
}

static gboolean draft_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = DRAFT(blob)->partition.end - DRAFT(blob)->partition.start;
    return TRUE;
}

static void draft_close(CstBlob *blob)
{
    cst_blob_unref(DRAFT(blob)->disk);
    g_free(blob);
}

/* Behind its end lies another partition. */
static gboolean draft_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                             GError **error)
{
    uint64_t size = DRAFT(blob)->partition.end - DRAFT(blob)->partition.start;

    if (offset > size || len > size - offset)
        return cst_fail(error, CST_ERROR_NO_SPACE, _("volume '%s' ends before that"), blob->name);
    return is_open(blob, error) &&
           cst_blob_pwrite(DRAFT(blob)->disk, buf, len, at(blob, offset), error);
}

static gboolean draft_flush(CstBlob *blob, GError **error)
{
    return is_open(blob, error) && cst_blob_flush(DRAFT(blob)->disk, error);
}

static gboolean draft_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                           GError **error)
{
    return is_open(blob, error) &&
           cst_blob_zero(DRAFT(blob)->disk, at(blob, offset), length, flags, error);
}

static gboolean draft_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return is_open(blob, error) &&
           cst_blob_discard(DRAFT(blob)->disk, at(blob, offset), length, error);
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

CstBlob *disk_draft_new(int fd, const char *node, const DiskPartition *wanted, GError **error)
{
    CstBlob *disk;
    DraftBlob *draft;

    posix_fadvise(fd, (off_t)wanted->start, (off_t)(wanted->end - wanted->start),
                  POSIX_FADV_DONTNEED);
    disk = cst_blob_file_new(fd, node, TRUE, error);
    if (!disk)
        return NULL;
    draft = g_new0(DraftBlob, 1);
    cst_blob_init(&draft->head, &draft_ops, node, TRUE);
    draft->disk = disk;
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
}
