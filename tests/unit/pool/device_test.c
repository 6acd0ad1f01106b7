/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has a block device or a file open, as a kernel tells it that is played by a folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <pool/device.h>

/* --- the kernel ------------------------------------------------------------------------------- */

/*
 * Linked with --wrap for the four functions that ask the kernel. Below the folder lie its files;
 * a device node is a file there that begins with "MAJOR:MINOR".
 */

static char *root;
static int open_count;    /* device-mapper's; -1: none of its devices */
static guint looks;       /* how often that was asked */
static int looks_busy;    /* so often the count is as above, and then 0; -1: always */
static int open_errno;    /* of opening alone (O_EXCL); 0: it opens */
static gboolean no_nodes; /* loop devices have none */

gboolean __real_cst_node_stat(const char *path, struct stat *ret_st);
gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st);
int __wrap_cst_node_open(const char *path, int flags);
char *__wrap_cst_kernel_read(const char *path);
GStrv __wrap_cst_kernel_list(const char *path);

static char *below_root(const char *path)
{
    return g_strconcat(root, path, NULL);
}

char *__wrap_cst_kernel_read(const char *path)
{
    g_autofree char *file = below_root(path);
    char *text = NULL;

    return g_file_get_contents(file, &text, NULL, NULL) ? text : NULL;
}

GStrv __wrap_cst_kernel_list(const char *path)
{
    g_autofree char *folder = below_root(path);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();

    for (const char *name; dir && (name = g_dir_read_name(dir));)
        g_strv_builder_add(names, name);
    return g_strv_builder_end(names);
}

gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st)
{
    g_autofree char *text = __wrap_cst_kernel_read(path);
    g_autofree char *file = below_root(path);
    unsigned device_major, device_minor;

    if (text && sscanf(text, "%u:%u", &device_major, &device_minor) == 2) {
        *ret_st = (struct stat){.st_mode = S_IFBLK | 0660,
                                .st_rdev = makedev(device_major, device_minor)};
        return TRUE;
    }
    return __real_cst_node_stat(file, ret_st);
}

int __wrap_cst_node_open(const char *path, int flags)
{
    g_autofree char *file = below_root(path);

    if (no_nodes && strstr(path, "loop")) {
        errno = ENOENT;
        return -1;
    }
    errno = open_errno;
    if (open_errno && (flags & O_EXCL))
        return -1;
    return open(file, (flags & O_ACCMODE) | O_CLOEXEC);
}

static dev_t asked;        /* the device that is asked for */
static struct stat looped; /* the file below loop devices */

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *argument;

    va_start(args, request);
    argument = va_arg(args, void *);
    va_end(args);
    if (request == LOOP_GET_STATUS64) {
        ((struct loop_info64 *)argument)->lo_device = looped.st_dev;
        ((struct loop_info64 *)argument)->lo_inode = looped.st_ino;
        return 0;
    }
    assert_int_equal(request, DM_DEV_STATUS);
    assert_int_equal(((struct dm_ioctl *)argument)->dev, asked);
    assert_int_equal(((struct dm_ioctl *)argument)->version[0], DM_VERSION_MAJOR);
    looks++;
    errno = ENXIO;
    ((struct dm_ioctl *)argument)->open_count =
        looks_busy < 0 || (int)looks <= looks_busy ? open_count : 0;
    return open_count < 0 ? -1 : 0;
}

static void put(const char *path, const char *text)
{
    g_autofree char *file = below_root(path);
    g_autofree char *folder = g_path_get_dirname(file);

    assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
    assert_true(g_file_set_contents(file, text, -1, NULL));
}

static int set_up(void **state)
{
    root = g_dir_make_tmp("cst-device-XXXXXX", NULL);
    asked = makedev(8, 16);
    open_count = -1;
    looks = 0;
    looks_busy = -1;
    open_errno = 0;
    no_nodes = FALSE;
    put("/dev/mapper/control", "");
    put("/dev/sdb", "8:16");
    put("/proc/self/mountinfo", "");
    return 0;
}

static int tear_down(void **state)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", root);
    int result = system(command);

    g_free(root);
    return result;
}

/* What the holders are said to be, and "(reads)" of those that do not write. */
static char *told(GPtrArray *holders)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < holders->len; i++) {
        const CstHolder *holder = g_ptr_array_index(holders, i);

        g_string_append_printf(text, "%s%s; ", holder->what, holder->reads_only ? " (reads)" : "");
    }
    return g_string_free(text, FALSE);
}

