/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_conn.h"
#include "fake_secret.h"
#include "session.h"

#define A "aaaaaaaa-0000-0000-0000-00000000000a"
#define B "bbbbbbbb-0000-0000-0000-00000000000b"

static char *directory;

static int setup(void **state)
{
    directory = g_dir_make_tmp("cst-XXXXXX", NULL);
    assert_non_null(directory);
    session_setup(state);
    fake_secrets_add(B, CST_SECRET_NONE, NULL);
    fake_secrets_add(A, CST_SECRET_CEPH, "client.libvirt");
    return 0;
}

static int teardown(void **state)
{
    g_autofree char *file = g_build_filename(directory, "f", NULL);

    g_unlink(file);
    g_rmdir(directory);
    g_clear_pointer(&directory, g_free);
    fake_secrets_clear();
    return session_teardown(state);
}

/** A file with @content, and @line with its path in place of FILE. */
static char *with_file(const char *line, const char *content, gssize len)
{
    g_autofree char *path = g_build_filename(directory, "f", NULL);
    g_auto(GStrv) parts = g_strsplit(line, "FILE", -1);

    assert_true(g_file_set_contents(path, content, len, NULL));
    return g_strjoinv(path, parts);
}

static void value_is(guint index, const char *want)
{
    const FakeSecret *secret = g_ptr_array_index(fake_secrets.secrets, index);
    gsize len;
    const char *data = g_bytes_get_data(secret->value, &len);

    assert_int_equal(len, strlen(want));
    assert_memory_equal(data, want, len);
}

/* --- list, define, dumpxml, undefine --------------------------------------------------------- */

static void list_is_sorted_by_uuid(void **state)
{
    says(state, "secret-list", CST_EXIT_OK,
         " UUID                                   Usage\n"
         "-------------------------------------------------------------\n"
         " " A "   ceph client.libvirt\n"
         " " B "   Unused\n\n",
         "");
    says(state, "secret-list --json", CST_EXIT_OK,
         "{\"schema\":1,\"secrets\":["
         "{\"uuid\":\"" A "\",\"usage\":\"ceph client.libvirt\",\"usage_type\":\"ceph\","
         "\"usage_id\":\"client.libvirt\"},"
         "{\"uuid\":\"" B "\",\"usage\":null,\"usage_type\":null,\"usage_id\":null}]}\n",
         "");
}

static void list_passes_its_filters_on(void **state)
{
    static const char *const options[] = {"ephemeral", "no-ephemeral", "private", "no-private"};

    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autofree char *line = g_strdup_printf("secret-list --%s", options[i]);

        session_run(*state, line);
        assert_int_equal(fake_secrets.last_flags, 1 << i);
    }
}

static void define_prints_the_uuid(void **state)
{
    g_autofree char *define = with_file("secret-define FILE --validate", "<secret/>", -1);
    g_autofree char *plan = with_file("secret-define --dry-run FILE", "<secret/>", -1);
    Session *session = *state;

    session_run(session, plan);
    assert_int_equal(fake_secrets.changes, 0);
    says(state, define, CST_EXIT_OK, "Secret " B " created\n\n", "");
    assert_string_equal(fake_secrets.last_xml, "<secret/>");
    assert_int_equal(fake_secrets.last_flags, CST_SECRET_DEFINE_VALIDATE);
    says(state, "secret-define /nonexistent", CST_EXIT_NOT_FOUND, "\n",
         "error: Failed to open file '/nonexistent': No such file or directory\n");
}

static void dumpxml_and_undefine(void **state)
{
    says(state, "secret-dumpxml " A, CST_EXIT_OK,
         "<secret>\n  <usage type='client.libvirt'/>\n</secret>\n\n", "");
    says(state, "secret-undefine " A " --dry-run", CST_EXIT_OK, "Would delete secret " A "\n\n",
         "");
    says(state, "secret-undefine " A, CST_EXIT_OK, "Secret " A " deleted\n\n", "");
    assert_int_equal(fake_secrets.changes, 1);
    fake_secrets.fail = TRUE;
    says(state, "secret-undefine " A, CST_EXIT_DENIED, "\n",
         "error: Failed to delete secret " A "\nerror: operation forbidden: no\n");
}

