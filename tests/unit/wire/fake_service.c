/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_service.h"

#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/flags.h>

#include "await.h"

struct CstPool {
    const char *name;
    CstUuid uuid;
};

struct CstService {
    CstEventFunc func;
    gpointer data;
};

FakeState fake;
static struct CstService service;
static struct CstPool pools[] = {
    {"empty", {{0xee, 2}}},
    {"images", {{0x11, 1}}},
};

void fake_reset(void)
{
    g_mutex_lock(&fake.lock);
    fake.volumes = 3;
    if (!fake.data)
        fake.data = g_byte_array_new();
    g_byte_array_set_size(fake.data, 0);
    fake.on_list = NULL;
    fake.rows = fake.hole_at = fake.hole_len = fake.upload_limit = 0;
    fake.any_name = fake.hold_refresh = fake.hold_build = fake.hold_wipe = fake.hold_writes = FALSE;
    fake.cancelled = fake.broken = fake.hold_reads = fake.cancel_streams = fake.hold_finish = FALSE;
    fake.refreshing = fake.writing = fake.finishing = fake.reads = fake.checks = fake.ends =
        fake.listed = fake.mutations = fake.streams_open = fake.finished = fake.abandoned = 0;
    g_mutex_unlock(&fake.lock);
}

void fake_hold(gboolean *flag, gboolean hold)
{
    g_mutex_lock(&fake.lock);
    *flag = hold;
    g_cond_broadcast(&fake.changed);
    g_mutex_unlock(&fake.lock);
}

gboolean fake_wait(const guint *counter, guint value)
{
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
    gboolean ok;

    g_mutex_lock(&fake.lock);
    while (*counter != value && g_cond_wait_until(&fake.changed, &fake.lock, end))
        continue;
    ok = *counter == value;
    g_mutex_unlock(&fake.lock);
    return ok;
}

gboolean fake_wait_least(const guint *counter, guint least)
{
    gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
    gboolean ok;

    g_mutex_lock(&fake.lock);
    while (*counter < least && g_cond_wait_until(&fake.changed, &fake.lock, end))
        continue;
    ok = *counter >= least;
    g_mutex_unlock(&fake.lock);
    return ok;
}

guint fake_get(const guint *counter)
{
    guint value;

    g_mutex_lock(&fake.lock);
    value = *counter;
    g_mutex_unlock(&fake.lock);
    return value;
}

void fake_count(guint *counter, int by)
{
    g_mutex_lock(&fake.lock);
    *counter += (guint)by;
    g_cond_broadcast(&fake.changed);
    g_mutex_unlock(&fake.lock);
}

void fake_wait_while(const gboolean *flag)
{
    g_mutex_lock(&fake.lock);
    while (*flag)
        g_cond_wait(&fake.changed, &fake.lock);
    g_mutex_unlock(&fake.lock);
}

gboolean fake_is_held(const gboolean *flag)
{
    g_mutex_lock(&fake.lock);
    gboolean held = *flag;
    g_mutex_unlock(&fake.lock);
    return held;
}

/** Returns FALSE, the result of a call that has seen its cancel. */
static gboolean see_cancel(void)
{
    g_mutex_lock(&fake.lock);
    fake.cancelled = TRUE;
    g_mutex_unlock(&fake.lock);
    return FALSE;
}

gboolean fake_works(GError **error)
{
    return !fake_is_held(&fake.broken) || cst_fail(error, CST_ERROR_IO, "the disk is gone");
}

gboolean fake_changed(GError **error)
{
    fake_count(&fake.mutations, 1);
    return fake_works(error);
}

CstService *fake_service(void)
{
    return &service;
}

guint cst_service_subscribe(CstService *s, CstEventFunc func, gpointer data)
{
    s->func = func;
    s->data = data;
    return 1;
}

void cst_service_unsubscribe(CstService *s, guint id)
{
    s->func = NULL;
}

void fake_emit(CstEventType type, const char *pool, int kind)
{
    CstEvent event = {.type = type, .kind = kind, .name = pool, .usage_id = "usage"};

    event.uuid = pool ? *fake_uuid(pool) : fake_secret_uuid;
    service.func(&event, service.data);
}

/* --- pools ----------------------------------------------------------------------------------- */

const CstUuid *fake_uuid(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(pools); i++)
        if (g_str_equal(pools[i].name, name))
            return &pools[i].uuid;
    return NULL;
}

void cst_pool_unref(CstPool *pool)
{
}

GPtrArray *cst_service_pools(CstService *s, unsigned filter, GError **error)
{
    GPtrArray *list;

    if (!fake_works(error))
        return NULL;
    list = g_ptr_array_new();
    if (filter & CST_LIST_POOLS_INACTIVE)
        return list;
    for (size_t i = 0; i < G_N_ELEMENTS(pools); i++)
        g_ptr_array_add(list, &pools[i]);
    return list;
}

CstPool *cst_service_pool_by_name(CstService *s, const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(pools); i++)
        if (g_str_equal(pools[i].name, name))
            return &pools[i];
    if (fake_is_held(&fake.any_name))
        return &pools[1];
    cst_fail(error, CST_ERROR_NO_POOL, "no storage pool with matching name '%s'", name);
    return NULL;
}

