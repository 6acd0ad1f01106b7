/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps in which records are written and removed, and replays that meet other processes. */
#include "points.h"
#include "recorder.h"
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <store/journal.h>

#include "../logged.h"

#define TOKEN  "01234567-89ab-cdef-0123-456789abcdef"
#define RECORD TOKEN ".intent"

typedef struct {
    Scratch *scratch;
    CstJournal *journal;
    char *dir;
    CstIntent *intent; /* that the test ends at a point */
    guint replayed;
} Fixture;

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    int status = scratch_setup((void **)&f->scratch);

    f->journal = cst_journal_new(f->scratch->paths);
    f->dir = g_build_filename(f->scratch->paths->data_dir, "journal", NULL);
    logged = g_string_new(NULL);
    *state = f;
    return status || g_mkdir_with_parents(f->dir, 0700);
}

static int teardown(void **state)
{
    Fixture *f = *state;
    int status = scratch_teardown((void **)&f->scratch);

    cst_journal_free(f->journal);
    g_string_free(logged, TRUE);
    g_free(f->dir);
    g_free(f);
    return status;
}

static CstIntent *begin_intent(const Fixture *f, const char *pool, GError **error)
{
    return cst_journal_begin(f->journal, error, "create", "pool", pool, "draft", TOKEN, NULL);
}

static CstIntent *begin_durable_intent(const Fixture *f, GError **error)
{
    g_autoptr(GHashTable) fields = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_insert(fields, (gpointer) "pool", (gpointer) "p");
    g_hash_table_insert(fields, (gpointer) "draft", (gpointer)TOKEN);
    return cst_journal_begin_durable(f->journal, "rename", fields, error);
}

static void remove_records(gpointer data)
{
    g_autofree char *path = g_build_filename(((Fixture *)data)->dir, RECORD, NULL);

    unlink(path);
}

static gboolean count_replay(const CstIntentRecord *record, gpointer data, GError **error)
{
    ((Fixture *)data)->replayed++;
    return TRUE;
}

/* --- steps ------------------------------------------------------------------------------------ */

static gboolean begin_and_keep(gpointer data, GError **error)
{
    CstIntent *intent = begin_intent(data, "p", error);

    cst_intent_keep(intent);
    return intent != NULL;
}

static gboolean begin_durable_and_keep(gpointer data, GError **error)
{
    CstIntent *intent = begin_durable_intent(data, error);

    cst_intent_keep(intent);
    return intent != NULL;
}

static void record_is_locked_before_it_has_its_name(void **state)
{
    Fixture *f = *state;
    const RecordedSteps steps = {f->dir, remove_records, begin_and_keep, f, NULL};
    g_autofree char *text = recorder_fail_each(&steps);

    assert_string_equal(text, "create " RECORD ".new; write " RECORD ".new; lock " RECORD
                              ".new; rename " RECORD ".new " RECORD);
}

/* The record of a failed begin is removed, so no replay finds it. */
static void durable_record_is_synced_or_removed(void **state)
{
    Fixture *f = *state;
    const RecordedSteps steps = {f->dir, remove_records, begin_durable_and_keep, f, NULL};
    g_autofree char *text = recorder_fail_each(&steps);

    assert_string_equal(text,
                        "create " RECORD ".new; write " RECORD ".new; lock " RECORD
                        ".new; rename " RECORD ".new " RECORD "; sync " RECORD "; open .; sync .");
}

static void record_of_failed_sync_is_removed_durably(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    recorder_begin_failing(f->dir, 5, EIO);
    assert_null(begin_durable_intent(f, &error));
    text = recorder_end();
    assert_string_equal(strstr(text, "sync"),
                        "sync " RECORD "!; remove " RECORD "; open .; sync .");
    assert_int_equal(cst_error_code(error), CST_ERROR_IO);
    cst_journal_replay(f->journal, count_replay, f);
    assert_int_equal(f->replayed, 0);
}

static void end_is_synced_for_durable_record_only(void **state)
{
    Fixture *f = *state;
    g_autofree char *plain = NULL, *durable = NULL;
    CstIntent *intent = begin_intent(f, "p", NULL);

    recorder_begin(f->dir);
    cst_intent_end(intent);
    plain = recorder_end();
    assert_string_equal(plain, "remove " RECORD);
    intent = begin_durable_intent(f, NULL);
    recorder_begin(f->dir);
    cst_intent_end(intent);
    durable = recorder_end();
    assert_string_equal(durable, "remove " RECORD "; open .; sync .");
    assert_string_equal(logged->str, "");
}

static void end_that_fails_is_logged(void **state)
{
    Fixture *f = *state;
    static const char *const messages[] = {"cannot remove '", "cannot open directory '",
                                           "cannot sync directory '"};

    for (guint step = 1; step <= 3; step++) {
        CstIntent *intent = begin_durable_intent(f, NULL);

        g_string_truncate(logged, 0);
        recorder_begin_failing(f->dir, step, EIO);
        cst_intent_end(intent);
        g_free(recorder_end());
        assert_true(g_str_has_prefix(logged->str, messages[step - 1]));
    }
}

static void replayed_record_is_removed_durably(void **state)
{
    Fixture *f = *state;
    g_autofree char *text = NULL;

    cst_intent_keep(begin_durable_intent(f, NULL));
    recorder_begin(f->dir);
    cst_journal_replay(f->journal, count_replay, f);
    text = recorder_end();
    assert_string_equal(text, "lock " RECORD "; remove " RECORD "; open .; sync .");
    assert_int_equal(f->replayed, 1);
}