static void missing_secret_is_reported_with_the_text_of_virsh(void **state)
{
    says(state, "secret-dumpxml cccccccc-0000-0000-0000-00000000000c", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get secret 'cccccccc-0000-0000-0000-00000000000c'\n"
         "error: Secret not found: no secret with matching uuid "
         "'cccccccc-0000-0000-0000-00000000000c'\n");
    says(state, "secret-undefine mine", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get secret 'mine'\n"
         "error: 'mine' is not a UUID; `cistern secret-list` shows the UUIDs of the secrets\n");
}

/* --- values ---------------------------------------------------------------------------------- */

static void value_on_the_command_line_is_accepted_with_a_warning(void **state)
{
    const char *warning = "error: Passing secret value as command-line argument is insecure!\n";

    says(state, "secret-set-value " A " SGVsbG8=", CST_EXIT_OK, "Secret value set\n\n", warning);
    value_is(1, "Hello");
    says(state, "secret-set-value " A " --base64 SGkK", CST_EXIT_OK, "Secret value set\n\n",
         warning);
    value_is(1, "Hi\n");
    says(state, "secret-set-value " A " '!!!'", CST_EXIT_USAGE, "\n",
         "error: Passing secret value as command-line argument is insecure!\n"
         "error: Failed to set secret value\n"
         "error: value in virSecretSetValue must not be NULL\n");
    value_is(1, "Hi\n");
}

static void a_file_holds_base64_or_the_bytes_themselves(void **state)
{
    g_autofree char *line = with_file("secret-set-value " A " --file FILE", "SGVs\nbG8=\n", -1);
    g_autofree char *plain =
        with_file("secret-set-value --plain --file FILE " B, "SGVs\nbG8=\n", -1);

    says(state, line, CST_EXIT_OK, "Secret value set\n\n", "");
    value_is(1, "Hello");
    says(state, plain, CST_EXIT_OK, "Secret value set\n\n", "");
    value_is(0, "SGVs\nbG8=\n");
}

static void a_file_without_end_is_refused(void **state)
{
    says(state, "secret-set-value " A " --file /dev/zero", CST_EXIT_FAILED, "\n",
         "error: Failed to read file '/dev/zero': Value too large for defined data type\n");
    says(state, "secret-set-value " A " --file /nonexistent", CST_EXIT_NOT_FOUND, "\n",
         "error: Failed to open file '/nonexistent': No such file or directory\n");
    assert_int_equal(fake_secrets.changes, 0);
}

static void sources_of_a_value_exclude_each_other(void **state)
{
    static const char *const pairs[][3] = {{"--file f --base64 x", "file", "base64"},
                                           {"--plain --base64 x", "plain", "base64"},
                                           {"--interactive x", "interactive", "base64"},
                                           {"--plain --interactive", "interactive", "plain"},
                                           {"--file f --interactive", "interactive", "file"}};

    for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree char *line = g_strdup_printf("secret-set-value " A " %s", pairs[i][0]);
        g_autofree char *err = g_strdup_printf(
            "error: Options --%s and --%s are mutually exclusive\n", pairs[i][1], pairs[i][2]);

        says(state, line, CST_EXIT_USAGE, "\n", err);
    }
    says(state, "secret-set-value " A, CST_EXIT_USAGE, "\n",
         "error: Input secret value is missing\n");
}

/** Runs @line without a terminal and with @input on stdin. */
static void with_stdin(Session *session, const char *line, const char *input)
{
    g_autofree char *path = g_build_filename(directory, "f", NULL);
    int saved = dup(STDIN_FILENO);
    int fd;

    assert_true(g_file_set_contents(path, input, -1, NULL));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && saved >= 0);
    dup2(fd, STDIN_FILENO);
    session_run(session, line);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(fd);
}

