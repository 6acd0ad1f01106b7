/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <store/journal.h>

/* The usual length of the record of a rename of a base with 10,000 overlays. */
#define LARGE (4 << 20)

typedef struct {
    char *root;
    CstPaths *paths;
    CstJournal *journal;
    GString *seen; /* replayed records: "POOL/VOLUME " each */
} Fixture;

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    f->root = g_dir_make_tmp("cst-journal-XXXXXX", NULL);
    f->paths = cst_paths_new(f->root);
    f->journal = cst_journal_new(f->paths);
    f->seen = g_string_new(NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->root);
    int status = system(command);

    g_string_free(f->seen, TRUE);
    cst_journal_free(f->journal);
    cst_paths_free(f->paths);
    g_free(f->root);
    g_free(f);
    return status;
}

static CstIntent *begin(Fixture *f, const char *pool, const char *volume)
{
    CstIntent *intent =
        cst_journal_begin(f->journal, NULL, "create", "pool", pool, "volume", volume, NULL);

    assert_non_null(intent);
    return intent;
}

static gboolean settle(const CstIntentRecord *record, gpointer data, GError **error)
{
    Fixture *f = data;

    assert_string_equal(record->operation, "create");
    g_string_append_printf(f->seen, "%s/%s ", (char *)g_hash_table_lookup(record->fields, "pool"),
                           (char *)g_hash_table_lookup(record->fields, "volume"));
    return TRUE;
}

static gboolean keep(const CstIntentRecord *record, gpointer data, GError **error)
{
    settle(record, data, error);
    return FALSE;
}

static void kept_intent_is_replayed_until_it_is_finished(void **state)
{
    Fixture *f = *state;

    cst_intent_keep(begin(f, "p", "a"));
    cst_intent_end(begin(f, "p", "ended"));
    cst_journal_replay(f->journal, keep, f);
    cst_journal_replay_kept(f->journal, "p", settle, f);
    cst_journal_replay(f->journal, settle, f);
    assert_string_equal(f->seen->str, "p/a p/a ");
}

static void intent_of_running_work_is_not_replayed(void **state)
{
    Fixture *f = *state;
    CstIntent *intent = begin(f, "p", "a");

    cst_journal_replay(f->journal, settle, f);
    cst_journal_replay_kept(f->journal, "p", settle, f);
    assert_string_equal(f->seen->str, "");
    cst_intent_keep(intent);
    cst_journal_replay(f->journal, settle, f);
    assert_string_equal(f->seen->str, "p/a ");
}

/*
 * While pool "p" replays its record, "q" replays as well. It must find its own record and skip the
 * other.
 */
static gboolean let_the_other_look(const CstIntentRecord *record, gpointer data, GError **error)
{
    Fixture *f = data;

    settle(record, f, error);
    cst_journal_replay_kept(f->journal, "q", settle, f);
    return TRUE;
}

static void pools_do_not_hide_their_records_from_each_other(void **state)
{
    Fixture *f = *state;

    /* The directory lists them in any order: some before, some after the one of "p". */
    for (int i = 0; i < 8; i++)
        cst_intent_keep(begin(f, "q", "b"));
    cst_intent_keep(begin(f, "p", "a"));
    cst_journal_replay_kept(f->journal, "p", let_the_other_look, f);
    assert_string_equal(f->seen->str, "p/a q/b q/b q/b q/b q/b q/b q/b q/b ");
}

static gpointer settle_r(gpointer data)
{
    Fixture *f = data;

    cst_journal_replay_kept(f->journal, "r", settle, f);
    return NULL;
}

static gboolean must_not_see(const CstIntentRecord *record, gpointer data, GError **error)
{
    fail_msg("this record belongs to another pool");
    return FALSE;
}

static gpointer look_for_o(gpointer data)
{
    Fixture *f = data;

    for (int i = 0; i < 200; i++)
        cst_journal_replay_kept(f->journal, "o", must_not_see, NULL);
    return NULL;
}

