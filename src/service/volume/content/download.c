/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Read streams. A download reads the stored bytes of a volume, as in libvirt. cst_vol_send() reads
 * the guest-visible content of a volume or of a snapshot, and cst_vol_digests() reads the digests
 * of that content.
 */
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/units.h>
#include <blob/digests.h>
#include <image/hold.h>

#include "core/claim.h"
#include "core/scan.h"
#include "core/service.h"
#include "dependency/guard.h"
#include "stream.h"
#include "view.h"

struct CstDownload {
    Job job;
    CstTask *task;     /* task of the job */
    VolumeClaim claim; /* of a download; else the view has its own claims */
    VolumeView view;
    CstBlob *blob;
    CstFileStamp stamp; /* of the file of a download at rest */
    uint64_t offset;
    uint64_t end;
    gboolean sparse;
    unsigned skipped; /* extents with any of these flags are returned as holes */
    CstExtent extent; /* if sparse: the extent that contains offset */
};

/* Without a length, or with one beyond the end, the range ends with the volume. */
static gboolean download_set_range(CstDownload *download, uint64_t offset, uint64_t length,
                                   GError **error)
{
    uint64_t size;

    if (!cst_blob_get_size(download->blob, &size, error))
        return FALSE;
    download->offset = MIN(offset, size);
    download->end = length ? download->offset + MIN(length, size - download->offset) : size;
    cst_task_set_total(download->task, download->end - download->offset);
    /* A dry run stops here, because the receiver would create the changes. */
    return cst_may_change(error);
}

static gboolean open_download(CstDownload *download, CstPool *pool, const char *name,
                              uint64_t offset, uint64_t length, unsigned flags, GError **error)
{
    VolumeClaim *claim = &download->claim;
    g_autoptr(CstVolume) volume = NULL;

    claim->task = download->task;
    claim->stream = TRUE;
    download->sparse = (flags & CST_VOL_STREAM_SPARSE) != 0;
    download->skipped = CST_EXTENT_HOLE;
    if (!cst_flags_check(flags, CST_VOL_STREAM_SPARSE | CST_VOL_STREAM_FORCE_SHARE,
                         "storageVolDownload", error) ||
        !volume_claim(claim, pool, name, CLAIM_READ, error))
        return FALSE;
    /* Use the record in the table. The file is opened now, in its present state. */
    volume = pool_volume(pool, claim->state, name, error);
    download->blob = volume ? cst_pool_state_vol_open(claim->state, name, FALSE, error) : NULL;
    if (!download->blob)
        return FALSE;
    if (!(flags & CST_VOL_STREAM_FORCE_SHARE)) {
        if (!volume_not_written(claim, volume, download->blob, error))
            return FALSE;
        if (!pool->service->like_libvirt)
            download->stamp = cst_image_stamp(download->blob);
        /* The volume can be renamed or deleted during the download. */
        cst_file_stamp_only_content(&download->stamp);
    }
    return download_set_range(download, offset, length, error);
}

static CstDownload *download_begin(CstPool *pool, const char *operation, const char *name,
                                   CstTask *task)
{
    CstDownload *download = g_new0(CstDownload, 1);

    download->task = task;
    job_begin(&download->job, pool, operation, name, &download->task);
    cst_task_ref(download->task);
    return download;
}

static CstDownload *download_finish_open(CstDownload *download, gboolean ok, GError **error)
{
    if (stream_step(&download->job, ok, error))
        return download;
    cst_download_free(download);
    return NULL;
}

CstDownload *cst_vol_download(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                              unsigned flags, CstTask *task, GError **error)
{
    CstDownload *download = download_begin(pool, "download", name, task);

    return download_finish_open(
        download, open_download(download, pool, name, offset, length, flags, error), error);
}

static gboolean open_view(CstDownload *download, CstPool *pool, const char *name,
                          const CstVolSend *what, const char *call, GError **error)
{
    VolumeView *view = &download->view;
    gboolean ok;

    view->task = download->task;
    view->snapshot = what->snapshot;
    view->force_share = (what->flags & CST_VOL_STREAM_FORCE_SHARE) != 0;
    download->sparse = TRUE;
    download->skipped = CST_EXTENT_HOLE | CST_EXTENT_ZERO;
    ok = cst_flags_check(what->flags, CST_VOL_STREAM_FORCE_SHARE, call, error) &&
         volume_view_open(view, pool, name, error);
    view->snapshot = NULL; /* it belongs to the caller */
    return ok;
}

