/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume_plan.h"

#include <base/crash.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>

/* --- upload -------------------------------------------------------------------------------------
 */

struct CstUpload {
    VolumeClaim claim;
    CstBlob *blob;
    uint64_t start;
    uint64_t offset;
    uint64_t end;  /* G_MAXUINT64: no limit */
    uint64_t size; /* of the blob, as far as we have made it */
    gboolean dirty;
};

static gboolean open_stream(VolumeClaim *claim, CstPool *pool, const char *name, ClaimKind kind,
                            unsigned flags, const char *function, CstBlob **ret_blob,
                            GError **error)
{
    g_autoptr(CstVolume) volume = NULL;

    if (!cst_flags_check(flags, CST_VOL_STREAM_SPARSE, function, error) ||
        !volume_claim(claim, pool, name, kind, error))
        return FALSE;
    volume = pool_table_get(pool, claim->state, name, error);
    if (!volume)
        return FALSE;
    *ret_blob = cst_pool_state_vol_open(claim->state, name, kind == CLAIM_WRITE, error);
    return *ret_blob != NULL;
}

CstUpload *cst_vol_upload(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                          unsigned flags, GError **error)
{
    g_autoptr(CstUpload) upload = g_new0(CstUpload, 1);

    if (!open_stream(&upload->claim, pool, name, CLAIM_WRITE, flags, "storageVolUpload",
                     &upload->blob, error) ||
        !cst_blob_get_size(upload->blob, &upload->size, error))
        return NULL;
    if (offset > G_MAXINT64) {
        cst_fail(error, CST_ERROR_OVERFLOW, _("the offset is too large"));
        return NULL;
    }
    upload->start = upload->offset = offset;
    /* "-1" on virsh's command line means as much as there is. */
    upload->end = length && length <= G_MAXINT64 - offset ? offset + length : G_MAXUINT64;
    return g_steal_pointer(&upload);
}

static gboolean no_room(GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("cannot write to stream: No space left on device"));
}

gboolean cst_upload_write(CstUpload *upload, const void *data, size_t len, GError **error)
{
    size_t fits = (size_t)MIN((uint64_t)len, upload->end - upload->offset);

    if (fits > 0) {
        upload->dirty = TRUE;
        if (!cst_blob_pwrite(upload->blob, data, fits, upload->offset, error))
            return FALSE;
        CST_CRASH_POINT("vol.upload.written");
    }
    upload->offset += fits;
    upload->size = MAX(upload->size, upload->offset);
    return fits == len || no_room(error);
}

gboolean cst_upload_hole(CstUpload *upload, uint64_t length, GError **error)
{
    uint64_t end;

    if (length > upload->end - upload->offset || length > G_MAXINT64 - upload->offset)
        return no_room(error);
    end = upload->offset + length;
    upload->dirty = TRUE;
    /* What lies inside becomes zeroes, what lies behind the end becomes size. */
    if (upload->offset < upload->size &&
        !cst_blob_zero(upload->blob, upload->offset, MIN(end, upload->size) - upload->offset,
                       CST_ZERO_MAY_UNMAP, error))
        return FALSE;
    if (end > upload->size) {
        if (!cst_blob_resize(upload->blob, end, error))
            return FALSE;
        upload->size = end;
    }
    upload->offset = end;
    return TRUE;
}

/* Looks at the volume anew; an upload of its beginning decides what it is. */
static void settle_upload(CstUpload *upload)
{
    CstVolume *volume = NULL;

    if (!upload->dirty)
        return;
    upload->dirty = FALSE;
    if (upload->start == 0)
        cst_pool_state_vol_replaced(upload->claim.state, upload->blob);
    if (pool_table_look(upload->claim.pool, upload->claim.state, upload->claim.name, &volume, NULL))
        cst_volume_unref(volume);
    pool_usage_update(upload->claim.pool, upload->claim.state, NULL);
}

gboolean cst_upload_finish(CstUpload *upload, GError **error)
{
    gboolean done = cst_blob_flush(upload->blob, error);

    settle_upload(upload);
    return done;
}

void cst_upload_free(CstUpload *upload)
{
    CstPool *pool;

    if (!upload)
        return;
    pool = upload->claim.pool ? cst_pool_ref(upload->claim.pool) : NULL;
    if (upload->blob)
        settle_upload(upload);
    g_clear_pointer(&upload->blob, cst_blob_unref);
    volume_release(&upload->claim);
    if (pool)
        event_emit_pool(pool, CST_EVENT_POOL_REFRESH, 0);
    cst_pool_unref(pool);
    g_free(upload);
}

/* --- download -----------------------------------------------------------------------------------
 */

struct CstDownload {
    VolumeClaim claim;
    CstBlob *blob;
    uint64_t offset;
    uint64_t end;
    gboolean sparse;
    CstExtent extent; /* the run that offset lies in, when sparse */
};

CstDownload *cst_vol_download(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                              unsigned flags, GError **error)
{
    g_autoptr(CstDownload) download = g_new0(CstDownload, 1);
    uint64_t size;

    if (!open_stream(&download->claim, pool, name, CLAIM_READ, flags, "storageVolDownload",
                     &download->blob, error) ||
        !cst_blob_get_size(download->blob, &size, error))
        return NULL;
    download->sparse = (flags & CST_VOL_STREAM_SPARSE) != 0;
    download->offset = MIN(offset, size);
    download->end = length ? download->offset + MIN(length, size - download->offset) : size;
    return g_steal_pointer(&download);
}

/* Bytes that may be read at once: all there are, or, when sparse, those of this run. */
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

gboolean cst_download_read(CstDownload *download, void *buf, size_t size, size_t *ret_len,
                           uint64_t *ret_hole, GError **error)
{
    uint64_t run;
    gboolean hole;

    *ret_len = 0;
    *ret_hole = 0;
    if (download->offset >= download->end)
        return TRUE;
    if (!next_run(download, &run, &hole, error))
        return FALSE;
    if (hole) {
        *ret_hole = run;
    } else {
        run = MIN(run, size);
        if (!cst_blob_pread(download->blob, buf, (size_t)run, download->offset, error))
            return FALSE;
        *ret_len = (size_t)run;
    }
    download->offset += run;
    return TRUE;
}

void cst_download_free(CstDownload *download)
{
    if (!download)
        return;
    g_clear_pointer(&download->blob, cst_blob_unref);
    volume_release(&download->claim);
    g_free(download);
}
