/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connection in memory has no content. Transfers are tested with real connections. */
#include <base/error.h>

#include "fake_conn.h"

static gboolean has_none(GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, "the connection in memory has no content");
}

void cst_vol_digests_clear(CstVolDigests *digests)
{
    g_clear_pointer(&digests->digests, g_byte_array_unref);
}

gboolean cst_conn_vol_digests(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                              uint64_t chunk, CstTask *task, CstVolDigests *ret, GError **error)
{
    return has_none(error);
}

gboolean cst_conn_abilities(CstConn *conn, CstConnAbilities *ret, GError **error)
{
    *ret = (CstConnAbilities){0};
    return TRUE;
}

CstConnReceive *cst_conn_vol_upload_pieces(CstConn *conn, const CstVolRef *vol, unsigned flags,
                                           CstTask *task, GError **error)
{
    has_none(error);
    return NULL;
}

gboolean cst_conn_vol_download_pieces(CstConn *conn, const CstVolRef *vol, uint64_t offset,
                                      uint64_t length, unsigned flags, CstPieceFunc piece,
                                      gpointer data, CstTask *task, GError **error)
{
    return has_none(error);
}

CstConnReceive *cst_conn_vol_patch(CstConn *conn, const CstVolRef *vol, uint64_t offset,
                                   CstTask *task, GError **error)
{
    has_none(error);
    return NULL;
}

gboolean cst_conn_patch_finish(CstConnReceive *receive, GError **error)
{
    return has_none(error);
}

gboolean cst_conn_vol_changed(CstConn *conn, const CstVolRef *vol, const char *since,
                              const char *until, CstChangedFunc range, gpointer data, CstTask *task,
                              CstVolChanged *ret, GError **error)
{
    return has_none(error);
}
