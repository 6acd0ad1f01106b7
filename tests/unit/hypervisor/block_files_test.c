/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The entry and the messages of block jobs. */
#include "block_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include "../../../src/hypervisor/block_entry.h"

static BlockEntry block_entry_sample(void)
{
    return (BlockEntry){.domain = {.uri = (char *)"qemu:///system?socket=/a%20b",
                                   .uuid = (char *)PAUSE_UUID,
                                   .name = (char *)" web;1\n[block-job]\nid=9",
                                   .id = 7,
                                   .late_until = G_GINT64_CONSTANT(12345678901)},
                        .target = (char *)"vda",
                        .kind = CST_HYPERVISOR_JOB_COPY,
                        .source = (char *)"/s",
                        .destination = (char *)"/a\nb=c",
                        .pool = (char *)"n",
                        .pool_volume = (char *)"copy;=\n",
                        .old_pool = (char *)"p",
                        .old_volume = (char *)"v",
                        .format = (char *)"raw",
                        .switching = TRUE};
}

/* Returns the directory of the entries, which the test creates. */
static int block_entries_open(void)
{
    int fd = domain_directory_open(block_directory, 0700, NULL);

    assert_true(fd >= 0);
    return fd;
}

static char *block_entry_path(void)
{
    return g_build_filename(block_directory, PAUSE_UUID, NULL);
}

static void block_entry_is_read_as_it_was_written(void **unused)
{
    BlockEntry entry = block_entry_sample();
    g_autofree char *path = block_entry_path();
    g_auto(CstFd) fd = block_entries_open();
    g_auto(BlockEntry) read = {0}, commit = {0}, named = {0};
    GStatBuf st;

    assert_true(block_entry_write(fd, &entry, NULL));
    assert_true(block_entry_read(fd, PAUSE_UUID, &read, NULL));
    assert_string_equal(read.domain.uri, entry.domain.uri);
    assert_string_equal(read.domain.name, entry.domain.name);
    assert_string_equal(read.target, "vda");
    assert_string_equal(read.source, "/s");
    assert_string_equal(read.destination, entry.destination);
    assert_string_equal(read.pool, "n");
    assert_string_equal(read.pool_volume, entry.pool_volume);
    assert_string_equal(read.old_pool, "p");
    assert_string_equal(read.old_volume, "v");
    assert_string_equal(read.format, "raw");
    assert_false(read.naming);
    assert_true(!read.top && !read.base && read.domain.id == 7 && read.switching && !read.active);
    assert_true(read.domain.late_until == entry.domain.late_until);
    assert_int_equal(g_stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    entry.kind = CST_HYPERVISOR_JOB_COMMIT;
    entry.active = TRUE;
    assert_true(block_entry_write(fd, &entry, NULL));
    assert_false(block_entry_read(fd, PAUSE_UUID, &named, NULL)); /* a commit has no format */
    entry.format = NULL;
    assert_true(block_entry_write(fd, &entry, NULL));
    block_entry_clear(&named);
    assert_true(block_entry_read(fd, PAUSE_UUID, &named, NULL));
    assert_string_equal(named.old_volume, "v");
    entry.active = FALSE;
    entry.destination = NULL;
    entry.pool = entry.pool_volume = entry.old_pool = entry.old_volume = entry.format = NULL;
    entry.naming = TRUE;
    entry.top = (char *)"/top";
    entry.base = (char *)"/base";
    assert_true(block_entry_write(fd, &entry, NULL));
    assert_true(block_entry_read(fd, PAUSE_UUID, &commit, NULL));
    assert_int_equal(commit.kind, CST_HYPERVISOR_JOB_COMMIT);
    assert_string_equal(commit.top, "/top");
    assert_true(commit.naming && !commit.pool);
    assert_string_equal(commit.base, "/base");
    domain_entry_remove(fd, PAUSE_UUID);
}

/* Each damage is a replacement in a valid entry. */
static void damaged_block_entry_is_refused_and_kept(void **unused)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"version=1", "version=2"},     {"id=7", "id=-1"},
        {"kind=0", "kind=3"},           {"kind=0", "kind=1"},
        {"kind=0", "kind=-1"},          {"active=false", "active=x"},
        {"destination=", "elsewhere="}, {"switching=true", ""},
        {"late-until=", "late="},       {"target=", "disk="},
        {"source=", "from="},           {"uuid=c", "uuid=d"},
        {"[block-job]", "block-job]"},  {"\npool=", "\nx="},
        {"pool-volume=", "x="},         {"old-pool=", "x="},
        {"old-volume=", "x="},          {"format=", "x="},
        {"naming=false", ""},
    };
    const BlockEntry entry = block_entry_sample();
    g_autofree char *path = block_entry_path(), *text = NULL;
    g_auto(CstFd) fd = block_entries_open();

    assert_true(block_entry_write(fd, &entry, NULL));
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) damaged = g_string_new(text);
        g_auto(BlockEntry) read = {0};
        GError *error = NULL;

        assert_true(g_string_replace(damaged, cases[i].from, cases[i].to, 1) == 1);
        assert_true(g_file_set_contents(path, damaged->str, -1, NULL));
        g_chmod(path, 0600);
        assert_false(block_entry_read(fd, PAUSE_UUID, &read, &error));
        assert_pause_error(error, CST_ERROR_CORRUPT, "end the job with virsh blockjob");
        error = NULL;
        assert_false(cst_hypervisor_job_recover(block_directory, &error));
        assert_pause_error(error, CST_ERROR_CORRUPT, PAUSE_UUID);
        assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    }
    domain_entry_remove(fd, PAUSE_UUID);
}

