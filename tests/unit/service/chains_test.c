/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The depth of backing chains: lists, limits of each operation that adds layers, and events. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <service/chains.h>
#include <service/events.h>
#include <service/images.h>

#include "await.h"
#include "points.h"

static char *path_of(Fixture *f, const char *pool, const char *name)
{
    return g_build_filename(f->images, pool, name, NULL);
}

/* Redefines the pool @name with the element @element in Cistern's namespace. */
static void define_with(Fixture *f, const char *name, const char *element)
{
    g_autoptr(CstPool) known = cst_service_pool_by_name(f->service, name, NULL);
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir' xmlns:c='urn:cistern:storage:1.0'><name>%s</name><uuid>%s</uuid>"
        "<target><path>%s/%s</path></target>%s</pool>",
        name, cst_uuid_format(cst_pool_uuid(known), uuid), f->images, name, element);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
}

/* Returns the document of a volume @name over @base of the pool @base_pool. */
static char *overlay_xml(Fixture *f, const char *name, const char *base_pool, const char *base,
                         const char *more)
{
    g_autofree char *path = path_of(f, base_pool, base);

    return g_strdup_printf("<volume><name>%s</name><capacity>1048576</capacity><target>"
                           "<format type='qcow2'/>%s</target><backingStore><path>%s</path>"
                           "<format type='qcow2'/></backingStore></volume>",
                           name, more, path);
}

static gboolean try_overlay(Fixture *f, CstPool *pool, const char *name, const char *base_pool,
                            const char *base, GError **error)
{
    g_autofree char *xml = overlay_xml(f, name, base_pool, base, "");
    g_autofree char *made = NULL;

    return cst_vol_create(pool, xml, 0, NULL, &made, error);
}

static void create_overlay(Fixture *f, CstPool *pool, const char *name, const char *base_pool,
                           const char *base)
{
    g_autoptr(GError) error = NULL;

    try_overlay(f, pool, name, base_pool, base, &error);
    assert_no_error(error);
}

/* Makes the chain v0 … v(@count - 1) in pool "p". */
static void create_chain(Fixture *f, CstPool *pool, guint count)
{
    fixture_create(pool, "v0", "qcow2", "");
    for (guint i = 1; i < count; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);
        g_autofree char *base = g_strdup_printf("v%u", i - 1);

        create_overlay(f, pool, name, "p", base);
    }
}

static void assert_refused(GError **error, const char *pool, guint depth, guint limit)
{
    g_autofree char *words = g_strdup_printf(
        "would have %u images, and the limit of pool '%s' is %u", depth, pool, limit);
    g_autofree char *step = g_strdup_printf("(pool-chains %s --refuse N)", pool);

    if (!*error || !strstr((*error)->message, words) || !strstr((*error)->message, step))
        fail_msg("no \"%s\" in: %s", words, *error ? (*error)->message : "no error");
    assert_error(error, CST_ERROR_LIMIT);
}

static gboolean try_rebase(Fixture *f, CstPool *pool, const char *name, const char *base,
                           unsigned flags, GError **error)
{
    g_autofree char *path = path_of(f, "p", base);
    const CstVolRebase how = {path, "qcow2", flags};

    return cst_vol_rebase(pool, name, &how, NULL, error);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* Compares "VOLUME DEPTH STATE: LAYER LAYER …" for each chain of the pool. */
static void assert_chains(CstPool *pool, const char *wanted)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    CstChainLimits limits;
    guint left;
    g_autoptr(GPtrArray) chains = cst_pool_chains(pool, &limits, &left, &error);

    assert_no_error(error);
    assert_int_equal(left, 0);
    for (guint i = 0; i < chains->len; i++) {
        const CstPoolChain *chain = chains->pdata[i];
        g_autofree char *layers = g_strjoinv(" ", chain->layers);

        g_string_append_printf(text, "%s %u %s%s: %s\n", chain->volume, chain->depth,
                               cst_chain_state_word(chain->state),
                               chain->is_endless ? " endless" : "", layers);
    }
    assert_string_equal(text->str, wanted);
}

static void chains_are_listed_by_the_volume_on_top_across_pools(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");

    fixture_create(pool, "alone", "qcow2", "");
    create_chain(f, pool, 2);
    create_overlay(f, other, "w", "p", "v1");
    create_overlay(f, other, "x", "q", "w");
    create_overlay(f, pool, "y", "p", "v0");
    assert_chains(pool, "y 2 ok: p/y p/v0\n");
    assert_chains(other, "x 4 ok: q/x q/w p/v1 p/v0\n");
    define_with(f, "q", "<c:chains warn='3' refuse='5'/>");
    assert_chains(other, "x 4 deep: q/x q/w p/v1 p/v0\n");
    define_with(f, "q", "<c:chains refuse='4'/>");
    assert_chains(other, "x 4 full: q/x q/w p/v1 p/v0\n");
}

