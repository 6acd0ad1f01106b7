/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failures and foreign content of a fake libvirt.so.0. The clock can be set forward, so that a
 * remembered failure becomes old.
 */
#include <hypervisor/hypervisor.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/file.h>

#include "fixture.h"

static gint64 ahead; /* microseconds that the clock was set forward */

gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);

gint64 __wrap_g_get_monotonic_time(void)
{
    return __real_g_get_monotonic_time() + ahead;
}

gboolean __real_cst_node_stat(const char *path, struct stat *ret_st);
gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st);

gboolean __wrap_cst_node_stat(const char *path, struct stat *ret_st)
{
    if (!g_str_has_suffix(path, "/stale"))
        return __real_cst_node_stat(path, ret_st);
    errno = ESTALE;
    return FALSE;
}

/* --- failures --------------------------------------------------------------------------------- */

typedef struct {
    const char *call;
    const char *domain_state; /* of the domain that the call is for */
} Call;

static const Call failing[] = {
    {"virConnectOpenReadOnly", "running"},
    {"virConnectListAllDomains", "running"},
    {"virConnectGetAllDomainStats", "running"},
    {"virDomainGetXMLDesc", "running"},
};

static void error_of_each_call_is_reported(void **unused)
{
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(failing); i++) {
        g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);
        g_autoptr(GError) error = NULL;

        g_string_assign(fake_state, begin);
        fake_add("%s = fail 1 0 the \\x1b[31mreason\n", failing[i].call);
        fake_add_domain(failing[i].domain_state);
        assert_null(fake_ask(hypervisor, &error));
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
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(hanging); i++) {
        g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(1);
        g_autoptr(GError) error = NULL;

        g_string_assign(fake_state, begin);
        fake_add("%s = hang\n", hanging[i].call);
        fake_add_domain(hanging[i].domain_state);
        assert_null(fake_ask(hypervisor, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_TIMEOUT));
        assert_string_equal(error->message,
                            "libvirt at 'qemu:///system' did not answer within 1 s");
    }
}

static void failure_is_remembered_for_some_seconds(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);
    g_autofree char *begin = g_strdup(fake_state->str);
    g_autoptr(GError) first = NULL, second = NULL;
    g_autoptr(GPtrArray) disks = NULL;

    fake_add("virConnectOpenReadOnly = fail 1 0 broken\n");
    assert_null(fake_ask(hypervisor, &first));
    ahead -= 3600 * G_TIME_SPAN_SECOND; /* no time passes for the memory, however slow this is */
    assert_null(fake_ask(hypervisor, &second));
    assert_string_equal(first->message, second->message);
    assert_int_equal(first->code, second->code);
    assert_int_equal(fake_calls("virConnectOpenReadOnly"), 1);
    ahead += (3600 + CST_HYPERVISOR_FAILURE_S) * G_TIME_SPAN_SECOND;
    g_string_assign(fake_state, begin);
    fake_add_domain("running");
    disks = fake_ask(hypervisor, NULL);
    assert_int_equal(disks->len, 1);
    assert_int_equal(fake_calls("virConnectOpenReadOnly"), 2);
}

/* Expects that the question fails with @text in its message, or finds no disk if @text is NULL. */
static void expect(CstHypervisor *hypervisor, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = fake_ask(hypervisor, &error);

    if (!text) {
        assert_non_null(disks);
        assert_int_equal(disks->len, 0);
        return;
    }
    assert_null(disks);
    assert_non_null(strstr(error->message, text));
}

/* The fake has the socket and no socket for reading only. */
static void missing_part_of_libvirt_fails_only_where_libvirt_is_used(void **unused)
{
    static const struct {
        const char *failure; /* of the connection; NULL: the library cannot be loaded */
        const char *by_default, *by_setting; /* in the messages; NULL: no domains */
    } cases[] = {
        {"38 111 refused", NULL, NULL},
        {"38 2 no file", "cannot connect to libvirt at 'qemu:///system?socket=", NULL},
        {"5 0 no driver", NULL, "cannot connect to libvirt at 'qemu:///system': no driver"},
        {NULL, "cannot load a library", "cannot load a library"},
    };
    g_autofree char *begin = g_strdup(fake_state->str);

    fake_write_file("libvirt-sock", "");
    fake_write_file("libvirt.so.0", "no library");
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(CstHypervisor) by_default = cst_hypervisor_new(NULL, fake_dir, 60);
        g_autoptr(CstHypervisor) by_setting = fake_hypervisor(60);

        g_string_assign(fake_state, begin);
        if (cases[i].failure)
            fake_add("virConnectOpenReadOnly = fail %s\n", cases[i].failure);
        else
            g_setenv("LD_LIBRARY_PATH", fake_dir, TRUE);
        expect(by_default, cases[i].by_default);
        expect(by_setting, cases[i].by_setting);
    }
}

/* A failure of one domain does not stop questions about volumes that it does not use. */
static void failure_of_one_domain_is_not_remembered(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);

    fake_add("virDomainGetXMLDesc = fail 1 0 broken\n");
    fake_add_domain("running");
    expect(hypervisor, "broken");
    fake_add("blocks = vda:%s/x\n", fake_dir);
    expect(hypervisor, NULL);
}

