/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"
#include "qcow2.h"
#include "state.h"

/*
 * The reference to the backing image is in three places: its name lies anywhere in the first
 * cluster, the header says where, and an extension holds its format. The name goes where nothing is
 * yet; then one write of the first sector changes the other two together. So all extensions that
 * change must lie in that sector, and the others stay where they are.
 */

#define FEATURE_BYTES 48 /* of one name in the table of feature names */

typedef struct {
    uint8_t *raw;   /* the first cluster: as it is, then as it shall be */
    uint64_t bytes; /* of raw */
    uint64_t end;   /* the mark behind the extensions */
    uint64_t at;    /* the name; 0: not placed */
} Area;

static void area_clear(Area *area)
{
    g_clear_pointer(&area->raw, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Area, area_clear)

typedef struct {
    uint64_t at;   /* its 8 bytes of head */
    uint64_t room; /* with the head, padded */
    uint32_t type;
} Slot;

static uint64_t padded(uint64_t len)
{
    return (len + 7) / 8 * 8;
}

/* The extension at slot->at; FALSE: there is none. */
static gboolean look(const Area *area, Slot *slot)
{
    if (slot->at + 8 > area->end)
        return FALSE;
    slot->type = cst_be32(area->raw + slot->at);
    slot->room = 8 + padded(cst_be32(area->raw + slot->at + 4));
    return TRUE;
}

/* The header has been checked at opening, which bounds what is read here. */
static gboolean read_area(Qcow2 *q, Area *area, GError **error)
{
    uint64_t size = 0, limit;
    Slot slot = {.at = q->header.length};

    if (!cst_blob_get_size(q->blob, &size, error))
        return FALSE;
    area->bytes = MIN(q->cluster_size, QCOW2_HEADER_AREA);
    area->raw = g_malloc0(area->bytes);
    if (!cst_blob_pread(q->blob, area->raw, MIN(area->bytes, size), 0, error))
        return FALSE;
    limit = q->header.backing_offset ? MIN(q->header.backing_offset, area->bytes) : area->bytes;
    area->end = limit;
    while (slot.at + 8 <= limit && look(area, &slot) && slot.type != QCOW2_EXT_END) {
        if (slot.room > limit - slot.at)
            return qcow2_corrupt(q, error, _("a header extension is too long"));
        slot.at += slot.room;
    }
    area->end = slot.at;
    return TRUE;
}

static void put_head(Area *area, uint64_t at, uint32_t type, uint64_t len)
{
    cst_put_be32(area->raw + at, type);
    cst_put_be32(area->raw + at + 4, (uint32_t)len);
}

static void put_format(Area *area, uint64_t at, const char *format)
{
    size_t len = strlen(format);

    put_head(area, at, QCOW2_EXT_BACKING_FORMAT, len);
    memset(area->raw + at + 8, 0, padded(len));
    memcpy(area->raw + at + 8, format, len);
}

static gboolean fail_layout(const Qcow2 *q, GError **error)
{
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("the header of '%s' has no room where its backing image could be changed "
                      "safely; convert the image instead"),
                    q->blob->name);
}

static gboolean drop_formats(const Qcow2 *q, Area *area, GError **error)
{
    Slot slot = {.at = q->header.length};

    for (; look(area, &slot); slot.at += slot.room) {
        if (slot.type != QCOW2_EXT_BACKING_FORMAT)
            continue;
        if (slot.at + 8 > QCOW2_SECTOR)
            return fail_layout(q, error);
        put_head(area, slot.at, QCOW2_EXT_FILLER, slot.room - 8);
    }
    return TRUE;
}

/* Into what fills a gap: all of it, or with another filler behind. */
static gboolean use_filler(Area *area, const Slot *slot, const char *format)
{
    uint64_t need = 8 + padded(strlen(format));
    uint64_t rest = slot->room - need;

    if (slot->type != QCOW2_EXT_FILLER || slot->room < need || (rest != 0 && rest < 8) ||
        slot->at + need + (rest ? 8 : 0) > QCOW2_SECTOR)
        return FALSE;
    put_format(area, slot->at, format);
    if (rest)
        put_head(area, slot->at + need, QCOW2_EXT_FILLER, rest - 8);
    return TRUE;
}

