/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts and stops of pools that fail at each of their steps. After a failure the state is
 * unchanged, and a repeated call succeeds.
 */
#include "memory_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include <base/error.h>
#include <store/pool_files.h>

#include "core/pool.h"
#include "core/registry.h"
#include "core/service.h"
#include "core/table.h"
#include "points.h"

/* --- storage that counts, and files that fail ------------------------------------------------- */

static gint started, watched;    /* atomic: storage starts minus stops; watches */
static const char *failing_file; /* wrapped function that fails (--wrap); NULL: all succeed */
static gboolean is_another_one;  /* the storage has been replaced */

static gboolean count_start(CstPoolState *state, GError **error)
{
    if (!cst_memory_backend.start(state, error))
        return FALSE;
    g_atomic_int_inc(&started);
    return TRUE;
}

static gboolean count_stop(CstPoolState *state, GError **error)
{
    if (!cst_memory_backend.stop(state, error))
        return FALSE;
    g_atomic_int_add(&started, -1);
    return TRUE;
}

static int count_watch(CstPoolState *state, GError **error)
{
    g_atomic_int_inc(&watched);
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void read_watch(CstPoolState *state, int fd,
                       void (*changed)(const char *name, gpointer data), gpointer data)
{
}

static char *tell_identity(CstPoolState *state, GError **error)
{
    return g_strdup("this one");
}

static gboolean expect_identity(CstPoolState *state, const char *recorded, gboolean starting,
                                GError **error)
{
    return !is_another_one || cst_fail(error, CST_ERROR_IO, "the storage is another one");
}

static gboolean file_fails(const char *function, GError **error)
{
    return g_strcmp0(failing_file, function) == 0 && !cst_fail(error, CST_ERROR_IO, "%s", function);
}

gboolean __real_cst_pool_state_save(const CstPaths *paths, const CstPoolDef *def, GError **error);
gboolean __wrap_cst_pool_state_save(const CstPaths *paths, const CstPoolDef *def, GError **error);
gboolean __real_cst_pool_state_remove(const CstPaths *paths, const char *name, GError **error);
gboolean __wrap_cst_pool_state_remove(const CstPaths *paths, const char *name, GError **error);
gboolean __real_cst_pool_file_remove(const CstPaths *paths, const char *name, GError **error);
gboolean __wrap_cst_pool_file_remove(const CstPaths *paths, const char *name, GError **error);

gboolean __real_cst_pool_file_set_autostart(const CstPaths *paths, const char *name,
                                            gboolean autostart, GError **error);
gboolean __wrap_cst_pool_file_set_autostart(const CstPaths *paths, const char *name,
                                            gboolean autostart, GError **error);

gboolean __wrap_cst_pool_file_set_autostart(const CstPaths *paths, const char *name,
                                            gboolean autostart, GError **error)
{
    return !file_fails("set_autostart", error) &&
           __real_cst_pool_file_set_autostart(paths, name, autostart, error);
}

gboolean __wrap_cst_pool_state_save(const CstPaths *paths, const CstPoolDef *def, GError **error)
{
    return !file_fails("state_save", error) && __real_cst_pool_state_save(paths, def, error);
}

gboolean __wrap_cst_pool_state_remove(const CstPaths *paths, const char *name, GError **error)
{
    return !file_fails("state_remove", error) && __real_cst_pool_state_remove(paths, name, error);
}

gboolean __wrap_cst_pool_file_remove(const CstPaths *paths, const char *name, GError **error)
{
    return !file_fails("file_remove", error) && __real_cst_pool_file_remove(paths, name, error);
}

static int set_up(void **state)
{
    int result = memory_setup(state);

    test_backend.start = count_start;
    test_backend.stop = count_stop;
    test_backend.watch_open = count_watch;
    test_backend.watch_read = read_watch;
    test_backend.identity = tell_identity;
    test_backend.expect = expect_identity;
    g_atomic_int_set(&started, 0);
    g_atomic_int_set(&watched, 0);
    failing_file = NULL;
    is_another_one = FALSE;
    return result;
}

/* --- the complete state of a pool ------------------------------------------------------------- */

static void append_file(GString *text, const char *dir, const char *name)
{
    g_autofree char *file = g_strconcat(dir, "/", name, ".xml", NULL);
    g_autofree char *content = NULL;

    if (!g_file_get_contents(file, &content, NULL, NULL))
        content = g_strdup("no file\n");
    g_string_append_printf(text, "%s: %s", file, content);
}

/* Returns the recorded identity, NULL: no record. The caller frees it. */
static char *identity_of(const CstPaths *paths, const CstUuid *uuid)
{
    char *identity;

    assert_true(cst_pool_identity_load(paths, uuid, &identity, NULL));
    return identity;
}

/* Returns the files, the pool's record, its table and its storage as text. */
static char *describe(Fixture *f, CstPool *pool)
{
    g_autoptr(CstPool) found = registry_find(f->service, pool->name);
    g_autofree char *live = cst_pool_get_xml(pool, 0, NULL);
    g_autofree char *next = cst_pool_get_xml(pool, CST_STORAGE_XML_INACTIVE, NULL);
    g_autofree char *problem = cst_pool_get_problem(pool);
    g_autofree char *identity = identity_of(f->paths, &pool->uuid);
    g_autoptr(GPtrArray) sorted = pool_table_sorted(pool);
    GString *text = g_string_new(NULL);
    CstPoolInfo info;

    cst_pool_get_info(pool, &info);
    append_file(text, f->paths->pool_dir, pool->name);
    append_file(text, f->paths->pool_run_dir, pool->name);
    append_file(text, f->paths->autostart_dir, pool->name);
    g_string_append_printf(text, "%s%s", live, next);
    g_string_append_printf(text, "identity %s, problem %s\n", identity, problem);
    g_string_append_printf(text, "state %d, persistent %d, autostart %d, volumes %u, sizes %d %d\n",
                           info.state, info.persistent, info.autostart, info.volumes,
                           (int)info.capacity, (int)info.allocation);
    g_string_append_printf(
        text, "active %d, inaccessible %d, starting %d, scanned %d, changing %d, state %d\n",
        pool->active, pool->inaccessible, pool->starting, pool->scanned, pool->changing,
        pool->state != NULL || pool->next_state != NULL);
    g_string_append_printf(text, "found %d, started %d, watched %d, health %d, spaces %u\n",
                           found == pool, g_atomic_int_get(&started), g_atomic_int_get(&watched),
                           pool->health, pool->limited_spaces);
    for (guint i = 0; i < sorted->len; i++)
        g_string_append_printf(text, "%s ", ((CstVolume *)g_ptr_array_index(sorted, i))->name);
    return g_string_free(text, FALSE);
}

/* Fails the test with the first line that differs. */
static void assert_same(const char *step, const char *before, const char *after)
{
    g_auto(GStrv) left = g_strsplit(before, "\n", -1), right = g_strsplit(after, "\n", -1);

    for (guint i = 0; left[i] || right[i]; i++)
        if (!left[i] || !right[i] || strcmp(left[i], right[i]) != 0)
            fail_msg("%s: \"%s\" has become \"%s\"", step, left[i], right[i]);
}

typedef enum { CALLBACK, FILE_FUNCTION, IDENTITY } Kind;

typedef struct {
    Kind kind;
    const char *name;
} Step;

static void fail_at(const Step *step)
{
    if (step->kind == CALLBACK)
        cst_memory_fault(step->name, 1);
    else if (step->kind == FILE_FUNCTION)
        failing_file = step->name;
    else
        is_another_one = TRUE;
}

static void fail_no_more(void)
{
    failing_file = NULL;
    is_another_one = FALSE;
    cst_memory_release();
}

/* Counts the events that the daemon emits. */
static void count_event(const CstEvent *event, gpointer count)
{
    g_atomic_int_inc((gint *)count);
}

/* --- starts ----------------------------------------------------------------------------------- */

static const Step start_steps[] = {
    {CALLBACK, "start"}, {IDENTITY, "expect"},          {CALLBACK, "scan"},
    {CALLBACK, "usage"}, {FILE_FUNCTION, "state_save"},
};

static void failed_start_leaves_the_pool_as_it_was(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = memory_pool(f, "p");
    CstPoolInfo info;
    gint events = 0;
    guint id;

    memory_put("p", "v", 512);
    assert_true(cst_pool_set_autostart(pool, TRUE, NULL));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    id = cst_service_subscribe(f->service, count_event, &events);
    for (size_t i = 0; i < G_N_ELEMENTS(start_steps); i++) {
        g_autofree char *before = describe(f, pool), *after = NULL;
        g_autoptr(GError) error = NULL;

        fail_at(&start_steps[i]);
        if (cst_pool_start(pool, 0, NULL, &error))
            fail_msg("%s does not fail", start_steps[i].name);
        assert_error(&error, CST_ERROR_IO);
        fail_no_more();
        after = describe(f, pool);
        assert_same(start_steps[i].name, before, after);
        assert_int_equal(g_atomic_int_get(&events), 0);
    }
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
    assert_int_equal(g_atomic_int_get(&started), 1);
    assert_int_equal(g_atomic_int_get(&watched), 2);
    cst_pool_get_info(pool, &info);
    assert_int_equal(info.state, CST_POOL_RUNNING);
    assert_int_equal(g_atomic_int_get(&events), 1);
    cst_service_unsubscribe(f->service, id);
}

static void failed_creation_leaves_no_pool(void **state)
{
    Fixture *f = *state;
    g_autofree char *xml = memory_pool_xml("t");
    g_autofree char *file = g_build_filename(f->paths->pool_run_dir, "t.xml", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(start_steps) + 1; i++) {
        const Step build = {CALLBACK, "build"};
        const Step *step = i < G_N_ELEMENTS(start_steps) ? &start_steps[i] : &build;
        g_autoptr(GError) error = NULL;

        fail_at(step);
        if (cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, &error))
            fail_msg("%s does not fail", step->name);
        assert_error(&error, CST_ERROR_IO);
        fail_no_more();
        assert_null(cst_service_pool_by_name(f->service, "t", NULL));
        assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
        assert_int_equal(g_atomic_int_get(&started), 0);
        assert_int_equal(g_atomic_int_get(&watched), 0);
    }
    cst_pool_unref(
        cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, NULL));
    assert_int_equal(g_atomic_int_get(&started), 1);
}

