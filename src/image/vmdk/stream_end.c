/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes the end of a stream at each flush: after the grains the tables, the directory and the
 * footer, each after a marker, and the marker that ends the stream. The header at the start of the
 * file says that the directory is at the end.
 *
 * With barriers the new end is appended after the old end. During the write, the header at the
 * start of the file points to the old directory (keep_end() in stream_write.c). After a barrier it
 * points to the end of the file again. If grains were dropped, the end then moves down into their
 * space, unless its old and new ranges would overlap. stream->lock is held throughout; stream->file
 * is held exclusively while the file is truncated.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "create.h"
#include "space.h"
#include "stream.h"

typedef struct {
    VmdkStream *stream;
    uint64_t at;    /* bytes */
    GArray *places; /* uint32_t: the sectors of the tables, in order */
    uint64_t footer;
    GError **error;
    gboolean failed;
} End;

static gboolean end_put(End *end, const void *buf, size_t len)
{
    if (end->at + len > VMDK_FILE_SECTORS * VMDK_SECTOR)
        cst_fail(end->error, CST_ERROR_LIMIT,
                 _("'%s' is full: the file of a VMDK extent can't be longer than 2 TiB"),
                 end->stream->extent.blob->name);
    else if (cst_blob_pwrite(end->stream->extent.blob, buf, len, end->at, end->error)) {
        end->at += len;
        return TRUE;
    }
    end->failed = TRUE;
    return FALSE;
}

/* Writes the marker that precedes @sectors of @type. */
static gboolean put_marker(End *end, uint64_t sectors, uint32_t type)
{
    uint8_t marker[VMDK_SECTOR] = {0};

    cst_put_le64(marker, sectors);
    cst_put_le32(marker + 12, type);
    return end_put(end, marker, sizeof(marker));
}

static gboolean is_empty(const VmdkStream *stream, const uint32_t *entries)
{
    return cst_bytes_are_zero(entries, stream->header.gtes * sizeof(uint32_t));
}

/* For g_tree_foreach(): TRUE ends the walk. */
static gboolean put_table(gpointer key, gpointer value, gpointer data)
{
    End *end = data;
    const VmdkHeader *header = &end->stream->header;
    uint64_t len = vmdk_header_table_len(header);
    uint8_t table[VMDK_MAX_GTES * 4] = {0};
    const uint32_t *entries = value;
    uint32_t place;

    if (is_empty(end->stream, entries))
        return FALSE;
    for (uint32_t i = 0; i < header->gtes; i++)
        cst_put_le32(table + i * 4, entries[i]);
    if (!put_marker(end, len, VMDK_MARKER_TABLE))
        return TRUE;
    place = (uint32_t)(end->at / VMDK_SECTOR);
    g_array_append_val(end->places, place);
    return !end_put(end, table, (size_t)len * VMDK_SECTOR);
}

typedef struct {
    End *end;
    uint8_t *bytes;
    uint64_t first, count; /* entries in the chunk */
    guint next;            /* in places */
} Chunk;

static gboolean fill_entry(gpointer key, gpointer value, gpointer data)
{
    Chunk *chunk = data;
    uint64_t index = GPOINTER_TO_SIZE(key);

    if (is_empty(chunk->end->stream, value))
        return FALSE;
    if (index >= chunk->first && index < chunk->first + chunk->count)
        cst_put_le32(chunk->bytes + (index - chunk->first) * 4,
                     g_array_index(chunk->end->places, uint32_t, chunk->next));
    chunk->next++;
    return index >= chunk->first + chunk->count;
}

/* Writes in pieces, because even the directory of an empty disk of many terabytes is long. */
static gboolean put_directory(End *end)
{
    uint64_t sectors = vmdk_header_directory_len(&end->stream->header);
    uint64_t entries = sectors * (VMDK_SECTOR / 4), room = MIN(entries, CST_MIB);
    g_autofree uint8_t *bytes = cst_alloc(room, 4, end->stream->extent.blob->name, end->error);

    if (!bytes || !put_marker(end, sectors, VMDK_MARKER_DIRECTORY))
        return FALSE;
    end->stream->header.gd = end->at / VMDK_SECTOR;
    for (uint64_t done = 0; done < entries; done += room) {
        Chunk chunk = {end, bytes, done, MIN(room, entries - done), 0};

        memset(bytes, 0, (size_t)room * 4);
        g_tree_foreach(end->stream->map, fill_entry, &chunk);
        if (!end_put(end, bytes, (size_t)chunk.count * 4))
            return FALSE;
    }
    return TRUE;
}

