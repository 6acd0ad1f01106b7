/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Multipath maps: the device-mapper devices with a multipath target. A map is the volume "dm-N", as
 * with libvirt, and its path is below /dev/mapper. multipathd or "multipath" creates and removes
 * the maps; starting and stopping the pool changes nothing on the host.
 *
 * A map without a working path may block its readers for an unlimited time. So it is shown with
 * that problem and is not read.
 */
#include "mpath.h"

#include <string.h>
#include <sys/sysmacros.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <pool/device.h>

#define BLOCK_DEVICES "/sys/block"
#define UUID_PREFIX   "mpath-"

/* --- paths ------------------------------------------------------------------------------------ */

/*
 * Appends "sdb active", "sdc failed", or "sdd failed (offline)" with the kernel's state of the
 * disk. Appends "8:16 failed" if the kernel has no such device any more.
 */
static void describe_path(GString *text, const MpathPath *path)
{
    g_autofree char *dir = cst_sysfs_block(path->device);
    g_autofree char *state = cst_sysfs_read(dir, "device/state");
    g_autofree char *name = cst_sysfs_uevent(dir, "DEVNAME");

    g_string_append(text, text->len > 0 ? ", " : "");
    if (name)
        g_string_append(text, name);
    else
        g_string_append_printf(text, "%u:%u", major(path->device), minor(path->device));
    g_string_append(text, path->active ? " active" : " failed");
    if (state && strcmp(state, "running") != 0)
        g_string_append_printf(text, " (%s)", state);
}