static void assert_holders(const char *path, const char *expected)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    assert_true(cst_device_holders(path, holders, &error));
    assert_null(error);
    text = told(holders);
    assert_string_equal(text, expected);
}

/* --- devices ---------------------------------------------------------------------------------- */

static void what_is_no_device_has_no_holders(void **state)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    g_autoptr(GError) error = NULL;

    put("/dev/file", "text");
    open_count = 5;
    assert_holders("/dev/none", "");
    assert_holders("/dev/file", "");
    assert_int_equal(looks, 0);
    assert_false(cst_device_holders("/dev/file/below", holders, &error));
    assert_non_null(strstr(error->message, "cannot stat '/dev/file/below'"));
}

static void devices_on_top_of_it_hold_it(void **state)
{
    put("/sys/dev/block/8:16/holders/dm-4/dm/name", "crypt-srv\n");
    assert_holders("/dev/sdb", "device 'crypt-srv' (dm-4) lies on it; ");
    put("/sys/dev/block/8:17/holders/md1", "");
    put("/dev/sdb1", "8:17");
    asked = makedev(8, 17);
    assert_holders("/dev/sdb1", "device 'md1' lies on it; ");
}

static void mounts_hold_it(void **state)
{
    put("/proc/self/mountinfo", "36 35 8:16 / /srv/two\\040words rw,relatime - ext4 /dev/sdb rw\n"
                                "37 35 8:1 / /home rw - ext4 /dev/sda rw\n"
                                "38 35 8:16\n"
                                "garbage\n"
                                "40 35 8:16 / /rw rw,noro - ext4 /dev/sdb ro\n"
                                "39 35 8:16 / /mnt ro,relatime - ext4 /dev/sdb ro\n");
    assert_holders("/dev/sdb", "mounted on '/srv/two words'; mounted on '/rw'; "
                               "mounted on '/mnt' (reads); ");
}

/* btrfs has a number of its own, and tells in /sys where it lies. */
static void a_mounted_btrfs_holds_all_its_devices(void **state)
{
    put("/dev/sdc", "8:32");
    put("/dev/sdd", "8:48");
    put("/proc/self/mountinfo", "36 35 0:39 / /srv rw,relatime - btrfs /dev/sdc rw\n"
                                "37 35 0:40 /s /ro ro,relatime - btrfs /dev/sdc rw\n"
                                "38 35 0:41 / /user rw - fuse.sshfs /dev/sdd rw\n"
                                "39 35 0:42 / /gone rw - btrfs /dev/none rw\n"
                                "40 35 0:43 / /tmp rw - btrfs garbage rw\n");
    asked = makedev(8, 32);
    assert_holders("/dev/sdc", "mounted on '/srv'; mounted on '/ro' (reads); ");
    asked = makedev(8, 16);
    assert_holders("/dev/sdb", "");
    put("/sys/fs/btrfs/1234/devices/sdb/dev", "8:16\n");
    assert_holders("/dev/sdb", "");
    put("/sys/fs/btrfs/5678/devices/sdc/dev", "8:32\n");
    assert_holders("/dev/sdb", "");
    put("/sys/fs/btrfs/1234/devices/sdc/dev", "8:32\n");
    assert_holders("/dev/sdb", "mounted on '/srv'; mounted on '/ro' (reads); ");
    asked = makedev(8, 48);
    assert_holders("/dev/sdd", "");
}

static void swap_space_holds_it(void **state)
{
    static const char head[] = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
                               "/dev/sda2                               partition\t1\t\t0\t\t-2\n";
    g_autofree char *another =
        g_strconcat(head, "/dev/disk/by\\040id\tpartition\t1\t\t0\t\t-3\n", NULL);

    put("/proc/swaps", head);
    put("/dev/sda2", "8:2");
    assert_holders("/dev/sdb", "");
    put("/proc/swaps", another);
    put("/dev/disk/by id", "8:16");
    assert_holders("/dev/sdb", "swap space; ");
}

static void processes_hold_it(void **state)
{
    put("/proc/999999901/fd/3", "8:16");
    put("/proc/999999901/fdinfo/3", "pos:\t0\nflags:\t0100002\n");
    assert_holders("/dev/sdb", "process 999999901; ");
    put("/proc/999999901/fdinfo/3", "pos:\t0\nflags:\t0100000\n");
    assert_holders("/dev/sdb", "process 999999901 (reads); ");
    put("/proc/999999901/fdinfo/3", "pos:\t0\n");
    assert_holders("/dev/sdb", "process 999999901; ");
    put("/proc/999999901/fd/4", "8:16");
    put("/proc/999999901/fdinfo/3", "flags:\t0100000\n");
    put("/proc/999999901/fdinfo/4", "flags:\t0100001\n");
    assert_holders("/dev/sdb", "process 999999901; ");
    /* Other devices, other files, and folders that are no processes. */
    put("/proc/999999902/fd/3", "8:1");
    put("/proc/999999903/fd/3", "a file");
    put("/proc/net/fd/3", "8:16");
    assert_holders("/dev/sdb", "process 999999901; ");
}

