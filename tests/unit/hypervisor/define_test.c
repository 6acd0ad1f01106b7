/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The definition of a domain, with a fake libvirt.so.0. */
#include <hypervisor/hypervisor.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "fixture.h"

#define UUID_OF_1 "c7a5fdbd-cdaf-9455-926a-d65c16db1809"
#define UUID_NEW  "d7a5fdbd-cdaf-9455-926a-d65c16db1809"
#define VALIDATE  "virDomainDefineXMLFlags 0x1"

static gboolean define(const char *name, const char *uuid, const char *document, GError **error)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);

    fake_write_file("fake", fake_state->str);
    return cst_hypervisor_define(hypervisor, name, uuid, document, error);
}

/* The state of the fake: domain web1, and the actions of calls. */
static void set_calls(const char *calls)
{
    g_string_printf(fake_state, "[calls]\nlog = %s/log\ndefined = %s/defined\n%s", fake_dir,
                    fake_dir, calls);
    fake_add_domain("off");
}

static void assert_defined(const char *document)
{
    g_autofree char *path = fake_at("defined");
    g_autofree char *text = NULL;

    assert_int_equal(g_file_get_contents(path, &text, NULL, NULL), document != NULL);
    if (document)
        assert_string_equal(text, document);
}

static void assert_refused(const char *name, const char *uuid, CstErrorCode code, const char *text)
{
    g_autoptr(GError) error = NULL;

    assert_false(define(name, uuid, "<domain/>", &error));
    if (!g_error_matches(error, CST_ERROR, code) || !strstr(error->message, text))
        fail_msg("unexpected refusal: %d %s", error->code, error->message);
}

static void new_domain_is_defined_with_its_document(void **unused)
{
    set_calls("");
    assert_true(define("web2", UUID_NEW, "<domain>\xc3\xa4</domain>", NULL));
    assert_int_equal(fake_calls(VALIDATE), 1);
    assert_int_equal(fake_calls("virConnectOpen"), 1);
    assert_defined("<domain>\xc3\xa4</domain>");
}

/* It is longer than a pipe holds. */
static void long_document_is_defined(void **unused)
{
    g_autofree char *document = g_strnfill(300000, 'x');

    set_calls("");
    assert_true(define("web2", NULL, document, NULL));
    assert_defined(document);
}

static void check_defines_no_domain(void **unused)
{
    set_calls("");
    assert_true(define("web2", UUID_NEW, NULL, NULL));
    assert_int_equal(fake_calls(VALIDATE), 0);
    assert_int_equal(fake_calls("virConnectOpen"), 1);
}

static void existing_name_or_uuid_is_refused(void **unused)
{
    set_calls("");
    assert_refused("web1", NULL, CST_ERROR_EXISTS, "has domain 'web1' already");
    assert_refused("web1", UUID_NEW, CST_ERROR_EXISTS, "has domain 'web1' already");
    assert_refused("web2", UUID_OF_1, CST_ERROR_EXISTS, "has domain 'web1' already");
    assert_int_equal(fake_calls(VALIDATE), 0);
}

static void existing_domain_is_no_failure_of_libvirt(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);

    set_calls("");
    fake_write_file("fake", fake_state->str);
    assert_false(cst_hypervisor_define(hypervisor, "web1", NULL, NULL, NULL));
    assert_true(cst_hypervisor_define(hypervisor, "web2", NULL, NULL, NULL));
}

static void failure_of_a_call_is_reported(void **unused)
{
    static const char *const calls[] = {"virConnectOpen", "virDomainLookupByUUIDString",
                                        "virDomainLookupByName", "virDomainDefineXMLFlags"};

    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autofree char *action = g_strdup_printf("%s = fail 1 0 broken\n", calls[i]);
        g_autoptr(GError) error = NULL;

        set_calls(action);
        assert_refused("web2", UUID_NEW, CST_ERROR_FAILED, "broken");
        assert_false(define("web2", UUID_NEW, "<domain/>", &error));
        assert_null(strstr(error->message, "may be defined"));
        assert_defined(NULL);
    }
}

static void lost_connection_leaves_the_result_unknown(void **unused)
{
    set_calls("virDomainDefineXMLFlags = lose connection lost\n");
    assert_refused("web2", UUID_NEW, CST_ERROR_FAILED, "the domain may be defined");
}

static void hung_definition_ends_at_the_deadline(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(1);
    g_autoptr(GError) error = NULL;

    set_calls("after virDomainDefineXMLFlags = hang\n");
    fake_write_file("fake", fake_state->str);
    assert_false(cst_hypervisor_define(hypervisor, "web2", NULL, "<domain/>", &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_TIMEOUT));
    assert_non_null(strstr(error->message, "the domain may be defined"));
}

static void host_without_libvirt_is_refused(void **unused)
{
    g_autoptr(CstHypervisor) unused_libvirt = cst_hypervisor_new(NULL, NULL, 60);
    g_autoptr(GError) error = NULL;
    g_autofree char *fake = g_strdup(g_getenv("FAKE_LIBVIRT"));

    assert_false(cst_hypervisor_define(unused_libvirt, "web2", NULL, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND));
    set_calls("");
    g_unsetenv("FAKE_LIBVIRT");
    assert_refused("web2", NULL, CST_ERROR_NOT_FOUND, "libvirt does not run");
    g_setenv("FAKE_LIBVIRT", fake, TRUE);
}

static void too_long_document_is_refused(void **unused)
{
    g_autofree char *document = g_strnfill(524288, 'x');
    g_autoptr(GError) error = NULL;

    set_calls("");
    assert_false(define("web2", NULL, document, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT));
}

int main(int argc, char **argv)
{
#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
        FAKE_TEST(new_domain_is_defined_with_its_document),
        FAKE_TEST(long_document_is_defined),
        FAKE_TEST(check_defines_no_domain),
        FAKE_TEST(existing_name_or_uuid_is_refused),
        FAKE_TEST(existing_domain_is_no_failure_of_libvirt),
        FAKE_TEST(failure_of_a_call_is_reported),
        FAKE_TEST(lost_connection_leaves_the_result_unknown),
        FAKE_TEST(hung_definition_ends_at_the_deadline),
        FAKE_TEST(host_without_libvirt_is_refused),
        FAKE_TEST(too_long_document_is_refused),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests_name("define", tests, NULL, NULL);
}
