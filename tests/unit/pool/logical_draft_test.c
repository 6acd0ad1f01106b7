/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drafts under the volume's final name. A tag and the host's intents distinguish them from volumes.
 */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "fake_lvm.h"

#define OTHER "11111111-2222-3333-4444-555555555555"
#define TAG   "cistern:intent=" TOKEN

static struct {
    GHashTable *drafts; /* drafts with an intent */
    gboolean unreadable;
    const char *ends;    /* the intent of this token ends right after it was read */
    const char *removes; /* this file is removed by then */
} journal;

static GHashTable *lend_drafts(gpointer unused, GError **error)
{
    GHashTable *drafts;
    GHashTableIter iter;
    gpointer token, volume;

    if (journal.unreadable) {
        cst_fail(error, CST_ERROR_IO, "no journal");
        return NULL;
    }
    drafts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_iter_init(&iter, journal.drafts);
    while (g_hash_table_iter_next(&iter, &token, &volume))
        g_hash_table_insert(drafts, g_strdup(token), g_strdup(volume));
    if (journal.ends)
        g_hash_table_remove(journal.drafts, journal.ends);
    if (journal.removes)
        unlink(journal.removes);
    return drafts;
}

static const CstPoolHost host = {.drafts = lend_drafts};

static int set_up(void **unused)
{
    journal.drafts = g_hash_table_new(g_str_hash, g_str_equal);
    journal.unreadable = FALSE;
    journal.ends = journal.removes = NULL;
    if (fake_set_up(unused) != 0)
        return -1;
    fake_state->host = &host;
    return 0;
}

static int tear_down(void **unused)
{
    g_hash_table_unref(journal.drafts);
    return fake_tear_down(unused);
}

/* --- lookups ---------------------------------------------------------------------------------- */

static CstVolume *none_known(const char *name, gpointer data)
{
    return NULL;
}

static void note(CstVolume *volume, gpointer names)
{
    g_string_append_printf(names, "%s ", volume->name);
    cst_volume_unref(volume);
}

static void assert_lists(const char *expected)
{
    g_autoptr(GString) names = g_string_new(NULL);
    CstScan scan = {.known = none_known, .sink = note, .data = names};

    assert_true(cst_pool_state_scan(fake_state, &scan, NULL, NULL));
    assert_string_equal(names->str, expected);
}

/* Checks the lookup by a report and by the kernel's data. */
static void assert_seen(const char *name, gboolean seen)
{
    g_autofree char *listed = seen ? g_strconcat(name, " ", NULL) : g_strdup("");

    logical_cache_invalidate(LOGICAL(fake_state));
    assert_int_equal(fake_is_seen(name), seen);
    assert_lists(listed);
    assert_int_equal(fake_is_seen(name), seen);
}

static void begin(const char *token, const char *volume)
{
    g_hash_table_insert(journal.drafts, (gpointer)token, (gpointer)volume);
}

static void end(const char *token)
{
    g_hash_table_remove(journal.drafts, token);
}

static CstVolDef *of_kind(const char *kind)
{
    CstVolDef *def = fake_volume("new", 8 * MIB);

    if (strcmp(kind, "thin") == 0)
        cst_options_add(&def->options, "thin", "yes");
    if (strcmp(kind, "sparse") == 0) {
        def->has_allocation = TRUE;
        def->allocation = 3 * MIB;
    }
    if (strcmp(kind, "snapshot") == 0) {
        g_autofree char *origin = g_strdup_printf("%s/vg/disk", lvm_host.dev);

        def->backing = cst_backing_def_new(origin, NULL);
    }
    return def;
}

/* --- recognising drafts ----------------------------------------------------------------------- */

static void a_draft_is_a_volume_when_its_intent_ends(void **unused)
{
    g_autoptr(CstVolDef) def = of_kind("thick");
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autoptr(CstVolume) volume = NULL;

    fake_on_known_device();
    begin(TOKEN, "new");
    assert_true(cst_pool_state_reserve(fake_state, def, &draft, NULL));
    assert_true(fake_was_called("lvcreate -y -n new --addtag " TAG " -L8192k vg\n"));
    assert_seen("new", FALSE);
    assert_true(cst_blob_pwrite(draft.blob, "full", 4, 0, NULL));
    assert_true(cst_pool_state_commit(fake_state, &draft, def, NULL));
    assert_seen("new", FALSE);
    end(TOKEN);
    assert_seen("new", TRUE);
    assert_true(cst_pool_state_scan_one(fake_state, "new", NULL, &volume, NULL));
    assert_int_equal(volume->mode, 0600);
    fake_assert_holds("new", "full");
    assert_false(fake_was_called("lvrename"));
    assert_false(fake_was_called("lvchange"));
}

