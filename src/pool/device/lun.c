/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The LUNs of a SCSI host, from sysfs:
 *
 *     /sys/bus/scsi/devices/HOST:CHANNEL:TARGET:LUN/   type, state, wwid
 *                                          …/block/sdb/   dev ("8:16"), size (sectors)
 *
 * The number of a host depends on the order in which the kernel finds the hosts. Therefore a
 * volume's name contains only the rest of the address, and its path is a link of udev. A LUN has no
 * block directory until the kernel has created its disk. Until then the LUN is no volume.
 */
#include <pool/attached.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <pool/device.h>

#define SCSI_DEVICES "/sys/bus/scsi/devices"

/* Peripheral device types of SCSI. */
#define TYPE_DISK    0
#define TYPE_OPTICAL 5

/* The wait for disks and names to appear after a rescan. */
#define APPEAR_US   (5 * G_TIME_SPAN_SECOND)
#define APPEAR_STEP (100 * G_TIME_SPAN_MILLISECOND)

typedef struct {
    unsigned channel;
    unsigned target;
    uint64_t lun;
    char *dir; /* in sysfs */
} Address;

static void address_clear(gpointer data)
{
    g_free(((Address *)data)->dir);
}

static gint compare_addresses(gconstpointer a, gconstpointer b)
{
    const Address *x = a, *y = b;

    if (x->channel != y->channel)
        return x->channel < y->channel ? -1 : 1;
    if (x->target != y->target)
        return x->target < y->target ? -1 : 1;
    return x->lun < y->lun ? -1 : x->lun > y->lun;
}

/* Returns whether libvirt would make a volume of the device. */
static gboolean is_disk(const char *dir)
{
    g_autofree char *type = cst_sysfs_read(dir, "type");
    guint64 number;

    return type && g_ascii_string_to_unsigned(type, 10, 0, G_MAXUINT8, &number, NULL) &&
           (number == TYPE_DISK || number == TYPE_OPTICAL);
}

/* Returns the disks of @host as a sorted array of Address. */
static GArray *addresses_of(unsigned host)
{
    g_auto(GStrv) names = cst_kernel_list(SCSI_DEVICES);
    GArray *addresses = g_array_new(FALSE, TRUE, sizeof(Address));

    g_array_set_clear_func(addresses, address_clear);
    for (char **name = names; *name; name++) {
        g_autofree char *dir = g_build_filename(SCSI_DEVICES, *name, NULL);
        Address address;
        unsigned of;
        int len = 0;

        if (sscanf(*name, "%u:%u:%u:%" SCNu64 "%n", &of, &address.channel, &address.target,
                   &address.lun, &len) != 4 ||
            (*name)[len] != '\0' || of != host || !is_disk(dir))
            continue;
        address.dir = g_steal_pointer(&dir);
        g_array_append_val(addresses, address);
    }
    g_array_sort(addresses, compare_addresses);
    return addresses;
}

/* --- stable names ----------------------------------------------------------------------------- */

/* Maps each block device with a name in @dir to its alphabetically first name. */
static GHashTable *names_in(const char *dir)
{
    GHashTable *names = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    g_auto(GStrv) entries = cst_kernel_list(dir);

    for (char **entry = entries; *entry; entry++) {
        g_autofree char *path = g_build_filename(dir, *entry, NULL);
        const char *other;
        struct stat st;
        gint64 device;

        if (!cst_node_stat(path, &st) || !S_ISBLK(st.st_mode))
            continue;
        device = (gint64)st.st_rdev;
        other = g_hash_table_lookup(names, &device);
        if (!other || strcmp(path, other) < 0)
            g_hash_table_replace(names, g_memdup2(&device, sizeof(device)), g_steal_pointer(&path));
    }
    return names;
}

/* Returns whether the LUN of block device @device has @wwid. */
static gboolean is_lun(gint64 device, const char *wwid)
{
    g_autofree char *dir = cst_sysfs_block((dev_t)device);
    g_autofree char *other = cst_sysfs_read(dir, "device/wwid");

    return other && strcmp(other, wwid) == 0;
}

/*
 * Returns the stable path. Two sessions with one portal share the names below by-path. These names
 * then lead to the other session's device. It is the same LUN, so the name is valid for both
 * devices.
 */
static const char *lasting_path(GHashTable *names, dev_t device, const char *dir)
{
    gint64 key = (gint64)device;
    const char *path = g_hash_table_lookup(names, &key);
    g_autofree char *wwid = path ? NULL : cst_sysfs_read(dir, "wwid");
    GHashTableIter iter;
    gpointer other, name;

    if (path || !wwid || !*wwid)
        return path;
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &other, &name))
        if (is_lun(*(gint64 *)other, wwid) && (!path || strcmp(name, path) < 0))
            path = name;
    return path;
}

/* --- keys ------------------------------------------------------------------------------------- */

