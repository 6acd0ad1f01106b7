/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of volume groups, with LVM's tools simulated by a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/pool.h>

#include "fake_lvm.h"

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

/* --- life ------------------------------------------------------------------------------------- */

static gboolean is_active(void)
{
    gboolean active = FALSE;

    assert_true(cst_pool_state_check(fake_state, &active, NULL));
    return active;
}

static void a_group_is_active_when_a_volume_is(void **unused)
{
    assert_true(is_active()); /* an empty group has no LV that could be active */
    fake_add("a", 4 * MIB, "-wi-------", "", "");
    assert_false(is_active());
    fake_add("b", 4 * MIB, "-wi-a-----", "", "");
    assert_true(is_active());
    fake_lie("lvm", "fail");
    assert_false(is_active());
}

static void starting_and_stopping_change_the_group(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("a", 4 * MIB, "-wi-a-----", "", "");
    assert_true(cst_pool_state_start(fake_state, NULL));
    assert_true(fake_was_called("vgchange -aly vg\n"));
    assert_true(cst_pool_state_stop(fake_state, NULL));
    assert_true(fake_was_called("vgchange -aln vg\n"));
    fake_lie("vgchange", "fail");
    assert_false(cst_pool_state_start(fake_state, &error));
    assert_code(error, CST_ERROR_FAILED);
    g_clear_error(&error);
    fake_lie("vgchange", "");
    fake_lie("lvm", "fail");
    assert_false(cst_pool_state_stop(fake_state, &error));
    assert_code(error, CST_ERROR_FAILED);
}

static CstPoolState *pool_of(const char *devices)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='logical'><name>vg</name><source>%s<name>vg</name></source>"
                        "</pool>",
                        devices);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);

    return cst_pool_state_open(def, NULL, NULL);
}

/* An unknown flag may ask to keep data. */
static void unknown_flags_make_no_change(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("a", 4 * MIB, "-wi-a-----", "", "");
    assert_false(cst_pool_state_destroy(fake_state, 1, &error));
    assert_code(error, CST_ERROR_FLAGS);
    g_clear_error(&error);
    assert_false(cst_pool_state_build(fake_state, 1u << 20, &error));
    assert_code(error, CST_ERROR_FLAGS);
    g_clear_error(&error);
    assert_false(cst_pool_state_delete(fake_state, "a", 1u << 20, &error));
    assert_code(error, CST_ERROR_FLAGS);
    assert_true(fake_has("a"));
    assert_true(is_active());
}

/* The devices only help to identify the group. */
static void one_device_of_the_group_is_enough(void **unused)
{
    static const struct {
        const char *devices;
        gboolean starts;
    } rows[] = {
        {"", TRUE},
        {"<device path='/dev/sda'/>", TRUE},
        {"<device path='/dev/sdx'/><device path='/dev/sda'/>", TRUE},
        {"<device path='/dev/sdx'/>", FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstPoolState) state = pool_of(rows[i].devices);
        g_autoptr(GError) error = NULL;

        assert_int_equal(cst_pool_state_start(state, &error), rows[i].starts);
        if (!rows[i].starts) {
            assert_code(error, CST_ERROR_CONFIG);
            assert_non_null(strstr(error->message, "matching source devices"));
        }
    }
}

static void building_needs_devices_that_are_free(void **unused)
{
    static const struct {
        const char *devices;
        unsigned flags;
        CstErrorCode code;
        const char *words;
    } rows[] = {
        {"", 0, CST_ERROR_CONFIG, "names no source device"},
        {"<device path='/dev/sda'/>", 0, CST_ERROR_POOL_BUILT, "volume group 'vg' exists already"},
        {"<device path='/dev/sda'/>", CST_POOL_BUILD_OVERWRITE, CST_ERROR_POOL_BUILT,
         "volume group 'vg' exists already"},
        {"<device path='/dev/sda'/>", CST_POOL_BUILD_OVERWRITE | CST_POOL_BUILD_NO_OVERWRITE,
         CST_ERROR_USAGE, "mutually exclusive"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstPoolState) state = pool_of(rows[i].devices);
        g_autoptr(GError) error = NULL;

        assert_false(cst_pool_state_build(state, rows[i].flags, &error));
        if (error->code != (int)rows[i].code || !strstr(error->message, rows[i].words))
            fail_msg("%d %s", error->code, error->message);
    }
}

static void groups_are_found_with_their_devices(void **unused)
{
    GArray *sources = g_array_new(FALSE, TRUE, sizeof(CstPoolSource));
    CstPoolSource *source;

    assert_true(cst_pool_discover(CST_POOL_LOGICAL, NULL, sources, NULL));
    assert_int_equal(sources->len, 1);
    source = &g_array_index(sources, CstPoolSource, 0);
    assert_string_equal(source->name, "vg");
    assert_int_equal(source->devices->len, 1);
    assert_string_equal(((CstPoolDevice *)source->devices->pdata[0])->path, "/dev/sda");
    cst_pool_source_clear(source);
    g_array_unref(sources);
}

