/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens a pool's disk, and verifies its identity and the type of its table. The table is read at
 * each open, which takes a millisecond, so that no change by another tool is missed. The identity
 * is the label's identifier and the disk's serial number, if the disk has them.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <pool/device.h>

/* udev holds the lock during its probe of a disk, other tools during a change. */
#define LOCK_WAIT_US (30 * G_TIME_SPAN_SECOND)

void disk_access_clear(DiskAccess *access)
{
    if (access->changes)
        disk_seen_forget(access->changes);
    access->changes = NULL;
    disk_device_clear(&access->device);
    cst_fd_clear(&access->fd);
    g_clear_pointer(&access->table, disk_table_free);
}

const char *disk_wanted_label(const CstPoolDef *def)
{
    const char *name = cst_pool_format_name(CST_POOL_DISK, def->source.format);

    return !name || strcmp(name, "unknown") == 0 ? "dos" : name;
}

static gboolean any_label(const CstPoolDef *def)
{
    return g_strcmp0(cst_pool_format_name(CST_POOL_DISK, def->source.format), "unknown") == 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

static gboolean disk_access_open_device(CstPoolState *state, DiskAccess *access, GError **error)
{
    access->fd = -1;
    access->ops = disk_label_ops(disk_wanted_label(state->def), error);
    if (!access->ops || !disk_device_find(state->def, &access->device, error))
        return FALSE;
    access->fd = cst_node_open(access->device.node, O_RDONLY);
    if (access->fd < 0)
        return cst_fail_errno(error, errno, _("cannot open device '%s'"), access->device.node);
    return TRUE;
}

static gboolean lock_disk(const DiskAccess *access, GError **error)
{
    g_autofree char *busy =
        g_strdup_printf(_("another program keeps device '%s' locked"), access->device.node);

    CST_TEST_POINT("disk.lock");
    return cst_flock_wait(access->fd, access->device.node, LOCK_WAIT_US, busy, error);
}

/* Fails with libvirt's messages. */
static gboolean refuse_label(const DiskAccess *access, const char *wanted, GError **error)
{
    const char *node = access->device.node;
    g_autofree char *found = NULL;

    if (!access->table && !cst_device_signature(node, &found, error))
        return FALSE;
    if (!access->table && !found)
        return cst_fail(error, CST_ERROR_PROBE, _("Device '%s' is unrecognized, requires build"),
                        node);
    return cst_fail(error, CST_ERROR_STATE,
                    _("Format of device '%s' ('%s') does not match the expected format '%s'"), node,
                    found ? found : access->table->label, wanted);
}

static gboolean disk_access_read_table(CstPoolState *state, DiskAccess *access, GError **error)
{
    const char *wanted = disk_wanted_label(state->def);

    if (!access->ops->read(access->fd, access->device.node, &access->table, error))
        return FALSE;
    if (!access->table || (!any_label(state->def) && strcmp(access->table->label, wanted) != 0))
        return refuse_label(access, wanted, error);
    return TRUE;
}

/* --- identity --------------------------------------------------------------------------------- */

static gboolean refuse_other(const CstPoolState *state, const DiskAccess *access, const char *what,
                             const char *is, const char *was, GError **error)
{
    return cst_fail(error, CST_ERROR_STATE,
                    _("'%s' is another disk than the one that pool '%s' was started on: its %s is "
                      "'%s', and was '%s'; stop the pool, and start it if that is meant"),
                    access->device.node, state->def->name, what, is ? is : "", was);
}

static gboolean check_identity(CstPoolState *state, const DiskAccess *access, GError **error)
{
    DiskState *disk = DISK(state);
    g_autofree char *serial =
        disk->serial ? cst_device_property(access->device.number, "ID_SERIAL") : NULL;

    if (disk->id && g_strcmp0(access->table->id, disk->id) != 0)
        return refuse_other(state, access, _("label's identifier"), access->table->id, disk->id,
                            error);
    /* udev may not have processed the disk yet, so a missing serial number is accepted. */
    if (serial && strcmp(serial, disk->serial) != 0)
        return refuse_other(state, access, _("serial number"), serial, disk->serial, error);
    return TRUE;
}

gboolean disk_access_open(CstPoolState *state, DiskAccess *ret_access, GError **error)
{
    return disk_access_open_device(state, ret_access, error) &&
           disk_access_read_table(state, ret_access, error) &&
           check_identity(state, ret_access, error);
}

gboolean disk_access_lock(CstPoolState *state, DiskAccess *ret_access, GError **error)
{
    ret_access->changes = DISK(state);
    return disk_access_open_device(state, ret_access, error) && lock_disk(ret_access, error) &&
           disk_access_read_table(state, ret_access, error) &&
           check_identity(state, ret_access, error);
}

/* Returns "id=… serial=…"; missing values are empty. */
char *disk_identity(CstPoolState *state, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};
    g_autofree char *serial = NULL;

    if (!disk_access_open(state, &access, error))
        return NULL;
    serial = cst_device_property(access.device.number, "ID_SERIAL");
    return g_strdup_printf("id=%s serial=%s\n", access.table->id ? access.table->id : "",
                           serial ? serial : "");
}

