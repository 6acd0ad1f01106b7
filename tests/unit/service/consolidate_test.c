/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layers that are merged into a volume: the run of layers, their users, and their deletion. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <service/chains.h>
#include <service/events.h>
#include <service/images.h>
#include <service/snapshots.h>
#include <service/trash.h>
#include <service/trust.h>

#include "await.h"
#include "points.h"
#include "wipe.h"

/* Redefines the pool "p" with the element @element in Cistern's namespace. */
static void define_with(Fixture *f, const char *element)
{
    g_autoptr(CstPool) known = cst_service_pool_by_name(f->service, "p", NULL);
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir' xmlns:c='urn:cistern:storage:1.0'><name>p</name><uuid>%s</uuid>"
        "<target><path>%s/p</path></target>%s</pool>",
        cst_uuid_format(cst_pool_uuid(known), uuid), f->images, element);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
}

static void create_over(Fixture *f, CstPool *pool, const char *name, const char *base_pool,
                        const char *base)
{
    g_autofree char *below = g_strdup_printf("<backingStore><path>%s/%s/%s</path>"
                                             "<format type='qcow2'/></backingStore>",
                                             f->images, base_pool, base);

    fixture_create(pool, name, "qcow2", below);
}

/* Makes the chain v0 … v4 in the pool "p". */
static CstPool *make_chain(Fixture *f)
{
    CstPool *pool = fixture_pool(f, "p");

    fixture_create(pool, "v0", "qcow2", "");
    for (guint i = 1; i < 5; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);
        g_autofree char *base = g_strdup_printf("v%u", i - 1);

        create_over(f, pool, name, "p", base);
    }
    return pool;
}

static char *result_text(const CstConsolidation *result)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < result->layers->len; i++) {
        const CstMergedLayer *layer = result->layers->pdata[i];

        g_string_append_printf(text, "%s %s%s%s, ", layer->name,
                               cst_layer_state_word((int)layer->state), layer->problem ? ": " : "",
                               layer->problem ? layer->problem : "");
    }
    g_string_append_printf(text, "base %s, depth %u", result->base ? result->base : "-",
                           result->depth);
    return g_string_free(text, FALSE);
}

/* Compares "LAYER STATE[: PROBLEM], … base LAYER, depth N". */
static void assert_result(CstPool *pool, const char *name, const CstVolConsolidate *how,
                          const char *wanted)
{
    g_auto(CstConsolidation) result = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    cst_vol_consolidate(pool, name, how, NULL, &result, &error);
    assert_no_error(error);
    text = result_text(&result);
    assert_string_equal(text, wanted);
}

static void assert_plan(CstPool *pool, const char *name, const CstVolConsolidate *how,
                        const char *wanted)
{
    g_auto(CstConsolidation) result = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    cst_vol_consolidate_plan(pool, name, how, NULL, &result, &error);
    assert_no_error(error);
    text = result_text(&result);
    assert_string_equal(text, wanted);
}

static void assert_fails(CstPool *pool, const char *name, const CstVolConsolidate *how, int code,
                         const char *words)
{
    g_auto(CstConsolidation) result = {0};
    g_autoptr(GError) error = NULL;

    assert_false(cst_vol_consolidate(pool, name, how, NULL, &result, &error));
    if (!strstr(error->message, words))
        fail_msg("no \"%s\" in: %s", words, error->message);
    assert_error(&error, code);
}

/* Returns the depth of the chain of the volume @name on top; 0: it is not on top of a chain. */
static guint depth_of(CstPool *pool, const char *name)
{
    CstChainLimits limits;
    guint left;
    g_autoptr(GPtrArray) chains = cst_pool_chains(pool, &limits, &left, NULL);

    for (guint i = 0; i < chains->len; i++) {
        const CstPoolChain *chain = chains->pdata[i];

        if (strcmp(chain->volume, name) == 0)
            return chain->depth;
    }
    return 0;
}

/* --- the run of layers ------------------------------------------------------------------------ */

static const CstVolConsolidate whole = {0};

static void two_images_are_left_by_default(void **state)
{
    g_autoptr(CstPool) pool = make_chain(*state);

    assert_result(pool, "v4", &whole, "p/v3 unused, p/v2 unused, p/v1 unused, base p/v0, depth 2");
    assert_int_equal(depth_of(pool, "v4"), 2);
    assert_int_equal(depth_of(pool, "v3"), 4);
}

