/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recovery.h"
#include "replay.h"
#include "service_private.h"
#include "trust.h"

#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <store/pool_files.h>

#define DAEMON_LOCK_TIMEOUT_MS   5000
#define EMBEDDED_LOCK_TIMEOUT_MS 10000

/* --- definitions ------------------------------------------------------------------------------ */

/* What the directories look like: another process's change of any file changes it. */
static char *directories_stamp(const CstService *service)
{
    const CstPaths *paths = service->paths;
    const char *const dirs[] = {paths->pool_dir, paths->autostart_dir, paths->pool_run_dir,
                                paths->secret_dir};
    GString *stamp = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        struct stat st = {0};

        if (stat(dirs[i], &st) == 0)
            g_string_append_printf(stamp, "%ju.%jd.%ld/", (uintmax_t)st.st_ino,
                                   (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        else
            g_string_append(stamp, "-/");
    }
    return g_string_free(stamp, FALSE);
}

static void reload_if_changed(CstService *service)
{
    g_autofree char *stamp = directories_stamp(service);

    if (g_strcmp0(stamp, service->loaded_stamp) == 0)
        return;
    service->hooks->load(service);
    g_free(service->loaded_stamp);
    service->loaded_stamp = g_steal_pointer(&stamp);
}

gboolean definitions_enter(CstService *service, GError **error)
{
    g_rec_mutex_lock(&service->definitions);
    if (service->mode == CST_SERVICE_EMBEDDED && service->definitions_depth == 0) {
        if (!cst_driver_lock_acquire(service->driver_lock, EMBEDDED_LOCK_TIMEOUT_MS, error)) {
            g_rec_mutex_unlock(&service->definitions);
            return FALSE;
        }
        reload_if_changed(service);
    }
    service->definitions_depth++;
    return TRUE;
}

void definitions_leave(CstService *service)
{
    if (--service->definitions_depth == 0 && service->mode == CST_SERVICE_EMBEDDED) {
        g_free(service->loaded_stamp);
        cst_driver_lock_release(service->driver_lock);
        service->loaded_stamp = directories_stamp(service);
    }
    g_rec_mutex_unlock(&service->definitions);
}

gboolean definitions_sync(CstService *service, GError **error)
{
    if (service->mode == CST_SERVICE_DAEMON)
        return TRUE;
    if (!definitions_enter(service, error))
        return FALSE;
    definitions_leave(service);
    return TRUE;
}

/* --- tables ----------------------------------------------------------------------------------- */

void service_add_pool(CstService *service, CstPool *pool)
{
    g_mutex_lock(&service->tables);
    g_hash_table_replace(service->pools_by_name, pool->name, cst_pool_ref(pool));
    g_hash_table_replace(service->pools_by_uuid, &pool->uuid, pool);
    g_mutex_unlock(&service->tables);
}

void service_remove_pool(CstService *service, CstPool *pool)
{
    g_mutex_lock(&pool->lock);
    pool->removed = TRUE;
    g_mutex_unlock(&pool->lock);
    g_mutex_lock(&service->tables);
    g_hash_table_remove(service->pools_by_uuid, &pool->uuid);
    g_hash_table_remove(service->pools_by_name, pool->name);
    g_mutex_unlock(&service->tables);
}

static void init_tables(CstService *service)
{
    g_rec_mutex_init(&service->definitions);
    g_rec_mutex_init(&service->secret_files);
    g_mutex_init(&service->tables);
    service->rebases = g_ptr_array_new();
    service->pools_by_name =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)cst_pool_unref);
    service->pools_by_uuid = g_hash_table_new(cst_uuid_hash, cst_uuid_hash_equal);
    service->secrets = g_hash_table_new_full(cst_uuid_hash, cst_uuid_hash_equal, NULL,
                                             (GDestroyNotify)cst_secret_file_free);
}

/* --- life ------------------------------------------------------------------------------------- */

static void open_declarations(CstService *service)
{
    g_autoptr(GError) error = NULL;

    if (!cst_declarations_open(service->declarations, &error))
        cst_log(CST_LOG_ERROR,
                _("%s; until that is mended, no image's references are followed. Once the file is "
                  "moved away, what was declared has to be declared again (vol-trust)"),
                error->message);
}

static gboolean load(CstService *service, GError **error)
{
    if (service->mode == CST_SERVICE_DAEMON) {
        open_declarations(service);
        if (!cst_driver_lock_acquire(service->driver_lock, DAEMON_LOCK_TIMEOUT_MS, error))
            return FALSE;
        registry_load(service);
    } else if (!definitions_enter(service, error)) {
        return FALSE;
    }
    recovery_load(service);
    if (service->mode == CST_SERVICE_EMBEDDED)
        definitions_leave(service);
    return TRUE;
}

static const ServiceHooks hooks = {.load = registry_load,
                                   .pool_started = recovery_pool_started,
                                   .pool_stopped = recovery_pool_stopped,
                                   .recover = replay_pool,
                                   .retry = recovery_retry};

CstService *cst_service_new(const CstPaths *paths, CstServiceMode mode, GError **error)
{
    CstService *service = g_new0(CstService, 1);

    service->paths = cst_paths_copy(paths);
    service->mode = mode;
    service->hooks = &hooks;
    service->recovery = recovery_new();
    service->pool_host =
        (CstPoolHost){.secret = secret_for_pool, .declared = trust_declared, .data = service};
    service->journal = cst_journal_new(paths);
    service->declarations = cst_declarations_new(paths);
    service->jobs = jobs_new(service->paths, mode == CST_SERVICE_DAEMON);
    service->driver_lock = cst_driver_lock_new(paths, CST_DRIVER_STORAGE);
    service->secret_lock = cst_driver_lock_new(paths, CST_DRIVER_SECRET);
    init_tables(service);
    if (!load(service, error)) {
        cst_service_free(service);
        return NULL;
    }
    return service;
}

void cst_service_set_like_libvirt(CstService *service, gboolean like_libvirt)
{
    service->like_libvirt = like_libvirt;
}

void cst_service_start(CstService *service)
{
    recovery_start(service);
}

void cst_service_stop(CstService *service)
{
    jobs_stop(service->jobs);
}

/* Transient pools of an embedded process stay in their state files: nothing to stop here. */
static void drop_pools(CstService *service)
{
    GHashTableIter iter;
    gpointer pool;

    g_hash_table_iter_init(&iter, service->pools_by_name);
    while (g_hash_table_iter_next(&iter, NULL, &pool)) {
        g_mutex_lock(&((CstPool *)pool)->lock);
        ((CstPool *)pool)->removed = TRUE;
        g_mutex_unlock(&((CstPool *)pool)->lock);
    }
    g_hash_table_unref(service->pools_by_uuid);
    g_hash_table_unref(service->pools_by_name);
}

void cst_service_free(CstService *service)
{
    if (!service)
        return;
    jobs_stop(service->jobs);
    recovery_free(service->recovery);
    drop_pools(service);
    g_hash_table_unref(service->secrets);
    g_clear_pointer(&service->subscribers, g_ptr_array_unref);
    g_clear_pointer(&service->rebases, g_ptr_array_unref);
    cst_driver_lock_free(service->secret_lock);
    cst_driver_lock_free(service->driver_lock);
    jobs_free(service->jobs);
    cst_journal_free(service->journal);
    cst_declarations_free(service->declarations);
    cst_paths_free(service->paths);
    g_free(service->loaded_stamp);
    g_mutex_clear(&service->tables);
    g_rec_mutex_clear(&service->secret_files);
    g_rec_mutex_clear(&service->definitions);
    g_free(service);
}