/* Both replays run at the start of the daemon. "r" must not miss its record. */
static void one_replay_finds_its_record_during_other_replays(void **state)
{
    Fixture *f = *state;

    for (int i = 0; i < 50; i++) {
        GThread *other = g_thread_new("o", look_for_o, f), *own;

        g_string_truncate(f->seen, 0);
        cst_intent_keep(begin(f, "r", "a"));
        own = g_thread_new("r", settle_r, f);
        g_thread_join(own);
        g_thread_join(other);
        assert_string_equal(f->seen->str, "r/a ");
    }
}

/* Returns the path of a file in the journal's folder. */
static char *in_journal(Fixture *f, const char *name)
{
    return g_build_filename(f->paths->data_dir, "journal", name, NULL);
}

static guint count_records(Fixture *f)
{
    g_autofree char *path = in_journal(f, "");
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    guint count = 0;

    while (dir && (name = g_dir_read_name(dir)))
        count += g_str_has_suffix(name, ".intent");
    return count;
}

static void record_is_private_and_removed_at_its_end(void **state)
{
    Fixture *f = *state;
    g_autofree char *folder = in_journal(f, "");
    CstIntent *intent = begin(f, "p", "a");
    struct stat st;

    assert_int_equal(count_records(f), 1);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    cst_intent_end(intent);
    assert_int_equal(count_records(f), 0);
    cst_intent_keep(begin(f, "p", "a"));
    cst_journal_replay(f->journal, keep, f);
    assert_int_equal(count_records(f), 1);
    cst_journal_replay(f->journal, settle, f);
    assert_int_equal(count_records(f), 0);
    cst_intent_end(NULL);
    cst_intent_keep(NULL);
    cst_journal_free(NULL);
}

static void dry_run_writes_no_record(void **state)
{
    Fixture *f = *state;
    CstIntent *intent;

    cst_dry_run_set(TRUE);
    intent = cst_journal_begin(f->journal, NULL, "create", NULL);
    cst_dry_run_set(FALSE);
    assert_non_null(intent);
    assert_int_equal(count_records(f), 0);
    cst_intent_end(intent);
}

static void record_that_cannot_be_written_is_reported(void **state)
{
    Fixture *f = *state;
    g_autofree char *folder = in_journal(f, NULL);
    g_autoptr(GError) error = NULL;

    assert_int_equal(g_mkdir_with_parents(f->paths->data_dir, 0700), 0);
    assert_true(g_file_set_contents(folder, "", -1, NULL));
    assert_null(cst_journal_begin(f->journal, &error, "create", NULL));
    assert_int_equal(cst_error_code(error), CST_ERROR_IO);
}

static gboolean take_fields(const CstIntentRecord *record, gpointer data, GError **error)
{
    GHashTable **fields = data;

    assert_string_equal(record->operation, "rename");
    *fields = g_hash_table_ref(record->fields);
    return TRUE;
}

