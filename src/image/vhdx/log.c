/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads and encodes the log. Reading finds the active sequence. A sequence consists of consecutive
 * entries whose sequence numbers increase by one; the tail of the last entry must be within the
 * sequence. The sequence with the largest number is active ([MS-VHDX] 2.3.3). Its changes are
 * collected as patches (patches.c), which the caller applies or shows as an overlay. This file
 * never writes to the image.
 *
 * The whole log is read into memory, at most MAX_LENGTH bytes. Each entry is checked once. A budget
 * for checksummed bytes prevents overlapping entries of a crafted log from taking quadratic time.
 */
#include "log.h"

#include <inttypes.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"
#include "crc32c.h"

#define ENTRY_LEN       64 /* of an entry's header */
#define DESCRIPTOR_LEN  32
#define MAX_LENGTH      (64 * CST_MIB) /* limit for replay; QEMU and Hyper-V create logs of 1 MiB */
#define MAX_DESCRIPTORS (128 * CST_KIB)

typedef struct {
    gboolean known;  /* the other fields are valid */
    uint32_t length; /* 0: no valid entry starts here */
    uint32_t tail;
    uint32_t count;
    uint64_t sequence;
} Entry;

typedef struct {
    const VhdxHeader *header;
    uint8_t *bytes;
    uint32_t length;
    Entry *entries;  /* one per sector */
    uint64_t budget; /* remaining bytes to checksum; bounds the time for overlaps */
} Log;

static const uint8_t *log_sector(const Log *log, uint64_t position)
{
    return log->bytes + position % log->length;
}

static uint32_t descriptor_sectors(uint32_t count)
{
    return (uint32_t)((ENTRY_LEN + (uint64_t)count * DESCRIPTOR_LEN + VHDX_SECTOR - 1) /
                      VHDX_SECTOR);
}

static const uint8_t *log_descriptor(const Log *log, uint32_t position, uint32_t i)
{
    uint64_t at = ENTRY_LEN + (uint64_t)i * DESCRIPTOR_LEN;

    return log_sector(log, position + at / VHDX_SECTOR * VHDX_SECTOR) + at % VHDX_SECTOR;
}

/* --- validation of entries -------------------------------------------------------------------- */

static gboolean data_sector_holds(const uint8_t *raw, uint64_t sequence)
{
    return memcmp(raw, "data", 4) == 0 && cst_le32(raw + 4) == sequence >> 32 &&
           cst_le32(raw + VHDX_SECTOR - 4) == (uint32_t)sequence;
}

static gboolean descriptors_hold(const Log *log, uint32_t position, const Entry *entry)
{
    uint64_t data = descriptor_sectors(entry->count);

    for (uint32_t i = 0; i < entry->count; i++) {
        const uint8_t *raw = log_descriptor(log, position, i);

        if (cst_le64(raw + 24) != entry->sequence || cst_le64(raw + 16) % VHDX_SECTOR != 0)
            return FALSE;
        if (memcmp(raw, "zero", 4) == 0) {
            if (cst_le64(raw + 8) % VHDX_SECTOR != 0)
                return FALSE;
            continue;
        }
        if (memcmp(raw, "desc", 4) != 0 || data >= entry->length / VHDX_SECTOR ||
            !data_sector_holds(log_sector(log, position + data * VHDX_SECTOR), entry->sequence))
            return FALSE;
        data++;
    }
    return TRUE;
}

static gboolean sum_holds(Log *log, uint32_t position, const Entry *entry)
{
    static const uint8_t zero[4];
    const uint8_t *first = log_sector(log, position);
    uint32_t crc = cst_crc32c(0, first, 4);

    if (entry->length > log->budget)
        return FALSE;
    log->budget -= entry->length;
    crc = cst_crc32c(crc, zero, sizeof(zero));
    crc = cst_crc32c(crc, first + 8, VHDX_SECTOR - 8);
    for (uint32_t at = VHDX_SECTOR; at < entry->length; at += VHDX_SECTOR)
        crc = cst_crc32c(crc, log_sector(log, (uint64_t)position + at), VHDX_SECTOR);
    return crc == cst_le32(first + 4);
}

