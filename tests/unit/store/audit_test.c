/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The audit trail: the chain, each kind of damage to its files, and the files that killed writers
 * leave.
 */
#include "audit_trail.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/file.h>
#include <base/log.h>
#include <store/audit.h>

#include "await.h"

gboolean __real_cst_flock_wait(int fd, const char *name, gint64 wait_us, const char *busy,
                               GError **error);
gboolean __wrap_cst_flock_wait(int fd, const char *name, gint64 wait_us, const char *busy,
                               GError **error);

/* A writer gives up after a second, which may pass on a machine under load. */
gboolean __wrap_cst_flock_wait(int fd, const char *name, gint64 wait_us, const char *busy,
                               GError **error)
{
    return __real_cst_flock_wait(fd, name, AWAIT_LIMIT_S * G_USEC_PER_SEC, busy, error);
}

static void assert_problem(const Scratch *s, const char *problem)
{
    g_auto(CstAuditState) state = {0};

    assert_int_equal(verify(s, NULL, &state), 1);
    assert_string_equal(state.problems->pdata[0], problem);
}

/* --- the chain -------------------------------------------------------------------------------- */

static void test_records_of_several_writers_make_one_chain(void **state)
{
    const Scratch *s = *state;

    append(s, 3);
    append(s, 2);
    assert_sound(s, 5);
    assert_int_equal(scratch_mode(s->paths->data_dir, "audit"), 0700);
    assert_int_equal(scratch_mode(s->paths->data_dir, "audit/head"), 0600);
    assert_int_equal(scratch_mode(s->paths->data_dir, "audit/00000001.jsonl"), 0600);
}

static void test_processes_that_append_at_the_same_time_make_one_chain(void **state)
{
    enum { PROCESSES = 4, RECORDS = 50 };

    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            append(*state, RECORDS);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_sound(*state, PROCESSES * RECORDS);
}

static void test_an_empty_trail_is_sound(void **state)
{
    assert_sound(*state, 0);
}

static void test_lines_are_returned_in_pages(void **state)
{
    const Scratch *s = *state;
    uint64_t position = 0;
    guint count = 0;

    append(s, 7);
    for (;;) {
        g_autoptr(GPtrArray) lines = cst_audit_lines(s->paths, &position, 3, NULL);

        assert_non_null(lines);
        assert_true(lines->len <= 3);
        if (lines->len == 0)
            break;
        for (guint i = 0; i < lines->len; i++) {
            g_autofree char *begin = g_strdup_printf("{\"seq\":%u,", ++count);

            assert_true(g_str_has_prefix(lines->pdata[i], begin));
        }
    }
    assert_int_equal(count, 7);
    append(s, 1);
    {
        g_autoptr(GPtrArray) lines = cst_audit_lines(s->paths, &position, 3, NULL);

        assert_int_equal(lines->len, 1);
    }
}

/* --- damage ----------------------------------------------------------------------------------- */

/* Removes line @index (from 0), or only changes a byte of it. */
static void damage(const Scratch *s, guint index, gboolean change)
{
    g_autofree char *text = trail_read(s, "00000001.jsonl");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GString) rest = g_string_new(NULL);

    for (guint i = 0; lines[i] && *lines[i]; i++) {
        if (i == index && change)
            *strstr(lines[i], "done") = 'D';
        if (i != index || change)
            g_string_append_printf(rest, "%s\n", lines[i]);
    }
    trail_write(s, "00000001.jsonl", rest->str, -1);
}

static void test_each_removed_line_is_found(void **state)
{
    const Scratch *s = *state;
    g_autofree char *whole = NULL;

    append(s, 5);
    whole = trail_read(s, "00000001.jsonl");
    for (guint i = 0; i < 5; i++) {
        g_autofree char *problem = g_strdup_printf("record %u is missing", i + 1);

        damage(s, i, FALSE);
        assert_problem(s, problem);
        trail_write(s, "00000001.jsonl", whole, -1);
    }
    assert_sound(s, 5);
}

