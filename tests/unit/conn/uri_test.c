/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <unistd.h>

#include <base/error.h>

#include "uri.h"

static const CstUriSocketDirs nowhere = {"/nonexistent/run", "/nonexistent/user"};

typedef struct {
    const char *uri;
    gboolean read_only;
    CstUriTarget target;
    const char *name;
    const char *socket; /* NULL: no socket */
} Good;

static const Good good[] = {
    {"storage:///system", FALSE, CST_URI_UNIX, "storage:///system",
     "/nonexistent/run/virtstoraged-sock"},
    {"storage:///system", TRUE, CST_URI_UNIX, "storage:///system",
     "/nonexistent/run/virtstoraged-sock-ro"},
    {"storage:///session", TRUE, CST_URI_UNIX, "storage:///session",
     "/nonexistent/user/virtstoraged-sock"},
    {"storage+unix:///system?socket=/a/b", TRUE, CST_URI_UNIX, "storage:///system", "/a/b"},
    {"storage:///system?socket=/a%20b", FALSE, CST_URI_UNIX, "storage:///system", "/a b"},
    {"storage:///system?mode=legacy", FALSE, CST_URI_UNIX, "storage:///system",
     "/nonexistent/run/libvirt-sock"},
    {"storage:///system?mode=direct&no_verify=1", FALSE, CST_URI_UNIX, "storage:///system",
     "/nonexistent/run/virtstoraged-sock"},
    {"storage:///system?x=1&mode=direct&y=a%26b", FALSE, CST_URI_UNIX,
     "storage:///system?x=1&y=a%26b", "/nonexistent/run/virtstoraged-sock"},
    {"qemu:///system", FALSE, CST_URI_UNIX, "qemu:///system", "/nonexistent/run/virtqemud-sock"},
    {"qemu+unix:///system?socket=/s", FALSE, CST_URI_UNIX, "qemu:///system", "/s"},
    {"secret:///system", FALSE, CST_URI_UNIX, "secret:///system",
     "/nonexistent/run/virtsecretd-sock"},
    {"storage:///embed", FALSE, CST_URI_EMBEDDED, "storage:///embed", NULL},
    {"storage:///embed?root=/srv/x", FALSE, CST_URI_EMBEDDED, "storage:///embed", NULL},
    {"storage+ssh://h/system", FALSE, CST_URI_SSH, "storage:///system",
     "/run/libvirt/virtstoraged-sock"},
    {"storage+ssh://h/system", TRUE, CST_URI_SSH, "storage:///system",
     "/run/libvirt/virtstoraged-sock-ro"},
    {"qemu+ssh://h/system", FALSE, CST_URI_SSH, "qemu:///system", "/run/libvirt/libvirt-sock"},
    {"storage+ssh://u@h:2222/system?socket=/p", FALSE, CST_URI_SSH, "storage:///system", "/p"},
};

static void valid_uri_selects_the_same_socket_as_libvirts_client(void **state)
{
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_auto(CstConnUri) uri = {0};
        g_autoptr(GError) error = NULL;

        if (!cst_conn_uri_parse(good[i].uri, &nowhere, good[i].read_only, &uri, &error))
            fail_msg("%s: %s", good[i].uri, error->message);
        assert_int_equal(uri.target, good[i].target);
        assert_string_equal(uri.name, good[i].name);
        if (good[i].socket)
            assert_string_equal(uri.socket, good[i].socket);
        else
            assert_null(uri.socket);
    }
}

static const struct {
    const char *uri;
    int code;
    const char *part;
} bad[] = {
    {"test:///default", CST_ERROR_NO_CONNECT, "test:///default"},
    {"storages:///system", CST_ERROR_NO_CONNECT, "storages"},
    {"xen+ssh://h/", CST_ERROR_NO_CONNECT, "xen"},
    {"storage+tls://h/system", CST_ERROR_UNSUPPORTED, "TLS is not built into this version"},
    {"storage://h/system", CST_ERROR_UNSUPPORTED, "TLS is not built into this version"},
    {"storage+tcp://h/system", CST_ERROR_UNSUPPORTED, "'tcp'"},
    {"storage+unix://h/system", CST_ERROR_INVALID, "names a host"},
    {"storage+ssh:///system", CST_ERROR_INVALID, "no host"},
    {"storage+ssh://-oProxyCommand=x/system", CST_ERROR_INVALID, "starts with '-'"},
    {"storage+ssh://-lroot@h/system", CST_ERROR_INVALID, "starts with '-'"},
    {"storage+ssh://h/session", CST_ERROR_INVALID, "socket=PATH"},
    {"storage:///system?mode=odd", CST_ERROR_INVALID, "'odd'"},
    {"storage:///system?socket=%zz", CST_ERROR_INVALID, "%-encoding"},
    {"storage:///embed?root=relative", CST_ERROR_INVALID, "absolute"},
    {"storage:///embed?socket=/s", CST_ERROR_INVALID, "embedded"},
    {"storage+unix:///embed", CST_ERROR_INVALID, "embedded"},
    {"no colon", CST_ERROR_INVALID, "no colon"},
    {"", CST_ERROR_INVALID, ""},
};

