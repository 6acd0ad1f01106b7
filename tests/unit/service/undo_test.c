/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Storage with calls that fail although their work is done, as in a timeout, and rollbacks that
 * fail as well. The operation leaves its intent, and the next start completes or undoes it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/holders.h>
#include <pool/memory.h>
#include <pool/registry.h>
#include <service/images.h>
#include <service/snapshots.h>

#include "fixture.h"
#include "points.h"

/* --- storage that times out ------------------------------------------------------------------- */

static CstBackend backend;
static gboolean opened;    /* another program has the volumes of "p" open */
static guint late_renames; /* calls until the one that times out; 0: no timeout */
static gboolean late_delete, late_move;
static const CstErrorCode *refused_move; /* error of a move by a rename before its work; NULL:
                                            success */

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == backend.type;
}

static gboolean fail_late(gboolean done, gboolean late, GError **error)
{
    return done && (!late || cst_fail(error, CST_ERROR_IO, "there was no answer in time"));
}

static gboolean rename_late(CstPoolState *state, const char *name, const char *new_name,
                            GError **error)
{
    gboolean late = late_renames > 0 && --late_renames == 0;

    return fail_late(cst_memory_backend.vol_rename(state, name, new_name, error), late, error);
}

static gboolean delete_late(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    return fail_late(cst_memory_backend.vol_delete(state, name, flags, error), late_delete, error);
}

static gboolean move_late(CstPoolState *state, CstPoolState *from, const char *name,
                          const char *new_name, GError **error)
{
    if (refused_move)
        return cst_fail(error, *refused_move, "the storage refuses");
    cst_memory_put(state->def->source.name, new_name, "moved", 5);
    return fail_late(cst_memory_backend.vol_delete(from, name, 0, error), late_move, error);
}

/* --- two pools on it -------------------------------------------------------------------------- */

static Fixture *fixture;
static CstPool *p, *q;

static CstPool *start_pool(const char *name)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='rbd'><name>%s</name><source>"
                        "<host name='localhost'/><name>%s</name></source></pool>",
                        name, name);
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_define(fixture->service, xml, 0, &error);

    assert_no_error(error);
    assert_true(cst_pool_build(pool, 0, NULL, NULL));
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
    return pool;
}

static void make_volume(const char *name)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity>65536</capacity></volume>", name);

    fixture_create_xml(p, xml);
}

/* Makes "v" and "w" in the pool "p". */
static int set_up(void **state)
{
    backend = cst_memory_backend;
    backend.vol_rename = rename_late;
    backend.vol_delete = delete_late;
    late_renames = 0;
    late_delete = late_move = opened = FALSE;
    refused_move = NULL;
    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    p = start_pool("p");
    q = start_pool("q");
    make_volume("v");
    make_volume("w");
    return 0;
}

static int tear_down(void **state)
{
    g_clear_pointer(&p, cst_pool_unref);
    g_clear_pointer(&q, cst_pool_unref);
    fixture_teardown(state);
    cst_memory_release();
    cst_memory_clear();
    return 0;
}

static void restart(void)
{
    g_clear_pointer(&p, cst_pool_unref);
    g_clear_pointer(&q, cst_pool_unref);
    fixture_restart(fixture, CST_SERVICE_DAEMON);
    p = cst_service_pool_by_name(fixture->service, "p", NULL);
    q = cst_service_pool_by_name(fixture->service, "q", NULL);
    assert_true(cst_pool_refresh(p, 0, NULL, NULL) && cst_pool_refresh(q, 0, NULL, NULL));
}

static void assert_intents(guint wanted)
{
    g_autofree char *path = g_build_filename(fixture->paths->data_dir, "journal", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;

    while (dir && g_dir_read_name(dir))
        count++;
    assert_int_equal(count, wanted);
}

/* Checks the table of the pool, without accessing the storage. */
static void assert_listed(CstPool *pool, const char *wanted)
{
    g_autoptr(GPtrArray) rows = cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_BRIEF, NULL);
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < rows->len; i++)
        g_string_append_printf(names, "%s%s", i ? " " : "",
                               ((const CstVolRow *)g_ptr_array_index(rows, i))->name);
    assert_string_equal(names->str, wanted);
}

/* Checks all names in the storage, including hidden names, drafts and snapshots. */
static void assert_stored(const char *store, const char *wanted)
{
    g_auto(GStrv) names = cst_memory_list(store);
    g_autofree char *text = g_strjoinv(" ", names);

    assert_string_equal(text, wanted);
}

