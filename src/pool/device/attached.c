/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes that are whole devices of this host (see the header). Each callback searches for them
 * again, because the kernel reuses a node like /dev/sdb for the next attached device. Paths and
 * keys come from the cached result of the last search if it suffices, because these calls must not
 * block.
 */
#include <pool/attached.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <pool/device.h>

#define ATTACHED(state) ((CstAttachedState *)(state))

CstAttached *cst_attached_add(GPtrArray *found)
{
    CstAttached *attached = g_new0(CstAttached, 1);

    g_ptr_array_add(found, attached);
    return attached;
}

void cst_attached_free(CstAttached *attached)
{
    g_free(attached->name);
    g_free(attached->node);
    g_free(attached->path);
    g_free(attached->key);
    g_free(attached->problem);
    if (attached->options)
        g_ptr_array_unref(attached->options);
    g_free(attached);
}

/* --- the state -------------------------------------------------------------------------------- */

gboolean cst_attached_init(CstAttachedState *state, const CstPoolDef *def,
                           gboolean (*find)(CstPoolState *state, GPtrArray *found, GError **error),
                           GError **error)
{
    const char *target = def->target_path;

    g_mutex_init(&state->lock);
    state->find = find;
    state->head.def = cst_pool_def_copy(def);
    return g_strcmp0(target, "/dev") == 0 || (target && g_str_has_prefix(target, "/dev/")) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("target path '%s' of pool '%s' is not below /dev, where devices have their "
                      "names; use '/dev/disk/by-path'"),
                    target ? target : "", def->name);
}

void cst_attached_clear(CstAttachedState *state)
{
    g_clear_pointer(&state->names, g_hash_table_unref);
    g_clear_pointer(&state->last, g_ptr_array_unref);
    cst_pool_def_free(state->head.def);
    g_mutex_clear(&state->lock);
}

/* --- search ----------------------------------------------------------------------------------- */

/* Caches the found devices for later paths and keys. */
static void attached_cache_store(CstAttachedState *state, GPtrArray *found)
{
    GHashTable *names = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < found->len; i++) {
        CstAttached *attached = g_ptr_array_index(found, i);

        g_hash_table_replace(names, attached->name, attached);
    }
    g_mutex_lock(&state->lock);
    g_clear_pointer(&state->names, g_hash_table_unref);
    g_clear_pointer(&state->last, g_ptr_array_unref);
    state->last = g_ptr_array_ref(found);
    state->names = names;
    g_mutex_unlock(&state->lock);
}

/* Returns all devices that are attached now. The caller unrefs the array. */
static GPtrArray *find_all(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)cst_attached_free);

    if (!ATTACHED(state)->find(state, found, error))
        return NULL;
    attached_cache_store(ATTACHED(state), found);
    return g_steal_pointer(&found);
}

/* Returns device @name, which the array owns, or NULL if the array has no such device. */
static const CstAttached *find_in(const GPtrArray *found, const char *name)
{
    for (guint i = 0; i < found->len; i++) {
        const CstAttached *attached = g_ptr_array_index(found, i);

        if (strcmp(attached->name, name) == 0)
            return attached;
    }
    return NULL;
}

/*
 * Returns volume @name, or NULL with NO_VOL. *ret_found owns the volume, and the caller unrefs it.
 */
static const CstAttached *attached_find_volume(CstPoolState *state, const char *name,
                                               GPtrArray **ret_found, GError **error)
{
    const CstAttached *attached;

    *ret_found = find_all(state, error);
    attached = *ret_found ? find_in(*ret_found, name) : NULL;
    if (*ret_found && !attached)
        cst_fail_no_volume(name, error);
    return attached;
}

/* --- records ---------------------------------------------------------------------------------- */

static CstVolume *attached_to_volume(const CstAttached *attached)
{
    CstVolume *volume = cst_volume_new(attached->name);
    CstVolumeExtra *extra = cst_volume_extra(volume);

    volume->type = CST_VOL_BLOCK;
    volume->format = "raw";
    volume->capacity = volume->allocation = volume->physical = attached->size;
    cst_device_take_node(volume, attached->node);
    extra->key = g_strdup(attached->key);
    extra->options = cst_options_copy(attached->options);
    extra->problem = g_strdup(attached->problem);
    return volume;
}

gboolean cst_attached_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) found = find_all(state, error);

    for (guint i = 0; found && i < found->len; i++) {
        const CstAttached *attached = g_ptr_array_index(found, i);
        CstVolume *volume;

        if (!cst_task_check(task, error))
            return FALSE;
        volume = attached_to_volume(attached);
        scan->sink(cst_device_newest(scan->known(volume->name, scan->data), volume), scan->data);
    }
    return found != NULL;
}

gboolean cst_attached_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                               CstVolume **ret_volume, GError **error)
{
    g_autoptr(GPtrArray) found = find_all(state, error);
    const CstAttached *attached = found ? find_in(found, name) : NULL;

    *ret_volume = NULL;
    if (attached)
        *ret_volume =
            cst_device_newest(known ? cst_volume_ref(known) : NULL, attached_to_volume(attached));
    return found != NULL;
}

