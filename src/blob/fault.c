/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <blob/fault.h>

#include <base/error.h>

typedef struct {
    CstBlob head;
    CstBlob *inner;
    GMutex lock;
    unsigned aim[CST_FAULT_KINDS];
    unsigned seen[CST_FAULT_KINDS];
    CstFaultMode mode;
    gboolean cut;
    gboolean struck;
} CstFaultBlob;

/* TRUE: this call of @kind must fail. */
static gboolean strikes(CstFaultBlob *fault, CstFaultKind kind)
{
    gboolean hit;

    g_mutex_lock(&fault->lock);
    fault->seen[kind]++;
    hit = fault->aim[kind] != 0 && fault->seen[kind] == fault->aim[kind];
    if (hit) {
        fault->struck = TRUE;
        fault->cut = fault->mode == CST_FAULT_CUT;
    }
    g_mutex_unlock(&fault->lock);
    return hit;
}

static gboolean fail(CstBlob *blob, GError **error)
{
    return cst_fail(error, CST_ERROR_IO, "injected fault in '%s'", blob->name);
}

static gboolean change_fails(CstFaultBlob *fault)
{
    return fault->cut || strikes(fault, CST_FAULT_WRITE);
}

static gboolean fault_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    if (strikes(fault, CST_FAULT_READ))
        return fail(blob, error);
    return cst_blob_pread(fault->inner, buf, len, offset, error);
}

static gboolean fault_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    return cst_blob_get_size(((CstFaultBlob *)blob)->inner, ret_size, error);
}

static void fault_close(CstBlob *blob)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    cst_blob_unref(fault->inner);
    g_mutex_clear(&fault->lock);
    g_free(fault);
}

static gboolean fault_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                             GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    if (change_fails(fault))
        return fail(blob, error);
    if (strikes(fault, CST_FAULT_TORN)) {
        cst_blob_pwrite(fault->inner, buf, len / 2 / 512 * 512, offset, NULL);
        return fail(blob, error);
    }
    return cst_blob_pwrite(fault->inner, buf, len, offset, error);
}

static gboolean fault_flush(CstBlob *blob, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    if (fault->cut || strikes(fault, CST_FAULT_FLUSH))
        return fail(blob, error);
    return cst_blob_flush(fault->inner, error);
}

static gboolean fault_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                             GError **error)
{
    return cst_blob_extent(((CstFaultBlob *)blob)->inner, offset, length, ret_extent, error);
}

static gboolean fault_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                           GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    return change_fails(fault) ? fail(blob, error)
                               : cst_blob_zero(fault->inner, offset, length, flags, error);
}

static gboolean fault_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    return change_fails(fault) ? fail(blob, error)
                               : cst_blob_discard(fault->inner, offset, length, error);
}

static gboolean fault_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    return change_fails(fault) ? fail(blob, error)
                               : cst_blob_allocate(fault->inner, offset, length, error);
}

static gboolean fault_resize(CstBlob *blob, uint64_t size, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    return change_fails(fault) ? fail(blob, error) : cst_blob_resize(fault->inner, size, error);
}

static const CstBlobOps fault_ops = {
    .kind = "fault",
    .pread = fault_pread,
    .get_size = fault_get_size,
    .close = fault_close,
    .pwrite = fault_pwrite,
    .flush = fault_flush,
    .extent = fault_extent,
    .zero = fault_zero,
    .discard = fault_discard,
    .allocate = fault_allocate,
    .resize = fault_resize,
};

CstBlob *cst_blob_fault_new(CstBlob *inner)
{
    CstFaultBlob *fault = g_new0(CstFaultBlob, 1);

    cst_blob_init(&fault->head, &fault_ops, inner->name, inner->writable);
    fault->inner = cst_blob_ref(inner);
    g_mutex_init(&fault->lock);
    return &fault->head;
}

void cst_blob_fault_arm(CstBlob *blob, CstFaultKind kind, unsigned nth, CstFaultMode mode)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    g_mutex_lock(&fault->lock);
    fault->aim[kind] = nth;
    fault->seen[kind] = 0;
    fault->mode = mode;
    fault->cut = fault->struck = FALSE;
    g_mutex_unlock(&fault->lock);
}

unsigned cst_blob_fault_count(CstBlob *blob, CstFaultKind kind)
{
    return ((CstFaultBlob *)blob)->seen[kind];
}

gboolean cst_blob_fault_struck(CstBlob *blob)
{
    return ((CstFaultBlob *)blob)->struck;
}
