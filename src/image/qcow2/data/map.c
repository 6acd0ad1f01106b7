/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads and changes L1 and L2 tables (qcow2, "Cluster mapping", "Extended L2 Entries"): the kind of
 * an entry, the run that begins at an offset, and L2 tables for changes.
 *
 * An L2 table whose L1 entry lacks the COPIED flag is shared with a snapshot. qcow2_l2_for_write()
 * copies such a table to a new cluster, points the L1 entry at the copy, and gives up one reference
 * to the old table. All changes are made in memory; sync.c writes them in their order. The caller
 * holds the lock.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"
#include "qcow2/state.h"

#define L1_RESERVED   (~(QCOW2_COPIED | QCOW2_OFFSET_MASK))
#define WORD_RESERVED (~(QCOW2_COPIED | QCOW2_OFFSET_MASK | QCOW2_READS_ZERO))

Qcow2Entry qcow2_entry_get(const Qcow2 *q, const uint8_t *table, uint64_t index)
{
    const uint8_t *raw = table + index * q->entry_size;

    return (Qcow2Entry){cst_be64(raw), q->sub_count > 1 ? cst_be64(raw + 8) : 0};
}

gboolean qcow2_entry_put(Qcow2 *q, CstPage *table, uint64_t index, Qcow2Entry entry, GError **error)
{
    uint8_t *raw = table->data + index * q->entry_size;

    if (!cst_page_cache_dirty(q->l2s, table, error))
        return FALSE;
    cst_put_be64(raw, entry.word);
    if (q->sub_count > 1)
        cst_put_be64(raw + 8, entry.bitmap);
    return TRUE;
}

/* An offset of 0 with the COPIED flag is the guest's first byte in an external data file. */
static gboolean has_place(const Qcow2 *q, const Qcow2Entry *entry)
{
    return qcow2_entry_host(entry) != 0 ||
           ((entry->word & QCOW2_COPIED) && (q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE));
}

static Qcow2Kind subcluster_kind(const Qcow2 *q, const Qcow2Entry *entry, unsigned sub)
{
    gboolean allocated = (entry->bitmap >> sub) & 1, zero = (entry->bitmap >> (32 + sub)) & 1;

    if ((entry->word & QCOW2_READS_ZERO) || (allocated && zero) ||
        (allocated && !has_place(q, entry)))
        return QCOW2_BAD;
    if (zero)
        return QCOW2_ZERO;
    return allocated ? QCOW2_DATA : QCOW2_UNALLOCATED;
}

Qcow2Kind qcow2_entry_kind(const Qcow2 *q, const Qcow2Entry *entry, unsigned sub)
{
    if (entry->word & QCOW2_COMPRESSED)
        return QCOW2_PACKED;
    if ((entry->word & WORD_RESERVED) || (qcow2_entry_host(entry) & (q->cluster_size - 1)))
        return QCOW2_BAD;
    if (q->sub_count > 1)
        return subcluster_kind(q, entry, sub);
    if (entry->word & QCOW2_READS_ZERO)
        return q->header.version >= 3 ? QCOW2_ZERO : QCOW2_BAD;
    return has_place(q, entry) ? QCOW2_DATA : QCOW2_UNALLOCATED;
}

void qcow2_packed_place(const Qcow2 *q, uint64_t word, uint64_t *ret_host, uint64_t *ret_length)
{
    unsigned split = 62 - (q->cluster_bits - 8);
    uint64_t host = word & ((UINT64_C(1) << split) - 1);
    uint64_t more = (word >> split) & ((UINT64_C(1) << (q->cluster_bits - 8)) - 1);

    *ret_host = host & ((UINT64_C(1) << 56) - 1);
    *ret_length = (more + 1) * 512 - (host & 511);
}

void qcow2_entry_give_up(Qcow2 *q, const Qcow2Entry *entry)
{
    uint64_t host = 0, length = 0;

    if (q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE)
        return; /* an external data file has no refcounts */
    if (entry->word & QCOW2_COMPRESSED) {
        qcow2_packed_place(q, entry->word, &host, &length);
        qcow2_give_up(q, host >> q->cluster_bits,
                      ((host + length - 1) >> q->cluster_bits) - (host >> q->cluster_bits) + 1);
    } else if (qcow2_entry_host(entry)) {
        qcow2_give_up(q, qcow2_entry_host(entry) >> q->cluster_bits, 1);
    }
}

/* --- L1 ------------------------------------------------------------------------------------ */

void qcow2_l1_dirty(Qcow2 *q, uint32_t index)
{
    q->l1_dirty_first = MIN(q->l1_dirty_first, index);
    q->l1_dirty_end = MAX(q->l1_dirty_end, index + 1);
}

static gboolean check_l1(Qcow2 *q, uint64_t entry, GError **error)
{
    if ((entry & L1_RESERVED) || (entry & QCOW2_OFFSET_MASK & (q->cluster_size - 1)))
        return qcow2_corrupt(q, error, _("an L1 entry is damaged"));
    return TRUE;
}

static CstPage *get_l2(Qcow2 *q, uint64_t place, GError **error)
{
    CstPageId id = qcow2_table_id(q, place);

    return cst_page_cache_get(q->l2s, &id, error);
}

gboolean qcow2_l2_for_read(Qcow2 *q, uint64_t l1_index, const uint8_t **ret_table, GError **error)
{
    const CstPage *page;
    uint64_t entry;

    if (l1_index >= q->header.l1_size)
        return qcow2_corrupt(q, error, _("the L1 table is too small for the image"));
    entry = q->l1[l1_index];
    *ret_table = NULL;
    if (!check_l1(q, entry, error))
        return FALSE;
    if ((entry & QCOW2_OFFSET_MASK) == 0)
        return TRUE;
    page = get_l2(q, entry & QCOW2_OFFSET_MASK, error);
    if (page)
        *ret_table = page->data;
    return page != NULL;
}

