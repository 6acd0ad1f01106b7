/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users of secrets, and storage form and age of their values. Also the daemon's warnings about
 * values that are too old.
 *
 * A pool uses the secrets in its present definition and in the definition for its next start: in
 * <auth>, and in the backend's secret options. A volume uses the secret with the volume's key or
 * path as its usage. That is libvirt's only relation between a volume and its secret, because
 * neither the volume's document nor its content references one.
 *
 * A thread logs all warnings together, once a day. The time of the last warnings is the mtime of a
 * file, so that restarts do not repeat them.
 */
#include "usage.h"

#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <base/text.h>
#include <service/pools.h>
#include <store/secret_values.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/table.h"
#include "secret.h"
#include "table.h"

#define DAY           ((gint64)24 * 60 * 60)
#define LOOK_INTERVAL (10 * G_TIME_SPAN_MINUTE)

/* --- users ------------------------------------------------------------------------------------ */

typedef struct {
    GHashTable *users; /* CstUuid * to CstSecretUse * */
    const char *name;  /* of the pool */
} Noting;

/* Requires the tables' lock. */
static void note_user(CstSecretFile *secret, gpointer data)
{
    const Noting *noting = data;
    CstSecretUse *use = g_hash_table_lookup(noting->users, &secret->def->uuid);

    if (use && !g_ptr_array_find_with_equal_func(use->pools, noting->name, g_str_equal, NULL))
        g_ptr_array_add(use->pools, g_strdup(noting->name));
}

/* Requires the locks of the tables and the pool. */
static void note_definition(CstService *service, const CstPoolDef *def, GHashTable *users)
{
    Noting noting = {users, def->name};

    secret_def_each(service, def, note_user, &noting);
}

/* @users: CstUuid * to CstSecretUse *. Requires the tables' lock. */
static void note_pools(CstService *service, GHashTable *users)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, service->pools_by_name);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        CstPool *pool = value;

        g_mutex_lock(&pool->lock);
        note_definition(service, pool->def, users);
        if (pool->new_def)
            note_definition(service, pool->new_def, users);
        g_mutex_unlock(&pool->lock);
    }
    g_hash_table_iter_init(&iter, users);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_sort(((CstSecretUse *)value)->pools, cst_text_compare);
}

/*
 * Adds the volumes of active pools that the secret's usage references. @look: search the storage
 * for volumes that are not in the tables, which may be slow.
 */
static gboolean note_volumes(CstService *service, CstSecretUse *use, gboolean look, GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;

    if (use->usage != CST_SECRET_VOLUME)
        return TRUE;
    pools = cst_service_pools(service, CST_LIST_POOLS_ACTIVE, error);
    for (guint i = 0; pools && i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);
        g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
        g_autofree char *name = state ? cst_pool_state_vol_resolve(state, use->usage_id) : NULL;
        g_autoptr(CstVolume) volume = NULL;

        if (name)
            volume = look ? pool_volume(pool, state, name, NULL) : pool_table_known(pool, name);
        if (volume)
            g_ptr_array_add(use->volumes, g_strdup_printf("%s/%s", pool->name, name));
    }
    return pools != NULL;
}

/* --- its value -------------------------------------------------------------------------------- */

/* Opens the value, because only that shows that its key is available and the file is intact. */
static void secret_use_read_value(const CstService *service, CstSecretUse *use)
{
    g_auto(CstSecretBytes) value = {0};
    CstSecretValueInfo info = {0};
    g_autoptr(GError) error = NULL;

    if (use->ephemeral)
        return;
    if (cst_secret_value_info(service->paths, &use->uuid, &info, &error)) {
        use->has_value = info.present;
        use->sealed = info.sealed;
        use->key_id = info.sealed ? g_strdup(info.key_id) : NULL;
        use->changed = info.present ? info.changed : 0;
        cst_secret_value_load(service->paths, &use->uuid, &value, &error);
    }
    if (error)
        use->problem = cst_error_text(error);
}

static gboolean is_overdue(const CstService *service, const CstSecretUse *use)
{
    gint64 age = g_get_real_time() / G_USEC_PER_SEC - use->changed;

    return service->secret_policy.max_age_days && use->changed &&
           age > service->secret_policy.max_age_days * DAY;
}

/* Requires the tables' lock. */
static CstSecretUse *use_new(const CstSecretFile *secret)
{
    CstSecretUse *use = cst_secret_use_new();

    use->uuid = secret->def->uuid;
    use->usage = secret->def->usage;
    use->usage_id = g_strdup(secret->def->usage_id ? secret->def->usage_id : "");
    use->ephemeral = secret->def->ephemeral;
    use->is_private = secret->def->is_private;
    use->has_value = secret->value.data != NULL;
    use->changed = secret->changed;
    return use;
}

static int compare_uses(gconstpointer a, gconstpointer b)
{
    const CstSecretUse *const *left = a, *const *right = b;

    return memcmp(&(*left)->uuid, &(*right)->uuid, sizeof(CstUuid));
}

