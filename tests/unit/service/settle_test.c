/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Operations on remote storage that were neither finished nor undone. They stay in the journal
 * until the storage permits the undo. During that time no volume is visible.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/log_context.h>
#include <base/units.h>
#include <pool/memory.h>
#include <pool/registry.h>

#include "await.h"
#include "fixture.h"
#include "points.h"

/* --- storage whose cleanup fails on request --------------------------------------------------- */

static CstBackend backend;
static gint broken; /* atomic */
static gint tries;  /* atomic: attempts to clean up since the storage broke */
static gint serial; /* atomic: request of the last attempt; 0: no request */

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == backend.type;
}

static gboolean is_broken(GError **error)
{
    if (!g_atomic_int_get(&broken))
        return FALSE;
    g_atomic_int_set(&serial, cst_log_context() ? (gint)cst_log_context()->serial : 0);
    g_atomic_int_inc(&tries);
    cst_fail(error, CST_ERROR_IO, "the storage does not answer");
    return TRUE;
}

static gboolean fake_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    return !is_broken(error) && cst_memory_backend.vol_abandon(state, token, error);
}

static gboolean fake_drop_drafts(CstPoolState *state, GError **error)
{
    return !is_broken(error) && cst_memory_backend.drop_drafts(state, error);
}

static void set_broken(gboolean is)
{
    g_atomic_int_set(&tries, 0);
    g_atomic_int_set(&broken, is);
}

/* --- a pool on it ----------------------------------------------------------------------------- */

static char *pool_xml(const char *store)
{
    return g_strdup_printf("<pool type='rbd'><name>p</name><source><host name='localhost'/>"
                           "<name>%s</name></source></pool>",
                           store);
}

static CstPool *start_pool(Fixture *f, const char *store)
{
    g_autofree char *xml = pool_xml(store);
    g_autoptr(GError) error = NULL;
    CstPool *pool =
        cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, &error);

    assert_no_error(error);
    return pool;
}

static gboolean create(CstPool *pool, const char *name, GError **error)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity unit='MiB'>1</capacity></volume>", name);
    g_autofree char *made = NULL;

    return cst_vol_create(pool, xml, 0, NULL, &made, error);
}

/* Creates a volume that fails at the commit and then cannot be undone. */
static void leave_half_made(CstPool *pool, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_memory_fault("vol_commit", 1);
    set_broken(TRUE);
    assert_false(create(pool, name, &error));
    assert_error(&error, CST_ERROR_IO);
}

