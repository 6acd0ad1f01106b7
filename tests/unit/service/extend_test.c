/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The extender, above simulated spaces of a pool. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/pool.h>
#include <service/events.h>
#include <service/extend.h>

#include "core/service.h"

#include "await.h"
#include "points.h"

#define SIZE UINT64_C(1000)

/* The simulated group. The lock guards the members below; the extender's thread reads them. */
static struct {
    GMutex lock;
    uint64_t free, size[CST_GROWTH_LAST], used[CST_GROWTH_LAST];
    gboolean by_system, list_fails, grow_fails, unread;
    gboolean held; /* an extension waits until it is FALSE */
    GCond released;
    guint reads;
    GString *grown; /* a letter for each extension */
} group;

static CstExtender *extender;

gboolean __wrap_cst_pool_state_check_growths(CstPoolState *state, GError **error);
GPtrArray *__wrap_cst_pool_state_growths(CstPoolState *state, gboolean now, GError **error);
gboolean __wrap_cst_pool_state_growth_use(CstPoolState *state, CstGrowth *growth, GError **error);
gboolean __wrap_cst_pool_state_grow(CstPoolState *state, const CstGrowth *growth, uint64_t size,
                                    GError **error);

gboolean __wrap_cst_pool_state_check_growths(CstPoolState *state, GError **error)
{
    return TRUE;
}

/* The order is not that of the extension. A space of size 0 does not exist. */
GPtrArray *__wrap_cst_pool_state_growths(CstPoolState *state, gboolean now, GError **error)
{
    GPtrArray *growths = g_ptr_array_new_with_free_func((GDestroyNotify)cst_growth_free);
    CstGrowth *growth = cst_growth_new(CST_GROWTH_GROUP, "g", "g");

    g_mutex_lock(&group.lock);
    growth->size = 100 * SIZE;
    growth->used = growth->size - group.free;
    g_ptr_array_add(growths, growth);
    for (int kind = CST_GROWTH_LAST - 1; kind > CST_GROWTH_GROUP; kind--) {
        if (group.size[kind] == 0)
            continue;
        growth = cst_growth_new((CstGrowthKind)kind, "tp", "tp");
        growth->size = group.size[kind];
        growth->used = group.used[kind];
        growth->by_system = now && group.by_system;
        g_ptr_array_add(growths, growth);
    }
    if (group.list_fails) {
        cst_fail(error, CST_ERROR_FAILED, "the report fails");
        g_clear_pointer(&growths, g_ptr_array_unref);
    }
    g_mutex_unlock(&group.lock);
    return growths;
}

gboolean __wrap_cst_pool_state_growth_use(CstPoolState *state, CstGrowth *growth, GError **error)
{
    gboolean known;

    g_mutex_lock(&group.lock);
    known = !group.unread && group.size[growth->kind] > 0;
    if (known)
        growth->used = (uint64_t)((double)group.used[growth->kind] * (double)growth->size /
                                  (double)group.size[growth->kind]);
    group.reads++;
    g_mutex_unlock(&group.lock);
    return known || cst_fail(error, CST_ERROR_STATE, "suspended");
}

gboolean __wrap_cst_pool_state_grow(CstPoolState *state, const CstGrowth *growth, uint64_t size,
                                    GError **error)
{
    static const char letters[] = "gmds";
    gboolean fails;

    g_mutex_lock(&group.lock);
    while (group.held)
        g_cond_wait(&group.released, &group.lock);
    fails = group.grow_fails;
    if (!fails) {
        group.free -= size - group.size[growth->kind];
        group.size[growth->kind] = size;
        g_string_append_c(group.grown, letters[growth->kind]);
    }
    g_mutex_unlock(&group.lock);
    return !fails || cst_fail(error, CST_ERROR_FAILED, "lvextend is broken");
}

/* --- helpers ---------------------------------------------------------------------------------- */

static int extender_setup(void **state)
{
    group.free = 10 * SIZE;
    memset(group.size, 0, sizeof(group.size));
    memset(group.used, 0, sizeof(group.used));
    group.held = group.by_system = group.list_fails = group.grow_fails = group.unread = FALSE;
    group.reads = 0;
    group.grown = g_string_new(NULL);
    return fixture_setup(state);
}