static GPtrArray *list_uses(CstService *service, gboolean look, GError **error)
{
    g_autoptr(GHashTable) users = NULL;
    g_autoptr(GPtrArray) uses = NULL;
    GHashTableIter iter;
    gpointer value;

    if (!secrets_sync(service, error))
        return NULL;
    uses = g_ptr_array_new_with_free_func((GDestroyNotify)cst_secret_use_free);
    users = g_hash_table_new(cst_uuid_hash, cst_uuid_hash_equal);
    g_mutex_lock(&service->tables);
    g_hash_table_iter_init(&iter, service->secrets);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        CstSecretUse *use = use_new(value);

        g_ptr_array_add(uses, use);
        g_hash_table_insert(users, &use->uuid, use);
    }
    note_pools(service, users);
    g_mutex_unlock(&service->tables);
    for (guint i = 0; i < uses->len; i++) {
        CstSecretUse *use = g_ptr_array_index(uses, i);

        secret_use_read_value(service, use);
        use->overdue = is_overdue(service, use);
        if (!note_volumes(service, use, look, error))
            return NULL;
    }
    g_ptr_array_sort(uses, compare_uses);
    return g_steal_pointer(&uses);
}

GPtrArray *cst_service_secret_uses(CstService *service, GError **error)
{
    return list_uses(service, TRUE, error);
}

/* --- warnings --------------------------------------------------------------------------------- */

struct SecretWatch {
    CstService *service;
    GThread *thread;
    GMutex lock;
    GCond cond;
    gboolean stopping;
};

static char *stamp_path(const CstService *service)
{
    return g_build_filename(service->paths->data_dir, "secret-warnings", NULL);
}

/*
 * Returns whether the last warnings are a day old. A time in the future means that the clock was
 * wrong.
 */
static gboolean usage_warning_is_due(const char *stamp)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    struct stat st;

    return stat(stamp, &st) < 0 || st.st_mtime > now || now - st.st_mtime >= DAY;
}

/* Returns the names of pools and volumes, or "-" if the secret has no users. */
static char *users_text(const CstSecretUse *use)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (guint i = 0; i < use->pools->len; i++)
        g_ptr_array_add(names, g_ptr_array_index(use->pools, i));
    for (guint i = 0; i < use->volumes->len; i++)
        g_ptr_array_add(names, g_ptr_array_index(use->volumes, i));
    g_ptr_array_add(names, NULL);
    return names->len > 1 ? g_strjoinv(", ", (char **)names->pdata) : g_strdup("-");
}

static void usage_warn_old_value(const CstService *service, const CstSecretUse *use)
{
    gint64 days = (g_get_real_time() / G_USEC_PER_SEC - use->changed) / DAY;
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *users = users_text(use);
    g_autofree char *message = g_strdup_printf(
        _("secret %s has had the same value for %d days; secret_max_age is %u (used by: %s)"),
        cst_uuid_format(&use->uuid, uuid), (int)days, service->secret_policy.max_age_days, users);

    cst_log(CST_LOG_WARNING, "%s", message);
    event_log_add(service->events, CST_EVENT_SECRET_DUE, "secret", uuid, message);
}

/*
 * Does no I/O on pools' storage, so that stopping the daemon does not wait for storage that hangs.
 */
static void warn_if_due(CstService *service)
{
    g_autofree char *stamp = stamp_path(service);
    g_autoptr(GPtrArray) uses =
        usage_warning_is_due(stamp) ? list_uses(service, FALSE, NULL) : NULL;
    guint overdue = 0;

    for (guint i = 0; uses && i < uses->len; i++)
        overdue += ((const CstSecretUse *)g_ptr_array_index(uses, i))->overdue;
    /* Write the stamp first. Without a stamp the warnings would be repeated every ten minutes. */
    if (overdue == 0 || !cst_dir_ensure(service->paths->data_dir, 0700, NULL) ||
        !cst_file_replace(stamp, "", 0, 0600, NULL))
        return;
    for (guint i = 0; i < uses->len; i++) {
        const CstSecretUse *use = g_ptr_array_index(uses, i);

        if (use->overdue)
            usage_warn_old_value(service, use);
    }
}

static gpointer watch_thread(gpointer data)
{
    SecretWatch *watch = data;

    gboolean stopping;

    do {
        warn_if_due(watch->service);
        g_mutex_lock(&watch->lock);
        CST_TEST_POINT("secret.watch.wait");
        if (!watch->stopping)
            g_cond_wait_until(&watch->cond, &watch->lock, g_get_monotonic_time() + LOOK_INTERVAL);
        stopping = watch->stopping;
        g_mutex_unlock(&watch->lock);
    } while (!stopping);
    return NULL;
}

SecretWatch *secret_watch_start(CstService *service)
{
    SecretWatch *watch;

    if (service->mode != CST_SERVICE_DAEMON || !service->secret_policy.max_age_days)
        return NULL;
    watch = g_new0(SecretWatch, 1);
    watch->service = service;
    g_mutex_init(&watch->lock);
    g_cond_init(&watch->cond);
    watch->thread = g_thread_new("secret-age", watch_thread, watch);
    return watch;
}

void secret_watch_stop(SecretWatch *watch)
{
    if (!watch)
        return;
    g_mutex_lock(&watch->lock);
    watch->stopping = TRUE;
    g_cond_signal(&watch->cond);
    g_mutex_unlock(&watch->lock);
    g_thread_join(watch->thread);
    g_mutex_clear(&watch->lock);
    g_cond_clear(&watch->cond);
    g_free(watch);
}
