/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>
#include <unistd.h>

#include <pool/registry.h>

#include "dir/dir.h"
#include "disk/disk.h"

/*
 * Disks that are loop devices. A partition is called what the kernel calls it, and the tests call
 * volumes what they like; so this program's registry has the disk backend behind a layer that
 * gives the tests' names to partitions, as they are made. Each pool has a disk of its own. What
 * is moved between a disk and files is so with a directory's backend, as it is.
 */

/* "pool/volume" -> the partition's name. The monitor scans pools in threads of its own. */
static GMutex given_lock;
static GHashTable *given;
static char *disks[2], *images[2];
static CstBackend named; /* the backend with that layer */

/* --- names ------------------------------------------------------------------------------------ */

static char *key_of(const char *pool, const char *volume)
{
    return g_strconcat(pool, "/", volume, NULL);
}

/* The partition that @volume is; its own name where it is none. */
static char *partition_of(const char *pool, const char *volume)
{
    g_autofree char *key = key_of(pool, volume);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&given_lock);
    const char *name = g_hash_table_lookup(given, key);

    return g_strdup(name ? name : volume);
}

/* Like volume_of(), with the lock held. */
static char *locked_volume_of(const char *pool, const char *partition)
{
    g_autofree char *prefix = key_of(pool, "");
    GHashTableIter iter;
    gpointer key, name;

    g_hash_table_iter_init(&iter, given);
    while (g_hash_table_iter_next(&iter, &key, &name))
        if (g_str_has_prefix(key, prefix) && strcmp(name, partition) == 0)
            return g_strdup((const char *)key + strlen(prefix));
    return NULL;
}

/* Returns the name that the tests use for a partition; NULL: no name. */
static char *volume_of(const char *pool, const char *partition)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&given_lock);

    return locked_volume_of(pool, partition);
}

/* A former partition with this name no longer exists. */
static void give(const char *pool, const char *volume, const char *partition)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&given_lock);
    g_autofree char *old = locked_volume_of(pool, partition);
    g_autofree char *key = old ? key_of(pool, old) : NULL;

    if (key)
        g_hash_table_remove(given, key);
    g_hash_table_replace(given, key_of(pool, volume), g_strdup(partition));
}

static const char *pool_of(const CstPoolState *state)
{
    return state->def->name;
}

/* --- the layer -------------------------------------------------------------------------------- */

static CstVolume *nothing_known(const char *name, gpointer data)
{
    return NULL;
}

typedef struct {
    CstPoolState *state;
    const CstScan *scan;
} Renaming;

/* The same record under another name; takes @volume, which nobody else has, over. */
static CstVolume *renamed(CstVolume *volume, const char *name)
{
    CstVolume *copy = cst_volume_new(name);

    memcpy(copy, volume, offsetof(CstVolume, name));
    copy->refs = 1;
    volume->extra = NULL;
    cst_volume_unref(volume);
    return copy;
}

static void sink(CstVolume *volume, gpointer data)
{
    const Renaming *renaming = data;
    g_autofree char *name = volume_of(pool_of(renaming->state), volume->name);

    renaming->scan->sink(renamed(volume, name ? name : volume->name), renaming->scan->data);
}

static gboolean named_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    Renaming renaming = {state, scan};
    CstScan inner = {.known = nothing_known, .sink = sink, .data = &renaming};

    return cst_disk_backend.scan(state, &inner, task, error);
}

static gboolean named_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                               CstVolume **ret_volume, GError **error)
{
    g_autofree char *partition = partition_of(pool_of(state), name);

    if (!cst_disk_backend.scan_one(state, partition, NULL, ret_volume, error))
        return FALSE;
    if (*ret_volume)
        *ret_volume = renamed(*ret_volume, name);
    return TRUE;
}

static char *named_identity(CstPoolState *state, const CstVolume *volume, GError **error)
{
    g_autofree char *partition = partition_of(pool_of(state), volume->name);
    g_autoptr(CstVolume) inner = cst_volume_new(partition);

    return cst_disk_backend.vol_identity(state, inner, error);
}

static char *named_path(CstPoolState *state, const char *name)
{
    g_autofree char *partition = partition_of(pool_of(state), name);

    return cst_disk_backend.vol_path(state, partition);
}

