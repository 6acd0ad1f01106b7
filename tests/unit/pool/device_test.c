/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The holders of a block device or a file, with a simulated kernel in a directory. */
#include "fake_kernel.h"

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
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <pool/device.h>
#include <pool/mounts.h>

/* --- the clock -------------------------------------------------------------------------------- */

static gint64 now = G_TIME_SPAN_DAY; /* advances only when the product waits */

gint64 __wrap_g_get_monotonic_time(void);
void __wrap_g_usleep(gulong us);

gint64 __wrap_g_get_monotonic_time(void)
{
    return now;
}

void __wrap_g_usleep(gulong us)
{
    now += (gint64)us;
}

/* --- the kernel ------------------------------------------------------------------------------- */

static int open_count; /* device-mapper's open count; -1: not a device-mapper device */
static guint looks;    /* number of queries of that count */
static int looks_busy; /* number of queries with that count, then 0; -1: unlimited */

static dev_t asked;        /* the queried device */
static struct stat looped; /* the file of loop devices */

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
        ((struct loop_info64 *)argument)->lo_rdevice = looped.st_rdev;
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

static int set_up(void **state)
{
    kernel_make();
    kernel_put("/dev/mapper/control", "");
    kernel_put("/dev/sdb", "8:16");
    kernel_put("/proc/self/mountinfo", "");
    asked = makedev(8, 16);
    open_count = -1;
    looks = 0;
    looks_busy = -1;
    return 0;
}

static int tear_down(void **state)
{
    kernel_remove();
    return 0;
}

/* Returns the texts of the holders, with "(reads)" for readers. */
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

static void path_that_is_not_a_device_has_no_holders(void **state)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    g_autoptr(GError) error = NULL;

    kernel_put("/dev/file", "text");
    open_count = 5;
    assert_holders("/dev/none", "");
    assert_holders("/dev/file", "");
    assert_int_equal(looks, 0);
    assert_false(cst_device_holders("/dev/file/below", holders, &error));
    assert_non_null(strstr(error->message, "cannot stat '/dev/file/below'"));
}

static void devices_on_top_of_it_hold_it(void **state)
{
    kernel_put("/sys/dev/block/8:16/holders/dm-4/dm/name", "crypt-srv\n");
    assert_holders("/dev/sdb", "device 'crypt-srv' (dm-4) lies on it; ");
    kernel_put("/sys/dev/block/8:17/holders/md1", "");
    kernel_put("/dev/sdb1", "8:17");
    asked = makedev(8, 17);
    assert_holders("/dev/sdb1", "device 'md1' lies on it; ");
}

/* The kernel has no list of such loop devices, and permits opening the device exclusively. */
static void loop_devices_upon_it_hold_it(void **state)
{
    kernel_put("/dev/loop3", "7:3");
    kernel_put("/proc/partitions", "   7        3     102400 loop3\n");
    looped = (struct stat){.st_mode = S_IFBLK, .st_rdev = makedev(8, 16)};
    assert_holders("/dev/sdb", "loop device /dev/loop3; ");
    looped.st_rdev = makedev(8, 17);
    assert_holders("/dev/sdb", "");
    looped.st_rdev = 0; /* on a file */
    assert_holders("/dev/sdb", "");
    kernel_no_nodes = TRUE;
    kernel_put("/sys/block/loop3/loop/backing_file", "/dev/disk\n");
    kernel_put("/dev/disk", "8:16");
    assert_holders("/dev/sdb", "loop device /dev/loop3; ");
    kernel_put("/dev/disk", "a file");
    assert_holders("/dev/sdb", "");
}

static void mounts_hold_it(void **state)
{
    kernel_put("/proc/self/mountinfo",
               "36 35 8:16 / /srv/two\\040words rw,relatime - ext4 /dev/sdb rw\n"
               "37 35 8:1 / /home rw - ext4 /dev/sda rw\n"
               "38 35 8:16\n"
               "garbage\n"
               "40 35 8:16 / /rw rw,noro - ext4 /dev/sdb ro\n"
               "39 35 8:16 / /mnt ro,relatime - ext4 /dev/sdb ro\n");
    assert_holders("/dev/sdb", "mounted on '/srv/two words'; mounted on '/rw'; "
                               "mounted on '/mnt' (reads); ");
}

