/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/takeover.h>
#include <store/driver_lock.h>
#include <store/pool_files.h>

#include "await.h"

static void define_keeps_the_pool_across_a_restart(void **state)
{
    Fixture *f = *state;
    g_autofree char *xml = fixture_pool_xml(f, "p");
    g_autofree char *file = g_build_filename(f->paths->pool_dir, "p.xml", NULL);
    g_autoptr(CstPool) pool = cst_service_pool_define(f->service, xml, 0, NULL);
    g_autoptr(CstPool) again = NULL;
    CstUuid uuid = *cst_pool_uuid(pool);
    struct stat st;

    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_DAEMON);
    again = cst_service_pool_by_name(f->service, "p", NULL);
    assert_non_null(again);
    assert_true(cst_uuid_equal(&uuid, cst_pool_uuid(again)));
    assert_false(cst_pool_is_active(again));
}

static void an_active_pool_is_active_after_a_restart(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(CstPool) again = NULL;
    guint count = 0;

    fixture_write(f, "p", "a.img", "x");
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_DAEMON);
    again = cst_service_pool_by_name(f->service, "p", NULL);
    assert_true(cst_pool_is_active(again));
    assert_true(cst_pool_count_volumes(again, &count, NULL));
    assert_int_equal(count, 1);
}

static void transient_pool_is_removed_when_it_stops(void **state)
{
    Fixture *f = *state;
    g_autofree char *xml = fixture_pool_xml(f, "t");
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) pool =
        cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, &error);

    assert_no_error(error);
    assert_true(cst_pool_is_active(pool));
    assert_false(cst_pool_set_autostart(pool, TRUE, &error));
    assert_error(&error, CST_ERROR_NOT_PERSISTENT);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_null(cst_service_pool_by_name(f->service, "t", &error));
    assert_error(&error, CST_ERROR_NO_POOL);
}

static void names_and_uuids_belong_to_one_pool(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *same_name = fixture_pool_xml(f, "p");
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *same_uuid = g_strdup_printf(
        "<pool type='dir'><name>q</name><uuid>%s</uuid><target><path>/q</path></target></pool>",
        cst_uuid_format(cst_pool_uuid(pool), uuid));
    g_autoptr(GError) error = NULL;

    assert_null(cst_service_pool_define(f->service, same_name, 0, &error));
    assert_error(&error, CST_ERROR_POOL_EXISTS);
    assert_null(cst_service_pool_define(f->service, same_uuid, 0, &error));
    assert_error(&error, CST_ERROR_POOL_EXISTS);
}