static void a_group_is_known_by_its_uuid(void **unused)
{
    g_autofree char *identity = cst_pool_state_identity(fake_state, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstVolume) volume = NULL;

    assert_string_equal(identity, "vg=uuid-vg\n");
    fake_add("a", 4 * MIB, "-wi-a-----", "", "");
    assert_true(cst_pool_state_expect(fake_state, "vg=uuid-vg\n", FALSE, NULL));
    assert_true(cst_pool_state_scan_one(fake_state, "a", NULL, &volume, NULL));
    assert_true(cst_pool_state_expect(fake_state, "vg=other\n", FALSE, NULL));
    g_clear_pointer(&volume, cst_volume_unref);
    assert_false(cst_pool_state_scan_one(fake_state, "a", NULL, &volume, &error));
    assert_non_null(error);
    assert_true(cst_pool_state_expect(fake_state, "vg=other\n", TRUE, NULL));
    assert_true(cst_pool_state_scan_one(fake_state, "a", NULL, &volume, NULL));
}

static void usage_is_the_groups(void **unused)
{
    CstPoolUsage usage = {0};

    assert_true(cst_pool_state_usage(fake_state, &usage, NULL));
    assert_int_equal(usage.capacity, 1024 * MIB);
    assert_int_equal(usage.available, 512 * MIB);
    assert_int_equal(usage.allocation, 512 * MIB);
    fake_lie("lvm", "fail");
    assert_false(cst_pool_state_usage(fake_state, &usage, NULL));
}

static void paths_lead_to_volumes(void **unused)
{
    static const char *const rows[][2] = {
        {"/dev/vg/a", "a"},    {"/dev/vg/", NULL},   {"/dev/vg", NULL},
        {"/dev/vg/a/b", NULL}, {"/dev/vgx/a", NULL}, {"/dev/vg/.cistern-1", NULL},
        {"not-a-uuid", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *name = cst_pool_state_vol_resolve(fake_state, rows[i][0]);

        assert_true(g_strcmp0(name, rows[i][1]) == 0);
    }
}

/* --- watching --------------------------------------------------------------------------------- */

static void note_change(const char *name, gpointer text)
{
    g_string_append_printf(text, "%s ", name ? name : "all");
}

static void assert_changes(int fd, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);

    cst_pool_state_watch_read(fake_state, fd, note_change, text);
    assert_string_equal(text->str, expected);
}

/* Makes an LV like another program. Its device appears as one link, as made by udev. */
static void make_linked(const char *name)
{
    g_autofree char *file = g_strconcat("lvs/", name, NULL);
    g_autofree char *device = g_strconcat("dev/vg/", name, NULL);
    g_autofree char *path = fake_path(device);

    fake_put(file, "4194304\n-wi-a-----\n\n\n\n");
    assert_int_equal(symlink("/dev/null", path), 0);
}

static void links_in_dev_report_added_and_removed_volumes(void **unused)
{
    g_autofree char *folder = fake_path("dev/vg"), *aside = fake_path("dev/aside");
    g_autofree char *old = fake_path("dev/vg/b"), *new = fake_path("dev/vg/c");
    g_autofree char *other = fake_path("dev/other");
    int fd = cst_pool_state_watch_open(fake_state, NULL);

    assert_true(fd >= 0);
    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    assert_false(fake_is_seen("a"));
    assert_changes(fd, "");
    make_linked("b");
    make_linked(".cistern-1.part");
    assert_changes(fd, "b ");
    assert_true(fake_is_seen("b"));
    assert_int_equal(rename(old, new), 0);
    assert_changes(fd, "b c ");
    assert_int_equal(unlink(new), 0);
    assert_changes(fd, "c ");
    /* The directory disappears with the last volume, and appears with the first. */
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(rename(folder, aside), 0);
    assert_changes(fd, "");
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_changes(fd, "all ");
    make_linked("d");
    assert_changes(fd, "d ");
    assert_true(fake_is_seen("d"));
    close(fd);
}

static void directory_that_cannot_be_watched_is_reported(void **unused)
{
    const char *dev = lvm_host.dev;
    g_autoptr(GError) error = NULL;

    lvm_host.dev = "/nonexistent";
    assert_int_equal(cst_pool_state_watch_open(fake_state, &error), -1);
    assert_non_null(strstr(error->message, "cannot watch '/nonexistent'"));
    lvm_host.dev = dev;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_group_is_active_when_a_volume_is),
        TEST(starting_and_stopping_change_the_group),
        TEST(unknown_flags_make_no_change),
        TEST(one_device_of_the_group_is_enough),
        TEST(building_needs_devices_that_are_free),
        TEST(groups_are_found_with_their_devices),
        TEST(a_group_is_known_by_its_uuid),
        TEST(usage_is_the_groups),
        TEST(paths_lead_to_volumes),
        TEST(links_in_dev_report_added_and_removed_volumes),
        TEST(directory_that_cannot_be_watched_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