/* Only one lvcreate, and no report, even while other processes make drafts. */
static void clone_needs_one_call(void **unused)
{
    g_autoptr(CstVolDef) def = of_kind("thick");
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};

    fake_on_known_device();
    assert_lists("");
    fake_put("log", "");
    begin(OTHER, "another");
    begin(TOKEN, "new");
    assert_true(cst_pool_state_reserve(fake_state, def, &draft, NULL));
    assert_true(cst_pool_state_commit(fake_state, &draft, def, NULL));
    end(TOKEN);
    assert_true(fake_is_seen("new"));
    fake_assert_calls("lvcreate ");
}

static void every_kind_has_the_tag(void **unused)
{
    static const char *const kinds[] = {"thick", "sparse", "thin", "snapshot"};

    fake_add_disk(FALSE);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(CstVolDef) def = of_kind(kinds[i]);
        g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};

        begin(TOKEN, "new");
        assert_true(cst_pool_state_reserve(fake_state, def, &draft, NULL));
        assert_false(fake_is_seen("new"));
        g_clear_pointer(&draft.blob, cst_blob_unref);
        assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
        assert_false(fake_has("new"));
        end(TOKEN);
    }
}

static void a_clone_that_shares_has_the_tag_and_a_name_for_its_snapshots(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("new", 16 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autoptr(GPtrArray) list = NULL;

    fake_add_disk(TRUE);
    begin(TOKEN, "new");
    assert_true(cst_pool_state_reserve_clone(fake_state, def, "disk", NULL, &draft, NULL));
    assert_false(fake_is_seen("new"));
    assert_non_null(draft.name);
    assert_true(cst_pool_state_snapshot_create(fake_state, draft.name, "s", &(CstSnapshotCreate){0},
                                               NULL, NULL));
    assert_true(cst_pool_state_commit(fake_state, &draft, def, NULL));
    end(TOKEN);
    assert_true(fake_is_seen("new"));
    assert_false(fake_was_called("lvrename"));
    list = cst_pool_state_snapshots(fake_state, "new", NULL);
    assert_int_equal(list->len, 1);
    assert_string_equal(((CstSnapshot *)list->pdata[0])->name, "s");
}

/* As after a move to another host: an LV without an intent is a volume, despite its tag. */
static void unknown_tag_is_ignored(void **unused)
{
    fake_on_known_device();
    fake_add("new", 8 * MIB, "-wi-a-----", "", TAG);
    begin(OTHER, "another");
    assert_seen("new", TRUE);
}

static void intent_does_not_hide_an_lv_of_another_program(void **unused)
{
    fake_on_known_device();
    fake_add("new", 8 * MIB, "-wi-a-----", "", "cistern:intent=" OTHER);
    begin(TOKEN, "new");
    assert_seen("new", TRUE);
}

/* An unreadable record may belong to a draft with any name, so a report decides. */
static void a_draft_of_an_unknown_name_is_hidden(void **unused)
{
    fake_on_known_device();
    fake_add("new", 8 * MIB, "-wi-a-----", "", TAG);
    begin(TOKEN, "");
    assert_seen("new", FALSE);
}

/* Without the journal the state is unknown: the call fails, and no partial volume is listed. */
static void listing_fails_without_the_journal(void **unused)
{
    g_autoptr(GString) names = g_string_new(NULL);
    CstScan scan = {.known = none_known, .sink = note, .data = names};
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) error = NULL, one = NULL;

    fake_on_known_device();
    fake_add("new", 8 * MIB, "-wi-a-----", "", TAG);
    assert_lists("new ");
    journal.unreadable = TRUE;
    assert_false(cst_pool_state_scan(fake_state, &scan, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_IO);
    assert_string_equal(names->str, "");
    assert_false(cst_pool_state_scan_one(fake_state, "new", NULL, &volume, &one));
    assert_int_equal(one->code, CST_ERROR_IO);
}

/* The report with the draft is older than the end of its intent. */
static void volume_rolled_back_by_another_process_is_not_listed(void **unused)
{
    g_autofree char *node = fake_path("dev/vg/new");

    fake_add("new", 8 * MIB, "-wi-a-----", "", TAG);
    assert_int_equal(unlink(node), 0);
    assert_lists("");
}

/* The same for the kernel's data. */
static void volume_rolled_back_during_a_scan_is_not_listed(void **unused)
{
    g_autofree char *node = fake_path("dev/vg/new");

    fake_on_known_device();
    fake_add("new", 8 * MIB, "-wi-a-----", "", TAG);
    assert_lists("new ");
    journal.removes = node;
    assert_false(fake_is_seen("new"));
}

/* An earlier report may have another LV of that name. */
static void draft_is_searched_in_a_new_report(void **unused)
{
    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    fake_add("new", 8 * MIB, "-wi-a-----", "", "");
    assert_lists("new ");
    fake_add("new", 8 * MIB, "-wi-a-----", "", TAG);
    begin(TOKEN, "new");
    assert_false(fake_is_seen("new"));
}

/* The first read of the intents requires a report. The intent ends before the report. */
static void intent_that_ends_during_a_scan_shows_the_volume(void **unused)
{
    fake_on_known_device();
    fake_add("new", 8 * MIB, "-wi-a-----", "", TAG);
    assert_lists("new ");
    begin(TOKEN, "new");
    journal.ends = TOKEN;
    assert_true(fake_is_seen("new"));
}

/* --- failures --------------------------------------------------------------------------------- */

static void draft_never_replaces_an_existing_lv(void **unused)
{
    g_autoptr(CstVolDef) def = of_kind("thick");
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autofree char *node = fake_path("dev/vg/new");
    g_autoptr(GError) error = NULL;

    begin(TOKEN, "new");
    fake_add("new", 8 * MIB, "-wi-------", "", "");
    assert_int_equal(unlink(node), 0); /* inactive: only lvcreate finds it */
    assert_false(cst_pool_state_reserve(fake_state, def, &draft, &error));
    assert_int_equal(error->code, CST_ERROR_VOL_EXISTS);
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    assert_true(fake_has("new"));
    assert_false(fake_was_called("lvremove"));
}

static void failed_lvcreate_leaves_no_lv(void **unused)
{
    static const char *const lies[] = {"fail", "failing", "dying", "nothing", "small", "full"};

    for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autoptr(CstVolDef) def = of_kind("thick");
        g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
        g_autoptr(GError) error = NULL;

        begin(TOKEN, "new");
        fake_lie("lvcreate", lies[i]);
        assert_false(cst_pool_state_reserve(fake_state, def, &draft, &error));
        assert_non_null(error);
        assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
        end(TOKEN);
        assert_int_equal(fake_count(), 0);
        assert_lists("");
    }
}

