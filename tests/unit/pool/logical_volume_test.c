/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes of the logical backend on LVM's tools as a script plays them: what hangs on what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/pool.h>

#include "fake_lvm.h"

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

/* "size attributes origin pool tags" of an LV. */
static char *lv_line(const char *lv)
{
    g_autofree char *file = g_strconcat("lvs/", lv, NULL);
    g_autofree char *path = fake_path(file);
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return g_strdelimit(text, "\n", ' ');
}

static void snap(const char *name)
{
    g_autoptr(GError) error = NULL;

    if (!cst_pool_state_snapshot_create(fake_state, "disk", name, NULL, NULL, &error))
        fail_msg("%s", error->message);
}

/* --- clones ----------------------------------------------------------------------------------- */

static gboolean clone_as(const char *name, uint64_t size, const char *snapshot, GError **error)
{
    g_autoptr(CstVolDef) def = fake_volume(name, size);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};

    if (cst_pool_state_reserve_clone(fake_state, def, "disk", snapshot, &draft, error) &&
        cst_pool_state_commit(fake_state, &draft, def, error))
        return TRUE;
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    return FALSE;
}

static void thin_volumes_are_cloned_without_copying(void **unused)
{
    static const struct {
        const char *name, *snapshot, *content;
        uint64_t size;
    } rows[] = {
        {"a", NULL, "now!", 8 * MIB}, {"b", "s", "then", 8 * MIB}, {"c", "s", "then", 9 * MIB}};

    g_autoptr(GPtrArray) list = NULL;

    fake_add_disk(TRUE);
    fake_write("disk", "then");
    snap("r");
    snap("s");
    fake_write("disk", "now!");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(CstVolume) volume = NULL;

        if (!clone_as(rows[i].name, rows[i].size, rows[i].snapshot, &error))
            fail_msg("%s", error->message);
        fake_assert_holds(rows[i].name, rows[i].content);
        assert_true(cst_pool_state_scan_one(fake_state, rows[i].name, NULL, &volume, NULL));
        assert_int_equal(volume->capacity, rows[i].size > 8 * MIB ? 12 * MIB : 8 * MIB);
    }
    /* They are no snapshots of it. */
    list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    assert_int_equal(list->len, 2);
}

