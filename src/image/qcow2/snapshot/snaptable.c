/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Parses and packs the snapshot table.
 *
 * The header does not contain the length of the table. The table is read in pieces as its entries
 * require more bytes, at most to the end of the file or QCOW2_MAX_SNAPSHOT_BYTES. A repair reads
 * tables that break the limits entry by entry, because one entry may claim gigabytes of extra data.
 * Unknown extra data is preserved when a table is packed.
 */
#include "snaptable.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"

#define FIXED      40       /* bytes of an entry before its extra data */
#define READ_AHEAD 0x10000u /* bytes read at a time */

gboolean qcow2_snapshot_icount(const Qcow2Snapshot *snapshot, uint64_t *ret_icount)
{
    *ret_icount =
        snapshot->extra_size >= QCOW2_SNAPSHOT_EXTRA ? cst_be64(snapshot->extra + 16) : UINT64_MAX;
    return *ret_icount != UINT64_MAX;
}

void qcow2_snapshot_clear(Qcow2Snapshot *snapshot)
{
    g_free(snapshot->extra);
    g_free(snapshot->id);
    g_free(snapshot->name);
    memset(snapshot, 0, sizeof(*snapshot));
}

static void clear_element(void *element)
{
    qcow2_snapshot_clear(element);
}

GArray *qcow2_snapshots_new(void)
{
    GArray *snapshots = g_array_new(FALSE, TRUE, sizeof(Qcow2Snapshot));

    g_array_set_clear_func(snapshots, clear_element);
    return snapshots;
}

/* The part of the table that has been read, from its start. */
typedef struct {
    Qcow2 *q;
    uint64_t room; /* bytes up to the end of the file, or the maximum of a table */
    uint64_t most; /* maximum number of bytes to read */
    uint8_t *bytes;
    uint64_t len;
} Reader;

static void reader_clear(Reader *reader)
{
    g_free(reader->bytes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reader, reader_clear)

static gboolean reader_need(Reader *reader, uint64_t len, GError **error)
{
    uint64_t had = reader->len, want = MIN(len + READ_AHEAD, reader->room);
    uint8_t *grown;

    if (len > reader->most)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("cannot list the snapshots of '%s': their table is longer than %u bytes"),
                        reader->q->blocks.blob->name, QCOW2_LIST_BYTES);
    if (len <= had)
        return TRUE;
    if (len > reader->room)
        return qcow2_corrupt(reader->q, error, _("the snapshot table is cut off or too long"));
    grown = cst_realloc(reader->bytes, want, 1, reader->q->blocks.blob->name, error);
    if (!grown)
        return FALSE;
    reader->bytes = grown;
    reader->len = want;
    return cst_blob_pread(reader->q->blocks.blob, grown + had, want - had,
                          reader->q->header.snapshots_offset + had, error);
}

static void parse_entry(const Qcow2 *q, const uint8_t *raw, Qcow2Snapshot *snapshot)
{
    uint32_t id_size = cst_be16(raw + 12), name_size = cst_be16(raw + 14);
    const uint8_t *extra = raw + FIXED;

    snapshot->l1_offset = cst_be64(raw);
    snapshot->l1_size = cst_be32(raw + 8);
    snapshot->seconds = cst_be32(raw + 16);
    snapshot->nanoseconds = cst_be32(raw + 20);
    snapshot->clock = cst_be64(raw + 24);
    snapshot->state_size = cst_be32(raw + 32);
    snapshot->extra_size = cst_be32(raw + 36);
    snapshot->disk_size = q->header.size;
    if (snapshot->extra_size >= 8)
        snapshot->state_size = cst_be64(extra);
    if (snapshot->extra_size >= 16)
        snapshot->disk_size = cst_be64(extra + 8);
    snapshot->extra = g_memdup2(extra, snapshot->extra_size);
    snapshot->id = g_strndup((const char *)extra + snapshot->extra_size, id_size);
    snapshot->name = g_strndup((const char *)extra + snapshot->extra_size + id_size, name_size);
}

