/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Building and deleting volume groups. Foreign data on a device stays, and only the real result of
 * LVM counts. A script simulates LVM's tools, and the test simulates the kernel's view of devices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/device.h>
#include <pool/pool.h>

#include "fake_lvm.h"

/* --- devices ---------------------------------------------------------------------------------- */

/* These functions are wrapped with --wrap. @path is the device with an obstacle to building. */
static struct {
    const char *path, *holder, *signature;
    gboolean busy, unknown, unreadable, unwritable;
} device;
static GString *cleared;

gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error);
gboolean __wrap_cst_device_is_free(const char *path, GError **error);
gboolean __wrap_cst_device_signature(const char *path, char **ret_name, GError **error);
gboolean __wrap_cst_device_clear(const char *path, GError **error);

static gboolean is_meant(const char *path)
{
    return device.path && g_str_has_suffix(path, device.path);
}

gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error)
{
    if (is_meant(path) && device.unknown)
        return cst_fail(error, CST_ERROR_IO, "no holders");
    if (is_meant(path) && device.holder)
        cst_holders_add(holders, 0, "%s", device.holder);
    return TRUE;
}

gboolean __wrap_cst_device_is_free(const char *path, GError **error)
{
    return !is_meant(path) || !device.busy || cst_fail(error, CST_ERROR_BUSY, "not alone");
}

gboolean __wrap_cst_device_signature(const char *path, char **ret_name, GError **error)
{
    if (is_meant(path) && device.unreadable)
        return cst_fail(error, CST_ERROR_PROBE, "no signature");
    *ret_name = is_meant(path) ? g_strdup(device.signature) : NULL;
    return TRUE;
}

gboolean __wrap_cst_device_clear(const char *path, GError **error)
{
    if (is_meant(path) && device.unwritable)
        return cst_fail(error, CST_ERROR_IO, "not cleared");
    g_string_append_printf(cleared, "%s ", path);
    return TRUE;
}

static int set_up(void **state)
{
    memset(&device, 0, sizeof(device));
    cleared = g_string_new(NULL);
    return fake_set_up(state);
}

static int tear_down(void **state)
{
    g_string_free(cleared, TRUE);
    return fake_tear_down(state);
}

static void assert_devices(const char *expected)
{
    g_autofree char *path = fake_path("devices");
    g_autofree char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_string_equal(text, expected);
}

static void assert_error(const GError *error, CstErrorCode code, const char *words)
{
    assert_non_null(error);
    if (error->code != (int)code || !strstr(error->message, words))
        fail_msg("%d %s", error->code, error->message);
}

/* --- build ------------------------------------------------------------------------------------ */

/* Builds on /dev/sda and /dev/sdb, in this order. */
static gboolean build(unsigned flags, GError **error)
{
    g_autoptr(CstPoolDef) def =
        cst_pool_def_parse("<pool type='logical'><name>vg</name><source><device path='/dev/sda'/>"
                           "<device path='/dev/sdb'/><name>vg</name></source></pool>",
                           0, NULL);
    g_autoptr(CstPoolState) state = cst_pool_state_open(def, NULL, NULL);

    return cst_pool_state_build(state, flags, error);
}

static void a_group_is_made_of_all_devices(void **unused)
{
    fake_put("devices", "/dev/sdz other\n");
    assert_true(build(0, NULL));
    assert_string_equal(cleared->str, "/dev/sda /dev/sdb ");
    assert_true(fake_was_called("vgcreate -y vg /dev/sda /dev/sdb\n"));
    assert_devices("/dev/sdz other\n/dev/sda vg\n/dev/sdb vg\n");
}

