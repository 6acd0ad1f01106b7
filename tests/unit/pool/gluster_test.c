/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Definitions of Gluster pools, names of their volumes, and the life of connections. */
#include "gluster_site.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "await.h"

static void assert_path(const CstPoolState *state, const char *name, const char *path)
{
    g_autofree char *is = cst_pool_state_vol_path((CstPoolState *)state, name);

    assert_string_equal(is, path);
}

static void assert_resolves(const char *path, const char *name)
{
    g_autofree char *is = cst_pool_state_vol_resolve(site_pool, path);

    if (name)
        assert_string_equal(is, name);
    else
        assert_null(is);
}

static void paths_are_the_urls_of_qemu(void **state)
{
    assert_path(site_pool, "a", "gluster://one/gv0/d/a");
    assert_path(site_pool, "two words?#%", "gluster://one/gv0/d/two%20words%3F%23%25");
    assert_resolves("gluster://one/gv0/d/a", "a");
    assert_resolves("gluster://one/gv0/d/two%20words%3F%23%25", "two words?#%");
    /* Equivalent URLs of the same file. */
    assert_resolves("gluster://one:24007/gv0/d/a", "a");
    assert_resolves("gluster+tcp://one/gv0/d/a", "a");
    assert_resolves("gluster://two:24008/gv0/d/a", "a");
    assert_resolves("gluster://two/gv0/d/a", NULL);
    assert_resolves("gluster://one/gv0/d/", NULL);
    assert_resolves("gluster://one/gv0/d/a/b", NULL);
    assert_resolves("gluster://one/gv0/d/a%2Fb", NULL);
    assert_resolves("gluster://one/gv0/a", NULL);
    assert_resolves("gluster://one/gv1/d/a", NULL);
    assert_resolves("/d/a", NULL);
}

static CstPoolState *open_source(const char *source, const char *options, GError **error)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='gluster'><name>p</name><source>%s</source>"
                        "<options xmlns='urn:cistern:storage:1.0'>%s</options></pool>",
                        source, options);

    return site_open_xml(xml, error);
}

static void the_root_and_sockets_have_their_paths(void **unused)
{
    g_autoptr(CstPoolState) root = open_source("<host name='h' port='1'/><name>v</name>", "", NULL);
    g_autoptr(CstPoolState) six = open_source("<host name='::1'/><name>v</name>", "", NULL);
    g_autoptr(CstPoolState) local = open_source("<host name='/run/g.socket'/><name>v</name>",
                                                "<option name='transport' value='unix'/>", NULL);
    g_autofree char *name = NULL;

    assert_path(root, "a", "gluster://h:1/v/a");
    assert_path(six, "a", "gluster://[::1]/v/a");
    assert_path(local, "a", "gluster+unix:///v/a?socket=/run/g.socket");
    name = cst_pool_state_vol_resolve(local, "gluster+unix:///v/a?socket=/run/g.socket");
    assert_string_equal(name, "a");
}

#define HOST   "<host name='h'/>"
#define NAMED  HOST "<name>v</name>"
#define SOCKET "<host name='/run/g.socket'/><name>v</name>"