static void test_each_changed_line_is_found(void **state)
{
    const Scratch *s = *state;
    g_autofree char *whole = NULL;

    append(s, 5);
    whole = trail_read(s, "00000001.jsonl");
    for (guint i = 0; i < 5; i++) {
        g_auto(CstAuditState) result = {0};

        damage(s, i, TRUE);
        assert_true(verify(s, NULL, &result) > 0);
        trail_write(s, "00000001.jsonl", whole, -1);
    }
}

static void test_a_line_with_a_new_hash_is_found_by_the_next_line(void **state)
{
    const Scratch *s = *state;
    g_autofree char *text = NULL;
    g_autofree char *old = NULL;
    g_autofree char *sum = NULL;
    char *hash, *end;

    append(s, 3);
    text = trail_read(s, "00000001.jsonl");
    *strstr(text, "done") = 'D';
    end = strchr(text, '\n');
    hash = end - 2 - CST_AUDIT_HASH;
    old = g_strndup(hash, CST_AUDIT_HASH);
    sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text,
                                      (gsize)(hash - text) - strlen(",\"hash\":\""));
    memcpy(hash, sum, CST_AUDIT_HASH);
    trail_write(s, "00000001.jsonl", text, -1);
    assert_problem(s, "record 2 does not continue record 1: one of them was replaced");
}

static void test_swapped_lines_are_found(void **state)
{
    const Scratch *s = *state;
    g_autofree char *text = NULL;
    g_autofree char *swapped = NULL;
    g_auto(GStrv) lines = NULL;
    g_auto(CstAuditState) result = {0};

    append(s, 3);
    text = trail_read(s, "00000001.jsonl");
    lines = g_strsplit(text, "\n", -1);
    swapped = g_strdup_printf("%s\n%s\n%s\n", lines[0], lines[2], lines[1]);
    trail_write(s, "00000001.jsonl", swapped, -1);
    assert_true(verify(s, NULL, &result) > 0);
}

/* "head" is changed to agree with the shorter file, which only an earlier head can disprove. */
static void test_removed_tail_with_a_changed_head_is_found_by_an_earlier_head(void **state)
{
    const Scratch *s = *state;
    g_auto(CstAuditState) before = {0}, after = {0}, other = {0};
    g_autofree char *two = NULL;
    g_autofree char *head = NULL;

    append(s, 2);
    two = trail_read(s, "00000001.jsonl");
    head = trail_read(s, "head");
    append(s, 1);
    assert_int_equal(verify(s, NULL, &before), 0);
    trail_write(s, "00000001.jsonl", two, -1);
    assert_problem(s, "record 3 is missing");
    trail_write(s, "head", head, -1);
    assert_int_equal(verify(s, NULL, &after), 0);
    assert_int_equal(verify(s, before.head, &other), 1);
}

static void test_missing_head_is_a_problem_until_the_next_record(void **state)
{
    const Scratch *s = *state;
    g_autofree char *path = trail_path(s, "head");

    append(s, 2);
    assert_int_equal(unlink(path), 0);
    assert_problem(s, "the file \"head\" is missing or damaged, so that removed records at the end "
                      "are not detected");
    append(s, 1);
    assert_sound(s, 3);
}

/* The next writer records the loss, and the numbers go on. */
static void test_removed_tail_stays_a_problem_after_the_next_record(void **state)
{
    const Scratch *s = *state;
    g_autofree char *two = NULL;
    g_autofree char *text = NULL;
    g_auto(CstAuditState) result = {0};

    append(s, 2);
    two = trail_read(s, "00000001.jsonl");
    append(s, 2);
    trail_write(s, "00000001.jsonl", two, -1);
    append(s, 1);
    assert_int_equal(verify(s, NULL, &result), 1);
    assert_string_equal(result.problems->pdata[0], "the records 3 to 4 are missing");
    assert_int_equal(result.last, 6);
    assert_int_equal(result.repairs, 1);
    text = trail_read(s, "00000001.jsonl");
    assert_non_null(strstr(text, "\"kind\":\"repair\",\"missing_from\":3,\"missing_to\":4"));
}

