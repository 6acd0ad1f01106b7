/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions to libvirt by the helper process, which is this program, with a fake libvirt.so.0. */
#include <hypervisor/hypervisor.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <libvirt/libvirt.h>

#include <base/error.h>

#include "fixture.h"

/* --- the setting ------------------------------------------------------------------------------ */

static void setting_accepts_uris_of_this_host(void **unused)
{
    g_auto(GStrv) uris = NULL;

    assert_true(
        cst_hypervisor_parse_uris("\"qemu:///system, lxc+unix:///?socket=/run/x\"", &uris, NULL));
    assert_int_equal(g_strv_length(uris), 2);
    assert_string_equal(uris[0], "qemu:///system");
    assert_string_equal(uris[1], "lxc+unix:///?socket=/run/x");
    g_clear_pointer(&uris, g_strfreev);
    assert_true(cst_hypervisor_parse_uris("none", &uris, NULL));
    assert_int_equal(g_strv_length(uris), 0);
}

static void setting_refuses_other_hosts_and_other_words(void **unused)
{
    static const char *const values[] = {"qemu+ssh:///system",
                                         "qemu://host/system",
                                         "qemu+tcp:///system",
                                         "esx://host/",
                                         "web1",
                                         "",
                                         ", ,",
                                         "none qemu:///system",
                                         "qemu:///sys\001tem",
                                         "://",
                                         "qemu+unixx:///system"};

    for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(GError) error = NULL;
        GStrv uris = NULL;

        assert_false(cst_hypervisor_parse_uris(values[i], &uris, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CONFIG));
        assert_null(uris);
    }
}

static void default_connection_needs_a_socket(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = cst_hypervisor_new(NULL, fake_dir, 60);
    g_autoptr(CstHypervisor) without = cst_hypervisor_new(NULL, NULL, 60);
    g_autofree char *line = g_strdup_printf("qemu:///system?socket=%s/libvirt-sock", fake_dir);
    g_autoptr(GPtrArray) none = fake_ask(hypervisor, NULL);
    g_autoptr(GPtrArray) disks = NULL;

    assert_int_equal(none->len, 0);
    assert_false(cst_hypervisor_is_used(hypervisor));
    assert_false(cst_hypervisor_is_used(without));
    assert_int_equal(fake_calls("virConnectOpenReadOnly"), 0);
    fake_write_file("libvirt-sock", "");
    assert_true(cst_hypervisor_is_used(hypervisor));
    disks = fake_ask(hypervisor, NULL);
    assert_int_equal(disks->len, 0);
    assert_int_equal(fake_calls(line), 1);
}

static void link_to_the_socket_of_the_storage_daemon_is_no_connection(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = cst_hypervisor_new(NULL, fake_dir, 60);
    g_autofree char *link = fake_at("libvirt-sock"), *storage = fake_at("virtstoraged-sock");

    fake_write_file("virtstoraged-sock", "");
    assert_int_equal(symlink(storage, link), 0);
    assert_false(cst_hypervisor_is_used(hypervisor));
    assert_int_equal(unlink(link), 0);
    fake_write_file("libvirt-sock", "");
    assert_true(cst_hypervisor_is_used(hypervisor));
}

/* --- answers ---------------------------------------------------------------------------------- */

static void running_domain_is_found_by_inode(void **unused)
{
    g_autofree char *link = fake_at("link"), *disk = fake_at("disk");
    g_autoptr(GPtrArray) disks = NULL;
    const CstDomainDisk *found;

    assert_int_equal(symlink(disk, link), 0);
    fake_add_domain("running");
    fake_write_file("unrelated", "");
    fake_write_document("other.xml", "<disk><source file='DIR/unrelated'/><readonly/><shareable/>"
                                     "<backingStore><source file='DIR/disk'/></backingStore>"
                                     "<target dev='sdb'/></disk>");
    fake_add("[domain 2]\nname = other\nstate = paused\nxml = %s/other.xml\n"
             "blocks = sda:%s/unrelated;sdb:%s/unrelated;sdb:%s/link\n",
             fake_dir, fake_dir, fake_dir, fake_dir);
    disks = fake_find(2);
    found = disks->pdata[0];
    assert_string_equal(found->domain, "web1");
    assert_string_equal(found->target, "vda");
    assert_int_equal(strlen(found->uuid), 36);
    assert_int_equal(found->state, CST_DOMAIN_RUNNING);
    assert_int_equal(found->agent, CST_DOMAIN_AGENT_CONNECTED);
    assert_false(found->reads_only || found->shareable);
    assert_int_equal(found->level, 0);
    assert_false(found->by_name);
    found = disks->pdata[1];
    assert_string_equal(found->domain, "other");
    assert_string_equal(found->target, "sdb");
    assert_int_equal(found->state, CST_DOMAIN_PAUSED);
    assert_int_equal(found->agent, CST_DOMAIN_AGENT_NONE);
    assert_true(found->reads_only && found->shareable);
    assert_int_equal(found->level, 1);
}

