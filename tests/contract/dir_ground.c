/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dir_ground.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <base/child.h>
#include <base/file.h>

#include "await.h"

/*
 * Directories: with raw files, with qcow2 images, on a file system that shares extents, and those
 * that a pool mounts itself: a device's, a server's.
 */

#define SNAPSHOT_FLAGS (GROUND_SNAPSHOTS | GROUND_REVERTS_ANY | GROUND_DRAFTS)

static char *base; /* directory of the pools' directories */
static gboolean mounted;

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
        dir_ground.flags |= SNAPSHOT_FLAGS;
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

static char *identity(const char *pool, const char *volume)
{
    g_autofree char *path = path_of(pool, volume);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return g_strdup_printf("%" PRIu64, (uint64_t)st.st_ino);
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

static char **list_of(const char *path)
{
    GPtrArray *names = g_ptr_array_new();

    list_into(names, path, "");
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static char **native_list(const char *pool)
{
    g_autofree char *path = path_of(pool, NULL);

    return list_of(path);
}

/* As QEMU does: a shared lock that says "I write". */
static void hold(const char *pool, const char *volume)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};
    g_autofree char *path = path_of(pool, volume);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
    site_hold_fd(fd);
}

static void let_go(const char *pool, const char *volume)
{
    site_release();
}

/* --- devices' file systems -------------------------------------------------------------------- */

static GHashTable *loops; /* pool to its loop device */

/* The pool's device, with a file system on it: the first time it is asked for, it is made. */
static const char *loop_of(const char *pool)
{
    const char *known = g_hash_table_lookup(loops, pool);
    g_auto(GStrv) words = NULL;

    if (known)
        return known;
    words = site_shell("rm -f \"$1/$2.image\"; truncate -s 512M \"$1/$2.image\" && "
                       "mkfs.xfs -q -m reflink=1 \"$1/$2.image\" && "
                       "losetup -f --show \"$1/$2.image\"",
                       base, pool);
    g_hash_table_insert(loops, g_strdup(pool), g_strdup(words[0]));
    return g_hash_table_lookup(loops, pool);
}

static char *set_up_fs(const char *dir)
{
    const char *has_loops[] = {"losetup", "-f", NULL};
    const char *has_xfs[] = {"mkfs.xfs", "-V", NULL};

    set_up_in(dir);
    loops = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (geteuid() != 0)
        return g_strdup("mounting a file system needs root");
    if (!run_quietly(has_xfs))
        return g_strdup("there is no mkfs.xfs");
    return run_quietly(has_loops) ? NULL : g_strdup("there are no loop devices here");
}

static void tear_down_fs(void)
{
    g_clear_pointer(&loops, g_hash_table_unref);
    tear_down();
}

static char *fs_xml(const char *pool)
{
    g_autofree char *path = path_of(pool, NULL);

    return g_strdup_printf("<pool type='fs'><name>%s</name><source><device path='%s'/>"
                           "<format type='xfs'/></source><target><path>%s</path></target></pool>",
                           pool, loop_of(pool), path);
}

static void clean_fs(const char *pool)
{
    const char *loop = g_hash_table_lookup(loops, pool);

    g_strfreev(site_shell("umount -l \"$1/$2\" 2>/dev/null; rm -rf \"$1/$2\"", base, pool));
    if (!loop)
        return;
    g_strfreev(site_shell("losetup -d \"$2\"", "", loop));
    g_hash_table_remove(loops, pool);
}

/* The content of a stopped pool is read from a temporary mount. */
static char **native_list_fs(const char *pool)
{
    g_autofree char *path = path_of(pool, NULL);
    const char *mounted_there[] = {"mountpoint", "-q", path, NULL};
    char **names;

    if (run_quietly(mounted_there))
        return native_list(pool);
    g_strfreev(site_shell("mkdir -p \"$1/look\"; mount \"$2\" \"$1/look\"", base, loop_of(pool)));
    names = native_list("look");
    g_strfreev(site_shell("umount \"$1/look\"; rmdir \"$1/look\"", base, ""));
    return names;
}