/* The last mount covers earlier ones. The kernel's suffix of a name is removed. */
static void topmost_mount_counts(void **state)
{
    g_autoptr(GPtrArray) mounts = NULL;
    const CstMount *top;

    kernel_put("/proc/self/mountinfo", "36 35 8:16 / /srv rw - ext4 /dev/sdb rw\n"
                                       "37 35 0:50 /sub /srv ro,relatime - nfs4 host:/srv rw\n"
                                       "38 35 8:16 / /srv/below rw - ext4 /dev/sdb rw\n");
    mounts = cst_mounts_read();
    assert_int_equal(mounts->len, 3);
    top = cst_mounts_at(mounts, "/srv");
    assert_non_null(top);
    assert_int_equal(top->id, 37);
    assert_string_equal(top->source, "host:/srv");
    assert_string_equal(top->type, "nfs4");
    assert_string_equal(top->root, "/sub");
    assert_true(top->read_only);
    assert_true(top->device == makedev(0, 50));
    assert_false(cst_mounts_at(mounts, "/srv/below")->read_only);
    assert_null(cst_mounts_at(mounts, "/sr"));
    assert_null(cst_mounts_at(mounts, "/srv/"));
}

static void fstab_lists_the_mounts_of_the_host(void **state)
{
    g_autofree char *file = kernel_file("/etc/fstab");

    kernel_put("/etc/fstab", "# comment\n"
                             "UUID=1234 /srv/two\\040words/ ext4 defaults 0 2\n"
                             "/dev/sdc /manual ext4 rw,noauto 0 2\n"
                             "host:/x /later nfs noauto,x-systemd.automount 0 0\n"
                             "garbage\n"
                             "/dev/sdd none swap sw 0 0\n");
    g_setenv("LIBMOUNT_FSTAB", file, TRUE);
    assert_true(cst_fstab_mounts("/srv/two words"));
    assert_false(cst_fstab_mounts("/srv/two"));
    assert_false(cst_fstab_mounts("/srv/two words/below"));
    assert_false(cst_fstab_mounts("/manual"));
    assert_true(cst_fstab_mounts("/later"));
    g_setenv("LIBMOUNT_FSTAB", "/nowhere", TRUE);
    assert_false(cst_fstab_mounts("/later"));
    g_unsetenv("LIBMOUNT_FSTAB");
}

/* btrfs has its own device number. /sys lists its devices. */
static void a_mounted_btrfs_holds_all_its_devices(void **state)
{
    kernel_put("/dev/sdc", "8:32");
    kernel_put("/dev/sdd", "8:48");
    kernel_put("/proc/self/mountinfo", "36 35 0:39 / /srv rw,relatime - btrfs /dev/sdc rw\n"
                                       "37 35 0:40 /s /ro ro,relatime - btrfs /dev/sdc rw\n"
                                       "38 35 0:41 / /user rw - fuse.sshfs /dev/sdd rw\n"
                                       "39 35 0:42 / /gone rw - btrfs /dev/none rw\n"
                                       "40 35 0:43 / /tmp rw - btrfs garbage rw\n");
    asked = makedev(8, 32);
    assert_holders("/dev/sdc", "mounted on '/srv'; mounted on '/ro' (reads); ");
    asked = makedev(8, 16);
    assert_holders("/dev/sdb", "");
    kernel_put("/sys/fs/btrfs/1234/devices/sdb/dev", "8:16\n");
    assert_holders("/dev/sdb", "");
    kernel_put("/sys/fs/btrfs/5678/devices/sdc/dev", "8:32\n");
    assert_holders("/dev/sdb", "");
    kernel_put("/sys/fs/btrfs/1234/devices/sdc/dev", "8:32\n");
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

    kernel_put("/proc/swaps", head);
    kernel_put("/dev/sda2", "8:2");
    assert_holders("/dev/sdb", "");
    kernel_put("/proc/swaps", another);
    kernel_put("/dev/disk/by id", "8:16");
    assert_holders("/dev/sdb", "swap space; ");
}