/*
 * Returns the LUN's serial as libvirt shows it. libvirt runs udev's scsi_id, which prints the
 * number of the designator's type before its digits. udev's own rules may prefer another designator
 * (the rules of sg3-utils do). Therefore udev's serial is used only if the LUN has no designator of
 * these types.
 */
static char *lun_key(const CstAttached *lun, const char *dir)
{
    static const struct {
        const char *prefix;
        const char *type;
    } types[] = {{"naa.", "3"}, {"eui.", "2"}};
    g_autofree char *wwid = cst_sysfs_read(dir, "wwid");

    for (size_t i = 0; wwid && i < G_N_ELEMENTS(types); i++)
        if (g_str_has_prefix(wwid, types[i].prefix))
            return g_strconcat(types[i].type, wwid + strlen(types[i].prefix), NULL);
    return cst_device_property(lun->device, "ID_SERIAL");
}

/* --- one LUN ---------------------------------------------------------------------------------- */

/* Returns the directory of the LUN's disk in sysfs, or NULL if it has no disk yet. */
static char *block_dir(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "block", NULL);
    g_auto(GStrv) names = cst_kernel_list(path);

    return *names ? g_build_filename(path, *names, NULL) : NULL;
}

static gboolean lun_set_block(CstAttached *lun, const char *block)
{
    g_autofree char *name = g_path_get_basename(block);

    lun->node = g_build_filename("/dev", name, NULL);
    return cst_sysfs_device(block, &lun->device) && cst_sysfs_bytes(block, "size", &lun->size);
}

/*
 * In the states "blocked" and "quiesce" the kernel waits for the transport, and reads wait too.
 * They are no problem.
 */
static char *lun_problem(const char *dir)
{
    static const char *const fine[] = {"running", "blocked", "quiesce", "transport-quiesce", NULL};
    g_autofree char *state = cst_sysfs_read(dir, "state");

    if (!state || g_strv_contains(fine, state))
        return NULL;
    return g_strdup_printf(_("the kernel has the device in state '%s'"), state);
}

static void lun_set_path(CstAttached *lun, GHashTable *names, const Address *address,
                         const char *target)
{
    const char *path;

    if (strcmp(target, "/dev") == 0) {
        lun->path = g_strdup(lun->node);
        return;
    }
    path = lasting_path(names, lun->device, address->dir);
    lun->path = g_strdup(path ? path : lun->node);
    if (!path && !lun->problem)
        lun->problem = g_strdup_printf(_("udev has no name for '%s' in '%s', and the one it has "
                                         "may mean another disk tomorrow"),
                                       lun->node, target);
}

void cst_luns_find(unsigned host, const char *target, GPtrArray *found)
{
    g_autoptr(GArray) addresses = addresses_of(host);
    g_autoptr(GHashTable) names = names_in(target);

    for (guint i = 0; i < addresses->len; i++) {
        const Address *address = &g_array_index(addresses, Address, i);
        g_autofree char *block = block_dir(address->dir);
        CstAttached *lun;

        if (!block)
            continue;
        lun = cst_attached_add(found);
        lun->name =
            g_strdup_printf("unit:%u:%u:%" PRIu64, address->channel, address->target, address->lun);
        if (!lun_set_block(lun, block)) { /* the disk was removed just now */
            g_ptr_array_set_size(found, (int)found->len - 1);
            continue;
        }
        lun->problem = lun_problem(address->dir);
        lun_set_path(lun, names, address, target);
        lun->key = lun_key(lun, address->dir);
    }
}

/* --- rescan ----------------------------------------------------------------------------------- */

static gboolean all_have_disks(unsigned host)
{
    g_autoptr(GArray) addresses = addresses_of(host);

    for (guint i = 0; i < addresses->len; i++) {
        g_autofree char *block = block_dir(g_array_index(addresses, Address, i).dir);

        if (!block)
            return FALSE;
    }
    return TRUE;
}

/*
 * The scan in cst_luns_rescan() finds only new LUNs. This write makes each known LUN read its size
 * again.
 */
static void rescan_known(unsigned host)
{
    g_autoptr(GArray) addresses = addresses_of(host);

    for (guint i = 0; i < addresses->len; i++) {
        g_autofree char *path =
            g_build_filename(g_array_index(addresses, Address, i).dir, "rescan", NULL);

        cst_kernel_write(path, "1");
    }
}

gboolean cst_luns_rescan(unsigned host, CstTask *task, GError **error)
{
    g_autofree char *scan = g_strdup_printf("/sys/class/scsi_host/host%u/scan", host);
    gint64 end = g_get_monotonic_time() + APPEAR_US;

    rescan_known(host);
    if (!cst_kernel_write(scan, "- - -")) /* any channel, target and LUN */
        return cst_fail_errno(error, errno, _("cannot have SCSI host %u look for devices"), host);
    while (!all_have_disks(host) && g_get_monotonic_time() < end) {
        if (!cst_task_check(task, error))
            return FALSE;
        g_usleep(APPEAR_STEP);
    }
    return cst_device_settle(NULL, task, error);
}
