/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Concurrent starts, stops and definitions of a pool: another call runs between the check of a
 * state and the change that relies on it.
 */
#include "memory_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "core/pool.h"
#include "core/registry.h"
#include "core/service.h"
#include "points.h"

static CstPool *pool;

static void start_pool(gpointer unused)
{
    g_autoptr(GError) error = NULL;

    cst_pool_start(pool, 0, NULL, &error);
    assert_no_error(error);
}

static void stop_pool(gpointer unused)
{
    g_autoptr(GError) error = NULL;

    cst_pool_stop(pool, NULL, &error);
    assert_no_error(error);
}

/* Returns the definition of "p" with its present UUID, on @store. The caller frees it. */
static char *xml_on(const char *store)
{
    char uuid[CST_UUID_TEXT_LEN];

    return g_strdup_printf("<pool type='rbd'><name>p</name><uuid>%s</uuid><source>"
                           "<host name='localhost'/><name>%s</name></source></pool>",
                           cst_uuid_format(cst_pool_uuid(pool), uuid), store);
}

static gboolean file_has(const char *dir, const char *words)
{
    g_autofree char *path = g_build_filename(dir, "p.xml", NULL);
    g_autofree char *content = NULL;

    return g_file_get_contents(path, &content, NULL, NULL) && strstr(content, words);
}

/* Checks the store in use, and the store of the next start. */
static void assert_stores(const char *now, const char *next)
{
    g_autofree char *live = cst_pool_get_xml(pool, 0, NULL);
    g_autofree char *later = cst_pool_get_xml(pool, CST_STORAGE_XML_INACTIVE, NULL);
    g_autofree char *now_text = g_strdup_printf("<name>%s</name>\n  </source>", now);
    g_autofree char *next_text = g_strdup_printf("<name>%s</name>\n  </source>", next);

    if (!strstr(live, now_text))
        fail_msg("not on %s: %s", now, live);
    if (!strstr(later, next_text))
        fail_msg("not on %s later: %s", next, later);
}

/* --- definitions during a start --------------------------------------------------------------- */

static void define_on_other(gpointer service)
{
    g_autofree char *xml = xml_on("other");
    g_autoptr(GError) error = NULL;

    cst_pool_unref(cst_service_pool_define(service, xml, 0, &error));
    assert_no_error(error);
}

static void definition_during_a_start_is_for_the_next_one(void **state)
{
    Fixture *f = *state;

    pool = memory_pool(f, "p");
    memory_put("other", "v", 512);
    stop_pool(NULL);
    point_run("pool.start.opened", define_on_other, f->service);
    start_pool(NULL);
    assert_stores("p", "other");
    assert_true(file_has(f->paths->pool_run_dir, "<name>p</name>\n  </source>") ||
                file_has(f->paths->pool_run_dir, "<name>p</name>\n    </source>"));
    stop_pool(NULL);
    assert_stores("other", "other");
    points_clear();
    cst_pool_unref(pool);
}