static void processes_hold_it(void **state)
{
    kernel_put("/proc/999999901/fd/3", "8:16");
    kernel_put("/proc/999999901/fdinfo/3", "pos:\t0\nflags:\t0100002\n");
    assert_holders("/dev/sdb", "process 999999901; ");
    kernel_put("/proc/999999901/fdinfo/3", "pos:\t0\nflags:\t0100000\n");
    assert_holders("/dev/sdb", "process 999999901 (reads); ");
    kernel_put("/proc/999999901/fdinfo/3", "pos:\t0\n");
    assert_holders("/dev/sdb", "process 999999901; ");
    kernel_put("/proc/999999901/fd/4", "8:16");
    kernel_put("/proc/999999901/fdinfo/3", "flags:\t0100000\n");
    kernel_put("/proc/999999901/fdinfo/4", "flags:\t0100001\n");
    assert_holders("/dev/sdb", "process 999999901; ");
    /* Other devices, other files, and directories that are not processes. */
    kernel_put("/proc/999999902/fd/3", "8:1");
    kernel_put("/proc/999999903/fd/3", "a file");
    kernel_put("/proc/net/fd/3", "8:16");
    assert_holders("/dev/sdb", "process 999999901; ");
}

static void we_do_not_hold_it(void **state)
{
    g_autofree char *ours = g_strdup_printf("/proc/%d/fd/3", getpid());

    kernel_put(ours, "8:16");
    assert_holders("/dev/sdb", "");
    open_count = 1;
    assert_holders("/dev/sdb", "");
}

/* --- device-mapper's count -------------------------------------------------------------------- */

static void holders_of_a_closed_device_are_not_searched(void **state)
{
    open_count = 0;
    kernel_put("/proc/999999901/fd/3", "8:16");
    assert_holders("/dev/sdb", "");
    assert_int_equal(looks, 1);
}

static void short_lived_holder_is_waited_for(void **state)
{
    open_count = 1;
    looks_busy = 2;
    assert_holders("/dev/sdb", "");
    assert_int_equal(looks, 3);
}

static void unidentified_holders_are_counted(void **state)
{
    g_autofree char *ours = g_strdup_printf("/proc/%d/fd/3", getpid());
    gint64 start = now;

    kernel_put(ours, "8:16");
    open_count = 3;
    assert_holders("/dev/sdb", "the kernel counts 2 openers; ");
    assert_true(now - start >= 3 * G_TIME_SPAN_SECOND);
    assert_true(looks > 10);
    /* With a known holder there is no wait. */
    looks = 0;
    kernel_put("/proc/999999901/fd/3", "8:16");
    assert_holders("/dev/sdb", "process 999999901; ");
    assert_int_equal(looks, 1);
}

/* udev's rules run programs that open a device, as children of its workers. */
static void process_of_udev_is_a_short_lived_holder(void **state)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    g_autofree char *path = NULL;
    const char *const argv[] = {"sleep", "infinity", NULL};
    char name[16];
    GPid pid;

    open_count = 1;
    assert_int_equal(prctl(PR_GET_NAME, name), 0);
    assert_true(g_spawn_async(NULL, (char **)argv, NULL,
                              G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                              NULL));
    path = g_strdup_printf("/proc/%d/fd/3", pid);
    kernel_put(path, "8:16");
    assert_true(cst_device_holders("/dev/sdb", holders, NULL));
    assert_int_equal(looks, 1);
    assert_false(cst_holders_pass(holders));
    g_ptr_array_set_size(holders, 0);
    assert_int_equal(prctl(PR_SET_NAME, "(udev-worker)"), 0);
    assert_true(cst_device_holders("/dev/sdb", holders, NULL));
    assert_int_equal(prctl(PR_SET_NAME, name), 0);
    assert_true(looks > 10);
    assert_true(cst_holders_pass(holders));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* --- files ------------------------------------------------------------------------------------ */