/* Allocates a new table for the L1 entry and copies the old table into it, if one exists. */
static CstPage *replace_l2(Qcow2 *q, uint32_t index, GError **error)
{
    uint64_t old = q->l1[index] & QCOW2_OFFSET_MASK, cluster = 0, got = 0;
    g_autofree uint8_t *content = NULL;
    CstPage *table = NULL;
    CstPageId id;

    if (!qcow2_alloc(q, 1, &cluster, &got, error))
        return NULL;
    if (old != 0) {
        table = get_l2(q, old, error);
        content =
            table ? cst_memdup(table->data, q->cluster_size, q->blocks.blob->name, error) : NULL;
    }
    id = qcow2_table_id(q, cluster << q->cluster_bits);
    table = old == 0 || content ? cst_page_cache_add(q->l2s, &id, error) : NULL;
    if (!table) {
        qcow2_alloc_undo(q, cluster, 1);
        return NULL;
    }
    if (content)
        memcpy(table->data, content, q->cluster_size);
    q->l1[index] = cluster << q->cluster_bits | QCOW2_COPIED;
    qcow2_l1_dirty(q, index);
    if (old != 0)
        qcow2_give_up(q, old >> q->cluster_bits, 1);
    return table;
}

CstPage *qcow2_l2_for_write(Qcow2 *q, uint64_t offset, GError **error)
{
    uint64_t index = offset >> (q->cluster_bits + q->l2_bits);

    if (index >= q->header.l1_size) {
        qcow2_corrupt(q, error, _("the L1 table is too small for the image"));
        return NULL;
    }
    if (!check_l1(q, q->l1[index], error))
        return NULL;
    if ((q->l1[index] & QCOW2_OFFSET_MASK) && (q->l1[index] & QCOW2_COPIED))
        return get_l2(q, q->l1[index] & QCOW2_OFFSET_MASK, error);
    return replace_l2(q, (uint32_t)index, error);
}

/* --- runs ---------------------------------------------------------------------------------- */

/* Returns the length of a range without L2 tables, which ends at the next table. */
static uint64_t gap_length(const Qcow2 *q, uint64_t offset, uint64_t length)
{
    unsigned shift = q->cluster_bits + q->l2_bits;
    uint64_t index = (offset >> shift) + 1;

    while (index << shift < offset + length && index < q->header.l1_size &&
           (q->l1[index] & QCOW2_OFFSET_MASK) == 0)
        index++;
    return MIN(length, (index << shift) - offset);
}

/* Returns the offset in the file of the byte @inside of a cluster; 0: the byte has no space. */
static uint64_t space_of(const Qcow2Entry *entry, Qcow2Kind kind, uint64_t inside)
{
    if (kind == QCOW2_PACKED)
        return entry->word;
    return kind == QCOW2_DATA || qcow2_entry_host(entry) ? qcow2_entry_host(entry) + inside : 0;
}

/* Returns whether the subcluster at @host has the run's kind and, if it has space, adjoins the
 * run. */
static gboolean goes_on(const Qcow2Run *run, Qcow2Kind kind, uint64_t host, uint64_t distance)
{
    if (kind != run->kind || kind == QCOW2_PACKED)
        return FALSE;
    if (kind != QCOW2_DATA && host == 0)
        return run->host == 0;
    return host == run->host + distance;
}

/* Finds the run of subclusters at @offset. Extends @run while the next subcluster has its kind and
 * adjoins it. */
static gboolean extend_run(Qcow2 *q, const uint8_t *table, uint64_t offset, uint64_t end,
                           Qcow2Run *run, GError **error)
{
    uint64_t at = offset, sub_size = UINT64_C(1) << q->sub_bits;

    while (at < end) {
        Qcow2Entry entry = qcow2_entry_get(q, table, qcow2_l2_index(q, at));
        uint64_t inside = at & (q->cluster_size - 1), step = sub_size - (at & (sub_size - 1));
        Qcow2Kind kind = qcow2_entry_kind(q, &entry, (unsigned)(inside >> q->sub_bits));
        uint64_t host = space_of(&entry, kind, inside);

        if (kind == QCOW2_BAD)
            return qcow2_corrupt(q, error, _("an L2 entry is damaged"));
        if (q->data && (kind == QCOW2_PACKED || (kind == QCOW2_DATA && host != at)))
            return qcow2_corrupt(q, error, _("data is not where it belongs in the external file"));
        if (at == offset)
            *run = (Qcow2Run){kind, 0, host};
        else if (!goes_on(run, kind, host, at - offset))
            break;
        at += kind == QCOW2_PACKED ? q->cluster_size - inside : step;
    }
    run->length = MIN(at, end) - offset;
    return TRUE;
}

gboolean qcow2_map(Qcow2 *q, uint64_t offset, uint64_t length, Qcow2Run *ret_run, GError **error)
{
    unsigned shift = q->cluster_bits + q->l2_bits;
    uint64_t end = MIN(offset + length, ((offset >> shift) + 1) << shift);
    const uint8_t *table = NULL;

    if (!qcow2_l2_for_read(q, offset >> shift, &table, error))
        return FALSE;
    if (!table) {
        *ret_run = (Qcow2Run){QCOW2_UNALLOCATED, gap_length(q, offset, length), 0};
        return TRUE;
    }
    return extend_run(q, table, offset, end, ret_run, error);
}