static void assert_protected(const char *wanted)
{
    g_autoptr(GPtrArray) names = cst_pool_protected(p, NULL);

    assert_int_equal(names->len, 1);
    assert_string_equal(g_ptr_array_index(names, 0), wanted);
}

/* --- names ------------------------------------------------------------------------------------ */

static void a_rename_that_was_late_is_completed_by_the_next_start(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_true(cst_vol_protect(p, "v", TRUE, NULL, NULL));
    late_renames = 1;
    assert_false(cst_vol_rename(p, "v", "x", NULL, &error));
    assert_error(&error, CST_ERROR_IO);
    assert_listed(p, "w x");
    assert_intents(1);
    assert_protected("v");
    restart();
    assert_intents(0);
    assert_protected("x");
    assert_true(cst_vol_rename(p, "x", "v", NULL, NULL));
}

/* --- pools ------------------------------------------------------------------------------------ */

static char *identity_of_silent_storage(CstPoolState *state, GError **error)
{
    cst_fail(error, CST_ERROR_UNREACHABLE, "the storage does not answer");
    return NULL;
}

/* Without a recorded identity, a later start would accept any storage at that place. */
static void pool_without_an_identity_does_not_start(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_stop(q, NULL, NULL));
    backend.identity = identity_of_silent_storage;
    assert_false(cst_pool_start(q, 0, NULL, &error));
    assert_error(&error, CST_ERROR_UNREACHABLE);
    assert_false(cst_pool_is_active(q));
    backend.identity = NULL;
    cst_pool_start(q, 0, NULL, &error);
    assert_no_error(error);
}

/* --- programs that open a volume -------------------------------------------------------------- */

static gboolean holders_of_p(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error)
{
    if (opened && strcmp(state->def->name, "p") == 0)
        cst_holders_add(holders, getpid(), "a guest");
    return TRUE;
}

static void open_volumes(gpointer unused)
{
    opened = TRUE;
}

/* --- sets of snapshots ------------------------------------------------------------------------ */

static gboolean snapshot_both(GError **error)
{
    const CstSnapshotVolume volumes[] = {{p, "v"}, {p, "w"}};
    const CstSnapshotRequest request = {.name = "s"};
    g_auto(CstSnapshotSet) set = {0};

    return cst_vol_snapshot_create_set(volumes, G_N_ELEMENTS(volumes), &request, NULL, &set, error);
}

static void fail_callback(gpointer callback)
{
    cst_memory_fault(callback, 1);
}

static void snapshots_that_stay_are_removed_by_the_next_start(void **state)
{
    g_autoptr(GError) error = NULL;

    point_run("vol.snapshots.take_back", fail_callback, (char *)"snapshots.remove");
    cst_memory_fault("snapshots.create", 2);
    assert_false(snapshot_both(&error));
    assert_non_null(strstr(error->message, "snapshots.create was told to fail"));
    assert_error(&error, CST_ERROR_IO);
    points_clear();
    cst_memory_release();
    assert_stored("p", "v v@s w");
    assert_intents(1);
    /* Neither volume is claimed. */
    assert_true(cst_vol_resize(p, "v", 1 << 17, 0, NULL, NULL));
    assert_true(cst_vol_resize(p, "w", 1 << 17, 0, NULL, NULL));
    restart();
    assert_stored("p", "v w");
    assert_intents(0);
    assert_true(snapshot_both(NULL));
    assert_intents(0);
}

/* Another program makes one of the snapshots between the check and the creation. */
static void snapshot_native(gpointer unused)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(
        "<pool type='rbd'><name>p</name><source><host name='localhost'/><name>p</name></source>"
        "</pool>",
        0, NULL);
    CstPoolState state = {.def = def};
    const CstSnapshotCreate how = {0};

    assert_true(cst_memory_backend.snapshots->create(&state, "w", "s", &how, NULL, NULL));
}

static void snapshot_of_another_program_is_not_removed_by_an_undo(void **state)
{
    g_autoptr(GError) error = NULL;

    point_run("vol.snapshots.one", snapshot_native, NULL);
    assert_false(snapshot_both(&error));
    assert_error(&error, CST_ERROR_EXISTS);
    points_clear();
    assert_stored("p", "v w w@s");
    assert_intents(0);
}