static void durable_record_is_complete_or_absent(void **state)
{
    Fixture *f = *state;
    g_autoptr(GHashTable) fields = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    g_autoptr(GHashTable) seen = NULL;
    g_autoptr(GError) error = NULL;

    g_hash_table_insert(fields, (gpointer) "to", g_strdup("a\nb;c "));
    g_hash_table_insert(fields, (gpointer) "large", g_strnfill(LARGE, 'x'));
    cst_intent_keep(cst_journal_begin_durable(f->journal, "rename", fields, &error));
    assert_null(error);
    assert_int_equal(count_records(f), 1);
    cst_journal_replay(f->journal, take_fields, &seen);
    assert_non_null(seen);
    assert_string_equal(g_hash_table_lookup(seen, "to"), "a\nb;c ");
    assert_int_equal(strlen(g_hash_table_lookup(seen, "large")), LARGE);
    assert_int_equal(count_records(f), 0);
    g_hash_table_insert(fields, (gpointer) "large", g_strnfill(32 << 20, 'x'));
    assert_null(cst_journal_begin_durable(f->journal, "rename", fields, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_LIMIT);
    assert_int_equal(count_records(f), 0);
    cst_dry_run_set(TRUE);
    cst_intent_end(cst_journal_begin_durable(f->journal, "rename", fields, NULL));
    cst_dry_run_set(FALSE);
    assert_int_equal(count_records(f), 0);
}

/* An unfinished file is removed if it has no other user. Invalid files and links are not read. */
static void only_records_are_replayed(void **state)
{
    Fixture *f = *state;
    g_autofree char *newborn = in_journal(f, "a.intent.new");
    g_autofree char *rubbish = in_journal(f, "b.intent");
    g_autofree char *other = in_journal(f, "c.txt");
    g_autofree char *link = in_journal(f, "d.intent");
    g_autofree char *huge = g_strnfill((32 << 20) + 1, 'x');
    g_autofree char *large = in_journal(f, "e.intent");

    cst_intent_end(begin(f, "p", "a"));
    assert_true(g_file_set_contents(newborn, "", -1, NULL));
    assert_true(g_file_set_contents(rubbish, "rubbish", -1, NULL));
    assert_true(g_file_set_contents(other, "[intent]\noperation=create\npool=p\n", -1, NULL));
    assert_true(g_file_set_contents(large, huge, -1, NULL));
    assert_int_equal(symlink(other, link), 0);
    cst_journal_replay_kept(f->journal, "p", settle, f);
    assert_int_equal(access(newborn, F_OK), 0);
    cst_journal_replay(f->journal, settle, f);
    assert_string_equal(f->seen->str, "");
    assert_int_equal(access(newborn, F_OK), -1);
    assert_int_equal(access(other, F_OK), 0);
    assert_int_equal(access(link, F_OK), 0);
    assert_int_equal(access(large, F_OK), 0);
}

/* --- drafts ----------------------------------------------------------------------------------- */

#define TOKEN "01234567-89ab-cdef-0123-456789abcdef"
#define OTHER "11111111-2222-3333-4444-555555555555"

static struct {
    GString *log; /* NULL: syncs are not recorded */
    const char *record;
    gboolean fails; /* of the directory */
} syncs;

int __wrap_fsync(int fd);
int __real_fsync(int fd);

/* Records each sync, and whether the record exists by then. */
int __wrap_fsync(int fd)
{
    struct stat st;

    if (!syncs.log)
        return __real_fsync(fd);
    assert_int_equal(fstat(fd, &st), 0);
    g_string_append_printf(syncs.log, "%s%s ", S_ISDIR(st.st_mode) ? "folder" : "record",
                           access(syncs.record, F_OK) == 0 ? "+" : "-");
    if (syncs.fails && S_ISDIR(st.st_mode)) {
        errno = EIO;
        return -1;
    }
    return 0;
}

static CstIntent *begin_draft(Fixture *f, const char *token, const char *volume)
{
    CstIntent *intent = cst_journal_begin(f->journal, NULL, "create", "pool", "p", "volume", volume,
                                          "draft", token, NULL);

    assert_non_null(intent);
    return intent;
}

static void assert_drafts(const Fixture *f, const char *token, const char *volume, guint count)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) drafts = cst_journal_drafts(f->journal, &error);

    assert_null(error);
    assert_non_null(drafts);
    assert_int_equal(g_hash_table_size(drafts), count);
    if (token)
        assert_string_equal(g_hash_table_lookup(drafts, token), volume);
}

static void drafts_are_known_while_they_have_a_record(void **state)
{
    Fixture *f = *state;
    CstIntent *one, *other;

    assert_drafts(f, NULL, NULL, 0);
    one = begin_draft(f, TOKEN, "a");
    other = begin_draft(f, OTHER, "b");
    cst_intent_keep(begin(f, "p", "no draft"));
    assert_drafts(f, TOKEN, "a", 2);
    cst_intent_keep(other); /* its process is dead, and the draft still is one */
    assert_drafts(f, OTHER, "b", 2);
    cst_intent_end(one);
    assert_drafts(f, OTHER, "b", 1);
}

