/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster.h"

#include <errno.h>
#include <string.h>

#include "await.h"

/* The state of the cluster, calls that fail or hang, and what tests look at. */

Cluster cluster;

typedef struct {
    guint skip, times;
    int result;
} Fault;

/* --- calls ------------------------------------------------------------------------------------ */

static guint count_call(GHashTable *table, const char *function)
{
    guint count = GPOINTER_TO_UINT(g_hash_table_lookup(table, function)) + 1;

    g_hash_table_insert(table, g_strdup(function), GUINT_TO_POINTER(count));
    return count;
}

static void hang(const char *function)
{
    if (!g_hash_table_contains(cluster.hanging, function))
        return;
    count_call(cluster.hanging, function);
    g_cond_broadcast(&cluster.changed);
    while (g_hash_table_contains(cluster.hanging, function))
        g_cond_wait(&cluster.changed, &cluster.lock);
}

static int fault_of(const char *function)
{
    Fault *fault = g_hash_table_lookup(cluster.faults, function);

    if (!fault)
        return 0;
    if (fault->skip > 0) {
        fault->skip--;
        return 0;
    }
    if (fault->times == 0)
        return 0;
    fault->times--;
    return fault->result;
}

int fake_begin(const char *function)
{
    int result;

    g_mutex_lock(&cluster.lock);
    count_call(cluster.calls, function);
    hang(function);
    result = fault_of(function);
    if (result < 0)
        g_mutex_unlock(&cluster.lock);
    return result;
}

int fake_end(int began, int result)
{
    if (began >= 0)
        g_mutex_unlock(&cluster.lock);
    return began < 0 ? began : result;
}

void fake_ceph_fail(const char *function, guint skip, guint times, int result)
{
    Fault *fault = g_new(Fault, 1);

    *fault = (Fault){skip, times, result};
    g_mutex_lock(&cluster.lock);
    g_hash_table_insert(cluster.faults, g_strdup(function), fault);
    g_mutex_unlock(&cluster.lock);
}

void fake_ceph_hang(const char *function)
{
    g_mutex_lock(&cluster.lock);
    g_hash_table_insert(cluster.hanging, g_strdup(function), GUINT_TO_POINTER(0));
    g_mutex_unlock(&cluster.lock);
}

void fake_ceph_wait_hanging(const char *function, guint count)
{
    g_mutex_lock(&cluster.lock);
    while (GPOINTER_TO_UINT(g_hash_table_lookup(cluster.hanging, function)) < count)
        g_cond_wait(&cluster.changed, &cluster.lock);
    g_mutex_unlock(&cluster.lock);
}

void fake_ceph_resume(void)
{
    g_mutex_lock(&cluster.lock);
    g_hash_table_remove_all(cluster.hanging);
    g_cond_broadcast(&cluster.changed);
    g_mutex_unlock(&cluster.lock);
}

guint fake_ceph_calls(const char *function)
{
    guint count;

    g_mutex_lock(&cluster.lock);
    count = GPOINTER_TO_UINT(g_hash_table_lookup(cluster.calls, function));
    g_mutex_unlock(&cluster.lock);
    return count;
}

int fake_report(librbd_progress_fn_t report, void *data)
{
    int result = 0;

    for (uint64_t done = 1; report && result >= 0 && done <= 12; done++) {
        result = report(done, 12, data);
    }
    return result;
}

/* --- pools and namespaces --------------------------------------------------------------------- */

static int compare_keys(gconstpointer a, gconstpointer b, gpointer unused)
{
    return strcmp(a, b);
}

static void space_free(gpointer data)
{
    Space *space = data;

    while (space->images->len > 0)
        fake_image_drop(g_ptr_array_index(space->images, 0));
    g_ptr_array_unref(space->images);
    g_tree_unref(space->notes);
    g_free(space->name);
    g_free(space);
}

static void pool_free(gpointer data)
{
    Pool *pool = data;

    g_ptr_array_unref(pool->spaces);
    g_free(pool->name);
    g_free(pool);
}

