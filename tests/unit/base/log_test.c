/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/log.h>
#include <base/log_context.h>

#define TIME "^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{3}[+-]\\d{4}: "

/*
 * --- journald, as GLib detects it ----------------------------------------------------------------
 */

static gboolean is_journald;  /* whether stderr is the journal */
static gboolean is_reachable; /* the journal's socket */
static GString *entry;        /* the last one, "KEY=value;…" */

gboolean __wrap_g_log_writer_is_journald(int fd);
GLogWriterOutput __wrap_g_log_writer_journald(GLogLevelFlags level, const GLogField *fields,
                                              gsize count, gpointer data);

gboolean __wrap_g_log_writer_is_journald(int fd)
{
    assert_int_equal(fd, STDERR_FILENO);
    return is_journald;
}

GLogWriterOutput __wrap_g_log_writer_journald(GLogLevelFlags level, const GLogField *fields,
                                              gsize count, gpointer data)
{
    g_string_truncate(entry, 0);
    for (gsize i = 0; i < count; i++) {
        assert_int_equal(fields[i].length, -1);
        g_string_append_printf(entry, "%s=%s;", fields[i].key, (const char *)fields[i].value);
    }
    return is_reachable ? G_LOG_WRITER_HANDLED : G_LOG_WRITER_UNHANDLED;
}

/* --- stderr ----------------------------------------------------------------------------------- */

static char *file;
static int saved;

/* Redirects stderr to a file. @stream: JOURNAL_STREAM names it as the journal. */
static void begin(gboolean stream)
{
    int fd = g_file_open_tmp("log-XXXXXX", &file, NULL);
    g_autofree char *text = NULL;
    struct stat st = {0};

    saved = dup(STDERR_FILENO);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    text = g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    g_setenv("JOURNAL_STREAM", stream ? text : "1:1", TRUE);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

/* Ends the redirection and returns the written text. */
static char *end(void)
{
    char *text = NULL;

    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_true(g_file_get_contents(file, &text, NULL, NULL));
    g_unlink(file);
    g_clear_pointer(&file, g_free);
    return text;
}

/* Asserts that the text is one line: the time, and then @expected. */
static void assert_line(const char *expected)
{
    g_autofree char *text = end();
    g_autofree char *literal = g_regex_escape_string(expected, -1);
    g_autofree char *pattern = g_strconcat(TIME, literal, "\\n$", NULL);

    if (!g_regex_match_simple(pattern, text, 0, 0))
        assert_string_equal(text, expected);
}

static int set_up(void **state)
{
    is_journald = FALSE;
    is_reachable = TRUE;
    entry = g_string_new(NULL);
    cst_log_set_level(CST_LOG_WARNING);
    g_unsetenv("G_MESSAGES_DEBUG");
    return 0;
}

static int tear_down(void **state)
{
    g_string_free(entry, TRUE);
    return 0;
}

/* --- lines ------------------------------------------------------------------------------------ */

static void people_get_time_and_level_by_name(void **state)
{
    static const struct {
        CstLogLevel level;
        const char *word;
    } levels[] = {{CST_LOG_ERROR, "error"},
                  {CST_LOG_WARNING, "warning"},
                  {CST_LOG_INFO, "info"},
                  {CST_LOG_DEBUG, "debug"}};

    cst_log_set_level(CST_LOG_DEBUG);
    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
        g_autofree char *expected = g_strdup_printf("%s: text 7", levels[i].word);

        begin(FALSE);
        cst_log(levels[i].level, "text %d", 7);
        assert_line(expected);
    }
}

static void unprintable_bytes_of_a_log_message_are_escaped(void **state)
{
    begin(FALSE);
    cst_log(CST_LOG_WARNING, "%s", "a\nb\r\x1b[31m \x7f \xc3\xa9 \xe2\x82\xac \xff \xe2\x82");
    assert_line("warning: a\\x0ab\\x0d\\x1b[31m \\x7f \xc3\xa9 \xe2\x82\xac \\xff \\xe2\\x82");
    /* A control character of Latin-1, and one that changes the direction of writing. */
    begin(FALSE);
    cst_log(CST_LOG_WARNING, "%s", "\xc2\x9b \xe2\x80\xae");
    assert_line("warning: \\xc2\\x9b \\xe2\\x80\\xae");
    begin(FALSE);
    cst_log(CST_LOG_WARNING, "%s", "");
    assert_line("warning: ");
}

static int evaluated;

static int evaluate(void)
{
    return ++evaluated;
}

static void message_below_the_level_is_not_evaluated(void **state)
{
    static const CstLogLevel levels[] = {CST_LOG_ERROR, CST_LOG_WARNING, CST_LOG_INFO,
                                         CST_LOG_DEBUG};

    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
        g_autofree char *text = NULL;

        cst_log_set_level(levels[i]);
        evaluated = 0;
        begin(FALSE);
        for (size_t j = 0; j < G_N_ELEMENTS(levels); j++) {
            assert_int_equal(cst_log_enabled(levels[j]), j <= i);
            cst_log(levels[j], "%d", evaluate());
        }
        text = end();
        assert_int_equal(evaluated, i + 1);
        for (char *p = text; (p = strchr(p, '\n')); p++)
            evaluated--;
        assert_int_equal(evaluated, 0);
    }
}

/*
 * Messages of libraries that log with GLib: the important levels, with the library's name and
 * without control characters.
 */