static void definitions_that_cannot_be_are_refused(void **unused)
{
    static const struct {
        const char *source;
        const char *options;
        int code;
        const char *words;
    } cases[] = {
        {HOST "<name>a/b</name>", "", CST_ERROR_XML, "gluster pool name 'a/b' must not contain /"},
        {NAMED "<dir path='d'/>", "", CST_ERROR_XML, "gluster pool path 'd' must start with /"},
        {NAMED, "<option name='transport' value='rdma'/>", CST_ERROR_CONFIG, "no transport rdma"},
        {NAMED, "<option name='transport' value='udp'/>", CST_ERROR_CONFIG, "neither tcp nor unix"},
        {NAMED, "<option name='transport' value='unix'/>", CST_ERROR_CONFIG,
         "the path of a socket"},
        {SOCKET, "<option name='transport' value='tcp'/>", CST_ERROR_CONFIG,
         "the path of a socket"},
        {HOST SOCKET, "", CST_ERROR_CONFIG, "the path of a socket"},
        {NAMED, "<option name='timeout' value='0'/>", CST_ERROR_CONFIG, "'0' is no number"},
        {NAMED, "<option name='timeout' value='601'/>", CST_ERROR_CONFIG, "from 1 to 600"},
        {NAMED, "<option name='timeout' value='5s'/>", CST_ERROR_CONFIG, "'5s' is no number"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        CstPoolState *state = open_source(cases[i].source, cases[i].options, &error);

        site_assert_failed(state != NULL, &error, cases[i].code, cases[i].words);
    }
}

static void all_servers_are_given_to_the_library(void **unused)
{
    g_autofree char *servers = NULL;

    assert_true(cst_pool_state_start(site_pool, NULL));
    servers = fake_gluster_servers();
    assert_string_equal(servers, "tcp one 0\ntcp two 24008\n");
}

static void pools_of_a_volume_share_a_connection(void **unused)
{
    g_autoptr(CstPoolState) other = site_open("/", "");
    g_autoptr(CstPoolState) slow = site_open("/", "<option name='timeout' value='60'/>");
    CstPoolUsage usage;

    assert_true(cst_pool_state_start(site_pool, NULL));
    assert_true(cst_pool_state_start(other, NULL));
    assert_true(cst_pool_state_usage(other, &usage, NULL));
    assert_true(usage.capacity > 0 && usage.available <= usage.capacity);
    assert_int_equal(usage.allocation, usage.capacity - usage.available);
    assert_int_equal(fake_gluster_calls("glfs_init"), 1);
    /* A different timeout requires a different connection. */
    assert_true(cst_pool_state_start(slow, NULL));
    assert_int_equal(fake_gluster_calls("glfs_init"), 2);
    /* The first pool that stops leaves the connection to the other pools. */
    g_clear_pointer(&site_pool, cst_pool_state_unref);
    assert_true(cst_pool_state_usage(other, &usage, NULL));
    assert_int_equal(fake_gluster_calls("glfs_fini"), 0);
}

static void start_does_not_wait_for_the_end_of_a_connection(void **unused)
{
    assert_true(cst_pool_state_start(site_pool, NULL));
    fake_gluster_hang("glfs_fini");
    g_clear_pointer(&site_pool, cst_pool_state_unref);
    /* A running probe keeps the connection until it returns. */
    fake_gluster_await("glfs_fini", 1);
    site_pool = site_open("/d", "");
    assert_true(cst_pool_state_start(site_pool, NULL));
    assert_int_equal(fake_gluster_connections(), 2);
}

static void failed_start_reports_the_reason(void **unused)
{
    g_autoptr(CstPoolState) nowhere = open_source(HOST "<name>nope</name>", "", NULL);
    g_autoptr(CstPoolState) missing = site_open("/missing", "");
    g_autoptr(CstPoolState) file = site_open("/d/file", "");
    GError *error = NULL;

    site_assert_failed(cst_pool_state_start(nowhere, &error), &error, CST_ERROR_NOT_FOUND,
                       "failed to connect to gluster://h/nope/: the servers have no volume 'nope'");
    site_assert_failed(cst_pool_state_start(missing, &error), &error, CST_ERROR_NOT_FOUND,
                       "failed to change to directory '/missing/' in 'gv0'");
    site_put("file", "");
    site_assert_failed(cst_pool_state_start(file, &error), &error, CST_ERROR_IO, "Not a directory");
    /* A failed connection is not kept. */
    g_clear_pointer(&missing, cst_pool_state_unref);
    g_clear_pointer(&file, cst_pool_state_unref);
    g_clear_pointer(&nowhere, cst_pool_state_unref);
    g_clear_pointer(&site_pool, cst_pool_state_unref);
    fake_gluster_await_open(0, 0);
    fake_gluster_fail("glfs_init", 0, 1000, ENOTCONN);
    site_pool = site_open("/d", "");
    site_assert_failed(cst_pool_state_start(site_pool, &error), &error, CST_ERROR_UNREACHABLE,
                       "the Gluster servers do not answer");
    fake_gluster_fail("glfs_init", 0, 0, 0);
    AWAIT(cst_pool_state_start(site_pool, NULL));
}

static void another_volume_of_the_same_name_is_noticed(void **unused)
{
    g_autofree char *identity = cst_pool_state_identity(site_pool, NULL);
    GError *error = NULL;
    CstPoolUsage usage;

    assert_string_equal(identity, "gluster 00000000-0000-0000-0000-000000000001\n");
    g_clear_pointer(&site_pool, cst_pool_state_unref);
    fake_gluster_await_open(0, 0);
    fake_gluster_reset(site_volume, "gv0", 2);
    site_pool = site_open("/d", "");
    assert_true(cst_pool_state_expect(site_pool, identity, FALSE, NULL));
    site_assert_failed(cst_pool_state_usage(site_pool, &usage, &error), &error, CST_ERROR_STATE,
                       "another volume 'gv0'");
    g_clear_pointer(&site_pool, cst_pool_state_unref);
    /* A start accepts the present volume, and expects it from then on. */
    site_pool = site_open("/d", "");
    assert_true(cst_pool_state_expect(site_pool, identity, TRUE, NULL));
    assert_true(cst_pool_state_usage(site_pool, &usage, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_set_up, site_tear_down)
        TEST(paths_are_the_urls_of_qemu),
        TEST(the_root_and_sockets_have_their_paths),
        TEST(definitions_that_cannot_be_are_refused),
        TEST(all_servers_are_given_to_the_library),
        TEST(pools_of_a_volume_share_a_connection),
        TEST(start_does_not_wait_for_the_end_of_a_connection),
        TEST(failed_start_reports_the_reason),
        TEST(another_volume_of_the_same_name_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