static void layer_in_no_active_pool_is_listed_by_its_path(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");
    g_autofree char *path = path_of(f, "p", "v1");
    g_autofree char *wanted = g_strdup_printf("w 2 ok: q/w %s\n", path);

    create_chain(f, pool, 2);
    create_overlay(f, other, "w", "p", "v1");
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_chains(other, wanted);
}

static void loop_of_references_has_an_end(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *x = path_of(f, "p", "x"), *y = path_of(f, "p", "y");
    g_autoptr(GError) error = NULL;

    fixture_write_qcow(f, "p", "x", y);
    fixture_write_qcow(f, "p", "y", x);
    fixture_write_qcow(f, "p", "z", x);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_chains(pool, "z 3 ok endless: p/z p/x p/y\n");
    /* The walk to the overlays ends, too. */
    create_chain(f, pool, 2);
    define_with(f, "p", "<c:chains refuse='3'/>");
    try_rebase(f, pool, "x", "v1", CST_VOL_REBASE_UNSAFE, &error);
    assert_refused(&error, "p", 4, 3);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void new_overlay_above_the_limit_is_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    define_with(f, "p", "<c:chains refuse='3'/>");
    create_chain(f, pool, 3);
    assert_false(try_overlay(f, pool, "v3", "p", "v2", &error));
    assert_refused(&error, "p", 4, 3);
    assert_false(fixture_exists(f, "p", "v3"));
    create_overlay(f, pool, "beside", "p", "v1");
    define_with(f, "p", "<c:chains refuse='4'/>");
    create_overlay(f, pool, "v3", "p", "v2");
    define_with(f, "p", "");
    create_overlay(f, pool, "v4", "p", "v3");
}

static void dry_run_is_refused_as_well(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    define_with(f, "p", "<c:chains refuse='2'/>");
    create_chain(f, pool, 2);
    cst_dry_run_set(TRUE);
    try_overlay(f, pool, "v2", "p", "v1", &error);
    cst_dry_run_set(FALSE);
    assert_refused(&error, "p", 3, 2);
}

static void limit_is_that_of_the_pool_on_top(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");
    g_autoptr(GError) error = NULL;

    create_chain(f, pool, 3);
    define_with(f, "q", "<c:chains refuse='3'/>");
    assert_false(try_overlay(f, other, "w", "p", "v2", &error));
    assert_refused(&error, "q", 4, 3);
    create_overlay(f, pool, "v3", "p", "v2");
    create_overlay(f, other, "w", "p", "v1");
}

static gboolean try_clone(CstPool *pool, const char *xml, CstPool *source_pool, const char *source,
                          unsigned flags, GError **error)
{
    g_autofree char *made = NULL;

    return cst_vol_create_from(pool, xml, source_pool, source, flags, NULL, &made, error);
}

static void linked_clone_and_copy_of_an_overlay_above_the_limit_are_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");
    g_autofree char *copy = overlay_xml(f, "copy", "p", "v1", "");
    g_autoptr(GError) error = NULL;

    create_chain(f, pool, 3);
    define_with(f, "p", "<c:chains refuse='3'/>");
    define_with(f, "q", "<c:chains refuse='2'/>");
    assert_false(try_clone(pool, "<volume><name>link</name></volume>", pool, "v2",
                           CST_VOL_CREATE_LINKED, &error));
    assert_refused(&error, "p", 4, 3);
    assert_false(try_clone(other, copy, pool, "v2", 0, &error));
    assert_refused(&error, "q", 3, 2);
    assert_true(try_clone(pool, copy, pool, "v2", 0, &error));
}

/* The new image has the content of the whole chain, so it has no layers below. */
static void clone_without_a_backing_file_has_no_limit(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *xml = overlay_xml(f, "flat", "p", "v1", "<compat>0.10</compat>");
    g_autoptr(GError) error = NULL;

    create_chain(f, pool, 3);
    define_with(f, "p", "<c:chains refuse='2'/>");
    try_clone(pool, xml, pool, "v2", 0, &error);
    assert_no_error(error);
    assert_chains(pool, "v2 3 full: p/v2 p/v1 p/v0\n");
}

static void move_of_an_overlay_above_the_limit_is_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");
    const CstVolMove how = {0};
    g_autoptr(GError) error = NULL;

    create_chain(f, pool, 3);
    define_with(f, "q", "<c:chains refuse='2'/>");
    assert_false(cst_vol_move(pool, "v2", other, &how, NULL, &error));
    assert_refused(&error, "q", 3, 2);
    assert_true(fixture_exists(f, "p", "v2"));
    define_with(f, "q", "<c:chains refuse='3'/>");
    cst_vol_move(pool, "v2", other, &how, NULL, &error);
    assert_no_error(error);
}