static gboolean download_open_content(CstDownload *download, CstPool *pool, const char *name,
                                      const CstVolSend *what, GError **error)
{
    if (!open_view(download, pool, name, what, "cisternVolSend", error))
        return FALSE;
    download->blob = cst_blob_ref(download->view.blob);
    return download_set_range(download, what->offset, what->length, error);
}

static gboolean open_digests(CstDownload *download, CstPool *pool, const char *name,
                             const CstVolSend *what, uint64_t chunk, GError **error)
{
    if (!open_view(download, pool, name, what, "cisternVolDigests", error))
        return FALSE;
    download->blob = cst_blob_digests(download->view.blob, chunk, error);
    if (!download->blob)
        return FALSE;
    if (what->offset % chunk != 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("digests are asked for from the beginning of a chunk on"));
    return download_set_range(download, what->offset / chunk * CST_DIGEST_BYTES,
                              cst_div_up(what->length, chunk) * CST_DIGEST_BYTES, error);
}

CstDownload *cst_vol_send(CstPool *pool, const char *name, const CstVolSend *what, CstTask *task,
                          uint64_t *ret_capacity, GError **error)
{
    CstDownload *download = download_begin(pool, "send", name, task);

    return download_finish_open(download,
                                download_open_content(download, pool, name, what, error) &&
                                    cst_blob_get_size(download->view.blob, ret_capacity, error),
                                error);
}

CstDownload *cst_vol_digests(CstPool *pool, const char *name, const CstVolSend *what,
                             uint64_t chunk, CstTask *task, uint64_t *ret_capacity, GError **error)
{
    CstDownload *download = download_begin(pool, "digests", name, task);

    return download_finish_open(download,
                                open_digests(download, pool, name, what, chunk, error) &&
                                    cst_blob_get_size(download->view.blob, ret_capacity, error),
                                error);
}

/*
 * *ret_len: bytes that can be read at once: all remaining bytes or, if sparse, the rest of the
 * extent at the offset. In a download zero data are data: only holes are skipped.
 */
static gboolean download_next_run(CstDownload *download, uint64_t *ret_len, gboolean *ret_hole,
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
    *ret_hole = (download->extent.flags & download->skipped) != 0;
    return TRUE;
}

static gboolean download_read_piece(CstDownload *download, void *buf, size_t size, size_t *ret_len,
                                    uint64_t *ret_hole, GError **error)
{
    uint64_t run;
    gboolean hole;

    if (!cst_task_check(download->task, error) || !download_next_run(download, &run, &hole, error))
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

/* Fails with BUSY if another program has written to the source since it was opened at rest. */
static gboolean download_is_as_before(const CstDownload *download, GError **error)
{
    return volume_view_check(&download->view, error) &&
           (download->view.blob ||
            cst_image_is_as_before(download->blob, &download->stamp, download->blob->name, error));
}

/* The job ends with the content, although the client may close the stream later. */
gboolean cst_download_read(CstDownload *download, void *buf, size_t size, size_t *ret_len,
                           uint64_t *ret_hole, GError **error)
{
    *ret_len = 0;
    *ret_hole = 0;
    if (download->offset < download->end) {
        gboolean ok = download_read_piece(download, buf, size, ret_len, ret_hole, error);

        if (!ok)
            volume_view_explain(&download->view, error);
        return stream_step(&download->job, ok, error);
    }
    if (!download->job.entry)
        return TRUE;
    return job_end(&download->job, download_is_as_before(download, error), error);
}

void cst_download_ends(CstDownload *download)
{
    if (download->claim.holder)
        volume_stream_ends(&download->claim);
    volume_view_ends(&download->view);
}

gboolean cst_download_cancelled(const CstDownload *download)
{
    return cst_task_cancelled(download->task);
}

/* No data were changed, so neither a rescan nor an event is needed. */
void cst_download_free(CstDownload *download)
{
    if (!download)
        return;
    g_clear_pointer(&download->blob, cst_blob_unref);
    volume_view_close(&download->view);
    volume_release(&download->claim);
    stream_job_end(&download->job, _("the receiver went away before the end"));
    cst_task_unref(download->task);
    g_free(download);
}
