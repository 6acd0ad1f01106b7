/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of the files of a Gluster volume. */
#include "gluster_site.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_scan(const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *is = site_scan(&error);

    if (error)
        fail_msg("%s", error->message);
    assert_string_equal(is, expected);
}

static void assert_one(const char *name, const char *expected)
{
    g_autofree char *is = site_scan_one(name, NULL);

    assert_string_equal(is, expected);
}

static void link_to(const char *target, const char *name)
{
    g_autofree char *path = site_path(name);

    assert_int_equal(symlink(target, path), 0);
}

static void make_dir(const char *name)
{
    g_autofree char *path = site_path(name);

    assert_int_equal(g_mkdir(path, 0755), 0);
}

static void entries_are_listed_as_libvirt_does(void **state)
{
    site_put("file", "1234567");
    site_put("untold", "12");
    make_dir("dir");
    link_to("file", "link");
    link_to("nowhere", "dangling");
    link_to("loop", "loop");
    link_to("dir", "to-dir");
    site_put(".cistern-token.part", "draft");
    {
        g_autofree char *path = site_path("dir");
        g_autofree char *expected = NULL;
        struct stat st;

        /* libvirt shows a directory's own size here. */
        assert_int_equal(stat(path, &st), 0);
        expected = g_strdup_printf("dir dir dir %ld - -\n"
                                   "file file raw 7 - -\n"
                                   "link file raw 7 - -\n"
                                   "to-dir dir dir %ld - -\n"
                                   "untold file raw 2 - -\n",
                                   (long)st.st_size, (long)st.st_size);
        assert_scan(expected);
    }
    assert_one("link", "link file raw 7 - -\n");
    assert_one("dangling", "none");
    assert_one(".cistern-token.part", "none");
    assert_one("missing", "none");
    assert_one("a/b", "none");
}

/* A qcow2 header of version 2 with a backing file. */
static void put_qcow2(const char *name, const char *backing)
{
    guint8 bytes[4096] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 2};
    g_autofree char *path = site_path(name);

    bytes[15] = 200; /* offset of the backing file's name */
    bytes[19] = (guint8)strlen(backing);
    bytes[23] = 16;
    bytes[29] = 1; /* 64 KiB */
    bytes[39] = 1;
    bytes[46] = 4;
    bytes[54] = 8;
    bytes[59] = 1;
    memcpy(bytes + 200, backing, strlen(backing));
    assert_true(g_file_set_contents(path, (char *)bytes, sizeof(bytes), NULL));
}

static void backing_files_are_called_as_the_tables_do(void **state)
{
    put_qcow2("relative", "base");
    put_qcow2("port", "gluster://one:24007/gv0/d/base");
    put_qcow2("second", "gluster://two:24008/gv0/d/base");
    put_qcow2("above", "../base");
    put_qcow2("local", "/srv/base");
    put_qcow2("elsewhere", "gluster://three/gv0/d/base");
    {
        g_autofree char *is = site_scan(NULL);

        assert_non_null(strstr(is, "relative file qcow2 65536 gluster://one/gv0/d/base"));
        assert_non_null(strstr(is, "port file qcow2 65536 gluster://one/gv0/d/base"));
        assert_non_null(strstr(is, "second file qcow2 65536 gluster://one/gv0/d/base"));
        assert_non_null(strstr(is, "above file qcow2 65536 gluster://one/gv0/base"));
        assert_non_null(strstr(is, "local file qcow2 65536 /srv/base"));
        assert_non_null(strstr(is, "elsewhere file qcow2 65536 gluster://three/gv0/d/base"));
    }
}

static void only_changed_files_are_opened(void **state)
{
    guint opened;

    for (int i = 0; i < 50; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);

        site_put(name, "content");
    }
    g_free(site_scan(NULL));
    opened = fake_gluster_calls("glfs_open");
    assert_int_equal(opened, 50);
    g_free(site_scan(NULL));
    assert_int_equal(fake_gluster_calls("glfs_open"), opened);
    assert_int_equal(fake_gluster_calls("glfs_stat"), 0);
    site_put("f7", "other content");
    g_free(site_scan(NULL));
    assert_int_equal(fake_gluster_calls("glfs_open"), opened + 1);
}

