/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes on a Gluster volume: creation, opening, copying, removal, and access as blobs. */
#include "gluster_site.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char *names(void)
{
    g_autofree char *dir = site_path("");
    GDir *open = g_dir_open(dir, 0, NULL);
    GPtrArray *all = g_ptr_array_new();
    const char *name;
    char *text;

    while ((name = g_dir_read_name(open)))
        g_ptr_array_add(all, g_strdup(name));
    g_dir_close(open);
    g_ptr_array_sort(all, by_name);
    g_ptr_array_add(all, NULL);
    text = g_strjoinv(" ", (char **)all->pdata);
    g_strfreev((char **)g_ptr_array_free(all, FALSE));
    return text;
}

static void assert_names(const char *expected)
{
    g_autofree char *is = names();

    assert_string_equal(is, expected);
}

static guint mode_of(const char *name)
{
    g_autofree char *path = site_path(name);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static guint64 size_of(const char *name)
{
    g_autofree char *path = site_path(name);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (guint64)st.st_size;
}

static void volumes_are_made_and_removed(void **state)
{
    GError *error = NULL;

    assert_true(site_make("a", "raw", NULL));
    assert_names("a");
    assert_int_equal(mode_of("a"), 0600);
    site_assert_failed(site_make("a", "raw", &error), &error, CST_ERROR_VOL_EXISTS, "'a'");
    assert_true(site_make("d", "dir", NULL));
    assert_int_equal(mode_of("d"), 0600);
    assert_true(cst_pool_state_delete(site_pool, "a", 0, NULL));
    assert_true(cst_pool_state_delete(site_pool, "a", 0, NULL));
    site_put("d/x", "");
    site_assert_failed(cst_pool_state_delete(site_pool, "d", 0, &error), &error, CST_ERROR_IO,
                       "cannot remove gluster volume dir '/d/d'");
    site_assert_failed(cst_pool_state_delete(site_pool, "a", 1, &error), &error, CST_ERROR_FLAGS,
                       "virStorageBackendGlusterVolDelete");
    assert_names("d");
}

/* After each failed step no new file is left, and existing files are unchanged. */
static void failed_step_leaves_no_file(void **state)
{
    static const struct {
        const char *function;
        guint skip;
        int err;
        int code;
    } steps[] = {
        {"glfs_creat", 0, EDQUOT, CST_ERROR_NO_SPACE},
        {"glfs_ftruncate", 0, EIO, CST_ERROR_IO}, /* after the trial copy */
        {"glfs_pwrite", 0, ENOSPC, CST_ERROR_NO_SPACE},
        {"glfs_fchmod", 0, EIO, CST_ERROR_IO},
        {"glfs_fsync", 0, EIO, CST_ERROR_IO},
        {"glfs_link", 0, ENOTCONN, CST_ERROR_UNREACHABLE},
        {"glfs_fsync", 1, EIO, CST_ERROR_IO},
        {"glfs_link", 0, EEXIST, CST_ERROR_VOL_EXISTS},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autoptr(GError) error = NULL;

        fake_gluster_fail(steps[i].function, steps[i].skip, 1, steps[i].err);
        assert_false(site_make("a", "raw", &error));
        if (!g_error_matches(error, CST_ERROR, steps[i].code))
            fail_msg("%zu: %s", i, error->message);
        assert_true(cst_pool_state_abandon(site_pool, "a", NULL));
        assert_true(cst_pool_state_abandon(site_pool, "a", NULL));
        assert_names("");
    }
    fake_gluster_fail("glfs_chmod", 0, 1, EIO);
    assert_false(site_make("d", "dir", NULL));
    assert_names("");
}

static void drafts_do_not_lead_elsewhere(void **state)
{
    GError *error = NULL;

    site_assert_failed(cst_pool_state_abandon(site_pool, "../../x", &error), &error,
                       CST_ERROR_INVALID, "does not name a draft");
}

static void make_old(const char *name)
{
    g_autofree char *path = site_path(name);
    const struct timeval then[2] = {{1000, 0}, {1000, 0}};

    assert_int_equal(utimes(path, then), 0);
}

static void only_dead_drafts_are_dropped(void **state)
{
    g_autofree char *living = site_path(".cistern-living.part");
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = G_MAXINT64 - 1, .l_len = 1};
    int fd;

    site_put(".cistern-dead.part", "");
    site_put(".cistern-living.part", "");
    site_put(".cistern-young.part", "");
    site_put(".cistern-no-draft", "");
    make_old(".cistern-dead.part");
    make_old(".cistern-living.part");
    make_old(".cistern-no-draft");
    fd = open(living, O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    assert_true(cst_pool_state_settle(site_pool, NULL));
    assert_names(".cistern-living.part .cistern-no-draft .cistern-young.part");
    close(fd);
    assert_true(cst_pool_state_settle(site_pool, NULL));
    assert_names(".cistern-no-draft .cistern-young.part");
}

static void missing_backing_file_of_the_pool_is_refused(void **state)
{
    g_autoptr(CstVolDef) def = cst_vol_def_parse(
        "<volume><name>o</name><capacity>1</capacity><target><format type='qcow2'/></target>"
        "<backingStore><path>gluster://one/gv0/d/base</path><format type='raw'/></backingStore>"
        "</volume>",
        CST_POOL_GLUSTER, 0, NULL);
    g_auto(CstVolDraft) draft = {.token = g_strdup("o")};
    GError *error = NULL;

    site_assert_failed(cst_pool_state_reserve(site_pool, def, &draft, &error), &error,
                       CST_ERROR_NOT_FOUND,
                       "inaccessible backing store volume gluster://one/gv0/d/base");
    site_put("base", "");
    assert_true(cst_pool_state_reserve(site_pool, def, &draft, NULL));
}

/* --- blobs ------------------------------------------------------------------------------------ */

static CstBlob *open_volume(const char *name)
{
    CstBlob *blob = cst_pool_state_vol_open(site_pool, name, TRUE, NULL);

    assert_non_null(blob);
    return blob;
}

static void written_content_is_read_back(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    g_autofree char *big = g_malloc(3 * CST_MIB), *back = g_malloc0(3 * CST_MIB);
    uint64_t size = 0;
    GError *error = NULL;

    memset(big, 'x', 3 * CST_MIB);
    site_put("a", "");
    blob = open_volume("a");
    assert_true(cst_blob_pwrite(blob, big, 3 * CST_MIB, 100, NULL));
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, 3 * CST_MIB + 100);
    assert_true(cst_blob_pread(blob, back, 3 * CST_MIB, 100, NULL));
    assert_memory_equal(big, back, 3 * CST_MIB);
    assert_true(cst_blob_resize(blob, 200, NULL));
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, 200);
    /* Another program truncates the file. */
    site_put("b", "0123456789");
    {
        g_autoptr(CstBlob) other = open_volume("b");
        g_autofree char *path = site_path("b");

        assert_int_equal(truncate(path, 4), 0);
        site_assert_failed(cst_blob_pread(other, back, 10, 0, &error), &error, CST_ERROR_IO,
                           "ends at 4 bytes");
    }
}

