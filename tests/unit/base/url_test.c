/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/url.h>

static void paths_are_escaped_and_back(void **state)
{
    static const struct {
        const char *path, *escaped;
    } cases[] = {
        {"/v/a", "/v/a"},
        {"/v/two words", "/v/two%20words"},
        {"a?b#c%d", "a%3Fb%23c%25d"},
        {"\303\244", "%C3%A4"},
        {"a:b@c&d=e+f$g,h;i", "a:b@c&d=e+f$g,h;i"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *escaped = cst_url_escape_path(cases[i].path);
        g_autofree char *back = cst_url_unescape_path(escaped);

        assert_string_equal(escaped, cases[i].escaped);
        assert_string_equal(back, cases[i].path);
    }
    assert_null(cst_url_unescape_path("a%00b"));
    assert_null(cst_url_unescape_path("a%zz"));
}

static void references_lead_from_the_directory(void **state)
{
    static const struct {
        const char *directory, *reference, *meant;
    } cases[] = {
        {"/srv", "base", "/srv/base"},
        {"/srv", "../other/base", "/other/base"},
        {"/srv", "/abs", "/abs"},
        {"/srv", "nbd://h/x", "nbd://h/x"},
        {"/srv", "json:{}", "json:{}"},
        {"/srv", "dir/a:b", "/srv/dir/a:b"},
        {"gluster://h/v/d", "base", "gluster://h/v/d/base"},
        {"gluster://h/v/d", "../base", "gluster://h/v/base"},
        {"gluster://h/v/d", "../../../../x", "gluster://h/x"},
        {"gluster://h/v", "two words?", "gluster://h/v/two%20words%3F"},
        {"gluster+unix:///v", "base", "gluster+unix:///v/base"},
        {"gluster://h/v", "/abs", "/abs"},
        {"gluster://h/v", "gluster://i/w/x", "gluster://i/w/x"},
        {"gluster://h", "base", "gluster://h/base"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *is = cst_reference_resolve(cases[i].directory, cases[i].reference);

        assert_string_equal(is, cases[i].meant);
    }
}

static void spellings_of_a_local_file_give_its_clean_path(void **state)
{
    static const struct {
        const char *reference, *path;
    } cases[] = {
        {"/srv/../srv//base", "/srv/base"},
        {"file:/srv/base", "/srv/base"},
        {"file:///srv/base", "/srv/base"},
        {"json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"/srv/./a\\\"b\"}}",
         "/srv/a\"b"},
        {"json:{\"file.filename\" : \"/srv/base\"}", "/srv/base"},
        {"json:{\"filename\":7}", "json:{\"filename\":7}"},
        {"json:{}", "json:{}"},
        {"nbd://h/x", "nbd://h/x"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *is = cst_reference_path(cases[i].reference);

        assert_string_equal(is, cases[i].path);
    }
}

static void url_is_shown_without_its_secrets(void **state)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"/a/me:pw@b?c", "/a/me:pw@b?c"},
        {"http://me:pw@host:8080/a%20b.img?token=s#t", "http://host:8080/a%20b.img"},
        {"nbd://u@host/x", "nbd://host/x"},
        {"http://me:pw@host:port/x", "http://…"},
        {"http:/me:pw@host/x", "http:…"},
        {"HTTPS//me:pw@host", "HTTPS/…"},
        {"https:me:pw@host/x", "https:…"},
        {"http/a", "http/a"},
        {"httpd:me@host", "httpd:me@host"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *shown = cst_url_shown(rows[i].text);

        assert_string_equal(shown, rows[i].shown);
    }
}

static void only_plain_relative_paths_are_below(void **state)
{
    static const char *const below[] = {"a", "a/b", "a/b/c.vmdk", "a..b/..c"},
                             *const not [] = {"",   "/",      "/a",  "a/",         "a//b",
                                              "..", "a/../b", "./a", "http://h/x", "a/\n"};

    for (size_t i = 0; i < G_N_ELEMENTS(below); i++)
        assert_true(cst_reference_is_below(below[i]));
    for (size_t i = 0; i < G_N_ELEMENTS(not ); i++)
        assert_false(cst_reference_is_below(not [i]));
}

static void reference_is_shown_without_its_secrets(void **state)
{
    static const struct {
        const char *reference, *shown;
    } rows[] = {
        {"base.qcow2", "base.qcow2"},
        {"/a/u:p@b://c?d", "/a/u:p@b://c?d"},
        {"nbd://u:p@host/x?k=s", "nbd://host/x"},
        {"iscsi://u%p@host/iqn.x/0", "iscsi://…"},
        {"blkdebug:/etc/rules:nbd://u:p@host/x", "blkdebug:/etc/rules:nbd://…"},
        {"rbd:pool/image", "rbd:pool/image"},
        {"rbd:pool/image:id=a:key=QVFC", "rbd:pool/image:…"},
        {"json:{\"driver\": \"raw\", \"file\": {\"driver\":\"https\",\"url\":"
         "\"https://u:p@h/x?t=s\", \"password-secret\" : \"s1\", \"username\":\"u\"}}",
         "json:{\"driver\": \"raw\", \"file\": {\"driver\":\"https\",\"url\":"
         "\"https://h/x\", \"password-secret\" : \"*\", \"username\":\"*\"}}"},
        {"json:{\"\\u0070assword\":\"s\",\"url\":\"https:\\/\\/u:p@h\"}",
         "json:{\"\\u0070assword\":\"*\",\"url\":\"*\"}"},
        {"json:{\"filename\":\"/a", "json:{\"filename\":\"/a"},
        {"json:\"\\", "json:\"*"},
        {"", ""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *shown = cst_reference_shown(rows[i].reference);

        assert_string_equal(shown, rows[i].shown);
    }
}

static void url_mask_hides_secrets_in_a_line(void **state)
{
    static const struct {
        const char *line, *masked;
    } rows[] = {
        {"vol-import http://me:pw@host/x?t=s 'https://k@h/y#f' v",
         "vol-import http://*****@host/x**** 'https://*@h/y**' v"},
        {"--checksum-url=HTTPS://u:p/w@h/SUMS", "--checksum-url=HTTPS://*****@h/SUMS"},
        {"http://host/x", "http://host/x"},
        {"http://", "http://"},
        {"http:/me:pw@host", "http:/*****@host"},
        {"--source=https//me:p=w@host x@y", "--source=https//******@host x@y"},
        {"'nbd:u@h' http/a", "'nbd:*@h' http/a"},
        {"qemu+ssh://root@host/system?keyfile=k", "qemu+ssh://root@host/system?keyfile=k"},
        {"storage+ssh://root:pw/x@host/system", "storage+ssh://*********@host/system"},
        {"'nbd://u:pw@host/x?socket=/s'", "'nbd://****@host/x**********'"},
        {"iscsi://u%pw@host", "iscsi://****@host"},
        {"storage+unix:///system?socket=/a:b@c", "storage+unix:///system?socket=/a:b@c"},
        {"ssh://u@h/x", "ssh://*@h/x"},
        {"xstorage://u@h?q", "xstorage://*@h**"},
        {"stor://u@h?q", "stor://*@h**"},
        {"a://b:c@d ://e:f@g", "a://***@d ://e:f@g"},
        {"a:b@c?d", "a:b@c?d"},
        {"http:http://u@h", "http:********@h"},
        {"", ""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *line = g_strdup(rows[i].line);

        cst_url_mask(line);
        assert_string_equal(line, rows[i].masked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_is_shown_without_its_secrets),
        cmocka_unit_test(only_plain_relative_paths_are_below),
        cmocka_unit_test(reference_is_shown_without_its_secrets),
        cmocka_unit_test(url_mask_hides_secrets_in_a_line),
        cmocka_unit_test(paths_are_escaped_and_back),
        cmocka_unit_test(references_lead_from_the_directory),
        cmocka_unit_test(spellings_of_a_local_file_give_its_clean_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