static void assert_file_holders(int fd, const char *expected)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    g_autoptr(CstKernelUses) uses = cst_kernel_uses_read();
    g_autofree char *text = NULL;

    cst_file_holders(fd, uses, holders);
    text = told(holders);
    assert_string_equal(text, expected);
}

static void loop_devices_and_swap_hold_files(void **state)
{
    g_autofree char *path = kernel_file("/srv/disk.img");
    struct stat st;
    int fd, folder = open(kernel_folder, O_RDONLY | O_CLOEXEC);

    kernel_put("/srv/disk.img", "content");
    kernel_put("/dev/loop3", "");
    kernel_put("/dev/loop4", "");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    looped = st;
    assert_file_holders(fd, "");
    kernel_put("/proc/partitions", "major minor  #blocks  name\n\n   8        0     102400 sda\n");
    assert_file_holders(fd, "");
    kernel_put("/proc/partitions", "major minor  #blocks  name\n\n   7        3     102400 loop3\n"
                                   " 259        3     102400 loop3p1\n");
    assert_file_holders(fd, "loop device /dev/loop3; ");
    assert_file_holders(folder, "");
    /* Mounts of loop devices, and of their partitions. */
    kernel_put("/sys/block/loop3/dev", "7:3\n");
    kernel_put("/sys/block/loop3/loop3p1/dev", "259:3\n");
    kernel_put("/sys/block/loop3/queue/dev", "8:16\n");
    kernel_put("/proc/self/mountinfo", "36 35 7:3 / /a rw - ext4 /dev/loop3 rw\n"
                                       "36 35 259:3 / /b rw - ext4 /dev/loop3p1 rw\n"
                                       "36 35 8:16 / /c rw - ext4 /dev/sdb rw\n");
    assert_file_holders(fd, "loop device /dev/loop3 (mounted on '/a', mounted on '/b'); ");
    looped.st_ino++;
    assert_file_holders(fd, "");
    looped = (struct stat){.st_dev = st.st_dev + 1, .st_ino = st.st_ino};
    assert_file_holders(fd, "");
    kernel_put("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
                              "/srv/other\t\t\t\tfile\t\t1024\t\t0\t\t-2\n"
                              "/srv/disk.img\t\t\t\tfile\t\t1024\t\t0\t\t-3\n");
    kernel_put("/srv/other", "content");
    assert_file_holders(fd, "swap space; ");
    close(fd);
    close(folder);
}

/* A container may lack the device node. */
static void loop_devices_without_a_node_are_known_by_their_files_name(void **state)
{
    g_autofree char *path = kernel_file("/srv/disk.img");
    int fd;

    kernel_put("/srv/disk.img", "content");
    kernel_put("/srv/other.img", "content");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    kernel_no_nodes = TRUE;
    kernel_put("/proc/partitions", "   7        3     102400 loop3\n");
    assert_file_holders(fd, "");
    kernel_put("/sys/block/loop3/loop/backing_file", "/srv/other.img\n");
    assert_file_holders(fd, "");
    kernel_put("/sys/block/loop3/loop/backing_file", "/srv/disk.img\n");
    assert_file_holders(fd, "loop device /dev/loop3; ");
    close(fd);
}

#define device_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        device_test(path_that_is_not_a_device_has_no_holders),
        device_test(devices_on_top_of_it_hold_it),
        device_test(loop_devices_upon_it_hold_it),
        device_test(mounts_hold_it),
        device_test(topmost_mount_counts),
        device_test(fstab_lists_the_mounts_of_the_host),
        device_test(a_mounted_btrfs_holds_all_its_devices),
        device_test(swap_space_holds_it),
        device_test(processes_hold_it),
        device_test(we_do_not_hold_it),
        device_test(holders_of_a_closed_device_are_not_searched),
        device_test(short_lived_holder_is_waited_for),
        device_test(process_of_udev_is_a_short_lived_holder),
        device_test(unidentified_holders_are_counted),
        device_test(loop_devices_and_swap_hold_files),
        device_test(loop_devices_without_a_node_are_known_by_their_files_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
