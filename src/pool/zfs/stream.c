/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records of a send stream (OpenZFS, include/sys/zfs_ioctl.h, dmu_replay_record_t). A record
 * has a type, the length of a payload, and 304 bytes that depend on the type, in the byte order of
 * the sending host. The content of a volume is its object 1. Other objects have its size and
 * properties.
 *
 * Records are sorted by object and offset, with one exception. A FREE record for the range after an
 * object's last block (up to the maximum offset) follows the object itself, before its blocks. Any
 * other deviation is an error. A reported range too many is harmless, but a missing range is not.
 *
 * The checksums in the records are not verified, because the stream comes from the kernel through a
 * pipe.
 */
#include "stream.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define MAGIC    UINT64_C(0x2f5bacbac)
#define CONTENT  1                   /* the object */
#define MAX_DATA (UINT64_C(1) << 24) /* ZFS's largest block */

enum {
    BEGIN,
    OBJECT,
    FREEOBJECTS,
    WRITE,
    FREE,
    END,
    WRITE_BYREF,
    SPILL,
    WRITE_EMBEDDED,
    OBJECT_RANGE,
    REDACT,
};

/* Known features of streams. A stream with an unknown feature may need another parser. */
enum {
    SA_SPILL = 1 << 2,
    EMBED_DATA = 1 << 16,
    LZ4 = 1 << 17,
    LARGE_BLOCKS = 1 << 19,
    COMPRESSED = 1 << 22,
    LARGE_DNODE = 1 << 23,
    RAW = 1 << 24,
    ZSTD = 1 << 25,
    SWITCH_TO_LARGE_BLOCKS = 1 << 27,
    LONGNAME = 1 << 28,
    LARGE_MICROZAP = 1 << 29,
    KNOWN = SA_SPILL | EMBED_DATA | LZ4 | LARGE_BLOCKS | COMPRESSED | LARGE_DNODE | RAW | ZSTD |
            SWITCH_TO_LARGE_BLOCKS | LONGNAME | LARGE_MICROZAP,
};

/* drr_versioninfo */
#define KIND(version)     ((version)&3)
#define FEATURES(version) (((version) >> 2) & 0x3fffffff)
#define SUBSTREAM         1 /* of one dataset */

static gboolean stream_fail_corrupt(GError **error)
{
    return cst_fail(error, CST_ERROR_CORRUPT,
                    _("the output of 'zfs send' is no stream of a volume"));
}

static uint64_t stream_get_u64(const ZfsStream *stream, size_t at)
{
    uint64_t value;

    memcpy(&value, stream->record + at, sizeof(value));
    return stream->big_endian ? GUINT64_FROM_BE(value) : GUINT64_FROM_LE(value);
}

static uint32_t stream_get_u32(const ZfsStream *stream, size_t at)
{
    uint32_t value;

    memcpy(&value, stream->record + at, sizeof(value));
    return stream->big_endian ? GUINT32_FROM_BE(value) : GUINT32_FROM_LE(value);
}

/* --- ranges ----------------------------------------------------------------------------------- */

/* Marks all bytes from @offset on as changed. No range after @offset may have been reported yet. */
static gboolean stream_truncate_range(ZfsStream *stream, uint64_t offset, GError **error)
{
    if (offset < stream->last)
        return stream_fail_corrupt(error);
    stream->cut = stream->was_cut ? MIN(stream->cut, offset) : offset;
    stream->was_cut = TRUE;
    return TRUE;
}

static gboolean stream_add_range(ZfsStream *stream, uint64_t offset, uint64_t length,
                                 GError **error)
{
    uint64_t end = stream->was_cut ? stream->cut : stream->changed->capacity;

    if (offset < stream->last)
        return stream_fail_corrupt(error);
    if (offset > end || length > end - offset)
        return stream_truncate_range(stream, offset, error);
    stream->last = offset + length;
    stream->full = !cst_changed_add(stream->changed, offset, length);
    return TRUE;
}

/* --- records ---------------------------------------------------------------------------------- */

static gboolean stream_parse_begin(ZfsStream *stream, GError **error)
{
    uint64_t version;

    if (stream->begun)
        return stream_fail_corrupt(error);
    stream->big_endian = FALSE;
    if (stream_get_u64(stream, 8) != MAGIC)
        stream->big_endian = TRUE;
    version = stream_get_u64(stream, 16);
    if (stream_get_u64(stream, 8) != MAGIC || stream_get_u32(stream, 0) != BEGIN ||
        KIND(version) != SUBSTREAM)
        return stream_fail_corrupt(error);
    if (FEATURES(version) & ~(uint64_t)KNOWN)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'zfs send' makes streams that are not known here (features %#x)"),
                        (unsigned)FEATURES(version));
    if (stream_get_u64(stream, 40) != stream->to || stream_get_u64(stream, 48) != stream->from)
        return cst_fail(error, CST_ERROR_STATE,
                        _("the snapshots have been replaced in the meantime"));
    stream->begun = TRUE;
    stream->skip = stream_get_u32(stream, 4);
    return TRUE;
}

