/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The logical backend with misbehaving tools (fake-lvm). Real LVM is tested in tests/lab. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/pool.h>

#include "../captured.h"
#include "fake_lvm.h"

/* --- lookups ---------------------------------------------------------------------------------- */

static CstVolume *none_known(const char *name, gpointer data)
{
    return NULL;
}

static void collect(CstVolume *volume, gpointer data)
{
    g_ptr_array_add(data, volume);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Returns the sorted names of a scan; NULL: the scan failed. */
static char *names_of(GError **error)
{
    g_autoptr(GPtrArray) volumes = g_ptr_array_new_with_free_func((GDestroyNotify)cst_volume_unref);
    CstScan scan = {.known = none_known, .sink = collect, .data = volumes};
    g_autoptr(GString) names = g_string_new(NULL);
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();

    if (!cst_pool_state_scan(fake_state, &scan, NULL, error)) {
        assert_int_equal(volumes->len, 0);
        return NULL;
    }
    for (guint i = 0; i < volumes->len; i++)
        g_ptr_array_add(sorted, ((CstVolume *)g_ptr_array_index(volumes, i))->name);
    g_ptr_array_sort(sorted, compare_names);
    for (guint i = 0; i < sorted->len; i++)
        g_string_append_printf(names, "%s ", (char *)g_ptr_array_index(sorted, i));
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static void a_listing_shows_volumes_and_hides_parts(void **unused)
{
    g_autofree char *names = NULL;

    fake_add("plain", 8 * MIB, "-wi-a-----", "", "");
    fake_add("thin", 16 * MIB, "Vwi-a-tz--", "", "");
    fake_add("tp", 32 * MIB, "twi-aotz--", "", "");
    fake_add("off", 4 * MIB, "-wi-------", "", "");
    fake_add(".cistern-00.snap", 8 * MIB, "sri-a-s---", "plain", "");
    names = names_of(NULL);
    assert_string_equal(names, "plain thin ");
}

static void volume_reports_its_path_key_and_allocation(void **unused)
{
    g_autoptr(CstVolume) plain = NULL, thin = NULL, snap = NULL;
    const CstVolExtent *extent;

    fake_add("plain", 8 * MIB, "owi-a-s---", "", "");
    fake_add("thin", 16 * MIB, "Vwi-a-tz--", "", "");
    fake_add("snap", 4 * MIB, "swi-a-s---", "plain", "");
    assert_true(cst_pool_state_scan_one(fake_state, "plain", NULL, &plain, NULL));
    assert_true(cst_pool_state_scan_one(fake_state, "thin", NULL, &thin, NULL));
    assert_true(cst_pool_state_scan_one(fake_state, "snap", NULL, &snap, NULL));
    assert_int_equal(plain->allocation, 8 * MIB);
    assert_string_equal(plain->extra->key, "uuid-plain");
    extent = g_ptr_array_index(plain->extra->extents, 0);
    assert_string_equal(extent->path, "/dev/sda");
    assert_int_equal(extent->start, 8 * MIB);
    assert_int_equal(extent->end, 16 * MIB);
    assert_true(thin->allocation > 7 * MIB && thin->allocation <= 8 * MIB);
    assert_string_equal(cst_options_get(thin->extra->options, "data-percent"), "50.00");
    assert_int_equal(snap->capacity, 8 * MIB);
    assert_int_equal(snap->allocation, 4 * MIB);
    assert_string_equal(snap->extra->backing_path, "/dev/vg/plain");
}

/* For each defect of the report: an error and no list, never a shorter list. */
static void a_report_that_is_not_whole_is_no_list(void **unused)
{
    static const struct {
        const char *how;
        CstErrorCode code;
    } rows[] = {
        {"fail", CST_ERROR_FAILED},     {"silent", CST_ERROR_FAILED},
        {"nothing", CST_ERROR_CORRUPT}, {"garbage", CST_ERROR_CORRUPT},
        {"cut", CST_ERROR_CORRUPT},     {"half", CST_ERROR_FAILED},
        {"drop", CST_ERROR_CORRUPT},    {"failing", CST_ERROR_FAILED},
        {"dying", CST_ERROR_FAILED},    {"hang", CST_ERROR_TIMEOUT},
    };

    fake_add("a", 8 * MIB, "-wi-a-----", "", "");
    fake_add("b", 8 * MIB, "-wi-a-----", "", "");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_lie("lvm", rows[i].how);
        assert_null(names_of(&error));
        if (error->code != (int)rows[i].code)
            fail_msg("%s: %s", rows[i].how, error->message);
    }
}

static void warnings_with_a_complete_lvm_report_are_ignored(void **unused)
{
    g_autofree char *names = NULL;

    fake_add("a", 8 * MIB, "-wi-a-----", "", "");
    fake_lie("lvm", "noisy");
    names = names_of(NULL);
    assert_string_equal(names, "a ");
}

static void numbers_that_do_not_add_up_are_refused(void **unused)
{
    static const char *const reports[] = {
        "{\"report\": []}",
        "{\"report\": [{}]}",
        "[]",
        "{\"report\": [{\"vg\": [{\"vg_name\":\"vg\"}], \"pv\": [], \"lv\": [], \"seg\": []}]}",
        "{\"report\": [{\"vg\": [{\"vg_name\":\"other\", \"vg_uuid\":\"u\", \"vg_size\":\"1\", "
        "\"vg_free\":\"0\", \"vg_extent_size\":\"4\", \"pv_count\":\"0\", \"lv_count\":\"0\"}], "
        "\"pv\": [], \"lv\": [], \"seg\": []}]}",
        "{\"report\": [{\"vg\": [{\"vg_name\":\"vg\", \"vg_uuid\":\"u\", \"vg_size\":\"1\", "
        "\"vg_free\":\"0\", \"vg_extent_size\":\"4\", \"pv_count\":\"1\", \"lv_count\":\"0\"}], "
        "\"pv\": [], \"lv\": [], \"seg\": []}]}",
        "{\"report\": [{\"vg\": [{\"vg_name\":\"vg\", \"vg_uuid\":\"u\", \"vg_size\":1, "
        "\"vg_free\":\"0\", \"vg_extent_size\":\"4\", \"pv_count\":\"0\", \"lv_count\":\"0\"}], "
        "\"pv\": [], \"lv\": [], \"seg\": []}]}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(reports); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(lvm_group_parse("vg", reports[i], &error));
        assert_int_equal(error->code, CST_ERROR_CORRUPT);
    }
}

/* --- changes ---------------------------------------------------------------------------------- */

static void a_volume_appears_when_it_is_finished(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("disk", 5 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autofree char *before = NULL, *after = NULL;
    uint64_t size = 0;

    assert_true(cst_pool_state_reserve(fake_state, def, &draft, NULL));
    assert_false(draft.zeroed);
    assert_true(cst_blob_get_size(draft.blob, &size, NULL));
    assert_int_equal(size, 8 * MIB);
    before = names_of(NULL);
    assert_string_equal(before, "");
    assert_true(cst_pool_state_commit(fake_state, &draft, def, NULL));
    after = names_of(NULL);
    assert_string_equal(after, "disk ");
}

/*
 * Either the volume exists and the call succeeds, or it does not exist and the call reports an
 * error.
 */
static void lvm_creation_is_verified_after_any_result_of_the_tool(void **unused)
{
    static const struct {
        const char *tool, *how;
        gboolean made;
        CstErrorCode code;
    } rows[] = {
        {"lvcreate", "fail", FALSE, CST_ERROR_FAILED},
        {"lvcreate", "full", FALSE, CST_ERROR_NO_SPACE},
        {"lvcreate", "silent", FALSE, CST_ERROR_FAILED},
        {"lvcreate", "nothing", FALSE, CST_ERROR_NOT_FOUND},
        {"lvcreate", "hang", FALSE, CST_ERROR_TIMEOUT},
        {"lvcreate", "dying", FALSE, CST_ERROR_FAILED},
        {"lvrename", "fail", FALSE, CST_ERROR_FAILED},
        {"lvrename", "nothing", FALSE, CST_ERROR_FAILED},
        {"lvrename", "failing", TRUE, CST_ERROR_LAST},
        {"lvrename", "dying", TRUE, CST_ERROR_LAST},
        {"lvrename", "noisy", TRUE, CST_ERROR_LAST},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        gboolean made;

        fake_lie(rows[i].tool, rows[i].how);
        made = fake_create("disk", &error);
        if (made != rows[i].made || (error && error->code != (int)rows[i].code))
            fail_msg("%s %s: %s", rows[i].tool, rows[i].how, error ? error->message : "made");
        assert_int_equal(fake_has("disk"), made);
        assert_int_equal(fake_count(), made ? 1 : 0);
        fake_lie(rows[i].tool, "");
        if (made)
            assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

static void existing_lv_name_is_reported(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("disk", 5 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autoptr(GError) early = NULL, late = NULL;

    assert_true(cst_pool_state_reserve(fake_state, def, &draft, NULL));
    fake_add("disk", 4 * MIB, "-wi-a-----", "", "");
    assert_false(cst_pool_state_commit(fake_state, &draft, def, &late));
    assert_int_equal(late->code, CST_ERROR_VOL_EXISTS);
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    assert_int_equal(fake_count(), 1);
    assert_false(fake_create("disk", &early));
    assert_int_equal(early->code, CST_ERROR_VOL_EXISTS);
}

static void lvm_deletion_is_verified_after_any_result_of_the_tool(void **unused)
{
    static const struct {
        const char *how;
        gboolean gone;
    } rows[] = {{"fail", FALSE},   {"nothing", FALSE}, {"hang", FALSE},
                {"failing", TRUE}, {"dying", TRUE},    {"noisy", TRUE}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_add("disk", 4 * MIB, "-wi-a-----", "", "");
        fake_add("other", 4 * MIB, "-wi-a-----", "", "");
        fake_lie("lvremove", rows[i].how);
        assert_int_equal(cst_pool_state_delete(fake_state, "disk", 0, &error), rows[i].gone);
        assert_int_equal(error == NULL, rows[i].gone);
        assert_int_equal(fake_has("disk"), !rows[i].gone);
        assert_true(fake_has("other"));
    }
}

static void origin_with_dependents_is_not_removed(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("disk", 8 * MIB, "owi-a-s---", "", "");
    fake_add("snap", 4 * MIB, "swi-a-s---", "disk", "");
    assert_false(cst_pool_state_delete(fake_state, "disk", 0, &error));
    assert_int_equal(error->code, CST_ERROR_BUSY);
    assert_non_null(strstr(error->message, "remove 1 volumes and 0 snapshots"));
    assert_true(fake_has("disk") && fake_has("snap"));
}

static void resize_without_effect_is_reported(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstVolume) volume = NULL;

    fake_add("disk", 8 * MIB, "-wi-a-----", "", "");
    fake_lie("lvextend", "nothing");
    assert_false(cst_pool_state_vol_resize(fake_state, "disk", 16 * MIB, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_FAILED);
    fake_lie("lvextend", "dying");
    assert_true(cst_pool_state_vol_resize(fake_state, "disk", 15 * MIB, NULL, NULL));
    assert_true(cst_pool_state_scan_one(fake_state, "disk", NULL, &volume, NULL));
    assert_int_equal(volume->capacity, 16 * MIB);
    fake_lie("lvextend", "fail");
    assert_true(cst_pool_state_vol_resize(fake_state, "disk", 14 * MIB, NULL, NULL));
    assert_true(cst_pool_state_vol_resize(fake_state, "disk", 4 * MIB, NULL, NULL));
}

static void lvm_drafts_of_dead_processes_are_removed_and_of_live_ones_kept(void **unused)
{
    g_autofree char *mine = cst_draft_name(TOKEN);

    fake_add(mine, 4 * MIB, "-wi-a-----", "", "");
    fake_add(".cistern-0123456789abcdef0123456789abcdef.0000_1_1.part", 4 * MIB, "-wi-a-----", "",
             "");
    fake_add("disk", 4 * MIB, "-wi-a-----", "", "");
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(fake_has(mine) && fake_has("disk"));
    assert_int_equal(fake_count(), 2);
}

/* A volume with a temporary name gets its name back, unless its successor has the name. */
static void a_swap_that_was_cut_short_is_ended(void **unused)
{
    const char *old = ".cistern-0123456789abcdef0123456789abcdef.0000_1_1.old";

    fake_add(old, 8 * MIB, "Vwi-a-tz--", "", "cistern:was=disk");
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(fake_has("disk"));
    assert_int_equal(fake_count(), 1);
    fake_add(old, 8 * MIB, "Vwi-a-tz--", "", "cistern:was=disk");
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(fake_has("disk"));
    assert_int_equal(fake_count(), 1);
}

static void pool_recover_drafts(gconstpointer unused)
{
    assert_true(cst_pool_state_settle(fake_state, NULL));
}

/* The other LVs are recovered, and the log names the LV without a former name. */
static void swap_without_a_tag_is_reported_and_kept(void **unused)
{
    const char *old = ".cistern-0123456789abcdef0123456789abcdef.0000_1_1.old";
    g_autofree char *log = NULL;

    fake_add(old, 8 * MIB, "Vwi-a-tz--", "", "");
    fake_add(".cistern-0123456789abcdef0123456789abcdef.0000_1_2.old", 8 * MIB, "Vwi-a-tz--", "",
             "cistern:was=disk");
    log = captured(pool_recover_drafts, NULL);
    assert_non_null(strstr(log, old));
    assert_non_null(strstr(log, "its tag with the former name is missing"));
    assert_true(fake_has(old) && fake_has("disk"));
}

/* --- snapshots -------------------------------------------------------------------------------- */

static void snapshots_are_kept_by_tags(void **unused)
{
    const char *name = "before, \"1\" #ü";
    g_autoptr(GPtrArray) list = NULL;
    g_autoptr(GError) taken = NULL;
    g_autofree char *shown = NULL;

    fake_add("disk", 8 * MIB, "-wi-a-----", "", "");
    assert_true(cst_pool_state_snapshot_create(fake_state, "disk", name, NULL, NULL, NULL));
    list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    assert_int_equal(list->len, 1);
    assert_string_equal(((CstSnapshot *)g_ptr_array_index(list, 0))->name, name);
    assert_int_equal(((CstSnapshot *)g_ptr_array_index(list, 0))->capacity, 8 * MIB);
    assert_false(cst_pool_state_snapshot_create(fake_state, "disk", name, NULL, NULL, &taken));
    assert_int_equal(taken->code, CST_ERROR_EXISTS);
    shown = names_of(NULL);
    assert_string_equal(shown, "disk ");
    assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", name, NULL, NULL));
    assert_int_equal(fake_count(), 1);
}

static void invalid_snapshot_is_reported_and_not_reverted_to(void **unused)
{
    g_autoptr(GPtrArray) list = NULL;
    g_autoptr(GError) error = NULL;

    fake_add("disk", 8 * MIB, "owi-a-s---", "", "");
    fake_add(".cistern-1.snap", 4 * MIB, "sri-I-s---", "disk",
             "cistern:of=uuid-disk,cistern:snap=s,cistern:at=7");
    list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    assert_non_null(((CstSnapshot *)g_ptr_array_index(list, 0))->problem);
    assert_int_equal(((CstSnapshot *)g_ptr_array_index(list, 0))->created, 7);
    assert_false(cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_CORRUPT);
}

/* A cached report does not show the effect of a guest's writes. */
static void snapshot_that_has_just_become_invalid_is_reported(void **unused)
{
    g_autoptr(GPtrArray) before = NULL, after = NULL;
    g_autoptr(GError) error = NULL;

    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    fake_add("disk", 8 * MIB, "owi-a-s---", "", "");
    fake_add(".cistern-1.snap", 4 * MIB, "sri-a-s---", "disk",
             "cistern:of=uuid-disk,cistern:snap=s,cistern:at=7");
    before = cst_pool_state_snapshots(fake_state, "disk", NULL);
    assert_null(((CstSnapshot *)g_ptr_array_index(before, 0))->problem);
    fake_put("percent/.cistern-1.snap", "100.00");
    after = cst_pool_state_snapshots(fake_state, "disk", NULL);
    assert_non_null(((CstSnapshot *)g_ptr_array_index(after, 0))->problem);
    assert_false(cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_CORRUPT);
}

static void stores_that_may_run_full_are_reported(void **unused)
{
    static const char *const expected[] = {
        "the room of snapshot 's' of volume 'disk' 10000 lost",
        "the room of snapshot 't' of volume 'disk' 5000",
        "the room of volume 'sparse' 5000",
        "the data of thin pool 'tp' 5000",
    };
    g_autoptr(GPtrArray) usage = NULL;
    const CstSpaceUsage *data;

    fake_add("disk", 8 * MIB, "owi-a-s---", "", "");
    fake_add(".cistern-1.snap", 4 * MIB, "sri-I-s---", "disk",
             "cistern:of=uuid-disk,cistern:snap=s,cistern:at=7");
    fake_put("percent/.cistern-1.snap", "100.00");
    fake_add(".cistern-2.snap", 4 * MIB, "sri-a-s---", "disk",
             "cistern:of=uuid-disk,cistern:snap=t,cistern:at=8");
    fake_add("sparse", 4 * MIB, "swi-a-s---", "[x_vorigin]", "");
    fake_add("tp", 64 * MIB, "twi-aotz--", "", "");
    usage = cst_pool_state_space_usage(fake_state, NULL);
    assert_int_equal(usage->len, G_N_ELEMENTS(expected));
    for (guint i = 0; i < usage->len; i++) {
        const CstSpaceUsage *space = g_ptr_array_index(usage, i);
        g_autofree char *text =
            g_strdup_printf("%s %u%s", space->what, space->hundredths, space->lost ? " lost" : "");

        assert_string_equal(text, expected[i]);
    }
    data = g_ptr_array_index(usage, usage->len - 1);
    assert_int_equal(data->kind, CST_SPACE_DATA);
    assert_int_equal(data->size, 64 * MIB);
    assert_int_equal(((CstSpaceUsage *)g_ptr_array_index(usage, 0))->kind, CST_SPACE_OTHER);
}

/*
 * The state of the thin pool is reported instead of LVM's message, unless the error has another
 * cause.
 */
static void full_thin_pool_is_reported(void **unused)
{
    static const struct {
        const char *attr, *data, *metadata, *how;
        CstErrorCode code;
        const char *told;
    } rows[] = {
        {"twi-aotz--", "50.00", "91.02", "threshold", CST_ERROR_NO_SPACE,
         "no space left for metadata (91.02% used)"},
        {"twi-aotzM-", "50.00", "100.00", "fail", CST_ERROR_NO_SPACE, "--poolmetadatasize"},
        {"twi-aotz--", "100.00", "20.00", "threshold", CST_ERROR_NO_SPACE,
         "no space left for data (100.00% used)"},
        {"twi-aotzD-", "99.99", "20.00", "fail", CST_ERROR_NO_SPACE, "lvextend -L+SIZE vg/tp"},
        {"twi-cotzM-", "50.00", "60.00", "fail", CST_ERROR_STATE, "lvconvert --repair vg/tp"},
        {"twi-aotz--", "50.00", "60.00", "fail", CST_ERROR_FAILED, "Something is wrong"},
        {"twi---tz--", "", "", "fail", CST_ERROR_FAILED, "Something is wrong"},
        {"twi-aotzM-", "50.00", "100.00", "denied", CST_ERROR_DENIED, "ermission denied"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) made = NULL, taken = NULL, grown = NULL;
        g_autoptr(CstVolDef) def = fake_volume("disk", 5 * MIB);
        g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
        GError *errors[3];

        fake_add("tp", 64 * MIB, rows[i].attr, "", "");
        fake_put("percent/tp", rows[i].data);
        fake_put("percent/tp.metadata", rows[i].metadata);
        fake_add("thin", 8 * MIB, "Vwi-a-tz--", "", "");
        fake_lie("lvcreate", rows[i].how);
        cst_options_add(&def->options, "thin", "yes");
        assert_false(cst_pool_state_reserve(fake_state, def, &draft, &made));
        assert_false(cst_pool_state_snapshot_create(fake_state, "thin", "s", NULL, NULL, &taken));
        fake_lie("lvextend", strcmp(rows[i].how, "threshold") == 0 ? "" : rows[i].how);
        cst_pool_state_vol_resize(fake_state, "thin", 16 * MIB, NULL, &grown);
        errors[0] = made;
        errors[1] = taken;
        errors[2] = grown;
        for (size_t j = 0; j < (grown ? 3 : 2); j++)
            if (errors[j]->code != (int)rows[i].code || !strstr(errors[j]->message, rows[i].told))
                fail_msg("%zu.%zu: %d %s", i, j, errors[j]->code, errors[j]->message);
    }
}

static void names_that_lvm_keeps_for_itself_are_refused(void **unused)
{
    static const char *const names[] = {"",         "-a",       ".",         "..",  "a b",
                                        "a_tdata",  "snapshot", "pvmove0",   "a/b", "a_rimage_0",
                                        "\xc3\xa4", "a@b",      ".cistern-1"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        assert_false(logical_name_check(names[i], NULL));
    assert_true(logical_name_check("disk-1.root_a+b", NULL));
}

static void options_of_a_pool_are_checked(void **unused)
{
    static const char *const wrong[][2] = {
        {"thin", "perhaps"},      {"thin-pool", "a b"},   {"thin-pool-size", "0"},
        {"thin-pool-size", "0%"}, {"snapshot-size", "x"}, {"thin-pool-metadata-size", "5%"}};

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(CstPoolDef) def = cst_pool_def_new(CST_POOL_LOGICAL);
        g_autoptr(GError) error = NULL;

        def->name = g_strdup("vg");
        def->source.name = g_strdup("vg");
        cst_pool_def_add_option(def, wrong[i][0], wrong[i][1]);
        assert_null(cst_pool_state_open(def, NULL, &error));
        assert_non_null(error);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_listing_shows_volumes_and_hides_parts),
        TEST(volume_reports_its_path_key_and_allocation),
        TEST(a_report_that_is_not_whole_is_no_list),
        TEST(warnings_with_a_complete_lvm_report_are_ignored),
        TEST(numbers_that_do_not_add_up_are_refused),
        TEST(a_volume_appears_when_it_is_finished),
        TEST(lvm_creation_is_verified_after_any_result_of_the_tool),
        TEST(existing_lv_name_is_reported),
        TEST(lvm_deletion_is_verified_after_any_result_of_the_tool),
        TEST(origin_with_dependents_is_not_removed),
        TEST(resize_without_effect_is_reported),
        TEST(lvm_drafts_of_dead_processes_are_removed_and_of_live_ones_kept),
        TEST(a_swap_that_was_cut_short_is_ended),
        TEST(swap_without_a_tag_is_reported_and_kept),
        TEST(snapshots_are_kept_by_tags),
        TEST(invalid_snapshot_is_reported_and_not_reverted_to),
        TEST(snapshot_that_has_just_become_invalid_is_reported),
        TEST(stores_that_may_run_full_are_reported),
        TEST(full_thin_pool_is_reported),
        TEST(names_that_lvm_keeps_for_itself_are_refused),
        TEST(options_of_a_pool_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
