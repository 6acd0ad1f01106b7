/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include <glib/gstdio.h>

#include <base/error.h>
#include <pool/device.h>

FakeDisk fake_disk;

static char *folder;
static guint opened; /* open descriptors of partitions while a settle is observed */
static int last_partition = -1;

/* --- the kernel ------------------------------------------------------------------------------- */

gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st);
int __wrap_cst_node_open(const char *path, int flags);
int __wrap_cst_node_open_aside(const char *path, int flags);
char *__wrap_cst_kernel_read(const char *path);
GStrv __wrap_cst_kernel_list(const char *path);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_flock(int fd, int operation);
int __real_flock(int fd, int operation);
int __wrap_fdatasync(int fd);
int __real_fdatasync(int fd);
int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);

static DiskShown *find_shown(guint number)
{
    for (guint i = 0; i < fake_disk.shown->len; i++)
        if (g_array_index(fake_disk.shown, DiskShown, i).number == number)
            return &g_array_index(fake_disk.shown, DiskShown, i);
    return NULL;
}

/* Returns the number of the partition with the node @path; 0: the disk itself, -1: no such node. */
static int partition_of(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    guint number = 0;

    if (fake_disk.gone)
        return -1;
    if (strcmp(name, fake_disk.name) == 0 || strcmp(name, "link") == 0 ||
        g_strcmp0(name, fake_disk.mapped) == 0)
        return 0;
    if (!g_str_has_prefix(name, fake_disk.name))
        return -1;
    name += strlen(fake_disk.name);
    number = (guint)strtoul(name + (*name == 'p'), NULL, 10);
    return number > 0 && find_shown(number) ? (int)number : -1;
}

gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st)
{
    int number = partition_of(path);

    errno = ENOENT;
    if (number < 0)
        return FALSE;
    *ret_st = (struct stat){.st_mode = S_IFBLK | (fake_disk.mode ? fake_disk.mode : 0660),
                            .st_rdev = makedev(8, 16 + number)};
    return TRUE;
}

static int open_disk(int flags)
{
    if (++fake_disk.opened == fake_disk.open_fails) {
        errno = EIO;
        return -1;
    }
    return g_open(fake_disk.file, (flags & ~O_EXCL) | O_CLOEXEC, 0);
}

int __wrap_cst_node_open(const char *path, int flags)
{
    int number = partition_of(path);

    errno = ENOENT;
    if (number < 0)
        return -1;
    /* The probe runs in its own thread at any time. It is not counted and does not get the file. */
    if (flags & O_DIRECT)
        return g_open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
    if (number > 0)
        return last_partition = g_open("/dev/null", flags | O_CLOEXEC, 0);
    fake_disk.watched += (flags & O_ACCMODE) != O_RDONLY;
    return open_disk(flags);
}

int __wrap_cst_node_open_aside(const char *path, int flags)
{
    fake_disk.aside++;
    if (partition_of(path) == 0)
        return open_disk(flags);
    errno = ENOENT;
    return -1;
}

/* For paths like "/sys/block/sdx/sdx1/start". */
static char *of_partition(const char *path)
{
    g_autofree char *what = g_path_get_basename(path), *node = g_path_get_dirname(path);
    int number = g_str_has_prefix(path, "/sys/block/") ? partition_of(node) : -1;
    const DiskShown *one = number > 0 ? find_shown((guint)number) : NULL;

    if (!one)
        return NULL;
    if (strcmp(what, "partition") == 0)
        return g_strdup_printf("%d\n", number);
    if (strcmp(what, "start") == 0)
        return g_strdup_printf("%" G_GUINT64_FORMAT "\n", one->start / 512);
    return strcmp(what, "size") == 0 ? g_strdup_printf("%" G_GUINT64_FORMAT "\n", one->size / 512)
                                     : NULL;
}

char *__wrap_cst_kernel_read(const char *path)
{
    unsigned number = 0;
    char what[16] = "";

    if (sscanf(path, "/sys/dev/block/8:%u/%15s", &number, what) != 2)
        return of_partition(path);
    if (strcmp(what, "dm/name") == 0)
        return number == 16 && fake_disk.mapped ? g_strconcat(fake_disk.mapped, "\n", NULL) : NULL;
    if (strcmp(what, "uevent") != 0)
        return NULL;
    if (number == 16)
        return g_strdup_printf("MAJOR=8\nDEVNAME=%s\nDEVTYPE=%s\n",
                               fake_disk.mapped ? "dm-3" : fake_disk.name, fake_disk.type);
    return g_strdup_printf("MAJOR=8\nDEVNAME=%s%u\nDEVTYPE=partition\n", fake_disk.name,
                           number - 16);
}