static void what_is_not_thin_is_left_to_the_copy(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstVolDef) def = fake_volume("new", 8 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};

    fake_add_disk(FALSE);
    assert_false(clone_as("new", 8 * MIB, NULL, &error));
    assert_code(error, CST_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    fake_add_disk(TRUE);
    assert_false(clone_as("new", 8 * MIB, "none", &error));
    assert_code(error, CST_ERROR_NOT_FOUND);
    g_clear_error(&error);
    assert_false(clone_as("disk", 8 * MIB, NULL, &error));
    assert_code(error, CST_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    cst_options_add(&def->options, "thin", "no");
    assert_false(cst_pool_state_reserve_clone(fake_state, def, "disk", NULL, &draft, &error));
    assert_code(error, CST_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    fake_lie("lvextend", "fail");
    assert_false(clone_as("new", 9 * MIB, NULL, &error));
    assert_code(error, CST_ERROR_FAILED);
    assert_int_equal(fake_count(), 2);
}

/* --- what hangs on a volume ------------------------------------------------------------------- */

static void only_volumes_that_are_snapshots_of_it_hang_on_it(void **unused)
{
    g_autoptr(GPtrArray) children = NULL;
    g_autoptr(GError) error = NULL;

    fake_add("disk", 8 * MIB, "owi-a-s---", "", "");
    fake_add("other", 8 * MIB, "owi-a-s---", "", "");
    fake_add("a", 4 * MIB, "swi-a-s---", "disk", "");
    fake_add("b", 4 * MIB, "swi-a-s---", "other", "");
    fake_add("c", 4 * MIB, "Vwi-a-tz--", "disk", "");
    fake_add(".cistern-1.snap", 4 * MIB, "sri-a-s---", "disk", "cistern:of=uuid-disk");
    children = cst_pool_state_vol_children(fake_state, "disk", NULL);
    assert_int_equal(children->len, 1);
    assert_string_equal(children->pdata[0], "/dev/vg/a");
    assert_null(cst_pool_state_vol_children(fake_state, "none", &error));
    assert_code(error, CST_ERROR_NO_VOL);
}

static void flattening_a_clone_copies_it(void **unused)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *line = NULL;

    fake_add_disk(TRUE);
    fake_write("disk", "then");
    assert_true(clone_as("c", 8 * MIB, NULL, NULL));
    assert_true(cst_pool_state_vol_flatten(fake_state, "disk", task, NULL));
    assert_int_equal(cst_task_progress(task).total, 0);
    if (!cst_pool_state_vol_flatten(fake_state, "c", task, &error))
        fail_msg("%s", error->message);
    assert_int_equal(cst_task_progress(task).total, 8 * MIB);
    line = lv_line("c");
    /* Of no origin, in the same pool, and known by the id that it had. */
    assert_true(g_str_has_prefix(line, "8388608 Vwi-a-tz--  tp cistern:id=uuid-"));
    fake_assert_holds("c", "then");
    assert_int_equal(fake_count(), 3);
    assert_false(cst_pool_state_vol_flatten(fake_state, "none", NULL, &error));
    assert_code(error, CST_ERROR_NO_VOL);
}

static void flattening_that_fails_leaves_nothing(void **unused)
{
    static const char *const tools[] = {"lvcreate", "lvchange", "lvrename"};

    fake_add_disk(TRUE);
    assert_true(clone_as("c", 8 * MIB, NULL, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(tools); i++) {
        g_autoptr(GError) error = NULL;

        fake_lie(tools[i], "fail");
        assert_false(cst_pool_state_vol_flatten(fake_state, "c", NULL, &error));
        assert_code(error, CST_ERROR_FAILED);
        fake_lie(tools[i], "");
        assert_true(fake_has("c"));
        assert_int_equal(fake_count(), 3);
    }
}

/* --- thin pools ------------------------------------------------------------------------------- */

static gboolean make_thin(CstPoolState *state, const char *name, const char *pool, GError **error)
{
    g_autoptr(CstVolDef) def = fake_volume(name, 8 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};

    cst_options_add(&def->options, "thin", "yes");
    if (pool)
        cst_options_add(&def->options, "thin-pool", pool);
    if (!cst_pool_state_reserve(state, def, &draft, error))
        return FALSE;
    assert_true(draft.zeroed);
    return cst_pool_state_commit(state, &draft, def, error);
}

static void a_thin_pool_is_made_with_the_first_thin_volume(void **unused)
{
    g_autoptr(GPtrArray) stores = NULL;
    g_autoptr(GError) error = NULL;
    const CstThinStore *store;

    assert_true(make_thin(fake_state, "a", "pool", NULL));
    assert_true(make_thin(fake_state, "b", NULL, NULL)); /* into the only one there is */
    assert_true(fake_was_called("lvchange --errorwhenfull y vg/pool"));
    assert_true(make_thin(fake_state, "c", "second", NULL));
    fake_put("percent/pool", "25.00");
    fake_put("percent/pool.metadata", "50.00");
    stores = cst_pool_state_thin(fake_state, NULL);
    assert_int_equal(stores->len, 2);
    store = stores->pdata[0];
    assert_string_equal(store->name, "pool");
    assert_int_equal(store->size, 64 * MIB);
    assert_int_equal(store->used, 16 * MIB);
    assert_int_equal(store->metadata_size, 4 * MIB);
    assert_int_equal(store->metadata_used, 2 * MIB);
    assert_int_equal(store->volumes, 2);
    assert_int_equal(((const CstThinStore *)stores->pdata[1])->volumes, 1);
    assert_false(make_thin(fake_state, "d", "a", &error));
    assert_code(error, CST_ERROR_INVALID);
    assert_non_null(strstr(error->message, "'a' in volume group 'vg' is no thin pool"));
}

static void a_thin_pool_that_is_not_made_is_told(void **unused)
{
    static const struct {
        const char *how;
        CstErrorCode code;
        const char *words;
    } rows[] = {
        {"fail", CST_ERROR_FAILED, "cannot make thin pool 'pool': "},
        {"full", CST_ERROR_NO_SPACE, "cannot make thin pool 'pool': "},
        {"nothing", CST_ERROR_FAILED, "claims success, but thin pool 'pool' is not there"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_lie("lvcreate", rows[i].how);
        assert_false(make_thin(fake_state, "a", "pool", &error));
        if (error->code != (int)rows[i].code || !strstr(error->message, rows[i].words))
            fail_msg("%s: %s", rows[i].how, error->message);
    }
    assert_int_equal(fake_count(), 0);
}

/* --- owners ----------------------------------------------------------------------------------- */

static void a_volume_has_the_mode_it_was_asked_for(void **unused)
{
    g_autofree char *device = fake_path("dev/vg/disk");

    for (int i = 0; i < 2; i++) {
        g_autoptr(CstVolDef) def = fake_volume("disk", 5 * MIB);
        g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
        struct stat st;

        def->perms.mode = i ? 0644 : CST_PERMS_UNSET;
        assert_true(cst_pool_state_reserve(fake_state, def, &draft, NULL));
        assert_true(cst_pool_state_commit(fake_state, &draft, def, NULL));
        assert_int_equal(stat(device, &st), 0);
        assert_int_equal(st.st_mode & 07777, i ? 0644 : 0600);
        assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(thin_volumes_are_cloned_without_copying),
        TEST(what_is_not_thin_is_left_to_the_copy),
        TEST(only_volumes_that_are_snapshots_of_it_hang_on_it),
        TEST(flattening_a_clone_copies_it),
        TEST(flattening_that_fails_leaves_nothing),
        TEST(a_thin_pool_is_made_with_the_first_thin_volume),
        TEST(a_thin_pool_that_is_not_made_is_told),
        TEST(a_volume_has_the_mode_it_was_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
