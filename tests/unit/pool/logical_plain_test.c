/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes directly on physical volumes: made, cloned and deleted without a report of LVM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/device.h>

#include "fake_lvm.h"

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

#define FREE (512 * MIB) /* of the group, set by the script */

static gboolean make(const char *name, uint64_t size, GError **error)
{
    g_autoptr(CstVolDef) def = fake_volume(name, size);

    return cst_pool_state_make(fake_state, def, error);
}

/* Reads a report, as at the start of the pool. */
static void start(void)
{
    fake_on_known_device();
    g_ptr_array_unref(cst_pool_state_thin(fake_state, NULL));
    fake_put("log", "");
}

static void assert_usage(uint64_t available, gboolean estimated)
{
    CstPoolUsage usage;

    assert_true(cst_pool_state_usage(fake_state, &usage, NULL));
    assert_int_equal(usage.available, available);
    assert_int_equal(usage.allocation, 1024 * MIB - available);
    assert_int_equal(usage.until != 0, estimated);
}

static CstVolume *look_at(const char *name)
{
    CstVolume *volume = NULL;
    g_autoptr(GError) error = NULL;

    if (!cst_pool_state_scan_one(fake_state, name, NULL, &volume, &error))
        fail_msg("%s", error->message);
    return volume;
}

/* --- the kernel's data ------------------------------------------------------------------------ */

static void kernel_and_report_give_the_same_record(void **unused)
{
    g_autoptr(CstVolume) kernels = NULL;
    g_autoptr(CstVolume) reports = NULL;

    fake_add("disk", 8 * MIB, "-wi-a-----", "", "");
    start();
    kernels = look_at("disk");
    fake_assert_calls("");
    assert_string_equal(kernels->extra->key, "uuid-disk");
    fake_put("map/disk", "0 16384 error");
    reports = look_at("disk");
    fake_assert_calls("lvm ");
    /* If the records are equal, the known one is returned. */
    assert_ptr_equal(cst_device_newest(cst_volume_ref(kernels), cst_volume_ref(reports)), kernels);
    cst_volume_unref(kernels);
}

/* For any other volume, LVM is called. */
static void only_volumes_on_known_devices_are_plain(void **unused)
{
    static const struct {
        const char *table;
        gboolean plain;
    } rows[] = {
        {"0 16384 linear 1:3 18432\n", TRUE},
        {"0 16384 linear 1:3 2048\n", TRUE},
        {"0 8192 linear 1:3 2048\n8192 8192 linear 1:3 18432\n", TRUE},
        {"0 16384 striped 2 128 1:3 2048 1:3 18432\n", TRUE},
        {"", FALSE},
        {"\n", FALSE},
        {"0 16384\n", FALSE},
        {"0 16384 linear\n", FALSE},
        {"0 16384 linear 1:3\n", FALSE},
        {"0 16384 linear 1:3 18432 1:3\n", FALSE},
        {"0 16384 linear 1:5 18432\n", FALSE}, /* another device */
        {"0 16384 linear dm-3 18432\n", FALSE},
        {"0 16384 linear 1:3 18433\n", FALSE}, /* not at the start of an extent */
        {"0 16384 linear 1:3 1024\n", FALSE},  /* before the first extent */
        {"0 16384 linear 1:3 -1\n", FALSE},
        {"0 16384 linear 1:3 18446744073709551615\n", FALSE},
        {"0 0 linear 1:3 18432\n", FALSE},
        {"8 16384 linear 1:3 18432\n", FALSE}, /* a gap */
        {"0 8192 linear 1:3 2048\n0 8192 linear 1:3 2048\n", FALSE},
        {"0 18446744073709551615 linear 1:3 18432\n", FALSE},
        {"0 16384 striped 2 128\n", FALSE},
        {"0 16384 striped 2 128 1:3 2048 1:5 18432\n", FALSE},
        {"0 16384 snapshot-origin 254:9\n", FALSE},
        {"0 16384 thin 254:7 1 1:3 2048\n", FALSE},
        {"0 16384 raid raid1 3 0 region_size 4096\n", FALSE},
    };

    fake_add("disk", 8 * MIB, "-wi-a-----", "", "");
    start();
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstVolume) volume = NULL;

        fake_put("map/disk", rows[i].table);
        fake_put("log", "");
        volume = look_at("disk");
        assert_non_null(volume);
        if (fake_was_called("lvm") == rows[i].plain)
            fail_msg("%s", rows[i].table);
    }
}

/* The group now has another UUID, so the kernel's tables are not used. */
static void volume_of_another_group_is_not_found(void **unused)
{
    g_autoptr(LvmGroup) last = NULL;

    fake_add("disk", 8 * MIB, "-wi-a-----", "", "");
    start();
    last = logical_group_last(LOGICAL(fake_state));
    assert_null(logical_plain_lv(LOGICAL(fake_state), NULL, "disk"));
    assert_null(logical_plain_lv(LOGICAL(fake_state), last, "none"));
    g_free(last->uuid);
    last->uuid = g_strdup("another");
    assert_null(logical_plain_lv(LOGICAL(fake_state), last, "disk"));
}