static char *describe_paths(const GArray *paths, gboolean *ret_any_active)
{
    g_autoptr(GString) text = g_string_new(NULL);

    *ret_any_active = FALSE;
    for (guint i = 0; i < paths->len; i++) {
        const MpathPath *path = &g_array_index(paths, MpathPath, i);

        describe_path(text, path);
        *ret_any_active |= path->active;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void mpath_set_paths(CstAttached *map, const GArray *paths)
{
    gboolean any_active;
    g_autofree char *text = describe_paths(paths, &any_active);

    if (paths->len > 0)
        cst_options_add(&map->options, "paths", text);
    if (map->problem || any_active)
        return;
    map->problem = paths->len > 0
                       ? g_strdup_printf(_("no path to the multipath map works: %s"), text)
                       : g_strdup(_("the multipath map has no path"));
}

/* --- maps ------------------------------------------------------------------------------------- */

/** A device-mapper device "dm-N". */
typedef struct {
    char *dir; /**< in /sys */
    char *name;
    dev_t device;
    GArray *paths; /**< of MpathPath; NULL: not a map, or removed */
} Map;

static void map_clear(Map *map)
{
    g_free(map->dir);
    g_free(map->name);
    if (map->paths)
        g_array_unref(map->paths);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Map, map_clear)

static gboolean map_read(const char *node, Map *map, GError **error)
{
    map->dir = g_build_filename(BLOCK_DEVICES, node, NULL);
    map->name = cst_sysfs_read(map->dir, "dm/name");
    return !map->name || !cst_sysfs_device(map->dir, &map->device) ||
           mpath_status_read(map->device, &map->paths, error);
}

static gboolean mpath_add_map(const char *node, GPtrArray *found, GError **error)
{
    g_auto(Map) read = {0};
    g_autofree char *uuid = NULL, *suspended = NULL;
    CstAttached *map;
    uint64_t size;

    if (!map_read(node, &read, error))
        return FALSE;
    if (!read.paths || !cst_sysfs_bytes(read.dir, "size", &size))
        return TRUE;
    uuid = cst_sysfs_read(read.dir, "dm/uuid");
    suspended = cst_sysfs_read(read.dir, "dm/suspended");
    map = cst_attached_add(found);
    map->name = g_strdup(node);
    map->device = read.device;
    map->node = g_build_filename("/dev", node, NULL);
    map->path = g_build_filename("/dev/mapper", read.name, NULL);
    map->size = size;
    if (g_strcmp0(suspended, "1") == 0)
        map->problem = g_strdup(_("the multipath map is suspended"));
    if (uuid && g_str_has_prefix(uuid, UUID_PREFIX))
        cst_options_add(&map->options, "wwid", uuid + strlen(UUID_PREFIX));
    mpath_set_paths(map, read.paths);
    return TRUE;
}

/* "dm-2" sorts before "dm-10". */
static gint compare_nodes(gconstpointer a, gconstpointer b)
{
    const CstAttached *x = *(CstAttached *const *)a, *y = *(CstAttached *const *)b;

    return x->device < y->device ? -1 : x->device > y->device;
}

static gboolean mpath_find(CstPoolState *state, GPtrArray *found, GError **error)
{
    g_auto(GStrv) nodes = cst_kernel_list(BLOCK_DEVICES);

    for (char **node = nodes; *node; node++)
        if (g_str_has_prefix(*node, "dm-") && !mpath_add_map(*node, found, error))
            return FALSE;
    g_ptr_array_sort(found, compare_nodes);
    return TRUE;
}

/* --- health ----------------------------------------------------------------------------------- */

typedef struct {
    guint all;
    guint active;
} PathCount;

/* Counts the paths of a map. If a path has failed, describes the paths in @notes (may be NULL). */
static gboolean count_paths(const char *node, PathCount *count, CstPoolHealth *notes,
                            GError **error)
{
    g_auto(Map) map = {0};
    guint active = 0;

    if (!map_read(node, &map, error))
        return FALSE;
    if (!map.paths)
        return TRUE;
    for (guint i = 0; i < map.paths->len; i++)
        active += g_array_index(map.paths, MpathPath, i).active ? 1 : 0;
    if (notes && (active < map.paths->len || map.paths->len == 0)) {
        gboolean any_active;
        g_autofree char *text = describe_paths(map.paths, &any_active);
        g_autofree char *note = g_strdup_printf("%s: %s", map.name, *text ? text : _("no path"));

        cst_pool_health_note(notes, note);
    }
    count->active += active;
    count->all += map.paths->len;
    return TRUE;
}

/* A map without a path is a volume with a problem; the other maps and the pool are not affected. */
static gboolean mpath_health(CstPoolState *state, gboolean details, CstPoolHealth *health,
                             GError **error)
{
    g_auto(GStrv) nodes = cst_kernel_list(BLOCK_DEVICES);
    PathCount count = {0};

    for (char **node = nodes; *node; node++)
        if (g_str_has_prefix(*node, "dm-") &&
            !count_paths(*node, &count, details ? health : NULL, error))
            return FALSE;
    health->level = count.active < count.all ? CST_HEALTH_DEGRADED : CST_HEALTH_GOOD;
    health->state = g_strdup_printf(_("%u of %u paths work"), count.active, count.all);
    return TRUE;
}

/* --- the table -------------------------------------------------------------------------------- */

static void mpath_state_free(CstPoolState *state)
{
    cst_attached_clear((CstAttachedState *)state);
    g_free(state);
}

static CstPoolState *mpath_open(const CstPoolDef *def, GError **error)
{
    CstAttachedState *state = g_new0(CstAttachedState, 1);

    if (cst_attached_init(state, def, mpath_find, error))
        return &state->head;
    mpath_state_free(&state->head);
    return NULL;
}

/* A map without a working path has that problem, and is not read. */
static gboolean mpath_touch(const CstPoolDef *def, GError **error)
{
    g_autoptr(GPtrArray) maps = g_ptr_array_new_with_free_func((GDestroyNotify)cst_attached_free);

    if (mpath_find(NULL, maps, NULL))
        cst_attached_touch(maps);
    return TRUE;
}

/* The pool is always active, because the maps do not depend on its start. */
static gboolean mpath_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    *ret_active = TRUE;
    return TRUE;
}

const CstBackend cst_mpath_backend = {
    .type = CST_POOL_MPATH,
    .open = mpath_open,
    .close = mpath_state_free,
    .check = mpath_check,
    .scan = cst_attached_scan,
    .scan_one = cst_attached_scan_one,
    .usage = cst_attached_usage,
    .vol_path = cst_attached_vol_path,
    .vol_resolve = cst_attached_vol_resolve,
    .vol_open = cst_attached_vol_open,
    .vol_holders = cst_attached_vol_holders,
    .health = mpath_health,
    .watch_open = cst_attached_watch_open,
    .watch_read = cst_attached_watch_read,
    .touch = mpath_touch,
};
