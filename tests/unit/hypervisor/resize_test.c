/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Growth of a disk of a domain of the fake libvirt.so.0. Its disk is the file "disk". */
#include <hypervisor/hypervisor.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/file.h>

#include "fixture.h"

#define LARGER 8192 /* bytes */

/* A request and its answer. */
typedef struct {
    uint64_t bytes;
    gboolean change, is_empty;
    const char *uuid, *format;
    unsigned deadline_s;
    CstTask *task;
    CstDiskFitness fitness;
    uint64_t capacity;
    gboolean sent;
    GError *error;
} Growth;

static Growth growth_of(uint64_t bytes)
{
    return (Growth){.bytes = bytes,
                    .change = TRUE,
                    .uuid = "c7a5fdbd-cdaf-9455-926a-d65c16db1809",
                    .format = "raw",
                    .deadline_s = 60};
}

static gboolean growth_run(Growth *growth)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(growth->deadline_s);
    CstHypervisorVolume volume = {.pool = "p", .volume = "v"};
    CstHypervisorDisk disk = {.uri = "qemu:///system",
                              .uuid = growth->uuid,
                              .target = "vda",
                              .format = growth->format,
                              .bytes = growth->bytes,
                              .is_empty = growth->is_empty,
                              .change = growth->change};
    g_autofree char *path = fake_at("disk");
    g_auto(CstFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    fake_write_file("fake", fake_state->str);
    cst_hypervisor_volume_set_file(&volume, fd);
    g_clear_error(&growth->error);
    return cst_hypervisor_resize(hypervisor, &volume, &disk, growth->task, &growth->fitness,
                                 &growth->capacity, &growth->sent, &growth->error);
}

/* Expects an answer. */
static void growth_check(Growth *growth, CstDiskFitness fitness)
{
    if (!growth_run(growth))
        fail_msg("%s", growth->error->message);
    assert_int_equal(growth->fitness, fitness);
}

static guint64 disk_size(void)
{
    g_autofree char *path = fake_at("disk");
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (guint64)st.st_size;
}

static void fake_add_growing(const char *state)
{
    fake_add_domain(state);
    fake_add("disk = %s/disk\n", fake_dir);
}

/* --- the change ------------------------------------------------------------------------------- */

static void disk_grows_in_bytes_by_its_target(void **unused)
{
    static const char *const states[] = {"running", "paused"};
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(states); i++) {
        Growth growth = growth_of(LARGER << i);
        g_autofree char *line = g_strdup_printf("resize vda %d 0x1", LARGER << i);

        g_string_assign(fake_state, begin);
        fake_add_growing(states[i]);
        growth_check(&growth, CST_DISK_FIT);
        assert_int_equal(growth.capacity, LARGER << i);
        assert_int_equal(disk_size(), LARGER << i);
        assert_int_equal(fake_calls(line), 1);
    }
    assert_int_equal(fake_calls("virConnectOpen"), 2);
    assert_int_equal(fake_calls("virConnectOpenReadOnly"), 0);
}

static void check_reports_the_size_and_leaves_it(void **unused)
{
    Growth growth = growth_of(LARGER);
    guint64 before = disk_size();

    growth.change = FALSE;
    fake_add_growing("running");
    growth_check(&growth, CST_DISK_FIT);
    assert_int_equal(growth.capacity, before);
    assert_int_equal(disk_size(), before);
    assert_int_equal(fake_calls("virDomainBlockResize"), 0);
}

/* The fake shrinks, as libvirt 9.0 does. */
static void disk_never_shrinks(void **unused)
{
    Growth growth = growth_of(3);
    guint64 before = disk_size();

    fake_add_growing("running");
    growth_check(&growth, CST_DISK_LARGER);
    assert_int_equal(growth.capacity, before);
    assert_int_equal(disk_size(), before);
}

/* With a size of 0, the comparison of the sizes would permit each request. */
static void unknown_size_of_the_disk_is_a_failure(void **unused)
{
    Growth growth = growth_of(LARGER);

    fake_add_growing("running");
    fake_add("capacity = 0\n");
    assert_false(growth_run(&growth));
    assert_string_equal(growth.error->message,
                        "libvirt at 'qemu:///system' failed: the size of the disk is not known");
    g_clear_error(&growth.error);
    assert_int_equal(fake_calls("virDomainBlockResize"), 0);
    growth.is_empty = TRUE;
    growth_check(&growth, CST_DISK_FIT);
    assert_int_equal(fake_calls("virDomainBlockResize"), 1);
}

