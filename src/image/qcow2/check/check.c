/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checks and repairs images. A check counts all references in the tables (walk.h), compares the
 * sums with the refcounts in the file (refs.h), and then verifies that the COPIED flags agree with
 * them (review.h). It trusts the tables, not the refcounts. A repair changes refcounts and flags.
 * It moves or frees no cluster that holds data.
 *
 * Repairs are written in this order: unknown autoclear bits, a number of snapshots beyond the
 * limit, refcounts, flags. The marks "dirty" and "corrupt" are cleared last, when no error is left.
 * An interrupted repair can therefore be repeated. Misplaced refcount blocks are replaced by a new
 * refcount structure after the end of the file, to which one write of the header switches.
 *
 * As in qemu-img, each refcount that is too low, each wrong flag and each bad reference is one
 * error, and each refcount that is too high is one leak. In addition, the check finds tables that
 * share their cluster although the refcount is two, and clusters past the end of the file with a
 * refcount.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "qcow2/bitmap/bitmapdir.h"
#include "qcow2/qcow2.h"
#include "qcow2/refcount/refs.h"
#include "qcow2/snapshot/snaptable.h"
#include "qcow2/snapshot/switch.h"
#include "review.h"

/* A pass over an image. */
typedef struct {
    Qcow2 *q;
    Qcow2Walk walk;
    unsigned flags;
    CstTask *task;
    gboolean refs_sound; /* the refcount structure is usable without a rebuild */
    uint64_t refs_errors;
    gboolean complete;        /* all snapshots and bitmaps are readable */
    gboolean counted;         /* the refcounts in the file are right, except for leaks */
    uint64_t snapshots_cut;   /* snapshots that the repair has removed from the table */
    uint64_t snapshots_wrong; /* entries of the snapshot table that must be rewritten */
    gboolean again;           /* they have been rewritten: run the check once more */
} Check;

static Qcow2 *open_unchecked(CstBlob *blob, GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    Qcow2Header header = {0};
    CstInspection inspection;
    gboolean sound;
    Qcow2 *q;

    if (!cst_inspection_init(&inspection, blob, head, &info, error))
        return NULL;
    sound = qcow2_header_read(&inspection, &header);
    if (!cst_inspection_ok(&inspection, error))
        return NULL;
    if (!sound || (header.incompatible & ~(uint64_t)QCOW2_INCOMPAT_KNOWN)) {
        cst_fail(error, sound ? CST_ERROR_UNSUPPORTED : CST_ERROR_CORRUPT,
                 _("'%s' can't be checked: %s"), blob->name, info.problem);
        return NULL;
    }
    q = qcow2_state_new(blob, &header, &(CstImageOpen){0}, error);
    if (q && !qcow2_state_read_tables(q, TRUE, error)) {
        qcow2_state_free(q);
        return NULL;
    }
    return q;
}

/* --- walking ------------------------------------------------------------------------------- */

/* Reports @why, and frees it, if it is damage of the image. Other errors end the check. */
static gboolean note_damage(Check *check, GError *why, GError **error)
{
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_CORRUPT)) {
        g_propagate_error(error, why);
        return FALSE;
    }
    cst_check_errors(&check->walk.found, 1, "%s", why->message);
    g_error_free(why);
    check->complete = FALSE;
    return TRUE;
}

static gboolean put_header(Qcow2 *q, uint64_t offset, const uint8_t *raw, size_t len,
                           GError **error)
{
    return cst_blob_flush(q->blocks.blob, error) &&
           cst_blob_pwrite(q->blocks.blob, raw, len, offset, error) &&
           cst_blob_flush(q->blocks.blob, error);
}

/*
 * Counts the faults of the snapshot table. Removes snapshots beyond the limits at once, as QEMU
 * does, so that their clusters are leaks. Entries that break the format's rules remain until the
 * refcounts are right, because a new table needs free clusters (renew_snapshots()).
 */