static void run_of_layers_ends_at_the_base_or_at_the_number_that_is_kept(void **state)
{
    const CstVolConsolidate keep = {.keep = 4}, base = {.base = "v1"};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_chain(f);
    g_autofree char *path = g_build_filename(f->images, "p", "v0", NULL);
    const CstVolConsolidate by_path = {.base = path};

    assert_result(pool, "v4", &keep, "p/v3 unused, base p/v2, depth 4");
    assert_int_equal(depth_of(pool, "v4"), 4);
    assert_result(pool, "v4", &base, "p/v2 used, base p/v1, depth 3");
    assert_result(pool, "v4", &by_path, "p/v1 used, base p/v0, depth 2");
    assert_int_equal(depth_of(pool, "v4"), 2);
}

static void chain_that_is_short_enough_stays(void **state)
{
    const CstVolConsolidate keep = {.keep = 5}, direct = {.base = "v3"};
    g_autoptr(CstPool) pool = make_chain(*state);

    assert_result(pool, "v4", &keep, "base -, depth 5");
    assert_result(pool, "v4", &direct, "base -, depth 5");
    assert_result(pool, "v1", &whole, "base -, depth 2");
    assert_result(pool, "v0", &whole, "base -, depth 1");
    assert_int_equal(depth_of(pool, "v4"), 5);
}

static void wrong_run_is_refused(void **state)
{
    const CstVolConsolidate one = {.keep = 1}, missing = {.base = "v9"}, above = {.base = "v4"},
                            flags = {.flags = 8};
    g_autoptr(CstPool) pool = make_chain(*state);

    assert_fails(pool, "v4", &one, CST_ERROR_INVALID, "(vol-flatten)");
    assert_fails(pool, "v4", &missing, CST_ERROR_NOT_FOUND, "is not based on 'v9'");
    assert_fails(pool, "v4", &above, CST_ERROR_NOT_FOUND, "is not based on 'v4'");
    assert_fails(pool, "v4", &flags, CST_ERROR_FLAGS, "0x8");
    assert_fails(pool, "none", &whole, CST_ERROR_NO_VOL, "none");
    assert_int_equal(depth_of(pool, "v4"), 5);
}

static void volume_with_snapshots_is_refused(void **state)
{
    g_autoptr(CstPool) pool = make_chain(*state);
    g_autoptr(GError) error = NULL;

    cst_vol_snapshot_create(pool, "v4", "s", 0, NULL, &error);
    assert_no_error(error);
    assert_fails(pool, "v4", &whole, CST_ERROR_STATE, "has snapshots");
    assert_int_equal(depth_of(pool, "v4"), 5);
}

static void plan_and_dry_run_change_nothing(void **state)
{
    const CstVolConsolidate remove = {.flags = CST_CONSOLIDATE_DELETE};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_chain(f);

    create_over(f, pool, "other", "p", "v2");
    assert_plan(pool, "v4", &remove, "p/v3 unused, p/v2 used, p/v1 used, base p/v0, depth 2");
    cst_dry_run_set(TRUE);
    assert_fails(pool, "v4", &remove, CST_ERROR_DRY_RUN, "");
    assert_fails(pool, "v1", &remove, CST_ERROR_DRY_RUN, "");
    cst_dry_run_set(FALSE);
    assert_int_equal(depth_of(pool, "v4"), 5);
    assert_true(fixture_exists(f, "p", "v3"));
}

static void layers_of_several_pools_are_merged(void **state)
{
    const CstVolConsolidate remove = {.flags = CST_CONSOLIDATE_DELETE};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_chain(f), other = fixture_pool(f, "q");

    create_over(f, other, "w", "p", "v4");
    create_over(f, other, "x", "q", "w");
    assert_result(other, "x", &remove,
                  "q/w deleted, p/v4 unused, p/v3 unused, p/v2 unused, "
                  "p/v1 unused, base p/v0, depth 2");
    assert_int_equal(depth_of(other, "x"), 2);
    assert_false(fixture_exists(f, "q", "w"));
    assert_true(fixture_exists(f, "p", "v4"));
}

/* The declaration of a layer permits only that layer to refer to a base outside of all pools. */
static void base_outside_of_all_pools_stays_below_the_last_layer(void **state)
{
    const CstVolDeclare declare = {.flags = CST_VOL_DECLARE_CONTENT};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");
    g_autofree char *path = g_build_filename(f->images, "q", "base", NULL);
    const CstVolConsolidate outside = {.base = path};
    g_autoptr(GError) error = NULL;

    fixture_create(other, "base", "qcow2", "");
    create_over(f, pool, "v1", "q", "base");
    for (guint i = 2; i < 5; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);
        g_autofree char *below = g_strdup_printf("v%u", i - 1);

        create_over(f, pool, name, "p", below);
    }
    cst_vol_declare(pool, "v1", &declare, NULL, &error);
    assert_no_error(error);
    assert_true(cst_pool_stop(other, NULL, NULL));
    assert_fails(pool, "v4", &outside, CST_ERROR_UNSUPPORTED, "is no volume of an active pool");
    assert_result(pool, "v4", &whole, "p/v3 unused, p/v2 unused, base p/v1, depth 3");
    assert_result(pool, "v4", &whole, "base -, depth 3");
    assert_true(cst_vol_flatten(pool, "v4", NULL, &error));
    assert_no_error(error);
}