static gboolean read_entry(Reader *reader, uint64_t *at, Qcow2Snapshot *snapshot, GError **error)
{
    const uint8_t *raw;
    uint64_t extra, len;

    if (!reader_need(reader, *at + FIXED, error))
        return FALSE;
    raw = reader->bytes + *at;
    extra = cst_be32(raw + 36);
    if (extra > QCOW2_MAX_SNAPSHOT_EXTRA)
        return qcow2_corrupt(reader->q, error, _("a snapshot's entry is too long"));
    len = FIXED + extra + cst_be16(raw + 12) + cst_be16(raw + 14);
    if (!reader_need(reader, *at + len, error))
        return FALSE;
    parse_entry(reader->q, reader->bytes + *at, snapshot);
    *at += (len + 7) / 8 * 8;
    return TRUE;
}

/* Reads all snapshots. LIMIT when their table has more than @most bytes. */
static GArray *read_table(Qcow2 *q, uint64_t most, uint64_t *ret_bytes, GError **error)
{
    g_autoptr(GArray) snapshots = qcow2_snapshots_new();
    g_auto(Reader) reader = {.q = q, .most = most};
    uint64_t size = 0, at = 0;

    if (!cst_blob_get_size(q->blocks.blob, &size, error))
        return NULL;
    reader.room = MIN(size - MIN(size, q->header.snapshots_offset), QCOW2_MAX_SNAPSHOT_BYTES);
    for (uint32_t i = 0; i < q->header.snapshots; i++) {
        Qcow2Snapshot snapshot = {0};

        if (!read_entry(&reader, &at, &snapshot, error))
            return NULL;
        g_array_append_val(snapshots, snapshot);
    }
    if (ret_bytes)
        *ret_bytes = at;
    return g_steal_pointer(&snapshots);
}

GArray *qcow2_snapshots_read(Qcow2 *q, uint64_t *ret_bytes, GError **error)
{
    return read_table(q, UINT64_MAX, ret_bytes, error);
}

GArray *qcow2_snapshots_read_list(Qcow2 *q, GError **error)
{
    if (q->header.snapshots > QCOW2_LIST_SNAPSHOTS) {
        cst_fail(error, CST_ERROR_LIMIT,
                 _("cannot list the snapshots of '%s': there are %u, more than %u"),
                 q->blocks.blob->name, q->header.snapshots, QCOW2_LIST_SNAPSHOTS);
        return NULL;
    }
    return read_table(q, QCOW2_LIST_BYTES, NULL, error);
}

/* Returns the length of the packed extra data. Version 3 needs the two 64-bit sizes. */
static uint32_t extra_size(const Qcow2Header *header, const Qcow2Snapshot *snapshot)
{
    gboolean wide = snapshot->state_size > G_MAXUINT32 || header->version >= 3 ||
                    snapshot->disk_size != header->size;

    return MAX(snapshot->extra_size, wide ? 16 : 0);
}

static uint64_t entry_bytes(uint64_t extra, uint64_t id_size, uint64_t name_size)
{
    return (FIXED + extra + id_size + name_size + 7) / 8 * 8;
}

static uint64_t packed_bytes(const Qcow2Header *header, const Qcow2Snapshot *snapshot)
{
    return entry_bytes(extra_size(header, snapshot), strlen(snapshot->id), strlen(snapshot->name));
}

/*
 * Reads the entry at *at, its extra data truncated to the limit, and advances *at past it. An entry
 * may claim gigabytes of extra data, so only the kept part is read.
 */
static gboolean salvage_entry(Qcow2 *q, uint64_t size, uint64_t *at, Qcow2Snapshot *snapshot,
                              gboolean *ret_cut, GError **error)
{
    uint8_t fixed[FIXED];
    g_autofree uint8_t *raw = NULL;
    uint64_t extra, kept, names;

    if (*at > size || size - *at < FIXED)
        return qcow2_corrupt(q, error, _("the snapshot table is cut off or too long"));
    if (!cst_blob_pread(q->blocks.blob, fixed, FIXED, *at, error))
        return FALSE;
    extra = cst_be32(fixed + 36);
    kept = MIN(extra, QCOW2_MAX_SNAPSHOT_EXTRA);
    names = (uint64_t)cst_be16(fixed + 12) + cst_be16(fixed + 14);
    if (size - *at < FIXED + extra + names)
        return qcow2_corrupt(q, error, _("the snapshot table is cut off or too long"));
    raw = cst_alloc(FIXED + kept + names, 1, q->blocks.blob->name, error);
    if (!raw)
        return FALSE;
    memcpy(raw, fixed, FIXED);
    cst_put_be32(raw + 36, (uint32_t)kept);
    if (!cst_blob_pread(q->blocks.blob, raw + FIXED, kept, *at + FIXED, error) ||
        !cst_blob_pread(q->blocks.blob, raw + FIXED + kept, names, *at + FIXED + extra, error))
        return FALSE;
    parse_entry(q, raw, snapshot);
    *at += entry_bytes(extra, names, 0);
    *ret_cut = kept < extra;
    return TRUE;
}