static void equal_path_of_another_file_is_not_found(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);
    CstHypervisorVolume volume = {
        .has_file = TRUE, .device = 1, .inode = 1, .pool = "p", .volume = "v"};
    g_autoptr(GPtrArray) disks = NULL;

    fake_add_domain("running");
    fake_write_file("fake", fake_state->str);
    disks = cst_hypervisor_find(hypervisor, &volume, NULL, NULL);
    assert_int_equal(disks->len, 0);
    assert_int_equal(fake_calls("virConnectGetAllDomainStats"), 1);
}

/* With NOWAIT, libvirt does not wait for the job of a domain. */
static void calls_have_the_flags_for_states_and_backing_files(void **unused)
{
    static const struct {
        const char *call;
        unsigned flags;
        guint times;
    } flags[] = {
        {"virConnectListAllDomains",
         VIR_CONNECT_LIST_DOMAINS_INACTIVE | VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, 2},
        {"virConnectListAllDomains", VIR_CONNECT_LIST_DOMAINS_ACTIVE, 1},
        {"virConnectGetAllDomainStats",
         VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT |
             VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING,
         1},
        {"virDomainGetXMLDesc", 0, 1},
        {"virDomainGetXMLDesc", VIR_DOMAIN_XML_INACTIVE, 2},
    };
    g_autoptr(GPtrArray) disks = NULL;

    fake_add("virDomainManagedSaveGetXMLDesc = fail 9 0 failed to read qemu header\n");
    fake_add_domain("running");
    fake_add("[domain 2]\nname = web2\nstate = saved\nxml = %s/web1.xml\n", fake_dir);
    disks = fake_find(2);
    for (guint i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_autofree char *line = g_strdup_printf("%s 0x%x", flags[i].call, flags[i].flags);

        assert_int_equal(fake_calls(line), flags[i].times);
    }
}

static void domain_without_statistics_is_found_by_its_document(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    fake_add("virConnectGetAllDomainStats = fail 3 0 not supported by the connection driver\n");
    fake_add_domain("ioerror");
    disks = fake_find(1);
    assert_int_equal(((const CstDomainDisk *)disks->pdata[0])->state, CST_DOMAIN_IO_ERROR);
}

/* Such as the driver "test". */
static void domain_with_statistics_without_disks_is_found_by_its_document(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    fake_write_document("web1.xml", "<disk><source file='DIR/disk'/><target dev='vda'/></disk>");
    fake_add("[domain 1]\nname = web1\nstate = running\nxml = %s/web1.xml\n", fake_dir);
    disks = fake_find(1);
    assert_string_equal(((const CstDomainDisk *)disks->pdata[0])->target, "vda");
}

/* The statistics of a disk on the network have no path. */
static void volume_on_the_network_is_found_by_pool_and_volume(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    fake_write_document("web1.xml", "<disk type='volume'><source pool='p' volume='v'/>"
                                    "<target dev='vdb'/></disk>");
    fake_add("[domain 1]\nname = web1\nstate = running\nxml = %s/web1.xml\nblocks = vda:%s/x;vdb\n",
             fake_dir, fake_dir);
    disks = fake_find(1);
    assert_string_equal(((const CstDomainDisk *)disks->pdata[0])->target, "vdb");
    assert_true(((const CstDomainDisk *)disks->pdata[0])->by_name);
}

/* QEMU writes the target of a copy, and the base of a commit. */
static void layers_of_a_block_job_may_be_written(void **unused)
{
    static const char *const documents[] = {
        "<disk><source file='DIR/x'/><mirror><source file='DIR/disk'/></mirror>"
        "<target dev='vda'/></disk>",
        "<disk><source file='DIR/x'/><backingStore><source file='DIR/disk'/></backingStore>"
        "<mirror job='active-commit'/><target dev='vda'/></disk>"};

    fake_add("[domain 1]\nname = web1\nstate = running\nxml = %s/web1.xml\n"
             "blocks = vda:%s/x;vda:%s/disk\n",
             fake_dir, fake_dir, fake_dir);
    for (guint i = 0; i < G_N_ELEMENTS(documents); i++) {
        g_autoptr(GPtrArray) disks = NULL;
        const CstDomainDisk *found;

        fake_write_document("web1.xml", documents[i]);
        disks = fake_find(1);
        found = disks->pdata[0];
        assert_false(found->reads_only);
        assert_int_equal(found->level, i);
    }
}

static void saved_domain_is_found_by_the_disks_of_its_memory(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;
    const CstDomainDisk *found;

    fake_add_domain("saved");
    fake_write_file("now.xml", "<domain><devices/></domain>");
    fake_add("xml = %s/now.xml\n", fake_dir);
    disks = fake_find(1);
    found = disks->pdata[0];
    assert_int_equal(found->state, CST_DOMAIN_SAVED);
    assert_string_equal(found->target, "vda");
    assert_int_equal(fake_calls("virConnectGetAllDomainStats"), 0);
}

