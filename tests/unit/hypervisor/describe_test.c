/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptions of domains with their drives, with a fake libvirt.so.0. */
#include <hypervisor/hypervisor.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "fixture.h"

#define UUID_OF_1 "c7a5fdbd-cdaf-9455-926a-d65c16db1809"

static GPtrArray *describe_ask(const char *name, GError **error)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);

    fake_write_file("fake", fake_state->str);
    return cst_hypervisor_domains(hypervisor, name, NULL, error);
}

/* Asks, and expects @count domains. */
static GPtrArray *describe_domains(const char *name, guint count)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *domains = describe_ask(name, &error);

    if (!domains)
        fail_msg("%s", error->message);
    else
        assert_int_equal(domains->len, count);
    return domains;
}

/* Asks for web1, and expects @count drives. */
static CstDomain *describe_web1(guint count)
{
    g_autoptr(GPtrArray) domains = describe_domains("web1", 1);
    CstDomain *domain = g_ptr_array_steal_index(domains, 0);

    assert_string_equal(domain->name, "web1");
    assert_int_equal(domain->drives->len, count);
    return domain;
}

static const CstDomainDrive *domain_drive(const CstDomain *domain, guint i)
{
    return g_ptr_array_index(domain->drives, i);
}

static void running_domain_has_its_disks_and_its_document(void **unused)
{
    g_autofree char *disk = fake_at("disk");
    g_autoptr(CstDomain) domain = NULL;

    fake_add_domain("running");
    domain = describe_web1(1);
    assert_string_equal(domain->uuid, UUID_OF_1);
    assert_string_equal(domain->uri, "qemu:///system");
    assert_int_equal(domain->state, CST_DOMAIN_RUNNING);
    assert_int_equal(domain->agent, CST_DOMAIN_AGENT_CONNECTED);
    assert_non_null(strstr(domain->document, "<target dev='vda'/>"));
    assert_string_equal(domain_drive(domain, 0)->target, "vda");
    assert_string_equal(domain_drive(domain, 0)->path, disk);
    assert_false(domain_drive(domain, 0)->reads_only);
    assert_int_equal(fake_calls("virDomainGetXMLDesc 0x2"), 1); /* the definition */
}

static void domain_is_found_by_its_uuid(void **unused)
{
    g_autoptr(GPtrArray) domains = NULL;

    fake_add_domain("running");
    domains = describe_domains(UUID_OF_1, 1);
}

static void drives_of_media_and_backing_files_are_left_out(void **unused)
{
    g_autoptr(CstDomain) domain = NULL;

    fake_add_domain("running");
    fake_write_document("web1.xml",
                        "<disk device='cdrom'><source file='/iso'/><target dev='sda'/></disk>"
                        "<disk device='floppy'><source file='/flp'/><target dev='fda'/></disk>"
                        "<disk><source file='DIR/disk'/><target dev='vda'/><readonly/>"
                        "<backingStore><source file='/base'/></backingStore></disk>"
                        "<disk><source dev='/dev/vg/lv'/><target dev='vdb'/><shareable/></disk>"
                        "<disk type='network'><source protocol='rbd' name='p/i'/>"
                        "<target dev='vdc'/></disk>");
    domain = describe_web1(3);
    assert_true(domain_drive(domain, 0)->reads_only);
    assert_string_equal(domain_drive(domain, 1)->path, "/dev/vg/lv");
    assert_true(domain_drive(domain, 1)->shareable);
    assert_string_equal(domain_drive(domain, 2)->target, "vdc");
    assert_null(domain_drive(domain, 2)->path);
    assert_null(domain_drive(domain, 2)->volume);
}

static void path_of_a_volume_disk_comes_from_the_statistics(void **unused)
{
    g_autofree char *disk = fake_at("disk");
    g_autoptr(CstDomain) domain = NULL;

    fake_add_domain("running");
    fake_write_document("web1.xml", "<disk type='volume'><source pool='p' volume='v'/>"
                                    "<target dev='vda'/></disk>");
    domain = describe_web1(1);
    assert_string_equal(domain_drive(domain, 0)->path, disk);
    assert_string_equal(domain_drive(domain, 0)->volume, "v");
}

