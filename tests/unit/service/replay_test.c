/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The replay of the journal at a start. An intent that cannot be undone is kept for the next start.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <store/schedules.h>

#include "fixture.h"
#include "points.h"

#define TOKEN "11111111-2222-3333-4444-555555555555"
#define DRAFT ".cistern-" TOKEN ".part"

static char *path_of_intent(Fixture *f)
{
    return g_build_filename(f->paths->data_dir, "journal", TOKEN ".intent", NULL);
}

/*
 * Leaves the intent of a process that died while it made a volume. @xml NULL: without a definition.
 */
static void leave_intent(Fixture *f, const char *xml)
{
    g_autofree char *path = path_of_intent(f);
    g_autofree char *dir = g_path_get_dirname(path);
    g_autoptr(GKeyFile) record = g_key_file_new();

    g_key_file_set_string(record, "intent", "operation", "create");
    g_key_file_set_string(record, "intent", "pool", "p");
    g_key_file_set_string(record, "intent", "volume", "v");
    g_key_file_set_string(record, "intent", "draft", TOKEN);
    if (xml)
        g_key_file_set_string(record, "intent", "definition", xml);
    assert_int_equal(g_mkdir_with_parents(dir, 0700), 0);
    assert_true(g_key_file_save_to_file(record, path, NULL));
}

static void an_intent_is_kept_until_it_is_undone(void **state)
{
    static const struct {
        const char *xml; /* "": the pool's own definition */
        gboolean kept, draft_kept;
    } intents[] = {
        {"<pool", TRUE, TRUE},
        {"<pool type='zfs'><name>p</name><source><name>tank</name></source></pool>", TRUE, TRUE},
        {NULL, FALSE, TRUE},
        {"<pool type='dir'><name>p</name><target><path>/nowhere</path></target></pool>", FALSE,
         TRUE},
        {"", FALSE, FALSE},
    };
    Fixture *f = *state;
    g_autofree char *own = fixture_pool_xml(f, "p");
    g_autofree char *path = path_of_intent(f);

    g_clear_pointer(&f->service, cst_service_free);
    assert_int_equal(g_mkdir_with_parents(f->images, 0700), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(intents); i++) {
        g_autofree char *dir = g_build_filename(f->images, "p", NULL);
        const char *xml = intents[i].xml;

        g_mkdir_with_parents(dir, 0700);
        fixture_write(f, "p", DRAFT, "half of it");
        leave_intent(f, xml && !*xml ? own : xml);
        fixture_restart(f, CST_SERVICE_EMBEDDED);
        if ((access(path, F_OK) == 0) != intents[i].kept)
            fail_msg("%s: %s", xml, intents[i].kept ? "forgotten" : "kept");
        if (fixture_exists(f, "p", DRAFT) != intents[i].draft_kept)
            fail_msg("%s: the draft is %s", xml, intents[i].draft_kept ? "gone" : "there");
        g_clear_pointer(&f->service, cst_service_free);
        unlink(path);
    }
    fixture_restart(f, CST_SERVICE_EMBEDDED);
}

/* --- a move that was killed before it deleted the original ------------------------------------ */

typedef struct {
    Fixture *f;
    char *path;
    char *intent;
} KilledMove;