static void saved_domain_is_found_by_pool_and_volume(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    fake_write_file("saved.xml", "<domain><devices>"
                                 "<disk><source pool='p' volume='other'/><target dev='vda'/></disk>"
                                 "<disk><source pool='p' volume='v'/><target dev='vdb'/></disk>"
                                 "</devices></domain>");
    fake_add("[domain 1]\nname = web1\nstate = saved\nsaved-xml = %s/saved.xml\n", fake_dir);
    disks = fake_find(1);
    assert_string_equal(((const CstDomainDisk *)disks->pdata[0])->target, "vdb");
}

static void saved_domain_without_a_readable_save_is_found_by_its_definition(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    fake_add("virDomainManagedSaveGetXMLDesc = fail 9 0 failed to read qemu header\n");
    fake_add_domain("saved");
    disks = fake_find(1);
    assert_int_equal(((const CstDomainDisk *)disks->pdata[0])->state, CST_DOMAIN_SAVED);
}

/* The definition has no disk. A save that is removed meanwhile, or cannot differ, is no problem. */
static void save_that_cannot_be_read_fails_without_a_disk_in_the_definition(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) removed = NULL, unsupported = NULL;
    g_autofree char *begin = g_strdup(fake_state->str);

    fake_add("virDomainManagedSaveGetXMLDesc = fail 9 0 failed to read qemu header\n");
    fake_add_domain("saved");
    fake_write_document("web1.xml", "");
    assert_null(fake_ask(hypervisor, &error));
    assert_non_null(strstr(error->message, "cannot read the managed save of domain 'web1': failed "
                                           "to read qemu header"));
    g_string_assign(fake_state, begin);
    fake_add("virDomainManagedSaveGetXMLDesc = fail 9 0 failed to read qemu header\n"
             "after virDomainManagedSaveGetXMLDesc = 1 state off\n");
    fake_add_domain("saved");
    fake_write_document("web1.xml", "");
    removed = fake_find(0);
    g_string_assign(fake_state, begin);
    fake_add("virDomainManagedSaveGetXMLDesc = fail 3 0 not supported\n");
    fake_add_domain("saved");
    fake_write_document("web1.xml", "");
    unsupported = fake_find(0);
}

/* The domain leaves the list of active domains after the first list of saved ones. */
static void domain_that_is_saved_during_the_question_is_found(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    fake_add("after virConnectListAllDomains = 1 state saved\n");
    fake_add_domain("running");
    disks = fake_find(1);
    assert_int_equal(((const CstDomainDisk *)disks->pdata[0])->state, CST_DOMAIN_SAVED);
}

static void domain_that_ends_during_the_question_is_left_out(void **unused)
{
    static const char *const states[] = {"running", "saved"};
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(states); i++) {
        g_autoptr(GPtrArray) disks = NULL;

        g_string_assign(fake_state, begin);
        fake_add("virDomainGetXMLDesc = fail 42 0 Domain not found\n");
        fake_add("virDomainManagedSaveGetXMLDesc = fail 42 0 Domain not found\n");
        fake_add_domain(states[i]);
        disks = fake_find(0);
    }
}

static void domain_that_is_off_after_the_statistics_is_left_out(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    fake_add("after virConnectGetAllDomainStats = 1 state off\n");
    fake_add_domain("running");
    disks = fake_find(0);
    assert_int_equal(fake_calls("virDomainGetState"), 1);
}

static void libvirt_that_does_not_run_has_no_domains(void **unused)
{
    static const char *const failures[] = {"38 2 No such file", "38 111 Connection refused"};
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(failures); i++) {
        g_autoptr(GPtrArray) disks = NULL;

        g_string_assign(fake_state, begin);
        fake_add("virConnectOpenReadOnly = fail %s\n", failures[i]);
        fake_add_domain("running");
        disks = fake_find(0);
    }
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_accepts_uris_of_this_host),
        cmocka_unit_test(setting_refuses_other_hosts_and_other_words),
        CASE(default_connection_needs_a_socket),
        CASE(link_to_the_socket_of_the_storage_daemon_is_no_connection),
        CASE(running_domain_is_found_by_inode),
        CASE(equal_path_of_another_file_is_not_found),
        CASE(calls_have_the_flags_for_states_and_backing_files),
        CASE(domain_without_statistics_is_found_by_its_document),
        CASE(domain_with_statistics_without_disks_is_found_by_its_document),
        CASE(volume_on_the_network_is_found_by_pool_and_volume),
        CASE(layers_of_a_block_job_may_be_written),
        CASE(saved_domain_is_found_by_the_disks_of_its_memory),
        CASE(saved_domain_is_found_by_pool_and_volume),
        CASE(saved_domain_without_a_readable_save_is_found_by_its_definition),
        CASE(save_that_cannot_be_read_fails_without_a_disk_in_the_definition),
        CASE(domain_that_is_saved_during_the_question_is_found),
        CASE(domain_that_ends_during_the_question_is_left_out),
        CASE(domain_that_is_off_after_the_statistics_is_left_out),
        CASE(libvirt_that_does_not_run_has_no_domains),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