static void size_after_the_change_is_that_of_libvirt(void **unused)
{
    Growth growth = growth_of(LARGER);
    guint64 before = disk_size();

    fake_add_growing("running");
    fake_add("keeps-size = yes\n");
    growth_check(&growth, CST_DISK_FIT);
    assert_int_equal(growth.capacity, before);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void unfit_disk_is_not_resized(void **unused)
{
    static const struct {
        const char *line;  /* of the domain */
        const char *disks; /* of its document; NULL: as it is */
        CstDiskFitness fitness;
    } cases[] = {
        {"state = off", NULL, CST_DISK_INACTIVE},
        {"state = ioerror", NULL, CST_DISK_STOPPED},
        {"state = crashed", NULL, CST_DISK_STOPPED},
        {"state = migrating", NULL, CST_DISK_STOPPED},
        {"state = ioerror",
         "<disk><source file='DIR/disk'/><target dev='vda'/><driver type='qcow2'/></disk>",
         CST_DISK_OTHER_FORMAT},
        {"",
         "<disk><source file='DIR/disk'/><target dev='vda'/><driver type='qcow2'/>"
         "<shareable/><readonly/><mirror/></disk>",
         CST_DISK_OTHER_FORMAT},
        {"",
         "<disk><source file='DIR/disk'><encryption format='luks'/></source>"
         "<driver type='raw'/><target dev='vda'/></disk>",
         CST_DISK_OTHER_FORMAT},
        {"", "<disk><source file='DIR/disk'/><encryption format='luks'/><target dev='vda'/></disk>",
         CST_DISK_OTHER_FORMAT},
        {"",
         "<disk><source file='DIR/disk'><slices><slice type='storage' offset='0' size='1'/>"
         "</slices></source><target dev='vda'/></disk>",
         CST_DISK_OTHER_FORMAT},
        {"job = yes", NULL, CST_DISK_DOMAIN_HAS_JOB},
        {"block-job = vda", NULL, CST_DISK_HAS_BLOCK_JOB},
        {"", "<disk><source file='DIR/disk'/><target dev='vda'/><shareable/></disk>",
         CST_DISK_SHAREABLE},
        {"", "<disk><source file='DIR/disk'/><target dev='vda'/><readonly/></disk>",
         CST_DISK_READ_ONLY},
        {"",
         "<disk><source file='DIR/x'/><target dev='vda'/>"
         "<backingStore><source file='DIR/disk'/></backingStore></disk>",
         CST_DISK_ABOVE_VOLUME},
        {"",
         "<disk><source file='DIR/disk'/><target dev='vda'/>"
         "<mirror><source file='DIR/x'/></mirror></disk>",
         CST_DISK_HAS_BLOCK_JOB},
        {"", "<disk><source file='DIR/disk'/><target dev='vda'/><driver type='qcow2'/></disk>",
         CST_DISK_OTHER_FORMAT},
        {"", "<disk><source file='DIR/x'/><target dev='vda'/></disk>", CST_DISK_GONE},
        {"", "<disk><source file='DIR/disk'/><target dev='vdb'/></disk>", CST_DISK_GONE},
        {"", "", CST_DISK_GONE},
    };
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Growth growth = growth_of(LARGER);

        g_string_assign(fake_state, begin);
        fake_add_growing("running");
        fake_add("%s\n", cases[i].line);
        if (cases[i].disks)
            fake_write_document("web1.xml", cases[i].disks);
        growth_check(&growth, cases[i].fitness);
    }
    assert_int_equal(fake_calls("virDomainBlockResize"), 0);
}

/* An encrypted qcow2 image has the size of the guest's disk. */
static void encrypted_image_grows(void **unused)
{
    Growth growth = growth_of(LARGER);

    growth.format = "qcow2";
    fake_add_growing("running");
    fake_write_document("web1.xml", "<disk><source file='DIR/disk'><encryption format='luks'/>"
                                    "</source><driver type='qcow2'/><target dev='vda'/></disk>");
    growth_check(&growth, CST_DISK_FIT);
    assert_int_equal(disk_size(), LARGER);
}