/* A volume of an overlay gets its own content, so the overlay does not change. */
static void volume_below_an_overlay_is_consolidated(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_chain(f);

    assert_result(pool, "v3", &whole, "p/v2 unused, p/v1 unused, base p/v0, depth 2");
    assert_int_equal(depth_of(pool, "v4"), 3);
}

/* --- deletion --------------------------------------------------------------------------------- */

static void layers_without_a_user_are_deleted(void **state)
{
    const CstVolConsolidate remove = {.flags = CST_CONSOLIDATE_DELETE};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_chain(f);

    create_over(f, pool, "other", "p", "v1");
    assert_result(pool, "v4", &remove, "p/v3 deleted, p/v2 deleted, p/v1 used, base p/v0, depth 2");
    assert_false(fixture_exists(f, "p", "v3"));
    assert_false(fixture_exists(f, "p", "v2"));
    assert_true(fixture_exists(f, "p", "v1"));
    assert_int_equal(depth_of(pool, "other"), 3);
}

static void deleted_layers_are_in_the_trash(void **state)
{
    const CstVolConsolidate remove = {.flags = CST_CONSOLIDATE_DELETE};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_chain(f);
    g_autoptr(GPtrArray) trash = NULL;

    define_with(f, "<c:trash days='7'/>");
    assert_result(pool, "v4", &remove,
                  "p/v3 deleted, p/v2 deleted, p/v1 deleted, base p/v0, depth 2");
    trash = cst_pool_trash_list(pool, NULL);
    assert_int_equal(trash->len, 3);
}

static void protected_layer_stays_with_the_layers_below_it(void **state)
{
    const CstVolConsolidate remove = {.flags = CST_CONSOLIDATE_DELETE};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_chain(f);
    g_auto(CstConsolidation) result = {0};
    const CstMergedLayer *layer;

    assert_true(cst_vol_protect(pool, "v2", TRUE, NULL, NULL));
    assert_true(cst_vol_consolidate(pool, "v4", &remove, NULL, &result, NULL));
    layer = result.layers->pdata[1];
    assert_string_equal(layer->name, "p/v2");
    assert_non_null(strstr(layer->problem, "protected"));
    assert_false(fixture_exists(f, "p", "v3"));
    assert_true(fixture_exists(f, "p", "v2"));
    assert_true(fixture_exists(f, "p", "v1"));
}

static void cancel_task(gpointer task)
{
    cst_task_cancel(task);
}

static void cancel_of_the_deletion_is_a_problem_of_the_layer(void **state)
{
    const CstVolConsolidate remove = {.flags = CST_CONSOLIDATE_DELETE};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_chain(f);
    g_autoptr(CstTask) task = cst_task_new();
    g_auto(CstConsolidation) result = {0};
    g_autoptr(GError) error = NULL;
    const CstMergedLayer *layer;

    point_run("consolidate.delete", cancel_task, task);
    cst_vol_consolidate(pool, "v4", &remove, task, &result, &error);
    assert_no_error(error);
    points_clear();
    layer = result.layers->pdata[0];
    assert_int_equal(layer->state, CST_LAYER_UNUSED);
    assert_non_null(layer->problem);
    assert_true(fixture_exists(f, "p", "v3"));
    assert_int_equal(depth_of(pool, "v4"), 2);
}

static gboolean deep_is_over(Fixture *f)
{
    const CstEventQuery query = {.kind = "chain-deep", .object = "p/v5", .max = 10};
    int64_t last;
    g_autoptr(GPtrArray) rows = cst_service_events(f->service, &query, &last, NULL);

    return rows && rows->len == 2 && ((const CstEventRecord *)rows->pdata[1])->over;
}

static void event_of_a_deep_chain_ends(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_chain(f);

    define_with(f, "<c:chains warn='3'/>");
    create_over(f, pool, "v5", "p", "v4");
    assert_result(pool, "v5", &whole,
                  "p/v4 unused, p/v3 unused, p/v2 unused, p/v1 unused, base p/v0, depth 2");
    AWAIT(deep_is_over(f));
}

/* --- the length of the record ----------------------------------------------------------------- */

#define LONG_LAYERS 8

typedef struct {
    CstPool *pool;
    CstTask *task;
    const char *name;
} Consolidation;

static gpointer run_consolidation(gpointer data)
{
    const CstVolConsolidate how = {.flags = CST_CONSOLIDATE_DELETE};
    const Consolidation *work = data;
    g_auto(CstConsolidation) result = {0};
    g_autoptr(GError) error = NULL;

    cst_vol_consolidate(work->pool, work->name, &how, work->task, &result, &error);
    assert_no_error(error);
    return NULL;
}