/* If one device has an obstacle, no device is changed. Only a signature may be overwritten. */
static void content_of_a_device_is_kept(void **unused)
{
    static const struct {
        const char *what, *holder, *signature, *words;
        gboolean busy, unknown, unreadable, overwritten;
        CstErrorCode code;
    } rows[] = {
        {.what = "held", .holder = "md0", .words = "is in use: md0", .code = CST_ERROR_BUSY},
        {.what = "busy", .busy = TRUE, .words = "not alone", .code = CST_ERROR_BUSY},
        {.what = "unknown", .unknown = TRUE, .words = "no holders", .code = CST_ERROR_IO},
        {.what = "file system",
         .signature = "ext4",
         .words = "carries 'ext4': its format does not match",
         .overwritten = TRUE,
         .code = CST_ERROR_POOL_BUILT},
        {.what = "physical volume",
         .signature = "LVM2_member",
         .words = "already formatted using 'LVM2_member'",
         .overwritten = TRUE,
         .code = CST_ERROR_POOL_BUILT},
        {.what = "unreadable",
         .unreadable = TRUE,
         .words = "no signature",
         .overwritten = TRUE,
         .code = CST_ERROR_PROBE},
    };
    static const char *const paths[] = {"/dev/sda", "/dev/sdb"};
    static const unsigned flags[] = {0, CST_POOL_BUILD_NO_OVERWRITE, CST_POOL_BUILD_OVERWRITE};

    for (size_t i = 0; i < G_N_ELEMENTS(rows) * G_N_ELEMENTS(paths) * G_N_ELEMENTS(flags); i++) {
        size_t row = i % G_N_ELEMENTS(rows), rest = i / G_N_ELEMENTS(rows);
        unsigned flag = flags[rest / G_N_ELEMENTS(paths)];
        gboolean goes = rows[row].overwritten && flag == CST_POOL_BUILD_OVERWRITE;
        g_autoptr(GError) error = NULL;

        fake_put("devices", "");
        fake_put("log", "");
        g_string_truncate(cleared, 0);
        device.path = paths[rest % G_N_ELEMENTS(paths)];
        device.holder = rows[row].holder;
        device.signature = rows[row].signature;
        device.busy = rows[row].busy;
        device.unknown = rows[row].unknown;
        device.unreadable = rows[row].unreadable;
        if (build(flag, &error) != goes)
            fail_msg("%s, flags %u", rows[row].what, flag);
        if (!goes)
            assert_error(error, rows[row].code, rows[row].words);
        assert_string_equal(cleared->str, goes ? "/dev/sda /dev/sdb " : "");
        assert_int_equal(fake_was_called("vgcreate"), goes);
    }
}

