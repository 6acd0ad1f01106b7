/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_conn.h"

#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>

FakeWorld fake_world;

struct CstConn {
    gboolean read_only;
};

static void fake_pool_free(gpointer data)
{
    FakePool *pool = data;

    g_free(pool->ref.name);
    g_free(pool->xml);
    g_free(pool);
}

FakePool *fake_world_add_pool(const char *name, const char *uuid, gboolean active)
{
    FakePool *pool = g_new0(FakePool, 1);

    pool->ref.name = g_strdup(name);
    cst_uuid_parse(uuid, &pool->ref.uuid);
    pool->active = active;
    pool->persistent = TRUE;
    pool->info.state = active ? CST_POOL_RUNNING : CST_POOL_INACTIVE;
    pool->xml = g_strdup_printf("<pool type='dir'>\n  <name>%s</name>\n</pool>\n", name);
    g_ptr_array_add(fake_world.pools, pool);
    return pool;
}

void fake_world_clear(void)
{
    g_clear_pointer(&fake_world.pools, g_ptr_array_unref);
    g_clear_pointer(&fake_world.last_xml, g_free);
    g_clear_pointer(&fake_world.fail_open, g_free);
    fake_world = (FakeWorld){0};
}

void fake_world_reset(void)
{
    FakePool *images;

    fake_world_clear();
    fake_world.pools = g_ptr_array_new_with_free_func(fake_pool_free);
    images = fake_world_add_pool("images", "6f9619ff-8b86-d011-b42d-00c04fc964ff", TRUE);
    images->autostart = TRUE;
    images->info.capacity = UINT64_C(270553174016);
    images->info.allocation = UINT64_C(17092767744);
    images->info.available = UINT64_C(253460406272);
    fake_world_add_pool("backup", "00000000-8b86-d011-b42d-00c04fc964ff", FALSE);
}

gboolean cst_conn_set_dry_run(CstConn *conn, gboolean dry_run, GError **error)
{
    cst_dry_run_set(dry_run);
    return TRUE;
}

CstConn *cst_conn_open(const char *uri, const CstConnOptions *options, GError **error)
{
    CstConn *conn;

    if (fake_world.fail_open) {
        cst_fail(error, CST_ERROR_NO_CONNECT, "%s", fake_world.fail_open);
        return NULL;
    }
    conn = g_new0(CstConn, 1);
    conn->read_only = options->read_only;
    return conn;
}

CstConn *cst_conn_open_again(const CstConn *conn, GError **error)
{
    return g_memdup2(conn, sizeof(*conn));
}

void cst_conn_free(CstConn *conn)
{
    g_free(conn);
}

char *cst_conn_uri(CstConn *conn, GError **error)
{
    return g_strdup("storage:///system");
}

gboolean cst_conn_is_embedded(const CstConn *conn)
{
    return FALSE;
}

const char *cst_conn_stale_socket(const CstConn *conn)
{
    return NULL;
}

char *cst_conn_hostname(CstConn *conn, GError **error)
{
    return g_strdup("host");
}

char *cst_conn_type(CstConn *conn, GError **error)
{
    return g_strdup("storage");
}

gboolean cst_conn_lib_version(CstConn *conn, uint64_t *ret_version, GError **error)
{
    *ret_version = 9000001;
    return TRUE;
}

gboolean cst_conn_hv_version(CstConn *conn, uint64_t *ret_version, GError **error)
{
    *ret_version = 0;
    return TRUE;
}

char *cst_conn_capabilities(CstConn *conn, GError **error)
{
    return g_strdup("<capabilities/>\n");
}

static FakePool *find(const char *name)
{
    for (guint i = 0; i < fake_world.pools->len; i++) {
        FakePool *pool = g_ptr_array_index(fake_world.pools, i);

        if (g_str_equal(pool->ref.name, name))
            return pool;
    }
    return NULL;
}