static void operation_in_the_wrong_state_is_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_start(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_false(cst_pool_build(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_false(cst_pool_undefine(pool, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_false(cst_pool_delete(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_false(cst_pool_stop(pool, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_false(cst_pool_refresh(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_true(cst_pool_delete(pool, 0, NULL, NULL));
    assert_true(cst_pool_undefine(pool, NULL, NULL));
}

/* A pool that is defined with the same UUID may be on other storage. */
static void undefined_pool_leaves_no_identity_of_its_storage(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    const CstUuid uuid = *cst_pool_uuid(pool);
    g_autofree char *recorded = NULL, *left = NULL;

    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_true(cst_pool_identity_load(f->paths, &uuid, &recorded, NULL));
    assert_non_null(recorded);
    assert_true(cst_pool_undefine(pool, NULL, NULL));
    assert_true(cst_pool_identity_load(f->paths, &uuid, &left, NULL));
    assert_null(left);
}

static void delete_removes_only_an_empty_directory(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    fixture_write(f, "p", "a.img", "x");
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_false(cst_pool_delete(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_IO);
    assert_true(fixture_exists(f, "p", "a.img"));
}

static void a_vanished_directory_is_a_problem_not_an_empty_pool(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *there = g_build_filename(f->images, "p", NULL);
    g_autofree char *away = g_build_filename(f->images, "away", NULL);
    g_autofree char *problem = NULL;
    g_autoptr(GError) error = NULL;
    CstPoolInfo info;

    fixture_write(f, "p", "a.img", "x");
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_int_equal(rename(there, away), 0);
    assert_int_equal(mkdir(there, 0700), 0);
    assert_false(cst_pool_refresh(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_STATE);
    cst_pool_get_info(pool, &info);
    assert_int_equal(info.state, CST_POOL_INACCESSIBLE);
    assert_int_equal(info.volumes, 1);
    problem = cst_pool_get_problem(pool);
    assert_non_null(strstr(problem, "is not the directory"));

    assert_int_equal(rmdir(there), 0);
    assert_int_equal(rename(away, there), 0);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    cst_pool_get_info(pool, &info);
    assert_int_equal(info.state, CST_POOL_RUNNING);
}

static gboolean has_problem(CstPool *pool)
{
    g_autofree char *problem = cst_pool_get_problem(pool);

    return problem != NULL;
}

static void autostart_starts_at_boot_and_retries(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *dir = g_build_filename(f->images, "p", NULL);
    g_autofree char *problem = NULL;
    g_autoptr(CstPool) again = NULL;

    assert_true(cst_pool_set_autostart(pool, TRUE, NULL));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_int_equal(rmdir(dir), 0);
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_DAEMON);
    again = cst_service_pool_by_name(f->service, "p", NULL);
    AWAIT(has_problem(again));
    problem = cst_pool_get_problem(again);
    assert_non_null(strstr(problem, dir));
    assert_false(cst_pool_is_active(again));
    assert_int_equal(mkdir(dir, 0700), 0);
    AWAIT(cst_pool_is_active(again));
}

/* --- events and lists ------------------------------------------------------------------------- */

static void note_event(const CstEvent *event, gpointer data)
{
    if (event->type == CST_EVENT_POOL_REFRESH)
        g_string_append_printf(data, "%s:refreshed ", event->name);
    else if (event->type == CST_EVENT_POOL_LIFECYCLE)
        g_string_append_printf(data, "%s:%d ", event->name, event->kind);
}

static void assert_told(GString *told, const char *expected)
{
    assert_string_equal(told->str, expected);
    g_string_truncate(told, 0);
}

/* The numbers are libvirt's: defined, undefined, started, stopped, created, deleted. */
static void every_change_of_a_pool_emits_one_event(void **state)
{
    Fixture *f = *state;
    g_autoptr(GString) told = g_string_new(NULL);
    guint id = cst_service_subscribe(f->service, note_event, told);
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *xml = fixture_pool_xml(f, "t");
    g_autoptr(CstPool) transient = NULL;

    assert_told(told, "p:0 p:4 p:2 ");
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_told(told, "p:refreshed ");
    assert_false(cst_pool_start(pool, 0, NULL, NULL));
    assert_false(cst_pool_build(pool, 0, NULL, NULL));
    assert_false(cst_pool_delete(pool, 0, NULL, NULL));
    assert_false(cst_pool_undefine(pool, NULL, NULL));
    assert_told(told, "");
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_told(told, "p:3 ");
    assert_false(cst_pool_stop(pool, NULL, NULL));
    assert_false(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_told(told, "");
    assert_true(cst_pool_delete(pool, 0, NULL, NULL));
    assert_true(cst_pool_undefine(pool, NULL, NULL));
    assert_told(told, "p:5 p:1 ");
    transient = cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, NULL);
    assert_told(told, "t:2 ");
    assert_true(cst_pool_stop(transient, NULL, NULL));
    assert_told(told, "t:3 ");
    cst_service_unsubscribe(f->service, id);
}

/* A pool must match each group of filter bits. All bits of a group together do not filter. */
static void lists_have_the_pools_that_pass_every_filter(void **state)
{
    static const struct {
        unsigned filter;
        const char *names;
    } lists[] = {
        {0, "auto off run tmp "},
        {CST_LIST_POOLS_ACTIVE, "run tmp "},
        {CST_LIST_POOLS_INACTIVE, "auto off "},
        {CST_LIST_POOLS_ACTIVE | CST_LIST_POOLS_INACTIVE, "auto off run tmp "},
        {CST_LIST_POOLS_PERSISTENT, "auto off run "},
        {CST_LIST_POOLS_TRANSIENT, "tmp "},
        {CST_LIST_POOLS_AUTOSTART, "auto "},
        {CST_LIST_POOLS_NO_AUTOSTART, "off run tmp "},
        {CST_LIST_POOLS_ACTIVE | CST_LIST_POOLS_PERSISTENT, "run "},
        {CST_LIST_POOLS_INACTIVE | CST_LIST_POOLS_TRANSIENT, ""},
        {CST_LIST_POOLS_ACTIVE | CST_LIST_POOLS_AUTOSTART, ""},
        {CST_LIST_POOLS_PERSISTENT | CST_LIST_POOLS_NO_AUTOSTART, "off run "},
        {CST_LIST_POOLS_DIR, "auto off run tmp "},
        {CST_LIST_POOLS_DIR | CST_LIST_POOLS_ACTIVE, "run tmp "},
        {CST_LIST_POOLS_RBD, ""},
        {CST_LIST_POOLS_RBD | CST_LIST_POOLS_DIR | CST_LIST_POOLS_AUTOSTART, "auto "},
    };
    Fixture *f = *state;
    g_autofree char *xml = fixture_pool_xml(f, "tmp");
    g_autoptr(CstPool) run = fixture_pool(f, "run"), off = fixture_pool(f, "off");
    g_autoptr(CstPool) automatic = fixture_pool(f, "auto");
    g_autoptr(CstPool) transient =
        cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, NULL);

    assert_true(cst_pool_set_autostart(automatic, TRUE, NULL));
    assert_true(cst_pool_stop(automatic, NULL, NULL));
    assert_true(cst_pool_stop(off, NULL, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autoptr(GPtrArray) pools = cst_service_pools(f->service, lists[i].filter, NULL);
        g_autoptr(GString) names = g_string_new(NULL);

        for (guint j = 0; j < pools->len; j++)
            g_string_append_printf(names, "%s ", cst_pool_name(g_ptr_array_index(pools, j)));
        assert_string_equal(names->str, lists[i].names);
    }
}

static void sources_are_discovered_for_supported_types(void **state)
{
    static const struct {
        const char *type, *spec;
        unsigned flags;
        CstErrorCode code;
    } wrong[] = {
        {"nonsense", NULL, 0, CST_ERROR_INVALID},
        {"logical", NULL, 1, CST_ERROR_FLAGS},
        {"logical", "<source", 0, CST_ERROR_XML_SYNTAX},
        {"dir", NULL, 0, CST_ERROR_NO_SUPPORT},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(cst_service_find_sources(f->service, wrong[i].type, wrong[i].spec,
                                             wrong[i].flags, &error));
        assert_error(&error, wrong[i].code);
    }
}

/*
 * The definitions are shown as by libvirt's daemon, so that a host can be switched between the two.
 */
static void definitions_without_a_backend_are_kept(void **state)
{
    static const char *const xml =
        "<pool type='vstorage'><name>v</name><target><path>/v</path></target></pool>";
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
    assert_false(cst_pool_start(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_UNSUPPORTED);
    assert_false(cst_pool_build(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_UNSUPPORTED);
    assert_false(cst_pool_delete(pool, 0, NULL, &error));
    assert_error(&error, CST_ERROR_UNSUPPORTED);
    cst_pool_unref(pool);

    fixture_restart(f, CST_SERVICE_DAEMON);
    pool = cst_service_pool_by_name(f->service, "v", &error);
    assert_no_error(error);
    assert_false(cst_pool_is_active(pool));
    assert_true(cst_pool_undefine(pool, NULL, NULL));
    cst_pool_unref(pool);
    assert_null(cst_service_pool_create(f->service, xml, 0, NULL, &error));
    assert_error(&error, CST_ERROR_UNSUPPORTED);
}

/* Definitions of libvirt that this program would not load or not start. */
static void a_takeover_names_the_definitions_that_would_be_lost(void **state)
{
    static const struct {
        const char *file, *text;
        const char *problem; /* NULL: no problem */
    } definitions[] = {
        {"bad.xml", "<pool", "bad.xml' would not be loaded: "},
        {"other.xml", "<pool type='dir'><name>p</name><target><path>/p</path></target></pool>",
         "other.xml' would not be loaded: "},
        {"v.xml", "<pool type='vstorage'><name>v</name><target><path>/v</path></target></pool>",
         "pool 'v' would not start: there is no backend for pools of type vstorage yet"},
        {"notes.txt", "<pool", NULL},
    };
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *dir = g_build_filename(f->paths->pool_dir, "dir.xml", NULL);
    g_autoptr(GPtrArray) problems = NULL;
    guint count = 0, expected = 0;

    assert_int_equal(mkdir(dir, 0700), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(definitions); i++) {
        g_autofree char *path = g_build_filename(f->paths->pool_dir, definitions[i].file, NULL);

        assert_true(g_file_set_contents(path, definitions[i].text, -1, NULL));
    }
    problems = cst_takeover_definitions(f->paths, &count);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < G_N_ELEMENTS(definitions); i++) {
        guint found = 0;

        for (guint j = 0; definitions[i].problem && j < problems->len; j++)
            found += strstr(g_ptr_array_index(problems, j), definitions[i].problem) != NULL;
        assert_int_equal(found, definitions[i].problem != NULL);
        expected += found;
    }
    assert_int_equal(problems->len, expected);
}

/* A pool with its own link starts. A pool whose link refers to another definition does not. */
static void foreign_links_of_autostart_are_in_nobodys_way(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) own = fixture_pool(f, "own"), other = fixture_pool(f, "other");
    g_autofree char *definition = g_build_filename(f->paths->pool_dir, "own.xml", NULL);
    g_autofree char *link = g_build_filename(f->paths->autostart_dir, "other.xml", NULL);
    g_autofree char *dangling = g_build_filename(f->paths->autostart_dir, "gone.xml", NULL);
    g_autofree char *target = NULL;

    assert_true(cst_pool_set_autostart(own, TRUE, NULL));
    assert_int_equal(symlink(definition, link), 0);
    assert_int_equal(symlink("/nowhere/gone.xml", dangling), 0);
    assert_true(cst_pool_stop(own, NULL, NULL));
    assert_true(cst_pool_stop(other, NULL, NULL));
    g_clear_pointer(&own, cst_pool_unref);
    g_clear_pointer(&other, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_DAEMON);
    own = cst_service_pool_by_name(f->service, "own", NULL);
    other = cst_service_pool_by_name(f->service, "other", NULL);
    AWAIT(cst_pool_is_active(own));
    assert_false(cst_pool_is_active(other));
    assert_true(cst_pool_set_autostart(other, FALSE, NULL));
    target = g_file_read_link(link, NULL);
    assert_string_equal(target, definition);
    g_free(target);
    target = g_file_read_link(dangling, NULL);
    assert_string_equal(target, "/nowhere/gone.xml");
}

static void embedded_service_sees_pools_of_another_process(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstService) other = NULL;
    g_autofree char *xml = fixture_pool_xml(f, "p");
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(CstPool) seen = NULL;
    g_autoptr(GError) error = NULL;

    fixture_restart(f, CST_SERVICE_EMBEDDED);
    other = cst_service_new(f->paths, CST_SERVICE_EMBEDDED, &error);
    assert_no_error(error);
    pool = cst_service_pool_define(f->service, xml, 0, &error);
    assert_no_error(error);
    seen = cst_service_pool_by_name(other, "p", &error);
    assert_no_error(error);
    assert_non_null(seen);
    assert_true(cst_pool_undefine(pool, NULL, &error));
    assert_no_error(error);
    assert_null(cst_service_pool_by_name(other, "p", &error));
    assert_error(&error, CST_ERROR_NO_POOL);
}

/* --- another definition ----------------------------------------------------------------------- */

/* Redefines "p" with its storage at @dir. */
static void redefine(CstService *service, Fixture *f, CstPool *pool, const char *dir)
{
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir'><name>p</name><uuid>%s</uuid><target><path>%s/%s</path></target></pool>",
        cst_uuid_format(cst_pool_uuid(pool), uuid), f->images, dir);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) same = cst_service_pool_define(service, xml, 0, &error);

    assert_no_error(error);
}

/* Checks the present path of the pool, and that of its next start. */
static void assert_places(CstService *service, Fixture *f, const char *now, const char *later)
{
    g_autoptr(CstPool) pool = cst_service_pool_by_name(service, "p", NULL);
    g_autofree char *now_path = g_strdup_printf("<path>%s/%s</path>", f->images, now);
    g_autofree char *later_path = g_strdup_printf("<path>%s/%s</path>", f->images, later);
    g_autofree char *live = NULL, *inactive = NULL;

    assert_non_null(pool);
    live = cst_pool_get_xml(pool, 0, NULL);
    inactive = cst_pool_get_xml(pool, CST_STORAGE_XML_INACTIVE, NULL);
    assert_non_null(strstr(live, now_path));
    assert_non_null(strstr(inactive, later_path));
}

/* An active pool keeps its definition of the start, across restarts of the service. */
static void a_new_definition_is_for_the_next_start(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_places(f->service, f, "p", "p");
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    redefine(f->service, f, pool, "other");
    assert_places(f->service, f, "p", "other");
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_places(f->service, f, "p", "other");
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_places(f->service, f, "other", "other");
}

/* An embedded service sees changes of another process from its next call on. */
static void embedded_service_follows_changes_of_another_process(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), seen = NULL;
    g_autoptr(CstService) other = NULL;

    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    other = cst_service_new(f->paths, CST_SERVICE_EMBEDDED, NULL);
    assert_places(other, f, "p", "p");
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    redefine(f->service, f, pool, "other");
    assert_places(other, f, "p", "other");
    redefine(f->service, f, pool, "p");
    assert_places(other, f, "p", "p");
    seen = cst_service_pool_by_name(other, "p", NULL);
    assert_true(cst_pool_is_active(seen));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    g_clear_pointer(&seen, cst_pool_unref);
    seen = cst_service_pool_by_name(other, "p", NULL);
    assert_false(cst_pool_is_active(seen));
    redefine(f->service, f, pool, "other");
    assert_places(other, f, "other", "other");
}

/* Wrapped with --wrap: "other" defines this as soon as the driver lock is released. */
static struct {
    CstService *other;
    const char *xml;
} upon_release;

void __real_cst_driver_lock_release(CstDriverLock *lock);
void __wrap_cst_driver_lock_release(CstDriverLock *lock);

/* There is no wait, so the time stamp of the directory may stay the same. */
void __wrap_cst_driver_lock_release(CstDriverLock *lock)
{
    CstService *other = g_steal_pointer(&upon_release.other);
    g_autoptr(CstPool) pool = NULL;

    __real_cst_driver_lock_release(lock);
    if (!other)
        return;
    await_file_clock();
    pool = cst_service_pool_define(other, upon_release.xml, 0, NULL);
    assert_non_null(pool);
}

static void a_change_right_after_an_embedded_ones_own_is_seen(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstService) other = NULL;
    g_autofree char *own_xml = fixture_pool_xml(f, "own"), *xml = fixture_pool_xml(f, "p");
    g_autoptr(CstPool) own = NULL, seen = NULL;
    g_autoptr(GError) error = NULL;

    fixture_restart(f, CST_SERVICE_EMBEDDED);
    other = cst_service_new(f->paths, CST_SERVICE_EMBEDDED, &error);
    assert_no_error(error);
    upon_release.other = other;
    upon_release.xml = xml;
    own = cst_service_pool_define(f->service, own_xml, 0, &error);
    assert_no_error(error);
    assert_null(upon_release.other);
    seen = cst_service_pool_by_name(f->service, "p", &error);
    assert_no_error(error);
    assert_non_null(seen);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(define_keeps_the_pool_across_a_restart),
        CASE(an_active_pool_is_active_after_a_restart),
        CASE(transient_pool_is_removed_when_it_stops),
        CASE(names_and_uuids_belong_to_one_pool),
        CASE(operation_in_the_wrong_state_is_refused),
        CASE(undefined_pool_leaves_no_identity_of_its_storage),
        CASE(delete_removes_only_an_empty_directory),
        CASE(a_vanished_directory_is_a_problem_not_an_empty_pool),
        CASE(autostart_starts_at_boot_and_retries),
        CASE(foreign_links_of_autostart_are_in_nobodys_way),
        CASE(every_change_of_a_pool_emits_one_event),
        CASE(lists_have_the_pools_that_pass_every_filter),
        CASE(sources_are_discovered_for_supported_types),
        CASE(definitions_without_a_backend_are_kept),
        CASE(a_takeover_names_the_definitions_that_would_be_lost),
        CASE(embedded_service_sees_pools_of_another_process),
        CASE(a_new_definition_is_for_the_next_start),
        CASE(embedded_service_follows_changes_of_another_process),
        CASE(a_change_right_after_an_embedded_ones_own_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