static void add_space(Pool *pool, const char *name)
{
    Space *space = g_new0(Space, 1);

    space->pool = pool;
    space->name = g_strdup(name);
    space->images = g_ptr_array_new();
    space->notes = g_tree_new_full(compare_keys, NULL, g_free, g_free);
    g_ptr_array_add(pool->spaces, space);
}

Pool *fake_pool(const char *name)
{
    for (guint i = 0; i < cluster.pools->len; i++) {
        Pool *pool = g_ptr_array_index(cluster.pools, i);

        if (strcmp(pool->name, name) == 0)
            return pool;
    }
    return NULL;
}

Space *fake_space(Pool *pool, const char *name)
{
    for (guint i = 0; pool && i < pool->spaces->len; i++) {
        Space *space = g_ptr_array_index(pool->spaces, i);

        if (strcmp(space->name, name) == 0)
            return space;
    }
    return NULL;
}

static void add_pool(const char *name, int64_t id)
{
    Pool *pool = g_new0(Pool, 1);

    pool->name = g_strdup(name);
    pool->id = id;
    pool->spaces = g_ptr_array_new_with_free_func(space_free);
    add_space(pool, "");
    g_ptr_array_add(cluster.pools, pool);
}

void fake_ceph_add_pool(const char *pool)
{
    g_mutex_lock(&cluster.lock);
    add_pool(pool, 5 + cluster.pools->len);
    g_mutex_unlock(&cluster.lock);
}

void fake_ceph_add_namespace(const char *pool, const char *namespace)
{
    g_mutex_lock(&cluster.lock);
    add_space(fake_pool(pool), namespace);
    g_mutex_unlock(&cluster.lock);
}

void fake_ceph_drop_namespace(const char *pool, const char *namespace)
{
    Space *space;

    g_mutex_lock(&cluster.lock);
    space = fake_space(fake_pool(pool), namespace);
    if (space)
        g_ptr_array_remove(space->pool->spaces, space);
    g_mutex_unlock(&cluster.lock);
}

/* --- the whole -------------------------------------------------------------------------------- */

void fake_ceph_reset(void)
{
    g_mutex_lock(&cluster.lock);
    g_clear_pointer(&cluster.pools, g_ptr_array_unref);
    g_clear_pointer(&cluster.calls, g_hash_table_unref);
    g_clear_pointer(&cluster.faults, g_hash_table_unref);
    g_clear_pointer(&cluster.hanging, g_hash_table_unref);
    g_clear_pointer(&cluster.options, g_hash_table_unref);
    g_clear_pointer(&cluster.user, g_free);
    g_clear_pointer(&cluster.key, g_free);
    g_clear_pointer(&cluster.admin_key, g_free);
    g_clear_pointer(&cluster.old_keys, g_ptr_array_unref);
    cluster.old_keys = g_ptr_array_new_with_free_func(g_free);
    cluster.keeps_old = FALSE;
    g_free(cluster.caps);
    cluster.caps =
        g_strdup("\tcaps mon = \"profile rbd\"\n\tcaps osd = \"profile rbd pool=libvirt\"\n");
    cluster.pools = g_ptr_array_new_with_free_func(pool_free);
    cluster.clients = cluster.clients ? cluster.clients : g_ptr_array_new();
    cluster.handles = cluster.handles ? cluster.handles : g_ptr_array_new();
    cluster.calls = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    cluster.faults = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    cluster.hanging = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    cluster.options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    cluster.release = 13;
    cluster.last_id = 100;
    add_pool("libvirt", 5);
    g_mutex_unlock(&cluster.lock);
}

/* Programs that are not linked with it have no other means to set it up. */
__attribute__((constructor)) static void set_up_from_environment(void)
{
    const char *key = g_getenv("FAKE_CEPH_KEY");

    if (!key)
        return;
    fake_ceph_reset();
    fake_ceph_require("libvirt", key);
}