static void replayed_record_that_stays_is_logged(void **state)
{
    static const char *const messages[] = {NULL, "cannot remove '", "cannot open directory '",
                                           "cannot sync directory '"};
    Fixture *f = *state;

    for (guint step = 1; step < G_N_ELEMENTS(messages); step++) {
        cst_intent_keep(begin_durable_intent(f, NULL));
        g_string_truncate(logged, 0);
        recorder_begin_failing(f->dir, step + 1, EIO);
        cst_journal_replay(f->journal, count_replay, f);
        g_free(recorder_end());
        assert_int_equal(f->replayed, step);
        assert_non_null(strstr(logged->str, messages[step]));
    }
}

/*
 * --- concurrent replays --------------------------------------------------------------------------
 */

static void end_intent(gpointer data)
{
    cst_intent_end(((Fixture *)data)->intent);
}

/* The record was opened while its owner was alive, and was removed before it is locked. */
static void intent_that_ends_before_the_lock_is_not_replayed(void **state)
{
    Fixture *f = *state;

    f->intent = begin_intent(f, "p", NULL);
    point_run("journal.replay.opened", end_intent, f);
    cst_journal_replay(f->journal, count_replay, f);
    assert_int_equal(f->replayed, 0);
    assert_string_equal(logged->str, "");
    points_clear();
}

/* The same, but for the fields that were read before the lock. */
static void intent_that_ends_at_the_lock_is_not_replayed(void **state)
{
    Fixture *f = *state;
    g_autofree char *text = NULL;

    f->intent = begin_intent(f, "p", NULL);
    recorder_begin(f->dir);
    recorder_run("lock " RECORD, end_intent, f);
    cst_journal_replay_kept(f->journal, "p", count_replay, f);
    text = recorder_end();
    assert_string_equal(text, "remove " RECORD "; lock " RECORD);
    assert_int_equal(f->replayed, 0);
}

static void replay_pool(gpointer data)
{
    Fixture *f = data;

    cst_journal_replay_kept(f->journal, "p", count_replay, f);
}

/* Both replays have opened the record. The first one to lock it replays it. */
static void record_is_replayed_by_one_of_two_replays(void **state)
{
    Fixture *f = *state;

    cst_intent_keep(begin_intent(f, "p", NULL));
    point_run("journal.replay.opened", replay_pool, f);
    replay_pool(f);
    assert_int_equal(f->replayed, 1);
    assert_string_equal(logged->str, "");
    points_clear();
}

static gboolean replay_again(const CstIntentRecord *record, gpointer data, GError **error)
{
    Fixture *f = data;

    f->replayed++;
    cst_journal_replay(f->journal, count_replay, f);
    return FALSE;
}

static void record_is_locked_while_it_is_replayed(void **state)
{
    Fixture *f = *state;

    cst_intent_keep(begin_intent(f, "p", NULL));
    cst_journal_replay(f->journal, replay_again, f);
    assert_int_equal(f->replayed, 1);
}

/* The replay of its own pool would treat the lock as a live intent. */
static void record_of_another_pool_is_not_locked(void **state)
{
    Fixture *f = *state;

    cst_intent_keep(begin_intent(f, "r", NULL));
    point_watch("journal.replay.opened");
    cst_journal_replay_kept(f->journal, "p", count_replay, f);
    assert_int_equal(point_passed("journal.replay.opened"), 0);
    cst_journal_replay_kept(f->journal, "r", count_replay, f);
    assert_int_equal(point_passed("journal.replay.opened"), 1);
    assert_int_equal(f->replayed, 1);
    points_clear();
}

static gboolean fail_replay(const CstIntentRecord *record, gpointer data, GError **error)
{
    count_replay(record, data, error);
    return cst_fail(error, CST_ERROR_IO, "no disk");
}

static void replay_that_fails_keeps_the_record(void **state)
{
    Fixture *f = *state;

    cst_intent_keep(begin_intent(f, "p", NULL));
    cst_journal_replay(f->journal, fail_replay, f);
    assert_non_null(strstr(logged->str, "for the next start: no disk"));
    cst_journal_replay(f->journal, count_replay, f);
    cst_journal_replay(f->journal, count_replay, f);
    assert_int_equal(f->replayed, 2);
}

/* --- a directory that can't be read to its end ------------------------------------------------ */

static gboolean reads_fail;

struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);

struct dirent *__wrap_readdir64(DIR *dir)
{
    if (!reads_fail)
        return __real_readdir64(dir);
    errno = EIO;
    return NULL;
}

static void journal_that_is_read_in_part_has_no_drafts(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    cst_intent_keep(begin_intent(f, "p", NULL));
    reads_fail = TRUE;
    assert_null(cst_journal_drafts(f->journal, &error));
    reads_fail = FALSE;
    assert_int_equal(cst_error_code(error), CST_ERROR_IO);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(record_is_locked_before_it_has_its_name),
        CASE(durable_record_is_synced_or_removed),
        CASE(record_of_failed_sync_is_removed_durably),
        CASE(end_is_synced_for_durable_record_only),
        CASE(end_that_fails_is_logged),
        CASE(replayed_record_is_removed_durably),
        CASE(replayed_record_that_stays_is_logged),
        CASE(intent_that_ends_before_the_lock_is_not_replayed),
        CASE(intent_that_ends_at_the_lock_is_not_replayed),
        CASE(replay_that_fails_keeps_the_record),
        CASE(journal_that_is_read_in_part_has_no_drafts),
        CASE(record_is_replayed_by_one_of_two_replays),
        CASE(record_is_locked_while_it_is_replayed),
        CASE(record_of_another_pool_is_not_locked),
    };

    g_log_set_writer_func(keep_message, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