/* Returns the definition of "p" with its present UUID, on another store. The caller frees it. */
static char *xml_on(CstPool *pool, const char *store)
{
    char uuid[CST_UUID_TEXT_LEN];

    return g_strdup_printf("<pool type='rbd'><name>p</name><uuid>%s</uuid><source>"
                           "<host name='localhost'/><name>%s</name></source></pool>",
                           cst_uuid_format(cst_pool_uuid(pool), uuid), store);
}

static void assert_store(CstPool *pool, const char *live, const char *next)
{
    g_autofree char *now = cst_pool_get_xml(pool, 0, NULL);
    g_autofree char *later = cst_pool_get_xml(pool, CST_STORAGE_XML_INACTIVE, NULL);
    g_autofree char *live_name = g_strdup_printf("<name>%s</name>\n  </source>", live);
    g_autofree char *next_name = g_strdup_printf("<name>%s</name>\n  </source>", next);

    if (!strstr(now, live_name) || !strstr(later, next_name))
        fail_msg("not %s, later %s:\n%s\n%s", live, next, now, later);
}

/* The definition on disk is in force again after a failure, and after the stop. */
static void created_definition_is_in_force_while_the_pool_runs_only(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = memory_pool(f, "p"), same = NULL;
    g_autofree char *xml = xml_on(pool, "other");

    memory_put("other", "v", 512);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(start_steps); i++) {
        g_autofree char *before = describe(f, pool), *after = NULL;

        fail_at(&start_steps[i]);
        assert_null(cst_service_pool_create(f->service, xml, 0, NULL, NULL));
        fail_no_more();
        after = describe(f, pool);
        assert_same(start_steps[i].name, before, after);
    }
    cst_memory_fault("build", 1);
    assert_null(cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, NULL));
    assert_store(pool, "p", "p");
    assert_false(pool->starting);
    same = cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, NULL);
    assert_ptr_equal(same, pool);
    assert_store(pool, "other", "p");
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_store(pool, "p", "p");
}

