/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates and opens volumes. A volume exists once its entry is in the table. Before that, a claim,
 * which ends with its process, and bytes in free space exist. Therefore a killed process leaves no
 * draft. A process that is killed right after the write of the table leaves a volume that the
 * kernel does not know. The replay of the intent or the start of the pool repairs this.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/units.h>

/* File systems, RAIDs and tables have their signatures at both ends. */
#define SIGNATURE_BYTES CST_MIB

static CstBlob *open_node(const char *node, gboolean writable, GError **error)
{
    int fd = cst_node_open(node, writable ? O_RDWR : O_RDONLY);

    if (fd >= 0)
        return cst_blob_file_new(fd, node, writable, error);
    cst_fail_errno(error, errno, _("cannot open volume '%s'"), node);
    return NULL;
}

CstBlob *disk_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};
    g_autofree char *node = NULL;
    g_autoptr(GArray) shown = NULL;
    const DiskPartition *partition;

    if (!disk_access_open(state, &access, error))
        return NULL;
    partition = disk_table_find(access.table, disk_number_of(&access.device, name));
    if (!partition || partition->reserved) {
        cst_fail_no_volume(name, error);
        return NULL;
    }
    if (partition->kind == DISK_EXTENDED) {
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("'%s' is an extended partition and has no content of its own"), name);
        return NULL;
    }
    shown = disk_shown(&access.device);
    node = disk_partition_node(&access.device, partition->number);
    if (!access.device.mapped && !disk_is_shown(shown, partition)) {
        cst_fail(error, CST_ERROR_STATE,
                 _("the kernel does not have '%s' as the partition table does; 'partx -u %s' "
                   "mends that"),
                 name, access.device.node);
        return NULL;
    }
    return open_node(node, writable, error);
}

/* --- creation --------------------------------------------------------------------------------- */

static gboolean disk_check_def(const CstVolDef *def, GError **error)
{
    if (def->encryption)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("storage pool does not support encrypted volumes"));
    if (def->backing)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a partition can't have a backing store; leave <backingStore> out"));
    if (def->capacity == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' has no capacity"), def->name);
    return TRUE;
}

/*
 * Refuses another name than the expected one before the creation. libvirt creates the partition and
 * then removes it.
 */
static gboolean disk_check_name(const DiskAccess *access, const char *name, guint number,
                                GError **error)
{
    g_autofree char *expected = disk_partition_name(&access->device, number);

    return strcmp(name, expected) == 0 ||
           cst_fail(error, CST_ERROR_INVALID, _("invalid partition name '%s', expected '%s'"), name,
                    expected);
}

/* Returns the definition's mark, or the default one; static. */
static const char *disk_def_mark(const CstVolDef *def)
{
    const char *const *mark = cst_pool_type_info(CST_POOL_DISK)->volume_marks;

    while (*mark && g_strcmp0(*mark, def->mark) != 0)
        mark++;
    return *mark ? *mark : cst_pool_type_info(CST_POOL_DISK)->default_volume_format;
}

/* Chooses the number, kind and start. @fd shows the claims of other drafts. */
static gboolean disk_choose_partition(const DiskAccess *access, int fd, const CstVolDef *def,
                                      DiskPartition *ret_wanted, GError **error)
{
    const DiskTable *table = access->table;
    g_autoptr(GArray) numbers = g_array_new(FALSE, TRUE, sizeof(guint));
    g_autoptr(GArray) extents = g_array_new(FALSE, TRUE, sizeof(CstDeviceExtent));
    uint64_t size = cst_round_up(def->capacity, table->step);
    DiskPartition wanted = {.mark = disk_def_mark(def)};

    disk_claims(fd, table, numbers, extents);
    if (!disk_table_next(table, strcmp(wanted.mark, "extended") == 0, numbers, &wanted.number,
                         &wanted.kind, error) ||
        !disk_check_name(access, def->name, wanted.number, error) ||
        !disk_table_place(table, wanted.kind, size, extents, &wanted.start, error))
        return FALSE;
    wanted.end = wanted.start + size;
    *ret_wanted = wanted;
    return TRUE;
}