static void only_the_draft_of_the_token_is_dropped(void **unused)
{
    fake_add("other", 8 * MIB, "-wi-a-----", "", "cistern:intent=" OTHER);
    fake_add("plain", 8 * MIB, "-wi-a-----", "", "");
    fake_add("new", 8 * MIB, "-wi-a-----", "", TAG);
    begin(TOKEN, "new");
    begin(OTHER, "other");
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    assert_false(fake_has("new"));
    assert_true(fake_has("other") && fake_has("plain"));
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(fake_has("other") && fake_has("plain"));
}

/* --- a tool that outlives its caller ---------------------------------------------------------- */

static void let_tool_go(gpointer unused)
{
    fake_put("go", "");
}

/* Starts lvcreate, which waits for a signal file before its work. Returns its process. */
static GPid lvcreate_late(const char *token)
{
    g_autofree char *tag = g_strconcat("cistern:intent=", token, NULL);
    /* paced: a pause between two polls */
    static const char script[] = "while ! [ -e $FAKE_LVM/go ]; do sleep 0.02; done;"
                                 "lvcreate -y -n new --addtag $0 -L8192k vg; :";
    const char *argv[] = {"sh", "-c", script, tag, NULL};
    GPid pid = 0;

    assert_true(g_spawn_async(NULL, (char **)argv, NULL,
                              G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                              NULL));
    return pid;
}

static void a_draft_that_is_still_being_made_is_waited_for(void **unused)
{
    GPid tool;

    begin(TOKEN, "new");
    tool = lvcreate_late(TOKEN);
    point_run("logical.draft.wait", let_tool_go, NULL);
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    points_clear();
    assert_int_equal(waitpid(tool, NULL, 0), tool);
    assert_true(fake_was_called("lvcreate -y -n new"));
    assert_int_equal(fake_count(), 0);
}

static void a_tool_that_does_not_end_keeps_the_intent(void **unused)
{
    unsigned patience = lvm_host.linger_s;
    g_autoptr(GError) error = NULL;
    GPid tool;

    begin(TOKEN, "new");
    lvm_host.linger_s = 0;
    tool = lvcreate_late(TOKEN);
    assert_false(cst_pool_state_abandon(fake_state, TOKEN, &error));
    assert_int_equal(error->code, CST_ERROR_BUSY);
    lvm_host.linger_s = patience;
    let_tool_go(NULL);
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    assert_int_equal(waitpid(tool, NULL, 0), tool);
    assert_int_equal(fake_count(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_draft_is_a_volume_when_its_intent_ends),
        TEST(clone_needs_one_call),
        TEST(every_kind_has_the_tag),
        TEST(a_clone_that_shares_has_the_tag_and_a_name_for_its_snapshots),
        TEST(unknown_tag_is_ignored),
        TEST(intent_does_not_hide_an_lv_of_another_program),
        TEST(a_draft_of_an_unknown_name_is_hidden),
        TEST(listing_fails_without_the_journal),
        TEST(volume_rolled_back_by_another_process_is_not_listed),
        TEST(volume_rolled_back_during_a_scan_is_not_listed),
        TEST(draft_is_searched_in_a_new_report),
        TEST(intent_that_ends_during_a_scan_shows_the_volume),
        TEST(draft_never_replaces_an_existing_lv),
        TEST(failed_lvcreate_leaves_no_lv),
        TEST(only_the_draft_of_the_token_is_dropped),
        TEST(a_draft_that_is_still_being_made_is_waited_for),
        TEST(a_tool_that_does_not_end_keeps_the_intent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
