/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_service.h"

#include <base/error.h>

const CstUuid fake_secret_uuid = {{0x55, 5}};

void cst_secret_row_free(CstSecretRow *row)
{
    g_free(row->usage_id);
    g_free(row);
}

static CstSecretRow *the_secret(void)
{
    CstSecretRow *row = g_new0(CstSecretRow, 1);

    row->uuid = fake_secret_uuid;
    row->usage = CST_SECRET_CEPH;
    row->usage_id = g_strdup("usage");
    return row;
}

GPtrArray *cst_service_secrets(CstService *s, unsigned filter, GError **error)
{
    GPtrArray *rows;

    if (!fake_works(error))
        return NULL;
    rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_secret_row_free);
    g_ptr_array_add(rows, the_secret());
    return rows;
}

static gboolean is_the_secret(const CstUuid *uuid, GError **error)
{
    return cst_uuid_equal(uuid, &fake_secret_uuid) ||
           cst_fail(error, CST_ERROR_NO_SECRET, "no secret with matching uuid");
}

CstSecretRow *cst_service_secret_by_uuid(CstService *s, const CstUuid *uuid, GError **error)
{
    return is_the_secret(uuid, error) ? the_secret() : NULL;
}

CstSecretRow *cst_service_secret_by_usage(CstService *s, int usage, const char *usage_id,
                                          GError **error)
{
    return the_secret();
}

CstSecretRow *cst_service_secret_define(CstService *s, const char *xml, unsigned flags,
                                        GError **error)
{
    fake_changed(NULL);
    return the_secret();
}

gboolean cst_service_secret_undefine(CstService *s, const CstUuid *uuid, GError **error)
{
    return fake_changed(error);
}

char *cst_service_secret_get_xml(CstService *s, const CstUuid *uuid, unsigned flags, GError **error)
{
    return is_the_secret(uuid, error) ? g_strdup("<secret/>") : NULL;
}

gboolean cst_service_secret_set_value(CstService *s, const CstUuid *uuid, const uint8_t *value,
                                      size_t len, unsigned flags, GError **error)
{
    return fake_changed(error);
}

gboolean cst_service_secret_get_value(CstService *s, const CstUuid *uuid, unsigned flags,
                                      const char *token, CstSecretBytes *ret_value, GError **error)
{
    fake_changed(NULL);
    g_strlcpy(fake.token, token, sizeof(fake.token));
    if (!is_the_secret(uuid, error))
        return FALSE;
    return cst_secret_bytes_copy(ret_value, "s3cret\0", 7, error);
}

gboolean cst_service_secrets_seal(CstService *s, const CstSecretSealArgs *args, guint *ret_count,
                                  GError **error)
{
    *ret_count = args->n_uuids;
    return fake_changed(error);
}

gboolean cst_service_secrets_unseal(CstService *s, const CstSecretSealArgs *args, guint *ret_count,
                                    GError **error)
{
    return cst_service_secrets_seal(s, args, ret_count, error);
}

gboolean cst_service_secret_rotate(CstService *s, const CstSecretRotate *args, CstTask *task,
                                   GPtrArray **ret_pools, GError **error)
{
    if (!is_the_secret(&args->uuid, error))
        return FALSE;
    *ret_pools = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(*ret_pools, g_strdup("images"));
    return fake_changed(error);
}

GPtrArray *cst_service_secret_uses(CstService *s, GError **error)
{
    GPtrArray *uses = g_ptr_array_new_with_free_func((GDestroyNotify)cst_secret_use_free);
    CstSecretUse *use = cst_secret_use_new();

    use->uuid = fake_secret_uuid;
    use->usage_id = g_strdup("");
    g_ptr_array_add(uses, use);
    return uses;
}