static void disk_without_a_format_is_raw(void **unused)
{
    Growth growth = growth_of(LARGER);

    growth.format = "qcow2";
    fake_add_growing("running");
    growth_check(&growth, CST_DISK_OTHER_FORMAT);
    assert_int_equal(fake_calls("virDomainBlockResize"), 0);
}

/* A pool of libvirt with the same name may be another directory. The statistics have the path. */
static void disk_of_a_pool_is_compared_by_its_path(void **unused)
{
    static const char *const blocks[] = {"vda:%s/unrelated;vdb:%s/disk", "vda:%s/disk;vdb:%s/x"};
    g_autofree char *begin = g_strdup(fake_state->str);

    fake_write_file("unrelated", "");
    for (guint i = 0; i < G_N_ELEMENTS(blocks); i++) {
        g_autofree char *line = g_strdup_printf("blocks = %s\n", blocks[i]);
        g_autoptr(GString) text = g_string_new(line);
        Growth growth = growth_of(LARGER);

        g_string_assign(fake_state, begin);
        fake_add_growing("running");
        fake_write_document("web1.xml", "<disk type='volume'><source pool='p' volume='v'/>"
                                        "<target dev='vda'/></disk>");
        g_string_replace(text, "%s", fake_dir, 0);
        fake_add("%s", text->str);
        growth_check(&growth, i == 0 ? CST_DISK_GONE : CST_DISK_FIT);
    }
    assert_int_equal(fake_calls("virDomainBlockResize"), 1);
}

static void domain_that_no_longer_exists_is_inactive(void **unused)
{
    static const char *const failing[] = {"virDomainLookupByUUIDString", "virDomainGetXMLDesc",
                                          "virDomainGetState"};
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(failing); i++) {
        Growth growth = growth_of(LARGER);

        g_string_assign(fake_state, begin);
        fake_add("%s = fail 42 0 Domain not found\n", failing[i]);
        fake_add_growing("running");
        growth_check(&growth, CST_DISK_INACTIVE);
        assert_false(growth.sent);
    }
    assert_int_equal(fake_calls("virDomainBlockResize"), 0);
}

static void domain_is_that_of_the_uuid(void **unused)
{
    Growth growth = growth_of(LARGER);

    fake_add_growing("running");
    fake_add("uuid = c7a5fdbd-cdaf-9455-926a-d65c16db1fff\n");
    growth_check(&growth, CST_DISK_INACTIVE);
    assert_int_equal(fake_calls("virDomainBlockResize"), 0);
}

/* --- failures --------------------------------------------------------------------------------- */

static const char *const calls[] = {
    "virConnectOpen",        "virDomainLookupByUUIDString", "virDomainGetState",
    "virDomainGetXMLDesc",   "virDomainGetJobInfo",         "virDomainGetBlockJobInfo",
    "virDomainGetBlockInfo", "virDomainBlockResize",
};

static void error_of_each_call_is_reported(void **unused)
{
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        Growth growth = growth_of(LARGER);
        guint64 before = disk_size();

        g_string_assign(fake_state, begin);
        fake_add("%s = fail 1 0 the \\x1b[31mreason\n", calls[i]);
        fake_add_growing("running");
        assert_false(growth_run(&growth));
        assert_true(g_error_matches(growth.error, CST_ERROR, CST_ERROR_FAILED));
        assert_non_null(strstr(growth.error->message, "reason"));
        assert_null(strchr(growth.error->message, '\033'));
        assert_int_equal(disk_size(), before);
        assert_false(growth.sent);
        g_clear_error(&growth.error);
    }
}

/* The change removes the capacity of the fake, so that the size is not known afterwards. */
static void unknown_size_after_the_change_may_be_either(void **unused)
{
    Growth growth = growth_of(LARGER);

    fake_add("after virDomainBlockResize = 1 capacity 0\n");
    fake_add_growing("running");
    assert_false(growth_run(&growth));
    assert_true(growth.sent);
    g_clear_error(&growth.error);
}

