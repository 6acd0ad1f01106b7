/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mounts of a pool: the source, the options, the identity, and the lists of servers. */
#include "mount_pool.h"

#include <string.h>

#include <base/error.h>
#include <pool/gluster_volumes.h>

static int set_up(void **unused)
{
    root = g_strdup("/srv");
    return 0;
}

static int tear_down(void **unused)
{
    g_clear_pointer(&root, g_free);
    return 0;
}

/* Returns the source argument of mount for @source. The caller frees it. */
static char *source_of(const char *source)
{
    g_autoptr(CstPoolDef) def = parse(source, "");
    g_autoptr(GError) error = NULL;
    char *text = mount_source(def, &error);

    return text ? text : g_strconcat("! ", error->message, NULL);
}

static void assert_source(const char *source, const char *expected)
{
    g_autofree char *text = source_of(source);

    assert_string_equal(text, expected);
}

static void the_source_is_in_the_words_of_mount(void **unused)
{
    assert_source(NFS, "srv:/x");
    assert_source(GLUSTER, "srv:vol");
    assert_source(CIFS, "//srv/share");
    assert_source("<host name='srv'/><dir path='//share/a b'/><format type='cifs'/>",
                  "//srv/share/a b");
    assert_source("<host name='fe80::1'/><dir path='/x'/>", "[fe80::1]:/x");
    assert_source("<host name='[fe80::1]'/><dir path='/x'/>", "[fe80::1]:/x");
    assert_source("<host name='a'/><host name='b'/><dir path='/x'/>",
                  "! expected exactly 1 host for the storage pool");
    /*
     * Arguments that mount or its helpers would parse as an option, or as a path of another host.
     */
    assert_source("<host name='-osuid'/><dir path='/x'/>",
                  "! '-osuid' can't be the name of a host");
    assert_source("<host name='a b'/><dir path='/x'/>", "! 'a b' can't be the name of a host");
    assert_source("<host name='a/b'/><dir path='/x'/>", "! 'a/b' can't be the name of a host");
}

static void assert_options(const char *source, const char *rest, gboolean authenticated,
                           const char *expected)
{
    g_autoptr(CstPoolDef) def = parse(source, rest);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = mount_options(def, authenticated, &error);

    if (!text)
        assert_string_equal(strstr(error->message, expected) ? expected : error->message, expected);
    else
        assert_string_equal(text, expected);
}

#define OPTIONS(...) "<fs:mount_opts>" __VA_ARGS__ "</fs:mount_opts>"
#define OPTION(name) "<fs:option name='" name "'/>"

static void options_are_libvirts_and_then_the_definitions(void **unused)
{
    assert_options(NFS, "", FALSE, DEFAULTS);
    assert_options(NFS "<protocol ver='4.1'/>", OPTIONS(OPTION("soft") OPTION("timeo=5")), FALSE,
                   DEFAULTS ",nfsvers=4.1,soft,timeo=5");
    assert_options(GLUSTER, OPTIONS(OPTION("ro")), FALSE, DEFAULTS ",direct-io-mode=1,ro");
    assert_options(CIFS, "", FALSE, DEFAULTS ",nobrl,guest");
    assert_options(CIFS, "", TRUE, DEFAULTS ",nobrl,credentials=/proc/self/fd/0");
    assert_options(CIFS, OPTIONS(OPTION("credentials=/etc/smb")), FALSE,
                   DEFAULTS ",nobrl,credentials=/etc/smb");
    assert_options(CIFS, OPTIONS(OPTION("sec=krb5")), FALSE, DEFAULTS ",nobrl,sec=krb5");
    assert_options(CIFS, OPTIONS(OPTION("ro,password=x")), FALSE, "would show a password");
    assert_options(CIFS, OPTIONS(OPTION("pass=x")), FALSE, "would show a password");
    assert_options(CIFS, OPTIONS(OPTION("passive")), FALSE, DEFAULTS ",nobrl,guest,passive");
}

