/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The transaction of an image: sessions, and the path of dirty table sectors through the log into
 * the file. The write order is described in state.h.
 *
 * A session begins with a header that has new GUIDs. Each commit writes one log entry that is a
 * complete log, flushes, and copies the sectors to their places. The barrier before the next entry
 * makes those copies durable, so that the next entry may replace this one. Without barriers the log
 * is not used. Headers alternate between the two slots, so that one of them is valid at every point
 * in time. All functions except vhdx_flush() need the head's lock.
 */
#include <string.h>

#include <base/i18n.h>
#include <base/uuid.h>

#include "state.h"
#include "vhdx.h"

/*
 * An entry holds at most VHDX_LOG_PAGES sectors, and all changes of one step must be in one entry.
 * A step changes at most 16 sectors of a sector bitmap (a block of 256 MiB), and two sectors of the
 * table: for the block and for the bitmap block.
 */
#define MANY_CHANGES 96
_Static_assert(MANY_CHANGES + 18 <= VHDX_LOG_PAGES, "a step's changes go into one entry");

static gboolean vhdx_barrier(Vhdx *vhdx, GError **error)
{
    return cst_blocks_barrier(&vhdx->blocks, error);
}

static void new_guid(uint8_t ret_guid[16])
{
    CstUuid uuid;

    cst_uuid_generate(&uuid);
    memcpy(ret_guid, uuid.bytes, 16);
}

/* Overwrites the header that is not current, so that one of the two is always valid. */
gboolean vhdx_header_store(CstBlob *blob, VhdxHeader *header, gboolean barriers, GError **error)
{
    uint8_t raw[VHDX_HEADER_LEN];
    VhdxHeader next = *header;

    next.slot = 3 - header->slot;
    next.sequence = header->sequence + 1;
    vhdx_header_encode(&next, raw);
    if (!cst_blob_pwrite(blob, raw, sizeof(raw), next.slot * 64 * CST_KIB, error) ||
        (barriers && !cst_blob_flush(blob, error)))
        return FALSE;
    *header = next;
    return TRUE;
}

/* Copies the valid region table over the other one, which is damaged or out of date. */
static gboolean repair_regions(Vhdx *vhdx, GError **error)
{
    g_autofree uint8_t *raw = NULL;
    uint64_t other = 2 * VHDX_AT_REGIONS + VHDX_REGIONS_LEN - vhdx->layout.regions_at;

    if (!vhdx->layout.regions_differ)
        return TRUE;
    raw = g_malloc(VHDX_REGIONS_LEN);
    if (!cst_blob_pread(vhdx->file, raw, VHDX_REGIONS_LEN, vhdx->layout.regions_at, error) ||
        !cst_blob_pwrite(vhdx->file, raw, VHDX_REGIONS_LEN, other, error) ||
        !vhdx_barrier(vhdx, error))
        return FALSE;
    vhdx->layout.regions_differ = FALSE;
    return TRUE;
}

gboolean vhdx_begin_session(Vhdx *vhdx, GError **error)
{
    VhdxHeader header = vhdx->header;

    if (vhdx->writing)
        return TRUE;
    new_guid(header.file_write);
    if (!vhdx->same_content)
        memcpy(header.data_write, vhdx->next_data_write, 16);
    if (!vhdx_header_store(vhdx->file, &header, vhdx->blocks.barriers, error))
        return FALSE;
    vhdx->header = header;
    if (!repair_regions(vhdx, error))
        return FALSE;
    new_guid(vhdx->log_guid);
    vhdx->log_sequence = 1;
    vhdx->log_position = 0;
    vhdx->writing = TRUE;
    return TRUE;
}

gboolean vhdx_begin_writing(Vhdx *vhdx, GError **error)
{
    VhdxSurvey survey;
    gboolean sound;

    if (vhdx->writing)
        return TRUE;
    if (!vhdx_survey(vhdx, &survey, NULL, error))
        return FALSE;
    sound = survey.errors == 0;
    if (sound && vhdx_begin_session(vhdx, error)) {
        vhdx->units = survey.units;
        survey.units = (VhdxUnits){0};
    } else if (!sound) {
        vhdx_corrupt(vhdx, error, _("its block allocation table must be repaired first"));
    }
    vhdx_survey_clear(&survey);
    return vhdx->writing;
}

/* An entry that reaches the end of the ring continues at its start. */
static gboolean write_entry(Vhdx *vhdx, const uint8_t *raw, size_t len, GError **error)
{
    const VhdxHeader *header = &vhdx->header;
    size_t first = MIN(len, header->log_length - vhdx->log_position);

    return cst_blob_pwrite(vhdx->file, raw, first, header->log_offset + vhdx->log_position,
                           error) &&
           cst_blob_pwrite(vhdx->file, raw + first, len - first, header->log_offset, error) &&
           cst_blob_flush(vhdx->file, error);
}