/* --- stops ------------------------------------------------------------------------------------ */

static void failed_stop_leaves_the_pool_as_it_was(void **state)
{
    static const Step steps[] = {{CALLBACK, "stop"}, {FILE_FUNCTION, "state_remove"}};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = memory_pool(f, "p");
    gint events = 0;
    guint id = cst_service_subscribe(f->service, count_event, &events);

    memory_put("p", "v", 512);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    g_atomic_int_set(&events, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autofree char *before = describe(f, pool), *after = NULL;
        g_autoptr(GError) error = NULL;

        if (steps[i].kind == FILE_FUNCTION)
            point_watch("pool.stop.failed");
        fail_at(&steps[i]);
        if (cst_pool_stop(pool, NULL, &error))
            fail_msg("%s does not fail", steps[i].name);
        assert_error(&error, CST_ERROR_IO);
        fail_no_more();
        after = describe(f, pool);
        assert_same(steps[i].name, before, after);
        assert_int_equal(g_atomic_int_get(&events), 0);
    }
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_int_equal(g_atomic_int_get(&started), 0);
    assert_int_equal(g_atomic_int_get(&events), 1);
    cst_service_unsubscribe(f->service, id);
    points_clear();
}

/* The storage is stopped first, then the state file is removed, then the pool becomes inactive. */
static void check_half_stopped(gpointer data)
{
    CstPool *pool = data;
    g_autofree char *file = g_build_filename(pool->service->paths->pool_run_dir, "p.xml", NULL);

    assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
    assert_int_equal(g_atomic_int_get(&started), 0);
    assert_true(cst_pool_is_active(pool));
    assert_true(pool->changing);
    pool_set_problem(pool, "it is slow", TRUE);
    pool->health = CST_HEALTH_FAILED;
    pool->limited_spaces = 1;
}