static void a_flush_that_fails_is_not_forgotten(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    GError *error = NULL;

    site_put("a", "");
    blob = open_volume("a");
    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 0);
    assert_true(cst_blob_pwrite(blob, "x", 1, 0, NULL));
    fake_gluster_fail("glfs_fsync", 0, 1, EIO);
    site_assert_failed(cst_blob_flush(blob, &error), &error, CST_ERROR_IO, "'a'");
    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 2);
    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 2);
}

static void assert_extent(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags)
{
    CstExtent extent;

    assert_true(cst_blob_extent(blob, offset, CST_MIB * 4 - offset, &extent, NULL));
    assert_int_equal(extent.length, length);
    assert_int_equal(extent.flags, flags);
}

static void holes_are_seen_and_made(void **state)
{
    const unsigned hole = CST_EXTENT_HOLE | CST_EXTENT_ZERO;
    g_autoptr(CstBlob) blob = NULL;
    char back[2] = "x";
    CstExtent extent;
    GError *error = NULL;

    site_put("a", "");
    blob = open_volume("a");
    assert_true(cst_blob_resize(blob, 4 * CST_MIB, NULL));
    assert_true(cst_blob_pwrite(blob, "data", 4, CST_MIB, NULL));
    assert_true(cst_blob_flush(blob, NULL));
    assert_extent(blob, 0, CST_MIB, hole);
    assert_extent(blob, 2 * CST_MIB, 2 * CST_MIB, hole);
    assert_true(cst_blob_extent(blob, CST_MIB, 1, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_DATA);
    /* Servers without this function: everything counts as data. */
    fake_gluster_fail("glfs_lseek", 0, 1, EOPNOTSUPP);
    assert_extent(blob, 0, 4 * CST_MIB, CST_EXTENT_DATA);
    fake_gluster_fail("glfs_lseek", 0, 1, ENOTCONN);
    site_assert_failed(cst_blob_extent(blob, 0, 1, &extent, &error), &error, CST_ERROR_UNREACHABLE,
                       "'a'");
    assert_true(cst_blob_zero(blob, CST_MIB, 4096, CST_ZERO_MAY_UNMAP, NULL));
    assert_int_equal(fake_gluster_calls("glfs_discard"), 1);
    assert_true(cst_blob_pread(blob, back, 1, CST_MIB, NULL));
    assert_int_equal(back[0], 0);
    site_assert_failed(cst_blob_zero(blob, 0, 4096, CST_ZERO_FAST, &error), &error,
                       CST_ERROR_UNSUPPORTED, "cannot be zeroed without writing");
    assert_true(cst_blob_zero(blob, 0, 4096, 0, NULL));
    assert_int_equal(fake_gluster_calls("glfs_zerofill"), 1);
    /* A brick whose file system lacks this function: the zeroes are written. */
    fake_gluster_fail("glfs_discard", 0, 1, EOPNOTSUPP);
    assert_true(cst_blob_pwrite(blob, "data", 4, CST_MIB, NULL));
    assert_true(cst_blob_zero(blob, CST_MIB, 4096, CST_ZERO_MAY_UNMAP, NULL));
    assert_true(cst_blob_pread(blob, back, 1, CST_MIB, NULL));
    assert_int_equal(back[0], 0);
}

static void copy(guint calls)
{
    g_autoptr(CstBlob) from = open_volume("a");
    g_autoptr(CstBlob) to = open_volume("b");
    guint before = fake_gluster_calls("glfs_copy_file_range");
    char back[4];

    assert_true(cst_blob_resize(to, 0, NULL));
    assert_true(cst_blob_copy(from, 0, to, 0, CST_MIB, 0, NULL, NULL));
    assert_true(cst_blob_pread(to, back, 4, 0, NULL));
    assert_memory_equal(back, "data", 4);
    assert_int_equal(fake_gluster_calls("glfs_copy_file_range") - before, calls);
}

static void the_servers_copy_where_that_is_right(void **state)
{
    g_autofree char *content = g_strnfill(CST_MIB, 'x');
    GError *error = NULL;

    memcpy(content, "data", 4);
    site_put("a", content);
    site_put("b", "");
    /*
     * The function is used only after a trial on a new file. The trial leaves no data in the file.
     */
    copy(0);
    assert_true(site_make("new", "raw", NULL));
    assert_int_equal(size_of("new"), 7);
    copy(1);
    fake_gluster_fail("glfs_copy_file_range", 0, 1, EXDEV);
    copy(1);
    {
        g_autoptr(CstBlob) from = open_volume("a");
        g_autoptr(CstBlob) to = open_volume("b");

        fake_gluster_fail("glfs_copy_file_range", 0, 1, ENOSPC);
        site_assert_failed(cst_blob_copy(from, 0, to, 0, CST_MIB, 0, NULL, &error), &error,
                           CST_ERROR_NO_SPACE, "'b'");
    }
    /* With replication, only one of the replicas would be written. */
    g_clear_pointer(&site_pool, cst_pool_state_unref);
    fake_gluster_await_open(0, 0);
    fake_gluster_set_layer("cluster/replicate");
    site_pool = site_open("/d", "");
    assert_true(site_make("other", "raw", NULL));
    copy(0);
}

static void servers_that_copy_wrong_are_not_asked_to(void **state)
{
    g_autofree char *content = g_strnfill(CST_MIB, 'x');

    memcpy(content, "data", 4);
    site_put("a", content);
    site_put("b", "");
    fake_gluster_copy_wrong();
    assert_true(site_make("new", "raw", NULL));
    assert_int_equal(fake_gluster_calls("glfs_copy_file_range"), 1);
    copy(0);
}

static void owner_of_a_lock_holds_the_volume(void **state)
{
    g_autoptr(GPtrArray) none = NULL;
    g_autoptr(GPtrArray) holders = NULL;
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1};
    g_autofree char *path = site_path("a");
    GError *error = NULL;
    int fd;

    site_put("a", "content");
    none = cst_pool_state_vol_holders(site_pool, "a", NULL);
    assert_int_equal(none->len, 0);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    holders = cst_pool_state_vol_holders(site_pool, "a", NULL);
    assert_int_equal(holders->len, 1);
    assert_true(((CstHolder *)g_ptr_array_index(holders, 0))->reads_only);
    /* Byte 201: no other program may write. */
    lock.l_start = 201;
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    site_assert_failed(cst_pool_state_vol_open(site_pool, "a", TRUE, &error) != NULL, &error,
                       CST_ERROR_BUSY, "'a' is in use");
    close(fd);
    cst_blob_unref(open_volume("a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_set_up, site_tear_down)
        TEST(volumes_are_made_and_removed),
        TEST(failed_step_leaves_no_file),
        TEST(drafts_do_not_lead_elsewhere),
        TEST(only_dead_drafts_are_dropped),
        TEST(missing_backing_file_of_the_pool_is_refused),
        TEST(written_content_is_read_back),
        TEST(a_flush_that_fails_is_not_forgotten),
        TEST(holes_are_seen_and_made),
        TEST(the_servers_copy_where_that_is_right),
        TEST(servers_that_copy_wrong_are_not_asked_to),
        TEST(owner_of_a_lock_holds_the_volume),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