/* --- a server's directories ------------------------------------------------------------------- */

/*
 * CISTERN_CONTRACT_NFS and CISTERN_CONTRACT_CIFS name a folder of this machine whose content may go
 * and what a server on it has it mounted as: "/srv/nfs/all /all", "/srv/smb share". tests/lab has
 * such servers. The user of the share is in CISTERN_CONTRACT_CREDENTIALS, a file for mount.cifs.
 */
static char **server;

static char *set_up_server(const char *dir, const char *variable)
{
    const char *named = g_getenv(variable);

    set_up_in(dir);
    server = g_strsplit(named ? named : "", " ", -1);
    return g_strv_length(server) == 2 ? NULL : g_strdup_printf("%s names no server", variable);
}

static char *set_up_nfs(const char *dir)
{
    return set_up_server(dir, "CISTERN_CONTRACT_NFS");
}

static char *set_up_cifs(const char *dir)
{
    return set_up_server(dir, "CISTERN_CONTRACT_CIFS");
}

static void tear_down_server(void)
{
    g_clear_pointer(&server, g_strfreev);
    tear_down();
}

static char *netfs_xml(const char *pool, const char *format, const char *option)
{
    g_autofree char *path = path_of(pool, NULL);

    g_strfreev(site_shell("mkdir -p \"$1/$2\"", server[0], pool));
    return g_strdup_printf("<pool type='netfs'><name>%s</name><source><host name='127.0.0.1'/>"
                           "<dir path='%s/%s'/><format type='%s'/></source>"
                           "<target><path>%s</path></target>"
                           "<mount_opts xmlns='http://libvirt.org/schemas/storagepool/fs/1.0'>"
                           "<option name='%s'/></mount_opts></pool>",
                           pool, server[1], pool, format, path, option);
}

static char *nfs_xml(const char *pool)
{
    return netfs_xml(pool, "nfs", "noac");
}

static char *cifs_xml(const char *pool)
{
    g_autofree char *option =
        g_strconcat("credentials=", g_getenv("CISTERN_CONTRACT_CREDENTIALS"), NULL);

    return netfs_xml(pool, "cifs", option);
}

static void clean_netfs(const char *pool)
{
    g_strfreev(site_shell("umount -l \"$1/$2\" 2>/dev/null; rm -rf \"$1/$2\"", base, pool));
    g_strfreev(site_shell("rm -rf \"$1/$2\"", server[0], pool));
}

static char **native_list_netfs(const char *pool)
{
    g_autofree char *path = g_build_filename(server[0], pool, NULL);

    return list_of(path);
}

/* A server of CIFS lists a file until the last of its handles is closed, of which clients keep some
 * for a second. */
static void native_delete_netfs(const char *pool, const char *name)
{
    g_autofree char *path = g_build_filename(server[0], pool, name, NULL);

    native_delete(pool, name);
    AWAIT(!g_file_test(path, G_FILE_TEST_EXISTS));
}

/* --- records of snapshots --------------------------------------------------------------------- */

static void set_attribute(const char *name, const char *value)
{
    g_autofree char *path = path_of("p", "v");

    assert_int_equal(setxattr(path, name, value, strlen(value), 0), 0);
}

/* @expected NULL: the volume's file has no such attribute. */
static void assert_attribute(const char *name, const char *expected)
{
    g_autofree char *path = path_of("p", "v");
    char value[64];
    ssize_t len = getxattr(path, name, value, sizeof(value));

    assert_int_equal(len, expected ? (ssize_t)strlen(expected) : -1);
    if (expected)
        assert_memory_equal(value, expected, (size_t)len);
}

static void assert_newest(CstPoolState *state, CstConsistency consistency)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(state, "v", NULL);

    assert_true(list && list->len > 0);
    assert_int_equal(((const CstSnapshot *)list->pdata[list->len - 1])->consistency, consistency);
}