/* The snapshot may have half of a write, so it is not reported as one of a volume at rest. */
static void snapshot_of_a_volume_opened_during_it_is_removed(void **state)
{
    g_autoptr(GError) error = NULL;

    backend.vol_holders = holders_of_p;
    point_run("vol.snapshots.one", open_volumes, NULL);
    assert_false(cst_vol_snapshot_create(p, "v", "s", 0, NULL, &error));
    points_clear();
    assert_non_null(strstr(error->message, "was opened for writing during the snapshot: a guest"));
    assert_error(&error, CST_ERROR_BUSY);
    assert_stored("p", "v w");
    assert_intents(0);
}

/* --- moves by a copy -------------------------------------------------------------------------- */

static gboolean move(const char *name, GError **error)
{
    const CstVolMove how = {.name = "moved"};

    return cst_vol_move(p, name, q, &how, NULL, error);
}

static void snapshot_v(void)
{
    assert_true(cst_vol_snapshot_create(p, "v", "s", 0, NULL, NULL));
}

static void assert_half_moved(GError **error)
{
    assert_non_null(strstr((*error)->message, "is complete, but the original can't be deleted"));
    assert_error(error, CST_ERROR_IO);
    assert_stored("q", "moved moved@s");
}

/* The program may write to the original, so the original is not deleted. */
static void original_opened_after_its_copy_is_kept(void **state)
{
    g_autoptr(GError) error = NULL;

    snapshot_v();
    backend.vol_holders = holders_of_p;
    point_run("vol.move.copied", open_volumes, NULL);
    assert_false(move("v", &error));
    points_clear();
    assert_non_null(strstr(error->message, "is complete, but the original can't be deleted"));
    assert_error(&error, CST_ERROR_BUSY);
    assert_stored("p", "v v@s w");
    assert_stored("q", "moved moved@s");
    assert_intents(0);
}

static void an_original_gets_its_name_back_after_a_late_rename(void **state)
{
    g_autoptr(GError) error = NULL;

    snapshot_v();
    late_renames = 1;
    point_watch("vol.move.deletion_failed");
    assert_false(move("v", &error));
    points_clear();
    assert_half_moved(&error);
    assert_stored("p", "v v@s w");
    assert_listed(p, "v w");
    assert_intents(0);
    assert_true(cst_vol_resize(p, "v", 1 << 17, 0, NULL, NULL));
}

/* Until then the original keeps its hidden name, and cannot be used. */
static void an_original_with_a_hidden_name_is_deleted_by_the_next_start(void **state)
{
    g_autoptr(GError) error = NULL;

    snapshot_v();
    cst_memory_fault("vol_delete", 1);
    cst_memory_fault("vol_rename", 2);
    assert_false(move("v", &error));
    cst_memory_release();
    assert_half_moved(&error);
    assert_listed(p, "w");
    assert_intents(1);
    restart();
    assert_stored("p", "w");
    assert_stored("q", "moved moved@s");
    assert_intents(0);
}

static void original_that_is_missing_after_a_failed_removal_counts_as_moved(void **state)
{
    static const uint8_t content[4096] = {1};
    g_autofree char *key = NULL;
    g_autoptr(GError) error = NULL;
    CstPoolInfo info;

    cst_memory_put("p", "w", content, sizeof(content));
    assert_true(cst_pool_refresh(p, 0, NULL, NULL));
    cst_pool_get_info(p, &info);
    assert_int_not_equal(info.allocation, 0);
    late_delete = TRUE;
    move("w", &error);
    assert_no_error(error);
    key = cst_vol_known_key(p, "w"); /* from the table */
    assert_null(key);
    assert_listed(p, "v");
    assert_listed(q, "moved");
    cst_pool_get_info(p, &info);
    assert_int_equal(info.allocation, 0);
    assert_intents(1);
    late_delete = FALSE;
    restart();
    assert_stored("p", "v");
    assert_stored("q", "moved");
    assert_intents(0);
}

/* --- moves by a rename ------------------------------------------------------------------------ */

static void a_move_that_is_refused_is_a_copy(void **state)
{
    static const CstErrorCode unsupported = CST_ERROR_UNSUPPORTED;
    g_autoptr(GError) error = NULL;

    backend.vol_rename_from = move_late;
    refused_move = &unsupported;
    snapshot_v();
    move("v", &error);
    assert_no_error(error);
    assert_stored("p", "w");
    assert_stored("q", "moved moved@s");
    assert_intents(0);
}