/* Like libvirt, counts all of each device as allocated. */
gboolean cst_attached_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    g_autoptr(GPtrArray) found = find_all(state, error);

    for (guint i = 0; found && i < found->len; i++)
        ret_usage->capacity += ((const CstAttached *)g_ptr_array_index(found, i))->size;
    ret_usage->allocation = ret_usage->capacity;
    return found != NULL;
}

/* --- paths and keys --------------------------------------------------------------------------- */

static char *known_path(CstAttachedState *state, const char *name)
{
    const CstAttached *attached;
    char *path = NULL;

    g_mutex_lock(&state->lock);
    attached = state->names ? g_hash_table_lookup(state->names, name) : NULL;
    if (attached)
        path = g_strdup(attached->path);
    g_mutex_unlock(&state->lock);
    return path;
}

/* If no device has the name, the path has the pool's form but does not exist. */
char *cst_attached_vol_path(CstPoolState *state, const char *name)
{
    char *path = known_path(ATTACHED(state), name);

    if (!path) {
        g_autoptr(GPtrArray) found = find_all(state, NULL);

        path = found ? known_path(ATTACHED(state), name) : NULL;
    }
    return path ? path : g_strdup_printf("%s/%s", state->def->target_path, name);
}

/* @node is the number of the device that @path leads to, or 0 if it leads to no device. */
static gboolean is_meant(const CstAttached *attached, const char *path, dev_t node)
{
    return (node && attached->device == node) || g_strcmp0(attached->path, path) == 0 ||
           g_strcmp0(attached->key, path) == 0;
}

/* Returns the name of the matching cached device, or NULL. *ret_any: a cached result exists. */
static char *resolve_known(CstAttachedState *state, const char *path, dev_t node, gboolean *ret_any)
{
    char *name = NULL;

    g_mutex_lock(&state->lock);
    *ret_any = state->last != NULL;
    for (guint i = 0; state->last && !name && i < state->last->len; i++) {
        const CstAttached *candidate = g_ptr_array_index(state->last, i);

        if (is_meant(candidate, path, node))
            name = g_strdup(candidate->name);
    }
    g_mutex_unlock(&state->lock);
    return name;
}

/*
 * Accepts any name of the device, like libvirt. An unknown device may have been attached since the
 * last search.
 */
char *cst_attached_vol_resolve(CstPoolState *state, const char *path)
{
    g_autoptr(GPtrArray) found = NULL;
    struct stat st;
    dev_t node = 0;
    gboolean any;
    char *name;

    if (g_str_has_prefix(path, "/dev/") && cst_node_stat(path, &st) && S_ISBLK(st.st_mode))
        node = st.st_rdev;
    name = resolve_known(ATTACHED(state), path, node, &any);
    if (name || (any && !node))
        return name;
    found = find_all(state, NULL);
    return resolve_known(ATTACHED(state), path, node, &any);
}

/* --- content ---------------------------------------------------------------------------------- */

/*
 * Verifies that volume @name is still the device with number @device. While a descriptor has the
 * device open, the kernel gives the number to no other device.
 */
static gboolean is_still(CstPoolState *state, const char *name, dev_t device, GError **error)
{
    g_autoptr(GPtrArray) found = NULL;
    const CstAttached *attached = attached_find_volume(state, name, &found, error);

    return attached &&
           (attached->device == device ||
            cst_fail(error, CST_ERROR_BUSY,
                     _("the device of volume '%s' is changing just now; try again"), name));
}

CstBlob *cst_attached_vol_open(CstPoolState *state, const char *name, gboolean writable,
                               GError **error)
{
    g_autoptr(GPtrArray) found = NULL;
    const CstAttached *attached = attached_find_volume(state, name, &found, error);
    g_auto(CstFd) fd = -1;
    struct stat st;

    if (!attached)
        return NULL;
    fd = cst_node_open(attached->node, writable ? O_RDWR : O_RDONLY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        cst_fail_errno(error, errno, _("cannot open volume '%s' ('%s')"), name, attached->node);
        return NULL;
    }
    if (!is_still(state, name, st.st_rdev, error))
        return NULL;
    return cst_blob_file_new(g_steal_fd(&fd), name, writable, error);
}

gboolean cst_attached_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                                  GError **error)
{
    g_autoptr(GPtrArray) found = NULL;
    const CstAttached *attached = attached_find_volume(state, name, &found, error);

    return attached && cst_device_holders(attached->node, holders, error);
}

/* --- changes by other programs ---------------------------------------------------------------- */

int cst_attached_watch_open(CstPoolState *state, GError **error)
{
    return cst_device_watch_open(error);
}

void cst_attached_watch_read(CstPoolState *state, int fd,
                             void (*changed)(const char *name, gpointer data), gpointer data)
{
    if (cst_device_watch_drain(fd))
        changed(NULL, data);
}
