/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversion between the protocol's structs and the service's objects. A pool is found by its UUID,
 * so that a pool that was undefined and redefined under the same name is not mistaken for the old
 * one. A volume's struct has only its pool's name. Each lookup also sets the pool and the volume of
 * the call in the log's context and in its audit record.
 */
#include <string.h>

#include <base/log_context.h>

#include "api_private.h"
#include "audit.h"

CstPool *cst_api_pool(CstService *service, const wire_pool *pool, GError **error)
{
    g_autoptr(GError) reason = NULL;
    char text[CST_UUID_TEXT_LEN];
    CstPool *found;
    CstUuid uuid;

    memcpy(uuid.bytes, pool->uuid, sizeof(uuid.bytes));
    found = cst_service_pool_by_uuid(service, &uuid, &reason);
    if (found) {
        cst_log_set_pool(cst_pool_name(found));
        api_audit_set_pool(found);
        return found;
    }
    /* Like libvirt's message, with the UUID and the name. */
    if (g_error_matches(reason, CST_ERROR, CST_ERROR_NO_POOL))
        cst_fail(error, CST_ERROR_NO_POOL, _("no storage pool with matching uuid '%s' (%s)"),
                 cst_uuid_format(&uuid, text), pool->name);
    else
        g_propagate_error(error, g_steal_pointer(&reason));
    return NULL;
}

CstPool *cst_api_vol_pool(CstService *service, const wire_vol *vol, GError **error)
{
    CstPool *found;

    cst_log_set_pool(vol->pool);
    cst_log_set_volume(vol->name);
    found = cst_service_pool_by_name(service, vol->pool, error);
    if (found)
        api_audit_set_pool(found);
    return found;
}

void cst_api_fill_pool(wire_pool *ret, CstPool *pool)
{
    ret->name = g_strdup(cst_pool_name(pool));
    memcpy(ret->uuid, cst_pool_uuid(pool)->bytes, sizeof(ret->uuid));
}

void cst_api_set_vol(wire_vol *ret, CstPool *pool, const char *name, char *key)
{
    ret->pool = g_strdup(cst_pool_name(pool));
    ret->name = g_strdup(name);
    ret->key = key;
}

gboolean cst_api_fill_vol(wire_vol *ret, CstPool *pool, const char *name, GError **error)
{
    char *key = cst_vol_get_key(pool, name, error);

    if (key)
        cst_api_set_vol(ret, pool, name, key);
    return key != NULL;
}

gboolean cst_api_check_max(int max, int limit, const char *what, const char *limit_name,
                           GError **error)
{
    if (max < 0 || max > limit)
        return cst_fail(error, CST_ERROR_RPC, "%s > %s", what, limit_name);
    return TRUE;
}

const char *cst_api_opt_text(const wire_opt_string text)
{
    return text ? *text : NULL;
}

wire_opt_string cst_api_opt(char *text)
{
    char **opt;

    if (!text)
        return NULL;
    opt = g_new(char *, 1);
    *opt = text;
    return opt;
}

char *cst_api_text(char *text)
{
    return text ? text : g_strdup("");
}