static char *named_resolve(CstPoolState *state, const char *path)
{
    g_autofree char *partition = cst_disk_backend.vol_resolve(state, path);

    return partition ? volume_of(pool_of(state), partition) : NULL;
}

/* Whether there is a partition of the name that its number would have. */
static gboolean named_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                              GError **error)
{
    g_autoptr(CstVolDef) copy = cst_vol_def_copy(def);
    g_auto(DiskDevice) device = {0};
    GError *why = NULL;

    if (!disk_device_find(state->def, &device, error))
        return FALSE;
    for (guint number = 1; number < 20; number++) {
        g_clear_error(&why);
        g_free(copy->name);
        copy->name = disk_partition_name(&device, number);
        if (cst_disk_backend.vol_reserve(state, copy, draft, &why)) {
            give(pool_of(state), def->name, copy->name);
            return TRUE;
        }
        if (!strstr(why->message, "invalid partition name"))
            break;
    }
    g_propagate_error(error, why);
    return FALSE;
}

static gboolean named_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                             GError **error)
{
    return cst_disk_backend.vol_commit(state, draft, def, error);
}

static gboolean named_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    g_autofree char *partition = partition_of(pool_of(state), name);

    return cst_disk_backend.vol_delete(state, partition, flags, error);
}

static gboolean named_check_wipe(CstPoolState *state, const char *name, GError **error)
{
    g_autofree char *partition = partition_of(pool_of(state), name);

    return cst_disk_backend.vol_check_wipe(state, partition, error);
}

static CstBlob *named_open(CstPoolState *state, const char *name, gboolean writable, GError **error)
{
    g_autofree char *partition = partition_of(pool_of(state), name);

    return cst_disk_backend.vol_open(state, partition, writable, error);
}

static gboolean named_resize(CstPoolState *state, const char *name, uint64_t capacity,
                             CstTask *task, GError **error)
{
    g_autofree char *partition = partition_of(pool_of(state), name);

    return cst_disk_backend.vol_resize(state, partition, capacity, task, error);
}

static gboolean named_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                              GError **error)
{
    g_autofree char *partition = partition_of(pool_of(state), name);

    return cst_disk_backend.vol_holders(state, partition, holders, error);
}

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    if (type == cst_dir_backend.type)
        return &cst_dir_backend;
    if (!named.open) {
        named = cst_disk_backend;
        named.scan = named_scan;
        named.scan_one = named_scan_one;
        named.vol_identity = named_identity;
        named.vol_path = named_path;
        named.vol_resolve = named_resolve;
        named.vol_reserve = named_reserve;
        named.vol_commit = named_commit;
        named.vol_delete = named_delete;
        named.vol_check_wipe = named_check_wipe;
        named.vol_open = named_open;
        named.vol_resize = named_resize;
        named.vol_holders = named_holders;
    }
    return &named;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == cst_disk_backend.type || type == cst_dir_backend.type;
}

/* --- disks ------------------------------------------------------------------------------------ */

static guint disk_of(const char *pool)
{
    return strcmp(pool, "p") == 0 ? 0 : 1;
}

/* A function of the shell that repeats a command until it succeeds. */
/* paced: a pause between two looks */
#define AGAIN "again() { until \"$@\" 2>/dev/null; do sleep 0.02; done; }; "

/* Returns the first word of the shell's output; NULL: the command failed. */
static char *word(const char *line, const char *one, const char *two)
{
    g_auto(GStrv) words = site_shell(line, one, two);

    return words[0] && *words[0] ? g_strdup(words[0]) : NULL;
}

/* Whether the kernel shows a partition of a loop device when it is told of one. */
static gboolean shows_partitions(const char *disk)
{
    g_autofree char *node = word("addpart \"$1\" 1 2048 2048 2>/dev/null && ls \"$1p1\" && "
                                 "delpart \"$1\" 1 || :",
                                 disk, "");

    return node != NULL;
}

static char *set_up(const char *dir)
{
    if (geteuid() != 0)
        return g_strdup("only root can make loop devices");
    given = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (guint i = 0; i < G_N_ELEMENTS(disks); i++) {
        images[i] = g_strdup_printf("%s/disk%u", dir, i);
        disks[i] = word("truncate -s 256M \"$1\" && losetup -f --show -P \"$1\" 2>/dev/null || :",
                        images[i], "");
        if (!disks[i])
            return g_strdup("there is no loop device to be had");
    }
    if (!shows_partitions(disks[0]))
        return g_strdup("the kernel shows no partitions of loop devices");
    return NULL;
}