/* A stale file handle of NFS does not show its file. A missing file is another one. */
static void path_with_an_unknown_file_fails(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);

    fake_add_domain("running");
    fake_add("blocks = vda:%s/missing\n", fake_dir);
    expect(hypervisor, NULL);
    fake_add("blocks = vda:%s/stale\n", fake_dir);
    expect(hypervisor, "/stale: Stale file handle");
}

#define CALLERS 4

typedef struct {
    CstHypervisor *hypervisor;
    CstTask *task;
} Asked;

/* Returns the error of a question; NULL: it had an answer. */
static gpointer asked_run(gpointer data)
{
    const Asked *asked = data;
    const CstHypervisorVolume volume = {.pool = "p", .volume = "v"};
    GError *error = NULL;
    g_autoptr(GPtrArray) disks =
        cst_hypervisor_find(asked->hypervisor, &volume, asked->task, &error);

    return error;
}

/* The later callers get the failure of the first, whether they wait for it or begin after it. */
static void hang_occupies_one_helper(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(1);
    Asked asked = {hypervisor, NULL};
    GThread *callers[CALLERS];

    fake_add("virConnectOpenReadOnly = hang\n");
    fake_write_file("fake", fake_state->str);
    for (guint i = 0; i < CALLERS; i++)
        callers[i] = g_thread_new("caller", asked_run, &asked);
    for (guint i = 0; i < CALLERS; i++) {
        g_autoptr(GError) error = g_thread_join(callers[i]);

        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_TIMEOUT));
    }
    assert_int_equal(fake_calls("virConnectOpenReadOnly"), 1);
}

/* Implements the function of cst_task_on_wait(): records the state and the connections so far. */
static void wait_record(gboolean waiting, gpointer record)
{
    g_string_append_printf(record, "%c%u", waiting ? 'T' : 'F',
                           fake_calls("virConnectOpenReadOnly"));
}

/* A waiting task gives its worker back. libvirt may need it to look up volumes. */
static void task_waits_during_the_question(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GString) record = g_string_new(NULL);
    Asked asked = {hypervisor, task};

    cst_task_on_wait(task, wait_record, record);
    fake_write_file("fake", fake_state->str);
    assert_null(asked_run(&asked));
    assert_string_equal(record->str, "T0F1");
}

/* The first question hangs until its caller is cancelled, so the second waits. */
static void cancelled_caller_does_not_wait_for_the_helper_of_another(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(300);
    g_autoptr(CstTask) first = cst_task_new(), second = cst_task_new();
    Asked asked[] = {{hypervisor, first}, {hypervisor, second}};
    GThread *callers[2];

    fake_add("virConnectOpenReadOnly = hang\n");
    fake_write_file("fake", fake_state->str);
    callers[0] = g_thread_new("first", asked_run, &asked[0]);
    while (fake_calls("virConnectOpenReadOnly") == 0)
        g_usleep(1000); /* paced: until the helper is in its call */
    callers[1] = g_thread_new("second", asked_run, &asked[1]);
    for (guint i = G_N_ELEMENTS(callers); i-- > 0;) {
        g_autoptr(GError) error = NULL;

        cst_task_cancel(asked[i].task);
        error = g_thread_join(callers[i]);
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
    }
    assert_int_equal(fake_calls("virConnectOpenReadOnly"), 1);
}

/* --- foreign content -------------------------------------------------------------------------- */

static void absurd_names_are_cut_and_remain_valid(void **unused)
{
    g_autofree char *name = g_strnfill(100000, 'x');
    g_autoptr(GPtrArray) disks = NULL;
    const CstDomainDisk *found;

    fake_add_domain("running");
    fake_add("name = \\t%s\n", name);
    disks = fake_find(1);
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

    fake_add_domain("saved");
    begin = g_strdup(fake_state->str);
    for (guint i = 0; i < G_N_ELEMENTS(documents); i++) {
        g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);
        g_autoptr(GError) error = NULL;

        g_string_assign(fake_state, begin);
        fake_write_file("web1.xml", documents[i]);
        assert_null(fake_ask(hypervisor, &error));
        assert_non_null(strstr(error->message, "failed: web1: "));
    }
}

static void too_many_layers_fail(void **unused)
{
    g_autoptr(GString) xml = g_string_new("<domain><devices>");
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i <= CST_DOMAIN_LAYERS_MAX; i++)
        g_string_append_printf(xml, "<disk><target dev='vd%u'/></disk>", i);
    g_string_append(xml, "</devices></domain>");
    fake_add_domain("saved");
    fake_write_file("web1.xml", xml->str);
    assert_null(fake_ask(hypervisor, &error));
    assert_non_null(strstr(error->message, "more than 4096 disks"));
}

