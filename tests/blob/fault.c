/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A layer that injects faults, for tests (see the header).
 *
 * Each call is counted by its kind. The armed call fails, and in mode CUT every later change as
 * well. For a simulated power cut the layer keeps the content at the last flush ("stable") and a
 * list of the changes since. The power cut writes the stable content back and replays a random
 * selection of the sectors of those changes.
 *
 * The lock guards all members except inner. It is not held across calls of the inner blob, except
 * while the stable content is saved or restored.
 */
#include <blob/fault.h>

#include <string.h>

#include <base/error.h>

#define SECTOR 512
#define JUNK   0xdd /* content of discarded ranges */

/* A change since the last flush. */
typedef struct {
    uint64_t offset;
    GBytes *data; /* NULL: offset is the new size */
} Change;

typedef struct {
    CstBlob head;
    CstBlob *inner;
    GBytes *stable;   /* content at the last flush; NULL: changes are not tracked */
    GPtrArray *since; /* Change */
    GMutex lock;
    unsigned aim[CST_FAULT_KINDS];  /* number of the call that fails; 0: not armed */
    unsigned seen[CST_FAULT_KINDS]; /* calls since the kind was armed */
    CstFaultMode mode;
    gboolean cut;       /* every change fails */
    gboolean struck;    /* a fault has been injected */
    CstTask *cancel;    /* borrowed; NULL: not set */
    unsigned cancel_in; /* changes until the task is cancelled */
} CstFaultBlob;

static void change_free(void *data)
{
    Change *change = data;

    if (change->data)
        g_bytes_unref(change->data);
    g_free(change);
}

/* Saves the inner blob's content as the content at the last flush. Called with the lock held. */
static gboolean save_stable(CstFaultBlob *fault, GError **error)
{
    g_autofree uint8_t *content = NULL;
    uint64_t size = 0;

    if (!cst_blob_get_size(fault->inner, &size, error))
        return FALSE;
    content = g_malloc(MAX(size, 1));
    if (!cst_blob_pread(fault->inner, content, size, 0, error))
        return FALSE;
    g_clear_pointer(&fault->stable, g_bytes_unref);
    fault->stable = g_bytes_new_take(g_steal_pointer(&content), size);
    g_ptr_array_set_size(fault->since, 0);
    return TRUE;
}

/*
 * Records a write for the power cut; @data NULL: @len bytes of value @fill. FALSE if changes are
 * not tracked.
 */
static gboolean record_write(CstFaultBlob *fault, uint64_t offset, const void *data, size_t len,
                             int fill)
{
    Change *change;
    gboolean tracked;

    g_mutex_lock(&fault->lock);
    tracked = fault->stable != NULL;
    if (tracked) {
        uint8_t *copy = g_malloc(MAX(len, 1));

        memset(copy, fill, len);
        if (data)
            memcpy(copy, data, len);
        change = g_new0(Change, 1);
        change->offset = offset;
        change->data = g_bytes_new_take(copy, len);
        g_ptr_array_add(fault->since, change);
    }
    g_mutex_unlock(&fault->lock);
    return tracked;
}

static void record_resize(CstFaultBlob *fault, uint64_t size)
{
    Change *change;

    g_mutex_lock(&fault->lock);
    if (fault->stable) {
        change = g_new0(Change, 1);
        change->offset = size;
        g_ptr_array_add(fault->since, change);
    }
    g_mutex_unlock(&fault->lock);
}

/* Counts a call of @kind. TRUE: it must fail. Called with the lock held. */
static gboolean count_call(CstFaultBlob *fault, CstFaultKind kind)
{
    fault->seen[kind]++;
    /* Only the armed call fails: a retry succeeds unless the mode is CUT. */
    if (fault->aim[kind] == 0 || fault->seen[kind] != fault->aim[kind])
        return FALSE;
    fault->struck = TRUE;
    fault->cut = fault->mode == CST_FAULT_CUT;
    return TRUE;
}

/* Counts a read-only call of @kind. TRUE: it must fail. */
static gboolean should_fail(CstFaultBlob *fault, CstFaultKind kind)
{
    gboolean hit;

    g_mutex_lock(&fault->lock);
    hit = count_call(fault, kind);
    g_mutex_unlock(&fault->lock);
    return hit;
}

/*
 * Counts a change of @kind. TRUE: it must fail. After a cut all changes fail, and are not counted.
 */
static gboolean change_should_fail(CstFaultBlob *fault, CstFaultKind kind)
{
    gboolean hit;

    g_mutex_lock(&fault->lock);
    hit = fault->cut || count_call(fault, kind);
    if (kind != CST_FAULT_FLUSH && fault->cancel && --fault->cancel_in == 0)
        cst_task_cancel(g_steal_pointer(&fault->cancel));
    g_mutex_unlock(&fault->lock);
    return hit;
}

static gboolean fault_fail(CstBlob *blob, GError **error)
{
    return cst_fail(error, CST_ERROR_IO, "injected fault in '%s'", blob->name);
}

static gboolean fault_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    if (should_fail(fault, CST_FAULT_READ))
        return fault_fail(blob, error);
    return cst_blob_pread(fault->inner, buf, len, offset, error);
}

static gboolean fault_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    if (should_fail(fault, CST_FAULT_QUERY))
        return fault_fail(blob, error);
    return cst_blob_get_size(fault->inner, ret_size, error);
}

static void fault_close(CstBlob *blob)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    cst_blob_unref(fault->inner);
    g_ptr_array_unref(fault->since);
    if (fault->stable)
        g_bytes_unref(fault->stable);
    g_mutex_clear(&fault->lock);
    g_free(fault);
}