/*
 * The smallest log has room for two of the largest entries. So the preceding entry stays complete
 * during the write, and the log always has a valid entry.
 */
static gboolean log_changes(Vhdx *vhdx, CstPage *const *dirty, unsigned count, GError **error)
{
    uint64_t offsets[VHDX_LOG_PAGES];
    const uint8_t *contents[VHDX_LOG_PAGES];
    VhdxLogEntry entry = {.guid = vhdx->log_guid,
                          .sequence = vhdx->log_sequence,
                          .position = vhdx->log_position,
                          .offsets = offsets,
                          .pages = contents};
    g_autofree uint8_t *raw = NULL;
    size_t len = 0;

    if (!cst_blob_get_size(vhdx->file, &entry.file_size, error) ||
        !cst_blob_flush(vhdx->file, error))
        return FALSE;
    for (; entry.count < count; entry.count++) {
        offsets[entry.count] = dirty[entry.count]->id.offset;
        contents[entry.count] = dirty[entry.count]->data;
    }
    raw = vhdx_log_encode(&entry, &len);
    if (!write_entry(vhdx, raw, len, error))
        return FALSE;
    vhdx->log_sequence++;
    vhdx->log_position = (uint32_t)((vhdx->log_position + len) % vhdx->header.log_length);
    return TRUE;
}

/*
 * The header refers to the log only after the session's first entry is durable, so the log is never
 * empty.
 */
static gboolean announce_log(Vhdx *vhdx, GError **error)
{
    VhdxHeader header = vhdx->header;

    if (memcmp(header.log_guid, vhdx->log_guid, 16) == 0)
        return TRUE;
    memcpy(header.log_guid, vhdx->log_guid, 16);
    if (!vhdx_header_store(vhdx->file, &header, TRUE, error))
        return FALSE;
    vhdx->header = header;
    return TRUE;
}

gboolean vhdx_commit(Vhdx *vhdx, GError **error)
{
    unsigned count = vhdx_pages_dirty_count(vhdx->pages);
    g_autofree CstPage **dirty = NULL;

    /*
     * An entry invalidates the preceding one. So the preceding entry's sectors must be in the file;
     * the barrier before this entry makes them durable.
     */
    if (!repair_regions(vhdx, error) || !vhdx_pages_checkpoint(vhdx->pages, error))
        return FALSE;
    if (count == 0)
        return TRUE;
    if (count > VHDX_LOG_PAGES)
        return cst_fail(error, CST_ERROR_INTERNAL, _("'%s' has more changes than its log can hold"),
                        vhdx->file->name);
    dirty = vhdx_pages_dirty(vhdx->pages, error);
    if (!dirty || (vhdx->blocks.barriers &&
                   (!log_changes(vhdx, dirty, count, error) || !announce_log(vhdx, error))))
        return FALSE;
    vhdx_pages_logged(vhdx->pages, dirty);
    return vhdx_pages_checkpoint(vhdx->pages, error);
}

gboolean vhdx_relieve(Vhdx *vhdx, GError **error)
{
    return vhdx_pages_dirty_count(vhdx->pages) < MANY_CHANGES || vhdx_commit(vhdx, error);
}

gboolean vhdx_empty_log(Vhdx *vhdx, GError **error)
{
    static const uint8_t nil[16];
    VhdxHeader header;

    if (!vhdx_commit(vhdx, error) || !cst_blob_flush(vhdx->file, error))
        return FALSE;
    header = vhdx->header;
    if (memcmp(header.log_guid, nil, 16) == 0)
        return TRUE;
    memset(header.log_guid, 0, 16);
    if (!vhdx_header_store(vhdx->file, &header, TRUE, error))
        return FALSE;
    vhdx->header = header;
    /* with a new GUID, entries of the old log are not mistaken for entries of the new log */
    new_guid(vhdx->log_guid);
    vhdx->log_sequence = 1;
    vhdx->log_position = 0;
    return TRUE;
}

gboolean vhdx_flush(CstImage *image, GError **error)
{
    Vhdx *vhdx = vhdx_of(image);
    gboolean logged, ok;

    g_mutex_lock(&vhdx->blocks.lock);
    logged = vhdx->blocks.barriers && vhdx_pages_dirty_count(vhdx->pages) > 0;
    ok = vhdx_commit(vhdx, error);
    g_mutex_unlock(&vhdx->blocks.lock);
    /* the log's barriers have made everything durable, data included */
    return ok && (logged || cst_blob_flush(vhdx->file, error));
}