static guint count_intents(Fixture *f)
{
    g_autofree char *path = g_build_filename(f->paths->data_dir, "journal", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;

    while (dir && g_dir_read_name(dir))
        count++;
    return count;
}

/* Drafts are listed as "token.part". */
static guint count_drafts(const char *store)
{
    g_auto(GStrv) names = cst_memory_list(store);
    guint count = 0;

    for (char **name = names; *name; name++)
        count += g_str_has_suffix(*name, ".part");
    return count;
}

static void assert_left(Fixture *f, const char *store, guint count)
{
    assert_int_equal(count_intents(f), count);
    assert_int_equal(count_drafts(store), count);
}

static void wait_until_settled(Fixture *f, const char *store)
{
    AWAIT(count_intents(f) == 0);
    assert_left(f, store, 0);
}

static void wait_for_tries(gint count)
{
    AWAIT(g_atomic_int_get(&tries) >= count);
}

/* The volume is neither listed nor found by its name, even after a refresh. */
static void assert_no_volume(CstPool *pool, const char *name)
{
    g_autoptr(GError) error = NULL;
    guint count = 1;

    assert_false(cst_pool_has_volume(pool, name, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    assert_true(cst_pool_count_volumes(pool, &count, NULL));
    assert_int_equal(count, 0);
}

static void failed_undo_is_retried(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = start_pool(f, "store");

    leave_half_made(pool, "v");
    assert_no_volume(pool, "v");
    assert_left(f, "store", 1);
    /* Attempts: at once at the failure, and a second later, for each draft and each pool. */
    wait_for_tries(5);
    assert_no_volume(pool, "v");
    assert_left(f, "store", 1);
    set_broken(FALSE);
    wait_until_settled(f, "store");
    assert_no_volume(pool, "v");
}

/* Later attempts in another thread are logged for the request that left the draft. */
static void its_request_is_known_to_each_try(void **state)
{
    Fixture *f = *state;
    CstLogContext context = {.connection = 12, .serial = 7};
    g_autoptr(CstPool) pool = start_pool(f, "store");

    cst_log_push(&context);
    leave_half_made(pool, "v");
    cst_log_pop(&context);
    g_atomic_int_set(&serial, 0);
    wait_for_tries(5);
    assert_int_equal(g_atomic_int_get(&serial), 7);
    set_broken(FALSE);
    wait_until_settled(f, "store");
}

/* The name is free, and the later undo concerns only the first volume. */
static void another_volume_of_the_name_is_left_alone(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = start_pool(f, "store");
    g_autoptr(GError) error = NULL;

    leave_half_made(pool, "v");
    assert_true(create(pool, "v", &error));
    assert_left(f, "store", 1);
    set_broken(FALSE);
    wait_until_settled(f, "store");
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_true(cst_pool_has_volume(pool, "v", &error));
    assert_true(cst_vol_delete(pool, "v", 0, NULL, &error));
}

static void the_next_daemon_keeps_it_until_it_is_undone(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = start_pool(f, "store");

    leave_half_made(pool, "v");
    g_clear_pointer(&pool, cst_pool_unref);
    g_clear_pointer(&f->service, cst_service_free);
    set_broken(TRUE);
    fixture_restart(f, CST_SERVICE_DAEMON);
    wait_for_tries(2);
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    assert_no_volume(pool, "v");
    assert_left(f, "store", 1);
    set_broken(FALSE);
    wait_until_settled(f, "store");
    assert_true(create(pool, "v", NULL));
}

/* A starting program does not access storage, because it may not answer for a long time. */
static void a_start_waits_for_no_storage(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = start_pool(f, "store");

    leave_half_made(pool, "v");
    g_clear_pointer(&pool, cst_pool_unref);
    g_clear_pointer(&f->service, cst_service_free);
    set_broken(TRUE);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    assert_int_equal(g_atomic_int_get(&tries), 0);
    assert_left(f, "store", 1);
    set_broken(FALSE);
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_left(f, "store", 0);
}

/* The pool may have other storage by then, with drafts of its own. */
static void it_is_undone_where_it_was_begun(void **state)
{
    Fixture *f = *state;
    CstPool *pool = start_pool(f, "store");

    point_watch("autostart.task.tried");
    leave_half_made(pool, "v");
    /* A running attempt locks the record, so the start of the next pool would skip it. */
    point_await("autostart.task.tried", 1);
    points_clear();
    assert_true(cst_pool_stop(pool, NULL, NULL));
    cst_pool_unref(pool);
    assert_left(f, "store", 1);
    set_broken(FALSE);
    pool = start_pool(f, "other");
    wait_until_settled(f, "store");
    cst_pool_unref(pool);
}

/* For users inspecting the state left by a dead process. */
static void intent_names_its_operation_and_volume(void **state)
{
    static const struct {
        const char *key, *value;
    } fields[] = {{"operation", "create"}, {"pool", "p"}, {"volume", "v"}};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = start_pool(f, "store");
    g_autofree char *dir_path = g_build_filename(f->paths->data_dir, "journal", NULL);
    g_autoptr(GDir) dir = NULL;
    g_autofree char *path = NULL;
    g_autoptr(GKeyFile) record = g_key_file_new();

    leave_half_made(pool, "v");
    dir = g_dir_open(dir_path, 0, NULL);
    path = g_build_filename(dir_path, g_dir_read_name(dir), NULL);
    assert_true(g_key_file_load_from_file(record, path, G_KEY_FILE_NONE, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autofree char *value = g_key_file_get_string(record, "intent", fields[i].key, NULL);

        assert_string_equal(value, fields[i].value);
    }
    set_broken(FALSE);
    wait_until_settled(f, "store");
}

/* --- volumes that cannot be scanned after a change -------------------------------------------- */

static uint64_t listed_capacity(CstPool *pool)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_DETAILS, &error);

    assert_no_error(error);
    assert_int_equal(rows->len, 1);
    return ((const CstVolRow *)g_ptr_array_index(rows, 0))->info.capacity;
}

/* A list shows the result of a change without waiting for the next refresh. */
static void volume_is_scanned_again_when_it_is_listed(void **state)
{
    g_autoptr(CstPool) pool = start_pool(*state, "store");
    g_autoptr(GError) error = NULL;

    assert_true(create(pool, "v", NULL));
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    /* One scan before the resize and one after it. */
    cst_memory_fault("scan_one", 2);
    cst_vol_resize(pool, "v", 2 * CST_MIB, 0, NULL, &error);
    assert_no_error(error);
    assert_true(cst_memory_struck());
    assert_int_equal(listed_capacity(pool), 2 * CST_MIB);
}

/* --- pools that cannot be adopted ------------------------------------------------------------- */

/* Its storage may be in use, so a pool that cannot be read stays active, with a problem. */
static void pool_with_unreadable_storage_stays_active(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = start_pool(f, "store");
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&pool, cst_pool_unref);
    cst_memory_fault_as("check", 1, CST_ERROR_IO);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_true(cst_memory_struck());
    pool = cst_service_pool_by_name(f->service, "p", &error);
    assert_no_error(error);
    assert_true(cst_pool_is_active(pool));
}

/* A transient pool exists only by its state on the host. A persistent pool becomes inactive. */
static void pool_that_fails_its_check_is_not_active(void **state)
{
    Fixture *f = *state;
    g_autofree char *xml = pool_xml("store");
    g_autoptr(CstPool) pool = start_pool(f, "store");
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&pool, cst_pool_unref);
    cst_memory_fault_as("check", 1, CST_ERROR_MISMATCH);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_true(cst_memory_struck());
    assert_null(cst_service_pool_by_name(f->service, "p", &error));
    assert_error(&error, CST_ERROR_NO_POOL);
    pool = cst_service_pool_define(f->service, xml, 0, &error);
    assert_no_error(error);
    assert_true(cst_pool_start(pool, 0, NULL, &error));
    g_clear_pointer(&pool, cst_pool_unref);
    cst_memory_fault_as("check", 1, CST_ERROR_MISMATCH);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_true(cst_memory_struck());
    pool = cst_service_pool_by_name(f->service, "p", &error);
    assert_no_error(error);
    assert_false(cst_pool_is_active(pool));
    assert_true(cst_pool_start(pool, 0, NULL, &error));
}

static int set_up(void **state)
{
    backend = cst_memory_backend;
    backend.vol_make = NULL; /* every volume is made as a draft */
    backend.remote = TRUE;
    backend.vol_abandon = fake_vol_abandon;
    backend.drop_drafts = fake_drop_drafts;
    set_broken(FALSE);
    return fixture_setup(state);
}

static int tear_down(void **state)
{
    set_broken(FALSE);
    fixture_teardown(state);
    cst_memory_release();
    cst_memory_clear();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(failed_undo_is_retried),
        TEST(its_request_is_known_to_each_try),
        TEST(another_volume_of_the_name_is_left_alone),
        TEST(the_next_daemon_keeps_it_until_it_is_undone),
        TEST(a_start_waits_for_no_storage),
        TEST(it_is_undone_where_it_was_begun),
        TEST(intent_names_its_operation_and_volume),
        TEST(volume_is_scanned_again_when_it_is_listed),
        TEST(pool_with_unreadable_storage_stays_active),
        TEST(pool_that_fails_its_check_is_not_active),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