static void without_a_terminal_the_prompt_reads_stdin(void **state)
{
    Session *session = *state;
    int tty = open("/dev/tty", O_RDONLY | O_CLOEXEC);

    if (tty >= 0) {
        close(tty);
        skip();
    }
    with_stdin(session, "secret-set-value " A " --interactive", "a word\nmore\n");
    assert_string_equal(session->out, "Enter new value for secret:Secret value set\n\n");
    value_is(1, "a word");
    with_stdin(session, "secret-set-value " A " --interactive", "");
    assert_string_equal(session->err, "error: Failed to read secret\n");
    assert_int_equal(session->status, CST_EXIT_FAILED);
}

static void values_are_shown_in_base64_or_plain(void **state)
{
    says(state, "secret-get-value " A, CST_EXIT_NOT_FOUND, "\n",
         "error: Secret not found: secret '" A "' does not have a value\n");
    session_run(*state, "secret-set-value " A " SGVsbG8=");
    says(state, "secret-get-value " A, CST_EXIT_OK, "SGVsbG8=\n", "");
    says(state, "secret-get-value " A " --plain", CST_EXIT_OK, "Hello\n", "");
    says(state, "secret-get-value " A " --plain --json", CST_EXIT_OK,
         "{\"schema\":1,\"base64\":\"SGVsbG8=\"}\n", "");
}

/* --- rotation --------------------------------------------------------------------------------- */

#define KEY     "AQB6+iFpb1mmLRAAThcBt9Lqh1xF0Fvu7QkrYg=="
#define ROTATED "Secret " A " rotated; its new value was proved on: a, b\n\n"

static char *text_of_value(guint index)
{
    const FakeSecret *secret = g_ptr_array_index(fake_secrets.secrets, index);
    gsize len;
    const guchar *data = g_bytes_get_data(secret->value, &len);

    return g_base64_encode(data, len);
}

static void a_rotation_reads_a_value_as_its_server_prints_it(void **state)
{
    g_autofree char *line =
        with_file("secret-rotate " A " --file FILE --active --wait 7", KEY "\n", -1);
    g_autofree char *plan = g_strconcat(line, " --dry-run", NULL);
    g_autofree char *value = NULL;

    says(state, plan, CST_EXIT_OK, "Would rotate secret " A "\n\n", "");
    says(state, line, CST_EXIT_OK, ROTATED, "");
    value = text_of_value(1);
    assert_string_equal(value, KEY);
    assert_int_equal(fake_secrets.last_flags, CST_CONN_ROTATE_ACTIVE);
    assert_int_equal(fake_secrets.last_wait, 7);
    assert_null(fake_secrets.last_admin);
    fake_secrets.fail = TRUE;
    says(state, line, CST_EXIT_DENIED, "\n",
         "error: Failed to rotate secret " A "\nerror: operation forbidden: no\n");
}

static void keyring_of_an_administrator_is_read_by_the_client(void **state)
{
    static const char keyring[] = "[client.admin]\n\tkey = " KEY "\n[client.x]\n\tkey = " KEY "\n";
    g_autofree char *line =
        with_file("secret-rotate " A " --generate --admin-keyring FILE", keyring, -1);
    g_autofree char *as_x = g_strconcat(line, " --admin-id client.x", NULL);
    g_autofree char *as_y = g_strconcat(line, " --admin-id y", NULL);

    says(state, line, CST_EXIT_OK, ROTATED, "");
    assert_string_equal(fake_secrets.last_admin, "admin 28");
    says(state, as_x, CST_EXIT_OK, ROTATED, "");
    assert_string_equal(fake_secrets.last_admin, "x 28");
    session_run(*state, as_y);
    assert_int_equal(fake_secrets.changes, 2);
}