static void rebase_above_the_limit_is_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");
    g_autoptr(GError) error = NULL;

    create_chain(f, pool, 3);
    fixture_create(pool, "single", "qcow2", "");
    create_overlay(f, other, "over", "p", "single");
    define_with(f, "p", "<c:chains refuse='3'/>");
    assert_false(try_rebase(f, pool, "single", "v2", 0, &error));
    assert_refused(&error, "p", 4, 3);
    assert_false(try_rebase(f, pool, "single", "v2", CST_VOL_REBASE_UNSAFE, &error));
    assert_refused(&error, "p", 4, 3);
    /* The overlay becomes too deep for its own pool. */
    define_with(f, "q", "<c:chains refuse='3'/>");
    assert_false(try_rebase(f, pool, "single", "v1", 0, &error));
    assert_refused(&error, "q", 4, 3);
    try_rebase(f, pool, "single", "v0", 0, &error);
    assert_no_error(error);
}

static void chain_above_a_later_limit_can_be_made_shorter(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    create_chain(f, pool, 6);
    define_with(f, "p", "<c:chains refuse='2'/>");
    try_rebase(f, pool, "v5", "v3", 0, &error);
    assert_no_error(error);
    try_rebase(f, pool, "v5", "v3", 0, &error);
    assert_no_error(error);
    assert_true(cst_vol_flatten(pool, "v5", NULL, &error));
}

/* --- events ----------------------------------------------------------------------------------- */

static gboolean events_are(Fixture *f, const char *wanted)
{
    const CstEventQuery query = {.kind = "chain-deep", .max = 100};
    int64_t last;
    g_autoptr(GPtrArray) rows = cst_service_events(f->service, &query, &last, NULL);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; rows && i < rows->len; i++) {
        const CstEventRecord *row = rows->pdata[i];

        g_string_append_printf(text, "%s%s ", row->over ? "-" : "+", row->object);
    }
    return strcmp(text->str, wanted) == 0;
}

static void deep_chain_is_one_event_until_it_is_shorter(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    define_with(f, "p", "<c:chains warn='3'/>");
    create_chain(f, pool, 4);
    AWAIT(events_are(f, "+p/v2 +p/v3 "));
    assert_true(try_rebase(f, pool, "v3", "v1", 0, NULL));
    assert_true(try_rebase(f, pool, "v3", "v0", 0, NULL));
    AWAIT(events_are(f, "+p/v2 +p/v3 -p/v3 "));
    assert_true(cst_vol_flatten(pool, "v2", NULL, NULL));
    AWAIT(events_are(f, "+p/v2 +p/v3 -p/v3 -p/v2 "));
}

static void deep_chain_is_an_event_of_the_new_name(void **state)
{
    const CstVolMove how = {0};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");
    g_autoptr(GError) error = NULL;

    define_with(f, "p", "<c:chains warn='3'/>");
    create_chain(f, pool, 3);
    assert_true(cst_vol_rename(pool, "v2", "w", NULL, &error));
    AWAIT(events_are(f, "+p/v2 -p/v2 +p/w "));
    assert_true(cst_vol_move(pool, "w", other, &how, NULL, &error));
    AWAIT(events_are(f, "+p/v2 -p/v2 +p/w -p/w "));
}

static void deep_chain_ends_with_the_setting(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    define_with(f, "p", "<c:chains warn='3'/>");
    create_chain(f, pool, 4);
    AWAIT(events_are(f, "+p/v2 +p/v3 "));
    define_with(f, "p", "<c:chains warn='4'/>");
    AWAIT(events_are(f, "+p/v2 +p/v3 -p/v2 "));
    define_with(f, "p", "");
    AWAIT(events_are(f, "+p/v2 +p/v3 -p/v2 -p/v3 "));
}

/* The chain of an inactive pool is still deep. */
static void deep_chain_of_an_inactive_pool_ends_with_the_pool(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    define_with(f, "p", "<c:chains warn='3'/>");
    create_chain(f, pool, 3);
    AWAIT(events_are(f, "+p/v2 "));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
    create_overlay(f, pool, "w", "p", "v2");
    AWAIT(events_are(f, "+p/v2 +p/w "));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_true(cst_pool_undefine(pool, NULL, NULL));
    AWAIT(events_are(f, "+p/v2 +p/w -p/v2 -p/w "));
}

