/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queries about a pool: state, sizes, XML, thin stores, health. Also queries about pools in
 * general: discovery of sources, capabilities. Most answers come from memory, copied under the
 * pool's lock. Thin stores, health and sources are queried from the storage.
 */
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/space.h"

char *cst_pool_get_problem(CstPool *pool)
{
    char *problem;

    g_mutex_lock(&pool->lock);
    problem = g_strdup(pool->problem);
    g_mutex_unlock(&pool->lock);
    return problem;
}

GPtrArray *cst_pool_thin_stores(CstPool *pool, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);

    if (!state)
        return g_ptr_array_new();
    return cst_pool_state_thin(state, error);
}

gboolean cst_pool_room(CstPool *pool, CstRoom *ret_room, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);

    if (!state)
        return FALSE;
    *ret_room = pool_room(state);
    return TRUE;
}

gboolean cst_pool_get_health(CstPool *pool, CstPoolHealth *ret_health, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);

    *ret_health = (CstPoolHealth){0};
    return !state || cst_pool_state_health(state, TRUE, ret_health, error);
}

/* Returns the state. libvirt calls a starting pool "building". Requires the pool's lock. */
static CstPoolRunState run_state(const CstPool *pool)
{
    if (pool->starting)
        return CST_POOL_BUILDING;
    if (!pool->active)
        return CST_POOL_INACTIVE;
    if (pool->inaccessible || pool->health == CST_HEALTH_FAILED)
        return CST_POOL_INACCESSIBLE;
    return pool->health == CST_HEALTH_DEGRADED ? CST_POOL_DEGRADED : CST_POOL_RUNNING;
}

/*
 * An embedded process has not scanned the pool, so it queries the sizes on demand. A failure
 * becomes the pool's problem, like a failed scan.
 */
static void refresh_usage_if_embedded(CstPool *pool)
{
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(GError) error = NULL;

    if (pool->service->mode != CST_SERVICE_EMBEDDED)
        return;
    state = pool_state_get(pool, NULL);
    if (state && !pool_usage_update(pool, state, &error))
        pool_set_problem(pool, error->message, TRUE);
}

void cst_pool_get_info(CstPool *pool, CstPoolInfo *ret_info)
{
    refresh_usage_if_embedded(pool);
    g_mutex_lock(&pool->lock);
    *ret_info = (CstPoolInfo){
        .state = run_state(pool),
        .persistent = pool->persistent,
        .autostart = pool->autostart,
        .capacity = pool->usage.capacity,
        .allocation = pool->usage.allocation,
        .available = pool->usage.available,
        .volumes = volume_table_size(pool->volumes),
    };
    g_mutex_unlock(&pool->lock);
}

/* Sets sizes and permissions from the storage, as in libvirt's live XML. */
static void show_usage(CstPoolDef *def, const CstPoolUsage *usage)
{
    def->capacity = usage->capacity;
    def->allocation = usage->allocation;
    def->available = usage->available;
    if (usage->mode == CST_PERMS_UNSET)
        return;
    def->target_perms.mode = usage->mode;
    def->target_perms.uid = usage->uid;
    def->target_perms.gid = usage->gid;
}

/* Formats a copy, so that the lock is not held. */
char *cst_pool_get_xml(CstPool *pool, unsigned flags, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(CstPoolDef) def = NULL;
    gboolean live;

    if (!cst_flags_check(flags, CST_STORAGE_XML_INACTIVE, "storagePoolGetXMLDesc", error))
        return NULL;
    refresh_usage_if_embedded(pool);
    state = pool_state_get(pool, NULL);
    g_mutex_lock(&pool->lock);
    live = !(flags & CST_STORAGE_XML_INACTIVE) || !pool->new_def;
    def = cst_pool_def_copy(live ? pool->def : pool->new_def);
    if (live)
        show_usage(def, &pool->usage);
    g_mutex_unlock(&pool->lock);
    if (live && state)
        cst_pool_state_describe(state, def);
    return cst_pool_def_format(def, error);
}

/* --- pools in general ------------------------------------------------------------------------- */

char *cst_service_find_sources(CstService *service, const char *type, const char *spec,
                               unsigned flags, GError **error)
{
    g_autoptr(GArray) sources = g_array_new(FALSE, FALSE, sizeof(CstPoolSource));
    g_auto(CstPoolSource) source = {0};
    CstPoolType pool_type;

    g_array_set_clear_func(sources, (GDestroyNotify)cst_pool_source_clear);
    if (!cst_flags_check(flags, 0, "storageConnectFindStoragePoolSources", error))
        return NULL;
    if (!cst_pool_type_parse(type, &pool_type)) {
        cst_fail(error, CST_ERROR_INVALID, _("unknown storage pool type %s"), type);
        return NULL;
    }
    if ((spec && !cst_pool_source_parse(spec, pool_type, &source, error)) ||
        !cst_pool_discover(pool_type, spec ? &source : NULL, sources, error))
        return NULL;
    return cst_pool_source_list_format((CstPoolSource *)sources->data, sources->len, pool_type,
                                       error);
}

char *cst_service_pool_capabilities(CstService *service, GError **error)
{
    gboolean supported[CST_POOL_TYPE_LAST];

    for (int type = 0; type < CST_POOL_TYPE_LAST; type++)
        supported[type] = cst_backend_exists(type);
    return cst_pool_capabilities_format(supported);
}
