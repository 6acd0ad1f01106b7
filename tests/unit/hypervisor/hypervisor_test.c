/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions to libvirt by the helper process, with a fake libvirt.so.0 (tests/libvirt/fake.c). The
 * helper is this program. The clock can be set forward, so that a remembered failure becomes old.
 */
#include <hypervisor/hypervisor.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>
#include <base/file.h>

static gint64 ahead; /* microseconds that the clock was set forward */
static char *dir;
static GString *state; /* of the fake */

gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);

gint64 __wrap_g_get_monotonic_time(void)
{
    return __real_g_get_monotonic_time() + ahead;
}

static char *at(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

static void write_file(const char *name, const char *text)
{
    g_autofree char *path = at(name);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

static int setup(void **unused)
{
    g_autofree char *path = NULL;

    dir = g_dir_make_tmp("hypervisor-XXXXXX", NULL);
    path = at("fake");
    g_setenv("FAKE_LIBVIRT", path, TRUE);
    state = g_string_new(NULL);
    g_string_printf(state, "[calls]\nlog = %s/log\n", dir);
    write_file("disk", "content");
    return 0;
}

static int teardown(void **unused)
{
    const char *name;
    GDir *open = g_dir_open(dir, 0, NULL);

    while ((name = g_dir_read_name(open))) {
        g_autofree char *path = at(name);

        g_unlink(path);
    }
    g_dir_close(open);
    g_rmdir(dir);
    g_free(dir);
    g_string_free(state, TRUE);
    return 0;
}

/* Appends lines to the state of the fake. */
static void add(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void add(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_string_append_vprintf(state, format, args);
    va_end(args);
}

/* Adds domain web1 whose disk vda is "disk", and its document. */
static void add_domain(const char *domain_state)
{
    g_autofree char *xml = g_strdup_printf(
        "<domain><devices>"
        "<channel><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>"
        "<disk><source file='%s/disk'/><target dev='vda'/></disk></devices></domain>",
        dir);

    write_file("web1.xml", xml);
    add("[domain 1]\nname = web1\nstate = %s\nblocks = vda:%s/disk\n"
        "xml = %s/web1.xml\nsaved-xml = %s/web1.xml\n",
        domain_state, dir, dir, dir);
}

/* Returns how often the fake was called with @line. */
static guint calls(const char *line)
{
    g_autofree char *path = at("log");
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    guint count = 0;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    lines = g_strsplit(text, "\n", -1);
    for (char **one = lines; *one; one++)
        count += strcmp(*one, line) == 0;
    return count;
}

static CstHypervisor *hypervisor_new(unsigned deadline_s)
{
    const char *const uris[] = {"qemu:///system", NULL};

    return cst_hypervisor_new(uris, NULL, deadline_s);
}

/* Asks for the volume "v" of pool "p", which is the file "disk". */
static GPtrArray *ask(CstHypervisor *hypervisor, GError **error)
{
    CstHypervisorVolume volume = {.pool = "p", .volume = "v"};
    g_autofree char *path = at("disk");
    g_auto(CstFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    write_file("fake", state->str);
    cst_hypervisor_volume_set_file(&volume, fd);
    return cst_hypervisor_find(hypervisor, &volume, NULL, error);
}

/* Asks, and expects @count disks. */
static GPtrArray *find(guint count)
{
    g_autoptr(CstHypervisor) hypervisor = hypervisor_new(60);
    g_autoptr(GError) error = NULL;
    GPtrArray *disks = ask(hypervisor, &error);

    if (!disks)
        fail_msg("%s", error->message);
    assert_int_equal(disks->len, count);
    return disks;
}

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
    g_autoptr(CstHypervisor) hypervisor = cst_hypervisor_new(NULL, dir, 60);
    g_autoptr(CstHypervisor) without = cst_hypervisor_new(NULL, NULL, 60);
    g_autofree char *line = g_strdup_printf("qemu:///system?socket=%s/libvirt-sock", dir);
    g_autoptr(GPtrArray) none = ask(hypervisor, NULL);
    g_autoptr(GPtrArray) disks = NULL;

    assert_int_equal(none->len, 0);
    assert_false(cst_hypervisor_is_used(hypervisor));
    assert_false(cst_hypervisor_is_used(without));
    assert_int_equal(calls("virConnectOpenReadOnly"), 0);
    write_file("libvirt-sock", "");
    assert_true(cst_hypervisor_is_used(hypervisor));
    disks = ask(hypervisor, NULL);
    assert_int_equal(disks->len, 0);
    assert_int_equal(calls(line), 1);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void running_domain_is_found_by_inode(void **unused)
{
    g_autofree char *link = at("link"), *disk = at("disk");
    g_autoptr(GPtrArray) disks = NULL;
    const CstDomainDisk *found;

    assert_int_equal(symlink(disk, link), 0);
    add_domain("running");
    write_file("other.xml", "<domain><devices><disk><readonly/><shareable/><target dev='sdb'/>"
                            "</disk></devices></domain>");
    write_file("unrelated", "");
    add("[domain 2]\nname = other\nstate = paused\nxml = %s/other.xml\n"
        "blocks = sda:%s/unrelated;sdb:%s/unrelated;sdb:%s/link\n",
        dir, dir, dir, dir);
    disks = find(2);
    found = disks->pdata[0];
    assert_string_equal(found->domain, "web1");
    assert_string_equal(found->target, "vda");
    assert_int_equal(strlen(found->uuid), 36);
    assert_int_equal(found->state, CST_DOMAIN_RUNNING);
    assert_int_equal(found->agent, CST_DOMAIN_AGENT_CONNECTED);
    assert_false(found->reads_only || found->shareable);
    assert_int_equal(found->level, 0);
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
    g_autoptr(CstHypervisor) hypervisor = hypervisor_new(60);
    CstHypervisorVolume volume = {
        .has_file = TRUE, .device = 1, .inode = 1, .pool = "p", .volume = "v"};
    g_autoptr(GPtrArray) disks = NULL;

    add_domain("running");
    write_file("fake", state->str);
    disks = cst_hypervisor_find(hypervisor, &volume, NULL, NULL);
    assert_int_equal(disks->len, 0);
}

static void domain_without_statistics_is_found_by_its_document(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    add("virConnectGetAllDomainStats = fail 3 0 not supported by the connection driver\n");
    add_domain("ioerror");
    disks = find(1);
    assert_int_equal(((const CstDomainDisk *)disks->pdata[0])->state, CST_DOMAIN_IO_ERROR);
}

static void saved_domain_is_found_by_the_disks_of_its_memory(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;
    const CstDomainDisk *found;

    add_domain("saved");
    write_file("now.xml", "<domain><devices/></domain>");
    add("xml = %s/now.xml\n", dir);
    disks = find(1);
    found = disks->pdata[0];
    assert_int_equal(found->state, CST_DOMAIN_SAVED);
    assert_string_equal(found->target, "vda");
    assert_int_equal(calls("virConnectGetAllDomainStats"), 0);
}

static void saved_domain_is_found_by_pool_and_volume(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    write_file("saved.xml", "<domain><devices>"
                            "<disk><source pool='p' volume='other'/><target dev='vda'/></disk>"
                            "<disk><source pool='p' volume='v'/><target dev='vdb'/></disk>"
                            "</devices></domain>");
    add("[domain 1]\nname = web1\nstate = saved\nsaved-xml = %s/saved.xml\n", dir);
    disks = find(1);
    assert_string_equal(((const CstDomainDisk *)disks->pdata[0])->target, "vdb");
}

static void saved_domain_without_a_readable_save_is_found_by_its_definition(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    add("virDomainManagedSaveGetXMLDesc = fail 9 0 failed to read qemu header\n");
    add_domain("saved");
    disks = find(1);
}

/* The domain leaves the list of active domains after the first list of saved ones. */
static void domain_that_is_saved_during_the_question_is_found(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    add("after virConnectListAllDomains = 1 state saved\n");
    add_domain("running");
    disks = find(1);
    assert_int_equal(((const CstDomainDisk *)disks->pdata[0])->state, CST_DOMAIN_SAVED);
}

static void domain_that_ends_during_the_question_is_left_out(void **unused)
{
    static const char *const states[] = {"running", "saved"};
    g_autofree char *begin = g_strdup(state->str);

    for (guint i = 0; i < G_N_ELEMENTS(states); i++) {
        g_autoptr(GPtrArray) disks = NULL;

        g_string_assign(state, begin);
        add("virDomainGetXMLDesc = fail 42 0 Domain not found\n");
        add("virDomainManagedSaveGetXMLDesc = fail 42 0 Domain not found\n");
        add_domain(states[i]);
        disks = find(0);
    }
}

static void domain_that_is_off_after_the_statistics_is_left_out(void **unused)
{
    g_autoptr(GPtrArray) disks = NULL;

    add("after virConnectGetAllDomainStats = 1 state off\n");
    add_domain("running");
    disks = find(0);
    assert_int_equal(calls("virDomainGetState"), 1);
}

static void libvirt_that_does_not_run_has_no_domains(void **unused)
{
    static const char *const failures[] = {"38 2 No such file", "38 111 Connection refused",
                                           "5 0 no connection driver available"};
    g_autofree char *begin = g_strdup(state->str);

    for (guint i = 0; i < G_N_ELEMENTS(failures); i++) {
        g_autoptr(GPtrArray) disks = NULL;

        g_string_assign(state, begin);
        add("virConnectOpenReadOnly = fail %s\n", failures[i]);
        add_domain("running");
        disks = find(0);
    }
}

/* --- failures --------------------------------------------------------------------------------- */

typedef struct {
    const char *call;
    const char *domain_state; /* of the domain in whose search the call occurs */
} Call;

static const Call failing[] = {
    {"virConnectOpenReadOnly", "running"},
    {"virConnectListAllDomains", "running"},
    {"virConnectGetAllDomainStats", "running"},
    {"virDomainGetXMLDesc", "running"},
};

static void error_of_each_call_is_reported(void **unused)
{
    g_autofree char *begin = g_strdup(state->str);

    for (guint i = 0; i < G_N_ELEMENTS(failing); i++) {
        g_autoptr(CstHypervisor) hypervisor = hypervisor_new(60);
        g_autoptr(GError) error = NULL;

        g_string_assign(state, begin);
        add("%s = fail 1 0 the \\x1b[31mreason\n", failing[i].call);
        add_domain(failing[i].domain_state);
        assert_null(ask(hypervisor, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_FAILED));
        assert_non_null(strstr(error->message, "libvirt at 'qemu:///system' failed: the "));
        assert_null(strchr(error->message, '\033'));
    }
}

/* The fake stays hung, so only the deadline can end the call. */
static void each_call_that_hangs_ends_at_the_deadline(void **unused)
{
    static const Call hanging[] = {
        {"virConnectOpenReadOnly", "running"},      {"virConnectListAllDomains", "running"},
        {"virConnectGetAllDomainStats", "running"}, {"virDomainGetState", "running"},
        {"virDomainGetXMLDesc", "running"},         {"virDomainManagedSaveGetXMLDesc", "saved"},
    };
    g_autofree char *begin = g_strdup(state->str);

    for (guint i = 0; i < G_N_ELEMENTS(hanging); i++) {
        g_autoptr(CstHypervisor) hypervisor = hypervisor_new(1);
        g_autoptr(GError) error = NULL;

        g_string_assign(state, begin);
        add("%s = hang\n", hanging[i].call);
        add_domain(hanging[i].domain_state);
        assert_null(ask(hypervisor, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_TIMEOUT));
        assert_string_equal(error->message,
                            "libvirt at 'qemu:///system' did not answer within 1 s");
    }
}

static void failure_is_remembered_for_some_seconds(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = hypervisor_new(60);
    g_autofree char *begin = g_strdup(state->str);
    g_autoptr(GError) first = NULL, second = NULL;
    g_autoptr(GPtrArray) disks = NULL;

    add("virConnectOpenReadOnly = fail 1 0 broken\n");
    assert_null(ask(hypervisor, &first));
    ahead -= 3600 * G_TIME_SPAN_SECOND; /* no time passes for the memory, however slow this is */
    assert_null(ask(hypervisor, &second));
    assert_string_equal(first->message, second->message);
    assert_int_equal(first->code, second->code);
    assert_int_equal(calls("virConnectOpenReadOnly"), 1);
    ahead += (3600 + CST_HYPERVISOR_FAILURE_S) * G_TIME_SPAN_SECOND;
    g_string_assign(state, begin);
    add_domain("running");
    disks = ask(hypervisor, NULL);
    assert_int_equal(disks->len, 1);
    assert_int_equal(calls("virConnectOpenReadOnly"), 2);
}

/* --- foreign content -------------------------------------------------------------------------- */

static void absurd_names_are_cut_and_remain_valid(void **unused)
{
    g_autofree char *name = g_strnfill(100000, 'x');
    g_autoptr(GPtrArray) disks = NULL;
    const CstDomainDisk *found;

    add_domain("running");
    add("name = \\t%s\n", name);
    disks = find(1);
    found = disks->pdata[0];
    assert_int_equal(found->domain[0], '\t');
    assert_true(strlen(found->domain) <= 1024);
}

static void document_that_is_no_domain_fails(void **unused)
{
    g_autofree char *blanks = g_strnfill(2 << 20, ' ');
    g_autofree char *large = g_strconcat("<domain>", blanks, "</domain>", NULL);
    const char *const documents[] = {"", "<domain>", "<network/>", large,
                                     "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain>&a;</domain>"};
    g_autofree char *begin = NULL;

    add_domain("saved");
    begin = g_strdup(state->str);
    for (guint i = 0; i < G_N_ELEMENTS(documents); i++) {
        g_autoptr(CstHypervisor) hypervisor = hypervisor_new(60);
        g_autoptr(GError) error = NULL;

        g_string_assign(state, begin);
        write_file("web1.xml", documents[i]);
        assert_null(ask(hypervisor, &error));
        assert_non_null(strstr(error->message, "failed: web1: "));
    }
}

static void too_many_layers_fail(void **unused)
{
    g_autoptr(GString) xml = g_string_new("<domain><devices>");
    g_autoptr(CstHypervisor) hypervisor = hypervisor_new(60);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i <= CST_DOMAIN_LAYERS_MAX; i++)
        g_string_append_printf(xml, "<disk><target dev='vd%u'/></disk>", i);
    g_string_append(xml, "</devices></domain>");
    add_domain("saved");
    write_file("web1.xml", xml->str);
    assert_null(ask(hypervisor, &error));
    assert_non_null(strstr(error->message, "more than 4096 disks"));
}

static void disk_without_target_or_source_is_harmless(void **unused)
{
    g_autofree char *xml = g_strdup_printf(
        "<domain><devices><disk/><disk><source/></disk><disk><source file='relative'/></disk>"
        "<disk><source file='/nowhere'/><backingStore><source dev='%s/disk'/></backingStore>"
        "</disk></devices></domain>",
        dir);
    g_autoptr(GPtrArray) disks = NULL;
    const CstDomainDisk *found;

    add_domain("saved");
    write_file("web1.xml", xml);
    disks = find(1);
    found = disks->pdata[0];
    assert_string_equal(found->target, "");
    assert_int_equal(found->level, 1);
    assert_true(found->reads_only);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_accepts_uris_of_this_host),
        cmocka_unit_test(setting_refuses_other_hosts_and_other_words),
        CASE(default_connection_needs_a_socket),
        CASE(running_domain_is_found_by_inode),
        CASE(equal_path_of_another_file_is_not_found),
        CASE(domain_without_statistics_is_found_by_its_document),
        CASE(saved_domain_is_found_by_the_disks_of_its_memory),
        CASE(saved_domain_is_found_by_pool_and_volume),
        CASE(saved_domain_without_a_readable_save_is_found_by_its_definition),
        CASE(domain_that_is_saved_during_the_question_is_found),
        CASE(domain_that_ends_during_the_question_is_left_out),
        CASE(domain_that_is_off_after_the_statistics_is_left_out),
        CASE(libvirt_that_does_not_run_has_no_domains),
        CASE(error_of_each_call_is_reported),
        CASE(each_call_that_hangs_ends_at_the_deadline),
        CASE(failure_is_remembered_for_some_seconds),
        CASE(absurd_names_are_cut_and_remain_valid),
        CASE(document_that_is_no_domain_fails),
        CASE(too_many_layers_fail),
        CASE(disk_without_target_or_source_is_harmless),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
