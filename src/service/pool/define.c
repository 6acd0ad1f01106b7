/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Definitions of pools: define, create (transient), undefine, autostart. Names, UUIDs and sources
 * are checked, files written and tables updated inside definitions_enter(), so that two pools
 * cannot get the same ones. A start or an undefine begins a change of the pool first
 * (core/definitions.h describes the order).
 *
 * The file is durable before the pool enters the table, and removed before the pool leaves the
 * table. The next start reads the files, so a crash in between is harmless. Events are emitted
 * after definitions_leave().
 */
#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <base/text.h>
#include <store/pool_files.h>
#include <store/trash.h>

#include "conflict.h"
#include "core/claim.h"
#include "core/definitions.h"
#include "core/events.h"
#include "core/job.h"
#include "core/pool.h"
#include "core/registry.h"
#include "core/service.h"
#include "core/storage_index.h"
#include "dependency/depth.h"
#include "lifecycle.h"

/*
 * Returns a reference to the pool with the UUID of @def, else to the pool with its name. Returns
 * NULL if neither exists.
 */
static CstPool *find_namesake(CstService *service, const CstPoolDef *def)
{
    CstPool *pool;

    g_mutex_lock(&service->tables);
    pool = g_hash_table_lookup(service->pools_by_uuid, &def->uuid);
    if (!pool)
        pool = g_hash_table_lookup(service->pools_by_name, def->name);
    if (pool)
        cst_pool_ref(pool);
    g_mutex_unlock(&service->tables);
    return pool;
}

/*
 * Rejects a definition with another pool's name or UUID. *ret_same: the pool that is redefined, or
 * NULL.
 */
static gboolean define_check_names(CstService *service, const CstPoolDef *def,
                                   gboolean must_be_inactive, CstPool **ret_same, GError **error)
{
    g_autoptr(CstPool) pool = find_namesake(service, def);
    char uuid[CST_UUID_TEXT_LEN];

    *ret_same = NULL;
    /* The name of an existing pool needs no check. */
    if (!pool)
        return cst_text_name_check(def->name, _("pool"), error);
    if (!cst_uuid_equal(&pool->uuid, &def->uuid))
        return cst_fail(error, CST_ERROR_POOL_EXISTS, _("pool '%s' already exists with uuid %s"),
                        def->name, cst_uuid_format(&pool->uuid, uuid));
    if (strcmp(pool->name, def->name) != 0)
        return cst_fail(error, CST_ERROR_POOL_EXISTS,
                        _("pool '%s' is already defined with uuid %s"), pool->name,
                        cst_uuid_format(&pool->uuid, uuid));
    if (must_be_inactive && cst_pool_is_active(pool))
        return cst_fail(error, CST_ERROR_STATE, _("pool is already active as '%s'"), pool->name);
    *ret_same = g_steal_pointer(&pool);
    return TRUE;
}

/*
 * Definitions of types without a backend are kept unchanged, because their volumes are never
 * deleted.
 */
static gboolean define_check_settings(CstService *service, const CstPoolDef *def, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;

    if ((!def->trash_days && !def->autoextend.threshold) || !cst_backend_for(def->type, NULL))
        return TRUE;
    state = cst_pool_state_open(def, &service->pool_host, error);
    return state && (!def->trash_days || cst_pool_state_check_trash(state, error)) &&
           (!def->autoextend.threshold || cst_pool_state_check_growths(state, error));
}

/* --- define ----------------------------------------------------------------------------------- */

/*
 * Sets the definition, and consumes @def. If the pool is active or starting, the old definition
 * stays in force until the pool is stopped.
 */
static void pool_set_definition(CstPool *pool, CstPoolDef *def)
{
    g_mutex_lock(&pool->lock);
    if (pool->active || pool->starting) {
        cst_pool_def_free(pool->new_def);
        pool->new_def = def;
    } else {
        cst_pool_def_free(pool->def);
        pool->def = def;
    }
    pool->persistent = TRUE;
    storage_index_update(pool);
    g_mutex_unlock(&pool->lock);
}

/*
 * Consumes @parsed. *ret_warn: the former depth that warns. Saving the file is the last step that
 * can fail. A definition of a type without a backend is kept and shown, as in libvirt; operations
 * that need the backend fail.
 */