/* The name of the file suffices. */
static void a_damaged_record_is_of_a_draft_of_any_name(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = in_journal(f, TOKEN ".intent");

    cst_intent_keep(begin_draft(f, TOKEN, "a"));
    assert_true(g_file_set_contents(path, "rubbish", -1, NULL));
    assert_drafts(f, TOKEN, "", 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_drafts(f, TOKEN, "", 1);
}

static void drafts_of_an_unreadable_journal_are_an_error(void **state)
{
    Fixture *f = *state;
    g_autofree char *folder = in_journal(f, NULL);
    g_autoptr(GError) error = NULL;

    assert_int_equal(g_mkdir_with_parents(f->paths->data_dir, 0700), 0);
    assert_true(g_file_set_contents(folder, "", -1, NULL));
    assert_null(cst_journal_drafts(f->journal, &error));
    assert_non_null(error);
}

/* The record is synced before its name. The end is durable before the caller is notified. */
static void a_record_is_durable_where_that_is_asked(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = in_journal(f, TOKEN ".intent");
    g_autoptr(GString) log = g_string_new(NULL);
    CstIntent *intent = begin_draft(f, TOKEN, "a");

    syncs.log = log;
    syncs.record = path;
    assert_true(cst_intent_sync(intent, NULL));
    assert_true(cst_intent_end_synced(intent, NULL));
    syncs.log = NULL;
    assert_string_equal(log->str, "record+ folder+ folder- ");
    assert_drafts(f, NULL, NULL, 0);
}

static void failed_sync_of_a_record_is_reported(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = in_journal(f, TOKEN ".intent");
    g_autoptr(GString) log = g_string_new(NULL);
    g_autoptr(GError) begun = NULL, ended = NULL, gone = NULL;
    CstIntent *intent = begin_draft(f, TOKEN, "a");

    syncs.log = log;
    syncs.record = path;
    syncs.fails = TRUE;
    assert_false(cst_intent_sync(intent, &begun));
    assert_int_equal(cst_error_code(begun), CST_ERROR_IO);
    assert_false(cst_intent_end_synced(intent, &ended));
    assert_int_equal(cst_error_code(ended), CST_ERROR_IO);
    syncs.log = NULL;
    syncs.fails = FALSE;
    assert_false(cst_intent_end_synced(intent, &gone));
    assert_non_null(gone);
    cst_intent_end(intent);
    assert_drafts(f, NULL, NULL, 0);
}

static void dry_run_syncs_no_record(void **state)
{
    Fixture *f = *state;
    g_autoptr(GString) log = g_string_new(NULL);
    CstIntent *intent;

    cst_dry_run_set(TRUE);
    intent = begin_draft(f, TOKEN, "a");
    syncs.log = log;
    syncs.record = "/";
    assert_true(cst_intent_sync(intent, NULL));
    assert_true(cst_intent_end_synced(intent, NULL));
    syncs.log = NULL;
    cst_dry_run_set(FALSE);
    assert_string_equal(log->str, "");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(kept_intent_is_replayed_until_it_is_finished),
        CASE(intent_of_running_work_is_not_replayed),
        CASE(pools_do_not_hide_their_records_from_each_other),
        CASE(record_is_private_and_removed_at_its_end),
        CASE(dry_run_writes_no_record),
        CASE(record_that_cannot_be_written_is_reported),
        CASE(durable_record_is_complete_or_absent),
        CASE(only_records_are_replayed),
        CASE(one_replay_finds_its_record_during_other_replays),
        CASE(drafts_are_known_while_they_have_a_record),
        CASE(a_damaged_record_is_of_a_draft_of_any_name),
        CASE(drafts_of_an_unreadable_journal_are_an_error),
        CASE(a_record_is_durable_where_that_is_asked),
        CASE(failed_sync_of_a_record_is_reported),
        CASE(dry_run_syncs_no_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
