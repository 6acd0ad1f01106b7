/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Uploads and downloads of the service in memory: all of them work on the same bytes. */
#include <string.h>

#include <base/error.h>

#include "fake_service.h"

#define DATA_MAX (64u * 1024u * 1024u)

struct CstUpload {
    CstTask *task; /* borrowed; the stream keeps it */
    uint64_t at;
    gboolean finished;
    CstUploadEnd on_end; /* NULL: not set, or called */
    gpointer on_end_data;
};

struct CstDownload {
    guint at;
    gboolean sparse;
};

CstUpload *cst_vol_upload(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                          unsigned flags, CstTask *task, GError **error)
{
    CstUpload *upload;

    if (!cst_pool_has_volume(pool, name, error))
        return NULL;
    fake_changed(NULL);
    fake_count(&fake.streams_open, 1);
    upload = g_new0(CstUpload, 1);
    upload->at = offset;
    upload->task = task;
    return upload;
}

CstUpload *cst_vol_patch(CstPool *pool, const char *name, uint64_t offset, unsigned flags,
                         CstTask *task, GError **error)
{
    return cst_vol_upload(pool, name, offset, 0, CST_VOL_STREAM_SPARSE, task, error);
}

CstUpload *cst_vol_receive(CstPool *pool, const char *xml, unsigned flags, CstTask *task,
                           char **ret_name, GError **error)
{
    if (!fake_works(error))
        return NULL;
    *ret_name = g_strdup(xml);
    fake_count(&fake.streams_open, 1);
    return g_new0(CstUpload, 1);
}

static gboolean grow(CstUpload *upload, uint64_t len, GError **error)
{
    uint64_t limit = fake.upload_limit ? fake.upload_limit : DATA_MAX;

    if (upload->at > limit || len > limit - upload->at)
        return cst_fail(error, CST_ERROR_NO_SPACE,
                        "cannot write to stream: No space left on device");
    upload->at += len;
    if (upload->at > fake.data->len) {
        guint before = fake.data->len;

        g_byte_array_set_size(fake.data, (guint)upload->at);
        memset(fake.data->data + before, 0, fake.data->len - before);
    }
    return TRUE;
}

gboolean cst_upload_write(CstUpload *upload, const void *data, size_t len, GError **error)
{
    uint64_t at = upload->at;
    gboolean ok;

    /* The storage lets the stream wait, as it may a call. */
    cst_task_set_waiting(upload->task, TRUE);
    fake_count(&fake.writing, 1);
    fake_wait_while(&fake.hold_writes);
    fake_count(&fake.writing, -1);
    cst_task_set_waiting(upload->task, FALSE);
    g_mutex_lock(&fake.lock);
    ok = grow(upload, len, error);
    if (ok)
        memcpy(fake.data->data + at, data, len);
    g_mutex_unlock(&fake.lock);
    return ok;
}

gboolean cst_upload_hole(CstUpload *upload, uint64_t length, GError **error)
{
    gboolean ok;

    g_mutex_lock(&fake.lock);
    ok = grow(upload, length, error);
    g_mutex_unlock(&fake.lock);
    return ok;
}

void cst_upload_on_end(CstUpload *upload, CstUploadEnd func, gpointer data)
{
    upload->on_end = func;
    upload->on_end_data = data;
}

/* Only the end of an upload is reported, not a failed write. */
static void upload_report(CstUpload *upload, const GError *error)
{
    CstUploadEnd func = g_steal_pointer(&upload->on_end);

    if (func)
        func(error, upload->on_end_data);
}

gboolean cst_upload_finish(CstUpload *upload, GError **error)
{
    fake_count(&fake.finishing, 1);
    fake_wait_while(&fake.hold_finish);
    fake_count(&fake.finishing, -1);
    upload->finished = TRUE;
    upload_report(upload, NULL);
    fake_count(&fake.finished, 1);
    return TRUE;
}

void cst_upload_ends(CstUpload *upload)
{
    fake_count(&fake.ends, 1);
}

gboolean cst_upload_cancelled(const CstUpload *upload)
{
    return fake_is_held(&fake.cancel_streams);
}

void cst_upload_free(CstUpload *upload)
{
    if (!upload->finished) {
        g_autoptr(GError) error = NULL;

        cst_fail(&error, CST_ERROR_CANCELLED, "not finished");
        upload_report(upload, error);
        fake_count(&fake.abandoned, 1);
    }
    fake_count(&fake.streams_open, -1);
    g_free(upload);
}

CstDownload *cst_vol_download(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                              unsigned flags, CstTask *task, GError **error)
{
    CstDownload *download;

    if (!cst_pool_has_volume(pool, name, error))
        return NULL;
    fake_changed(NULL);
    fake_count(&fake.streams_open, 1);
    download = g_new0(CstDownload, 1);
    download->at = (guint)MIN(offset, fake.data->len);
    download->sparse = (flags & CST_VOL_STREAM_SPARSE) != 0;
    return download;
}

CstDownload *cst_vol_send(CstPool *pool, const char *name, const CstVolSend *what, CstTask *task,
                          uint64_t *ret_capacity, GError **error)
{
    CstDownload *download =
        cst_vol_download(pool, name, what->offset, 0, CST_VOL_STREAM_SPARSE, task, error);

    *ret_capacity = fake.data->len;
    return download;
}

CstDownload *cst_vol_digests(CstPool *pool, const char *name, const CstVolSend *what,
                             uint64_t chunk, CstTask *task, uint64_t *ret_capacity, GError **error)
{
    return cst_vol_send(pool, name, what, task, ret_capacity, error);
}

gboolean cst_download_read(CstDownload *download, void *buf, size_t size, size_t *ret_len,
                           uint64_t *ret_hole, GError **error)
{
    CstLivenessCall call;
    guint end;

    fake_count(&fake.reads, 1);
    if (!cst_liveness_enter(fake.liveness, &call, error))
        return FALSE;
    fake_wait_while(&fake.hold_reads);
    cst_liveness_leave(fake.liveness, &call);
    if (!fake_works(error))
        return FALSE;
    g_mutex_lock(&fake.lock);
    end = fake.data->len;
    *ret_len = *ret_hole = 0;
    if (download->sparse && fake.hole_len > 0 && download->at <= fake.hole_at)
        end = fake.hole_at;
    if (end == fake.hole_at && download->at == end)
        *ret_hole = fake.hole_len;
    else if (download->at < end)
        memcpy(buf, fake.data->data + download->at, *ret_len = MIN(size, end - download->at));
    download->at += (guint)(*ret_len + *ret_hole);
    g_mutex_unlock(&fake.lock);
    return TRUE;
}

void cst_download_ends(CstDownload *download)
{
    fake_count(&fake.ends, 1);
}

gboolean cst_download_cancelled(const CstDownload *download)
{
    return fake_is_held(&fake.cancel_streams);
}

void cst_download_free(CstDownload *download)
{
    fake_count(&fake.streams_open, -1);
    g_free(download);
}