static gboolean judge_snapshots(Check *check, const Qcow2SnapshotFaults *faults, GError **error)
{
    Qcow2Header *header = &check->q->header;
    uint8_t raw[4];

    cst_check_errors(&check->walk.found, faults->too_many,
                     _("%u snapshots are beyond the limits of the format"), faults->too_many);
    cst_check_errors(&check->walk.found, (uint64_t)faults->too_long + faults->too_short,
                     _("%u entries of the snapshot table break the rules of the format"),
                     faults->too_long + faults->too_short);
    check->snapshots_wrong = (uint64_t)faults->too_long + faults->too_short;
    if (faults->too_many == 0)
        return TRUE;
    if (!(check->flags & CST_CHECK_REPAIR_ALL) || (check->flags & QCOW2_CHECK_UNASKED)) {
        check->complete = FALSE;
        return TRUE;
    }
    cst_put_be32(raw, header->snapshots - faults->too_many);
    if (!put_header(check->q, QCOW2_AT_SNAPSHOTS, raw, sizeof(raw), error))
        return FALSE;
    header->snapshots -= faults->too_many;
    check->snapshots_cut = faults->too_many;
    return TRUE;
}

static gboolean walk_l1s(Check *check, GError **error)
{
    g_autoptr(GArray) snapshots = NULL;
    Qcow2SnapshotFaults faults = {0};
    GError *why = NULL;
    gboolean sound = FALSE;

    if (!qcow2_walk_l1(&check->walk, check->q->header.l1_offset, check->q->header.l1_size, TRUE,
                       &sound, error))
        return FALSE;
    snapshots = qcow2_snapshots_salvage(check->q, &faults, &why);
    if (!snapshots)
        return note_damage(check, why, error);
    if (!judge_snapshots(check, &faults, error))
        return FALSE;
    for (guint i = 0; i < snapshots->len; i++) {
        const Qcow2Snapshot *snapshot = &g_array_index(snapshots, Qcow2Snapshot, i);

        if (!qcow2_walk_l1(&check->walk, snapshot->l1_offset, snapshot->l1_size, FALSE, &sound,
                           error))
            return FALSE;
        check->complete = check->complete && sound;
    }
    if (faults.bytes > 0) {
        Qcow2Area area = {check->q->header.snapshots_offset, faults.bytes};

        g_array_append_val(check->walk.areas, area);
    }
    return TRUE;
}