static int extender_teardown(void **state)
{
    cst_extender_stop(g_steal_pointer(&extender));
    g_string_free(group.grown, TRUE);
    return fixture_teardown(state);
}

static void set_space(CstGrowthKind kind, uint64_t used)
{
    g_mutex_lock(&group.lock);
    if (group.size[kind] == 0)
        group.size[kind] = SIZE;
    group.used[kind] = used;
    g_mutex_unlock(&group.lock);
}

static void set_free(uint64_t bytes)
{
    g_mutex_lock(&group.lock);
    group.free = bytes;
    g_mutex_unlock(&group.lock);
}

static void set_flag(gboolean *flag, gboolean value)
{
    g_mutex_lock(&group.lock);
    *flag = value;
    g_mutex_unlock(&group.lock);
}

static gboolean has_grown(const char *letters)
{
    gboolean equal;

    g_mutex_lock(&group.lock);
    equal = strcmp(group.grown->str, letters) == 0;
    g_mutex_unlock(&group.lock);
    return equal;
}

static guint reads(void)
{
    guint count;

    g_mutex_lock(&group.lock);
    count = group.reads;
    g_mutex_unlock(&group.lock);
    return count;
}

/* Defines pool "p" again. @attributes NULL: without the setting. */
static void define(Fixture *f, const char *attributes)
{
    g_autoptr(CstPool) known = cst_service_pool_by_name(f->service, "p", NULL);
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *head =
        g_strdup_printf("<uuid>%s</uuid><target>", cst_uuid_format(cst_pool_uuid(known), uuid));
    g_autofree char *xml = fixture_pool_xml(f, "p");
    g_autoptr(GString) text = g_string_new(xml);
    g_autofree char *element =
        g_strdup_printf("<c:autoextend xmlns:c='" CST_XML_NAMESPACE "' %s/></pool>", attributes);
    g_autoptr(CstPool) pool = NULL;

    g_string_replace(text, "<target>", head, 0);
    if (attributes)
        g_string_replace(text, "</pool>", element, 0);
    pool = cst_service_pool_define(f->service, text->str, 0, NULL);
    assert_non_null(pool);
}

/* Returns the events of kind @kind: "+" for each begin, "-" for each end. */
static char *events_of(Fixture *f, const char *kind)
{
    const CstEventQuery query = {.kind = kind, .max = 100};
    int64_t last;
    g_autoptr(GPtrArray) rows = cst_service_events(f->service, &query, &last, NULL);
    GString *text = g_string_new(NULL);

    for (guint i = 0; rows && i < rows->len; i++)
        g_string_append_c(text, ((const CstEventRecord *)rows->pdata[i])->over ? '-' : '+');
    return g_string_free(text, FALSE);
}

static gboolean events_are(Fixture *f, const char *kind, const char *wanted)
{
    g_autofree char *text = events_of(f, kind);

    return strcmp(text, wanted) == 0;
}

/* Returns the problem that pool-autoextend shows. */
static char *problem_of(CstPool *pool)
{
    char *problem;
    g_autoptr(GPtrArray) growths = cst_pool_growths(pool, &problem, NULL);

    return problem;
}

static gboolean problem_has(CstPool *pool, const char *words)
{
    g_autofree char *problem = problem_of(pool);

    return problem && strstr(problem, words);
}

static gboolean has_no_problem(CstPool *pool)
{
    g_autofree char *problem = problem_of(pool);

    return !problem;
}

static gboolean create(CstPool *pool, const char *name, GError **error)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity>4096</capacity></volume>", name);
    g_autofree char *made = NULL;

    return cst_vol_create(pool, xml, 0, NULL, &made, error);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void metadata_is_extended_before_data_and_data_before_snapshots(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    for (int kind = CST_GROWTH_METADATA; kind < CST_GROWTH_LAST; kind++)
        set_space((CstGrowthKind)kind, 850);
    define(f, "threshold='80' step='20'");
    extender = cst_extender_start(f->service);
    AWAIT(has_grown("mds"));
    AWAIT(events_are(f, "pool-extended", "+++"));
    assert_int_equal(group.size[CST_GROWTH_DATA], 1200);
    assert_true(events_are(f, "pool-extend-failed", ""));
}

