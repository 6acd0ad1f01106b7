/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log lines of the service contain the request that they belong to, in each of its threads. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/log.h>
#include <base/log_context.h>

#include "wipe.h"

static GMutex lock; /* guards the lines */
static GString *logged;

static const char *text_of(const GLogField *fields, gsize count, const char *key)
{
    for (gsize i = 0; i < count; i++)
        if (g_str_equal(fields[i].key, key))
            return fields[i].value;
    return "-";
}

/* Format: "REQUEST POOL VOLUME JOB: message", with "-" for a missing field. */
static GLogWriterOutput keep_line(GLogLevelFlags level, const GLogField *fields, gsize count,
                                  gpointer unused)
{
    g_mutex_lock(&lock);
    g_string_append_printf(logged, "%s %s %s %s: %s\n", text_of(fields, count, "REQUEST"),
                           text_of(fields, count, "POOL"), text_of(fields, count, "VOLUME"),
                           text_of(fields, count, "JOB"), text_of(fields, count, "MESSAGE"));
    g_mutex_unlock(&lock);
    return G_LOG_WRITER_HANDLED;
}

static char *lines(void)
{
    char *text;

    g_mutex_lock(&lock);
    text = g_strdup(logged->str);
    g_mutex_unlock(&lock);
    return text;
}

static gboolean has_line(const GRegex *regex)
{
    g_autofree char *text = lines();

    return g_regex_match(regex, text, 0, NULL);
}

/* Waits until a line that matches the pattern is logged. */
static void assert_line(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void assert_line(const char *format, ...)
{
    g_autofree char *pattern = NULL;
    g_autoptr(GRegex) regex = NULL;
    va_list args;

    va_start(args, format);
    pattern = g_strdup_vprintf(format, args);
    va_end(args);
    regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
    assert_non_null(regex);
    AWAIT_STATE(has_line(regex), "'%s' is no line of:\n%s", pattern, lines());
}

static int set_up(void **state)
{
    logged = g_string_new(NULL);
    cst_log_set_level(CST_LOG_DEBUG);
    return fixture_setup(state);
}

static int tear_down(void **state)
{
    int result = fixture_teardown(state);

    cst_log_set_level(CST_LOG_WARNING);
    g_string_free(logged, TRUE);
    return result;
}

static void a_job_is_its_requests(void **state)
{
    CstLogContext context = {.connection = 12, .serial = 7};
    GError *error = NULL;
    CstPool *pool;

    cst_log_push(&context);
    pool = make_disk(*state);
    assert_line("^12.7 p - -: job \\(start of pool 'p'\\) begins$");
    assert_line("^12.7 p - -: pool 'p' started$");
    assert_line("^12.7 p disk -: job \\(create of volume 'disk' in pool 'p'\\) begins$");
    assert_line(
        "^12.7 p disk -: job \\(create of volume 'disk' in pool 'p'\\) ended after [\\d.]+ ms$");
    assert_false(cst_vol_resize(pool, "none", 1, 0, NULL, &error));
    cst_log_pop(&context);
    assert_error(&error, CST_ERROR_NO_VOL);
    assert_line(
        "^12.7 p none -: job \\(resize of volume 'none' in pool 'p'\\) failed after [\\d.]+ ms: "
        ".*'none'");
    cst_pool_unref(pool);
}

/* The job gets its number from another thread, which works for all jobs. */
static void a_number_is_linked_with_the_request(void **state)
{
    CstLogContext context = {.connection = 12, .serial = 8};
    CstPool *pool = make_disk(*state);
    g_autoptr(CstTask) task = cst_task_new();
    g_autofree char *number = NULL;
    Wipe wipe = {.pool = pool, .task = task};

    /* The wipe lasts a third of a second. */
    cst_task_set_rate(task, 200 * CST_MIB);
    context.task = task;
    cst_log_push(&context);
    run_wipe(&wipe);
    cst_log_pop(&context);
    assert_true(wipe.ok);
    number = g_strdup_printf("%" G_GUINT64_FORMAT, cst_task_job(task));
    assert_line("^12.8 p disk -: job \\(wipe of volume 'disk' in pool 'p'\\) begins$");
    assert_line(
        "^12.8 p disk %s: job \\(wipe of volume 'disk' in pool 'p'\\) is listed as number %s$",
        number, number);
    assert_line("^12.8 p disk %s: job \\(wipe of volume 'disk' in pool 'p'\\) ended after ",
                number);
    cst_pool_unref(pool);
}

static void resumed_job_keeps_its_number(void **state)
{
    Fixture *f = *state;
    CstPool *pool = make_disk(f);
    uint64_t id;
    Wipe wipe;

    wipe_begin(&wipe, pool, 4 * CST_MIB);
    id = number_of(wipe.task);
    cst_service_stop(f->service);
    wipe_end(&wipe);
    g_clear_error(&wipe.error);
    cst_pool_unref(pool);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_line("^- p disk %d: job \\(wipe of volume 'disk' in pool 'p'\\) is gone on with$",
                (int)id);
    cst_service_stop(f->service);
    assert_line("^- p disk %d: job \\(wipe of volume 'disk' in pool 'p'\\) (ended|failed) ",
                (int)id);
}

static void autostart_names_its_pool(void **state)
{
    Fixture *f = *state;
    CstPool *pool = fixture_pool(f, "p");
    g_autofree char *dir = g_build_filename(f->images, "p", NULL);

    assert_true(cst_pool_set_autostart(pool, TRUE, NULL));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_int_equal(rmdir(dir), 0);
    cst_pool_unref(pool);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_line("^- p - -: Failed to autostart storage pool 'p': ");
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_job_is_its_requests),
        LOG_TEST(a_number_is_linked_with_the_request),
        LOG_TEST(resumed_job_keeps_its_number),
        LOG_TEST(autostart_names_its_pool),
    };

    g_log_set_writer_func(keep_line, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