GStrv __wrap_cst_kernel_list(const char *path)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    const char *separator = g_ascii_isdigit(fake_disk.name[strlen(fake_disk.name) - 1]) ? "p" : "";

    g_strv_builder_add(names, "queue");
    for (guint i = 0; g_str_has_prefix(path, "/sys/block/") && i < fake_disk.shown->len; i++) {
        g_autofree char *name =
            g_strdup_printf("%s%s%u", fake_disk.name, separator,
                            g_array_index(fake_disk.shown, DiskShown, i).number);

        g_strv_builder_add(names, name);
    }
    return g_strv_builder_end(names);
}

static int hide(guint number)
{
    for (guint i = 0; i < fake_disk.shown->len; i++) {
        if (g_array_index(fake_disk.shown, DiskShown, i).number != number)
            continue;
        if (number == fake_disk.busy) {
            errno = EBUSY;
            return -1;
        }
        g_array_remove_index(fake_disk.shown, i);
        return 0;
    }
    errno = ENXIO;
    return -1;
}

/* As in the kernel, partitions must not overlap. */
static gboolean is_covered(const DiskShown *wanted)
{
    for (guint i = 0; i < fake_disk.shown->len; i++) {
        const DiskShown *one = &g_array_index(fake_disk.shown, DiskShown, i);

        if (one->number != wanted->number && one->start < wanted->start + wanted->size &&
            wanted->start < one->start + one->size)
            return TRUE;
    }
    return FALSE;
}

static int show(const DiskShown *wanted, gboolean there)
{
    DiskShown *now = find_shown(wanted->number);

    errno = EBUSY;
    if ((now != NULL) != there || is_covered(wanted))
        return -1;
    if (now)
        *now = *wanted;
    else
        g_array_append_val(fake_disk.shown, *wanted);
    return 0;
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
    const struct blkpg_ioctl_arg *order = argument;
    const struct blkpg_partition *partition;
    DiskShown wanted;

    if (request != BLKPG)
        return __real_ioctl(fd, request, argument);
    if (++fake_disk.told == fake_disk.tell_fails) {
        errno = EIO;
        return -1;
    }
    partition = order->data;
    wanted = (DiskShown){.number = (guint)partition->pno,
                         .start = (uint64_t)partition->start,
                         .size = (uint64_t)partition->length};
    if (order->op == BLKPG_DEL_PARTITION)
        return hide(wanted.number);
    return show(&wanted, order->op == BLKPG_RESIZE_PARTITION);
}

int __wrap_fdatasync(int fd)
{
    fake_disk.synced++;
    return __real_fdatasync(fd);
}

int __wrap_flock(int fd, int operation)
{
    int result = __real_flock(fd, operation);
    int saved = errno;

    if (result < 0 && fake_disk.on_locked)
        fake_disk.on_locked();
    errno = saved;
    return result;
}

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    return __real_inotify_add_watch(fd, partition_of(path) == 0 ? fake_disk.file : folder, mask);
}

/* --- udev, holders ---------------------------------------------------------------------------- */

gboolean __wrap_cst_device_settle(const char *path, CstTask *task, GError **error);
gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error);
char *__wrap_cst_device_property(dev_t device, const char *key);
gboolean __wrap_cst_device_is_free(const char *path, GError **error);

/* The state of the descriptor shows whether a partition is open during the settle. */
gboolean __wrap_cst_device_settle(const char *path, CstTask *task, GError **error)
{
    opened = last_partition >= 0 && fcntl(last_partition, F_GETFD) >= 0;
    fake_disk.settled++;
    fake_disk.unsettled += !opened;
    if (fake_disk.on_settle)
        fake_disk.on_settle();
    return TRUE;
}

gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error)
{
    if (g_strcmp0(path, fake_disk.held) == 0)
        cst_holders_add(holders, 812, "process 812 (dd)");
    return TRUE;
}

char *__wrap_cst_device_property(dev_t device, const char *key)
{
    return strcmp(key, "ID_SERIAL") == 0 && device == makedev(8, 16) ? g_strdup(fake_disk.serial)
                                                                     : NULL;
}

gboolean __wrap_cst_device_is_free(const char *path, GError **error)
{
    return TRUE;
}

/* --- the disk --------------------------------------------------------------------------------- */

int fake_disk_set_up(void **state)
{
    int fd;

    disk_busy_us = 0;
    folder = g_dir_make_tmp("cistern-disk-XXXXXX", NULL);
    fake_disk = (FakeDisk){.name = "sdx", .type = "disk", .serial = "S1"};
    fake_disk.shown = g_array_new(FALSE, TRUE, sizeof(DiskShown));
    fake_disk.file = g_build_filename(folder, "disk", NULL);
    fd = g_open(fake_disk.file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, FAKE_BYTES), 0);
    close(fd);
    return 0;
}