GPtrArray *cst_conn_pool_list(CstConn *conn, unsigned filter, GError **error)
{
    GPtrArray *refs = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_ref_free);

    for (guint i = 0; i < fake_world.pools->len; i++) {
        FakePool *pool = g_ptr_array_index(fake_world.pools, i);

        if (filter & (pool->active ? CST_LIST_POOLS_ACTIVE : CST_LIST_POOLS_INACTIVE))
            g_ptr_array_add(refs, cst_pool_ref_new(pool->ref.name, &pool->ref.uuid));
    }
    fake_world.last_flags = filter;
    return refs;
}

CstPoolRef *cst_conn_pool_by_name(CstConn *conn, const char *name, GError **error)
{
    FakePool *pool = find(name);

    if (!pool) {
        cst_fail(error, CST_ERROR_NO_POOL, "no storage pool with matching name '%s'", name);
        return NULL;
    }
    return cst_pool_ref_new(pool->ref.name, &pool->ref.uuid);
}

CstPoolRef *cst_conn_pool_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error)
{
    char text[CST_UUID_TEXT_LEN];

    for (guint i = 0; i < fake_world.pools->len; i++) {
        FakePool *pool = g_ptr_array_index(fake_world.pools, i);

        if (cst_uuid_equal(&pool->ref.uuid, uuid))
            return cst_pool_ref_new(pool->ref.name, uuid);
    }
    cst_fail(error, CST_ERROR_NO_POOL, "no storage pool with matching uuid '%s'",
             cst_uuid_format(uuid, text));
    return NULL;
}

static gboolean change(CstConn *conn, const char *function, GError **error)
{
    if (conn->read_only)
        return cst_fail(error, CST_ERROR_READ_ONLY, "read only access prevents %s", function);
    fake_world.changes++;
    return TRUE;
}

static CstPoolRef *take_xml(CstConn *conn, const char *xml, unsigned flags, GError **error)
{
    const char *start = strstr(xml, "<name>");
    const char *end = strstr(xml, "</name>");
    g_autofree char *name = NULL;
    CstUuid uuid = {{0}};

    if (!change(conn, "virStoragePoolDefineXML", error))
        return NULL;
    if (!start || !end) {
        cst_fail(error, CST_ERROR_XML, "missing pool source name element");
        return NULL;
    }
    g_free(fake_world.last_xml);
    fake_world.last_xml = g_strdup(xml);
    fake_world.last_flags = flags;
    name = g_strndup(start + 6, end - start - 6);
    return cst_pool_ref_new(name, &uuid);
}

CstPoolRef *cst_conn_pool_define(CstConn *conn, const char *xml, unsigned flags, GError **error)
{
    if (!cst_may_change(error))
        return NULL;
    return take_xml(conn, xml, flags, error);
}

CstPoolRef *cst_conn_pool_create(CstConn *conn, const char *xml, unsigned flags, GError **error)
{
    if (!cst_may_change(error))
        return NULL;
    return take_xml(conn, xml, flags, error);
}

gboolean cst_conn_pool_undefine(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    return change(conn, "virStoragePoolUndefine", error);
}

gboolean cst_conn_pool_build(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    fake_world.last_flags = flags;
    return change(conn, "virStoragePoolBuild", error);
}

gboolean cst_conn_pool_start(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    if (!change(conn, "virStoragePoolCreate", error))
        return FALSE;
    if (find(pool->name)->active)
        return cst_fail(error, CST_ERROR_STATE, "storage pool '%s' is already active", pool->name);
    fake_world.last_flags = flags;
    return TRUE;
}

gboolean cst_conn_pool_stop(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    return change(conn, "virStoragePoolDestroy", error);
}

gboolean cst_conn_pool_delete(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    return change(conn, "virStoragePoolDelete", error);
}

gboolean cst_conn_pool_refresh(CstConn *conn, const CstPoolRef *pool, unsigned flags,
                               GError **error)
{
    return change(conn, "virStoragePoolRefresh", error);
}

gboolean cst_conn_pool_set_autostart(CstConn *conn, const CstPoolRef *pool, gboolean autostart,
                                     GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    return change(conn, "virStoragePoolSetAutostart", error);
}

