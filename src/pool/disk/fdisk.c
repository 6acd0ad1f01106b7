/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables of type gpt and dos, by libfdisk.
 *
 * State after a kill or a power cut: O_DSYNC ensures that the writes of libfdisk reach the disk in
 * their order. For a GPT, libfdisk writes the backup's entries, the backup's header, the primary
 * entries and the primary header. At each point in time at least one copy is complete, and contains
 * the old or the new table. If the primary copy is half written, libfdisk uses the backup, but the
 * kernel would show no partitions. Therefore the next start of the pool completes it (repair). A
 * change of a dos table is one sector, except for a new logical partition. For it, its own link is
 * zeroed first, so that the chain ends there. Then libfdisk writes the link that leads to it, and
 * then its own link.
 */
#include "label.h"

#include <errno.h>
#include <fcntl.h>
#include <libfdisk_library.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>

typedef struct fdisk_context Context;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Context, fdisk_unref_context)
typedef struct fdisk_table Listing;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Listing, fdisk_unref_table)
typedef struct fdisk_partition Partition;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Partition, fdisk_unref_partition)
typedef struct fdisk_parttype PartType;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PartType, fdisk_unref_parttype)

/* A dos table has sector numbers of 32 bits. */
#define DOS_SECTORS (UINT64_C(1) << 32)
#define DOS_PRIMARY 4

/* --- marks ------------------------------------------------------------------------------------ */

/*
 * Maps marks to partition types and back. The first matching row counts. "none" is the mark of
 * documents without one, and means Linux data, as in libvirt.
 */