/* --- one LVM call for each change ------------------------------------------------------------- */

static void each_change_is_one_call(void **unused)
{
    g_autoptr(CstVolDef) clone = fake_volume("clone", 8 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) not_thin = NULL;
    g_autofree char *name = NULL;

    start();
    assert_true(make("disk", 5 * MIB, NULL));
    volume = look_at("disk");
    assert_int_equal(volume->capacity, 8 * MIB);
    assert_int_equal(volume->mode, 0600);
    assert_usage(FREE - 8 * MIB, TRUE);
    fake_assert_calls("lvcreate ");
    name = cst_pool_state_vol_resolve(fake_state, "uuid-disk");
    assert_true(name == NULL); /* too short for an LVM UUID */
    name = logical_name_of_uuid(LOGICAL(fake_state), "uuid-disk");
    assert_string_equal(name, "disk");

    assert_false(cst_pool_state_reserve_clone(fake_state, clone, "disk", NULL, &draft, &not_thin));
    assert_code(not_thin, CST_ERROR_UNSUPPORTED);
    assert_true(cst_pool_state_reserve(fake_state, clone, &draft, NULL));
    assert_true(cst_pool_state_commit(fake_state, &draft, clone, NULL));
    assert_true(fake_is_seen("clone"));
    assert_usage(FREE - 16 * MIB, TRUE);
    fake_assert_calls("lvcreate lvrename ");

    g_ptr_array_unref(cst_pool_state_vol_children(fake_state, "disk", NULL));
    g_ptr_array_unref(cst_pool_state_snapshots(fake_state, "disk", NULL));
    assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    assert_false(fake_is_seen("disk"));
    assert_usage(FREE - 8 * MIB, TRUE);
    fake_assert_calls("lvremove ");
}

/* lvremove must not remove an origin without a check of its dependants. */
static void volume_with_dependents_needs_a_report(void **unused)
{
    g_autoptr(GPtrArray) children = NULL;
    g_autoptr(GError) error = NULL;

    fake_add("disk", 8 * MIB, "owi-a-s---", "", "");
    fake_add("a", 4 * MIB, "swi-a-s---", "disk", "");
    start();
    children = cst_pool_state_vol_children(fake_state, "disk", NULL);
    assert_int_equal(children->len, 1);
    assert_false(cst_pool_state_delete(fake_state, "disk", 0, &error));
    assert_code(error, CST_ERROR_BUSY);
    assert_false(fake_was_called("lvremove"));
}

/* --- estimates -------------------------------------------------------------------------------- */

static void delete_in_two_steps(void)
{
    fake_lie("lvremove", "failing");
    assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
}

static void let_time_pass(void)
{
    lvm_host.estimate_us = 0;
}

static void make_as(const CstVolDef *def)
{
    g_autoptr(GError) error = NULL;

    if (!cst_pool_state_make(fake_state, def, &error))
        fail_msg("%s", error->message);
}

static void make_a_thin_one(void)
{
    g_autoptr(CstVolDef) def = fake_volume("thin", 8 * MIB);

    cst_options_add(&def->options, "thin", "yes");
    make_as(def);
}

static void others_make_one(void)
{
    fake_add("other", 8 * MIB, "-wi-a-----", "", "");
    logical_cache_node_changed(LOGICAL(fake_state), "other", TRUE);
}

static void others_report(void)
{
    g_ptr_array_unref(cst_pool_state_thin(fake_state, NULL));
}

/* After an unknown change a report is needed. */
static void estimate_is_valid_while_all_changes_are_known(void **unused)
{
    static void (*const changes[])(void) = {delete_in_two_steps, let_time_pass, make_a_thin_one,
                                            others_make_one, others_report};

    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        fake_add_disk(FALSE);
        start();
        lvm_host.estimate_us = G_TIME_SPAN_HOUR;
        assert_true(make("new", 8 * MIB, NULL));
        /* The node of our own volume is no change. */
        logical_cache_node_changed(LOGICAL(fake_state), "new", TRUE);
        assert_usage(FREE - 8 * MIB, TRUE);
        changes[i]();
        fake_put("log", "");
        assert_usage(FREE, FALSE);
        fake_assert_calls("lvm ");
        fake_lie("lvremove", "");
        assert_true(cst_pool_state_delete(fake_state, "new", 0, NULL));
    }
}

/* --- creation in one step --------------------------------------------------------------------- */