GArray *qcow2_snapshots_salvage(Qcow2 *q, Qcow2SnapshotFaults *ret_faults, GError **error)
{
    g_autoptr(GArray) snapshots = qcow2_snapshots_new();
    uint32_t count = MIN(q->header.snapshots, QCOW2_MAX_SNAPSHOTS);
    uint64_t start = q->header.snapshots_offset, at = start, packed = 0, size = 0;
    Qcow2SnapshotFaults faults = {0};

    if (!cst_blob_get_size(q->blocks.blob, &size, error))
        return NULL;
    for (uint32_t i = 0; i < count; i++) {
        Qcow2Snapshot snapshot = {0};
        uint64_t before = at;
        gboolean cut = FALSE;

        if (!salvage_entry(q, size, &at, &snapshot, &cut, error))
            return NULL;
        packed += packed_bytes(&q->header, &snapshot);
        if (packed > QCOW2_MAX_SNAPSHOT_BYTES || at - start > G_MAXINT32) {
            qcow2_snapshot_clear(&snapshot);
            at = before;
            break;
        }
        faults.too_long += cut;
        faults.too_short += q->header.version >= 3 && snapshot.extra_size < 16;
        g_array_append_val(snapshots, snapshot);
    }
    faults.bytes = at - start;
    faults.too_many = q->header.snapshots - snapshots->len;
    *ret_faults = faults;
    return g_steal_pointer(&snapshots);
}

/* Packs an entry into @raw, which the caller has zeroed. */
static void pack_entry(const Qcow2Header *header, const Qcow2Snapshot *snapshot, uint8_t *raw)
{
    uint32_t extra = extra_size(header, snapshot);
    size_t id_size = strlen(snapshot->id), name_size = strlen(snapshot->name);

    cst_put_be64(raw, snapshot->l1_offset);
    cst_put_be32(raw + 8, snapshot->l1_size);
    cst_put_be16(raw + 12, (uint16_t)id_size);
    cst_put_be16(raw + 14, (uint16_t)name_size);
    cst_put_be32(raw + 16, snapshot->seconds);
    cst_put_be32(raw + 20, snapshot->nanoseconds);
    cst_put_be64(raw + 24, snapshot->clock);
    cst_put_be32(raw + 32, (uint32_t)MIN(snapshot->state_size, G_MAXUINT32));
    cst_put_be32(raw + 36, extra);
    if (snapshot->extra_size > 0)
        memcpy(raw + FIXED, snapshot->extra, snapshot->extra_size);
    if (extra >= 8)
        cst_put_be64(raw + FIXED, snapshot->state_size);
    if (extra >= 16)
        cst_put_be64(raw + FIXED + 8, snapshot->disk_size);
    memcpy(raw + FIXED + extra, snapshot->id, id_size);
    memcpy(raw + FIXED + extra + id_size, snapshot->name, name_size);
}

uint8_t *qcow2_snapshots_pack(const Qcow2 *q, const Qcow2Header *header, const GArray *snapshots,
                              uint64_t *ret_len, GError **error)
{
    uint64_t bytes = 0;
    uint8_t *out, *raw;

    for (guint i = 0; i < snapshots->len; i++)
        bytes += packed_bytes(header, &g_array_index(snapshots, Qcow2Snapshot, i));
    if (bytes > QCOW2_MAX_SNAPSHOT_BYTES || snapshots->len > QCOW2_MAX_SNAPSHOTS) {
        cst_fail(error, CST_ERROR_LIMIT, _("'%s' has too many snapshots"), q->blocks.blob->name);
        return NULL;
    }
    out = raw = cst_alloc0(bytes, 1, q->blocks.blob->name, error);
    for (guint i = 0; out && i < snapshots->len; i++) {
        const Qcow2Snapshot *snapshot = &g_array_index(snapshots, Qcow2Snapshot, i);

        pack_entry(header, snapshot, raw);
        raw += packed_bytes(header, snapshot);
    }
    *ret_len = bytes;
    return out;
}