/* The user gives the value to the server later, within the wait. */
static void a_generated_value_is_kept_for_the_server(void **state)
{
    g_autofree char *path = g_build_filename(directory, "f", NULL);
    g_autofree char *line =
        g_strdup_printf("secret-rotate " A " --generate --save %s --wait 60", path);
    g_autofree char *plan = g_strconcat(line, " --dry-run", NULL);
    g_autofree char *value = NULL, *text = NULL, *expected = NULL;
    GStatBuf st;

    session_run(*state, plan);
    assert_int_not_equal(access(path, F_OK), 0);
    says(state, line, CST_EXIT_OK, ROTATED, "");
    value = text_of_value(1);
    expected = g_strconcat(value, "\n", NULL);
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_string_equal(text, expected);
    assert_int_equal(g_stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    /* An existing file is not replaced. */
    session_run(*state, line);
    assert_int_equal(fake_secrets.changes, 1);
}

static void contradictory_options_of_a_rotation_are_refused(void **state)
{
    static const char *const lines[] = {
        "secret-rotate " A " --file x --stdin",
        "secret-rotate " A " --file x --generate",
        "secret-rotate " A " --stdin --generate",
        "secret-rotate " A " --generate",
        "secret-rotate " A " --generate --wait 5",
        "secret-rotate " A " --generate --save /nonexistent/x",
        "secret-rotate " A " --stdin --save /nonexistent/x",
        "secret-rotate " A " --stdin --admin-id x",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        Session *session = *state;

        session_run(session, lines[i]);
        if (session->status == CST_EXIT_OK || !strstr(session->err, "error: "))
            fail_msg("%s", lines[i]);
    }
    says(state, "secret-rotate " B " --stdin", CST_EXIT_FAILED, "\n",
         "error: Operation not supported: a secret of usage 'none' "
         "cannot be rotated, because pools log in only with usages 'ceph' and 'iscsi'; "
         "see secret-set-value\n");
    assert_int_equal(fake_secrets.changes, 0);
}

/* --- events ---------------------------------------------------------------------------------- */

static void events_name_their_secret(void **state)
{
    says(state, "secret-event --list", CST_EXIT_OK, "lifecycle\nvalue-changed\n\n", "");
    says(state, "secret-event", CST_EXIT_USAGE, "\n",
         "error: either --list or --event <type> is required\n");
    says(state, "secret-event --event x", CST_EXIT_USAGE, "\n", "error: unknown event type x\n");
    says(state, "secret-event --event lifecycle --secret mine", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get secret 'mine'\n"
         "error: 'mine' is not a UUID; `cistern secret-list` shows the UUIDs of the secrets\n");
    says(state, "secret-event --event value-changed --secret " A, CST_EXIT_OK,
         "event 'value-changed' for secret " A "\nevents received: 1\n\n", "");
    says(state, "secret-event --event lifecycle --secret " B, CST_EXIT_OK,
         "event 'lifecycle' for secret " B ": Undefined\nevents received: 1\n\n", "");
}

#define SECRET_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SECRET_TEST(list_is_sorted_by_uuid),
        SECRET_TEST(list_passes_its_filters_on),
        SECRET_TEST(define_prints_the_uuid),
        SECRET_TEST(dumpxml_and_undefine),
        SECRET_TEST(missing_secret_is_reported_with_the_text_of_virsh),
        SECRET_TEST(value_on_the_command_line_is_accepted_with_a_warning),
        SECRET_TEST(a_file_holds_base64_or_the_bytes_themselves),
        SECRET_TEST(a_file_without_end_is_refused),
        SECRET_TEST(sources_of_a_value_exclude_each_other),
        SECRET_TEST(without_a_terminal_the_prompt_reads_stdin),
        SECRET_TEST(values_are_shown_in_base64_or_plain),
        SECRET_TEST(a_rotation_reads_a_value_as_its_server_prints_it),
        SECRET_TEST(keyring_of_an_administrator_is_read_by_the_client),
        SECRET_TEST(a_generated_value_is_kept_for_the_server),
        SECRET_TEST(contradictory_options_of_a_rotation_are_refused),
        SECRET_TEST(events_name_their_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
