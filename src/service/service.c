/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Construction and destruction of the service: creates its parts, sets the hooks by which lower
 * modules call upper ones, and starts and stops everything in order.
 *
 * Start: a daemon acquires the driver lock, loads definitions, state and secrets, and then
 * recovers. An embedded process does all of it within one change of definitions. Stop: jobs are
 * cancelled, recovery's threads end, and then pools and tables are freed. Calls of clients have
 * ended before.
 */
#include <string.h>
#include <unistd.h>

#include <base/i18n.h>
#include <base/log.h>
#include <base/place.h>

#include "core/copy_turn.h"
#include "core/definitions.h"
#include "core/domains.h"
#include "core/intent.h"
#include "core/job.h"
#include "core/service.h"
#include "core/storage_index.h"
#include "core/threads.h"
#include "core/trust.h"
#include "event/notify.h"
#include "pool/load.h"
#include "recovery/recovery.h"
#include "recovery/replay.h"
#include "secret/secret.h"
#include "secret/settle.h"
#include "secret/usage.h"
#include "volume/delete/trash.h"

#define DAEMON_LOCK_TIMEOUT_MS 5000

/* The keys are stored in the values: name and UUID of a pool, UUID of a secret. */
static void init_tables(CstService *service)
{
    g_rec_mutex_init(&service->definitions);
    g_rec_mutex_init(&service->secret_files);
    g_mutex_init(&service->tables);
    g_mutex_init(&service->threads_lock);
    g_cond_init(&service->threads_idle);
    service->rebases = g_ptr_array_new();
    service->live_sets = g_ptr_array_new();
    service->pools_by_name =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)cst_pool_unref);
    service->storage_index = storage_index_new();
    service->pools_by_uuid = g_hash_table_new(cst_uuid_hash, cst_uuid_hash_equal);
    service->secrets = g_hash_table_new_full(cst_uuid_hash, cst_uuid_hash_equal, NULL,
                                             (GDestroyNotify)cst_secret_file_free);
}

static gboolean service_load_files(CstService *service, GError **error)
{
    return pools_load(service, error) && secrets_load(service, error);
}

/*
 * A damaged database does not prevent the start. Without the database every reference is refused,
 * which is safe.
 */
static void open_declarations(CstService *service)
{
    g_autoptr(GError) error = NULL;

    if (!cst_declarations_open(service->declarations, &error))
        cst_log(CST_LOG_ERROR,
                _("%s; until that is repaired, no image's references are followed. If the file is "
                  "moved away, all declarations must be made again (vol-trust)"),
                error->message);
}

/*
 * Fails if another user can create or exchange entries in @directory, or in its nearest existing
 * parent.
 */
static gboolean root_check_directory(const char *root, const char *directory, GError **error)
{
    g_autofree char *path = g_strdup(directory);

    for (;;) {
        g_autofree char *entry = g_build_filename(path, "x", NULL), *parent = NULL;
        g_auto(CstPlace) place = CST_PLACE_INIT;
        g_autoptr(GError) why = NULL;

        if (cst_place_init(&place, entry, &why))
            return cst_place_is_secure(&place) ||
                   cst_fail(error, CST_ERROR_DENIED,
                            _("cannot use root '%s': another user can exchange the files in '%s'; "
                              "name a root below directories of your own"),
                            root, path);
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND) || strcmp(path, "/") == 0) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        parent = g_path_get_dirname(path);
        g_free(path);
        path = g_steal_pointer(&parent);
    }
}

/* The definitions, states and secrets below --root become commands and paths of this process. */
static gboolean service_check_root(const CstPaths *paths, GError **error)
{
    const char *const directories[] = {paths->pool_dir,       paths->autostart_dir,
                                       paths->pool_run_dir,   paths->secret_dir,
                                       paths->secret_run_dir, paths->data_dir};

    for (size_t i = 0; paths->root && i < G_N_ELEMENTS(directories); i++)
        if (!root_check_directory(paths->root, directories[i], error))
            return FALSE;
    return TRUE;
}

static gboolean service_load_all(CstService *service, GError **error)
{
    if (service->mode == CST_SERVICE_DAEMON) {
        open_declarations(service);
        if (!cst_driver_lock_acquire(service->driver_lock, DAEMON_LOCK_TIMEOUT_MS, error) ||
            !service_load_files(service, error))
            return FALSE;
    } else if (!definitions_enter(service, error)) {
        return FALSE;
    }
    recovery_load(service);
    if (service->mode == CST_SERVICE_EMBEDDED)
        definitions_leave(service);
    return TRUE;
}