/* It names a domain whose job would be aborted. */
static void block_entry_of_another_user_is_refused(void **unused)
{
    const BlockEntry entry = block_entry_sample();
    g_autofree char *path = block_entry_path(), *elsewhere = fake_at("elsewhere");
    g_auto(CstFd) fd = block_entries_open();
    GError *error = NULL;

    assert_true(block_entry_write(fd, &entry, NULL));
    g_chmod(path, 0644);
    assert_false(cst_hypervisor_job_recover(block_directory, &error));
    assert_pause_error(error, CST_ERROR_DENIED, PAUSE_UUID);
    error = NULL;
    assert_int_equal(g_rename(path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, path), 0);
    g_chmod(elsewhere, 0600);
    assert_false(cst_hypervisor_job_recover(block_directory, &error));
    assert_pause_error(error, CST_ERROR_IO, PAUSE_UUID);
    assert_block_refused(CST_ERROR_FAILED, PAUSE_UUID);
    unlink(path);
}

static void lock_without_a_block_entry_is_removed(void **unused)
{
    g_autofree char *lock = g_strconcat(block_directory, "/" PAUSE_UUID ".lock", NULL);
    g_auto(CstFd) fd = block_entries_open();

    close(domain_entry_lock(fd, PAUSE_UUID, NULL));
    assert_true(g_file_test(lock, G_FILE_TEST_EXISTS));
    assert_true(cst_hypervisor_job_recover(block_directory, NULL));
    assert_false(g_file_test(lock, G_FILE_TEST_EXISTS));
}

/* --- messages --------------------------------------------------------------------------------- */

static BlockRequest block_request_sample(CstHypervisorVolume *volumes)
{
    volumes[0] = *pause_request.volumes;
    volumes[1] = block_base;
    return (BlockRequest){.domain = {.uri = (char *)"qemu:///system",
                                     .uuid = (char *)PAUSE_UUID,
                                     .volumes = volumes,
                                     .n_volumes = 2},
                          .kind = CST_HYPERVISOR_JOB_COMMIT,
                          .has_base = TRUE,
                          .transient = TRUE,
                          .dry_run = TRUE,
                          .destination = (char *)"/d",
                          .format = (char *)"qcow2",
                          .pool = (char *)"n",
                          .pool_volume = (char *)"copy",
                          .old_pool = (char *)"p",
                          .old_volume = (char *)"v",
                          .rate = 5};
}