static void volume_disk_of_a_domain_that_is_off_has_only_its_names(void **unused)
{
    g_autoptr(CstDomain) domain = NULL;

    fake_add_domain("off");
    fake_write_document("web1.xml", "<disk type='volume'><source pool='p' volume='v'/>"
                                    "<target dev='vda'/></disk>");
    domain = describe_web1(1);
    assert_int_equal(domain->state, CST_DOMAIN_OFF);
    assert_null(domain_drive(domain, 0)->path);
    assert_string_equal(domain_drive(domain, 0)->pool, "p");
    assert_int_equal(fake_calls("virConnectGetAllDomainStats"), 0);
}

static void path_has_no_symbolic_link(void **unused)
{
    g_autofree char *disk = fake_at("disk");
    g_autofree char *link = fake_at("link");
    g_autoptr(CstDomain) domain = NULL;

    assert_int_equal(symlink(disk, link), 0);
    fake_add_domain("running");
    fake_write_document("web1.xml", "<disk><source file='DIR/link'/><target dev='vda'/></disk>");
    domain = describe_web1(1);
    assert_string_equal(domain_drive(domain, 0)->path, disk);
}

static void saved_domain_has_the_disks_of_its_save(void **unused)
{
    g_autoptr(CstDomain) domain = NULL;

    fake_add_domain("saved");
    fake_write_document("other.xml", "<disk><source file='/saved'/><target dev='vdz'/></disk>");
    fake_add("saved-xml = %s/other.xml\n", fake_dir);
    domain = describe_web1(1);
    assert_int_equal(domain->state, CST_DOMAIN_SAVED);
    assert_string_equal(domain_drive(domain, 0)->target, "vdz");
    assert_non_null(strstr(domain->document, "vda"));
}

static void all_domains_are_listed_without_documents(void **unused)
{
    g_autoptr(GPtrArray) domains = NULL;

    fake_add_domain("running");
    fake_add("[domain 2]\nname = web2\nstate = off\nxml = %s/web1.xml\n", fake_dir);
    domains = describe_domains(NULL, 2);
    for (guint i = 0; i < domains->len; i++)
        assert_string_equal(((const CstDomain *)domains->pdata[i])->document, "");
}

static void unknown_domain_is_not_in_the_list(void **unused)
{
    g_autoptr(GPtrArray) domains = NULL;

    fake_add_domain("running");
    domains = describe_domains("web", 0);
}

static void failure_of_libvirt_is_reported(void **unused)
{
    static const char *const calls[] = {"virConnectListAllDomains", "virDomainGetXMLDesc",
                                        "virConnectOpenReadOnly"};

    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) error = NULL;

        g_string_printf(fake_state, "[calls]\nlog = %s/log\n%s = fail 1 0 broken\n", fake_dir,
                        calls[i]);
        fake_add_domain("running");
        assert_null(describe_ask("web1", &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_FAILED));
        assert_non_null(strstr(error->message, "broken"));
    }
}

static void domain_that_is_undefined_during_the_question_is_left_out(void **unused)
{
    g_autoptr(GPtrArray) domains = NULL;

    fake_add("virDomainGetXMLDesc = fail 42 0 no domain\n");
    fake_add_domain("running");
    domains = describe_domains("web1", 0);
}

int main(int argc, char **argv)
{
#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
        FAKE_TEST(running_domain_has_its_disks_and_its_document),
        FAKE_TEST(domain_is_found_by_its_uuid),
        FAKE_TEST(drives_of_media_and_backing_files_are_left_out),
        FAKE_TEST(path_of_a_volume_disk_comes_from_the_statistics),
        FAKE_TEST(volume_disk_of_a_domain_that_is_off_has_only_its_names),
        FAKE_TEST(path_has_no_symbolic_link),
        FAKE_TEST(saved_domain_has_the_disks_of_its_save),
        FAKE_TEST(all_domains_are_listed_without_documents),
        FAKE_TEST(unknown_domain_is_not_in_the_list),
        FAKE_TEST(failure_of_libvirt_is_reported),
        FAKE_TEST(domain_that_is_undefined_during_the_question_is_left_out),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests_name("describe", tests, NULL, NULL);
}