static void definition_during_a_failed_start_is_in_force(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    pool = memory_pool(f, "p");
    memory_put("other", "v", 512);
    stop_pool(NULL);
    point_run("pool.start.opened", define_on_other, f->service);
    cst_memory_fault("scan", 1);
    assert_false(cst_pool_start(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_IO);
    assert_stores("other", "other");
    start_pool(NULL);
    assert_stores("other", "other");
    points_clear();
    cst_pool_unref(pool);
}

/* The definition arrives after the start has failed, and is not replaced by an older one. */
static void definition_after_a_failed_start_is_in_force(void **state)
{
    Fixture *f = *state;

    pool = memory_pool(f, "p");
    memory_put("other", "v", 512);
    stop_pool(NULL);
    point_run("pool.start.failed", define_on_other, f->service);
    cst_memory_fault("start", 1);
    assert_false(cst_pool_start(pool, 0, NULL, NULL));
    assert_stores("other", "other");
    start_pool(NULL);
    assert_stores("other", "other");
    points_clear();
    cst_pool_unref(pool);
}

/* --- creations during another change ---------------------------------------------------------- */

typedef struct {
    CstService *service;
    char *xml;
    CstPool *made;
    GError *error;
    GThread *thread;
} Creation;

static gpointer create_pool(gpointer data)
{
    Creation *creation = data;

    creation->made =
        cst_service_pool_create(creation->service, creation->xml, 0, NULL, &creation->error);
    return NULL;
}

/* The creation has found the inactive pool, and waits for the running change. */
static void begin_creation(gpointer data)
{
    Creation *creation = data;

    creation->thread = g_thread_new("create", create_pool, creation);
    point_await("pool.wait", 1);
}

static void join_creation(gpointer creation)
{
    g_thread_join(((Creation *)creation)->thread);
}

static void creation_during_a_start_changes_no_definition(void **state)
{
    Fixture *f = *state;
    Creation creation = {.service = f->service};

    pool = memory_pool(f, "p");
    memory_put("other", "v", 512);
    stop_pool(NULL);
    creation.xml = xml_on("other");
    point_watch("pool.wait");
    point_run("pool.start.opened", begin_creation, &creation);
    start_pool(NULL);
    g_thread_join(creation.thread);
    assert_null(creation.made);
    assert_non_null(creation.error);
    assert_non_null(strstr(creation.error->message, "pool is already active as 'p'"));
    assert_error(&creation.error, CST_ERROR_STATE);
    assert_stores("p", "p");
    g_free(creation.xml);
    points_clear();
    cst_pool_unref(pool);
}

/*
 * A definition that arrives before the created one is in force takes effect when the pool is
 * stopped.
 */
static void definition_during_a_creation_is_for_the_next_start(void **state)
{
    Fixture *f = *state;
    g_autofree char *xml = NULL;

    pool = memory_pool(f, "p");
    memory_put("other", "v", 512);
    memory_put("third", "v", 512);
    stop_pool(NULL);
    xml = xml_on("third");
    point_run("pool.create.changing", define_on_other, f->service);
    cst_pool_unref(cst_service_pool_create(f->service, xml, 0, NULL, NULL));
    assert_stores("third", "other");
    stop_pool(NULL);
    assert_stores("other", "other");
    points_clear();
    cst_pool_unref(pool);
}

/* The creation has found a transient pool, which the stop removes. */
static void creation_during_the_stop_of_a_transient_pool_fails(void **state)
{
    Fixture *f = *state;
    Creation creation = {.service = f->service};
    g_autofree char *xml = memory_pool_xml("p");
    g_autoptr(CstPool) again = NULL;

    pool = cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, NULL);
    assert_non_null(pool);
    creation.xml = xml_on("p");
    point_watch("pool.wait");
    point_run("pool.stop.inactive", begin_creation, &creation);
    point_run("pool.stop.ended", join_creation, &creation);
    stop_pool(NULL);
    points_clear();
    assert_null(creation.made);
    assert_error(&creation.error, CST_ERROR_NO_POOL);
    assert_false(cst_pool_is_active(pool));
    assert_null(registry_find(f->service, "p"));
    again = cst_service_pool_create(f->service, creation.xml, 0, NULL, NULL);
    assert_non_null(again);
    assert_true(cst_pool_is_active(again));
    g_free(creation.xml);
    cst_pool_unref(pool);
}

static void removal_of_a_pool_keeps_the_next_one_of_its_name(void **state)
{
    Fixture *f = *state;
    g_autofree char *xml = memory_pool_xml("p"), *same = NULL;
    g_autoptr(CstPool) next = NULL, found = NULL;

    pool = cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, NULL);
    stop_pool(NULL);
    assert_null(registry_find(f->service, "p"));
    same = xml_on("p");
    next = cst_service_pool_create(f->service, same, 0, NULL, NULL);
    assert_ptr_not_equal(next, pool);
    registry_forget_transient(pool);
    registry_remove(pool);
    found = registry_find(f->service, "p");
    assert_ptr_equal(found, next);
    g_clear_pointer(&found, cst_pool_unref);
    found = cst_service_pool_by_uuid(f->service, cst_pool_uuid(pool), NULL);
    assert_ptr_equal(found, next);
    cst_pool_unref(pool);
}

/* --- checks before a change ------------------------------------------------------------------- */

static void assert_still_active(GError **error)
{
    assert_non_null(strstr((*error)->message, "active"));
    assert_error(error, CST_ERROR_STATE);
    assert_true(cst_pool_is_active(pool));
    assert_false(pool->changing);
}

