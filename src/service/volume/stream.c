/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uploads and downloads, piece by piece as the client sends or takes them. A stream holds its claim
 * for as long as its client likes, so nobody waits for it (core/claim.h). Its job ends with its
 * first failure, with its finish, or when the client goes away.
 *
 * Before the first byte of an upload is written, the volume is restricted (declare.h): its content
 * is the sender's from then on. What was written stays when the upload ends early, as with libvirt.
 *
 * The caller serialises the calls on a stream; only cst_upload_ends() and cst_download_ends() may
 * run during another one.
 */
#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <blob/steps.h>

#include "core/claim.h"
#include "core/events.h"
#include "core/job.h"
#include "core/scan.h"
#include "declare.h"
#include "dependency/guard.h"

/* --- upload ----------------------------------------------------------------------------------- */

struct CstUpload {
    Job job;
    CstTask *task; /* the job's */
    VolumeClaim claim;
    CstVolume *volume; /* as it was before */
    CstBlob *blob;
    uint64_t offset;
    uint64_t end;  /* G_MAXUINT64: no limit */
    uint64_t size; /* of the blob, as far as we have made it */
    gboolean dirty;
};

/* Ends the job of a stream that was not finished; does nothing when it has ended. */
static void end_stream(Job *job, const char *why)
{
    g_autoptr(GError) error = NULL;

    if (!job->entry)
        return;
    cst_fail(&error, CST_ERROR_CANCELLED, "%s", why);
    job_end(job, FALSE, &error);
}

/* The first failure ends the job; later ones don't change how it ended. */
static gboolean stream_step(Job *job, gboolean ok, GError **error)
{
    if (!ok && job->entry)
        job_end(job, FALSE, error);
    return ok;
}

/* Claims as a stream. An upload scans the volume, a download takes it as it is known. */
static CstVolume *claim_stream(VolumeClaim *claim, CstPool *pool, const char *name, ClaimKind kind,
                               GError **error)
{
    claim->stream = TRUE;
    if (!volume_claim(claim, pool, name, kind, error))
        return NULL;
    return kind == CLAIM_WRITE ? pool_volume_now(pool, claim->state, name, error)
                               : pool_volume(pool, claim->state, name, error);
}

static gboolean open_upload(CstUpload *upload, CstPool *pool, const char *name, uint64_t offset,
                            uint64_t length, unsigned flags, GError **error)
{
    upload->claim.task = upload->task;
    if (!cst_flags_check(flags, CST_VOL_STREAM_SPARSE, "storageVolUpload", error))
        return FALSE;
    upload->volume = claim_stream(&upload->claim, pool, name, CLAIM_WRITE, error);
    if (!upload->volume || !volume_not_shown(&upload->claim, error))
        return FALSE;
    upload->blob = cst_pool_state_vol_open(upload->claim.state, name, TRUE, error);
    if (!upload->blob || !cst_blob_get_size(upload->blob, &upload->size, error))
        return FALSE;
    if (offset > G_MAXINT64)
        return cst_fail(error, CST_ERROR_OVERFLOW, _("the offset is too large"));
    upload->offset = offset;
    /* "-1" on virsh's command line means as much as there is. */
    upload->end = length && length <= G_MAXINT64 - offset ? offset + length : G_MAXUINT64;
    if (upload->end != G_MAXUINT64 && cst_task_progress(upload->task).total == 0)
        cst_task_set_total(upload->task, length);
    return cst_may_change(error);
}

/* Whatever fails after job_begin() ends the job with that error (stream_step()). */
CstUpload *cst_vol_upload(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                          unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstUpload) upload = g_new0(CstUpload, 1);

    upload->task = task;
    job_begin(&upload->job, pool, "upload", name, &upload->task);
    /* The job drops its own reference when it ends, which may be before the upload is freed. */
    cst_task_ref(upload->task);
    if (!stream_step(&upload->job, open_upload(upload, pool, name, offset, length, flags, error),
                     error))
        return NULL;
    return g_steal_pointer(&upload);
}

/* libvirt's words, which virsh prints. */
static gboolean no_space(GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("cannot write to stream: No space left on device"));
}

