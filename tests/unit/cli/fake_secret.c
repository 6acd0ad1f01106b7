/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_secret.h"

#include <base/dry_run.h>
#include <base/error.h>

FakeSecrets fake_secrets;

static void fake_secret_free(gpointer data)
{
    FakeSecret *secret = data;

    g_free(secret->secret.usage_id);
    g_clear_pointer(&secret->value, g_bytes_unref);
    g_free(secret);
}

FakeSecret *fake_secrets_add(const char *uuid, CstSecretUsage usage, const char *usage_id)
{
    FakeSecret *secret = g_new0(FakeSecret, 1);

    if (!fake_secrets.secrets)
        fake_secrets.secrets = g_ptr_array_new_with_free_func(fake_secret_free);
    cst_uuid_parse(uuid, &secret->secret.uuid);
    secret->secret.usage = usage;
    secret->secret.usage_id = g_strdup(usage_id);
    g_ptr_array_add(fake_secrets.secrets, secret);
    return secret;
}

void fake_secrets_clear(void)
{
    g_clear_pointer(&fake_secrets.secrets, g_ptr_array_unref);
    g_free(fake_secrets.last_xml);
    g_free(fake_secrets.last_admin);
    fake_secrets = (FakeSecrets){0};
}

static CstConnSecret *copy(const CstConnSecret *secret)
{
    CstConnSecret *result = g_new0(CstConnSecret, 1);

    *result = *secret;
    result->usage_id = g_strdup(secret->usage_id);
    return result;
}

static FakeSecret *find(const CstUuid *uuid)
{
    for (guint i = 0; fake_secrets.secrets && i < fake_secrets.secrets->len; i++) {
        FakeSecret *secret = g_ptr_array_index(fake_secrets.secrets, i);

        if (cst_uuid_equal(&secret->secret.uuid, uuid))
            return secret;
    }
    return NULL;
}

GPtrArray *cst_conn_secret_list(CstConn *conn, unsigned filter, GError **error)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)cst_conn_secret_free);

    fake_secrets.last_flags = filter;
    for (guint i = 0; fake_secrets.secrets && i < fake_secrets.secrets->len; i++)
        g_ptr_array_add(list, copy(&((FakeSecret *)fake_secrets.secrets->pdata[i])->secret));
    return list;
}

CstConnSecret *cst_conn_secret_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error)
{
    FakeSecret *secret = find(uuid);
    char text[CST_UUID_TEXT_LEN];

    if (secret)
        return copy(&secret->secret);
    cst_fail(error, CST_ERROR_NO_SECRET, "no secret with matching uuid '%s'",
             cst_uuid_format(uuid, text));
    return NULL;
}

static gboolean change(GError **error)
{
    if (fake_secrets.fail)
        return cst_fail(error, CST_ERROR_READ_ONLY, "no");
    fake_secrets.changes++;
    return TRUE;
}

CstConnSecret *cst_conn_secret_define(CstConn *conn, const char *xml, unsigned flags,
                                      GError **error)
{
    if (!cst_may_change(error))
        return NULL;
    if (!change(error))
        return NULL;
    g_free(fake_secrets.last_xml);
    fake_secrets.last_xml = g_strdup(xml);
    fake_secrets.last_flags = flags;
    return copy(&((FakeSecret *)fake_secrets.secrets->pdata[0])->secret);
}

gboolean cst_conn_secret_undefine(CstConn *conn, const CstConnSecret *secret, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    return change(error);
}

char *cst_conn_secret_xml(CstConn *conn, const CstConnSecret *secret, GError **error)
{
    return g_strdup_printf("<secret>\n  <usage type='%s'/>\n</secret>\n",
                           secret->usage_id ? secret->usage_id : "");
}

gboolean cst_conn_secret_set_value(CstConn *conn, const CstConnSecret *secret, const uint8_t *value,
                                   size_t len, GError **error)
{
    FakeSecret *mine = find(&secret->uuid);

    if (!cst_may_change(error))
        return FALSE;
    if (!change(error))
        return FALSE;
    g_clear_pointer(&mine->value, g_bytes_unref);
    mine->value = g_bytes_new(value, len);
    return TRUE;
}

gboolean cst_conn_secret_get_value(CstConn *conn, const CstConnSecret *secret,
                                   CstSecretBytes *ret_value, GError **error)
{
    const FakeSecret *mine = find(&secret->uuid);
    char text[CST_UUID_TEXT_LEN];
    gconstpointer data;
    gsize len;

    if (!mine->value)
        return cst_fail(error, CST_ERROR_NO_SECRET, "secret '%s' does not have a value",
                        cst_uuid_format(&secret->uuid, text));
    data = g_bytes_get_data(mine->value, &len);
    return cst_secret_bytes_copy(ret_value, data, len, error);
}

gboolean cst_conn_secret_use_value(CstConn *conn, const CstConnSecret *secret,
                                   CstSecretBytes *ret_value, GError **error)
{
    return cst_conn_secret_get_value(conn, secret, ret_value, error);
}

static gboolean change_seals(const GPtrArray *secrets, unsigned flags, guint *ret_count,
                             GError **error)
{
    fake_secrets.last_flags = flags;
    *ret_count = flags ? 2 : secrets->len;
    return cst_may_change(error) && change(error);
}

gboolean cst_conn_secrets_seal(CstConn *conn, const GPtrArray *secrets, unsigned flags,
                               guint *ret_count, GError **error)
{
    return change_seals(secrets, flags, ret_count, error);
}

gboolean cst_conn_secrets_unseal(CstConn *conn, const GPtrArray *secrets, unsigned flags,
                                 guint *ret_count, GError **error)
{
    return change_seals(secrets, flags, ret_count, error);
}

GPtrArray *cst_conn_secret_uses(CstConn *conn, GError **error)
{
    GPtrArray *uses = g_ptr_array_new_with_free_func((GDestroyNotify)cst_secret_use_free);

    for (guint i = 0; fake_secrets.secrets && i < fake_secrets.secrets->len; i++) {
        const FakeSecret *secret = g_ptr_array_index(fake_secrets.secrets, i);
        CstSecretUse *use = cst_secret_use_new();

        use->uuid = secret->secret.uuid;
        use->usage = (CstSecretUsage)secret->secret.usage;
        use->usage_id = g_strdup(secret->secret.usage_id ? secret->secret.usage_id : "");
        use->has_value = secret->value != NULL;
        g_ptr_array_add(uses, use);
    }
    return uses;
}

GPtrArray *cst_conn_secret_rotate(CstConn *conn, const CstConnSecret *secret,
                                  const CstConnRotate *how, CstTask *task, GError **error)
{
    FakeSecret *mine = find(&secret->uuid);
    GPtrArray *pools;

    if (!cst_may_change(error) || !change(error))
        return NULL;
    g_clear_pointer(&mine->value, g_bytes_unref);
    mine->value = g_bytes_new(how->value->data, how->value->len);
    g_clear_pointer(&fake_secrets.last_admin, g_free);
    if (how->admin_user)
        fake_secrets.last_admin = g_strdup_printf("%s %zu", how->admin_user, how->admin_key->len);
    fake_secrets.last_flags = how->flags;
    fake_secrets.last_wait = how->wait_s;
    pools = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(pools, g_strdup("a"));
    g_ptr_array_add(pools, g_strdup("b"));
    return pools;
}