static void we_do_not_hold_it(void **state)
{
    g_autofree char *ours = g_strdup_printf("/proc/%d/fd/3", getpid());

    put(ours, "8:16");
    assert_holders("/dev/sdb", "");
    open_count = 1;
    assert_holders("/dev/sdb", "");
}

/* --- device-mapper's count -------------------------------------------------------------------- */

static void what_nobody_has_open_is_not_looked_for(void **state)
{
    open_count = 0;
    put("/proc/999999901/fd/3", "8:16");
    assert_holders("/dev/sdb", "");
    assert_int_equal(looks, 1);
}

static void who_only_passes_by_is_waited_for(void **state)
{
    open_count = 1;
    looks_busy = 2;
    assert_holders("/dev/sdb", "");
    assert_int_equal(looks, 3);
}

static void who_stays_and_is_not_seen_is_counted(void **state)
{
    g_autofree char *ours = g_strdup_printf("/proc/%d/fd/3", getpid());
    gint64 start = g_get_monotonic_time();

    put(ours, "8:16");
    open_count = 3;
    assert_holders("/dev/sdb", "the kernel counts 2 who have it open; ");
    assert_true(g_get_monotonic_time() - start >= 3 * G_TIME_SPAN_SECOND);
    assert_true(looks > 10);
    /* Who is seen need not be waited for. */
    looks = 0;
    put("/proc/999999901/fd/3", "8:16");
    assert_holders("/dev/sdb", "process 999999901; ");
    assert_int_equal(looks, 1);
}

/* --- files ------------------------------------------------------------------------------------ */

static void assert_file_holders(int fd, const char *expected)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    g_autofree char *text = NULL;

    cst_file_holders(fd, holders);
    text = told(holders);
    assert_string_equal(text, expected);
}

static void loop_devices_and_swap_hold_files(void **state)
{
    g_autofree char *path = below_root("/srv/disk.img");
    struct stat st;
    int fd, folder = open(root, O_RDONLY | O_CLOEXEC);

    put("/srv/disk.img", "content");
    put("/dev/loop3", "");
    put("/dev/loop4", "");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    looped = st;
    assert_file_holders(fd, "");
    put("/proc/partitions", "major minor  #blocks  name\n\n   8        0     102400 sda\n");
    assert_file_holders(fd, "");
    put("/proc/partitions", "major minor  #blocks  name\n\n   7        3     102400 loop3\n"
                            " 259        3     102400 loop3p1\n");
    assert_file_holders(fd, "loop device /dev/loop3; ");
    assert_file_holders(folder, "");
    /* What lies upon those, and upon their partitions. */
    put("/sys/block/loop3/dev", "7:3\n");
    put("/sys/block/loop3/loop3p1/dev", "259:3\n");
    put("/sys/block/loop3/queue/dev", "8:16\n");
    put("/proc/self/mountinfo", "36 35 7:3 / /a rw - ext4 /dev/loop3 rw\n"
                                "36 35 259:3 / /b rw - ext4 /dev/loop3p1 rw\n"
                                "36 35 8:16 / /c rw - ext4 /dev/sdb rw\n");
    assert_file_holders(fd, "loop device /dev/loop3 (mounted on '/a', mounted on '/b'); ");
    looped.st_ino++;
    assert_file_holders(fd, "");
    looped = (struct stat){.st_dev = st.st_dev + 1, .st_ino = st.st_ino};
    assert_file_holders(fd, "");
    put("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
                       "/srv/other\t\t\t\tfile\t\t1024\t\t0\t\t-2\n"
                       "/srv/disk.img\t\t\t\tfile\t\t1024\t\t0\t\t-3\n");
    put("/srv/other", "content");
    assert_file_holders(fd, "swap space; ");
    close(fd);
    close(folder);
}

/* In a container there may be no node to ask. */
static void loop_devices_without_a_node_are_known_by_their_files_name(void **state)
{
    g_autofree char *path = below_root("/srv/disk.img");
    int fd;

    put("/srv/disk.img", "content");
    put("/srv/other.img", "content");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    no_nodes = TRUE;
    put("/proc/partitions", "   7        3     102400 loop3\n");
    assert_file_holders(fd, "");
    put("/sys/block/loop3/loop/backing_file", "/srv/other.img\n");
    assert_file_holders(fd, "");
    put("/sys/block/loop3/loop/backing_file", "/srv/disk.img\n");
    assert_file_holders(fd, "loop device /dev/loop3; ");
    close(fd);
}