static gboolean put_footer(End *end)
{
    uint8_t raw[VMDK_HEADER_LEN];

    vmdk_header_encode(&end->stream->header, raw);
    end->footer = end->at;
    return put_marker(end, 1, VMDK_MARKER_FOOTER) && end_put(end, raw, sizeof(raw)) &&
           put_marker(end, 0, VMDK_MARKER_END);
}

/* Truncates the file at @end, because readers search the footer from the end of the file. */
static gboolean cut_file(VmdkStream *stream, uint64_t end, GError **error)
{
    uint64_t size = 0;
    gboolean ok;

    if (!cst_blob_get_size(stream->extent.blob, &size, error))
        return FALSE;
    if (size == end)
        return TRUE;
    g_rw_lock_writer_lock(&stream->file);
    ok = cst_blob_resize(stream->extent.blob, end, error);
    g_rw_lock_writer_unlock(&stream->file);
    return ok;
}

static gboolean stream_barrier(VmdkStream *stream, GError **error)
{
    return !stream->barriers || cst_blob_flush(stream->extent.blob, error);
}

static gboolean write_front(VmdkStream *stream, GError **error)
{
    VmdkHeader front = stream->header;

    front.gd = VMDK_GD_AT_END;
    return stream_barrier(stream, error) && vmdk_write_header(stream->extent.blob, &front, error);
}

/*
 * A reader that parses the stream from its start must not mistake an older footer for the end. So
 * its marker is replaced by a table's marker, which makes readers skip the next two sectors.
 */
static gboolean hide_footer(VmdkStream *stream, uint64_t footer, GError **error)
{
    End end = {.stream = stream, .at = footer, .error = error};

    return footer == 0 || !stream->barriers ||
           (stream_barrier(stream, error) && put_marker(&end, 2, VMDK_MARKER_TABLE));
}

/* Writes tables, directory and footer at stream->tail, and sets *ret_end to their end. */
static gboolean put_end(VmdkStream *stream, uint64_t *ret_end, uint64_t *ret_footer, GError **error)
{
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    End end = {.stream = stream, .at = stream->tail, .places = places, .error = error};

    g_tree_foreach(stream->map, put_table, &end);
    if (end.failed || !put_directory(&end) || !put_footer(&end))
        return FALSE;
    *ret_footer = end.footer;
    *ret_end = end.at;
    return TRUE;
}

/*
 * Frees the space of dropped grains. The end of the stream, up to @end, moves down if the old and
 * the new range do not overlap. At every point in time the header points to one of the two.
 */
static gboolean move_down(VmdkStream *stream, uint64_t end, GError **error)
{
    uint64_t from = stream->tail;
    uint64_t new_end = 0, footer = 0;

    if (!vmdk_stream_find_tail(stream, error))
        return FALSE;
    if (stream->tail + (end - from) > from)
        return TRUE;
    if (!put_end(stream, &new_end, &footer, error) || !stream_barrier(stream, error) ||
        !vmdk_write_header(stream->extent.blob, &stream->header, error) ||
        !stream_barrier(stream, error) || !cut_file(stream, new_end, error) ||
        !write_front(stream, error))
        return FALSE;
    stream->footer = footer;
    return TRUE;
}

/* Lock held. */
static gboolean stream_write_end(VmdkStream *stream, GError **error)
{
    uint64_t old_footer = stream->footer, footer = 0, end = 0;
    gboolean dropped;

    if (!stream->dirty)
        return TRUE;
    if (!vmdk_stream_drain(stream, error))
        return FALSE;
    dropped = stream->dropped;
    if (dropped && !stream->barriers && !vmdk_stream_find_tail(stream, error))
        return FALSE;
    stream->header.rgd = 0;
    stream->header.unclean = FALSE;
    if (!put_end(stream, &end, &footer, error) || !cut_file(stream, end, error) ||
        !write_front(stream, error))
        return FALSE;
    stream->footer = footer;
    stream->dirty = FALSE;
    return hide_footer(stream, old_footer, error) &&
           (!dropped || !stream->barriers || move_down(stream, end, error));
}