gboolean cst_conn_pool_get_autostart(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                     GError **error)
{
    *ret = find(pool->name)->autostart;
    return TRUE;
}

gboolean cst_conn_pool_is_active(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                 GError **error)
{
    *ret = find(pool->name)->active;
    return TRUE;
}

gboolean cst_conn_pool_is_persistent(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                     GError **error)
{
    *ret = find(pool->name)->persistent;
    return TRUE;
}

gboolean cst_conn_pool_info(CstConn *conn, const CstPoolRef *pool, CstPoolInfo *ret, GError **error)
{
    *ret = find(pool->name)->info;
    return TRUE;
}

gboolean cst_conn_pool_room(CstConn *conn, const CstPoolRef *pool, CstRoom *ret_room,
                            GError **error)
{
    *ret_room = (CstRoom){0};
    return TRUE;
}

char *cst_conn_pool_problem(CstConn *conn, const CstPoolRef *pool)
{
    return NULL;
}

/* Only the pool "images" reports its health. */
gboolean cst_conn_pool_health(CstConn *conn, const CstPoolRef *pool, CstPoolHealth *ret_health,
                              GError **error)
{
    *ret_health = (CstPoolHealth){0};
    if (!fake_world.health || !g_str_equal(pool->name, "images"))
        return TRUE;
    ret_health->level = CST_HEALTH_DEGRADED;
    ret_health->state = g_strdup(fake_world.health);
    cst_pool_health_note(ret_health, "scan: none requested");
    cst_pool_health_note(ret_health, "sdb: FAULTED");
    return TRUE;
}

GPtrArray *cst_conn_pool_thin(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    GPtrArray *stores = g_ptr_array_new_with_free_func((GDestroyNotify)cst_thin_store_free);
    CstThinStore *store;

    if (!g_str_equal(pool->name, "images"))
        return stores;
    for (int i = 0; i < 2; i++) {
        store = g_new0(CstThinStore, 1);
        *store =
            (CstThinStore){g_strdup(i ? "b" : "a"), 1 << 30, 1 << 29, i ? 0 : 1 << 20, 3000, 7};
        g_ptr_array_add(stores, store);
    }
    return stores;
}

gboolean cst_conn_pool_count_volumes(CstConn *conn, const CstPoolRef *pool, guint *ret,
                                     GError **error)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(conn, pool, FALSE, error);

    *ret = rows ? rows->len : 0;
    return rows != NULL;
}

char *cst_conn_pool_xml(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    return g_strdup(find(pool->name)->xml);
}

char *cst_conn_find_sources(CstConn *conn, const char *type, const char *spec, GError **error)
{
    return g_strdup_printf("<sources type='%s'>\n%s</sources>\n", type, spec ? spec : "");
}

char *cst_conn_pool_capabilities(CstConn *conn, GError **error)
{
    return g_strdup("<storagepoolCapabilities/>\n");
}

gboolean cst_conn_subscribe(CstConn *conn, CstConnEventType type, const CstUuid *uuid,
                            CstConnEventFunc func, gpointer data, guint *ret_id, GError **error)
{
    CstConnEvent event = {.type = type, .kind = CST_POOL_EVENT_STARTED, .pool = "images"};

    if (type == CST_CONN_EVENT_SECRET_LIFECYCLE || type == CST_CONN_EVENT_SECRET_VALUE)
        event = (CstConnEvent){.type = type, .kind = CST_SECRET_EVENT_UNDEFINED, .uuid = *uuid};
    *ret_id = 1;
    func(&event, data);
    return TRUE;
}

gboolean cst_conn_unsubscribe(CstConn *conn, guint id, GError **error)
{
    return TRUE;
}

gboolean cst_conn_wait_events(CstConn *conn, int timeout_ms, int wake_fd, guint *ret_delivered,
                              GError **error)
{
    *ret_delivered = 0;
    /* paced: as the connection would wait for an event that does not come */
    g_usleep(timeout_ms > 0 ? MIN(timeout_ms, 100) * 1000 : 0);
    return TRUE;
}