/* In place of the first name in a table that is there for messages only. */
static gboolean use_features(Area *area, const Slot *slot, const char *format)
{
    uint64_t need = 8 + padded(strlen(format));

    if (slot->type != QCOW2_EXT_FEATURES || slot->room < 8 + FEATURE_BYTES ||
        need + 8 > FEATURE_BYTES || slot->at + FEATURE_BYTES + 8 > QCOW2_SECTOR)
        return FALSE;
    put_format(area, slot->at, format);
    put_head(area, slot->at + need, QCOW2_EXT_FILLER, FEATURE_BYTES - need - 8);
    put_head(area, slot->at + FEATURE_BYTES, QCOW2_EXT_FEATURES, slot->room - 8 - FEATURE_BYTES);
    return TRUE;
}

static gboolean use_end(Area *area, const char *format)
{
    uint64_t need = 8 + padded(strlen(format));

    if (area->end + need + 8 > QCOW2_SECTOR)
        return FALSE;
    put_format(area, area->end, format);
    area->end += need;
    return TRUE;
}

static gboolean place_format(const Qcow2 *q, Area *area, const char *format, GError **error)
{
    static gboolean (*const ways[])(Area *, const Slot *, const char *) = {use_filler,
                                                                           use_features};

    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        Slot slot = {.at = q->header.length};

        for (; look(area, &slot); slot.at += slot.room)
            if (ways[i](area, &slot, format))
                return TRUE;
    }
    return use_end(area, format) || fail_layout(q, error);
}

/* Extensions may have ended at the old name without a mark. */
static gboolean place_end(const Qcow2 *q, Area *area, GError **error)
{
    static const uint8_t mark[8];
    uint64_t end = area->end;

    if (end + 8 <= area->bytes && memcmp(area->raw + end, mark, 4) == 0 && end + 8 > QCOW2_SECTOR)
        return TRUE;
    if (end + 8 > MIN(area->bytes, QCOW2_SECTOR))
        return fail_layout(q, error);
    memset(area->raw + end, 0, 8);
    return TRUE;
}

/* Inside the first sector it may lie upon the old name: both change at once. */
static gboolean place_name(const Qcow2 *q, Area *area, const char *name, GError **error)
{
    uint64_t old = q->header.backing_offset, old_end = old + q->header.backing_size;
    uint64_t len = strlen(name), at = padded(area->end + 8);

    if (at + len > QCOW2_SECTOR && at < old_end && old < at + len)
        at = padded(MAX(old_end, at));
    if (len > QCOW2_MAX_BACKING_NAME || at + len > area->bytes)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("the name of the backing image is too long for the header of '%s'"),
                        q->blob->name);
    memcpy(area->raw + at, name, len);
    area->at = at;
    return TRUE;
}

static gboolean write_area(Qcow2 *q, const Area *area, const char *name, GError **error)
{
    size_t len = name ? strlen(name) : 0;

    cst_put_be64(area->raw + QCOW2_AT_BACKING_OFFSET, area->at);
    cst_put_be32(area->raw + QCOW2_AT_BACKING_SIZE, (uint32_t)len);
    if (area->at + len > QCOW2_SECTOR && !cst_blob_pwrite(q->blob, name, len, area->at, error))
        return FALSE;
    if (!qcow2_put_header(q, area->raw, 0, MIN(area->bytes, QCOW2_SECTOR), error))
        return FALSE;
    q->header.backing_offset = area->at;
    q->header.backing_size = (uint32_t)len;
    q->backing = NULL;
    q->lacks_backing = name != NULL;
    return TRUE;
}

/* Lock held. */
static gboolean change(Qcow2 *q, const char *name, const char *format, GError **error)
{
    g_auto(Area) area = {0};

    return qcow2_begin_changing(q, error) && read_area(q, &area, error) &&
           drop_formats(q, &area, error) && (!format || place_format(q, &area, format, error)) &&
           place_end(q, &area, error) && (!name || place_name(q, &area, name, error)) &&
           write_area(q, &area, name, error);
}

gboolean qcow2_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                           GError **error)
{
    Qcow2 *q = qcow2_of(image);
    gboolean ok;

    if (!qcow2_flush(image, error))
        return FALSE;
    g_mutex_lock(&q->lock);
    ok = change(q, name, format, error);
    g_mutex_unlock(&q->lock);
    return ok && cst_blob_flush(q->blob, error);
}

gboolean qcow2_empty(CstImage *image, CstTask *task, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    gboolean ok;

    g_mutex_lock(&q->lock);
    ok = qcow2_begin_changing(q, error);
    for (uint32_t i = 0; ok && i < q->header.l1_size; i++)
        ok = cst_task_check(task, error) && qcow2_give_up_l2(q, i, error);
    g_mutex_unlock(&q->lock);
    return ok && qcow2_flush(image, error);
}