static gboolean is_export(const char *source, const char *type, const char *mounted)
{
    g_autoptr(CstPoolDef) def = parse(source, "");
    g_autofree char *text = mount_source(def, NULL);
    CstMount mount = {.source = (char *)mounted, .type = (char *)type};

    return mount_is_export(def, text, &mount);
}

static void mount_is_identified_by_its_source(void **unused)
{
    assert_true(is_export(NFS, "nfs4", "srv:/x"));
    assert_true(is_export(NFS, "nfs", "srv:/x/"));
    assert_true(is_export("<host name='srv'/><dir path='/'/>", "nfs4", "srv:/"));
    assert_true(is_export("<host name='::1'/><dir path='/x'/>", "nfs4", "[::1]:/x"));
    assert_false(is_export(NFS, "nfs4", "srv:/x/y"));
    assert_false(is_export(NFS, "nfs4", "srv:/"));
    assert_false(is_export(NFS, "nfs4", "srv2:/x"));
    assert_false(is_export(NFS, "nfs4", "srv"));
    assert_false(is_export(NFS, "fuse.sshfs", "srv:/x"));
    assert_false(is_export(NFS, "nfs4", "[srv:/x"));
    assert_false(is_export(NFS, "nfs4", NULL));
    assert_true(is_export(GLUSTER, "fuse.glusterfs", "srv:/vol"));
    assert_true(is_export(GLUSTER, "fuse.glusterfs", "srv:vol"));
    assert_false(is_export(GLUSTER, "fuse.sshfs", "srv:vol"));
    assert_false(is_export(GLUSTER, "fuse.glusterfs", "srv:vol2"));
    assert_true(is_export(CIFS, "cifs", "//srv/share"));
    assert_true(is_export(CIFS, "smb3", "//srv/share/"));
    assert_false(is_export(CIFS, "cifs", "//srv/share2"));
    assert_false(is_export(CIFS, "nfs", "//srv/share"));
}

/* --- lists of servers ------------------------------------------------------------------------- */

static void assert_exports(const char *text, const char *expected)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *joined = NULL;

    mount_parse_exports(text, paths);
    g_ptr_array_add(paths, NULL);
    joined = g_strjoinv("|", (char **)paths->pdata);
    assert_string_equal(joined, expected);
}

static void exports_are_lines_that_begin_with_a_path(void **unused)
{
    assert_exports("/srv/a *\n/srv/two words  host1,host2\n", "/srv/a|/srv/two words");
    assert_exports("Export list for srv:\n/srv/a (everyone)\n\n", "/srv/a");
    assert_exports("/srv/none\nsrv/a *\n/ *\n *\n/\xff\xfe *\n", "");
    assert_exports("", "");
    assert_exports("/a *", "/a");
    assert_exports("/a *\r\n", "/a");
    assert_exports("/a\x1b[2J *\n", "");
}

static gboolean volumes_are(const char *xml, const char *expected)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *joined = NULL;
    gboolean done = cst_gluster_parse_volumes(xml, names, NULL);

    g_ptr_array_add(names, NULL);
    joined = g_strjoinv("|", (char **)names->pdata);
    assert_string_equal(joined, expected);
    return done;
}

static void volumes_are_named_in_their_place(void **unused)
{
    assert_true(volumes_are(VOLUMES(VOLUME("gv0") VOLUME("gv1")), "gv0|gv1"));
    assert_true(volumes_are(VOLUMES(""), ""));
    assert_true(volumes_are("<cliOutput><name>x</name></cliOutput>", ""));
    assert_true(volumes_are(VOLUMES(VOLUME("")), ""));
    assert_true(volumes_are(VOLUMES(VOLUME("a\x1b[2J")), ""));
    assert_false(volumes_are("", ""));
    assert_false(volumes_are("Connection failed", ""));
    assert_false(volumes_are("<cliOutput><volInfo>", ""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_source_is_in_the_words_of_mount),
        TEST(options_are_libvirts_and_then_the_definitions),
        TEST(mount_is_identified_by_its_source),
        TEST(exports_are_lines_that_begin_with_a_path),
        TEST(volumes_are_named_in_their_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
