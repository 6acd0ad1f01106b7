/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uploads of the stored bytes of a volume, as in libvirt.
 *
 * The volume is restricted before the first byte is written (declare.h), because from then on the
 * sender determines its content. Written data stay when the upload ends early, as in libvirt. The
 * limits of the pool are checked before the stored bytes grow (core/promise.h).
 */
#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <blob/steps.h>

#include "core/claim.h"
#include "core/promise.h"
#include "core/scan.h"
#include "dependency/guard.h"
#include "stream.h"
#include "volume/declare.h"

typedef struct {
    CstUpload base;
    VolumeClaim claim;
    CstVolume *volume; /* its record before the upload */
    CstBlob *blob;
    uint64_t offset;
    uint64_t end;      /* G_MAXUINT64: no limit */
    uint64_t size;     /* of the blob, including our writes */
    uint64_t promised; /* bytes that the volume may have in the limits of its pool */
    PoolPromise promise;
    gboolean dirty;
} RawUpload;

static gboolean upload_claim_volume(RawUpload *upload, CstPool *pool, const char *name,
                                    GError **error)
{
    upload->claim.task = upload->base.task;
    upload->claim.stream = TRUE;
    return volume_claim_now(&upload->claim, pool, name, CLAIM_WRITE, &upload->volume, error) &&
           volume_not_shown(&upload->claim, error) &&
           volume_backing_not_kept(upload->claim.state, upload->volume, NULL, error);
}

/* The stored bytes may grow to the promise of the volume. More has to be reserved before. */
static gboolean upload_promise(RawUpload *upload, uint64_t end, GError **error)
{
    const PromiseRequest request = {.name = upload->claim.name,
                                    .more = end - MIN(end, upload->promised)};

    if (request.more == 0)
        return TRUE;
    if (!pool_promise_reserve(&upload->promise, upload->claim.pool, upload->claim.state, &request,
                              error))
        return FALSE;
    upload->promised = end;
    return TRUE;
}

static gboolean open_upload(RawUpload *upload, CstPool *pool, const char *name, uint64_t offset,
                            uint64_t length, unsigned flags, GError **error)
{
    CstTask *task = upload->base.task;

    if (!cst_flags_check(flags, CST_VOL_STREAM_SPARSE, "storageVolUpload", error) ||
        !upload_claim_volume(upload, pool, name, error))
        return FALSE;
    upload->blob = cst_pool_state_vol_open(upload->claim.state, name, TRUE, error);
    if (!upload->blob || !cst_blob_get_size(upload->blob, &upload->size, error))
        return FALSE;
    if (offset > G_MAXINT64)
        return cst_fail(error, CST_ERROR_OVERFLOW, _("the offset is too large"));
    upload->offset = offset;
    /* "-1" on virsh's command line means no limit. */
    upload->end = length && length <= G_MAXINT64 - offset ? offset + length : G_MAXUINT64;
    if (upload->end != G_MAXUINT64 && cst_task_progress(task).total == 0)
        cst_task_set_total(task, length);
    upload->promised = MAX(cst_volume_promise(upload->volume), upload->size);
    return (upload->end == G_MAXUINT64 || upload_promise(upload, upload->end, error)) &&
           cst_may_change(error);
}

/* libvirt's message, which virsh prints. */
static gboolean no_space(GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("cannot write to stream: No space left on device"));
}

/*
 * Restricts the volume before the first byte, because from here on the sender determines the
 * content.
 */
static gboolean begin_change(RawUpload *upload, GError **error)
{
    if (!upload->dirty && !trust_restrict(&upload->claim, upload->volume, upload->blob, error))
        return FALSE;
    upload->dirty = TRUE;
    CST_CRASH_POINT("vol.upload.restricted");
    return TRUE;
}

/* Writes the bytes that fit before it fails with NO_SPACE. */
static gboolean raw_write(CstUpload *base, const void *data, size_t len, GError **error)
{
    RawUpload *upload = (RawUpload *)base;
    size_t fits = (size_t)MIN((uint64_t)len, upload->end - upload->offset);

    if (!cst_task_check(base->task, error))
        return FALSE;
    if (fits > 0) {
        if (!upload_promise(upload, upload->offset + fits, error) || !begin_change(upload, error) ||
            !cst_blob_pwrite(upload->blob, data, fits, upload->offset, error))
            return FALSE;
        CST_CRASH_POINT("vol.upload.written");
    }
    upload->offset += fits;
    cst_task_advance(base->task, fits);
    upload->size = MAX(upload->size, upload->offset);
    return fits == len || no_space(error);
}

/* Fails before any write if the hole exceeds the end. */
static gboolean raw_write_hole(CstUpload *base, uint64_t length, GError **error)
{
    RawUpload *upload = (RawUpload *)base;
    uint64_t end;

    if (length > upload->end - upload->offset || length > G_MAXINT64 - upload->offset)
        return no_space(error);
    end = upload->offset + length;
    if (!upload_promise(upload, end, error) || !begin_change(upload, error))
        return FALSE;
    /* The part inside the file is zeroed. The part after its end only increases the size. */
    if (upload->offset < upload->size &&
        !cst_blob_zero_steps(upload->blob, upload->offset, MIN(end, upload->size) - upload->offset,
                             CST_ZERO_MAY_UNMAP, base->task, error))
        return FALSE;
    if (end > upload->size) {
        if (!cst_blob_resize(upload->blob, end, error))
            return FALSE;
        upload->size = end;
    }
    upload->offset = end;
    cst_task_skip(base->task, length);
    return cst_task_check(base->task, error);
}

/* Runs once, from finish or close. */
static void rescan_upload(RawUpload *upload)
{
    if (upload->dirty)
        volume_rescan(&upload->claim);
    upload->dirty = FALSE;
}

/* The volume is rescanned even if the flush failed, because data were written. */
static gboolean raw_finish(CstUpload *base, GError **error)
{
    RawUpload *upload = (RawUpload *)base;
    gboolean done = cst_blob_flush(upload->blob, error);

    rescan_upload(upload);
    return done;
}

static void raw_ends(CstUpload *base)
{
    volume_stream_ends(&((RawUpload *)base)->claim);
}

static void raw_close(CstUpload *base)
{
    RawUpload *upload = (RawUpload *)base;

    if (upload->blob)
        rescan_upload(upload);
    g_clear_pointer(&upload->blob, cst_blob_unref);
    g_clear_pointer(&upload->volume, cst_volume_unref);
    pool_promise_end(&upload->promise);
    volume_release(&upload->claim);
}

static const UploadClass raw_class = {raw_write, raw_write_hole, raw_finish, raw_ends, raw_close};

CstUpload *cst_vol_upload(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                          unsigned flags, CstTask *task, GError **error)
{
    RawUpload *upload = g_new0(RawUpload, 1);

    upload_begin(&upload->base, &raw_class, pool, "upload", name, task);
    return upload_opened(&upload->base,
                         open_upload(upload, pool, name, offset, length, flags, error), error);
}