static void file_that_other_users_may_have_planted_is_not_opened(void **state)
{
    g_autofree char *dir = site_path("");
    g_autofree char *file = site_path("file");
    g_autofree char *second = site_path("second");
    g_autofree char *is = NULL;

    site_put("file", "1");
    assert_int_equal(link(file, second), 0);
    link_to("file", "link");
    assert_int_equal(chmod(dir, 0777), 0);
    is = site_scan(NULL);
    assert_non_null(strstr(is, "link file raw"));
    assert_non_null(strstr(is, "symbolic link that users other than root can have made"));
    assert_non_null(strstr(is, "'second' has 2 names (hard links)"));
    assert_int_equal(fake_gluster_calls("glfs_open"), 0);
    assert_null(cst_pool_state_vol_open(site_pool, "link", FALSE, NULL));
    assert_int_equal(chmod(dir, 0755), 0);
    g_free(is);
    is = site_scan(NULL);
    assert_null(strstr(is, "symbolic"));
    /* The same applies to links on the path to the directory. */
    assert_int_equal(chmod(site_volume, 0777), 0);
    g_free(is);
    is = site_scan(NULL);
    assert_non_null(strstr(is, "symbolic"));
}

static void unreadable_file_is_listed(void **state)
{
    GError *error = NULL;

    site_put("a", "content");
    site_put("untold", "content");
    fake_gluster_fail("glfs_pread", 0, 1, EIO);
    fake_gluster_fail("glfs_lstat", 2, 1, EIO); /* the first two are of the directories */
    {
        g_autofree char *is = site_scan(NULL);

        assert_non_null(strstr(is, "a file raw"));
        assert_non_null(strstr(is, "I/O on volume 'a'"));
        assert_non_null(strstr(is, "cannot stat file 'untold'"));
    }
    /* The next scan reads both successfully. */
    assert_scan("a file raw 7 - -\nuntold file raw 7 - -\n");
    fake_gluster_fail("glfs_readdirplus_r", 2, 1, ENOTCONN);
    site_assert_failed(site_scan(&error) != NULL, &error, CST_ERROR_UNREACHABLE,
                       "failed to read directory '/d' in 'gv0'");
    fake_gluster_fail("glfs_opendir", 0, 1, EACCES);
    site_assert_failed(site_scan(&error) != NULL, &error, CST_ERROR_DENIED,
                       "cannot open path '/d' in 'gv0'");
    fake_gluster_fail("glfs_lstat", 0, 1, ENOTCONN);
    site_assert_failed(site_scan_one("a", &error) != NULL, &error, CST_ERROR_UNREACHABLE, "'a'");
}

static void a_declared_format_is_kept_with_the_file(void **state)
{
    g_autoptr(CstDeclaration) declaration = cst_declaration_new("raw", TRUE);
    g_autoptr(CstBlob) blob = NULL;

    put_qcow2("disk", "base");
    blob = cst_pool_state_vol_open(site_pool, "disk", TRUE, NULL);
    if (!cst_pool_state_vol_declare(site_pool, blob, declaration))
        skip(); /* no attributes on this file system */
    {
        g_autofree char *is = site_scan(NULL);

        assert_non_null(strstr(is, "disk file raw 4096 - -"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_set_up, site_tear_down)
        TEST(entries_are_listed_as_libvirt_does),
        TEST(backing_files_are_called_as_the_tables_do),
        TEST(only_changed_files_are_opened),
        TEST(file_that_other_users_may_have_planted_is_not_opened),
        TEST(unreadable_file_is_listed),
        TEST(a_declared_format_is_kept_with_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