/* Before the first byte: from here on the content is whatever the sender makes of it. */
static gboolean begin_change(CstUpload *upload, GError **error)
{
    if (!upload->dirty && !trust_restrict(&upload->claim, upload->volume, upload->blob, error))
        return FALSE;
    upload->dirty = TRUE;
    CST_CRASH_POINT("vol.upload.restricted");
    return TRUE;
}

/* As much as fits is written before NO_SPACE. */
static gboolean write_piece(CstUpload *upload, const void *data, size_t len, GError **error)
{
    size_t fits = (size_t)MIN((uint64_t)len, upload->end - upload->offset);

    if (!cst_task_check(upload->task, error))
        return FALSE;
    if (fits > 0) {
        if (!begin_change(upload, error) ||
            !cst_blob_pwrite(upload->blob, data, fits, upload->offset, error))
            return FALSE;
        CST_CRASH_POINT("vol.upload.written");
    }
    upload->offset += fits;
    cst_task_advance(upload->task, fits);
    upload->size = MAX(upload->size, upload->offset);
    return fits == len || no_space(error);
}

gboolean cst_upload_write(CstUpload *upload, const void *data, size_t len, GError **error)
{
    return stream_step(&upload->job, write_piece(upload, data, len, error), error);
}

/* Fails before anything is written when the hole passes the end. */
static gboolean put_hole(CstUpload *upload, uint64_t length, GError **error)
{
    uint64_t end;

    if (length > upload->end - upload->offset || length > G_MAXINT64 - upload->offset)
        return no_space(error);
    end = upload->offset + length;
    if (!begin_change(upload, error))
        return FALSE;
    /* What lies inside becomes zeroes, what lies behind the end becomes size. */
    if (upload->offset < upload->size &&
        !cst_blob_zero_steps(upload->blob, upload->offset, MIN(end, upload->size) - upload->offset,
                             CST_ZERO_MAY_UNMAP, upload->task, error))
        return FALSE;
    if (end > upload->size) {
        if (!cst_blob_resize(upload->blob, end, error))
            return FALSE;
        upload->size = end;
    }
    upload->offset = end;
    cst_task_skip(upload->task, length);
    return cst_task_check(upload->task, error);
}

gboolean cst_upload_hole(CstUpload *upload, uint64_t length, GError **error)
{
    return stream_step(&upload->job, put_hole(upload, length, error), error);
}

/* Once, from finish or free. */
static void rescan_upload(CstUpload *upload)
{
    if (upload->dirty)
        volume_rescan(&upload->claim);
    upload->dirty = FALSE;
}

/* The volume is rescanned also after a failed flush: something was written. */
gboolean cst_upload_finish(CstUpload *upload, GError **error)
{
    gboolean done = cst_blob_flush(upload->blob, error);

    rescan_upload(upload);
    if (upload->job.entry)
        job_end(&upload->job, done, error);
    return done;
}

void cst_upload_ends(CstUpload *upload)
{
    volume_stream_ends(&upload->claim);
}

gboolean cst_upload_cancelled(const CstUpload *upload)
{
    return cst_task_cancelled(upload->task);
}

/* The event comes after the release, so that who reacts to it finds the volume free. */
void cst_upload_free(CstUpload *upload)
{
    CstPool *pool;

    if (!upload)
        return;
    pool = upload->claim.pool ? cst_pool_ref(upload->claim.pool) : NULL;
    if (upload->blob)
        rescan_upload(upload);
    g_clear_pointer(&upload->blob, cst_blob_unref);
    g_clear_pointer(&upload->volume, cst_volume_unref);
    volume_release(&upload->claim);
    end_stream(&upload->job, _("the sender went away before the end"));
    if (pool)
        event_emit_pool(pool, CST_EVENT_POOL_REFRESH, 0);
    cst_pool_unref(pool);
    cst_task_unref(upload->task);
    g_free(upload);
}

/* --- download --------------------------------------------------------------------------------- */

struct CstDownload {
    Job job;
    CstTask *task; /* the job's */
    VolumeClaim claim;
    CstBlob *blob;
    uint64_t offset;
    uint64_t end;
    gboolean sparse;
    CstExtent extent; /* the run that offset lies in, when sparse */
};