/*
 * Clears old signatures, because udev and other tools would find them when the partition appears.
 */
static gboolean clear_signatures(CstBlob *blob, GError **error)
{
    uint64_t size, part;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    part = MIN(SIGNATURE_BYTES, size);
    return cst_blob_zero(blob, 0, part, 0, error) &&
           cst_blob_zero(blob, size - part, part, 0, error);
}

gboolean disk_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                          GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};
    g_auto(CstFd) fd = -1;
    DiskPartition wanted;

    if (!disk_check_def(def, error) || !disk_access_lock(state, &access, error))
        return FALSE;
    fd = cst_node_open(access.device.node, O_RDONLY);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot open device '%s'"), access.device.node);
    if (!disk_choose_partition(&access, fd, def, &wanted, error) || !cst_may_change(error) ||
        !disk_claim(fd, &wanted, error))
        return FALSE;
    draft->blob = disk_draft_new(g_steal_fd(&fd), access.device.node, &wanted, error);
    CST_CRASH_POINT("disk.reserve.claimed");
    return draft->blob && clear_signatures(draft->blob, error);
}

/* Another tool, which ignores our claims, may have created a partition there. */
static gboolean check_still_free(const DiskAccess *access, const DiskPartition *wanted,
                                 const char *name, GError **error)
{
    if (disk_table_find(access->table, wanted->number))
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", name);
    if (!disk_table_is_free(access->table, wanted->kind, wanted->start, wanted->end))
        return cst_fail(error, CST_ERROR_BUSY,
                        _("another program has made a partition where volume '%s' was being "
                          "written; create it again"),
                        name);
    return TRUE;
}

/*
 * Undoes a failed commit: removes the partition from the table, if it was already written. The
 * caller reports that no volume was created.
 */
static void disk_commit_undo(DiskAccess *access, const DiskPartition *made)
{
    const DiskChange change = {.action = DISK_REMOVE, .partition = *made};
    g_autoptr(DiskTable) now = NULL;
    const DiskPartition *found = NULL;

    CST_TEST_POINT("disk.commit.failed");
    if (access->ops->read(access->fd, access->device.node, &now, NULL) && now)
        found = disk_table_find(now, made->number);
    if (found && found->start == made->start && found->end == made->end &&
        disk_hide(&access->device, access->fd, made->number, NULL))
        access->ops->change(access->device.node, now, &change, NULL);
    disk_follow(access);
}

/* Closes the draft's descriptors of the disk under the lock, before udev reads the table. */
gboolean disk_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                         GError **error)
{
    const DiskPartition *wanted = disk_draft_partition(draft->blob);
    g_auto(DiskAccess) access = {.fd = -1};
    DiskChange change = {.action = DISK_ADD};

    if (!wanted)
        return cst_fail(error, CST_ERROR_INTERNAL, "the draft of '%s' is none of a disk",
                        def->name);
    change.partition = *wanted;
    if (!cst_blob_flush(draft->blob, error) || !disk_access_lock(state, &access, error) ||
        !check_still_free(&access, wanted, def->name, error))
        return FALSE;
    CST_CRASH_POINT("disk.commit.synced");
    if (!disk_change(&access, &change, error)) {
        disk_commit_undo(&access, wanted);
        return FALSE;
    }
    CST_CRASH_POINT("disk.commit.shown");
    disk_draft_close(draft->blob);
    disk_access_settle(&access);
    return TRUE;
}

/* --- after a crash ---------------------------------------------------------------------------- */

gboolean disk_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    CST_TEST_POINT("disk.abandon");
    return disk_complete(state, error);
}

/*
 * Ignores BUSY, so that a removed partition that is still in use does not block the rest of the
 * pool.
 */
gboolean disk_drop_drafts(CstPoolState *state, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (disk_complete(state, &why))
        return TRUE;
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_BUSY)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    cst_log(CST_LOG_WARNING, "pool '%s': %s", state->def->name, why->message);
    return TRUE;
}