gboolean vmdk_stream_write_back(VmdkExtent *extent, GError **error)
{
    VmdkStream *stream = vmdk_stream_of(extent);
    gboolean ok;

    g_mutex_lock(&stream->lock);
    ok = stream_write_end(stream, error);
    g_mutex_unlock(&stream->lock);
    return ok;
}

gboolean vmdk_stream_flush(VmdkExtent *extent, GError **error)
{
    return vmdk_stream_write_back(extent, error) && cst_blob_flush(extent->blob, error);
}

/* --- creating --------------------------------------------------------------------------------- */

static VmdkHeader new_header(uint64_t sectors, uint64_t grain, uint64_t text_sectors)
{
    VmdkHeader header = {.version = 3,
                         .flags = VMDK_FLAG_NEWLINES | VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS,
                         .capacity = sectors,
                         .grain = grain,
                         .descriptor = 1,
                         .descriptor_len = text_sectors,
                         .gtes = VMDK_MAX_GTES,
                         .gd = VMDK_GD_AT_END,
                         .compression = 1};

    header.overhead = cst_div_up(1 + text_sectors, grain) * grain;
    return header;
}

gboolean vmdk_stream_create(CstBlob *blob, uint64_t sectors, uint64_t grain, const char *text,
                            GError **error)
{
    VmdkStream stream = {.header = new_header(sectors, grain, VMDK_TEXT_SECTORS), .dirty = TRUE};
    gboolean zeroed = FALSE, ok;

    if (strlen(text) > VMDK_TEXT_SECTORS * VMDK_SECTOR || vmdk_header_problem(&stream.header))
        return cst_fail(error, CST_ERROR_INVALID, _("a VMDK image can't be as large as that"));
    if (!cst_space_reset(blob, stream.header.overhead * VMDK_SECTOR, &zeroed, error))
        return FALSE;
    if (!zeroed)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' has a fixed size, and a stream ends with its file"), blob->name);
    if (!cst_blob_pwrite(blob, text, strlen(text), VMDK_SECTOR, error))
        return FALSE;
    stream.extent.blob = blob;
    stream.tail = stream.header.overhead * VMDK_SECTOR;
    stream.started = TRUE;
    g_rw_lock_init(&stream.file);
    vmdk_stream_init_map(&stream);
    ok = stream_write_end(&stream, error);
    vmdk_stream_clear_map(&stream);
    g_rw_lock_clear(&stream.file);
    return ok;
}

/* Computes the size after the grains: the non-empty tables, directory, footer, end marker. */
static uint64_t measure_end(const VmdkHeader *header, uint64_t grains)
{
    uint64_t tables = MIN(grains, vmdk_header_tables(header));

    return (tables * (1 + vmdk_header_table_len(header)) + 1 + vmdk_header_directory_len(header) +
            3) *
           VMDK_SECTOR;
}

gboolean vmdk_stream_measure(uint64_t sectors, uint64_t grain, uint64_t used,
                             CstImageMeasure *ret_measure, GError **error)
{
    VmdkHeader header = new_header(sectors, grain, VMDK_TEXT_SECTORS);
    uint64_t total = cst_div_up(sectors, grain);
    uint64_t packed = VMDK_MARKER_LEN + vmdk_pack_bound((size_t)grain * VMDK_SECTOR);

    if (vmdk_header_problem(&header))
        return cst_fail(error, CST_ERROR_INVALID, _("a VMDK image can't be as large as that"));
    packed = cst_div_up(packed, VMDK_SECTOR) * VMDK_SECTOR;
    *ret_measure = cst_measure_of(header.overhead * VMDK_SECTOR, used, total, packed);
    ret_measure->required += measure_end(&header, used);
    ret_measure->fully_allocated += measure_end(&header, total);
    return TRUE;
}