static void write_in_place(Fixture *f, const char *content)
{
    g_autofree char *path = g_build_filename(f->images, "p", "v", NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

/* Keeps the intent in the state of a kill at this point. */
static void keep_intent(KilledMove *killed)
{
    g_autofree char *dir = g_build_filename(killed->f->paths->data_dir, "journal", NULL);
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
    const char *name;

    assert_non_null(entries);
    while ((name = g_dir_read_name(entries)))
        if (g_str_has_suffix(name, ".intent") && !killed->path) {
            killed->path = g_build_filename(dir, name, NULL);
            assert_true(g_file_get_contents(killed->path, &killed->intent, NULL, NULL));
        }
}

/* A write makes the move itself end early. */
static void keep_intent_and_write(gpointer data)
{
    KilledMove *killed = data;

    keep_intent(killed);
    write_in_place(killed->f, "written after the copy");
}

/* Starts again with the intent. */
static void killed_move_restart(KilledMove *killed)
{
    assert_non_null(killed->intent);
    g_clear_pointer(&killed->f->service, cst_service_free);
    assert_true(g_file_set_contents(killed->path, killed->intent, -1, NULL));
    fixture_restart(killed->f, CST_SERVICE_EMBEDDED);
    assert_int_not_equal(access(killed->path, F_OK), 0);
    g_free(killed->path);
    g_free(killed->intent);
}

static void assert_content(Fixture *f, const char *pool, const char *name, const char *wanted)
{
    g_autofree char *path = g_build_filename(f->images, pool, name, NULL);
    g_autofree char *content = NULL;

    assert_true(g_file_get_contents(path, &content, NULL, NULL));
    assert_string_equal(content, wanted);
}

static void replayed_move_keeps_original_that_was_written_to(void **state)
{
    Fixture *f = *state;
    const CstVolMove how = {.format = "qcow2"};
    KilledMove killed = {.f = f};
    g_autoptr(GError) error = NULL;
    CstPool *p = fixture_pool(f, "p"), *q = fixture_pool(f, "q");

    fixture_write(f, "p", "v", "before the copy");
    assert_true(cst_pool_refresh(p, 0, NULL, &error));
    point_run("vol.move.copied", keep_intent_and_write, &killed);
    assert_false(cst_vol_move(p, "v", q, &how, NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    points_clear();
    cst_pool_unref(p);
    cst_pool_unref(q);
    killed_move_restart(&killed);
    assert_content(f, "p", "v", "written after the copy");
    assert_true(fixture_exists(f, "q", "v"));
}

/* --- the schedules' records of snapshots ------------------------------------------------------ */

/* Records that schedule "s" has made a snapshot of the volume "v" of pool "p". */
static void record_copy(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstSchedules) schedules = cst_schedules_open(f->paths, &error);
    g_autoptr(CstSchedule) schedule = cst_schedule_new();
    g_autoptr(GPtrArray) copies = g_ptr_array_new();
    CstScheduleCopy copy = {.place = (char *)"",
                            .pool = (char *)"p",
                            .volume = (char *)"v",
                            .name = (char *)"s-1",
                            .time = 1};

    assert_no_error(error);
    schedule->name = g_strdup("s");
    schedule->every = g_strdup("daily");
    g_ptr_array_add(copies, &copy);
    assert_true(cst_schedules_add(schedules, schedule, &error));
    assert_true(cst_schedules_set_copies(schedules, "s", copies, &error));
}

static void assert_copy(Fixture *f, const char *pool, const char *volume)
{
    g_autoptr(CstSchedules) schedules = cst_schedules_open(f->paths, NULL);
    g_autoptr(GPtrArray) copies = cst_schedules_copies(schedules, "s", 0, 10, NULL);
    const CstScheduleCopy *copy = copies->pdata[0];

    assert_int_equal(copies->len, 1);
    assert_string_equal(copy->pool, pool);
    assert_string_equal(copy->volume, volume);
}

static void hide_schedules(Fixture *f, gboolean hide)
{
    g_autofree char *path = g_build_filename(f->paths->data_dir, "schedules.db", NULL);
    g_autofree char *hidden = g_build_filename(f->paths->data_dir, "hidden.db", NULL);

    assert_int_equal(hide ? rename(path, hidden) : rename(hidden, path), 0);
}

/* The move itself finds no schedules from here on, as if it was killed. */
static void keep_intent_and_hide_schedules(gpointer data)
{
    KilledMove *killed = data;

    keep_intent(killed);
    hide_schedules(killed->f, TRUE);
}

/* @original: the original still has its name, which is a second name of the file. */
static void assert_replay_moves_records(Fixture *f, gboolean original)
{
    const CstVolMove how = {.name = "w"};
    KilledMove killed = {.f = f};
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(f->images, "p", "v", NULL);
    g_autofree char *copy = g_build_filename(f->images, "q", "w", NULL);
    CstPool *p = fixture_pool(f, "p"), *q = fixture_pool(f, "q");

    fixture_write(f, "p", "v", "content");
    assert_true(cst_pool_refresh(p, 0, NULL, &error));
    record_copy(f);
    point_run("vol.move.deleted", keep_intent_and_hide_schedules, &killed);
    assert_true(cst_vol_move(p, "v", q, &how, NULL, &error));
    points_clear();
    hide_schedules(f, FALSE);
    assert_copy(f, "p", "v");
    if (original)
        assert_int_equal(link(copy, path), 0);
    cst_pool_unref(p);
    cst_pool_unref(q);
    killed_move_restart(&killed);
    assert_false(fixture_exists(f, "p", "v"));
    assert_copy(f, "q", "w");
}

static void replayed_move_moves_the_records_of_snapshots(void **state)
{
    assert_replay_moves_records(*state, TRUE);
}

static void replay_after_the_deletion_moves_the_records_of_snapshots(void **state)
{
    assert_replay_moves_records(*state, FALSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_intent_is_kept_until_it_is_undone, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(replayed_move_keeps_original_that_was_written_to,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(replayed_move_moves_the_records_of_snapshots, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(replay_after_the_deletion_moves_the_records_of_snapshots,
                                        fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
