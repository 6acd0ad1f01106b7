/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes the options of an existing image: version, refcount width, lazy refcounts, data file,
 * size. amend_plan() refuses impossible changes before the first write.
 *
 * One write of the header makes all options but the size valid. head.h makes the write if only the
 * first cluster changes, switch.h if tables change as well (a downgrade, another refcount width, an
 * upgrade of an image with snapshots). The size is a separate step: first in a downgrade, last
 * otherwise, so that the image is resized while it has version 3. A crash between the two steps
 * leaves a valid image with only the first change.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "head.h"
#include "qcow2/bitmap/bitmapdir.h"
#include "qcow2/data/expand.h"
#include "qcow2/qcow2.h"
#include "qcow2/snapshot/snaptable.h"
#include "qcow2/snapshot/switch.h"

/* An amendment: the requested options and the planned header. */
typedef struct {
    Qcow2 *q;
    const CstImageAmend *amend;
    CstTask *task;
    Qcow2Header to; /* the planned header */
    GArray *snapshots;
    uint64_t table_bytes; /* of the snapshot table */
} Amend;

static void amend_clear(Amend *job)
{
    g_clear_pointer(&job->snapshots, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Amend, amend_clear)

static gboolean goes_down(const Amend *job)
{
    return job->to.version < job->q->header.version;
}

static gboolean goes_up(const Amend *job)
{
    return job->to.version > job->q->header.version;
}

/* --- planning --------------------------------------------------------------------------------- */

static gboolean plan_version(Amend *job, GError **error)
{
    const char *compat = job->amend->compat;

    if (compat && !qcow2_parse_compat(compat, &job->to.version, error))
        return FALSE;
    if (job->to.version >= 3)
        return TRUE;
    if (job->amend->lazy_refcounts == CST_AMEND_ON || job->to.refcount_order != 4)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("lazy refcounts and refcounts of other than 16 bits need compatibility "
                          "level 1.1"));
    if (job->to.incompatible)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' has a data file, zstd compression or extended L2 entries, which "
                          "need compatibility level 1.1"),
                        job->q->blocks.blob->name);
    if (qcow2_bitmaps_are_valid(job->q))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' has bitmaps, which need compatibility level 1.1: remove them "
                          "first"),
                        job->q->blocks.blob->name);
    job->to.compatible = job->to.autoclear = 0;
    return TRUE;
}

static gboolean plan_refcounts(Amend *job, GError **error)
{
    if (job->amend->lazy_refcounts == CST_AMEND_ON)
        job->to.compatible |= QCOW2_COMPAT_LAZY_REFCOUNTS;
    if (job->amend->lazy_refcounts == CST_AMEND_OFF)
        job->to.compatible &= ~(uint64_t)QCOW2_COMPAT_LAZY_REFCOUNTS;
    return job->amend->refcount_bits == 0 ||
           qcow2_parse_refcount_bits(job->amend->refcount_bits, &job->to.refcount_order, error);
}

static gboolean plan_data_file(Amend *job, GError **error)
{
    const CstImageAmend *amend = job->amend;

    if (amend->data_file && !(job->to.incompatible & QCOW2_INCOMPAT_DATA_FILE))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' has no data file, so no name for it can be set"),
                        job->q->blocks.blob->name);
    if (amend->data_file_raw == CST_AMEND_ON && !qcow2_is_raw(job->q))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("data_file_raw can only be set when an image is created"));
    if (amend->data_file_raw == CST_AMEND_OFF)
        job->to.autoclear &= ~(uint64_t)QCOW2_AUTOCLEAR_RAW_DATA;
    return TRUE;
}

static gboolean is_text(GBytes *bytes, const char *text)
{
    return bytes && g_bytes_get_size(bytes) == strlen(text) &&
           memcmp(g_bytes_get_data(bytes, NULL), text, strlen(text)) == 0;
}

/* Refuses another backing image, because it would change the guest's view. */
static gboolean check_backing(Amend *job, GError **error)
{
    const CstImageAmend *amend = job->amend;
    g_auto(Qcow2Head) head = {0};
    const Qcow2HeadExtension *format;

    if (!amend->backing && !amend->backing_format)
        return TRUE;
    if (!qcow2_head_read(&head, job->q, error))
        return FALSE;
    format = qcow2_head_find(&head, QCOW2_EXT_BACKING_FORMAT);
    return ((!amend->backing || is_text(head.name, amend->backing)) &&
            (!amend->backing_format || (format && is_text(format->data, amend->backing_format)))) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("the backing file of '%s' cannot be amended; use rebase"),
                    job->q->blocks.blob->name);
}

