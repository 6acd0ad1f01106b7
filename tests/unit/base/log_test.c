/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/log.h>

/** What cst_log() writes to a stderr that is a file, which @journal says is the journal. */
static char *logged(gboolean journal)
{
    g_autofree char *path = NULL;
    g_autofree char *stream = NULL;
    int fd = g_file_open_tmp("log-XXXXXX", &path, NULL);
    int saved = dup(STDERR_FILENO);
    char *text = NULL;
    struct stat st = {0};

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    stream = g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    g_setenv("JOURNAL_STREAM", journal ? stream : "1:1", TRUE);
    dup2(fd, STDERR_FILENO);
    cst_log(CST_LOG_WARNING, "a\nb %d", 1);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_unlink(path);
    return text;
}

static void people_get_time_and_level_by_name(void **state)
{
    g_autofree char *text = logged(FALSE);

    assert_true(
        g_regex_match_simple("^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{3}[+-]\\d{4}: "
                             "warning: a\\?b 1\\n$",
                             text, 0, 0));
}

static void the_journal_gets_its_prefix(void **state)
{
    g_autofree char *text = logged(TRUE);

    assert_string_equal(text, "<4>a?b 1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_get_time_and_level_by_name),
        cmocka_unit_test(the_journal_gets_its_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