static void clean(const char *pool)
{
    g_strfreev(
        site_shell("partx -d \"$1\" 2>/dev/null; wipefs -aqf \"$1\"", disks[disk_of(pool)], ""));
    g_mutex_lock(&given_lock);
    g_hash_table_remove_all(given);
    g_mutex_unlock(&given_lock);
}

static void tear_down(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(disks); i++) {
        if (disks[i])
            g_strfreev(site_shell("partx -d \"$1\" 2>/dev/null; losetup -d \"$1\"", disks[i], ""));
        g_clear_pointer(&disks[i], g_free);
        g_clear_pointer(&images[i], g_free);
    }
    g_clear_pointer(&given, g_hash_table_unref);
}

static char *describe(const char *pool, const char *label)
{
    return g_strdup_printf("<pool type='disk'><name>%s</name><source><device path='%s'/>"
                           "<format type='%s'/></source><target><path>/dev</path></target></pool>",
                           pool, disks[disk_of(pool)], label);
}

static char *gpt_xml(const char *pool)
{
    return describe(pool, "gpt");
}

static char *dos_xml(const char *pool)
{
    return describe(pool, "dos");
}

/*
 * The kernel is told alone of the one partition, as libvirt's parted does it. Any process of the
 * machine may read the new partition for a moment, so that the kernel calls it busy.
 */
static void native_create(const char *pool, const char *volume, uint64_t size)
{
    const char *disk = disks[disk_of(pool)];
    g_autofree char *line =
        g_strdup_printf(AGAIN "echo size=%" G_GUINT64_FORMAT "KiB | "
                              "sfdisk -q --append --no-reread --no-tell-kernel \"$1\" && "
                              "again partx -u \"$1\"; "
                              "sfdisk -q -l -o Device \"$1\" | sed -n '$p'",
                        size / CST_KIB);
    g_autofree char *node = word(line, disk, "");
    g_autofree char *name = NULL;

    if (!node)
        fail_msg("sfdisk made no partition on %s", disk);
    name = g_path_get_basename(node);
    give(pool, volume, name);
}

static void native_delete(const char *pool, const char *volume)
{
    g_autofree char *partition = partition_of(pool, volume);

    g_strfreev(site_shell(AGAIN "sfdisk -q --delete --no-reread --no-tell-kernel \"$1\" "
                                "\"${2##*p}\" && again delpart \"$1\" \"${2##*p}\"",
                          disks[disk_of(pool)], partition));
}

static int compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char **native_list(const char *pool)
{
    g_auto(GStrv) nodes =
        site_shell("sfdisk -q -l -o Device \"$1\" 2>/dev/null | sed 1d", disks[disk_of(pool)], "");
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (char **node = nodes; *node && **node; node++) {
        g_autofree char *partition = g_path_get_basename(*node);
        char *name = volume_of(pool, partition);

        g_ptr_array_add(names, name ? name : g_strdup(partition));
    }
    g_ptr_array_sort(names, compare);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

static char *only_name(const char *pool, guint number)
{
    return g_strdup_printf("%sp%u", strrchr(disks[disk_of(pool)], '/') + 1, number);
}

static void hold(const char *pool, const char *volume)
{
    g_autofree char *partition = partition_of(pool, volume);
    g_autofree char *path = g_build_filename("/dev", partition, NULL);

    site_hold(path);
}

static void let_go(const char *pool, const char *volume)
{
    site_release();
}

#define DISK_CALLS                                                                               \
    .format = "raw", .mark = "none",                                                             \
    .flags = GROUND_NEEDS_BUILD | GROUND_DELETES_ALL | GROUND_RESIZES | GROUND_NO_DRAFTS,        \
    .set_up = set_up, .tear_down = tear_down, .clean = clean, .native_create = native_create,    \
    .native_delete = native_delete, .native_list = native_list, .hold = hold, .release = let_go, \
    .only_name = only_name

static const Ground gpt_ground = {.name = "disk-gpt", .pool_xml = gpt_xml, DISK_CALLS};
/* Primary partitions only. */
static const Ground dos_ground = {.name = "disk-dos", .pool_xml = dos_xml, .room = 4, DISK_CALLS};

const Ground *const grounds[] = {&gpt_ground, &dos_ground, NULL};
