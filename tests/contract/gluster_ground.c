/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gluster_ground.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <blob/gluster.h>
#include <glib/gstdio.h>

/*
 * Files on a Gluster volume that somebody else started (tests/network/contract_test.py):
 * CST_TEST_GLUSTER is "HOST VOLUME". Each pool is a directory of the volume, which this program
 * sees as another client.
 */

static GStrv gluster_at; /* host, volume */
static const CstGluster *gluster;
static glfs_t *fs;
static GHashTable *held; /* "pool/volume" to glfs_fd_t */

static char *set_up(const char *dir)
{
    static const char *const caches[] = {"*-md-cache", "*-write-behind", "*-quick-read",
                                         "*-open-behind"};
    const char *at = g_getenv("CST_TEST_GLUSTER");

    if (!at)
        return g_strdup("it needs a Gluster server, which tests/network starts");
    gluster_at = g_strsplit(at, " ", 2);
    held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    gluster = cst_gluster(NULL);
    if (!gluster)
        return g_strdup("Gluster's library is not there");
    cst_foreign_enter();
    fs = gluster->glfs_new(gluster_at[1]);
    assert_int_equal(gluster->glfs_set_volfile_server(fs, "tcp", gluster_at[0], 0), 0);
    gluster->glfs_set_logging(fs, "/dev/null", 1);
    for (size_t i = 0; i < G_N_ELEMENTS(caches); i++)
        gluster->glfs_set_xlator_option(fs, caches[i], "pass-through", "true");
    assert_int_equal(gluster->glfs_init(fs), 0);
    return NULL;
}

/* The end of a connection lasts seconds, and this process is about to end. */
static void tear_down(void)
{
    g_clear_pointer(&held, g_hash_table_unref);
    g_clear_pointer(&gluster_at, g_strfreev);
}

static char *path_of(const char *pool, const char *volume)
{
    return g_strdup_printf("/%s%s%s", pool, volume ? "/" : "", volume ? volume : "");
}

static char *pool_xml(const char *pool)
{
    g_autofree char *path = path_of(pool, NULL);

    gluster->glfs_mkdir(fs, path, 0755);
    return g_strdup_printf("<pool type='gluster'><name>%s</name><source><host name='%s'/>"
                           "<dir path='%s'/><name>%s</name></source></pool>",
                           pool, gluster_at[0], path, gluster_at[1]);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char **native_list(const char *pool)
{
    g_autofree char *path = path_of(pool, NULL);
    glfs_fd_t *dir = gluster->glfs_opendir(fs, path);
    GPtrArray *names = g_ptr_array_new();
    struct stat st;
    struct dirent entry, *found = NULL;

    while (dir && gluster->glfs_readdirplus_r(dir, &st, &entry, &found) == 0 && found)
        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(found->d_name));
    if (dir)
        gluster->glfs_closedir(dir);
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static void clean(const char *pool)
{
    g_auto(GStrv) names = native_list(pool);

    for (char **name = names; *name; name++) {
        g_autofree char *path = path_of(pool, *name);

        if (gluster->glfs_unlink(fs, path) < 0)
            gluster->glfs_rmdir(fs, path);
    }
}

static void native_create(const char *pool, const char *volume, uint64_t size)
{
    g_autofree char *path = path_of(pool, volume);
    glfs_fd_t *fd = gluster->glfs_creat(fs, path, O_RDWR | O_CREAT | O_EXCL, 0600);

    assert_non_null(fd);
    assert_int_equal(gluster->glfs_ftruncate(fd, (off_t)size, NULL, NULL), 0);
    gluster->glfs_close(fd);
}

static void native_delete(const char *pool, const char *volume)
{
    g_autofree char *path = path_of(pool, volume);

    assert_int_equal(gluster->glfs_unlink(fs, path), 0);
}

/* As QEMU on a mount of the volume does: it reads and writes. */
static void hold(const char *pool, const char *volume)
{
    g_autofree char *path = path_of(pool, volume);
    glfs_fd_t *fd = gluster->glfs_open(fs, path, O_RDWR);
    guint64 owner = 4711;

    assert_non_null(fd);
    gluster->glfs_fd_set_lkowner(fd, &owner, sizeof(owner));
    for (off_t byte = 100; byte <= 203; byte += byte == 103 ? 97 : 1) {
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

        assert_int_equal(gluster->glfs_posix_lock(fd, F_SETLK, &lock), 0);
    }
    g_hash_table_insert(held, g_steal_pointer(&path), fd);
}

static void let_go(const char *pool, const char *volume)
{
    g_autofree char *path = path_of(pool, volume);

    gluster->glfs_close(g_hash_table_lookup(held, path));
    g_hash_table_remove(held, path);
}

static CstBlob *open_file(const char *pool, const char *volume, gboolean writable, GError **error)
{
    g_autofree char *path = path_of(pool, volume);
    CstBlobGluster what = {
        .fd = gluster->glfs_open(fs, path, writable ? O_RDWR : O_RDONLY),
        .deadline_ms = 10000,
    };

    assert_non_null(what.fd);
    return cst_blob_gluster_new(&what, volume, writable, error);
}

/* A number made of the file's gfid. */
static char *identity(const char *pool, const char *volume)
{
    g_autofree char *path = path_of(pool, volume);
    struct stat st;

    assert_int_equal(gluster->glfs_lstat(fs, path, &st), 0);
    return g_strdup_printf("%" PRIu64, (uint64_t)st.st_ino);
}

#define GLUSTER_FLAGS                                                                        \
    (GROUND_RESIZES | GROUND_GROWS_ZERO | GROUND_DIRECTORIES | GROUND_SHARED | GROUND_URLS | \
     GROUND_RENAMES | GROUND_TRASH | GROUND_MOVES)

const Ground gluster_ground = {
    .name = "gluster",
    .format = "qcow2",
    .flags = GLUSTER_FLAGS | GROUND_SNAPSHOTS | GROUND_SNAPSHOTS_INSIDE | GROUND_REVERTS_ANY |
             GROUND_TELLS,
    .set_up = set_up,
    .tear_down = tear_down,
    .pool_xml = pool_xml,
    .clean = clean,
    .native_create = native_create,
    .native_delete = native_delete,
    .native_list = native_list,
    .hold = hold,
    .release = let_go,
    .identity = identity,
    .open = open_file,
};

const Ground gluster_raw_ground = {
    .name = "gluster-raw",
    .format = "raw",
    .flags = GLUSTER_FLAGS | GROUND_GROWS_BY_WRITE,
    .set_up = set_up,
    .tear_down = tear_down,
    .pool_xml = pool_xml,
    .clean = clean,
    .native_create = native_create,
    .native_delete = native_delete,
    .native_list = native_list,
    .hold = hold,
    .release = let_go,
    .identity = identity,
    .open = open_file,
};
