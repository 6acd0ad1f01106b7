/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The entry of a paused domain, and the packets of its processes. */
#include "../../../src/hypervisor/pause_entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>

#include "../../../src/hypervisor/pause_protocol.h"

#define UUID "c7a5fdbd-cdaf-9455-926a-d65c16db1809"

static char *directory;
static int entries_fd = -1;

static int directory_make(void **unused)
{
    g_autofree char *parent = g_dir_make_tmp("pause-XXXXXX", NULL);

    directory = g_build_filename(parent, "entries", NULL);
    entries_fd = domain_directory_open(directory, 0700, NULL);
    return entries_fd < 0;
}

static int directory_remove(void **unused)
{
    g_autofree char *parent = g_path_get_dirname(directory);
    const char *name;
    GDir *open = g_dir_open(directory, 0, NULL);

    while ((name = g_dir_read_name(open)))
        unlinkat(entries_fd, name, 0);
    g_dir_close(open);
    close(entries_fd);
    g_rmdir(directory);
    g_rmdir(parent);
    g_free(directory);
    return 0;
}

static PauseEntry entry_sample(void)
{
    return (PauseEntry){.domain = {.uri = (char *)"qemu:///system?socket=/a%20b",
                                   .uuid = (char *)UUID,
                                   .name = (char *)" web;1\n[pause]\nid=9",
                                   .id = 7,
                                   .late_until = G_GINT64_CONSTANT(12345678901)},
                        .step = PAUSE_ENTRY_RESUMING,
                        .suspended = TRUE};
}