static void uri_with_password_is_refused_and_not_quoted(void **state)
{
    static const char *const uris[] = {"storage+ssh://root:s3cret@h/system",
                                       "storage+ssh://root:s3cret/x@h/system",
                                       "storage+ssh://root:12s3cret?@h/system",
                                       "storage+nothing://u:s3cret@h:port/", "x://:s3cret@"};
    static const char *const fine[] = {"storage+ssh://h:22/system?keyfile=/a@b",
                                       "storage+ssh://u@[fe80::1]/system?keyfile=/a@b",
                                       "storage+unix:///system?socket=/a:b@c"};

    for (gsize i = 0; i < G_N_ELEMENTS(uris); i++) {
        g_auto(CstConnUri) uri = {0};
        g_autoptr(GError) error = NULL;

        assert_false(cst_conn_uri_parse(uris[i], &nowhere, FALSE, &uri, &error));
        assert_int_equal(error->code, CST_ERROR_USAGE);
        assert_null(strstr(error->message, "s3cret"));
        assert_non_null(strstr(error->message, "keyfile="));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(fine); i++) {
        g_auto(CstConnUri) uri = {0};

        assert_true(cst_conn_uri_parse(fine[i], &nowhere, FALSE, &uri, NULL));
    }
}

static void bad_uris_are_refused_with_the_reason(void **state)
{
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_auto(CstConnUri) uri = {0};
        g_autoptr(GError) error = NULL;

        if (cst_conn_uri_parse(bad[i].uri, &nowhere, FALSE, &uri, &error))
            fail_msg("%s was accepted", bad[i].uri);
        if (error->code != bad[i].code || !strstr(error->message, bad[i].part))
            fail_msg("%s: %d %s", bad[i].uri, error->code, error->message);
        assert_null(uri.name);
    }
}

static void embedded_root_is_kept(void **state)
{
    g_auto(CstConnUri) uri = {0};

    assert_true(
        cst_conn_uri_parse("storage:///embed?root=/srv/a%20b", &nowhere, FALSE, &uri, NULL));
    assert_string_equal(uri.root, "/srv/a b");
}

static void existing_socket_is_preferred(void **state)
{
    g_autofree char *dir = g_dir_make_tmp("cst-uri-XXXXXX", NULL);
    g_autofree char *legacy = g_build_filename(dir, "libvirt-sock", NULL);
    g_autofree char *direct = g_build_filename(dir, "virtstoraged-sock", NULL);
    const CstUriSocketDirs dirs = {dir, dir};
    g_auto(CstConnUri) only_legacy = {0};
    g_auto(CstConnUri) both = {0};

    assert_true(g_file_set_contents(legacy, "", 0, NULL));
    assert_true(cst_conn_uri_parse("storage:///system", &dirs, FALSE, &only_legacy, NULL));
    assert_string_equal(only_legacy.socket, legacy);
    assert_true(g_file_set_contents(direct, "", 0, NULL));
    assert_true(cst_conn_uri_parse("storage:///system", &dirs, FALSE, &both, NULL));
    assert_string_equal(both.socket, direct);
    unlink(legacy);
    unlink(direct);
    rmdir(dir);
}

static void assert_ssh(const char *text, const char *expected)
{
    g_auto(CstConnUri) uri = {0};
    g_auto(GStrv) argv = NULL;
    g_autofree char *joined = NULL;

    assert_true(cst_conn_uri_parse(text, &nowhere, FALSE, &uri, NULL));
    argv = cst_conn_uri_ssh_argv(&uri);
    joined = g_strjoinv("|", argv);
    assert_string_equal(joined, expected);
}

static void ssh_is_run_without_a_local_shell_and_quoted_for_the_remote_shell(void **state)
{
    assert_ssh("storage+ssh://h/system",
               "ssh|-T|-e|none|--|h|'nc'|-U|'/run/libvirt/virtstoraged-sock'");
    assert_ssh("storage+ssh://u@h:22/system?socket=/p%27;reboot",
               "ssh|-T|-e|none|-p|22|-l|u|--|h|'nc'|-U|'/p'\\'''");
    assert_ssh("storage+ssh://h/system?socket=/p%27%3Breboot",
               "ssh|-T|-e|none|--|h|'nc'|-U|'/p'\\'';reboot'");
    assert_ssh("storage+ssh://h/system?command=/bin/myssh&netcat=ncat&keyfile=/k&known_hosts=/kh"
               "&no_tty=1&no_verify=1",
               "/bin/myssh|-T|-e|none|-i|/k|-o|UserKnownHostsFile=/kh|-o|BatchMode=yes|-o|"
               "StrictHostKeyChecking=no|--|h|'ncat'|-U|'/run/libvirt/virtstoraged-sock'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_uri_selects_the_same_socket_as_libvirts_client),
        cmocka_unit_test(uri_with_password_is_refused_and_not_quoted),
        cmocka_unit_test(bad_uris_are_refused_with_the_reason),
        cmocka_unit_test(embedded_root_is_kept),
        cmocka_unit_test(existing_socket_is_preferred),
        cmocka_unit_test(ssh_is_run_without_a_local_shell_and_quoted_for_the_remote_shell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