static gboolean walk_bitmap(Check *check, const Qcow2Bitmap *bitmap, GError **error)
{
    GError *why = NULL;
    g_autofree uint64_t *table = qcow2_bitmap_table(check->q, bitmap, &why);
    uint64_t mask = check->q->cluster_size - 1;

    if (!table)
        return note_damage(check, why, error);
    if (!qcow2_walk_mark_own(&check->walk, bitmap->table_offset, (uint64_t)bitmap->table_size * 8,
                             error))
        return FALSE;
    for (uint32_t i = 0; i < bitmap->table_size; i++) {
        uint64_t place = table[i] & QCOW2_OFFSET_MASK;

        if ((table[i] & ~(QCOW2_OFFSET_MASK | 1)) || (place != 0 && (table[i] & 1)) ||
            (place & mask))
            cst_check_errors(&check->walk.found, 1,
                             _("entry %u of the table of bitmap '%s' leads to no place inside the "
                               "file"),
                             i, bitmap->name);
        else if (place != 0 && !qcow2_walk_mark(&check->walk, place, check->q->cluster_size, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean walk_bitmaps(Check *check, GError **error)
{
    GError *why = NULL;
    /* invalid bitmaps are left out: their clusters are leaks */
    g_autoptr(GArray) bitmaps = qcow2_bitmaps_read(check->q, &why);

    if (!bitmaps)
        return note_damage(check, why, error);
    for (guint i = 0; i < bitmaps->len; i++)
        if (!walk_bitmap(check, &g_array_index(bitmaps, Qcow2Bitmap, i), error))
            return FALSE;
    return bitmaps->len == 0 || qcow2_walk_mark_own(&check->walk, check->q->header.bitmaps_offset,
                                                    check->q->header.bitmaps_bytes, error);
}

static gboolean walk_all(Check *check, GError **error)
{
    const Qcow2Header *header = &check->q->header;

    return walk_l1s(check, error) && qcow2_walk_tables(&check->walk, check->task, error) &&
           qcow2_walk_mark_own(&check->walk, 0, check->q->cluster_size, error) &&
           qcow2_walk_mark_own(&check->walk, header->crypt_offset, header->crypt_bytes, error) &&
           walk_bitmaps(check, error);
}

static gboolean walk_refs(Check *check, GError **error)
{
    uint64_t before = check->walk.found.errors;

    if (!qcow2_refs_mark(&check->walk, &check->refs_sound, error))
        return FALSE;
    check->refs_errors = check->walk.found.errors - before;
    return TRUE;
}

/* --- repairing ------------------------------------------------------------------------------ */

/* Writes a new refcount structure after the end of the file. The old one becomes free space. */
static gboolean refcounts_rebuild(Check *check, GError **error)
{
    Qcow2 *q = check->q;
    Qcow2Sum sum = {q->header.refcount_order, &check->walk.counts, NULL, NULL};
    uint64_t offset = 0;
    uint32_t clusters = 0;
    uint8_t raw[12];

    qcow2_refs_unmark(&check->walk);
    if (!qcow2_refs_write(q, &sum, check->walk.counts.clusters, &offset, &clusters, check->task,
                          error))
        return FALSE;
    cst_put_be64(raw, offset);
    cst_put_be32(raw + 8, clusters);
    if (!put_header(q, QCOW2_AT_REFTABLE_OFFSET, raw, sizeof(raw), error))
        return FALSE;
    q->header.reftable_offset = offset;
    q->header.reftable_clusters = clusters;
    return qcow2_state_read_tables(q, TRUE, error) &&
           cst_blob_get_size(q->blocks.blob, &check->walk.file_size, error);
}

/* Forbids repairs while a snapshot or bitmap is unreadable, because they would free its
 * clusters. */
static unsigned allowed_fixes(const Check *check)
{
    unsigned fix = check->flags;

    if (!check->complete || !check->refs_sound)
        return 0;
    return fix & CST_CHECK_REPAIR_ALL ? fix | CST_CHECK_REPAIR_LEAKS : fix;
}

static gboolean refcounts_compare(Check *check, CstImageCheck *result, GError **error)
{
    uint64_t damage = check->walk.found.errors;
    Qcow2RefsReport report;

    if (!qcow2_refs_compare(&check->walk, allowed_fixes(check), &report, check->task, error))
        return FALSE;
    if (!check->refs_sound && check->complete && (check->flags & CST_CHECK_REPAIR_ALL)) {
        if (!refcounts_rebuild(check, error))
            return FALSE;
        report.errors_fixed = report.errors;
        report.leaks_fixed = report.leaks;
        report.end = MAX(report.end, check->walk.counts.clusters);
        result->errors_fixed += check->refs_errors;
    } else if (report.errors_fixed + report.leaks_fixed > 0 &&
               !cst_blob_flush(check->q->blocks.blob, error)) {
        return FALSE;
    }
    check->counted = check->complete && report.errors == report.errors_fixed;
    result->errors += damage + report.errors;
    result->errors_fixed += report.errors_fixed + check->snapshots_cut;
    result->leaks += report.leaks;
    result->leaks_fixed += report.leaks_fixed;
    result->image_end = report.end << check->q->cluster_bits;
    return TRUE;
}

/* Clears the marks "dirty" and "corrupt", because tables and refcounts agree again. */
static gboolean mark_clean(Check *check, GError **error)
{
    Qcow2Header *header = &check->q->header;
    uint64_t bad = QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT;
    uint8_t raw[8];

    if (!(header->incompatible & bad))
        return TRUE;
    header->incompatible &= ~bad;
    cst_put_be64(raw, header->incompatible);
    return put_header(check->q, QCOW2_AT_INCOMPATIBLE, raw, sizeof(raw), error);
}

/* Clears unknown autoclear bits, because a repair does not keep their features up to date. */
static gboolean clear_unknown_features(Check *check, GError **error)
{
    Qcow2Header *header = &check->q->header;
    uint64_t known = header->autoclear & QCOW2_AUTOCLEAR_KEPT;
    uint8_t raw[8];

    if (check->flags == 0 || known == header->autoclear)
        return TRUE;
    header->autoclear = known;
    cst_put_be64(raw, known);
    return put_header(check->q, QCOW2_AT_AUTOCLEAR, raw, sizeof(raw), error);
}

/* Rewrites the snapshot table by the rules of the format. One write of the header switches to
 * it. */
static gboolean renew_snapshots(Check *check, GError **error)
{
    Qcow2 *q = check->q;
    Qcow2SnapshotFaults faults;
    g_autoptr(GArray) snapshots = qcow2_snapshots_salvage(q, &faults, error);
    g_auto(Qcow2Switch) change = {0};
    const Qcow2Header header = q->header;
    gboolean ok;

    if (!snapshots)
        return FALSE;
    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_state_renew(q, &header, error); /* the check has written refcounts without the
                                                  cache */
    g_mutex_unlock(&q->blocks.lock);
    return ok && qcow2_switch_begin(&change, q, check->task, error) &&
           qcow2_switch_put_snapshots(&change, snapshots, faults.bytes, error) &&
           qcow2_switch_commit(&change, error);
}

/*
 * COPIED flags are repaired together with errors. A repair of leaks repairs them only if the image
 * had no other errors. The refcounts are right then, and each wrong flag was caused by a leaked
 * reference.
 */
static gboolean may_fix_flags(const Check *check, const CstImageCheck *result)
{
    return (check->flags & CST_CHECK_REPAIR_ALL) ||
           (check->flags != 0 && check->counted && result->errors == 0 &&
            result->leaks == result->leaks_fixed);
}

static gboolean check_run(Check *check, CstImageCheck *result, GError **error)
{
    Qcow2Review review = {&check->walk, FALSE, FALSE};

    check->walk.mend = (check->flags & CST_CHECK_REPAIR_ALL) != 0;
    if (!clear_unknown_features(check, error) || !walk_all(check, error) ||
        !walk_refs(check, error))
        return FALSE;
    *result = (CstImageCheck){
        .total_clusters = cst_div_up(check->q->header.size, check->q->cluster_size),
        .allocated_clusters = check->walk.found.allocated_clusters,
        .fragmented_clusters = check->walk.found.fragmented_clusters,
        .compressed_clusters = check->walk.found.compressed_clusters,
        .findings = check->walk.found.findings,
    };
    if (!refcounts_compare(check, result, error))
        return FALSE;
    check->again =
        check->snapshots_wrong > 0 && check->counted && (check->flags & CST_CHECK_REPAIR_ALL) != 0;
    if (check->again) {
        result->errors_fixed += check->snapshots_wrong;
        return renew_snapshots(check, error);
    }
    review.fix = may_fix_flags(check, result);
    review.ask_file = result->errors + result->leaks > result->errors_fixed + result->leaks_fixed;
    if (!qcow2_review(&review, result, check->task, error))
        return FALSE;
    return check->flags == 0 || result->errors > result->errors_fixed || mark_clean(check, error);
}

static gboolean check_once(CstBlob *blob, unsigned flags, CstImageCheck *ret_check,
                           gboolean *ret_again, CstTask *task, GError **error)
{
    Check check = {
        .q = open_unchecked(blob, error), .flags = flags, .task = task, .complete = TRUE};
    gboolean ok;

    if (!check.q)
        return FALSE;
    ok = qcow2_walk_init(&check.walk, check.q, error);
    check.walk.found.findings = ret_check->findings;
    ok = ok && check_run(&check, ret_check, error);
    *ret_again = check.again;
    qcow2_walk_clear(&check.walk);
    qcow2_state_free(check.q);
    return ok;
}

gboolean qcow2_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                     unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error)
{
    CstImageCheck first = {0};
    gboolean again = FALSE;

    if (!check_once(blob, flags, ret_check, &again, task, error))
        return FALSE;
    if (!again)
        return TRUE;
    first = *ret_check; /* with a new snapshot table; the second check reports unrepaired errors
                           again */
    if (!check_once(blob, flags, ret_check, &again, task, error))
        return FALSE;
    ret_check->errors += first.errors_fixed;
    ret_check->errors_fixed += first.errors_fixed;
    ret_check->leaks += first.leaks_fixed;
    ret_check->leaks_fixed += first.leaks_fixed;
    return TRUE;
}