/* --- what they carry -------------------------------------------------------------------------- */

#define KIB 1024

/* A device of @size bytes that holds nothing but @len bytes of @data at @offset. */
static void put_device(size_t size, size_t offset, const void *data, size_t len)
{
    g_autofree char *path = below_root("/dev/disk");
    g_autofree char *content = g_malloc0(size);

    memcpy(content + offset, data, len);
    assert_true(g_file_set_contents(path, content, (gssize)size, NULL));
}

static void assert_signature(const char *expected)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    assert_true(cst_device_signature("/dev/disk", &name, &error));
    assert_true(g_strcmp0(name, expected) == 0);
}

static void signatures_are_known(void **state)
{
    static const uint8_t luks[] = {'L', 'U', 'K', 'S', 0xba, 0xbe, 0, 1};
    /* One partition, of type 83, from sector 1 on. */
    static const uint8_t dos[66] = {0, 0, 2, 0,  0x83, 0, 3, 0,           1,
                                    0, 0, 0, 16, 0,    0, 0, [64] = 0x55, [65] = 0xaa};
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    put_device(3 * KIB * KIB, 0, "", 0);
    assert_signature(NULL);
    put_device(3 * KIB * KIB, 0, luks, sizeof(luks));
    assert_signature("crypto_LUKS");
    put_device(3 * KIB * KIB, 446, dos, sizeof(dos));
    assert_signature("dos");
    assert_false(cst_device_signature("/dev/none", &name, &error));
    assert_non_null(strstr(error->message, "cannot open device '/dev/none'"));
}

static void clearing_takes_what_lies_at_both_ends(void **state)
{
    static const size_t sizes[] = {1, 512 * KIB, KIB * KIB, KIB * KIB + 1, 3 * KIB * KIB + 5};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        size_t size = sizes[i], end = MIN(size, KIB * KIB), len = 0;
        g_autofree char *full = g_malloc(size), *path = below_root("/dev/disk");
        g_autofree char *now = NULL;

        memset(full, 'x', size);
        put_device(size, 0, full, size);
        assert_true(cst_device_clear("/dev/disk", NULL));
        assert_true(g_file_get_contents(path, &now, &len, NULL));
        assert_int_equal(len, size);
        for (size_t at = 0; at < size; at++)
            if ((now[at] == 'x') != (at >= end && at < size - end))
                fail_msg("%zu: byte %zu", size, at);
    }
}

static void devices_in_use_are_not_touched(void **state)
{
    static const struct {
        int err, code;
        const char *words;
    } rows[] = {{EBUSY, CST_ERROR_BUSY, "device '/dev/disk', or a partition of it, is in use"},
                {EACCES, CST_ERROR_DENIED, "cannot open device '/dev/disk'"}};

    put_device(KIB, 0, "keep", 4);
    assert_true(cst_device_is_free("/dev/disk", NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) free_error = NULL, error = NULL;
        g_autofree char *text = NULL;

        open_errno = rows[i].err;
        assert_false(cst_device_is_free("/dev/disk", &free_error));
        assert_false(cst_device_clear("/dev/disk", &error));
        assert_true(g_error_matches(free_error, CST_ERROR, rows[i].code));
        assert_true(g_error_matches(error, CST_ERROR, rows[i].code));
        assert_non_null(strstr(error->message, rows[i].words));
        text = __wrap_cst_kernel_read("/dev/disk");
        assert_string_equal(text, "keep");
    }
}

#define device_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        device_test(what_is_no_device_has_no_holders),
        device_test(devices_on_top_of_it_hold_it),
        device_test(mounts_hold_it),
        device_test(a_mounted_btrfs_holds_all_its_devices),
        device_test(swap_space_holds_it),
        device_test(processes_hold_it),
        device_test(we_do_not_hold_it),
        device_test(what_nobody_has_open_is_not_looked_for),
        device_test(who_only_passes_by_is_waited_for),
        device_test(who_stays_and_is_not_seen_is_counted),
        device_test(loop_devices_and_swap_hold_files),
        device_test(loop_devices_without_a_node_are_known_by_their_files_name),
        device_test(signatures_are_known),
        device_test(clearing_takes_what_lies_at_both_ends),
        device_test(devices_in_use_are_not_touched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