/*
 * Runs a growth whose @call hangs. Only the deadline ends it. On a busy machine it may end the
 * helper before that call, so it is doubled until the fake got @count calls.
 */
static void growth_run_until_hang(const char *call, guint count, gboolean sent)
{
    guint found = 0;

    for (unsigned deadline_s = 1; found < count && deadline_s <= 64; deadline_s *= 2) {
        Growth growth = growth_of(LARGER);

        growth.deadline_s = deadline_s;
        assert_false(growth_run(&growth));
        assert_true(g_error_matches(growth.error, CST_ERROR, CST_ERROR_TIMEOUT));
        found = fake_calls(call);
        assert_int_equal(growth.sent, found >= count && sent);
        g_clear_error(&growth.error);
    }
    assert_int_equal(found, count);
}

static void each_call_that_hangs_ends_at_the_deadline(void **unused)
{
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i <= G_N_ELEMENTS(calls); i++) {
        gboolean late = i == G_N_ELEMENTS(calls);
        const char *call = late ? "virDomainBlockResize" : calls[i];
        guint before = fake_calls(call);

        g_string_assign(fake_state, begin);
        fake_add("%s%s = hang\n", late ? "after " : "", call);
        fake_add_growing("running");
        growth_run_until_hang(call, before + 1, late || i + 1 == G_N_ELEMENTS(calls));
    }
}

/* Further questions do not fail because of one disk. */
static void failure_of_a_growth_is_not_remembered(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);
    const CstHypervisorVolume volume = {.has_file = TRUE, .pool = "p", .volume = "v"};
    const CstHypervisorDisk disk = {
        .uri = "qemu:///system", .uuid = "u", .target = "vda", .format = "raw"};
    CstDiskFitness fitness;
    uint64_t capacity;
    gboolean sent;
    g_autoptr(GPtrArray) disks = NULL;

    fake_add("virConnectOpen = fail 1 0 broken\n");
    fake_add_growing("running");
    fake_write_file("fake", fake_state->str);
    assert_false(
        cst_hypervisor_resize(hypervisor, &volume, &disk, NULL, &fitness, &capacity, &sent, NULL));
    disks = fake_ask(hypervisor, NULL);
    assert_int_equal(disks->len, 1);
}

static void libvirt_that_does_not_run_fails(void **unused)
{
    Growth growth = growth_of(LARGER);

    fake_add("virConnectOpen = fail 38 111 Connection refused\n");
    fake_add_growing("running");
    assert_false(growth_run(&growth));
    assert_string_equal(growth.error->message, "libvirt at 'qemu:///system' does not run any more");
    g_clear_error(&growth.error);
}

/* A cancelled task ends a check. A change has a short deadline and runs to its end. */
static void cancelled_task_does_not_end_a_change(void **unused)
{
    Growth growth = growth_of(LARGER);
    g_autoptr(CstTask) task = cst_task_new();

    growth.task = task;
    fake_add_growing("running");
    cst_task_cancel(task);
    growth_check(&growth, CST_DISK_FIT);
    assert_int_equal(disk_size(), LARGER);
    growth.change = FALSE;
    assert_false(growth_run(&growth));
    assert_true(g_error_matches(growth.error, CST_ERROR, CST_ERROR_CANCELLED));
    g_clear_error(&growth.error);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
        CASE(disk_grows_in_bytes_by_its_target),
        CASE(check_reports_the_size_and_leaves_it),
        CASE(disk_never_shrinks),
        CASE(unknown_size_of_the_disk_is_a_failure),
        CASE(size_after_the_change_is_that_of_libvirt),
        CASE(unfit_disk_is_not_resized),
        CASE(encrypted_image_grows),
        CASE(disk_without_a_format_is_raw),
        CASE(disk_of_a_pool_is_compared_by_its_path),
        CASE(domain_that_no_longer_exists_is_inactive),
        CASE(domain_is_that_of_the_uuid),
        CASE(error_of_each_call_is_reported),
        CASE(unknown_size_after_the_change_may_be_either),
        CASE(each_call_that_hangs_ends_at_the_deadline),
        CASE(failure_of_a_growth_is_not_remembered),
        CASE(libvirt_that_does_not_run_fails),
        CASE(cancelled_task_does_not_end_a_change),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
