/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dir_ground.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/child.h>
#include <base/file.h>

/* Directories: with raw files, with qcow2 images, and on a file system that shares extents. */

static char *base; /* directory of the pools' directories */
static gboolean mounted;
static GHashTable *held; /* path to descriptor + 1 */

static char *path_of(const char *pool, const char *volume)
{
    return g_build_filename(base, pool, volume, NULL);
}

static gboolean run_quietly(const char *const *argv)
{
    CstChild child = {.argv = argv, .timeout_s = 60};
    g_auto(CstChildResult) result = {0};

    return cst_child_run(&child, NULL, &result, NULL) && result.status == 0;
}

static char *set_up_in(const char *dir)
{
    base = g_strdup(dir);
    held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return NULL;
}

/* Whether files here can have snapshots is for the file system to say. */
static gboolean shares_extents(void)
{
    g_autofree char *from_path = path_of("from", NULL);
    g_autofree char *to_path = path_of("to", NULL);
    g_auto(CstFd) from = open(from_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_auto(CstFd) to = open(to_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    gboolean shares;

    assert_true(from >= 0 && to >= 0 && write(from, "x", 1) == 1);
    shares = ioctl(to, FICLONE, from) == 0;
    unlink(from_path);
    unlink(to_path);
    return shares;
}

static char *set_up_plain(const char *dir)
{
    set_up_in(dir);
    if (shares_extents())
        dir_ground.flags |= GROUND_SNAPSHOTS;
    return NULL;
}

static char *set_up_xfs(const char *dir)
{
    g_autofree char *image = g_build_filename(dir, "image", NULL);
    g_autofree char *point = g_build_filename(dir, "mounted", NULL);
    const char *mkfs[] = {"mkfs.xfs", "-q", "-m", "reflink=1", image, NULL};
    const char *mount_it[] = {"mount", "-o", "loop", image, point, NULL};
    g_auto(CstFd) fd = -1;

    set_up_in(point);
    if (geteuid() != 0)
        return g_strdup("mounting a file system needs root");
    fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, 512 * CST_MIB) == 0 && mkdir(point, 0700) == 0);
    if (!run_quietly(mkfs))
        return g_strdup("there is no mkfs.xfs that knows reflinks");
    mounted = run_quietly(mount_it);
    return mounted ? NULL : g_strdup("no file system can be mounted from an image here");
}

static void tear_down(void)
{
    if (mounted && umount(base) < 0)
        fprintf(stderr, "cannot unmount '%s': %s\n", base, g_strerror(errno));
    g_clear_pointer(&held, g_hash_table_unref);
    g_clear_pointer(&base, g_free);
}

static char *pool_xml(const char *pool)
{
    g_autofree char *path = path_of(pool, NULL);

    return g_strdup_printf(
        "<pool type='dir'><name>%s</name><target><path>%s</path></target></pool>", pool, path);
}

static void clean(const char *pool)
{
    g_autofree char *path = path_of(pool, NULL);
    const char *remove[] = {"rm", "-rf", path, NULL};

    assert_true(run_quietly(remove));
}

static void native_create(const char *pool, const char *volume, uint64_t size)
{
    g_autofree char *path = path_of(pool, volume);
    g_auto(CstFd) fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
}

static void native_delete(const char *pool, const char *volume)
{
    g_autofree char *path = path_of(pool, volume);

    assert_int_equal(unlink(path), 0);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Folders are there for what is in them. */
static void list_into(GPtrArray *names, const char *path, const char *prefix)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir))) {
        g_autofree char *below = g_build_filename(path, entry, NULL);
        g_autofree char *name = g_strconcat(prefix, entry, NULL);
        g_autofree char *next = g_strconcat(name, "/", NULL);

        if (g_file_test(below, G_FILE_TEST_IS_DIR))
            list_into(names, below, next);
        else
            g_ptr_array_add(names, g_steal_pointer(&name));
    }
    if (dir)
        g_dir_close(dir);
}

static char **native_list(const char *pool)
{
    g_autofree char *path = path_of(pool, NULL);
    GPtrArray *names = g_ptr_array_new();

    list_into(names, path, "");
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

/* As QEMU does: a shared lock that says "I write". */
static void hold(const char *pool, const char *volume)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};
    char *path = path_of(pool, volume);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
    g_hash_table_insert(held, path, GINT_TO_POINTER(fd + 1));
}

static void let_go(const char *pool, const char *volume)
{
    g_autofree char *path = path_of(pool, volume);

    close(GPOINTER_TO_INT(g_hash_table_lookup(held, path)) - 1);
    g_hash_table_remove(held, path);
}

#define DIR_FLAGS                                                               \
    (GROUND_NEEDS_BUILD | GROUND_DELETES | GROUND_RESIZES | GROUND_GROWS_ZERO | \
     GROUND_GROWS_BY_WRITE | GROUND_DIRECTORIES)
#define DIR_CALLS                                                                                 \
    .tear_down = tear_down, .pool_xml = pool_xml, .clean = clean, .native_create = native_create, \
    .native_delete = native_delete, .native_list = native_list, .hold = hold, .release = let_go

Ground dir_ground = {
    .name = "dir", .format = "raw", .flags = DIR_FLAGS, .set_up = set_up_plain, DIR_CALLS};

const Ground dir_qcow2_ground = {.name = "dir-qcow2",
                                 .format = "qcow2",
                                 .flags = (DIR_FLAGS & ~GROUND_GROWS_BY_WRITE) | GROUND_SNAPSHOTS |
                                          GROUND_SNAPSHOTS_INSIDE,
                                 .set_up = set_up_in,
                                 DIR_CALLS};

const Ground dir_reflink_ground = {.name = "dir-reflink",
                                   .format = "raw",
                                   .flags = DIR_FLAGS | GROUND_SNAPSHOTS,
                                   .set_up = set_up_xfs,
                                   DIR_CALLS};