static void creation_without_a_report_is_verified_by_the_kernel(void **unused)
{
    static const struct {
        const char *lie;
        int code; /* -1: success */
        const char *words;
        gboolean left;
    } rows[] = {
        {"", -1, "", TRUE},
        {"noisy", -1, "", TRUE},
        {"fail", CST_ERROR_FAILED, "Something is wrong", FALSE},
        {"full", CST_ERROR_NO_SPACE, "insufficient free space", FALSE},
        {"denied", CST_ERROR_DENIED, "Permission denied", FALSE},
        {"silent", CST_ERROR_FAILED, "no word why", FALSE},
        {"hang", CST_ERROR_TIMEOUT, "lvcreate", FALSE},
        {"nothing", CST_ERROR_FAILED, "claims success, but volume 'new' is not there", FALSE},
        /* The LV may belong to another program: it stays, and is reported. */
        {"failing", CST_ERROR_FAILED, "but volume 'new' exists now", TRUE},
        {"dying", CST_ERROR_FAILED, "but volume 'new' exists now", TRUE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        gboolean made;

        fake_lie("lvcreate", rows[i].lie);
        made = make("new", 8 * MIB, &error);
        assert_int_equal(made, rows[i].code == -1);
        if (error && (error->code != rows[i].code || !strstr(error->message, rows[i].words)))
            fail_msg("%s: %d %s", rows[i].lie, error->code, error->message);
        assert_int_equal(fake_has("new"), rows[i].left);
        fake_lie("lvcreate", "");
        if (rows[i].left)
            assert_true(cst_pool_state_delete(fake_state, "new", 0, NULL));
    }
}

/* LVM refuses the name, because it also knows inactive LVs. The other volume is unchanged. */
static void existing_name_without_a_node_is_refused(void **unused)
{
    g_autofree char *device = fake_path("dev/vg/new");
    g_autoptr(GError) error = NULL;

    fake_add("new", 4 * MIB, "-wi-------", "", "");
    assert_int_equal(unlink(device), 0);
    assert_false(make("new", 8 * MIB, &error));
    assert_code(error, CST_ERROR_VOL_EXISTS);
    assert_true(fake_has("new"));
    assert_int_equal(fake_count(), 1);
}

static void too_small_volume_is_removed(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_lie("lvcreate", "small");
    assert_false(make("new", 8 * MIB, &error));
    assert_code(error, CST_ERROR_FAILED);
    assert_non_null(strstr(error->message, "smaller"));
    assert_false(fake_has("new"));
}

/* One call makes the volume with its final name. */
static void each_kind_is_made_under_its_name(void **unused)
{
    g_autoptr(CstVolDef) sparse = fake_volume("sparse", 8 * MIB);
    g_autoptr(CstVolDef) snapshot = fake_volume("cow", 8 * MIB);
    g_autofree char *origin = g_strdup_printf("%s/vg/disk", lvm_host.dev);

    fake_add_disk(FALSE);
    sparse->has_allocation = TRUE;
    sparse->allocation = 3 * MIB;
    snapshot->backing = cst_backing_def_new(origin, NULL);
    make_as(sparse);
    assert_true(fake_was_called("lvcreate -y -n sparse --type snapshot -L3072k -V8192k vg\n"));
    make_as(snapshot);
    assert_true(fake_was_called("lvcreate -y -n cow -s -L8192k vg/disk\n"));
    make_a_thin_one();
    assert_true(fake_was_called("lvcreate -y -n thin --thinpool tp -V8192k vg\n"));
    assert_false(fake_was_called("lvrename"));
}

/* --- names ------------------------------------------------------------------------------------ */

static gboolean is_renamed(const char *name, const char *new_name, GError **error)
{
    g_clear_error(error);
    return cst_pool_state_rename(fake_state, name, new_name, error);
}

/* Regardless of the tool's status, and also after a crash right after the rename. */
static void a_volume_gets_another_name(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add_disk(TRUE);
    fake_write("disk", "now!");
    fake_add("other", 8 * MIB, "-wi-a-----", "", "");
    assert_false(is_renamed("disk", "other", &error));
    assert_code(error, CST_ERROR_VOL_EXISTS);
    assert_false(is_renamed("none", "new", &error));
    assert_code(error, CST_ERROR_NO_VOL);
    assert_false(is_renamed("disk", "-new", &error));
    assert_code(error, CST_ERROR_INVALID);
    fake_lie("lvrename", "nothing");
    assert_false(is_renamed("disk", "new", &error));
    assert_code(error, CST_ERROR_FAILED);
    fake_lie("lvrename", "fail");
    assert_false(is_renamed("disk", "new", &error));
    assert_true(fake_has("disk"));
    fake_lie("lvrename", "");
    assert_true(is_renamed("disk", "new", &error));
    assert_true(is_renamed("disk", "new", &error));
    assert_false(fake_has("disk"));
    fake_assert_holds("new", "now!");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(kernel_and_report_give_the_same_record),
        TEST(only_volumes_on_known_devices_are_plain),
        TEST(volume_of_another_group_is_not_found),
        TEST(each_change_is_one_call),
        TEST(volume_with_dependents_needs_a_report),
        TEST(estimate_is_valid_while_all_changes_are_known),
        TEST(creation_without_a_report_is_verified_by_the_kernel),
        TEST(existing_name_without_a_node_is_refused),
        TEST(too_small_volume_is_removed),
        TEST(each_kind_is_made_under_its_name),
        TEST(a_volume_gets_another_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