static void test_removed_file_is_a_problem_after_the_next_record(void **state)
{
    const Scratch *s = *state;
    g_autofree char *path = trail_path(s, "00000001.jsonl");
    g_auto(CstAuditState) result = {0};

    append(s, 2);
    assert_int_equal(unlink(path), 0);
    append(s, 1);
    assert_true(verify(s, NULL, &result) > 0);
    assert_int_equal(result.last, 4);
}

/* --- killed writers --------------------------------------------------------------------------- */

/* Every length of the last line that a killed writer can leave, with "head" of before. */
static void test_each_incomplete_line_is_ended_and_recorded(void **state)
{
    const Scratch *s = *state;
    g_autofree char *head = NULL;
    g_autofree char *two = NULL;
    g_autofree char *three = NULL;

    append(s, 2);
    head = trail_read(s, "head");
    two = trail_read(s, "00000001.jsonl");
    append(s, 1);
    three = trail_read(s, "00000001.jsonl");
    for (size_t len = strlen(two) + 1; len < strlen(three); len++) {
        g_auto(CstAuditState) result = {0};

        trail_write(s, "00000001.jsonl", three, (gssize)len);
        trail_write(s, "head", head, -1);
        append(s, 1);
        if (verify(s, NULL, &result) > 0)
            fail_msg("%zu: %s", len, (const char *)result.problems->pdata[0]);
        assert_int_equal(result.records, 4);
        /* A complete line that lacks only its line break is adopted. */
        assert_int_equal(result.repairs, len + 1 < strlen(three) ? 1 : 0);
    }
}

static void test_complete_line_of_a_killed_writer_is_adopted(void **state)
{
    const Scratch *s = *state;
    g_autofree char *head = NULL;
    g_auto(CstAuditState) result = {0};

    append(s, 2);
    head = trail_read(s, "head");
    append(s, 1);
    trail_write(s, "head", head, -1);
    append(s, 1);
    assert_int_equal(verify(s, NULL, &result), 0);
    assert_int_equal(result.records, 4);
    assert_int_equal(result.repairs, 0);
}

/* The bytes of a repaired line are protected by the hash in the record about them. */
static void test_changed_bytes_of_a_repaired_line_are_found(void **state)
{
    const Scratch *s = *state;
    g_autofree char *text = NULL;
    g_autofree char *longer = NULL;
    g_auto(CstAuditState) result = {0};

    append(s, 1);
    text = trail_read(s, "00000001.jsonl");
    longer = g_strconcat(text, "{\"seq\":2,\"broken", NULL);
    trail_write(s, "00000001.jsonl", longer, -1);
    append(s, 1);
    assert_sound(s, 3);
    g_free(text);
    text = trail_read(s, "00000001.jsonl");
    *strstr(text, "broken") = 'B';
    trail_write(s, "00000001.jsonl", text, -1);
    assert_int_equal(verify(s, NULL, &result), 1);
}

/* Returns the number of the last record by the file "head", which a writer may be changing. */
static uint64_t trail_last(const Scratch *s)
{
    g_autofree char *path = trail_path(s, "head");
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    return g_ascii_strtoull(text, NULL, 10);
}

/* Kills a writer many times, each time after some more records. */
static void test_a_killed_writer_leaves_a_sound_trail(void **state)
{
    const Scratch *s = *state;
    g_autofree char *second = trail_path(s, "00000002.jsonl");
    g_auto(CstAuditState) result = {0};

    for (guint i = 0; i < 20; i++) {
        uint64_t until = trail_last(s) + 1 + i * 8;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            append(s, 100000);
            _exit(0);
        }
        AWAIT_STATE(trail_last(s) >= until, "%" PRIu64 " records of %" PRIu64, trail_last(s),
                    until);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
    append(s, 1);
    if (verify(s, NULL, &result) > 0)
        fail_msg("%s", (const char *)result.problems->pdata[0]);
    assert_true(result.records > 20);
    /* Some writers have rotated. */
    assert_true(g_file_test(second, G_FILE_TEST_EXISTS));
}

/* --- full disks and rotation ------------------------------------------------------------------ */