static const struct {
    const char *mark;
    const char *gpt;
    unsigned dos;
} marks[] = {
    {"none", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", 0x83},
    {"linux", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", 0x83},
    {"fat32", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", 0x0c},
    {"fat32", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", 0x0b},
    {"fat16", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", 0x06},
    {"fat16", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", 0x0e},
    {"fat16", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", 0x04},
    {"linux-swap", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", 0x82},
    {"linux-lvm", "E6D6D379-F507-44C2-A23C-238F2A3DF928", 0x8e},
    {"linux-raid", "A19D880F-05FC-4D3B-A006-743F0F84911E", 0xfd},
    {"extended", NULL, 0x0f},
};

static const char *fdisk_type_mark(const PartType *type)
{
    const char *text = fdisk_parttype_get_string(type);

    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
        if (text ? g_strcmp0(text, marks[i].gpt) == 0
                 : fdisk_parttype_get_code(type) == marks[i].dos)
            return marks[i].mark;
    return "none";
}

/* Returns a new reference to the type for @mark. */
static PartType *type_of(const struct fdisk_label *label, const char *mark)
{
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++) {
        if (strcmp(marks[i].mark, mark) != 0)
            continue;
        if (!fdisk_label_has_code_parttypes(label))
            return fdisk_label_parse_parttype(label, marks[i].gpt);
        return fdisk_new_unknown_parttype(marks[i].dos, NULL);
    }
    return NULL;
}

/* --- a context -------------------------------------------------------------------------------- */

/*
 * Collects the warnings of libfdisk for the error message. libfdisk asks no questions, because its
 * dialogs are off. Its messages about success are ignored.
 */
static int fdisk_collect_warning(struct fdisk_context *context, struct fdisk_ask *ask, void *said)
{
    int type = fdisk_ask_get_type(ask);

    if (type == FDISK_ASKTYPE_WARN || type == FDISK_ASKTYPE_WARNX)
        g_string_append_printf(said, "%s%s", ((GString *)said)->len > 0 ? " " : "",
                               fdisk_ask_print_get_mesg(ask));
    return 0;
}

/*
 * Opens a context. The caller keeps the ownership of the descriptor. @said collects warnings.
 * Returns NULL with @error on failure.
 */
static Context *context_open(int fd, const char *node, gboolean writable, GString *said,
                             GError **error)
{
    g_autoptr(Context) context = NULL;
    int result;

    if (!cst_library_load(&cst_libfdisk_library, error))
        return NULL;
    context = fdisk_new_context();
    result = context ? fdisk_disable_dialogs(context, 1) : -ENOMEM;
    if (result == 0)
        result = fdisk_set_ask(context, fdisk_collect_warning, said);
    if (result == 0)
        result = fdisk_assign_device_by_fd(context, fd, node, !writable);
    if (result == 0)
        return g_steal_pointer(&context);
    cst_fail_errno(error, -result, _("cannot read the partition table of '%s'"), node);
    return NULL;
}

/*
 * Sets the error of a refused change. @result is libfdisk's result, a negative errno. Always
 * returns FALSE.
 */
static gboolean fdisk_fail_change(int result, const char *node, const GString *said, GError **error)
{
    if (result == -ENOSPC || result == -ERANGE)
        return cst_fail(error, CST_ERROR_NO_SPACE,
                        _("the partition table of '%s' has no place for it: %s"), node,
                        said->len > 0 ? said->str : g_strerror(-result));
    if (said->len > 0)
        return cst_fail(error, CST_ERROR_FAILED, _("cannot change the partition table of '%s': %s"),
                        node, said->str);
    return cst_fail_errno(error, -result, _("cannot change the partition table of '%s'"), node);
}

/* --- reading ---------------------------------------------------------------------------------- */

static DiskKind fdisk_partition_kind(Partition *partition)
{
    if (fdisk_partition_is_container(partition))
        return DISK_EXTENDED;
    return fdisk_partition_is_nested(partition) ? DISK_LOGICAL : DISK_PRIMARY;
}

/* Fails with CORRUPT if an entry is outside of the disk, because of garbage or an enlarged file. */
static gboolean fdisk_parse_partition(DiskTable *table, Partition *from, const char *node,
                                      GError **error)
{
    uint64_t sectors = table->size / table->sector;
    uint64_t start = fdisk_partition_get_start(from), size = fdisk_partition_get_size(from);
    const PartType *type = fdisk_partition_get_type(from);
    const char *uuid = fdisk_partition_get_uuid(from);
    DiskPartition partition = {.number = (guint)fdisk_partition_get_partno(from) + 1,
                               .kind = fdisk_partition_kind(from),
                               .mark = type ? fdisk_type_mark(type) : "none"};

    if (!fdisk_partition_has_start(from) || !fdisk_partition_has_size(from) || size == 0 ||
        start >= sectors || size > sectors - start)
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("partition %u of '%s' does not lie on the disk; look with 'fdisk -l %s'"),
                        partition.number, node, node);
    if (uuid)
        g_strlcpy(partition.uuid, uuid, sizeof(partition.uuid));
    partition.start = start * table->sector;
    partition.end = (start + size) * table->sector;
    if (partition.kind == DISK_EXTENDED)
        partition.mark = "extended";
    g_array_append_val(table->partitions, partition);
    return TRUE;
}

static gboolean fdisk_read_partitions(DiskTable *table, Context *context, const char *node,
                                      GError **error)
{
    g_autoptr(Listing) listing = NULL;
    int result = fdisk_get_partitions(context, &listing);

    if (result != 0)
        return cst_fail_errno(error, -result, _("cannot read the partition table of '%s'"), node);
    for (size_t i = 0; i < fdisk_table_get_nents(listing); i++) {
        Partition *partition = fdisk_table_get_partition(listing, i);

        if (partition && fdisk_partition_is_used(partition) &&
            !fdisk_parse_partition(table, partition, node, error))
            return FALSE;
    }
    return TRUE;
}

/* The first item is the table itself. */
static void fdisk_read_links(DiskTable *table, Context *context)
{
    const char *name = NULL;
    uint64_t offset = 0;
    size_t size = 0;

    for (int i = 1; fdisk_locate_disklabel(context, i, &name, &offset, &size) == 0; i++)
        disk_extent_add(table->links, offset, offset + size, DISK_LOGICAL);
}

static gboolean is_dos(Context *context)
{
    return fdisk_is_labeltype(context, FDISK_DISKLABEL_DOS);
}

static DiskTable *table_of(Context *context, const char *node, GError **error)
{
    g_autoptr(DiskTable) table = disk_table_new();
    uint64_t sectors = fdisk_get_nsectors(context), last = fdisk_get_last_lba(context) + 1;
    char *id = NULL;

    table->label = is_dos(context) ? "dos" : "gpt";
    table->sector = table->step = fdisk_get_sector_size(context);
    table->size = sectors * table->sector;
    table->grain = MAX(fdisk_get_grain_size(context), table->sector);
    table->start = fdisk_get_first_lba(context) * table->sector;
    if (fdisk_get_disklabel_id(context, &id) == 0)
        table->id = id;
    if (is_dos(context)) {
        table->slots = DOS_PRIMARY;
        table->lead = table->start;
        last = MIN(last, DOS_SECTORS);
        fdisk_read_links(table, context);
    } else {
        table->slots = (guint)fdisk_get_npartitions(context);
    }
    table->end = MIN(last, sectors) * table->sector;
    if (!fdisk_read_partitions(table, context, node, error))
        return NULL;
    disk_table_complete(table);
    return g_steal_pointer(&table);
}

static gboolean fdisk_read(int fd, const char *node, DiskTable **ret_table, GError **error)
{
    g_autoptr(GString) said = g_string_new(NULL);
    g_autoptr(Context) context = context_open(fd, node, FALSE, said, error);

    *ret_table = NULL;
    if (!context)
        return FALSE;
    if (said->len > 0)
        cst_log(CST_LOG_DEBUG, "%s: %s", node, said->str);
    if (!fdisk_is_labeltype(context, FDISK_DISKLABEL_GPT) && !is_dos(context))
        return TRUE;
    *ret_table = table_of(context, node, error);
    return *ret_table != NULL;
}

/* --- changing --------------------------------------------------------------------------------- */

/*
 * Zeroes the new link, so that a chain that already leads to it ends there. This must happen before
 * libfdisk reads the disk, because libfdisk would follow an old chain there.
 */
static gboolean clear_link(int fd, const char *node, const DiskTable *table,
                           const DiskChange *change, GError **error)
{
    const DiskPartition *wanted = &change->partition;
    g_autofree char *zeroes = NULL;

    if (change->action != DISK_ADD || wanted->kind != DISK_LOGICAL)
        return TRUE;
    zeroes = g_malloc0(table->sector);
    return cst_pwrite_full(fd, zeroes, table->sector, wanted->start - table->lead, node, error);
}

static int fdisk_add_part(Context *context, const DiskTable *table, const DiskPartition *wanted)
{
    const struct fdisk_label *label = fdisk_get_label(context, NULL);
    g_autoptr(Partition) partition = fdisk_new_partition();
    g_autoptr(PartType) type = type_of(label, wanted->mark);
    size_t number = 0;
    int result;

    if (!partition || !type)
        return -ENOMEM;
    fdisk_partition_set_partno(partition, wanted->number - 1);
    fdisk_partition_set_start(partition, wanted->start / table->sector);
    fdisk_partition_set_size(partition, (wanted->end - wanted->start) / table->sector);
    fdisk_partition_size_explicit(partition, 1);
    fdisk_partition_set_type(partition, type);
    result = fdisk_add_partition(context, partition, &number);
    /* A partition under another number would be another volume. */
    return result == 0 && number != wanted->number - 1 ? -ERANGE : result;
}

static int fdisk_resize_part(Context *context, const DiskTable *table, const DiskPartition *wanted)
{
    g_autoptr(Partition) partition = fdisk_new_partition();

    if (!partition)
        return -ENOMEM;
    fdisk_partition_set_size(partition, (wanted->end - wanted->start) / table->sector);
    fdisk_partition_size_explicit(partition, 1);
    return fdisk_set_partition(context, wanted->number - 1, partition);
}

static int fdisk_apply_change(Context *context, const DiskTable *table, const DiskChange *change)
{
    switch (change->action) {
    case DISK_ADD: return fdisk_add_part(context, table, &change->partition);
    case DISK_REMOVE: return fdisk_delete_partition(context, change->partition.number - 1);
    default: return fdisk_resize_part(context, table, &change->partition);
    }
}

/*
 * Opens the disk so that each write reaches the disk before the next one begins. Returns -1 with
 * @error on failure.
 *
 * @aside: udev does not see the close, after which it would probe all partitions again. The kernel
 * reports new and removed partitions to udev.
 */
static int open_to_write(const char *node, gboolean aside, GError **error)
{
    int flags = O_RDWR | O_DSYNC;
    int fd = aside ? cst_node_open_aside(node, flags) : cst_node_open(node, flags);

    if (fd < 0)
        cst_fail_errno(error, errno, _("cannot open device '%s'"), node);
    return fd;
}

static gboolean fdisk_change(const char *node, const DiskTable *table, const DiskChange *change,
                             GError **error)
{
    /* The kernel reports no event for a new size, so udev must see the close. */
    g_auto(CstFd) fd = open_to_write(node, change->action != DISK_RESIZE, error);
    g_autoptr(GString) said = g_string_new(NULL);
    g_autoptr(Context) context = NULL;
    int result;

    if (fd < 0 || !clear_link(fd, node, table, change, error))
        return FALSE;
    context = context_open(fd, node, TRUE, said, error);
    if (!context)
        return FALSE;
    g_string_truncate(said, 0);
    result = fdisk_apply_change(context, table, change);
    if (result == 0)
        result = fdisk_write_disklabel(context);
    return result == 0 || fdisk_fail_change(result, node, said, error);
}

static gboolean fdisk_put_label(const char *node, const char *label, GError **error)
{
    g_auto(CstFd) fd = open_to_write(node, FALSE, error);
    g_autoptr(GString) said = g_string_new(NULL);
    g_autoptr(Context) context = fd >= 0 ? context_open(fd, node, TRUE, said, error) : NULL;
    int result;

    if (!context)
        return FALSE;
    result = fdisk_create_disklabel(context, label);
    if (result == 0)
        result = fdisk_write_disklabel(context);
    return result == 0 || fdisk_fail_change(result, node, said, error);
}

/* libfdisk marks a GPT as changed if it found one of its two copies damaged. */
static gboolean fdisk_repair(const char *node, GError **error)
{
    g_auto(CstFd) fd = open_to_write(node, TRUE, error);
    g_autoptr(GString) said = g_string_new(NULL);
    g_autoptr(Context) context = fd >= 0 ? context_open(fd, node, TRUE, said, error) : NULL;
    int result;

    if (!context)
        return FALSE;
    if (!fdisk_is_labeltype(context, FDISK_DISKLABEL_GPT) ||
        !fdisk_label_is_changed(fdisk_get_label(context, NULL)))
        return TRUE;
    cst_log(CST_LOG_INFO, "%s: %s It is being restored from the other copy.", node, said->str);
    result = fdisk_write_disklabel(context);
    return result == 0 || fdisk_fail_change(result, node, said, error);
}

const DiskLabelOps disk_fdisk = {
    .read = fdisk_read,
    .change = fdisk_change,
    .put_label = fdisk_put_label,
    .repair = fdisk_repair,
};