static void service_free_now(CstService *service);

static const ServiceHooks hooks = {.load = service_load_files,
                                   .before_start = secret_before_start,
                                   .pool_started = recovery_pool_started,
                                   .pool_stopped = recovery_pool_stopped,
                                   .recover = replay_pool,
                                   .refreshed = trash_expire,
                                   .retry = recovery_retry,
                                   .unused = service_free_now};

CstService *cst_service_new(const CstPaths *paths, CstServiceMode mode, GError **error)
{
    CstService *service = g_new0(CstService, 1);

    service->paths = cst_paths_copy(paths);
    service->mode = mode;
    service->hooks = &hooks;
    service->copies = COPY_TURNS_DEFAULT;
    service->recovery = recovery_new();
    service->pool_host = (CstPoolHost){.secret = secret_for_pool,
                                       .declared = trust_declared,
                                       .drafts = intent_drafts,
                                       .data = service};
    service->journal = cst_journal_new(paths);
    service->declarations = cst_declarations_new(paths);
    service->tags = cst_tag_store_new(paths);
    service->events = event_log_new(
        service->paths, mode == CST_SERVICE_DAEMON ? CST_EVENT_NO_USER : (uint32_t)getuid());
    service->jobs = jobs_new(service->paths, service->events, mode == CST_SERVICE_DAEMON);
    service->driver_lock = cst_driver_lock_new(paths, CST_DRIVER_STORAGE);
    service->secret_lock = cst_driver_lock_new(paths, CST_DRIVER_SECRET);
    init_tables(service);
    /* Again, because another user may have created a directory that was missing. */
    if (!service_check_root(paths, error) || !service_load_all(service, error) ||
        !service_check_root(paths, error)) {
        cst_service_free(service);
        return NULL;
    }
    return service;
}

void cst_service_set_like_libvirt(CstService *service, gboolean like_libvirt)
{
    service->like_libvirt = like_libvirt;
}

void cst_service_set_copies(CstService *service, guint copies)
{
    service->copies = copies;
}

void cst_service_start(CstService *service)
{
    secret_key_at_start(service);
    recovery_start(service);
    service->secret_watch = secret_watch_start(service);
    service->secret_settler = secret_settler_start(service);
    service->notifier = notifier_start(service);
}

void cst_service_stop(CstService *service)
{
    jobs_stop(service->jobs);
}

/*
 * Transient pools of an embedded process remain in their state files, so this does not stop them.
 */
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
    storage_index_unref(service->storage_index);
}

static void service_free_now(CstService *service)
{
    notifier_stop(service->notifier);
    secret_watch_stop(service->secret_watch);
    secret_settler_stop(service->secret_settler);
    recovery_free(service->recovery);
    drop_pools(service);
    g_hash_table_unref(service->secrets);
    g_clear_pointer(&service->subscribers, g_ptr_array_unref);
    g_clear_pointer(&service->rebases, g_ptr_array_unref);
    g_clear_pointer(&service->live_sets, g_ptr_array_unref);
    cst_driver_lock_free(service->secret_lock);
    cst_driver_lock_free(service->driver_lock);
    jobs_free(service->jobs);
    event_log_free(service->events);
    domains_free(service);
    cst_audit_free(service->audit);
    cst_journal_free(service->journal);
    cst_declarations_free(service->declarations);
    cst_tag_store_free(service->tags);
    cst_paths_free(service->paths);
    g_free(service->loaded_stamp);
    g_mutex_clear(&service->tables);
    g_rec_mutex_clear(&service->secret_files);
    g_rec_mutex_clear(&service->definitions);
    g_mutex_clear(&service->threads_lock);
    g_cond_clear(&service->threads_idle);
    g_free(service);
}

/* An abandoned thread uses the service until its storage answers (core/threads.h). */
void cst_service_free(CstService *service)
{
    if (!service)
        return;
    jobs_stop(service->jobs);
    /* Before an abandoned thread may free the service. */
    if (service->mode == CST_SERVICE_EMBEDDED)
        event_log_flush(service->events);
    if (service_threads_end(service))
        service_free_now(service);
}