/* The file size limit of a process acts like a full disk. */
static void test_records_that_cannot_be_written_are_counted(void **state)
{
    const Scratch *s = *state;
    CstAudit *audit = cst_audit_new(s->paths, NO_JOURNAL);
    struct rlimit full, before;
    g_autofree char *text = NULL;

    signal(SIGXFSZ, SIG_IGN);
    cst_audit_append(audit, MEMBERS, NULL, 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    full = before;
    full.rlim_cur = 400; /* a part of the next line fits */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    cst_audit_append(audit, MEMBERS, NULL, 0);
    cst_audit_append(audit, MEMBERS, NULL, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    cst_audit_append(audit, MEMBERS, NULL, 0);
    cst_audit_append(audit, MEMBERS, NULL, 0);
    cst_audit_free(audit);
    assert_sound(s, 3);
    text = trail_read(s, "00000001.jsonl");
    assert_non_null(strstr(text, "\"lost\":2"));
    assert_null(strstr(strstr(text, "\"lost\":2") + 1, "\"lost\""));
}

static void test_oldest_files_are_removed(void **state)
{
    const Scratch *s = *state;
    CstAudit *audit = cst_audit_new(s->paths, NO_JOURNAL);
    g_autofree char *large = g_strnfill(20000, 'x');
    g_autofree char *members = g_strdup_printf("\"kind\":\"call\",\"x\":\"%s\"", large);
    g_autofree char *first = trail_path(s, "00000001.jsonl");
    g_auto(CstAuditState) result = {0};
    g_autoptr(GDir) dir = NULL;
    g_autofree char *path = trail_path(s, "");
    uint64_t bytes = 0;
    const char *name;

    cst_audit_set_limit(audit, 1);
    for (guint i = 0; i < 400; i++)
        cst_audit_append(audit, members, NULL, 0);
    cst_audit_free(audit);
    if (verify(s, NULL, &result) > 0)
        fail_msg("%s", (const char *)result.problems->pdata[0]);
    assert_true(result.first > 1);
    assert_false(g_file_test(first, G_FILE_TEST_EXISTS));
    dir = g_dir_open(path, 0, NULL);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = trail_path(s, name);
        struct stat st;

        assert_int_equal(stat(file, &st), 0);
        bytes += (uint64_t)st.st_size;
    }
    assert_true(bytes <= 10u * 10u * 32768u + 1000u);
    /* An administrator's removal of the oldest file is no rotation. */
    g_free(path);
    for (guint i = 1;; i++) {
        g_autofree char *number = g_strdup_printf("%08u.jsonl", i);

        path = trail_path(s, number);
        if (unlink(path) == 0)
            break;
        g_clear_pointer(&path, g_free);
    }
    cst_audit_state_clear(&result);
    assert_int_equal(verify(s, NULL, &result), 1);
}

/* "head" names the new file, which has no record yet (@records 0), or its first one. */
static void check_killed_rotation(const Scratch *s, guint records)
{
    CstAudit *audit = cst_audit_new(s->paths, NO_JOURNAL);
    g_autofree char *large = g_strnfill(20000, 'x');
    g_autofree char *members = g_strdup_printf("\"kind\":\"call\",\"x\":\"%s\"", large);
    g_autofree char *second = trail_path(s, "00000002.jsonl");
    g_autofree char *head = NULL;
    g_autofree char *text = NULL;
    g_auto(CstAuditState) result = {0};

    cst_audit_set_limit(audit, 1);
    cst_audit_append(audit, members, NULL, 0);
    do {
        g_free(head);
        head = trail_read(s, "head");
        cst_audit_append(audit, members, NULL, 0);
    } while (!g_file_test(second, G_FILE_TEST_EXISTS));
    cst_audit_free(audit);
    text = trail_read(s, "00000002.jsonl");
    trail_write(s, "00000002.jsonl", text, records ? strchr(text, '\n') + 1 - text : 0);
    /* The number of the last record, the file, its size, and the hash of the record. */
    memcpy(head + 21, "00000002 000000000000", 21);
    trail_write(s, "head", head, -1);
    append(s, 1);
    if (verify(s, NULL, &result) > 0)
        fail_msg("%s", (const char *)result.problems->pdata[0]);
    assert_int_equal(result.repairs, 0);
    assert_true(g_str_has_prefix(head, "000000000000000000"));
    assert_int_equal(result.last, g_ascii_strtoull(head, NULL, 10) + records + 1);
}

static void test_a_rotation_that_was_killed_is_completed(void **state)
{
    check_killed_rotation(*state, 0);
}

static void test_the_first_record_of_a_killed_rotation_is_adopted(void **state)
{
    check_killed_rotation(*state, 1);
}

static void test_removed_file_in_the_middle_is_found(void **state)
{
    const Scratch *s = *state;
    CstAudit *audit = cst_audit_new(s->paths, NO_JOURNAL);
    g_autofree char *large = g_strnfill(20000, 'x');
    g_autofree char *members = g_strdup_printf("\"kind\":\"call\",\"x\":\"%s\"", large);
    g_autofree char *second = trail_path(s, "00000002.jsonl");
    g_auto(CstAuditState) result = {0};

    cst_audit_set_limit(audit, 1);
    for (guint i = 0; i < 60; i++)
        cst_audit_append(audit, members, NULL, 0);
    cst_audit_free(audit);
    assert_int_equal(verify(s, NULL, &result), 0);
    cst_audit_state_clear(&result);
    assert_int_equal(unlink(second), 0);
    assert_int_equal(verify(s, NULL, &result), 1);
}

/* --- the journal ------------------------------------------------------------------------------ */

static void test_the_journal_gets_each_record(void **state)
{
    const Scratch *s = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const CstAuditField fields[] = {{"POOL", "p\nFORGED=1"}, {"VOLUME", NULL}};
    char packet[4096] = "";
    CstAudit *audit;

    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/journal", s->root);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    audit = cst_audit_new(s->paths, address.sun_path);
    cst_audit_append(audit, MEMBERS, fields, G_N_ELEMENTS(fields));
    assert_true(recv(fd, packet, sizeof(packet) - 1, MSG_DONTWAIT) > 0);
    assert_non_null(strstr(packet, "MESSAGE={" MEMBERS "}\n"));
    assert_non_null(strstr(packet, "\nCISTERN_AUDIT=1\n"));
    assert_non_null(strstr(packet, "\nCISTERN_AUDIT_SEQ=1\n"));
    assert_non_null(strstr(packet, "\nPOOL=p FORGED=1\n"));
    assert_null(strstr(packet, "VOLUME="));
    /* The queue of a journal that does not read is full after some records. */
    for (guint i = 0; i < 2000; i++)
        cst_audit_append(audit, MEMBERS, fields, G_N_ELEMENTS(fields));
    cst_audit_free(audit);
    close(fd);
    assert_sound(s, 2001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(test_records_of_several_writers_make_one_chain),
        scratch_test(test_processes_that_append_at_the_same_time_make_one_chain),
        scratch_test(test_an_empty_trail_is_sound),
        scratch_test(test_lines_are_returned_in_pages),
        scratch_test(test_each_removed_line_is_found),
        scratch_test(test_each_changed_line_is_found),
        scratch_test(test_a_line_with_a_new_hash_is_found_by_the_next_line),
        scratch_test(test_swapped_lines_are_found),
        scratch_test(test_removed_tail_with_a_changed_head_is_found_by_an_earlier_head),
        scratch_test(test_missing_head_is_a_problem_until_the_next_record),
        scratch_test(test_removed_tail_stays_a_problem_after_the_next_record),
        scratch_test(test_removed_file_is_a_problem_after_the_next_record),
        scratch_test(test_each_incomplete_line_is_ended_and_recorded),
        scratch_test(test_complete_line_of_a_killed_writer_is_adopted),
        scratch_test(test_changed_bytes_of_a_repaired_line_are_found),
        scratch_test(test_a_killed_writer_leaves_a_sound_trail),
        scratch_test(test_records_that_cannot_be_written_are_counted),
        scratch_test(test_oldest_files_are_removed),
        scratch_test(test_a_rotation_that_was_killed_is_completed),
        scratch_test(test_the_first_record_of_a_killed_rotation_is_adopted),
        scratch_test(test_removed_file_in_the_middle_is_found),
        scratch_test(test_the_journal_gets_each_record),
    };

    cst_log_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
