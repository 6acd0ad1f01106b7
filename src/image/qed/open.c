/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An opened QED image. The header has 64 bytes, so any change of it is one write of one sector; the
 * L1 table never moves. As the specification requires, "need check" is set in the header before the
 * first table changes, and cleared when the image is closed. Cistern's write order leaves only
 * leaks without a check, but other programs may not keep this order. So an image with the bit is
 * repaired when it is opened for writing.
 */
#include "qed.h"

#include <inttypes.h>
#include <string.h>

#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

/* --- the header ------------------------------------------------------------------------------- */

static uint64_t qed_features(const Qed *qed)
{
    return cst_le64(qed->raw + QED_AT_FEATURES);
}

static gboolean write_header(CstLevels *levels, GError **error)
{
    Qed *qed = (Qed *)levels;

    cst_put_le64(qed->raw + QED_AT_SIZE, levels->blocks.image.capacity);
    cst_put_le64(qed->raw + QED_AT_L1, levels->l1_offset);
    return cst_blob_pwrite(levels->blocks.blob, qed->raw, sizeof(qed->raw), 0, error);
}

/* Sets "need check". The bit is durable before any change that depends on it. */
static gboolean qed_begin_write(CstLevels *levels, GError **error)
{
    Qed *qed = (Qed *)levels;
    uint64_t old = qed_features(qed);

    if (old & QED_NEED_CHECK)
        return TRUE;
    cst_put_le64(qed->raw + QED_AT_FEATURES, old | QED_NEED_CHECK);
    /* unknown optional features describe data that is going to change */
    cst_put_le64(qed->raw + QED_AT_AUTOCLEAR, 0);
    if (write_header(levels, error) && cst_blocks_barrier(&levels->blocks, error))
        return TRUE;
    cst_put_le64(qed->raw + QED_AT_FEATURES, old);
    return FALSE;
}

/* Clears "need check". All writes must be durable. */
static gboolean qed_end_write(Qed *qed, GError **error)
{
    uint64_t old = qed_features(qed);

    if (!(old & QED_NEED_CHECK))
        return TRUE;
    cst_put_le64(qed->raw + QED_AT_FEATURES, old & ~(uint64_t)QED_NEED_CHECK);
    return write_header(&qed->levels, error);
}

static uint64_t l1_entries(const CstLevels *levels, uint64_t capacity)
{
    return levels->l2_entries;
}

uint64_t qed_max_capacity(uint64_t cluster_size, uint64_t table_size)
{
    uint64_t entries = table_size * cluster_size / 8;

    if (entries > G_MAXINT64 / entries / cluster_size)
        return (uint64_t)G_MAXINT64 / 512 * 512;
    return entries * entries * cluster_size;
}

static gboolean check_capacity(const CstLevels *levels, uint64_t capacity, GError **error)
{
    uint64_t most =
        qed_max_capacity(levels->cluster_size, levels->l2_entries * 8 / levels->cluster_size);

    return capacity <= most ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("a QED image of this geometry can have at most %" PRIu64 " bytes"), most);
}

/*
 * Returns the place for a new name. The smallest header has several places; an unused one is
 * chosen.
 */
static uint64_t place_for_name(const Qed *qed, uint64_t len)
{
    uint64_t used = cst_le32(qed->raw + QED_AT_NAME), end = used;
    uint64_t at = QED_HEADER_LEN;

    if (qed_features(qed) & QED_BACKING)
        end += cst_le32(qed->raw + QED_AT_NAME_LEN);
    if (used < at + len && at < end)
        at = QED_MIN_CLUSTER / 2;
    if (at != QED_HEADER_LEN && used < at + len && at < end)
        at = QED_MIN_CLUSTER - CST_LEVELS_MAX_NAME;
    return at;
}