static void disk_without_target_or_source_is_harmless(void **unused)
{
    g_autofree char *xml = g_strdup_printf(
        "<domain><devices><disk/><disk><source/></disk><disk><source file='relative'/></disk>"
        "<disk><source file='/nowhere'/><backingStore><source dev='%s/disk'/></backingStore>"
        "</disk></devices></domain>",
        fake_dir);
    g_autoptr(GPtrArray) disks = NULL;
    const CstDomainDisk *found;

    fake_add_domain("saved");
    fake_write_file("web1.xml", xml);
    disks = fake_find(1);
    found = disks->pdata[0];
    assert_string_equal(found->target, "");
    assert_int_equal(found->level, 1);
    assert_true(found->reads_only);
}

static void absurd_number_of_layers_in_the_statistics_fails(void **unused)
{
    static const char *const counts[] = {"4097", "4294967295"};
    g_autofree char *begin = NULL;

    fake_add_domain("running");
    begin = g_strdup(fake_state->str);
    for (guint i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);
        g_autoptr(GError) error = NULL;

        g_string_assign(fake_state, begin);
        fake_add("count = %s\n", counts[i]);
        assert_null(fake_ask(hypervisor, &error));
        assert_non_null(strstr(error->message, "too many disks and backing files"));
    }
}

static void program_without_the_helper_asks_no_question(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);

    expect(hypervisor, "this program has no helper for libvirt");
    assert_int_equal(fake_calls("virConnectOpenReadOnly"), 0);
}

/* --- late changes ----------------------------------------------------------------------------- */

static gboolean disk_resize(CstHypervisor *hypervisor, uint64_t bytes, gboolean change,
                            GError **error)
{
    CstHypervisorVolume volume = {.pool = "p", .volume = "v"};
    const CstHypervisorDisk disk = {.uri = "qemu:///system",
                                    .uuid = "c7a5fdbd-cdaf-9455-926a-d65c16db1809",
                                    .target = "vda",
                                    .format = "raw",
                                    .bytes = bytes,
                                    .change = change};
    g_autofree char *path = fake_at("disk");
    g_auto(CstFd) fd = open(path, O_RDONLY | O_CLOEXEC);
    CstDiskFitness fitness;
    uint64_t capacity;
    gboolean sent;

    fake_write_file("fake", fake_state->str);
    cst_hypervisor_volume_set_file(&volume, fd);
    return cst_hypervisor_resize(hypervisor, &volume, &disk, NULL, &fitness, &capacity, &sent,
                                 error) &&
           fitness == CST_DISK_FIT;
}

/* Makes a change of 4096 bytes end in an error that leaves its result unknown. */
static void make_late_change(CstHypervisor *hypervisor, const char *disk)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *begin = g_strdup(fake_state->str);

    fake_add("after virDomainBlockResize = 1 capacity 0\n");
    fake_add_domain("running");
    fake_add("disk = %s/%s\n", fake_dir, disk);
    assert_false(disk_resize(hypervisor, 4096, TRUE, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_FAILED));
    g_string_assign(fake_state, begin);
    fake_add_domain("running");
    fake_add("disk = %s/%s\n", fake_dir, disk);
}

/* The change may be made after a later one, and shrink the disk then. */
static void late_change_forbids_other_sizes_until_it_is_old(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);

    fake_write_file("unchanged", "content");
    ahead = 0;
    make_late_change(hypervisor, "unchanged");
    fake_write_file("unchanged", "content");
    for (int change = FALSE; change <= TRUE; change++) {
        g_autoptr(GError) error = NULL;

        assert_false(disk_resize(hypervisor, 8192, change, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_BUSY));
        assert_non_null(strstr(error->message, "disk 'vda' to 4096 bytes"));
    }
    assert_true(disk_resize(hypervisor, 4096, FALSE, NULL));
    ahead = (CST_HYPERVISOR_LATE_S + 1) * G_TIME_SPAN_SECOND;
    assert_true(disk_resize(hypervisor, 8192, TRUE, NULL));
    ahead = 0;
}

static void late_change_that_was_made_forbids_no_size(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);

    make_late_change(hypervisor, "disk");
    assert_true(disk_resize(hypervisor, 8192, FALSE, NULL));
    assert_true(disk_resize(hypervisor, 8192, TRUE, NULL));
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
        CASE(late_change_forbids_other_sizes_until_it_is_old),
        CASE(late_change_that_was_made_forbids_no_size),
        CASE(absurd_number_of_layers_in_the_statistics_fails),
        CASE(error_of_each_call_is_reported),
        CASE(each_call_that_hangs_ends_at_the_deadline),
        CASE(missing_part_of_libvirt_fails_only_where_libvirt_is_used),
        CASE(failure_of_one_domain_is_not_remembered),
        CASE(path_with_an_unknown_file_fails),
        CASE(hang_occupies_one_helper),
        CASE(task_waits_during_the_question),
        CASE(cancelled_caller_does_not_wait_for_the_helper_of_another),
        CASE(failure_is_remembered_for_some_seconds),
        CASE(absurd_names_are_cut_and_remain_valid),
        CASE(document_that_is_no_domain_fails),
        CASE(too_many_layers_fail),
        CASE(disk_without_target_or_source_is_harmless),
    };

    const struct CMUnitTest without_helper[] = {
        CASE(program_without_the_helper_asks_no_question),
    };

    if (argc == 1 && cmocka_run_group_tests(without_helper, NULL, NULL) != 0)
        return EXIT_FAILURE;
    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