/* The owner of the file could set the attribute. Other attributes are copied in both directions. */
static void attribute_of_the_volume_is_no_record(Site *site)
{
    const CstSnapshotCreate crash = {.consistency = CST_CONSISTENCY_CRASH};
    g_autoptr(CstPoolState) state = site_open_state(site);

    volume_make(site, "v", VOLUME_SIZE);
    set_attribute("user.cistern.consistency", "application");
    set_attribute("user.note", "kept");
    assert_true(
        cst_pool_state_snapshot_create(state, "v", "s", &(CstSnapshotCreate){0}, NULL, NULL));
    assert_newest(state, CST_CONSISTENCY_UNKNOWN);
    assert_true(cst_pool_state_snapshot_create(state, "v", "t", &crash, NULL, NULL));
    assert_newest(state, CST_CONSISTENCY_CRASH);
    set_attribute("user.note", "lost");
    assert_true(cst_pool_state_snapshot_revert(state, "v", "t", NULL, NULL, NULL));
    assert_attribute("user.cistern.consistency", NULL);
    assert_attribute("user.note", "kept");
}

static const ContractTest record_tests[] = {
    {"an attribute of the volume is no record of a snapshot", attribute_of_the_volume_is_no_record,
     GROUND_SNAPSHOTS, NULL},
    {0},
};

#define FILE_FLAGS                                                                     \
    (GROUND_NEEDS_BUILD | GROUND_RESIZES | GROUND_GROWS_ZERO | GROUND_GROWS_BY_WRITE | \
     GROUND_DIRECTORIES | GROUND_RENAMES | GROUND_TRASH)
#define FILE_CALLS \
    .native_create = native_create, .native_delete = native_delete, .hold = hold, .release = let_go
#define DIR_FLAGS (FILE_FLAGS | GROUND_DELETES | GROUND_MOVES)
#define DIR_CALLS                                                                             \
    .tear_down = tear_down, .pool_xml = pool_xml, .clean = clean, .native_list = native_list, \
    .identity = identity, FILE_CALLS
#define NETFS_CALLS                                                                        \
    .tear_down = tear_down_server, .clean = clean_netfs, .native_list = native_list_netfs, \
    .native_create = native_create, .native_delete = native_delete_netfs, .hold = hold,    \
    .release = let_go

Ground dir_ground = {
    .name = "dir", .format = "raw", .flags = DIR_FLAGS, .set_up = set_up_plain, DIR_CALLS};

const Ground dir_qcow2_ground = {.name = "dir-qcow2",
                                 .format = "qcow2",
                                 .flags = (DIR_FLAGS & ~GROUND_GROWS_BY_WRITE) | GROUND_SNAPSHOTS |
                                          GROUND_REVERTS_ANY | GROUND_SNAPSHOTS_INSIDE |
                                          GROUND_TELLS,
                                 .set_up = set_up_in,
                                 DIR_CALLS};

const Ground dir_reflink_ground = {.name = "dir-reflink",
                                   .format = "raw",
                                   .flags = DIR_FLAGS | SNAPSHOT_FLAGS,
                                   .own_tests = record_tests,
                                   .set_up = set_up_xfs,
                                   DIR_CALLS};

const Ground fs_ground = {.name = "fs",
                          .format = "raw",
                          .flags = FILE_FLAGS | GROUND_MOUNTS | SNAPSHOT_FLAGS,
                          .own_tests = record_tests,
                          .set_up = set_up_fs,
                          .tear_down = tear_down_fs,
                          .pool_xml = fs_xml,
                          .clean = clean_fs,
                          .native_list = native_list_fs,
                          FILE_CALLS};

const Ground nfs_ground = {.name = "nfs",
                           .format = "raw",
                           .flags = FILE_FLAGS | GROUND_MOUNTS,
                           .set_up = set_up_nfs,
                           .pool_xml = nfs_xml,
                           NETFS_CALLS};

const Ground cifs_ground = {.name = "cifs",
                            .format = "raw",
                            .flags = FILE_FLAGS | GROUND_MOUNTS,
                            .set_up = set_up_cifs,
                            .pool_xml = cifs_xml,
                            NETFS_CALLS};