static char *long_name(guint number)
{
    g_autofree char *fill = g_strnfill(200, 'n');

    return g_strdup_printf("%u%s", number, fill);
}

static gboolean record_names(Fixture *f, uint64_t id, const char *name)
{
    g_autoptr(CstJobInfo) job = cst_service_job(f->service, id, NULL);

    return job && job->resume && strstr(job->resume, name);
}

/* Makes the chain "0nn…" to "8nn…". */
static CstPool *make_long_chain(Fixture *f)
{
    g_autofree char *lowest = long_name(0);
    CstPool *pool = fixture_pool(f, "long");

    fixture_create(pool, lowest, "qcow2", "");
    for (guint i = 1; i <= LONG_LAYERS; i++) {
        g_autofree char *name = long_name(i), *base = long_name(i - 1);

        create_over(f, pool, name, "long", base);
    }
    return pool;
}

static void record_of_long_names_has_the_names_that_fit(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstTask) task = cst_task_new();
    g_autofree char *top = long_name(LONG_LAYERS), *first = long_name(LONG_LAYERS - 1);
    g_autofree char *last = long_name(1);
    Consolidation work = {.task = task, .name = top};
    GThread *thread;
    uint64_t id;

    fixture_restart(f, CST_SERVICE_DAEMON);
    work.pool = make_long_chain(f);
    point_hold("consolidate.delete");
    thread = g_thread_new("consolidation", run_consolidation, &work);
    point_await("consolidate.delete", 1);
    id = number_of(task);
    AWAIT(record_names(f, id, first));
    assert_false(record_names(f, id, last));
    point_release("consolidate.delete");
    g_thread_join(thread);
    points_clear();
    for (guint i = 1; i < LONG_LAYERS; i++) {
        g_autofree char *name = long_name(i);

        assert_false(fixture_exists(f, "long", name));
    }
    cst_pool_unref(work.pool);
}

/* A protected layer ends the deletion. The record then begins with that layer. */
static void record_of_a_deletion_begins_with_the_layers_that_are_left(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstTask) task = cst_task_new();
    g_autofree char *top = long_name(LONG_LAYERS), *first = long_name(LONG_LAYERS - 1);
    g_autofree char *last = long_name(1);
    Consolidation work = {.task = task, .name = top};
    GThread *thread;
    uint64_t id;

    fixture_restart(f, CST_SERVICE_DAEMON);
    work.pool = make_long_chain(f);
    assert_true(cst_vol_protect(work.pool, last, TRUE, NULL, NULL));
    point_hold("consolidate.delete");
    thread = g_thread_new("consolidation", run_consolidation, &work);
    point_await("consolidate.delete", 1);
    id = number_of(task);
    point_release("consolidate.delete");
    g_thread_join(thread);
    points_clear();
    assert_true(record_names(f, id, last));
    assert_false(record_names(f, id, first));
    cst_pool_unref(work.pool);
}

static void base_that_does_not_fit_into_the_record_is_refused(void **state)
{
    g_autofree char *base = g_strnfill(1024, 'b');
    const CstVolConsolidate how = {.base = base};
    Fixture *f = *state;
    g_auto(CstConsolidation) result = {0};
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GError) error = NULL;

    fixture_restart(f, CST_SERVICE_DAEMON);
    pool = make_chain(f);
    assert_false(cst_vol_consolidate(pool, "v4", &how, NULL, &result, &error));
    assert_error(&error, CST_ERROR_LIMIT);
    assert_false(cst_vol_commit(pool, "v4", base, 0, NULL, &error));
    assert_error(&error, CST_ERROR_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_images_are_left_by_default),
        TEST(run_of_layers_ends_at_the_base_or_at_the_number_that_is_kept),
        TEST(chain_that_is_short_enough_stays),
        TEST(wrong_run_is_refused),
        TEST(volume_with_snapshots_is_refused),
        TEST(plan_and_dry_run_change_nothing),
        TEST(layers_of_several_pools_are_merged),
        TEST(base_outside_of_all_pools_stays_below_the_last_layer),
        TEST(volume_below_an_overlay_is_consolidated),
        TEST(layers_without_a_user_are_deleted),
        TEST(deleted_layers_are_in_the_trash),
        TEST(protected_layer_stays_with_the_layers_below_it),
        TEST(cancel_of_the_deletion_is_a_problem_of_the_layer),
        TEST(event_of_a_deep_chain_ends),
        TEST(record_of_long_names_has_the_names_that_fit),
        TEST(record_of_a_deletion_begins_with_the_layers_that_are_left),
        TEST(base_that_does_not_fit_into_the_record_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
