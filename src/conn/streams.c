/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uploads and downloads between the caller's descriptor and a volume, over either transport. They
 * do not pass through call() of conn.c, because a transport runs them with a source or a sink, so
 * the same checks are made here.
 */
#include "conn_private.h"

gboolean cst_conn_vol_upload(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                             uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    const CstProcedure *procedure = cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_UPLOAD);
    wire_vol_stream_args args = {cst_vol_arg(vol), offset, length, flags};
    CstFdSource source;

    if (!cst_conn_check_access(conn, procedure, error) ||
        !cst_fd_source_init(&source, fd, flags & CST_VOL_STREAM_SPARSE, error))
        return FALSE;
    cst_task_set_total(task, source.size);
    return cst_conn_check_result(conn->transport->upload(conn->self, &args, &source, task, error),
                                 procedure->name, error);
}

/* Sets the total of @task; it stays unknown when the server does not report the size. */
static void expect_download(CstConn *conn, const CstVolRef *vol, uint64_t offset, uint64_t length,
                            CstTask *task)
{
    CstVolInfo info;

    /* The physical size is what a download of the whole volume has. */
    if (!task || !cst_conn_vol_info(conn, vol, TRUE, &info, NULL) || info.allocation <= offset)
        return;
    info.allocation -= offset;
    cst_task_set_total(task, length ? MIN(length, info.allocation) : info.allocation);
}

gboolean cst_conn_vol_download(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                               uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    const CstProcedure *procedure =
        cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DOWNLOAD);
    wire_vol_stream_args args = {cst_vol_arg(vol), offset, length, flags};
    CstFdSink sink;

    if (!cst_conn_check_access(conn, procedure, error) || !cst_fd_sink_init(&sink, fd, error))
        return FALSE;
    expect_download(conn, vol, offset, length, task);
    return cst_conn_check_result(conn->transport->download(conn->self, &args, &sink, task, error) &&
                                     cst_fd_sink_finish(&sink, error),
                                 procedure->name, error);
}