static void stopped_pool_is_known_no_more(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = memory_pool(f, "p");
    g_autofree char *before = NULL, *after = NULL;

    assert_true(cst_pool_stop(pool, NULL, NULL));
    before = describe(f, pool);
    memory_put("p", "v", 512);
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
    g_atomic_int_set(&watched, 1);
    point_run("pool.stop.state_removed", check_half_stopped, pool);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    after = describe(f, pool);
    assert_same("stop", before, after);
    points_clear();
}

/* --- undefine, autostart ---------------------------------------------------------------------- */

static void failed_undefine_leaves_the_pool_as_it_was(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = memory_pool(f, "p");
    g_autofree char *before = NULL, *after = NULL;
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_set_autostart(pool, TRUE, NULL));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    before = describe(f, pool);
    failing_file = "file_remove";
    assert_false(cst_pool_undefine(pool, NULL, &error));
    assert_error(&error, CST_ERROR_IO);
    failing_file = NULL;
    after = describe(f, pool);
    assert_same("undefine", before, after);
    /* The lock of the definitions is released: another thread can change them. */
    assert_int_equal(f->service->definitions_depth, 0);
    assert_true(cst_pool_undefine(pool, NULL, NULL));
    assert_null(registry_find(f->service, "p"));
    assert_null(identity_of(f->paths, &pool->uuid));
}

/* The link exists before the pool is shown as autostarted. */
static void check_half_autostarted(gpointer data)
{
    CstPool *pool = data;
    g_autofree char *link = g_build_filename(pool->service->paths->autostart_dir, "p.xml", NULL);
    gboolean shown;

    assert_true(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
    assert_true(cst_pool_get_autostart(pool, &shown, NULL));
    assert_false(shown);
}

static void failed_autostart_leaves_the_pool_as_it_was(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = memory_pool(f, "p");

    for (int enabled = 0; enabled < 2; enabled++) {
        g_autofree char *before = describe(f, pool), *after = NULL;
        g_autoptr(GError) error = NULL;

        failing_file = "set_autostart";
        assert_false(cst_pool_set_autostart(pool, !enabled, &error));
        assert_error(&error, CST_ERROR_IO);
        failing_file = NULL;
        after = describe(f, pool);
        assert_same("autostart", before, after);
        assert_int_equal(f->service->definitions_depth, 0);
        if (!enabled)
            point_run("pool.autostart.saved", check_half_autostarted, pool);
        assert_true(cst_pool_set_autostart(pool, !enabled, NULL));
        assert_int_equal(pool->autostart, !enabled);
    }
    points_clear();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, memory_teardown)
    const struct CMUnitTest tests[] = {
        TEST(failed_start_leaves_the_pool_as_it_was),
        TEST(failed_creation_leaves_no_pool),
        TEST(created_definition_is_in_force_while_the_pool_runs_only),
        TEST(failed_stop_leaves_the_pool_as_it_was),
        TEST(stopped_pool_is_known_no_more),
        TEST(failed_undefine_leaves_the_pool_as_it_was),
        TEST(failed_autostart_leaves_the_pool_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