/* Without a limit or beyond the end, the download ends with the volume. */
static gboolean open_download(CstDownload *download, CstPool *pool, const char *name,
                              uint64_t offset, uint64_t length, unsigned flags, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;
    uint64_t size;

    download->claim.task = download->task;
    if (!cst_flags_check(flags, CST_VOL_STREAM_SPARSE | CST_VOL_STREAM_FORCE_SHARE,
                         "storageVolDownload", error))
        return FALSE;
    volume = claim_stream(&download->claim, pool, name, CLAIM_READ, error);
    if (!volume)
        return FALSE;
    download->blob = cst_pool_state_vol_open(download->claim.state, name, FALSE, error);
    if (!download->blob || !cst_blob_get_size(download->blob, &size, error) ||
        !((flags & CST_VOL_STREAM_FORCE_SHARE) ||
          volume_not_written(volume, download->blob, error)))
        return FALSE;
    download->sparse = (flags & CST_VOL_STREAM_SPARSE) != 0;
    download->offset = MIN(offset, size);
    download->end = length ? download->offset + MIN(length, size - download->offset) : size;
    cst_task_set_total(download->task, download->end - download->offset);
    /* The receiver's file is what would change. */
    return cst_may_change(error);
}

CstDownload *cst_vol_download(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                              unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstDownload) download = g_new0(CstDownload, 1);

    download->task = task;
    job_begin(&download->job, pool, "download", name, &download->task);
    cst_task_ref(download->task);
    if (!stream_step(&download->job,
                     open_download(download, pool, name, offset, length, flags, error), error))
        return NULL;
    return g_steal_pointer(&download);
}

/*
 * *ret_len: bytes that may be read at once, all there are or, when sparse, those of the run that
 * the offset lies in. Data that is zero counts as data: only holes are skipped.
 */
static gboolean next_run(CstDownload *download, uint64_t *ret_len, gboolean *ret_hole,
                         GError **error)
{
    uint64_t left = download->end - download->offset;

    *ret_len = left;
    *ret_hole = FALSE;
    if (!download->sparse)
        return TRUE;
    if (download->offset >= download->extent.offset + download->extent.length &&
        !cst_blob_extent(download->blob, download->offset, left, &download->extent, error))
        return FALSE;
    *ret_len = download->extent.offset + download->extent.length - download->offset;
    *ret_hole = (download->extent.flags & CST_EXTENT_HOLE) != 0;
    return TRUE;
}

static gboolean read_piece(CstDownload *download, void *buf, size_t size, size_t *ret_len,
                           uint64_t *ret_hole, GError **error)
{
    uint64_t run;
    gboolean hole;

    if (!cst_task_check(download->task, error) || !next_run(download, &run, &hole, error))
        return FALSE;
    if (hole) {
        *ret_hole = run;
        cst_task_skip(download->task, run);
    } else {
        run = MIN(run, size);
        if (!cst_blob_pread(download->blob, buf, (size_t)run, download->offset, error))
            return FALSE;
        *ret_len = (size_t)run;
        cst_task_advance(download->task, run);
    }
    download->offset += run;
    return TRUE;
}

/*
 * The end of the content is also the end of the job, though the client may take its time to close.
 */
gboolean cst_download_read(CstDownload *download, void *buf, size_t size, size_t *ret_len,
                           uint64_t *ret_hole, GError **error)
{
    *ret_len = 0;
    *ret_hole = 0;
    if (download->offset < download->end)
        return stream_step(&download->job,
                           read_piece(download, buf, size, ret_len, ret_hole, error), error);
    if (download->job.entry)
        job_end(&download->job, TRUE, NULL);
    return TRUE;
}

void cst_download_ends(CstDownload *download)
{
    volume_stream_ends(&download->claim);
}

gboolean cst_download_cancelled(const CstDownload *download)
{
    return cst_task_cancelled(download->task);
}

/* Nothing was changed, so there is nothing to rescan and no event. */
void cst_download_free(CstDownload *download)
{
    if (!download)
        return;
    g_clear_pointer(&download->blob, cst_blob_unref);
    volume_release(&download->claim);
    end_stream(&download->job, _("the receiver went away before the end"));
    cst_task_unref(download->task);
    g_free(download);
}