static gboolean is_entry(Log *log, uint32_t position, Entry *entry)
{
    const uint8_t *raw = log_sector(log, position);

    if (memcmp(raw, "loge", 4) != 0 || memcmp(raw + 32, log->header->log_guid, 16) != 0)
        return FALSE;
    entry->length = cst_le32(raw + 8);
    entry->tail = cst_le32(raw + 12);
    entry->sequence = cst_le64(raw + 16);
    entry->count = cst_le32(raw + 24);
    return entry->length > 0 && entry->length % VHDX_SECTOR == 0 && entry->length <= log->length &&
           entry->tail % VHDX_SECTOR == 0 && entry->tail < log->length && entry->sequence > 0 &&
           entry->count <= (entry->length - ENTRY_LEN) / DESCRIPTOR_LEN &&
           descriptors_hold(log, position, entry) && sum_holds(log, position, entry);
}

static const Entry *entry_at(Log *log, uint32_t position)
{
    Entry *entry = &log->entries[position / VHDX_SECTOR];

    if (!entry->known) {
        if (!is_entry(log, position, entry))
            entry->length = 0;
        entry->known = TRUE;
    }
    return entry;
}

/* --- active sequence -------------------------------------------------------------------------- */

typedef struct {
    uint32_t tail;     /* start of the first entry to replay */
    uint64_t sequence; /* of the last entry; 0: no valid sequence */
    uint32_t head;     /* start of the last entry */
    uint32_t end;      /* end of the last entry */
} Sequence;

/*
 * Finds consecutive entries from @start on; they are valid if the last entry's tail is one of them.
 */
static Sequence sequence_from(Log *log, uint32_t start)
{
    Sequence found = {.tail = start};
    gboolean has_tail = FALSE;
    uint64_t total = 0;
    uint32_t at = start;

    for (;;) {
        const Entry *entry = entry_at(log, at);

        if (entry->length == 0 || total + entry->length > log->length ||
            (total > 0 && entry->sequence != found.sequence + 1))
            break;
        found.sequence = entry->sequence;
        found.head = at;
        total += entry->length;
        at = (uint32_t)(((uint64_t)at + entry->length) % log->length);
    }
    found.end = at;
    if (total == 0)
        return found;
    found.tail = entry_at(log, found.head)->tail;
    for (at = start;; at = (uint32_t)(((uint64_t)at + entry_at(log, at)->length) % log->length)) {
        has_tail = has_tail || at == found.tail;
        if (at == found.head)
            break;
    }
    if (!has_tail)
        found.sequence = 0;
    return found;
}

/* [MS-VHDX] 2.3.3: the valid sequence whose last entry has the largest sequence number. */
static Sequence find_active(Log *log)
{
    Sequence best = {0};
    uint32_t at = 0;

    for (;;) {
        Sequence found = sequence_from(log, at);
        uint32_t next = found.sequence > 0 ? found.end : at + VHDX_SECTOR;

        if (found.sequence > best.sequence)
            best = found;
        if (next <= at || next >= log->length)
            return best;
        at = next;
    }
}

/* --- content of the entries ------------------------------------------------------------------- */

static gboolean log_corrupt(CstBlob *blob, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("the log of '%s' is damaged: %s"), blob->name,
                    what);
}

/* The log must not change headers or itself. */
static gboolean range_is_fine(const VhdxHeader *header, uint64_t offset, uint64_t length)
{
    return offset >= VHDX_AT_REGIONS && offset <= VHDX_MAX_FILE &&
           length <= VHDX_MAX_FILE - offset &&
           (offset + length <= header->log_offset ||
            offset >= header->log_offset + header->log_length);
}

static gboolean collect_entry(Log *log, CstBlob *blob, uint32_t position, VhdxPatches *patches,
                              GError **error)
{
    const Entry *entry = entry_at(log, position);
    uint64_t data = descriptor_sectors(entry->count);

    for (uint32_t i = 0; i < entry->count; i++) {
        const uint8_t *raw = log_descriptor(log, position, i);
        gboolean is_zero = memcmp(raw, "zero", 4) == 0;
        uint64_t offset = cst_le64(raw + 16), length = is_zero ? cst_le64(raw + 8) : VHDX_SECTOR;
        uint8_t page[VHDX_SECTOR];

        if (!range_is_fine(log->header, offset, length))
            return log_corrupt(blob, error, _("it changes a protected region"));
        vhdx_patches_set_size(patches, offset + length);
        if (is_zero) {
            if (length > 0)
                vhdx_patches_add(patches, offset, length, NULL);
            continue;
        }
        memcpy(page, raw + 8, 8);
        memcpy(page + 8, log_sector(log, position + data++ * VHDX_SECTOR) + 8, VHDX_SECTOR - 12);
        memcpy(page + VHDX_SECTOR - 4, raw + 4, 4);
        vhdx_patches_add(patches, offset, length, page);
    }
    return TRUE;
}