static void existing_group_is_not_created_again(void **unused)
{
    static const struct {
        const char *devices, *words;
    } rows[] = {
        {"/dev/sda vg\n", "volume group 'vg' exists already"},
        {"/dev/sdz vg\n", "volume group 'vg' exists already"},
        {"/dev/sdz \n/dev/sda other\n", "'/dev/sda' belongs to volume group 'other'"},
        {"/dev/sdb other\n", "'/dev/sdb' belongs to volume group 'other'"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_put("devices", rows[i].devices);
        assert_false(build(CST_POOL_BUILD_OVERWRITE, &error));
        assert_error(error, CST_ERROR_POOL_BUILT, rows[i].words);
        assert_devices(rows[i].devices);
    }
    fake_put("devices", "");
    fake_lie("pvs", "fail");
    assert_false(build(CST_POOL_BUILD_OVERWRITE, NULL));
    assert_string_equal(cleared->str, "");
    assert_false(fake_was_called("vgcreate"));
}

static void a_device_that_is_not_cleared_is_not_used(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_put("devices", "");
    device.path = "/dev/sdb";
    device.unwritable = TRUE;
    assert_false(build(0, &error));
    assert_error(error, CST_ERROR_IO, "not cleared");
    assert_false(fake_was_called("vgcreate"));
}

/* Our devices are no longer physical volumes. Devices of other programs are unchanged. */
static void build_result_is_verified_after_any_result_of_the_tool(void **unused)
{
    static const struct {
        const char *lie, *words; /* NULL: success */
        const char *left;
    } rows[] = {
        {"failing", NULL, "/dev/sdz \n/dev/sdy other\n/dev/sda vg\n/dev/sdb vg\n"},
        {"dying", NULL, "/dev/sdz \n/dev/sdy other\n/dev/sda vg\n/dev/sdb vg\n"},
        {"fail", "Something is wrong", "/dev/sdz \n/dev/sdy other\n"},
        {"nothing", "claims success", "/dev/sdz \n/dev/sdy other\n"},
        {"one", "claims success", "/dev/sdz \n/dev/sdy other\n/dev/sda vg\n"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_put("devices", "/dev/sdz \n/dev/sda \n/dev/sdy other\n/dev/sdb \n");
        fake_lie("vgcreate", rows[i].lie);
        if (build(0, &error) != !rows[i].words)
            fail_msg("%s", rows[i].lie);
        if (rows[i].words)
            assert_error(error, CST_ERROR_FAILED, rows[i].words);
        assert_devices(rows[i].left);
    }
}

/* --- stop and delete -------------------------------------------------------------------------- */

static void a_group_in_use_is_left_as_it_is(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("a", 4 * MIB, "-wi-a-----", "", "");
    fake_add("b", 4 * MIB, "-wi-a-----", "", "");
    fake_add(".cistern-00.snap", 4 * MIB, "sri-a-s---", "b", "");
    device.path = "/b";
    device.holder = "mounted";
    assert_false(cst_pool_state_stop(fake_state, &error));
    assert_error(error, CST_ERROR_BUSY, "volume 'b' is in use: mounted");
    g_clear_error(&error);
    assert_false(cst_pool_state_destroy(fake_state, 0, &error));
    assert_error(error, CST_ERROR_BUSY, "volume 'b' is in use: mounted");
    g_clear_error(&error);
    device.unknown = TRUE;
    assert_false(cst_pool_state_stop(fake_state, &error));
    assert_error(error, CST_ERROR_IO, "no holders");
    assert_false(fake_was_called("vgremove"));
    assert_false(fake_was_called("vgchange"));
    /* Internal LVs that only LVM uses do not count as in use. */
    device.path = ".snap";
    assert_true(cst_pool_state_stop(fake_state, NULL));
    assert_true(fake_was_called("vgchange -aln vg\n"));
}

static void deleting_removes_the_group_and_frees_its_devices(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_put("devices", "/dev/sda vg\n/dev/sdz \n/dev/sdy other\n");
    assert_false(cst_pool_state_destroy(fake_state, 1, &error));
    assert_devices("/dev/sda vg\n/dev/sdz \n/dev/sdy other\n");
    assert_true(cst_pool_state_destroy(fake_state, 0, NULL));
    assert_true(fake_was_called("vgremove -f vg\n"));
    assert_devices("/dev/sdz \n/dev/sdy other\n");
    g_clear_error(&error);
    assert_false(cst_pool_state_destroy(fake_state, 0, &error));
    assert_error(error, CST_ERROR_NOT_FOUND, "not found");
}

static void deletion_of_a_group_is_verified_after_any_result_of_the_tool(void **unused)
{
    static const struct {
        const char *lie, *words; /* NULL: deleted */
    } rows[] = {
        {"failing", NULL},
        {"dying", NULL},
        {"fail", "Something is wrong"},
        {"nothing", "claims success"},
        {"blinding", "Something is wrong"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_put("devices", "/dev/sda vg\n");
        fake_lie("vgremove", rows[i].lie);
        if (cst_pool_state_destroy(fake_state, 0, &error) != !rows[i].words)
            fail_msg("%s", rows[i].lie);
        if (rows[i].words)
            assert_error(error, CST_ERROR_FAILED, rows[i].words);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_group_is_made_of_all_devices),
        TEST(content_of_a_device_is_kept),
        TEST(existing_group_is_not_created_again),
        TEST(a_device_that_is_not_cleared_is_not_used),
        TEST(build_result_is_verified_after_any_result_of_the_tool),
        TEST(a_group_in_use_is_left_as_it_is),
        TEST(deleting_removes_the_group_and_frees_its_devices),
        TEST(deletion_of_a_group_is_verified_after_any_result_of_the_tool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