static gboolean fault_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                             GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    if (change_should_fail(fault, CST_FAULT_WRITE))
        return fault_fail(blob, error);
    /*
     * Half of the sectors, as whole sectors, because a disk writes a sector completely or not at
     * all.
     */
    if (should_fail(fault, CST_FAULT_TORN)) {
        cst_blob_pwrite(fault->inner, buf, len / 2 / 512 * 512, offset, NULL);
        return fault_fail(blob, error);
    }
    /*
     * Recorded first, because a write that fails in the inner blob may have changed a part of the
     * range.
     */
    record_write(fault, offset, buf, len, 0);
    return cst_blob_pwrite(fault->inner, buf, len, offset, error);
}

static gboolean fault_flush(CstBlob *blob, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;
    gboolean ok = TRUE;

    if (change_should_fail(fault, CST_FAULT_FLUSH))
        return fault_fail(blob, error);
    g_mutex_lock(&fault->lock);
    if (fault->stable)
        ok = save_stable(fault, error);
    g_mutex_unlock(&fault->lock);
    return ok && cst_blob_flush(fault->inner, error);
}

static gboolean fault_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                             GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    if (should_fail(fault, CST_FAULT_QUERY))
        return fault_fail(blob, error);
    return cst_blob_extent(fault->inner, offset, length, ret_extent, error);
}

static gboolean fault_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                           GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    if (change_should_fail(fault, CST_FAULT_WRITE))
        return fault_fail(blob, error);
    record_write(fault, offset, NULL, length, 0);
    return cst_blob_zero(fault->inner, offset, length, flags, error);
}

static gboolean fill_with_junk(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    g_autofree uint8_t *junk = g_malloc(length);

    memset(junk, JUNK, length);
    return cst_blob_pwrite(blob, junk, length, offset, error);
}

static gboolean fault_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    if (change_should_fail(fault, CST_FAULT_DISCARD))
        return fault_fail(blob, error);
    /* Junk reveals code that relies on discarded content. */
    if (!record_write(fault, offset, NULL, length, JUNK))
        return cst_blob_discard(fault->inner, offset, length, error);
    return fill_with_junk(fault->inner, offset, length, error);
}

static gboolean fault_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    return change_should_fail(fault, CST_FAULT_WRITE)
               ? fault_fail(blob, error)
               : cst_blob_allocate(fault->inner, offset, length, error);
}

static gboolean fault_resize(CstBlob *blob, uint64_t size, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    if (change_should_fail(fault, CST_FAULT_WRITE))
        return fault_fail(blob, error);
    record_resize(fault, size);
    return cst_blob_resize(fault->inner, size, error);
}

/* Other blobs may share extents into this one. The changes arrive as writes. */
static uint64_t fault_share_unit(CstBlob *blob)
{
    return cst_blob_share_unit(((CstFaultBlob *)blob)->inner);
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
    .share_unit = fault_share_unit,
};

CstBlob *cst_blob_fault_new(CstBlob *inner)
{
    CstFaultBlob *fault = g_new0(CstFaultBlob, 1);

    cst_blob_init(&fault->head, &fault_ops, inner->name, inner->writable);
    fault->inner = cst_blob_ref(inner);
    fault->since = g_ptr_array_new_with_free_func(change_free);
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
    CstFaultBlob *fault = (CstFaultBlob *)blob;
    unsigned seen;

    g_mutex_lock(&fault->lock);
    seen = fault->seen[kind];
    g_mutex_unlock(&fault->lock);
    return seen;
}

gboolean cst_blob_fault_struck(CstBlob *blob)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;
    gboolean struck;

    g_mutex_lock(&fault->lock);
    struck = fault->struck;
    g_mutex_unlock(&fault->lock);
    return struck;
}

void cst_blob_fault_cancel(CstBlob *blob, CstTask *task, unsigned nth)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;

    g_mutex_lock(&fault->lock);
    fault->cancel = task;
    fault->cancel_in = nth;
    g_mutex_unlock(&fault->lock);
}

gboolean cst_blob_fault_track(CstBlob *blob, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;
    gboolean ok;

    g_mutex_lock(&fault->lock);
    ok = save_stable(fault, error);
    g_mutex_unlock(&fault->lock);
    return ok;
}

/* Replays the whole change, no part of it, or a random selection of its sectors. */
static gboolean replay_change(CstBlob *inner, const Change *change, GRand *rand, GError **error)
{
    int fate = g_rand_int_range(rand, 0, 3);
    gsize len = 0;
    const uint8_t *data = change->data ? g_bytes_get_data(change->data, &len) : NULL;

    if (fate == 0)
        return TRUE;
    if (!data)
        return cst_blob_resize(inner, change->offset, error);
    for (gsize at = 0; at < len;) {
        gsize n = MIN(len - at, SECTOR - (change->offset + at) % SECTOR);

        if ((fate == 1 || g_rand_boolean(rand)) &&
            !cst_blob_pwrite(inner, data + at, n, change->offset + at, error))
            return FALSE;
        at += n;
    }
    return TRUE;
}

gboolean cst_blob_fault_power_cut(CstBlob *blob, GRand *rand, GError **error)
{
    CstFaultBlob *fault = (CstFaultBlob *)blob;
    gsize size = 0;
    const void *content;
    gboolean ok;

    g_mutex_lock(&fault->lock);
    content = g_bytes_get_data(fault->stable, &size);
    ok = cst_blob_resize(fault->inner, size, error) &&
         cst_blob_pwrite(fault->inner, content, size, 0, error);
    for (guint i = 0; ok && i < fault->since->len; i++)
        ok = replay_change(fault->inner, g_ptr_array_index(fault->since, i), rand, error);
    /* The tested program is considered dead: its later writes must not reach the disk. */
    fault->cut = TRUE;
    g_mutex_unlock(&fault->lock);
    return ok;
}