static gboolean check_sizes(Log *log, CstBlob *blob, const Sequence *active, VhdxPatches *patches,
                            GError **error)
{
    const uint8_t *head = log_sector(log, active->head);
    uint64_t flushed = cst_le64(head + 48), last = cst_le64(head + 56), size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (size < flushed)
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("'%s' is cut off: its log knows of %" PRIu64 " bytes"), blob->name,
                        flushed);
    if (last > VHDX_MAX_FILE)
        return log_corrupt(blob, error, _("the file's size is out of range"));
    vhdx_patches_set_size(patches, last);
    return TRUE;
}

static VhdxPatches *log_collect(Log *log, CstBlob *blob, GError **error)
{
    g_autoptr(VhdxPatches) patches = vhdx_patches_new();
    Sequence active = find_active(log);
    uint64_t descriptors = 0;

    if (active.sequence == 0) {
        log_corrupt(blob, error, _("it holds no valid entry"));
        return NULL;
    }
    for (uint32_t at = active.tail;;) {
        const Entry *entry = entry_at(log, at);

        descriptors += entry->count;
        if (descriptors > MAX_DESCRIPTORS) {
            cst_fail(error, CST_ERROR_LIMIT, _("the log of '%s' has too many entries"), blob->name);
            return NULL;
        }
        if (!collect_entry(log, blob, at, patches, error))
            return NULL;
        if (at == active.head)
            break;
        at = (uint32_t)(((uint64_t)at + entry->length) % log->length);
    }
    return check_sizes(log, blob, &active, patches, error) ? g_steal_pointer(&patches) : NULL;
}

VhdxPatches *vhdx_log_read(CstBlob *blob, const VhdxHeader *header, GError **error)
{
    g_autofree uint8_t *bytes = NULL;
    g_autofree Entry *entries = NULL;
    Log log = {header, NULL, header->log_length, NULL, header->log_length * UINT64_C(4)};

    if (log.length > MAX_LENGTH) {
        cst_fail(error, CST_ERROR_LIMIT, _("the log of '%s' is too large to be replayed"),
                 blob->name);
        return NULL;
    }
    log.bytes = bytes = cst_alloc(log.length, 1, blob->name, error);
    if (!bytes)
        return NULL;
    log.entries = entries = cst_alloc0(log.length / VHDX_SECTOR, sizeof(Entry), blob->name, error);
    if (!entries || !cst_blob_pread(blob, bytes, log.length, header->log_offset, error))
        return NULL;
    return log_collect(&log, blob, error);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void encode_page(uint8_t *raw, uint8_t *to, uint64_t offset, const uint8_t *page,
                        uint64_t sequence)
{
    vhdx_put_signature(raw, "desc");
    memcpy(raw + 4, page + VHDX_SECTOR - 4, 4);
    memcpy(raw + 8, page, 8);
    cst_put_le64(raw + 16, offset);
    cst_put_le64(raw + 24, sequence);
    vhdx_put_signature(to, "data");
    cst_put_le32(to + 4, (uint32_t)(sequence >> 32));
    memcpy(to + 8, page + 8, VHDX_SECTOR - 12);
    cst_put_le32(to + VHDX_SECTOR - 4, (uint32_t)sequence);
}

uint8_t *vhdx_log_encode(const VhdxLogEntry *entry, size_t *ret_len)
{
    size_t len = (1 + (size_t)entry->count) * VHDX_SECTOR;
    uint8_t *raw = g_malloc0(len);

    g_assert(entry->count <= VHDX_LOG_PAGES);
    vhdx_put_signature(raw, "loge");
    cst_put_le32(raw + 8, (uint32_t)len);
    cst_put_le32(raw + 12, entry->position);
    cst_put_le64(raw + 16, entry->sequence);
    cst_put_le32(raw + 24, entry->count);
    memcpy(raw + 32, entry->guid, 16);
    cst_put_le64(raw + 48, entry->file_size);
    cst_put_le64(raw + 56, entry->file_size);
    for (unsigned i = 0; i < entry->count; i++)
        encode_page(raw + ENTRY_LEN + i * DESCRIPTOR_LEN, raw + (1 + (size_t)i) * VHDX_SECTOR,
                    entry->offsets[i], entry->pages[i], entry->sequence);
    vhdx_checksum_set(raw, len);
    *ret_len = len;
    return raw;
}
