/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake server has no tags. */
#include <base/error.h>
#include <conn/tags.h>

gboolean cst_conn_has_tags(CstConn *conn, gboolean *ret_has, GError **error)
{
    *ret_has = FALSE;
    return TRUE;
}

gboolean cst_conn_vol_tag(CstConn *conn, const CstVolRef *vol, const char *snapshot,
                          const CstTagChange *change, CstTask *task, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, "the server has no tags");
}

GPtrArray *cst_conn_vol_tagged(CstConn *conn, const CstVolRef *vol, GError **error)
{
    cst_fail(error, CST_ERROR_NO_SUPPORT, "the server has no tags");
    return NULL;
}

GHashTable *cst_conn_pool_tagged(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    cst_fail(error, CST_ERROR_NO_SUPPORT, "the server has no tags");
    return NULL;
}

const CstTagged *cst_conn_tagged_find(const GPtrArray *rows, const char *snapshot)
{
    return NULL;
}

GPtrArray *cst_conn_tag_matches(CstConn *conn, const char *tag, GError **error)
{
    cst_fail(error, CST_ERROR_NO_SUPPORT, "the server has no tags");
    return NULL;
}