static gboolean set_name(CstLevels *levels, const char *name, const char *format, GError **error)
{
    Qed *qed = (Qed *)levels;
    CstBlob *blob = levels->blocks.blob;
    uint64_t bits = qed_features(qed) & ~(uint64_t)(QED_BACKING | QED_BACKING_NO_PROBE);
    uint64_t len = name ? strlen(name) : 0, at = len > 0 ? place_for_name(qed, len) : 0;

    if (len > 0) {
        bits |= QED_BACKING | (strcmp(format, "raw") == 0 ? QED_BACKING_NO_PROBE : 0);
        if (!cst_blob_pwrite(blob, name, len, at, error) ||
            !cst_blocks_barrier(&levels->blocks, error))
            return FALSE;
    }
    cst_put_le64(qed->raw + QED_AT_FEATURES, bits);
    cst_put_le32(qed->raw + QED_AT_NAME, (uint32_t)at);
    cst_put_le32(qed->raw + QED_AT_NAME_LEN, (uint32_t)len);
    return write_header(levels, error) && cst_blob_flush(blob, error);
}

static const CstLevelsFormat qed_levels = {
    .zero_entries = TRUE,
    .begin = qed_begin_write,
    .write_header = write_header,
    .l1_entries = l1_entries,
    .check_capacity = check_capacity,
    .set_name = set_name,
};

/* --- opening and closing ---------------------------------------------------------------------- */

static Qed *qed_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error)
{
    g_autofree Qed *qed = g_new0(Qed, 1);
    g_auto(CstImageInfo) info = {0};
    CstLevels *levels = &qed->levels;

    if (!cst_image_inspect_for_open(blob, format, how, &info, error) ||
        !cst_blob_pread(blob, qed->raw, sizeof(qed->raw), 0, error))
        return NULL;
    levels->cluster_size = levels->align = levels->l2_align = info.cluster_size;
    levels->l2_entries = cst_le32(qed->raw + QED_AT_TABLE) * info.cluster_size / 8;
    levels->l1_entries = levels->l2_entries;
    levels->l1_offset = cst_le64(qed->raw + QED_AT_L1);
    levels->header.length = cst_le32(qed->raw + QED_AT_HEADER) * info.cluster_size;
    if ((how->flags & CST_IMAGE_WRITE) && !cst_levels_check_l1(levels, blob, error))
        return NULL;
    if (!cst_levels_init(levels, &qed_levels, blob, how, info.capacity, error))
        return NULL;
    levels->blocks.lacks_backing = info.backing && !how->backing;
    return g_steal_pointer(&qed);
}

static void qed_free(Qed *qed)
{
    cst_levels_clear(&qed->levels);
    g_free(qed);
}

/* Repairs the image before it is used. STATE if errors remain. */
static gboolean qed_repair(Qed *qed, GError **error)
{
    CstBlob *blob = qed->levels.blocks.blob;
    CstImageCheck check = {0};

    if (!cst_levels_check(&qed->levels, CST_LEVELS_REPAIR_ERRORS, &check, NULL, error))
        return FALSE;
    if (check.errors > check.errors_fixed)
        return cst_fail(error, CST_ERROR_STATE, _("'%s' was not closed cleanly and is damaged"),
                        blob->name);
    return cst_blob_flush(blob, error) && qed_end_write(qed, error);
}

CstImage *qed_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                   GError **error)
{
    Qed *qed = qed_new(format, blob, how, error);

    if (!qed)
        return NULL;
    if ((how->flags & CST_IMAGE_WRITE) && (qed_features(qed) & QED_NEED_CHECK) &&
        !qed_repair(qed, error)) {
        qed_free(qed);
        return NULL;
    }
    return &qed->levels.blocks.image;
}

/* Ignores errors; callers that need them have flushed before. After a failure the bit stays set. */
void qed_close(CstImage *image)
{
    Qed *qed = (Qed *)image;

    if (image->writable && cst_blocks_write_back(&qed->levels.blocks, NULL) &&
        (!(qed_features(qed) & QED_NEED_CHECK) || cst_blocks_barrier(&qed->levels.blocks, NULL)))
        qed_end_write(qed, NULL);
    qed_free(qed);
}

/* --- check ------------------------------------------------------------------------------------ */

gboolean qed_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                   unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error)
{
    const CstImageOpen how = {.flags = flags ? CST_IMAGE_WRITE : 0};
    Qed *qed = qed_new(format, blob, &how, error);
    gboolean ok = qed && cst_levels_check(&qed->levels, flags, ret_check, task, error);

    if (ok && flags && ret_check->errors == ret_check->errors_fixed)
        ok =
            cst_blob_flush(blob, error) && qed_end_write(qed, error) && cst_blob_flush(blob, error);
    if (qed)
        qed_free(qed);
    return ok;
}