static CstPool *pool_define_entered(CstService *service, CstPoolDef *parsed, uint32_t *ret_warn,
                                    GError **error)
{
    g_autoptr(CstPoolDef) def = parsed;
    g_autoptr(CstPool) pool = NULL;

    if (!define_check_names(service, def, FALSE, &pool, error) ||
        !pool_check_sources(service, def, FALSE, error) ||
        !define_check_settings(service, def, error) ||
        !cst_pool_file_save(service->paths, def, error))
        return NULL;
    if (pool) {
        *ret_warn = pool_chain_limits(pool).warn;
        pool_set_definition(pool, g_steal_pointer(&def));
    } else {
        pool = pool_new(service, g_steal_pointer(&def));
        pool->persistent = TRUE;
        registry_add(pool);
    }
    return g_steal_pointer(&pool);
}

CstPool *cst_service_pool_define(CstService *service, const char *xml, unsigned flags,
                                 GError **error)
{
    CstPoolDef *def;
    CstPool *pool;
    uint32_t warn = 0;

    if (!cst_flags_check(flags, CST_POOL_DEFINE_VALIDATE, "storagePoolDefineXML", error))
        return NULL;
    def = cst_pool_def_parse(xml, flags & CST_POOL_DEFINE_VALIDATE ? CST_PARSE_VALIDATE : 0, error);
    if (!def)
        return NULL;
    if (!definitions_enter(service, error)) {
        cst_pool_def_free(def);
        return NULL;
    }
    pool = pool_define_entered(service, def, &warn, error);
    definitions_leave(service);
    if (pool) {
        cst_log(CST_LOG_INFO, "pool '%s' defined", pool->name);
        event_emit_pool(pool, CST_EVENT_POOL_LIFECYCLE, CST_POOL_EVENT_DEFINED);
        chain_record_setting(pool, warn);
    }
    return pool;
}

/* --- create (transient) ----------------------------------------------------------------------- */

/*
 * Returns the pool to start: a new one, or an existing inactive pool with the same name and UUID.
 * An existing pool has to be started with *ret_def (else NULL). Consumes @parsed.
 */
static CstPool *create_entered(CstService *service, CstPoolDef *parsed, CstPoolDef **ret_def,
                               GError **error)
{
    g_autoptr(CstPoolDef) def = parsed;
    g_autoptr(CstPool) pool = NULL;

    *ret_def = NULL;
    if (!define_check_names(service, def, TRUE, &pool, error) ||
        !pool_check_sources(service, def, FALSE, error) ||
        !define_check_settings(service, def, error) || !cst_backend_for(def->type, error))
        return NULL;
    /* A dry run uses a pool that is not in the tables. */
    if (cst_dry_run())
        return pool_new(service, g_steal_pointer(&def));
    if (pool) {
        *ret_def = g_steal_pointer(&def);
    } else {
        pool = pool_new(service, g_steal_pointer(&def));
        registry_add(pool);
    }
    return g_steal_pointer(&pool);
}

/* Consumes *@def once the pool starts with it. Requires a change of the pool. */
static gboolean build_and_start(CstPool *pool, CstPoolDef **def, unsigned flags, CstTask *task,
                                GError **error)
{
    /* Check again, because the pool may have been started during the wait for the change. */
    if (cst_pool_is_active(pool))
        return cst_fail(error, CST_ERROR_STATE, _("pool is already active as '%s'"), pool->name);
    pool_set_starting(pool, g_steal_pointer(def));
    if (!pool_build_if_asked(pool, flags, error)) {
        pool_abandon_start(pool);
        return FALSE;
    }
    return pool_start_changing(pool, task, error);
}

/*
 * Builds and starts in one change of the pool, so that no other operation sees a built and inactive
 * pool. If the start fails, a transient pool is removed before the change ends; a persistent pool
 * is kept.
 */
static gboolean change_and_start(CstPool *pool, CstPoolDef **def, unsigned flags, CstTask *task,
                                 GError **error)
{
    gboolean done = FALSE, begun = pool_change_begin(pool, task, error);

    if (begun) {
        CST_TEST_POINT("pool.create.changing");
        done = build_and_start(pool, def, flags, task, error);
    }
    if (!done && !cst_dry_run())
        registry_forget_transient(pool);
    if (begun)
        pool_change_end(pool);
    return done;
}

static gboolean start_created(CstPool *pool, CstPoolDef **def, unsigned flags, CstTask *task,
                              GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "start", NULL, &task);
    if (!change_and_start(pool, def, flags, task, error))
        return job_end(&job, FALSE, error);
    event_emit_pool(pool, CST_EVENT_POOL_LIFECYCLE, CST_POOL_EVENT_STARTED);
    return job_end(&job, pool_read_started(pool, task, error), error);
}

