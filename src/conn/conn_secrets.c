/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conn_private.h"

GPtrArray *cst_conn_secret_list(CstConn *conn, unsigned filter, GError **error)
{
    GPtrArray *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, secret_list, CST_ACCESS_READ, "virConnectListAllSecrets",
                          filter))
        return NULL;
    return result;
}

CstConnSecret *cst_conn_secret_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error)
{
    CstConnSecret *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, secret_by_uuid, CST_ACCESS_READ, "virSecretLookupByUUID",
                          uuid))
        return NULL;
    return result;
}

CstConnSecret *cst_conn_secret_by_usage(CstConn *conn, int usage, const char *usage_id,
                                        GError **error)
{
    CstConnSecret *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, secret_by_usage, CST_ACCESS_READ, "virSecretLookupByUsage",
                          usage, usage_id))
        return NULL;
    return result;
}

CstConnSecret *cst_conn_secret_define(CstConn *conn, const char *xml, unsigned flags,
                                      GError **error)
{
    CstConnSecret *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, secret_define, CST_ACCESS_WRITE, "virSecretDefineXML", xml,
                          flags))
        return NULL;
    return result;
}

gboolean cst_conn_secret_undefine(CstConn *conn, const CstConnSecret *secret, GError **error)
{
    return CST_DISPATCH(conn, secret_undefine, CST_ACCESS_WRITE, "virSecretUndefine", secret);
}

char *cst_conn_secret_xml(CstConn *conn, const CstConnSecret *secret, GError **error)
{
    char *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, secret_xml, CST_ACCESS_READ, "virSecretGetXMLDesc", secret))
        return NULL;
    return result;
}

gboolean cst_conn_secret_set_value(CstConn *conn, const CstConnSecret *secret, const uint8_t *value,
                                   size_t len, GError **error)
{
    return CST_DISPATCH(conn, secret_set_value, CST_ACCESS_WRITE, "virSecretSetValue", secret,
                        value, len);
}

gboolean cst_conn_secret_get_value(CstConn *conn, const CstConnSecret *secret, uint8_t **ret_value,
                                   size_t *ret_len, GError **error)
{
    return CST_DISPATCH(conn, secret_get_value, CST_ACCESS_WRITE, "virSecretGetValue", secret,
                        ret_value, ret_len);
}