int fake_disk_tear_down(void **state)
{
    g_unlink(fake_disk.file);
    g_rmdir(folder);
    g_clear_pointer(&fake_disk.file, g_free);
    g_clear_pointer(&fake_disk.shown, g_array_unref);
    g_clear_pointer(&folder, g_free);
    return 0;
}

CstPoolState *fake_disk_pool(const char *label)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='disk'><name>d</name><source><device path='/dev/link'/>"
                        "<format type='%s'/></source><target><path>/dev</path></target></pool>",
                        label);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    CstPoolState *pool;

    assert_non_null(def);
    pool = cst_pool_state_open(def, NULL, NULL);
    assert_non_null(pool);
    return pool;
}

CstPoolState *fake_disk_build(const char *label)
{
    CstPoolState *pool = fake_disk_pool(label);
    g_autoptr(GError) error = NULL;

    if (!cst_pool_state_build(pool, 0, &error))
        fail_msg("%s", error->message);
    return pool;
}

CstVolDef *fake_disk_def(const char *name, uint64_t bytes, const char *mark)
{
    CstVolDef *def = cst_vol_def_new();

    def->type = CST_VOL_BLOCK;
    def->name = g_strdup(name);
    def->capacity = bytes;
    def->mark = g_strdup(mark);
    return def;
}

void fake_disk_make(CstPoolState *pool, const char *name, guint mib, const char *mark)
{
    g_autoptr(CstVolDef) def = fake_disk_def(name, mib * FAKE_MIB, mark);
    g_auto(CstVolDraft) draft = {.token = g_strdup("t")};
    g_autoptr(GError) error = NULL;

    if (!cst_pool_state_reserve(pool, def, &draft, &error) ||
        !cst_pool_state_commit(pool, &draft, def, &error))
        fail_msg("%s: %s", name, error->message);
}

/* --- resulting state -------------------------------------------------------------------------- */

static CstVolume *nothing_known(const char *name, gpointer data)
{
    return NULL;
}

static void append_range(GString *text, uint64_t start, uint64_t end)
{
    g_string_append_printf(text, "=%g-%g", (double)start / FAKE_MIB, (double)end / FAKE_MIB);
}

static void append_volume(CstVolume *volume, gpointer data)
{
    const CstVolExtent *extent = g_ptr_array_index(volume->extra->extents, 0);
    GString *text = data;

    g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", volume->name);
    append_range(text, extent->start, extent->end);
    if (volume->extra->problem)
        g_string_append_c(text, '!');
    cst_volume_unref(volume);
}

char *fake_disk_listed(CstPoolState *pool)
{
    g_autoptr(GString) text = g_string_new(NULL);
    CstScan scan = {.known = nothing_known, .sink = append_volume, .data = text};
    g_autoptr(GError) error = NULL;

    if (!cst_pool_state_scan(pool, &scan, NULL, &error))
        fail_msg("%s", error->message);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static int compare_shown(gconstpointer a, gconstpointer b)
{
    return (int)((const DiskShown *)a)->number - (int)((const DiskShown *)b)->number;
}

char *fake_disk_shown(void)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_array_sort(fake_disk.shown, compare_shown);
    for (guint i = 0; i < fake_disk.shown->len; i++) {
        const DiskShown *one = &g_array_index(fake_disk.shown, DiskShown, i);

        g_string_append_printf(text, "%s%u", i > 0 ? " " : "", one->number);
        append_range(text, one->start, one->start + one->size);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

void fake_disk_assert_free(void)
{
    int fd = g_open(fake_disk.file, O_RDONLY | O_CLOEXEC, 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    assert_int_equal(__real_flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
    assert_int_equal(lock.l_type, F_UNLCK);
    close(fd);
}

void fake_disk_assert_listed(CstPoolState *pool, const char *expected)
{
    g_autofree char *text = fake_disk_listed(pool);

    assert_string_equal(text, expected);
}

void fake_disk_assert_shown(const char *expected)
{
    g_autofree char *text = fake_disk_shown();

    assert_string_equal(text, expected);
}

void fake_disk_write(uint64_t offset, const char *text)
{
    int fd = g_open(fake_disk.file, O_WRONLY | O_CLOEXEC, 0);

    assert_int_equal(pwrite(fd, text, strlen(text), (off_t)offset), strlen(text));
    close(fd);
}

gboolean fake_disk_has(uint64_t offset, const char *text)
{
    int fd = g_open(fake_disk.file, O_RDONLY | O_CLOEXEC, 0);
    char bytes[64] = "";

    assert_true(strlen(text) < sizeof(bytes));
    assert_int_equal(pread(fd, bytes, strlen(text), (off_t)offset), strlen(text));
    close(fd);
    return strcmp(bytes, text) == 0;
}