static void use_that_grows_is_extended_when_it_reaches_the_threshold(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    guint before;

    set_space(CST_GROWTH_DATA, 790);
    define(f, "threshold='80' step='20'");
    extender = cst_extender_start(f->service);
    AWAIT(reads() > 2);
    assert_true(has_grown(""));
    set_space(CST_GROWTH_DATA, 800);
    AWAIT(has_grown("d"));
    before = reads();
    AWAIT(reads() > before + 2);
    assert_true(has_grown("d"));
}

/* A small step leaves the use above the threshold. */
static void extension_is_repeated_until_the_use_is_below_the_threshold(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    set_space(CST_GROWTH_DATA, 1000);
    define(f, "threshold='80' step='10'");
    extender = cst_extender_start(f->service);
    AWAIT(has_grown("ddd"));
}

static void space_without_room_is_one_event_and_refuses_new_volumes_until_there_is_room(
    void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;
    guint before;

    set_space(CST_GROWTH_DATA, 850);
    set_free(500);
    define(f, "threshold='80' step='20' reserve='500'");
    extender = cst_extender_start(f->service);
    AWAIT(events_are(f, "pool-extend-failed", "+"));
    assert_true(problem_has(pool, "above the reserve of 500.00 B"));
    assert_false(create(pool, "v", &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    /* A further attempt gives no further event. */
    before = reads();
    define(f, "threshold='80' step='20' reserve='500'");
    AWAIT(reads() > before);
    assert_true(events_are(f, "pool-extend-failed", "+"));
    set_free(10 * SIZE);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    AWAIT(has_grown("d"));
    AWAIT(events_are(f, "pool-extend-failed", "+-"));
    assert_true(has_no_problem(pool));
    assert_true(create(pool, "v", &error));
}

static void space_at_its_maximum_is_a_problem_until_the_use_falls(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    set_space(CST_GROWTH_DATA, 850);
    define(f, "threshold='80' maximum='1000'");
    extender = cst_extender_start(f->service);
    AWAIT(problem_has(pool, "maximum"));
    set_space(CST_GROWTH_DATA, 10);
    AWAIT(events_are(f, "pool-extend-failed", "+-"));
    assert_true(has_grown(""));
}

static void full_snapshot_that_cannot_be_extended_does_not_refuse_volumes(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    set_space(CST_GROWTH_SNAPSHOT, 850);
    set_free(0);
    define(f, "threshold='80'");
    extender = cst_extender_start(f->service);
    AWAIT(problem_has(pool, "snapshot"));
    assert_true(create(pool, "v", NULL));
}

static void full_thin_pool_after_a_full_snapshot_is_an_event_of_its_own(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    set_space(CST_GROWTH_SNAPSHOT, 850);
    set_space(CST_GROWTH_DATA, 10);
    set_free(0);
    define(f, "threshold='80'");
    extender = cst_extender_start(f->service);
    AWAIT(events_are(f, "pool-extend-failed", "+"));
    set_space(CST_GROWTH_DATA, 850);
    AWAIT(events_are(f, "pool-extend-failed", "+-+"));
    assert_true(problem_has(pool, "thin pool"));
    assert_false(create(pool, "v", NULL));
}

/* A failed extension of one space does not delay the extension of another one. */
static void failure_of_a_tool_is_reported_with_its_message(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    set_space(CST_GROWTH_METADATA, 850);
    set_flag(&group.grow_fails, TRUE);
    define(f, "threshold='80'");
    extender = cst_extender_start(f->service);
    AWAIT(problem_has(pool, "the metadata of thin pool 'tp': lvextend is broken"));
    set_flag(&group.grow_fails, FALSE);
    AWAIT(has_grown("m"));
    set_flag(&group.list_fails, TRUE);
    set_space(CST_GROWTH_METADATA, 1200);
    AWAIT(problem_has(pool, "the report fails"));
    set_flag(&group.list_fails, FALSE);
    AWAIT(has_no_problem(pool));
}

static void space_of_dmeventd_is_left_to_it(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    set_space(CST_GROWTH_DATA, 950);
    set_flag(&group.by_system, TRUE);
    define(f, "threshold='80'");
    extender = cst_extender_start(f->service);
    AWAIT(reads() > 0);
    /* The second reading follows the decision about the first one. */
    define(f, "threshold='80'");
    AWAIT(reads() > 1);
    assert_true(has_grown(""));
    assert_true(has_no_problem(pool));
}

static void setting_is_in_force_and_ends_while_the_pool_is_active(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    set_space(CST_GROWTH_DATA, 850);
    set_free(0);
    extender = cst_extender_start(f->service);
    assert_int_equal(reads(), 0);
    define(f, "threshold='80'");
    AWAIT(events_are(f, "pool-extend-failed", "+"));
    define(f, NULL);
    AWAIT(events_are(f, "pool-extend-failed", "+-"));
    assert_true(has_no_problem(pool));
    set_free(10 * SIZE);
    define(f, "threshold='80'");
    AWAIT(has_grown("d"));
}

static void extension_follows_a_restart_of_the_pool(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    define(f, "threshold='80'");
    extender = cst_extender_start(f->service);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    set_space(CST_GROWTH_DATA, 850);
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
    AWAIT(has_grown("d"));
}

/* The kernel does not report the use of a space that is suspended. */
static void space_that_cannot_be_read_is_read_again(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    set_space(CST_GROWTH_DATA, 850);
    set_flag(&group.unread, TRUE);
    define(f, "threshold='80'");
    extender = cst_extender_start(f->service);
    AWAIT(reads() > 0);
    assert_true(has_grown(""));
    set_flag(&group.unread, FALSE);
    AWAIT(has_grown("d"));
}

static void release_extension(gpointer unused)
{
    g_mutex_lock(&group.lock);
    group.held = FALSE;
    g_cond_broadcast(&group.released);
    g_mutex_unlock(&group.lock);
}

static void stop_waits_for_a_running_extension(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    set_space(CST_GROWTH_DATA, 850);
    set_flag(&group.held, TRUE);
    define(f, "threshold='80'");
    point_run("extend.stop.wait", release_extension, NULL);
    extender = cst_extender_start(f->service);
    AWAIT(reads() > 0);
    cst_extender_stop(g_steal_pointer(&extender));
    assert_true(has_grown("d"));
    points_clear();
}

static void inactive_pool_has_no_spaces(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *problem = NULL;
    g_autoptr(GPtrArray) growths = NULL;

    assert_true(cst_pool_stop(pool, NULL, NULL));
    growths = cst_pool_growths(pool, &problem, NULL);
    assert_int_equal(growths->len, 0);
    assert_null(problem);
}

#define EXTENDER_TEST(name) cmocka_unit_test_setup_teardown(name, extender_setup, extender_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXTENDER_TEST(metadata_is_extended_before_data_and_data_before_snapshots),
        EXTENDER_TEST(use_that_grows_is_extended_when_it_reaches_the_threshold),
        EXTENDER_TEST(extension_is_repeated_until_the_use_is_below_the_threshold),
        EXTENDER_TEST(space_without_room_is_one_event_and_refuses_new_volumes_until_there_is_room),
        EXTENDER_TEST(space_at_its_maximum_is_a_problem_until_the_use_falls),
        EXTENDER_TEST(full_snapshot_that_cannot_be_extended_does_not_refuse_volumes),
        EXTENDER_TEST(full_thin_pool_after_a_full_snapshot_is_an_event_of_its_own),
        EXTENDER_TEST(failure_of_a_tool_is_reported_with_its_message),
        EXTENDER_TEST(space_of_dmeventd_is_left_to_it),
        EXTENDER_TEST(setting_is_in_force_and_ends_while_the_pool_is_active),
        EXTENDER_TEST(extension_follows_a_restart_of_the_pool),
        EXTENDER_TEST(space_that_cannot_be_read_is_read_again),
        EXTENDER_TEST(stop_waits_for_a_running_extension),
        EXTENDER_TEST(inactive_pool_has_no_spaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