CstPool *cst_service_pool_by_uuid(CstService *s, const CstUuid *uuid, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(pools); i++)
        if (cst_uuid_equal(&pools[i].uuid, uuid))
            return &pools[i];
    if (fake_is_held(&fake.any_name))
        return &pools[1];
    cst_fail(error, CST_ERROR_NO_POOL, "no storage pool with matching uuid");
    return NULL;
}

CstPool *cst_service_pool_by_target(CstService *s, const char *path, GError **error)
{
    cst_fail(error, CST_ERROR_NO_POOL, "no storage pool with matching target path '%s'", path);
    return NULL;
}

const char *cst_pool_name(const CstPool *pool)
{
    return pool->name;
}

const CstUuid *cst_pool_uuid(const CstPool *pool)
{
    return &pool->uuid;
}

void cst_pool_get_info(CstPool *pool, CstPoolInfo *ret_info)
{
    *ret_info = (CstPoolInfo){.state = CST_POOL_RUNNING,
                              .persistent = TRUE,
                              .capacity = 1000,
                              .allocation = 600,
                              .available = 400};
}

gboolean cst_pool_is_active(CstPool *pool)
{
    return pool != NULL;
}

gboolean cst_pool_room(CstPool *pool, CstRoom *ret_room, GError **error)
{
    *ret_room = (CstRoom){0};
    return fake_works(error);
}

char *cst_pool_get_problem(CstPool *pool)
{
    return g_str_equal(pool->name, "empty") ? g_strdup("nothing in it") : NULL;
}

char *cst_pool_get_xml(CstPool *pool, unsigned flags, GError **error)
{
    return g_strdup_printf("<pool><name>%s</name></pool>", pool->name);
}

gboolean cst_pool_get_autostart(CstPool *pool, gboolean *ret_autostart, GError **error)
{
    *ret_autostart = TRUE;
    return TRUE;
}

CstPool *cst_service_pool_define(CstService *s, const char *xml, unsigned flags, GError **error)
{
    fake_changed(NULL);
    return &pools[0];
}

CstPool *cst_service_pool_create(CstService *s, const char *xml, unsigned flags, CstTask *task,
                                 GError **error)
{
    fake_changed(NULL);
    return &pools[0];
}

gboolean cst_pool_undefine(CstPool *pool, CstTask *task, GError **error)
{
    return fake_changed(error);
}

gboolean cst_pool_set_autostart(CstPool *pool, gboolean autostart, GError **error)
{
    return fake_changed(error);
}

#define POOL_CHANGE(name)                                                       \
    gboolean name(CstPool *pool, unsigned flags, CstTask *task, GError **error) \
    {                                                                           \
        return fake_changed(error);                                             \
    }

POOL_CHANGE(cst_pool_start)
POOL_CHANGE(cst_pool_delete)

gboolean cst_pool_build(CstPool *pool, unsigned flags, CstTask *task, GError **error)
{
    fake_count(&fake.building, 1);
    cst_task_set_waiting(task, TRUE);
    g_mutex_lock(&fake.lock);
    while (fake.hold_build && !cst_task_cancelled(task))
        g_cond_wait_until(&fake.changed, &fake.lock, g_get_monotonic_time() + 10000);
    g_mutex_unlock(&fake.lock);
    cst_task_set_waiting(task, FALSE);
    fake_count(&fake.building, -1);
    return cst_task_check(task, error) && fake_changed(error);
}

gboolean cst_pool_stop(CstPool *pool, CstTask *task, GError **error)
{
    return fake_changed(error);
}

gboolean cst_pool_refresh(CstPool *pool, unsigned flags, CstTask *task, GError **error)
{
    CstLivenessCall call;

    if (!cst_flags_check(flags, 0, "storagePoolRefresh", error) ||
        !cst_liveness_enter(fake.liveness, &call, error))
        return FALSE;
    fake_count(&fake.refreshing, 1);
    fake_wait_while(&fake.hold_refresh);
    cst_liveness_leave(fake.liveness, &call);
    fake_count(&fake.refreshing, -1);
    return fake_changed(error);
}

char *cst_service_find_sources(CstService *s, const char *type, const char *spec, unsigned flags,
                               GError **error)
{
    fake_changed(NULL);
    return g_strdup("<sources/>");
}

char *cst_service_pool_capabilities(CstService *s, GError **error)
{
    return g_strdup("<storagepoolCapabilities>\n  <pool type='dir' supported='yes'>\n  </pool>\n"
                    "  <pool type='zfs' supported='no'>\n  </pool>\n"
                    "</storagepoolCapabilities>\n");
}

/* --- volumes --------------------------------------------------------------------------------- */

static guint count_of(const CstPool *pool)
{
    return g_str_equal(pool->name, "images") ? fake.volumes : 0;
}

static guint number_of(const char *name)
{
    return strlen(name) > 3 ? (guint)atoi(name + 3) : 0;
}

static char *vol_name(guint i)
{
    return g_strdup_printf("vol%05u", i);
}