static void entry_is_read_as_it_was_written(void **unused)
{
    const PauseEntry entry = entry_sample();
    g_auto(PauseEntry) read = {0};
    g_autofree char *path = g_build_filename(directory, UUID, NULL);
    GStatBuf st;

    assert_true(pause_entry_write(entries_fd, &entry, NULL));
    assert_true(pause_entry_write(entries_fd, &entry, NULL));
    assert_true(pause_entry_read(entries_fd, UUID, &read, NULL));
    assert_string_equal(read.domain.uri, entry.domain.uri);
    assert_string_equal(read.domain.name, entry.domain.name);
    assert_int_equal(read.domain.id, 7);
    assert_int_equal(read.step, PAUSE_ENTRY_RESUMING);
    assert_true(read.domain.late_until == entry.domain.late_until);
    assert_true(read.suspended && !read.thaw_owed);
    assert_int_equal(g_stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(g_stat(directory, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

/* Each line is needed: a truncated entry names no domain, or resumes too much. */
static void entry_without_a_line_is_damaged(void **unused)
{
    const PauseEntry entry = entry_sample();
    g_autofree char *path = g_build_filename(directory, UUID, NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    assert_true(pause_entry_write(entries_fd, &entry, NULL));
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(g_strchomp(text), "\n", -1);
    assert_int_equal(g_strv_length(lines), 10);
    for (guint i = 0; lines[i]; i++) {
        char *removed = lines[i];
        g_autofree char *damaged = NULL;
        g_auto(PauseEntry) read = {0};
        GError *error = NULL;

        lines[i] = (char *)"";
        damaged = g_strjoinv("\n", lines);
        lines[i] = removed;
        assert_true(g_file_set_contents_full(path, damaged, -1, 0, 0600, NULL));
        assert_false(pause_entry_read(entries_fd, UUID, &read, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
        g_error_free(error);
    }
}

static void entry_of_another_domain_is_damaged(void **unused)
{
    static const char *const other = "c7a5fdbd-cdaf-9455-926a-d65c16db1000";
    const PauseEntry entry = entry_sample();
    g_auto(PauseEntry) read = {0};

    assert_true(pause_entry_write(entries_fd, &entry, NULL));
    assert_int_equal(renameat(entries_fd, UUID, entries_fd, other), 0);
    assert_false(pause_entry_read(entries_fd, other, &read, NULL));
    pause_entry_clear(&read);
    assert_false(pause_entry_read(entries_fd, UUID, &read, NULL));
}

static void lock_is_exclusive_until_it_is_released(void **unused)
{
    int lock = domain_entry_lock(entries_fd, UUID, NULL), next;

    assert_true(lock >= 0);
    assert_true(domain_entry_holds(entries_fd, UUID, lock));
    assert_int_equal(domain_entry_lock(entries_fd, UUID, NULL), -1);
    next = dup(lock);
    domain_entry_unlock(entries_fd, UUID, lock);
    /* The copy of another process has no lock any more. */
    lock = domain_entry_lock(entries_fd, UUID, NULL);
    assert_true(lock >= 0);
    assert_false(domain_entry_holds(entries_fd, UUID, next));
    assert_true(domain_entry_holds(entries_fd, UUID, lock));
    close(next);
    domain_entry_unlock(entries_fd, UUID, lock);
}

static void directory_lists_each_domain_once(void **unused)
{
    static const char *const names[] = {UUID,         UUID ".new",
                                        UUID ".lock", UUID ".x",
                                        "README",     "C7A5FDBD-CDAF-9455-926A-D65C16DB1809"};
    g_autoptr(GPtrArray) uuids = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(directory, names[i], NULL);

        assert_true(g_file_set_contents(path, "", 0, NULL));
    }
    uuids = domain_directory_list(entries_fd);
    assert_int_equal(uuids->len, 1);
    assert_string_equal(uuids->pdata[0], UUID);
}

/* --- packets ---------------------------------------------------------------------------------- */

/* Sends an answer and decodes its first bytes. @len 0: all of them. */
static gboolean answer_pass(const PauseAnswer *sent, size_t len, PauseAnswer *ret_answer)
{
    g_autofree char *packet = g_malloc(PAUSE_PACKET_MAX);
    size_t received;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    assert_true(pause_answer_send(ends[0], sent));
    received = pause_packet_receive(ends[1], packet);
    close(ends[0]);
    assert_int_equal(pause_packet_receive(ends[1], packet + received), 0);
    close(ends[1]);
    return pause_answer_decode(packet, len ? len : received, ret_answer);
}

static void answer_with_a_value_out_of_range_is_malformed(void **unused)
{
    g_autofree char *text = g_strnfill(5000, 'x');
    const PauseAnswer cases[] = {
        {.outcome = PAUSE_OUTCOME_LAST},
        {.gap = PAUSE_GAP_LAST},
        {.agent = CST_DOMAIN_AGENT_LAST},
        {.paused_us = G_MAXUINT64},
        {.frozen_us = G_MAXUINT64},
        {.message = text},
        {.name = text},
        {.gap_message = text},
    };
    const PauseAnswer valid = {.outcome = PAUSE_FAILED, .name = (char *)"n", .id = 3};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(PauseAnswer) answer = {0};

        assert_false(answer_pass(&cases[i], 0, &answer));
    }
    for (size_t len = 0; len < 20; len++) {
        g_auto(PauseAnswer) answer = {0};

        assert_int_equal(answer_pass(&valid, len, &answer), len == 0);
    }
}

static gboolean request_pass(guint n_volumes, const char *uuid, size_t cut)
{
    g_autofree CstHypervisorVolume *volumes = g_new0(CstHypervisorVolume, n_volumes + 1);
    const PauseRequest sent = {.uri = (char *)"u",
                               .uuid = (char *)uuid,
                               .freeze = TRUE,
                               .volumes = volumes,
                               .n_volumes = n_volumes};
    g_autoptr(GBytes) packet = NULL;
    PauseRequest received = {0};
    gsize len;
    gconstpointer data;
    gboolean ok;

    volumes[0].inode = 5;
    packet = pause_request_encode(&sent);
    data = g_bytes_get_data(packet, &len);
    ok = pause_request_decode(data, len - cut, &received);
    if (ok) {
        assert_int_equal(received.n_volumes, n_volumes);
        assert_int_equal(received.volumes[0].inode, 5);
        assert_true(received.volumes[0].has_file);
    }
    pause_request_clear(&received);
    return ok;
}

static void request_needs_volumes_within_a_limit(void **unused)
{
    assert_true(request_pass(1, UUID, 0));
    assert_true(request_pass(PAUSE_VOLUMES_MAX, UUID, 0));
    assert_false(request_pass(0, UUID, 0));
    assert_false(request_pass(PAUSE_VOLUMES_MAX + 1, UUID, 0));
    assert_false(request_pass(1, UUID, 1));
}

static void limits_are_parsed_as_they_were_formatted(void **unused)
{
    g_autofree char *text = pause_limits_format(hypervisor_pause_limits);
    g_autofree char *longer = g_strconcat(text, ",1", NULL);
    unsigned limits[PAUSE_LIMIT_LAST];

    assert_true(pause_limits_parse(text, limits));
    assert_memory_equal(limits, hypervisor_pause_limits, sizeof(limits));
    assert_false(pause_limits_parse(longer, limits));
    assert_false(pause_limits_parse(strchr(text, ',') + 1, limits));
    assert_false(pause_limits_parse("", limits));
    text[0] = 'x';
    assert_false(pause_limits_parse(text, limits));
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, directory_make, directory_remove)
    const struct CMUnitTest tests[] = {
        CASE(entry_is_read_as_it_was_written),
        CASE(entry_without_a_line_is_damaged),
        CASE(entry_of_another_domain_is_damaged),
        CASE(lock_is_exclusive_until_it_is_released),
        CASE(directory_lists_each_domain_once),
        cmocka_unit_test(answer_with_a_value_out_of_range_is_malformed),
        cmocka_unit_test(request_needs_volumes_within_a_limit),
        cmocka_unit_test(limits_are_parsed_as_they_were_formatted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