/* The pool is started between the check and the change. */
static void started_pool_is_not_undefined(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    pool = memory_pool(f, "p");
    stop_pool(NULL);
    point_run("pool.undefine.checked", start_pool, NULL);
    assert_false(cst_pool_undefine(pool, NULL, &error));
    assert_still_active(&error);
    assert_true(file_has(f->paths->pool_dir, "<name>p</name>"));
    assert_int_equal(f->service->definitions_depth, 0);
    stop_pool(NULL);
    assert_true(cst_pool_undefine(pool, NULL, NULL));
    points_clear();
    cst_pool_unref(pool);
}

static gboolean build(GError **error)
{
    return cst_pool_build(pool, 0, NULL, error);
}

static gboolean delete (GError **error)
{
    return cst_pool_delete(pool, 0, NULL, error);
}

static void started_pool_is_neither_built_nor_deleted(void **state)
{
    gboolean (*const calls[])(GError * *error) = {build, delete};

    pool = memory_pool(*state, "p");
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) error = NULL;

        stop_pool(NULL);
        point_run("pool.inactive.checked", start_pool, NULL);
        assert_false(calls[i](&error));
        assert_still_active(&error);
        points_clear();
    }
    stop_pool(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
        assert_true(calls[i](NULL));
    cst_pool_unref(pool);
}

/* A call has found the pool, and sets its autostart after the pool was undefined. */
static void undefined_pool_gets_no_autostart_link(void **state)
{
    Fixture *f = *state;
    g_autofree char *link = g_build_filename(f->paths->autostart_dir, "p.xml", NULL);
    g_autoptr(GError) error = NULL;

    pool = memory_pool(f, "p");
    stop_pool(NULL);
    assert_true(cst_pool_undefine(pool, NULL, NULL));
    assert_false(cst_pool_set_autostart(pool, TRUE, &error));
    assert_error(&error, CST_ERROR_NO_POOL);
    assert_false(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
    cst_pool_unref(pool);
}

/* --- another process -------------------------------------------------------------------------- */

/*
 * Another process redefines the active pool and stops it. The records of the old storage are
 * dropped.
 */
static void pool_that_another_process_stopped_is_the_new_one(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstService) other = NULL;
    g_autoptr(CstPool) theirs = NULL;
    g_autoptr(GError) error = NULL;
    guint count = 0;

    pool = memory_pool(f, "p");
    memory_put("p", "a", 512);
    memory_put("p", "b", 512);
    memory_put("other", "c", 512);
    cst_pool_unref(pool);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    other = cst_service_new(f->paths, CST_SERVICE_EMBEDDED, &error);
    assert_no_error(error);
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    assert_true(cst_pool_count_volumes(pool, &count, NULL));
    assert_int_equal(count, 2);
    define_on_other(other);
    theirs = cst_service_pool_by_name(other, "p", NULL);
    assert_true(cst_pool_stop(theirs, NULL, NULL));
    cst_pool_unref(cst_service_pool_by_name(f->service, "p", NULL));
    assert_false(cst_pool_is_active(pool));
    assert_stores("other", "other");
    assert_true(cst_pool_start(theirs, 0, NULL, NULL));
    cst_pool_unref(cst_service_pool_by_name(f->service, "p", NULL));
    assert_true(cst_pool_is_active(pool));
    assert_true(cst_pool_count_volumes(pool, &count, NULL));
    assert_int_equal(count, 1);
    cst_pool_unref(pool);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, memory_setup, memory_teardown)
    const struct CMUnitTest tests[] = {
        TEST(definition_during_a_start_is_for_the_next_one),
        TEST(definition_during_a_failed_start_is_in_force),
        TEST(definition_after_a_failed_start_is_in_force),
        TEST(definition_during_a_creation_is_for_the_next_start),
        TEST(creation_during_a_start_changes_no_definition),
        TEST(creation_during_the_stop_of_a_transient_pool_fails),
        TEST(removal_of_a_pool_keeps_the_next_one_of_its_name),
        TEST(started_pool_is_not_undefined),
        TEST(started_pool_is_neither_built_nor_deleted),
        TEST(undefined_pool_gets_no_autostart_link),
        TEST(pool_that_another_process_stopped_is_the_new_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