static void a_move_that_fails_leaves_the_volume(void **state)
{
    static const CstErrorCode io = CST_ERROR_IO;
    g_autoptr(GError) error = NULL;

    backend.vol_rename_from = move_late;
    refused_move = &io;
    assert_false(move("v", &error));
    assert_error(&error, CST_ERROR_IO);
    assert_listed(p, "v w");
    assert_listed(q, "");
    assert_intents(0);
    refused_move = NULL;
    move("v", &error);
    assert_no_error(error);
    assert_listed(p, "w");
    assert_listed(q, "moved");
    assert_intents(0);
}

static void a_move_that_was_late_is_completed_by_the_next_start(void **state)
{
    g_autoptr(GError) error = NULL;

    backend.vol_rename_from = move_late;
    late_move = TRUE;
    assert_false(move("v", &error));
    assert_error(&error, CST_ERROR_IO);
    assert_listed(p, "w");
    assert_listed(q, "moved");
    assert_intents(1);
    restart();
    assert_intents(0);
    assert_listed(q, "moved");
    assert_true(cst_vol_delete(q, "moved", 0, NULL, NULL));
}

/* --- drafts ----------------------------------------------------------------------------------- */

/* The draft is hidden before it is removed, and its intent lasts until then. */
static void assert_hidden(gpointer unused)
{
    assert_listed(p, "v w");
    assert_intents(1);
}

static void a_draft_is_hidden_before_it_is_dropped(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *made = NULL;

    backend.vol_make = NULL;
    point_run("vol.create.roll_back", assert_hidden, NULL);
    cst_memory_fault("vol_commit", 1);
    assert_false(cst_vol_create(p, "<volume><name>x</name><capacity>65536</capacity></volume>", 0,
                                NULL, &made, &error));
    assert_error(&error, CST_ERROR_IO);
    points_clear();
    assert_stored("p", "v w");
    assert_intents(0);
    make_volume("x");
}

/* --- overwritten volumes ---------------------------------------------------------------------- */

static gboolean fill_v(unsigned flags, GError **error)
{
    const CstVolConvert how = {.name = "v", .format = "raw", .flags = flags};

    return cst_vol_convert(p, p, "w", &how, NULL, error);
}

/* If no volume can be made, a copy overwrites an existing one. */
static void a_copy_into_an_existing_volume_is_flushed(void **state)
{
    static uint8_t content[65536] = {1};
    g_autoptr(GError) error = NULL;
    CstCompareReport report = {0};

    backend.vol_make = NULL;
    backend.vol_reserve = NULL;
    cst_memory_put("p", "v", content, sizeof(content));
    content[0] = 2;
    cst_memory_put("p", "w", content, sizeof(content));
    assert_true(cst_pool_refresh(p, 0, NULL, NULL));
    assert_false(fill_v(0, &error));
    assert_non_null(strstr(error->message, "holds something"));
    assert_error(&error, CST_ERROR_STATE);
    point_run("fill.filled", fail_callback, (char *)"flush");
    assert_false(fill_v(CST_VOL_CONVERT_OVERWRITE, &error));
    points_clear();
    assert_error(&error, CST_ERROR_IO);
    assert_true(cst_memory_struck());
    cst_memory_release();
    /* No claim is left, and the change is recorded. */
    assert_true(fill_v(CST_VOL_CONVERT_OVERWRITE, NULL));
    assert_true(cst_vol_compare(p, "v", p, "w", NULL, &report, NULL));
    assert_true(report.same);
    assert_stored("p", "v w");
    assert_intents(0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_rename_that_was_late_is_completed_by_the_next_start),
        TEST(snapshots_that_stay_are_removed_by_the_next_start),
        TEST(snapshot_of_another_program_is_not_removed_by_an_undo),
        TEST(pool_without_an_identity_does_not_start),
        TEST(snapshot_of_a_volume_opened_during_it_is_removed),
        TEST(original_opened_after_its_copy_is_kept),
        TEST(an_original_gets_its_name_back_after_a_late_rename),
        TEST(an_original_with_a_hidden_name_is_deleted_by_the_next_start),
        TEST(original_that_is_missing_after_a_failed_removal_counts_as_moved),
        TEST(a_move_that_is_refused_is_a_copy),
        TEST(a_move_that_fails_leaves_the_volume),
        TEST(a_move_that_was_late_is_completed_by_the_next_start),
        TEST(a_draft_is_hidden_before_it_is_dropped),
        TEST(a_copy_into_an_existing_volume_is_flushed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