static void deep_chain_of_an_inactive_pool_ends_with_the_setting(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    define_with(f, "p", "<c:chains warn='3'/>");
    create_chain(f, pool, 3);
    AWAIT(events_are(f, "+p/v2 "));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    define_with(f, "p", "<c:chains warn='4'/>");
    AWAIT(events_are(f, "+p/v2 -p/v2 "));
}

static void deep_chain_ends_with_the_storage_of_the_pool(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    define_with(f, "p", "<c:chains warn='3'/>");
    create_chain(f, pool, 3);
    AWAIT(events_are(f, "+p/v2 "));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    for (guint i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);
        g_autofree char *path = g_build_filename(f->images, "p", name, NULL);

        assert_int_equal(unlink(path), 0);
    }
    assert_true(cst_pool_delete(pool, 0, NULL, NULL));
    AWAIT(events_are(f, "+p/v2 -p/v2 "));
}

static void deep_chain_of_a_transient_pool_ends_with_its_stop(void **state)
{
    Fixture *f = *state;
    g_autofree char *xml =
        g_strdup_printf("<pool type='dir' xmlns:c='urn:cistern:storage:1.0'><name>p</name>"
                        "<target><path>%s/p</path></target><c:chains warn='3'/></pool>",
                        f->images);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) pool =
        cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, &error);

    assert_no_error(error);
    create_chain(f, pool, 3);
    AWAIT(events_are(f, "+p/v2 "));
    assert_true(cst_pool_stop(pool, NULL, NULL));
    AWAIT(events_are(f, "+p/v2 -p/v2 "));
}

static guint ends_written;

static void count_end(gpointer data)
{
    ends_written++;
}

/* An end is written at once, so a change of a volume that was not deep must not add one. */
static void volume_that_was_not_deep_causes_no_write(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    define_with(f, "p", "<c:chains warn='8'/>");
    create_chain(f, pool, 3);
    ends_written = 0;
    point_run_always("chain.record.end", count_end, NULL);
    assert_true(cst_vol_rename(pool, "v2", "w", NULL, NULL));
    assert_true(try_rebase(f, pool, "w", "v0", 0, NULL));
    assert_true(cst_vol_delete(pool, "w", 0, NULL, NULL));
    assert_int_equal(ends_written, 0);
    create_overlay(f, pool, "w", "p", "v1");
    define_with(f, "p", "<c:chains warn='2'/>");
    assert_true(cst_vol_delete(pool, "w", 0, NULL, NULL));
    assert_int_equal(ends_written, 1);
    points_clear();
}

static void rebase_below_an_overlay_is_an_event_of_the_overlay(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p"), other = fixture_pool(f, "q");

    create_chain(f, pool, 2);
    fixture_create(pool, "single", "qcow2", "");
    create_overlay(f, other, "over", "p", "single");
    define_with(f, "q", "<c:chains warn='3'/>");
    assert_true(try_rebase(f, pool, "single", "v0", 0, NULL));
    AWAIT(events_are(f, "+q/over "));
    assert_true(cst_vol_delete(other, "over", 0, NULL, NULL));
    AWAIT(events_are(f, "+q/over -q/over "));
}

static void pool_without_the_setting_has_no_event(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    create_chain(f, pool, 12);
    define_with(f, "p", "<c:chains warn='2'/>");
    create_overlay(f, pool, "last", "p", "v0");
    AWAIT(events_are(f, "+p/last "));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(chains_are_listed_by_the_volume_on_top_across_pools),
        TEST(layer_in_no_active_pool_is_listed_by_its_path),
        TEST(loop_of_references_has_an_end),
        TEST(new_overlay_above_the_limit_is_refused),
        TEST(dry_run_is_refused_as_well),
        TEST(limit_is_that_of_the_pool_on_top),
        TEST(linked_clone_and_copy_of_an_overlay_above_the_limit_are_refused),
        TEST(clone_without_a_backing_file_has_no_limit),
        TEST(move_of_an_overlay_above_the_limit_is_refused),
        TEST(rebase_above_the_limit_is_refused),
        TEST(chain_above_a_later_limit_can_be_made_shorter),
        TEST(deep_chain_is_one_event_until_it_is_shorter),
        TEST(deep_chain_is_an_event_of_the_new_name),
        TEST(deep_chain_ends_with_the_setting),
        TEST(deep_chain_of_an_inactive_pool_ends_with_the_pool),
        TEST(deep_chain_of_an_inactive_pool_ends_with_the_setting),
        TEST(deep_chain_ends_with_the_storage_of_the_pool),
        TEST(deep_chain_of_a_transient_pool_ends_with_its_stop),
        TEST(volume_that_was_not_deep_causes_no_write),
        TEST(rebase_below_an_overlay_is_an_event_of_the_overlay),
        TEST(pool_without_the_setting_has_no_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