void fake_ceph_require(const char *user, const char *key)
{
    g_mutex_lock(&cluster.lock);
    g_free(cluster.user);
    g_free(cluster.key);
    cluster.user = g_strdup(user);
    cluster.key = g_strdup(key);
    g_mutex_unlock(&cluster.lock);
}

void fake_ceph_require_admin(const char *key)
{
    g_mutex_lock(&cluster.lock);
    g_free(cluster.admin_key);
    cluster.admin_key = g_strdup(key);
    g_mutex_unlock(&cluster.lock);
}

void fake_ceph_keep_old_keys(gboolean keep)
{
    g_mutex_lock(&cluster.lock);
    cluster.keeps_old = keep;
    g_mutex_unlock(&cluster.lock);
}

char *fake_ceph_keyring(void)
{
    char *text;

    g_mutex_lock(&cluster.lock);
    text = fake_keyring();
    g_mutex_unlock(&cluster.lock);
    return text;
}

void fake_ceph_require_release(int release)
{
    g_mutex_lock(&cluster.lock);
    cluster.release = release;
    g_mutex_unlock(&cluster.lock);
}

const char *fake_ceph_option(const char *key)
{
    return g_hash_table_lookup(cluster.options, key);
}

static guint count_clients(void)
{
    guint count;

    g_mutex_lock(&cluster.lock);
    count = cluster.clients->len;
    g_mutex_unlock(&cluster.lock);
    return count;
}

void fake_ceph_await_clients(guint count)
{
    AWAIT_STATE(count_clients() == count, "%u clients instead of %u", count_clients(), count);
}

guint fake_ceph_open_pools(void)
{
    return (guint)g_atomic_int_get(&cluster.ios);
}

guint fake_ceph_open_images(void)
{
    guint count;

    g_mutex_lock(&cluster.lock);
    count = cluster.handles->len;
    g_mutex_unlock(&cluster.lock);
    return count;
}

guint fake_ceph_completions(void)
{
    return (guint)g_atomic_int_get(&cluster.completions);
}

/* --- what is in it ---------------------------------------------------------------------------- */

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_snapshots(GPtrArray *names, const Image *image)
{
    for (guint i = 0; i < image->snaps->len; i++) {
        const Snap *snap = g_ptr_array_index(image->snaps, i);

        if (snap->type == RBD_SNAP_NAMESPACE_TYPE_USER)
            g_ptr_array_add(names, g_strconcat(image->name, "@", snap->name, NULL));
    }
}

char **fake_ceph_list(const char *pool, const char *namespace)
{
    GPtrArray *names = g_ptr_array_new();
    Space *space;

    g_mutex_lock(&cluster.lock);
    space = fake_space(fake_pool(pool), namespace);
    for (guint i = 0; space && i < space->images->len; i++) {
        Image *image = g_ptr_array_index(space->images, i);

        g_ptr_array_add(names, g_strdup(image->name));
        add_snapshots(names, image);
    }
    g_mutex_unlock(&cluster.lock);
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

void fake_ceph_set_age(const char *pool, const char *namespace, const char *image, guint seconds)
{
    g_mutex_lock(&cluster.lock);
    fake_image(fake_space(fake_pool(pool), namespace), image)->created = time(NULL) - seconds;
    g_mutex_unlock(&cluster.lock);
}

void fake_ceph_set_flags(const char *pool, const char *namespace, const char *image, guint64 flags)
{
    g_mutex_lock(&cluster.lock);
    fake_image(fake_space(fake_pool(pool), namespace), image)->flags = flags;
    g_mutex_unlock(&cluster.lock);
}

void fake_ceph_set_old(const char *pool, const char *namespace, const char *image)
{
    Image *old;

    g_mutex_lock(&cluster.lock);
    old = fake_image(fake_space(fake_pool(pool), namespace), image);
    old->features = 0;
    old->id[0] = '\0';
    g_mutex_unlock(&cluster.lock);
}