gboolean cst_pool_has_volume(CstPool *pool, const char *name, GError **error)
{
    if (fake_is_held(&fake.any_name))
        return TRUE;
    if (g_str_has_prefix(name, "vol") && number_of(name) < count_of(pool))
        return TRUE;
    return cst_fail(error, CST_ERROR_NO_VOL, "no storage vol with matching name '%s'", name);
}

gboolean cst_pool_count_volumes(CstPool *pool, guint *ret_count, GError **error)
{
    *ret_count = count_of(pool);
    return fake_works(error);
}

GPtrArray *cst_pool_list_volumes(CstPool *pool, const char *after, guint limit, unsigned flags,
                                 GError **error)
{
    GPtrArray *rows;
    guint first = after ? number_of(after) + 1 : 0;

    if (!fake_works(error))
        return NULL;
    fake_count(&fake.listed, 1);
    if (fake.on_list)
        fake.on_list(fake.on_list_data);
    rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_row_free);
    for (guint i = first; i < count_of(pool) && (limit == 0 || rows->len < limit); i++) {
        CstVolRow *row = g_new0(CstVolRow, 1);

        row->name = vol_name(i);
        row->key = g_strdup_printf("/images/%s", row->name);
        row->path = g_strdup(row->key);
        row->info.capacity = flags & CST_VOL_ROWS_DETAILS ? 1000 + i : 0;
        row->format = flags & CST_VOL_ROWS_DETAILS ? g_strdup("qcow2") : NULL;
        g_ptr_array_add(rows, row);
    }
    return rows;
}

gboolean cst_service_volume_by_path(CstService *s, const char *path, CstPool **ret_pool,
                                    char **ret_name, GError **error)
{
    if (!g_str_has_prefix(path, "/images/vol"))
        return cst_fail(error, CST_ERROR_NO_VOL, "no storage vol with matching key %s", path);
    *ret_pool = &pools[1];
    *ret_name = g_strdup(path + strlen("/images/"));
    return TRUE;
}

gboolean cst_service_volume_by_key(CstService *s, const char *key, CstPool **ret_pool,
                                   char **ret_name, GError **error)
{
    return cst_service_volume_by_path(s, key, ret_pool, ret_name, error);
}

char *cst_vol_get_key(CstPool *pool, const char *name, GError **error)
{
    return cst_pool_has_volume(pool, name, error) ? g_strdup_printf("/images/%s", name) : NULL;
}

char *cst_vol_get_path(CstPool *pool, const char *name, GError **error)
{
    return cst_vol_get_key(pool, name, error);
}

char *cst_vol_known_key(CstPool *pool, const char *name)
{
    return cst_vol_get_key(pool, name, NULL);
}

char *cst_vol_known_path(CstPool *pool, const char *name)
{
    return cst_vol_get_key(pool, name, NULL);
}

char *cst_vol_get_xml(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_pool_has_volume(pool, name, error) ? g_strdup("<volume/>") : NULL;
}

gboolean cst_vol_get_info(CstPool *pool, const char *name, CstVolInfo *ret_info, GError **error)
{
    *ret_info = (CstVolInfo){.capacity = 100, .allocation = 50, .physical = 70};
    return cst_pool_has_volume(pool, name, error);
}

gboolean cst_vol_create(CstPool *pool, const char *xml, unsigned flags, CstTask *task,
                        char **ret_name, GError **error)
{
    *ret_name = vol_name(0);
    return fake_changed(error);
}

gboolean cst_vol_create_from(CstPool *pool, const char *xml, CstPool *source_pool,
                             const char *source, unsigned flags, CstTask *task, char **ret_name,
                             GError **error)
{
    *ret_name = vol_name(0);
    return fake_changed(error);
}

gboolean cst_vol_create_from_live(CstPool *pool, const char *xml, CstPool *source_pool,
                                  const char *source, CstLiveSnapshots *live, unsigned flags,
                                  CstTask *task, char **ret_name, GError **error)
{
    *ret_name = vol_name(0);
    return fake_changed(error);
}

gboolean cst_vol_delete(CstPool *pool, const char *name, unsigned flags, CstTask *task,
                        GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_wipe(CstPool *pool, const char *name, unsigned algorithm, unsigned flags,
                      CstTask *task, GError **error)
{
    cst_task_set_job(task, FAKE_WIPE_JOB);
    fake_changed(NULL);
    g_mutex_lock(&fake.lock);
    fake.rate = cst_task_rate(task);
    g_mutex_unlock(&fake.lock);
    cst_task_set_total(task, 1000);
    cst_task_advance(task, 250);
    while (fake_is_held(&fake.hold_wipe)) {
        if (!cst_task_check(task, error))
            return see_cancel();
        fake_count(&fake.checks, 1);
        await_pause();
    }
    return TRUE;
}

gboolean cst_vol_resize(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                        CstTask *task, GError **error)
{
    return fake_changed(error);
}

gboolean cst_vol_resize_qmp(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                            const char *socket, CstTask *task, GError **error)
{
    return fake_changed(error);
}