CstPool *cst_service_pool_create(CstService *service, const char *xml, unsigned flags,
                                 CstTask *task, GError **error)
{
    g_autoptr(CstPoolDef) new_def = NULL;
    g_autoptr(CstPool) pool = NULL;
    CstPoolDef *def;

    if (!pool_create_flags_check(flags, "storagePoolCreateXML", error))
        return NULL;
    def = cst_pool_def_parse(xml, 0, error);
    if (!def)
        return NULL;
    if (!definitions_enter(service, error)) {
        cst_pool_def_free(def);
        return NULL;
    }
    pool = create_entered(service, def, &new_def, error);
    definitions_leave(service);
    if (!pool || !start_created(pool, &new_def, flags, task, error))
        return NULL;
    return g_steal_pointer(&pool);
}

/* --- undefine, autostart ---------------------------------------------------------------------- */

static gboolean check_inactive(CstPool *pool, GError **error)
{
    if (cst_pool_is_active(pool))
        return cst_fail(error, CST_ERROR_STATE, _("storage pool '%s' is still active"), pool->name);
    return TRUE;
}

static gboolean undefine_changing(CstPool *pool, GError **error)
{
    CstService *service = pool->service;
    gboolean done;

    if (!definitions_enter(service, error))
        return FALSE;
    /* Check again, because the pool may have been started during the wait for the change. */
    done = check_inactive(pool, error) && cst_pool_file_remove(service->paths, pool->name, error);
    if (done) {
        cst_pool_identity_remove(service->paths, &pool->uuid, NULL);
        registry_remove(pool);
    }
    definitions_leave(service);
    return done;
}

/*
 * No process expires this trash any more. Defining a pool with the same UUID makes it accessible
 * again.
 */
static void undefine_warn_trash(const CstPool *pool)
{
    g_autoptr(GPtrArray) trash = cst_trash_list(pool->service->paths, &pool->uuid, NULL);
    char uuid[CST_UUID_TEXT_LEN];

    if (trash && trash->len > 0)
        cst_log(CST_LOG_WARNING,
                "pool '%s' is undefined with %u deleted volumes in its trash, which stay until it "
                "is defined again with UUID %s",
                pool->name, trash->len, cst_uuid_format(&pool->uuid, uuid));
}

static gboolean undefine_pool(CstPool *pool, CstTask *task, GError **error)
{
    gboolean done;

    /* Check before the wait for the change, because an active pool may be busy for hours. */
    if (!check_inactive(pool, error))
        return FALSE;
    CST_TEST_POINT("pool.undefine.checked");
    if (!pool_change_begin(pool, task, error))
        return FALSE;
    done = undefine_changing(pool, error);
    pool_change_end(pool);
    if (done) {
        undefine_warn_trash(pool);
        cst_log(CST_LOG_INFO, "pool '%s' undefined", pool->name);
        event_emit_pool(pool, CST_EVENT_POOL_LIFECYCLE, CST_POOL_EVENT_UNDEFINED);
        chain_record_pool_gone(pool);
    }
    return done;
}

gboolean cst_pool_undefine(CstPool *pool, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "undefine", NULL, &task);
    return job_end(&job, undefine_pool(pool, task, error), error);
}

static gboolean set_autostart_entered(CstPool *pool, gboolean autostart, GError **error)
{
    gboolean persistent, unchanged, removed;

    g_mutex_lock(&pool->lock);
    removed = pool->removed;
    persistent = pool->persistent;
    unchanged = !pool->autostart == !autostart;
    g_mutex_unlock(&pool->lock);
    /*
     * The autostart link would remain after the definition, and apply to the next pool with this
     * name.
     */
    if (removed)
        return cst_fail(error, CST_ERROR_NO_POOL, _("no storage pool with matching name '%s'"),
                        pool->name);
    if (!persistent)
        return cst_fail(error, CST_ERROR_NOT_PERSISTENT, _("pool has no config file"));
    if (unchanged)
        return TRUE;
    if (!cst_pool_file_set_autostart(pool->service->paths, pool->name, autostart, error))
        return FALSE;
    CST_TEST_POINT("pool.autostart.saved");
    g_mutex_lock(&pool->lock);
    pool->autostart = autostart;
    g_mutex_unlock(&pool->lock);
    return TRUE;
}

gboolean cst_pool_set_autostart(CstPool *pool, gboolean autostart, GError **error)
{
    gboolean done;

    if (!definitions_enter(pool->service, error))
        return FALSE;
    done = set_autostart_entered(pool, autostart, error);
    definitions_leave(pool->service);
    return done;
}

gboolean cst_pool_get_autostart(CstPool *pool, gboolean *ret_autostart, GError **error)
{
    g_mutex_lock(&pool->lock);
    *ret_autostart = pool->persistent && pool->autostart;
    g_mutex_unlock(&pool->lock);
    return TRUE;
}
