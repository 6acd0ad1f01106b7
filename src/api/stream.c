/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures that start a stream. The caller owns the opened upload or download, and continues it
 * after the reply (server/stream.c, conn/local.c).
 */
#include <service/volumes.h>

#include "api_private.h"

static gboolean api_vol_upload(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_stream_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    call->sparse = (args->flags & CST_VOL_STREAM_SPARSE) != 0;
    if (pool)
        call->upload = cst_vol_upload(pool, args->vol.name, args->offset, args->length, args->flags,
                                      call->task, error);
    return call->upload != NULL;
}

static gboolean api_vol_download(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_stream_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    call->sparse = (args->flags & CST_VOL_STREAM_SPARSE) != 0;
    if (pool)
        call->download = cst_vol_download(pool, args->vol.name, args->offset, args->length,
                                          args->flags, call->task, error);
    return call->download != NULL;
}

static gboolean send_content(CstApiCall *call, const void *data, void *result, GError **error)
{
    const wire_vol_send_args *args = data;
    const CstVolSend what = {.snapshot = cst_api_opt_text(args->snapshot),
                             .offset = args->offset,
                             .length = args->length,
                             .flags = args->flags};
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);
    wire_vol_send_ret *ret = result;
    uint64_t capacity = 0;

    call->sparse = TRUE;
    if (pool)
        call->download = cst_vol_send(pool, args->vol.name, &what, call->task, &capacity, error);
    if (!call->download)
        return FALSE;
    ret->capacity = capacity;
    return TRUE;
}

static gboolean receive_content(CstApiCall *call, const void *data, void *result, GError **error)
{
    const wire_vol_receive_args *args = data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    wire_text *ret = result;

    call->sparse = TRUE;
    if (pool)
        call->upload =
            cst_vol_receive(pool, args->xml, args->flags, call->task, &ret->value, error);
    return call->upload != NULL;
}

static gboolean send_digests(CstApiCall *call, const void *data, void *result, GError **error)
{
    const wire_vol_digests_args *args = data;
    const CstVolSend what = {.snapshot = cst_api_opt_text(args->snapshot),
                             .offset = args->offset,
                             .length = args->length,
                             .flags = args->flags};
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);
    wire_vol_send_ret *ret = result;
    uint64_t capacity = 0;

    call->sparse = TRUE;
    if (pool)
        call->download =
            cst_vol_digests(pool, args->vol.name, &what, args->chunk, call->task, &capacity, error);
    if (!call->download)
        return FALSE;
    ret->capacity = capacity;
    return TRUE;
}

static gboolean patch_content(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_patch_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    call->sparse = TRUE;
    if (pool)
        call->upload =
            cst_vol_patch(pool, args->vol.name, args->offset, args->flags, call->task, error);
    return call->upload != NULL;
}

const CstProcedure cst_api_stream_procedures[] = {
    CST_REMOTE_PROCEDURE(STORAGE_VOL_UPLOAD, LONG, WRITE, STORAGE, "virStorageVolUpload",
                         vol_stream_args, void, api_vol_upload),
    CST_REMOTE_PROCEDURE(STORAGE_VOL_DOWNLOAD, LONG, WRITE, STORAGE, "virStorageVolDownload",
                         vol_stream_args, void, api_vol_download, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(VOL_SEND, LONG, WRITE, "cisternVolSend", vol_send_args, vol_send_ret,
                      send_content, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(VOL_RECEIVE, LONG, WRITE, "cisternVolReceive", vol_receive_args, text,
                      receive_content),
    CST_OWN_PROCEDURE(VOL_DIGESTS, LONG, WRITE, "cisternVolDigests", vol_digests_args, vol_send_ret,
                      send_digests, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(VOL_PATCH, LONG, WRITE, "cisternVolPatch", vol_patch_args, void,
                      patch_content),
    {0},
};