/* Parses a line of disk_identity() as the expected identity. */
static void expect_line(DiskState *disk, const char *line)
{
    const char *serial = line ? strstr(line, " serial=") : NULL;

    g_clear_pointer(&disk->id, g_free);
    g_clear_pointer(&disk->serial, g_free);
    if (!serial || !g_str_has_prefix(line, "id="))
        return;
    disk->id = g_strndup(line + 3, (gsize)(serial - line) - 3);
    disk->serial = g_strchomp(g_strdup(serial + strlen(" serial=")));
    if (!*disk->id)
        g_clear_pointer(&disk->id, g_free);
    if (!*disk->serial)
        g_clear_pointer(&disk->serial, g_free);
}

/*
 * A start accepts another disk with a table of the right type. From then on, this disk is expected.
 */
gboolean disk_expect(CstPoolState *state, const char *recorded, gboolean starting, GError **error)
{
    g_autofree char *line = NULL;

    DISK(state)->known = TRUE;
    expect_line(DISK(state), starting ? NULL : recorded);
    if (!starting)
        return TRUE;
    line = disk_identity(state, error);
    expect_line(DISK(state), line);
    return line != NULL;
}

/* --- changing --------------------------------------------------------------------------------- */

gboolean disk_change(DiskAccess *access, const DiskChange *change, GError **error)
{
    g_autoptr(DiskTable) now = NULL;

    if (!access->ops->change(access->device.node, access->table, change, error))
        return FALSE;
    CST_CRASH_POINT("disk.change.written");
    return access->ops->read(access->fd, access->device.node, &now, error) &&
           (!now || disk_show(&access->device, access->fd, now, error));
}

/* If the table cannot be read, the table from before the change is the best approximation. */
void disk_follow(DiskAccess *access)
{
    g_autoptr(DiskTable) now = NULL;

    CST_TEST_POINT("disk.change.failed");
    access->ops->read(access->fd, access->device.node, &now, NULL);
    disk_show(&access->device, access->fd, now ? now : access->table, NULL);
}

/* Opens any partition of the disk. Returns -1 if it has no partition that can be opened. */
static int disk_open_any_partition(const DiskAccess *access)
{
    g_autoptr(GArray) shown = disk_shown(&access->device);

    for (guint i = 0; i < shown->len; i++) {
        g_autofree char *node =
            disk_partition_node(&access->device, g_array_index(shown, DiskShown, i).number);
        int fd = cst_node_open(node, O_RDONLY);

        if (fd >= 0)
            return fd;
    }
    return -1;
}

/*
 * After a writer closes a disk's node, udev makes the kernel read the table again. All nodes of
 * partitions then disappear and return, unless one of them is open. Therefore one partition is kept
 * open. Our own writes use a node that udev does not watch, if possible (cst_node_open_aside()).
 */
void disk_access_settle(DiskAccess *access)
{
    g_auto(CstFd) held = disk_open_any_partition(access);
    DiskState *changed = access->changes;

    disk_access_clear(access);
    cst_device_settle(NULL, NULL, NULL);
    if (changed)
        disk_seen_forget(changed);
}

gboolean disk_complete(CstPoolState *state, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};

    if (!disk_access_lock(state, &access, error) ||
        (access.ops->repair && !access.ops->repair(access.device.node, error)) ||
        !disk_show(&access.device, access.fd, access.table, error))
        return FALSE;
    disk_access_settle(&access);
    return TRUE;
}
