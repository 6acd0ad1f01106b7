/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools that reach the same directory or device by different paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/pools.h>

#include "core/pool.h"
#include "core/service.h"
#include "core/storage_index.h"
#include "fixture.h"
#include "points.h"

/* A directory pool @name on @path below the fixture's directory. */
static char *xml_on(Fixture *f, const char *name, const char *path)
{
    return g_strdup_printf("<pool type='dir'><name>%s</name><target><path>%s/%s</path></target>"
                           "</pool>",
                           name, f->images, path);
}

static void same_directory_by_another_path_is_refused(void **state)
{
    static const char *const paths[] = {"./one", "one/../one", "link", "link/."};
    Fixture *f = *state;
    g_autoptr(CstPool) one = fixture_pool(f, "one");
    g_autofree char *link = g_build_filename(f->images, "link", NULL);
    g_autoptr(GError) error = NULL;

    assert_int_equal(symlink("one", link), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *xml = xml_on(f, "two", paths[i]);

        assert_null(cst_service_pool_define(f->service, xml, 0, &error));
        assert_error(&error, CST_ERROR_EXISTS);
        assert_null(cst_service_pool_create(f->service, xml, 0, NULL, &error));
        assert_error(&error, CST_ERROR_EXISTS);
    }
}

/* A mount of the second pool would cover the directory of the first one. */
static void directory_of_active_pool_is_no_target_of_another_type(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) one = fixture_pool(f, "one"), mounted = NULL;
    g_autofree char *link = g_build_filename(f->images, "link", NULL);
    g_autofree char *xml = g_strdup_printf("<pool type='fs'><name>two</name><source><device "
                                           "path='/nonexistent'/></source><target><path>%s</path>"
                                           "</target></pool>",
                                           link);
    g_autoptr(GError) error = NULL;

    assert_int_equal(symlink("one", link), 0);
    assert_null(cst_service_pool_define(f->service, xml, 0, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    cst_pool_stop(one, NULL, &error);
    assert_no_error(error);
    mounted = cst_service_pool_define(f->service, xml, 0, &error);
    assert_no_error(error);
    assert_true(cst_pool_start(one, 0, NULL, &error));
    assert_false(cst_pool_start(mounted, 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    cst_pool_stop(one, NULL, &error);
}

static void absent_directory_is_compared_by_its_normalised_path(void **state)
{
    Fixture *f = *state;
    g_autofree char *first = xml_on(f, "one", "later");
    g_autofree char *second = xml_on(f, "two", "x/../later");
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) one = cst_service_pool_define(f->service, first, 0, &error);

    assert_no_error(error);
    assert_null(cst_service_pool_define(f->service, second, 0, &error));
    assert_error(&error, CST_ERROR_EXISTS);
}

/* The link is made after both definitions, so their checks cannot see it. */
static void second_of_two_definitions_does_not_start_or_build(void **state)
{
    Fixture *f = *state;
    g_autofree char *xml = xml_on(f, "two", "link");
    g_autofree char *link = g_build_filename(f->images, "link", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) one = fixture_pool(f, "one");
    g_autoptr(CstPool) two = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
    assert_int_equal(symlink("one", link), 0);
    assert_false(cst_pool_start(two, 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_false(cst_pool_build(two, 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_false(cst_pool_is_active(two));
    cst_pool_stop(one, NULL, &error);
    assert_no_error(error);
    cst_pool_start(two, 0, NULL, &error);
    assert_no_error(error);
    assert_false(cst_pool_start(one, 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
}

static void assert_conflict(Fixture *f, const char *xml)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_service_pool_define(f->service, xml, 0, &error));
    assert_error(&error, CST_ERROR_EXISTS);
}

static CstPool *define_on(Fixture *f, const char *name, const char *path)
{
    g_autofree char *xml = xml_on(f, name, path);
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
    return pool;
}

static void stopped_pool_conflicts_by_its_new_definition(void **state)
{
    Fixture *f = *state;
    g_autofree char *second = xml_on(f, "two", "new");
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) one = fixture_pool(f, "one");
    g_autoptr(CstPool) free_now = NULL;
    g_autoptr(CstPool) same = NULL;
    g_autofree char *again = NULL;
    char uuid[CST_UUID_TEXT_LEN];

    again = g_strdup_printf("<pool type='dir'><name>one</name><uuid>%s</uuid><target><path>%s/new"
                            "</path></target></pool>",
                            cst_uuid_format(cst_pool_uuid(one), uuid), f->images);
    same = cst_service_pool_define(f->service, again, 0, &error);
    assert_no_error(error);
    cst_pool_stop(one, NULL, &error);
    assert_no_error(error);
    assert_conflict(f, second);
    free_now = define_on(f, "three", "one");
}

static void adopted_pool_with_an_unread_directory_conflicts(void **state)
{
    Fixture *f = *state;
    g_autofree char *link = g_build_filename(f->images, "link", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) one = fixture_pool(f, "one");
    g_autoptr(CstPool) two = define_on(f, "two", "link");

    g_clear_pointer(&one, cst_pool_unref);
    g_clear_pointer(&two, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_int_equal(symlink("one", link), 0);
    two = cst_service_pool_by_name(f->service, "two", &error);
    assert_no_error(error);
    assert_false(cst_pool_start(two, 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
}

/* A search for conflicts reads the directory of @pool before it looks at bucket @before. */
static struct {
    CstPool *pool;
    char *path;
    guint before, searched;
} reading;

/* Stores the identity of the pool's directory like another search that has read it. */
static void read_directory(gpointer unused)
{
    CstStorageId id = {0};
    struct stat st;

    if (reading.searched++ != reading.before)
        return;
    assert_int_equal(stat(reading.path, &st), 0);
    id = (CstStorageId){.device = st.st_dev, .inode = st.st_ino};
    g_mutex_lock(&reading.pool->lock);
    reading.pool->storage_paths = g_strdup(reading.path);
    reading.pool->storage = g_array_new(FALSE, TRUE, sizeof(CstStorageId));
    g_array_append_val(reading.pool->storage, id);
    storage_index_update(reading.pool);
    g_mutex_unlock(&reading.pool->lock);
}

/* The read moves the pool from a bucket that is searched to another one. */
static void pool_that_is_read_during_the_search_conflicts(void **state)
{
    Fixture *f = *state;
    g_autofree char *link = g_build_filename(f->images, "link", NULL);
    g_autoptr(GError) error = NULL;
    CstPool *one = fixture_pool(f, "one"), *two = define_on(f, "two", "link");

    assert_int_equal(symlink("one", link), 0);
    reading.path = g_build_filename(f->images, "one", NULL);
    for (guint before = 0; before < 3; before++) {
        cst_pool_unref(one);
        cst_pool_unref(two);
        fixture_restart(f, CST_SERVICE_DAEMON);
        reading.pool = one = cst_service_pool_by_name(f->service, "one", NULL);
        two = cst_service_pool_by_name(f->service, "two", NULL);
        assert_null(one->storage);
        reading.before = before;
        reading.searched = 0;
        point_run_always("storage_index.key", read_directory, NULL);
        assert_false(cst_pool_start(two, 0, NULL, &error));
        points_clear();
        assert_error(&error, CST_ERROR_EXISTS);
        assert_true(reading.searched > before);
    }
    cst_pool_unref(one);
    cst_pool_unref(two);
    g_free(reading.path);
}

/* The end of the removed pool must not remove the entry of the pool that has its name now. */
static void redefined_pool_conflicts_after_the_release_of_the_old_pool(void **state)
{
    Fixture *f = *state;
    g_autofree char *second = xml_on(f, "two", "one");
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) removed = define_on(f, "one", "one");
    g_autoptr(CstPool) again = NULL;

    cst_pool_undefine(removed, NULL, &error);
    assert_no_error(error);
    again = define_on(f, "one", "one");
    g_clear_pointer(&removed, cst_pool_unref);
    assert_conflict(f, second);
    cst_pool_undefine(again, NULL, &error);
    assert_no_error(error);
    removed = define_on(f, "two", "one");
}

static char *xml_of(const char *type, const char *name, const char *source)
{
    return g_strdup_printf("<pool type='%s'><name>%s</name><source>%s</source>"
                           "<target><path>/%s</path></target></pool>",
                           type, name, source, name);
}

static void same_source_of_each_kind_is_refused(void **state)
{
    static const struct {
        const char *type, *source, *other_type, *other_source;
    } cases[] = {
        {"netfs", "<host name='h'/><dir path='/d'/><format type='nfs'/>", "netfs",
         "<host name='h'/><dir path='/d'/><format type='nfs'/>"},
        {"logical", "<device path='/dev/cistern-none'/><name>vg</name>", "logical",
         "<device path='/dev/cistern-none'/><name>vg</name>"},
        {"disk", "<device path='/dev/cistern-none'/><format type='gpt'/>", "disk",
         "<device path='/dev/cistern-none'/><format type='gpt'/>"},
        {"disk", "<device path='/dev/cistern-none'/><format type='gpt'/>", "fs",
         "<device path='/dev/cistern-none'/>"},
        {"iscsi", "<host name='h'/><device path='iqn.2020-01.org.example:a'/>", "iscsi",
         "<host name='h'/><device path='iqn.2020-01.org.example:a'/>"},
        {"scsi", "<adapter name='host3'/>", "scsi", "<adapter name='host3'/>"},
        {"mpath", "", "mpath", ""},
        {"zfs", "<name>tank</name><device path='/dev/cistern-none'/>", "zfs",
         "<name>other</name><device path='/dev/cistern-none'/>"},
        {"sheepdog", "<host name='h'/><name>s</name>", "sheepdog",
         "<host name='h'/><name>t</name>"},
        {"vstorage", "<name>c</name>", "vstorage", "<name>c</name>"},
        {"gluster", "<host name='h'/><dir path='/d'/><name>v</name>", "gluster",
         "<host name='h'/><dir path='/d'/><name>v</name>"},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *first = xml_of(cases[i].type, "first", cases[i].source);
        g_autofree char *second = xml_of(cases[i].other_type, "second", cases[i].other_source);
        g_autoptr(GError) error = NULL;
        g_autoptr(CstPool) pool = cst_service_pool_define(f->service, first, 0, &error);

        assert_no_error(error);
        assert_conflict(f, second);
        cst_pool_undefine(pool, NULL, &error);
        assert_no_error(error);
    }
}

/* --- devices ---------------------------------------------------------------------------------- */

/* Returns the XML of a pool of @type on file @device in the fixture's directory. */
static char *xml_on_device(Fixture *f, const char *type, const char *name, const char *device)
{
    g_autofree char *source = g_strdup_printf("<device path='%s/%s'/>", f->images, device);

    return xml_of(type, name, source);
}

static CstPool *define_on_device(Fixture *f, const char *name, const char *device)
{
    g_autofree char *xml = xml_on_device(f, "fs", name, device);
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
    return pool;
}

static void make_device(Fixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->images, name, NULL);

    assert_int_equal(g_mkdir_with_parents(f->images, 0755), 0);
    assert_true(g_file_set_contents(path, "", 0, NULL));
}

static void link_to_device(Fixture *f, const char *link, const char *device)
{
    g_autofree char *path = g_build_filename(f->images, link, NULL);

    unlink(path);
    assert_int_equal(symlink(device, path), 0);
}

static void device_by_another_path_is_refused(void **state)
{
    static const char *const types[] = {"fs", "disk"};
    Fixture *f = *state;
    g_autoptr(CstPool) one = NULL;

    make_device(f, "a");
    make_device(f, "b");
    link_to_device(f, "link", "a");
    one = define_on_device(f, "one", "a");
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *xml = xml_on_device(f, types[i], "two", "link");

        assert_conflict(f, xml);
    }
    fixture_restart(f, CST_SERVICE_DAEMON);
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *xml = xml_on_device(f, types[i], "two", "link");

        assert_conflict(f, xml);
    }
}

static void path_that_leads_to_another_device_is_read_again(void **state)
{
    Fixture *f = *state;
    g_autofree char *xml = xml_on_device(f, "fs", "two", "b");
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) one = NULL;
    g_autoptr(CstPool) two = NULL;

    make_device(f, "a");
    make_device(f, "b");
    link_to_device(f, "link", "a");
    one = define_on_device(f, "one", "link");
    two = define_on_device(f, "two", "b");
    cst_pool_undefine(two, NULL, &error);
    assert_no_error(error);
    link_to_device(f, "link", "b");
    f->service->devices_at -= 2 * G_TIME_SPAN_SECOND;
    assert_conflict(f, xml);
}

static void pool_is_not_compared_with_pools_on_other_devices(void **state)
{
    Fixture *f = *state;
    g_autofree char *again = xml_on_device(f, "fs", "again", "last");
    g_autoptr(CstPool) last = NULL;

    for (guint i = 0; i < 20; i++) {
        g_autofree char *name = g_strdup_printf("p%u", i);
        g_autoptr(CstPool) pool = NULL;

        make_device(f, name);
        pool = define_on_device(f, name, name);
    }
    make_device(f, "last");
    f->service->devices_at = 0;
    point_watch("pool.conflict.compare");
    last = define_on_device(f, "last", "last");
    assert_int_equal(point_passed("pool.conflict.compare"), 0);
    assert_conflict(f, again);
    assert_int_equal(point_passed("pool.conflict.compare"), 1);
    points_clear();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(same_directory_by_another_path_is_refused),
        TEST(directory_of_active_pool_is_no_target_of_another_type),
        TEST(absent_directory_is_compared_by_its_normalised_path),
        TEST(second_of_two_definitions_does_not_start_or_build),
        TEST(stopped_pool_conflicts_by_its_new_definition),
        TEST(adopted_pool_with_an_unread_directory_conflicts),
        TEST(pool_that_is_read_during_the_search_conflicts),
        TEST(redefined_pool_conflicts_after_the_release_of_the_old_pool),
        TEST(same_source_of_each_kind_is_refused),
        TEST(device_by_another_path_is_refused),
        TEST(path_that_leads_to_another_device_is_read_again),
        TEST(pool_is_not_compared_with_pools_on_other_devices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