static void block_request_is_decoded_as_it_was_encoded(void **unused)
{
    CstHypervisorVolume volumes[2];
    BlockRequest request = block_request_sample(volumes), read = {0};
    g_autoptr(GBytes) packet = block_request_encode(&request);
    gsize len;
    const char *data = g_bytes_get_data(packet, &len);

    assert_true(block_request_decode(data, len, &read));
    assert_string_equal(read.domain.uuid, PAUSE_UUID);
    assert_string_equal(read.destination, "/d");
    assert_string_equal(read.format, "qcow2");
    assert_string_equal(read.pool, "n");
    assert_string_equal(read.pool_volume, "copy");
    assert_string_equal(read.old_pool, "p");
    assert_string_equal(read.old_volume, "v");
    assert_true(read.kind == request.kind && read.has_base && !read.has_top && read.transient &&
                read.dry_run && !read.is_device && read.rate == 5);
    assert_true(read.domain.volumes[1].inode == block_base.inode);
    block_request_clear(&read);
    for (gsize cut = 0; cut < len; cut++) {
        block_request_decode(data, cut, &read);
        block_request_clear(&read);
    }
}

/* The number of volumes is that of the flags. */
static void block_request_with_other_volumes_is_refused(void **unused)
{
    CstHypervisorVolume volumes[2];

    for (guint i = 0; i < 3; i++) {
        BlockRequest request = block_request_sample(volumes), read = {0};
        g_autoptr(GBytes) packet = NULL;
        gsize len;
        const char *data;

        request.has_top = i == 1;
        if (i == 2)
            request.kind = CST_HYPERVISOR_JOB_KIND_LAST;
        packet = block_request_encode(&request);
        data = g_bytes_get_data(packet, &len);
        assert_int_equal(block_request_decode(data, len, &read), i == 0);
        block_request_clear(&read);
    }
}

static void block_answer_with_values_out_of_range_is_refused(void **unused)
{
    g_autofree char *text = g_strnfill(4097, 'x');

    for (guint i = 0; i < 8; i++) {
        BlockAnswer answer = {.type = BLOCK_STATUS, .done = 7, .total = G_MAXUINT64};
        g_autoptr(GBytes) packet = NULL;
        g_auto(BlockAnswer) read = {0};
        gboolean valid;

        answer.type = i == 1 ? BLOCK_MESSAGE_LAST : BLOCK_STATUS;
        answer.outcome = i == 2 ? PAUSE_OUTCOME_LAST : PAUSE_DONE;
        answer.state = i == 3 ? BLOCK_STATE_LAST : BLOCK_READY;
        answer.pivot = i == 4 ? CST_HYPERVISOR_PIVOT_LAST : CST_HYPERVISOR_PIVOTED;
        answer.message = i == 5 ? text : NULL;
        answer.naming = i == 6 ? PAUSE_OUTCOME_LAST : PAUSE_LOST;
        answer.naming_message = i == 7 ? text : (char *)"lost";
        answer.persistent_unknown = answer.named = TRUE;
        packet = block_answer_encode(&answer);
        valid =
            block_answer_decode(g_bytes_get_data(packet, NULL), g_bytes_get_size(packet), &read);
        assert_int_equal(valid, i == 0);
        if (valid)
            assert_true(read.named && read.naming == PAUSE_LOST &&
                        strcmp(read.naming_message, "lost") == 0);
        if (valid)
            assert_true(read.done == 7 && read.total == G_MAXUINT64 && read.state == BLOCK_READY &&
                        read.persistent_unknown && !read.persistent);
    }
}

static void block_command_of_another_length_is_refused(void **unused)
{
    static const char packet[32];
    BlockCommand command = BLOCK_END;
    uint64_t rate = 0;

    for (gsize len = 0; len <= sizeof(packet); len++)
        if (block_command_decode(packet, len, &command, &rate))
            assert_true(command == BLOCK_ASK && len == 16);
    assert_int_equal(command, BLOCK_ASK);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, block_setup, block_teardown)
    const struct CMUnitTest tests[] = {
        CASE(block_entry_is_read_as_it_was_written),
        CASE(damaged_block_entry_is_refused_and_kept),
        CASE(block_entry_of_another_user_is_refused),
        CASE(lock_without_a_block_entry_is_removed),
        CASE(block_request_is_decoded_as_it_was_encoded),
        CASE(block_request_with_other_volumes_is_refused),
        CASE(block_answer_with_values_out_of_range_is_refused),
        CASE(block_command_of_another_length_is_refused),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
