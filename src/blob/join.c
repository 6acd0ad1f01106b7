/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The concatenation of ranges of other blobs, read-only: several images copied into one, or a range
 * of one image. A binary search finds the part that contains an offset. A request is split at the
 * ends of parts. A part without a blob reads as zeroes. Immutable after creation, so it needs no
 * locks.
 */
#include <blob/copy.h>

#include <string.h>

typedef struct {
    CstBlob *blob;
    uint64_t offset; /* of the part in its blob */
    uint64_t start;  /* of the part in the concatenation */
    uint64_t length;
} Part;

typedef struct {
    CstBlob head;
    uint64_t size;
    GArray *parts; /* Part; never empty */
} JoinBlob;

/* Returns the part that contains @offset, which must be within the size. */
static const Part *part_at(const JoinBlob *join, uint64_t offset)
{
    guint low = 0, high = join->parts->len;

    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(join->parts, Part, middle).start <= offset)
            low = middle;
        else
            high = middle;
    }
    return &g_array_index(join->parts, Part, low);
}

static gboolean join_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    const JoinBlob *join = (JoinBlob *)blob;
    uint8_t *at = buf;

    while (len > 0) {
        const Part *part = part_at(join, offset);
        uint64_t inside = offset - part->start;
        size_t n = (size_t)MIN(len, part->length - inside);

        if (!part->blob)
            memset(at, 0, n);
        else if (!cst_blob_pread(part->blob, at, n, part->offset + inside, error))
            return FALSE;
        at += n;
        offset += n;
        len -= n;
    }
    return TRUE;
}

static gboolean join_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = ((JoinBlob *)blob)->size;
    return TRUE;
}

static gboolean join_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                            GError **error)
{
    const Part *part = part_at((JoinBlob *)blob, offset);
    uint64_t inside = offset - part->start, n = MIN(length, part->length - inside);
    CstExtent extent = {offset, n, CST_EXTENT_HOLE | CST_EXTENT_ZERO};

    if (part->blob && !cst_blob_extent(part->blob, part->offset + inside, n, &extent, error))
        return FALSE;
    /* The part's answer is relative to its own blob. */
    extent.offset = offset;
    *ret_extent = extent;
    return TRUE;
}

static gboolean join_locate(CstBlob *blob, uint64_t offset, uint64_t length,
                            CstBlobLocation *ret_location, GError **error)
{
    const Part *part = part_at((JoinBlob *)blob, offset);
    uint64_t inside = offset - part->start, n = MIN(length, part->length - inside);

    *ret_location = (CstBlobLocation){NULL, 0, n};
    return !part->blob ||
           cst_blob_locate(part->blob, part->offset + inside, n, ret_location, error);
}

static void join_close(CstBlob *blob)
{
    g_array_unref(((JoinBlob *)blob)->parts);
    g_free(blob);
}

static const CstBlobOps join_ops = {
    .kind = "join",
    .pread = join_pread,
    .get_size = join_get_size,
    .close = join_close,
    .extent = join_extent,
    .locate = join_locate,
};

static void part_clear(gpointer data)
{
    Part *part = data;

    if (part->blob)
        cst_blob_unref(part->blob);
}

CstBlob *cst_blob_join(const CstBlobPart *parts, guint count, const char *name)
{
    JoinBlob *join = g_new0(JoinBlob, 1);

    cst_blob_init(&join->head, &join_ops, name, FALSE);
    join->parts = g_array_new(FALSE, FALSE, sizeof(Part));
    g_array_set_clear_func(join->parts, part_clear);
    for (guint i = 0; i < count; i++) {
        Part part = {.offset = parts[i].offset, .start = join->size, .length = parts[i].length};

        /* An empty part would have the start of the next one. */
        if (part.length == 0)
            continue;
        part.blob = parts[i].blob ? cst_blob_ref(parts[i].blob) : NULL;
        g_array_append_val(join->parts, part);
        join->size += part.length;
    }
    return &join->head;
}