static gboolean stream_parse_object(ZfsStream *stream, GError **error)
{
    uint32_t bonus = stream_get_u32(stream, 28), raw = stream_get_u32(stream, 36);

    stream->skip = raw ? raw : cst_round_up(bonus, 8);
    return stream->skip <= MAX_DATA || stream_fail_corrupt(error);
}

/*
 * If the content object is freed, it is created anew with the content of the later records, so all
 * of it may have changed.
 */
static gboolean stream_parse_free_objects(ZfsStream *stream, GError **error)
{
    uint64_t first = stream_get_u64(stream, 8), count = stream_get_u64(stream, 16);

    return first > CONTENT || count <= CONTENT - first || stream_truncate_range(stream, 0, error);
}

/* The payload may be compressed. */
static gboolean stream_parse_write(ZfsStream *stream, GError **error)
{
    uint64_t length = stream_get_u64(stream, 32);

    stream->skip = stream->record[50] ? stream_get_u64(stream, 96) : length;
    if (stream->skip > MAX_DATA || length > MAX_DATA)
        return stream_fail_corrupt(error);
    return stream_get_u64(stream, 8) != CONTENT ||
           stream_add_range(stream, stream_get_u64(stream, 24), length, error);
}

/* FREE, WRITE_BYREF, WRITE_EMBEDDED and REDACT have their range at the same position. */
static gboolean stream_parse_range(ZfsStream *stream, GError **error)
{
    return stream_get_u64(stream, 8) != CONTENT ||
           stream_add_range(stream, stream_get_u64(stream, 16), stream_get_u64(stream, 24), error);
}

static gboolean stream_parse_embedded(ZfsStream *stream, GError **error)
{
    stream->skip = cst_round_up(stream_get_u32(stream, 52), 8);
    if (stream->skip > MAX_DATA)
        return stream_fail_corrupt(error);
    return stream_parse_range(stream, error);
}

static gboolean stream_parse_spill(ZfsStream *stream, GError **error)
{
    uint64_t compressed = stream_get_u64(stream, 40);

    stream->skip = compressed ? compressed : stream_get_u64(stream, 16);
    return stream->skip <= MAX_DATA || stream_fail_corrupt(error);
}

static gboolean stream_parse_record(ZfsStream *stream, GError **error)
{
    if (!stream->begun)
        return stream_parse_begin(stream, error);
    switch (stream_get_u32(stream, 0)) {
    case OBJECT: return stream_parse_object(stream, error);
    case FREEOBJECTS: return stream_parse_free_objects(stream, error);
    case WRITE: return stream_parse_write(stream, error);
    case FREE:
    case WRITE_BYREF:
    case REDACT: return stream_parse_range(stream, error);
    case WRITE_EMBEDDED: return stream_parse_embedded(stream, error);
    case SPILL: return stream_parse_spill(stream, error);
    case OBJECT_RANGE: return TRUE;
    case END: stream->ended = TRUE; return TRUE;
    default: return stream_fail_corrupt(error);
    }
}

/* --- the stream ------------------------------------------------------------------------------- */

gboolean zfs_stream_take(ZfsStream *stream, const void *bytes, size_t length, GError **error)
{
    const unsigned char *at = bytes, *end = at + length;

    while (at < end && !stream->full) {
        size_t skipped = (size_t)MIN(stream->skip, (uint64_t)(end - at));
        size_t taken = MIN(ZFS_RECORD_SIZE - stream->have, (size_t)(end - at));

        if (skipped > 0) {
            stream->skip -= skipped;
            at += skipped;
            continue;
        }
        if (stream->ended)
            return stream_fail_corrupt(error);
        memcpy(stream->record + stream->have, at, taken);
        at += taken;
        stream->have = (stream->have + taken) % ZFS_RECORD_SIZE;
        if (stream->have == 0 && !stream_parse_record(stream, error))
            return FALSE;
    }
    return TRUE;
}

gboolean zfs_stream_end(ZfsStream *stream, uint64_t older, GError **error)
{
    CstChanged *changed = stream->changed;

    if (stream->full)
        return TRUE;
    if (!stream->ended || stream->skip > 0 || stream->have > 0)
        return cst_fail(error, CST_ERROR_CORRUPT, _("the output of 'zfs send' is truncated"));
    if (!stream->was_cut || stream->cut >= changed->capacity ||
        cst_changed_add(changed, stream->cut, changed->capacity - stream->cut))
        cst_changed_end(changed, older);
    return TRUE;
}