/* Checks the limits of version 2: snapshots have the image's size, and state sizes have 32 bits. */
static gboolean check_snapshots(Amend *job, GError **error)
{
    uint64_t size = job->amend->has_size ? job->amend->size : job->q->header.size;

    for (guint i = 0; goes_down(job) && i < job->snapshots->len; i++) {
        const Qcow2Snapshot *snapshot = &g_array_index(job->snapshots, Qcow2Snapshot, i);

        if (snapshot->disk_size != size || snapshot->state_size > G_MAXUINT32)
            return cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("snapshot '%s' of '%s' has another size, which needs compatibility "
                              "level 1.1"),
                            snapshot->name, job->q->blocks.blob->name);
    }
    return TRUE;
}

static gboolean amend_plan(Amend *job, GError **error)
{
    job->to = job->q->header;
    job->to.autoclear &= QCOW2_AUTOCLEAR_KEPT;
    job->snapshots = qcow2_snapshots_read(job->q, &job->table_bytes, error);
    return job->snapshots && plan_refcounts(job, error) && plan_data_file(job, error) &&
           plan_version(job, error) && check_backing(job, error) && check_snapshots(job, error);
}

/* --- changing the header ---------------------------------------------------------------------- */

static void amend_head(const Amend *job, Qcow2Head *head)
{
    if (goes_up(job) || goes_down(job))
        qcow2_head_name_features(head);
    if (job->amend->data_file)
        qcow2_head_set_text(head, QCOW2_EXT_DATA_FILE, job->amend->data_file);
}

static void copy_planned(const Amend *job, Qcow2Header *header)
{
    header->version = job->to.version;
    header->compatible = job->to.compatible;
    header->autoclear = job->to.autoclear;
    header->refcount_order = job->to.refcount_order;
}

/* Changes header and tables. Version 3 has additional fields in the entries of the snapshot
 * table. */
static gboolean amend_tables(Amend *job, GError **error)
{
    g_auto(Qcow2Switch) change = {0};
    g_auto(Qcow2Walk) walk = {0};
    g_auto(Qcow2Head) head = {0};

    if (!qcow2_switch_begin(&change, job->q, job->task, error) ||
        !qcow2_head_read(&head, job->q, error))
        return FALSE;
    copy_planned(job, &change.header);
    head.header = change.header;
    amend_head(job, &head);
    change.head = &head;
    return qcow2_switch_walk(&change, job->snapshots, &walk, error) &&
           (!goes_down(job) || qcow2_expand_zeroes(&change, &walk, job->snapshots, error)) &&
           qcow2_switch_put_snapshots(&change, job->snapshots, job->table_bytes, error) &&
           qcow2_switch_commit(&change, error);
}

/* Changes the first cluster only. Lock held. */
static gboolean amend_header(Amend *job, GError **error)
{
    g_auto(Qcow2Head) head = {0};

    if (!qcow2_head_read(&head, job->q, error))
        return FALSE;
    copy_planned(job, &head.header);
    amend_head(job, &head);
    return qcow2_head_write(&head, error);
}

static gboolean is_unchanged(const Amend *job)
{
    const Qcow2Header *from = &job->q->header, *to = &job->to;

    return !job->amend->data_file && to->version == from->version &&
           to->compatible == from->compatible && to->autoclear == from->autoclear &&
           to->refcount_order == from->refcount_order;
}

static gboolean amend_all_but_size(Amend *job, GError **error)
{
    Qcow2 *q = job->q;
    CstBlockClaim claim;
    gboolean ok;

    if (is_unchanged(job))
        return TRUE;
    qcow2_claim(q, &claim, 0, UINT64_MAX);
    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_begin_changing(q, error);
    g_mutex_unlock(&q->blocks.lock);
    if (ok && (goes_down(job) || job->to.refcount_order != q->header.refcount_order ||
               (goes_up(job) && job->snapshots->len > 0))) {
        ok = amend_tables(job, error);
    } else if (ok) {
        g_mutex_lock(&q->blocks.lock);
        ok = amend_header(job, error);
        g_mutex_unlock(&q->blocks.lock);
    }
    qcow2_release(q, &claim);
    return ok;
}

static gboolean amend_size(Amend *job, GError **error)
{
    return !job->amend->has_size || qcow2_resize(&job->q->blocks.image, job->amend->size,
                                                 CST_PREALLOC_OFF, job->task, error);
}

gboolean qcow2_amend(CstImage *image, const CstImageAmend *amend, CstTask *task, GError **error)
{
    g_auto(Amend) job = {.q = qcow2_of(image), .amend = amend, .task = task};

    if (!qcow2_flush(image, error) || !amend_plan(&job, error))
        return FALSE;
    return (goes_down(&job) ? amend_size(&job, error) && amend_all_but_size(&job, error)
                            : amend_all_but_size(&job, error) && amend_size(&job, error)) &&
           qcow2_flush(image, error);
}
