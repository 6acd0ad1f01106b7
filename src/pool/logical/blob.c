/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An LV as a blob: the file blob of the device, with one difference. If a write, a flush or a
 * zeroing fails, the blob reads LVM's report. If the LV's thin pool is full, the error says so
 * instead of "I/O error" (thin.c). Successful calls have no extra cost. Reads and discards are only
 * passed on.
 */
#include "logical.h"

#include <errno.h>
#include <fcntl.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

typedef struct {
    CstBlob head;
    CstBlob *inner;
    LogicalState *state; /* referenced */
} LvBlob;

#define LV_BLOB(blob) ((LvBlob *)(blob))

/* Consumes @why. Always returns FALSE. */
static gboolean lv_explain_error(const LvBlob *blob, GError *why, GError **error)
{
    logical_explain_full(blob->state, blob->head.name, &why);
    g_propagate_error(error, why);
    return FALSE;
}

static gboolean lv_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    return cst_blob_pread(LV_BLOB(blob)->inner, buf, len, offset, error);
}

static gboolean lv_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    return cst_blob_get_size(LV_BLOB(blob)->inner, ret_size, error);
}

static void lv_close(CstBlob *blob)
{
    cst_blob_unref(LV_BLOB(blob)->inner);
    cst_pool_state_unref(&LV_BLOB(blob)->state->head);
    g_free(blob);
}

static gboolean lv_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                          GError **error)
{
    GError *why = NULL;

    return cst_blob_pwrite(LV_BLOB(blob)->inner, buf, len, offset, &why) ||
           lv_explain_error(LV_BLOB(blob), why, error);
}

static gboolean lv_flush(CstBlob *blob, GError **error)
{
    GError *why = NULL;

    return cst_blob_flush(LV_BLOB(blob)->inner, &why) ||
           lv_explain_error(LV_BLOB(blob), why, error);
}

static gboolean lv_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                          GError **error)
{
    return cst_blob_extent(LV_BLOB(blob)->inner, offset, length, ret_extent, error);
}

static gboolean lv_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                        GError **error)
{
    GError *why = NULL;

    return cst_blob_zero(LV_BLOB(blob)->inner, offset, length, flags, &why) ||
           lv_explain_error(LV_BLOB(blob), why, error);
}

static gboolean lv_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return cst_blob_discard(LV_BLOB(blob)->inner, offset, length, error);
}

static gboolean lv_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return cst_blob_allocate(LV_BLOB(blob)->inner, offset, length, error);
}

/* A guest is found by the device of its disk. */
static int lv_node_fd(CstBlob *blob)
{
    return cst_blob_node_fd(LV_BLOB(blob)->inner);
}

static const CstBlobOps lv_ops = {
    .kind = "lv",
    .pread = lv_pread,
    .get_size = lv_get_size,
    .close = lv_close,
    .pwrite = lv_pwrite,
    .flush = lv_flush,
    .extent = lv_extent,
    .zero = lv_zero,
    .discard = lv_discard,
    .allocate = lv_allocate,
    .node_fd = lv_node_fd,
};

CstBlob *logical_blob_new(LogicalState *state, int fd, const char *lv, gboolean writable,
                          GError **error)
{
    CstBlob *inner = cst_blob_file_new(fd, lv, writable, error);
    LvBlob *blob;

    if (!inner)
        return NULL;
    blob = g_new0(LvBlob, 1);
    cst_blob_init(&blob->head, &lv_ops, lv, writable);
    blob->inner = inner;
    blob->state = LOGICAL(cst_pool_state_ref(&state->head));
    return &blob->head;
}

/* An active LV has a node, so a missing node is an error here. */
CstBlob *logical_open_lv(LogicalState *state, const char *lv, gboolean writable, GError **error)
{
    g_autofree char *path = logical_device(state, lv);
    int fd = cst_node_open(path, writable ? O_RDWR : O_RDONLY);

    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot open volume '%s'"), path);
        return NULL;
    }
    return logical_blob_new(state, fd, lv, writable, error);
}