static void libraries_messages_are_lines_as_well(void **state)
{
    begin(FALSE);
    g_log_structured("Lib", G_LOG_LEVEL_WARNING, "MESSAGE", "odd\n%d", 1);
    assert_line("warning: Lib: odd\\x0a1");
    begin(FALSE);
    g_log("Lib", G_LOG_LEVEL_MESSAGE, "old");
    assert_line("info: Lib: old");
    cst_log_set_level(CST_LOG_DEBUG);
    begin(FALSE);
    g_log_structured("Lib", G_LOG_LEVEL_DEBUG, "MESSAGE", "chatter");
    g_log("Lib", G_LOG_LEVEL_CRITICAL, "last");
    assert_line("error: Lib: last");
}

/* --- contexts --------------------------------------------------------------------------------- */

static void a_request_is_in_brackets(void **state)
{
    CstLogContext nothing = {.procedure = "p"};
    CstLogContext context = {.connection = 12, .serial = 7};

    cst_log_push(&nothing);
    begin(FALSE);
    cst_log(CST_LOG_WARNING, "text");
    assert_line("warning: text");
    cst_log_push(&context);
    begin(FALSE);
    cst_log(CST_LOG_WARNING, "text");
    assert_line("warning: [12.7] text");
    cst_log_pop(&context);
    begin(FALSE);
    cst_log(CST_LOG_WARNING, "text");
    assert_line("warning: text");
    cst_log_pop(&nothing);
    assert_null(cst_log_context());
}

static gpointer other_thread(gpointer copy)
{
    assert_null(cst_log_context());
    cst_log_push(copy);
    assert_ptr_equal(cst_log_context(), copy);
    cst_log_set_volume("theirs");
    cst_log_pop(copy);
    assert_null(cst_log_context());
    return NULL;
}

static void another_thread_has_a_copy(void **state)
{
    CstTask *task = cst_task_new();
    CstLogContext context = {.connection = 3, .serial = 9, .procedure = "p", .task = task};
    CstLogContext copy;

    cst_log_context_copy(&copy);
    assert_int_equal(copy.connection, 0);
    assert_null(copy.task);
    cst_log_push(&context);
    cst_log_set_pool("pool");
    cst_log_set_volume("mine");
    cst_log_context_copy(&copy);
    cst_task_set_job(task, 5);
    g_thread_join(g_thread_new("other", other_thread, &copy));
    assert_string_equal(cst_log_context()->volume, "mine");
    cst_log_pop(&context);
    assert_int_equal(copy.connection, 3);
    assert_int_equal(copy.serial, 9);
    assert_string_equal(copy.procedure, "p");
    assert_string_equal(copy.pool, "pool");
    assert_string_equal(copy.volume, "theirs");
    assert_int_equal(cst_task_job(copy.task), 5);
    cst_log_context_clear(&copy);
    assert_null(copy.task);
    /* The copy's reference was its own. */
    assert_int_equal(cst_task_job(task), 5);
    cst_task_unref(task);
}

static void names_without_a_context_are_nobodys(void **state)
{
    cst_log_set_pool("pool");
    cst_log_set_volume("volume");
    assert_null(cst_log_context());
}

/* --- the journal ------------------------------------------------------------------------------ */

static void the_journal_gets_fields(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    CstLogContext context = {.connection = 12,
                             .serial = 7,
                             .pid = 345,
                             .uid = 1000,
                             .procedure = "virStorageVolCreateXML",
                             .task = task};
    g_autofree char *text = NULL;

    is_journald = TRUE;
    begin(TRUE);
    cst_log(CST_LOG_ERROR, "a\nb %d", 1);
    assert_string_equal(entry->str,
                        "PRIORITY=3;MESSAGE=a\\x0ab 1;CODE_FUNC=the_journal_gets_fields;"
                        "GLIB_DOMAIN=cistern;SYSLOG_IDENTIFIER=log-test;");
    cst_task_set_job(task, 42);
    cst_log_push(&context);
    cst_log_set_pool("p");
    cst_log_set_volume("v w");
    cst_log(CST_LOG_WARNING, "x");
    assert_string_equal(entry->str,
                        "PRIORITY=4;MESSAGE=x;CODE_FUNC=the_journal_gets_fields;"
                        "GLIB_DOMAIN=cistern;SYSLOG_IDENTIFIER=log-test;REQUEST=12.7;CLIENT=345;"
                        "CLIENT_UID=1000;PROCEDURE=virStorageVolCreateXML;POOL=p;VOLUME=v w;"
                        "JOB=42;");
    cst_log_set_pool(NULL);
    cst_log_set_volume(NULL);
    cst_task_set_job(task, 0);
    context.connection = 0;
    cst_log(CST_LOG_WARNING, "x");
    assert_string_equal(entry->str, "PRIORITY=4;MESSAGE=x;CODE_FUNC=the_journal_gets_fields;"
                                    "GLIB_DOMAIN=cistern;SYSLOG_IDENTIFIER=log-test;"
                                    "PROCEDURE=virStorageVolCreateXML;");
    cst_log_pop(&context);
    text = end();
    assert_string_equal(text, "");
}

/* The prefix is read by journald from a stream, too. */
static void without_the_journals_socket_lines_have_its_prefix(void **state)
{
    static const struct {
        gboolean journald, reachable;
    } cases[] = {{TRUE, FALSE}, {FALSE, TRUE}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = NULL;

        is_journald = cases[i].journald;
        is_reachable = cases[i].reachable;
        begin(TRUE);
        cst_log(CST_LOG_WARNING, "a\nb %d", 1);
        text = end();
        assert_string_equal(text, "<4>a\\x0ab 1\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(people_get_time_and_level_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unprintable_bytes_of_a_log_message_are_escaped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(message_below_the_level_is_not_evaluated, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(libraries_messages_are_lines_as_well, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_request_is_in_brackets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_thread_has_a_copy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_without_a_context_are_nobodys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_journal_gets_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_the_journals_socket_lines_have_its_prefix, set_up,
                                        tear_down),
    };

    g_set_prgname("log-test");
    cst_log_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
