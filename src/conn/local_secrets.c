/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <service/secrets.h>

#include "local_private.h"

static CstService *service_of(gpointer self)
{
    return ((CstLocal *)self)->service;
}

static CstConnSecret *secret_of(const CstSecretRow *row)
{
    CstConnSecret *secret = g_new0(CstConnSecret, 1);

    secret->uuid = row->uuid;
    secret->usage = row->usage;
    secret->usage_id = g_strdup(row->usage_id);
    return secret;
}

/** The connection's form of @row, which is given up. */
static CstConnSecret *secret_take(CstSecretRow *row)
{
    CstConnSecret *secret;

    if (!row)
        return NULL;
    secret = secret_of(row);
    cst_secret_row_free(row);
    return secret;
}

GPtrArray *cst_local_secret_list(gpointer self, unsigned filter, GError **error)
{
    g_autoptr(GPtrArray) rows = cst_service_secrets(service_of(self), filter, error);
    GPtrArray *secrets;

    if (!rows)
        return NULL;
    secrets = g_ptr_array_new_full(rows->len, (GDestroyNotify)cst_conn_secret_free);
    for (guint i = 0; i < rows->len; i++)
        g_ptr_array_add(secrets, secret_of(rows->pdata[i]));
    return secrets;
}

CstConnSecret *cst_local_secret_by_uuid(gpointer self, const CstUuid *uuid, GError **error)
{
    return secret_take(cst_service_secret_by_uuid(service_of(self), uuid, error));
}

CstConnSecret *cst_local_secret_by_usage(gpointer self, int usage, const char *usage_id,
                                         GError **error)
{
    return secret_take(cst_service_secret_by_usage(service_of(self), usage, usage_id, error));
}

CstConnSecret *cst_local_secret_define(gpointer self, const char *xml, unsigned flags,
                                       GError **error)
{
    return secret_take(cst_service_secret_define(service_of(self), xml, flags, error));
}

gboolean cst_local_secret_undefine(gpointer self, const CstConnSecret *secret, GError **error)
{
    return cst_service_secret_undefine(service_of(self), &secret->uuid, error);
}

char *cst_local_secret_xml(gpointer self, const CstConnSecret *secret, GError **error)
{
    return cst_service_secret_get_xml(service_of(self), &secret->uuid, 0, error);
}

gboolean cst_local_secret_set_value(gpointer self, const CstConnSecret *secret,
                                    const uint8_t *value, size_t len, GError **error)
{
    return cst_service_secret_set_value(service_of(self), &secret->uuid, value, len, 0, error);
}

gboolean cst_local_secret_get_value(gpointer self, const CstConnSecret *secret, uint8_t **ret_value,
                                    size_t *ret_len, GError **error)
{
    return cst_service_secret_get_value(service_of(self), &secret->uuid, 0, NULL, ret_value,
                                        ret_len, error);
}
