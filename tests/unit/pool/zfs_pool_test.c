/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life and health of zfs pools, with misbehaving tools (fake-zfs) and simulated devices. */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/liveness.h>
#include <model/flags.h>

#include "fake_zfs.h"

#define SECRET "0b0e0c4a-52ff-4a6a-8f5e-6f1d2f8f0c11"
#define KEYED  "<c:options><c:option name='key-secret' value='" SECRET "'/></c:options>"

/* --- devices ---------------------------------------------------------------------------------- */

static const char *signature; /* content of the device; NULL: empty */
static gboolean held, cleared;

gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error);
gboolean __wrap_cst_device_is_free(const char *path, GError **error);
gboolean __wrap_cst_device_signature(const char *path, char **ret_name, GError **error);
gboolean __wrap_cst_device_clear(const char *path, GError **error);

gboolean __wrap_cst_device_holders(const char *path, GPtrArray *holders, GError **error)
{
    if (held)
        cst_holders_add(holders, 0, "mounted on '/srv'");
    return TRUE;
}

gboolean __wrap_cst_device_is_free(const char *path, GError **error)
{
    return TRUE;
}

gboolean __wrap_cst_device_signature(const char *path, char **ret_name, GError **error)
{
    *ret_name = g_strdup(signature);
    return TRUE;
}

gboolean __wrap_cst_device_clear(const char *path, GError **error)
{
    cleared = TRUE;
    return TRUE;
}

static int set_up(void **state)
{
    signature = NULL;
    held = cleared = FALSE;
    return fake_set_up(state);
}

/* --- existing objects ------------------------------------------------------------------------- */

/* Simulates an exported or missing ZFS pool. */
static void take_pool_away(void)
{
    fake_by_others("zpool", "destroy", "tank", NULL);
}

static gboolean is_active(void)
{
    gboolean active = FALSE;

    assert_true(cst_pool_state_check(fake_state, &active, NULL));
    return active;
}

static gboolean lend(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data, GError **error)
{
    char text[CST_UUID_TEXT_LEN];

    assert_true(auth->by_uuid);
    assert_string_equal(cst_uuid_format(&auth->secret_uuid, text), SECRET);
    return cst_secret_bytes_copy(ret_value, data, strlen(data), error);
}

static CstPoolHost host = {.secret = lend};

/* Opens the pool with a key whose secret has @value. */
static void use_key(const char *root, const char *value)
{
    cst_pool_state_unref(fake_state);
    fake_state = fake_pool(root, KEYED);
    host.data = (gpointer)value;
    fake_state->host = &host;
}

/* --- check and start -------------------------------------------------------------------------- */

static void pool_is_active_while_its_dataset_exists(void **unused)
{
    assert_true(is_active());
    fake_lie("list", "fail");
    assert_false(is_active());
    fake_lie("list", "");
    cst_pool_state_unref(fake_state);
    fake_state = fake_pool("tank/vm", "");
    assert_false(is_active());
    fake_add_filesystem("tank/vm");
    assert_true(is_active());
    take_pool_away();
    fake_put("log", "");
    assert_false(is_active());
    assert_false(fake_was_called("zfs"));
}

/* A suspended pool waits for its devices and is not queried, because a query would hang. */
static void a_suspended_pool_is_active_and_not_touched(void **unused)
{
    fake_put("kstat/tank/state", "SUSPENDED\n");
    fake_put("log", "");
    assert_true(is_active());
    assert_false(fake_was_called("zfs"));
}

static void resume(gpointer unused)
{
    fake_put("kstat/tank/state", "ONLINE\n");
}

static void a_touch_returns_when_the_pool_is_resumed(void **unused)
{
    point_watch("zfs.touch.suspended");
    assert_true(fake_state->backend->touch(fake_state->def, NULL));
    assert_int_equal(point_passed("zfs.touch.suspended"), 0);
    fake_put("kstat/tank/state", "SUSPENDED\n");
    point_run("zfs.touch.suspended", resume, NULL);
    assert_true(fake_state->backend->touch(fake_state->def, NULL));
    assert_int_equal(point_passed("zfs.touch.suspended"), 1);
    points_clear();
}

static void a_start_wants_the_dataset(void **unused)
{
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_start(fake_state, NULL));
    take_pool_away();
    assert_false(cst_pool_state_start(fake_state, &error));
    assert_non_null(strstr(error->message, "zpool import tank"));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
}

static void a_start_loads_the_key(void **unused)
{
    static const struct {
        const char *how, *key;
        CstErrorCode code;
    } rows[] = {{"", "wrong", CST_ERROR_AUTH},
                {"fail", "sesame", CST_ERROR_FAILED},
                {"nothing", "sesame", CST_ERROR_FAILED},
                {"", "sesame", CST_ERROR_LAST}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_put("sets/tank%vm", "filesystem\n9\n-\n-\n-\n-\ntank/vm\nunavailable\n-\n\n");
        use_key("tank/vm", rows[i].key);
        fake_lie("load-key", rows[i].how);
        if (cst_pool_state_start(fake_state, &error) != (rows[i].code == CST_ERROR_LAST))
            fail_msg("%s %s", rows[i].how, rows[i].key);
        if (error)
            fake_assert_error(&error, rows[i].code);
    }
    assert_true(fake_was_called("zfs load-key -L prompt tank/vm"));
    assert_false(fake_was_called("sesame"));
    /* With a loaded key no work is left. Without a secret the key cannot be loaded. */
    fake_put("log", "");
    assert_true(cst_pool_state_start(fake_state, NULL));
    assert_false(fake_was_called("load-key"));
    fake_put("sets/tank%vm", "filesystem\n9\n-\n-\n-\n-\ntank/vm\nunavailable\n-\n\n");
    cst_pool_state_unref(fake_state);
    fake_state = fake_pool("tank/vm", "");
    assert_true(cst_pool_state_start(fake_state, NULL));
    assert_false(fake_was_called("load-key"));
}

static void definitions_that_can_be_no_pool_are_refused(void **unused)
{
    static const struct {
        const char *root, *options;
        CstErrorCode code;
    } rows[] = {{"-tank", "", CST_ERROR_INVALID},
                {"1tank", "", CST_ERROR_INVALID},
                {"tank//vm", "", CST_ERROR_INVALID},
                {"tank/../vm", "", CST_ERROR_INVALID},
                {"tank@s", "", CST_ERROR_INVALID},
                {"tank", "<c:option name='key-secret' value='me'/>", CST_ERROR_CONFIG},
                {"tank", "<c:option name='volsize' value='1'/>", CST_ERROR_CONFIG}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml = g_strdup_printf(
            "<pool type='zfs' xmlns:c='urn:cistern:storage:1.0'><name>p</name><source><name>%s"
            "</name></source><c:options>%s</c:options></pool>",
            rows[i].root, rows[i].options);
        g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
        g_autoptr(GError) error = NULL;

        assert_non_null(def);
        assert_null(cst_pool_state_open(def, NULL, &error));
        fake_assert_error(&error, rows[i].code);
    }
}

/* --- identity --------------------------------------------------------------------------------- */

static void another_pool_of_the_name_is_refused(void **unused)
{
    g_autofree char *identity = cst_pool_state_identity(fake_state, NULL);
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;
    CstPoolUsage usage;

    assert_true(g_str_has_prefix(identity, "zpool=77 dataset="));
    assert_true(cst_pool_state_expect(fake_state, identity, FALSE, NULL));
    names = fake_names(NULL);
    assert_non_null(names);
    /* The other half of a split mirror has the same datasets. */
    fake_put("pool", "78\n1073741824\nONLINE\n");
    assert_false(cst_pool_state_usage(fake_state, &usage, &error));
    fake_assert_error(&error, CST_ERROR_STATE);
    fake_put("pool", "77\n1073741824\nONLINE\n");
    fake_add_filesystem("tank");
    assert_null(fake_names(&error));
    fake_assert_error(&error, CST_ERROR_STATE);
    assert_false(cst_pool_state_delete(fake_state, "disk", 0, &error));
    fake_assert_error(&error, CST_ERROR_STATE);
    assert_true(cst_pool_state_expect(fake_state, identity, TRUE, NULL));
    g_free(names);
    names = fake_names(NULL);
    assert_non_null(names);
    /* A line without values matches any pool. */
    assert_true(cst_pool_state_expect(fake_state, "dev=1\n", FALSE, NULL));
    fake_add_filesystem("tank");
    g_free(names);
    names = fake_names(NULL);
    assert_non_null(names);
}

/* --- build ------------------------------------------------------------------------------------ */

static gboolean build(unsigned flags, GError **error)
{
    return cst_pool_state_build(fake_state, flags, error);
}

static void pool_is_created_only_on_empty_devices(void **unused)
{
    g_autoptr(GError) error = NULL;

    take_pool_away();
    signature = "ext4";
    assert_false(build(0, &error));
    assert_non_null(strstr(error->message, "carries 'ext4'"));
    fake_assert_error(&error, CST_ERROR_POOL_BUILT);
    held = TRUE;
    assert_false(build(CST_POOL_BUILD_OVERWRITE, &error));
    assert_non_null(strstr(error->message, "mounted on '/srv'"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    held = FALSE;
    assert_false(cleared);
    assert_true(build(CST_POOL_BUILD_OVERWRITE, NULL));
    assert_true(cleared);
    assert_true(fake_was_called("zpool create -m none -O volmode=dev -f tank /dev/sda"));
    take_pool_away();
    signature = NULL;
    assert_true(build(CST_POOL_BUILD_NO_OVERWRITE, NULL));
    assert_true(fake_was_called("zpool create -m none -O volmode=dev tank /dev/sda"));
}

static void existing_pool_is_never_created_again(void **unused)
{
    g_autoptr(GError) error = NULL;

    assert_false(build(CST_POOL_BUILD_OVERWRITE, &error));
    fake_assert_error(&error, CST_ERROR_POOL_BUILT);
    assert_false(build(CST_POOL_BUILD_OVERWRITE | CST_POOL_BUILD_NO_OVERWRITE, &error));
    g_clear_error(&error);
    assert_false(build(CST_POOL_BUILD_RESIZE, &error));
    fake_assert_error(&error, CST_ERROR_FLAGS);
    fake_lie("list", "fail");
    assert_false(build(CST_POOL_BUILD_OVERWRITE, &error));
    fake_assert_error(&error, CST_ERROR_FAILED);
    assert_false(cleared);
    assert_false(fake_was_called("create"));
}

static void a_dataset_is_made_in_its_pool(void **unused)
{
    g_autoptr(GError) error = NULL;

    cst_pool_state_unref(fake_state);
    fake_state = fake_pool("tank/vm", "");
    signature = "ext4";
    assert_true(build(0, NULL));
    assert_true(fake_was_called("zfs create -o mountpoint=none -o volmode=dev tank/vm"));
    assert_false(build(0, &error));
    fake_assert_error(&error, CST_ERROR_POOL_BUILT);
    assert_false(cleared);
}

static void an_encrypted_one_gets_its_key_as_input(void **unused)
{
    g_autofree char *path = fake_path("key"), *key = NULL;

    take_pool_away();
    use_key("tank", "sesame");
    assert_true(build(0, NULL));
    assert_true(fake_was_called("-O encryption=on -O keyformat=passphrase -O keylocation=prompt"));
    assert_true(g_file_get_contents(path, &key, NULL, NULL));
    assert_string_equal(key, "sesame");
    assert_false(fake_was_called("sesame"));
}

/* A pool that exists despite an error counts as built; a missing one does not. */
static void zfs_build_is_verified_after_any_result_of_the_tool(void **unused)
{
    static const struct {
        const char *how;
        gboolean built;
    } rows[] = {{"fail", FALSE},   {"nothing", FALSE}, {"silent", FALSE},
                {"failing", TRUE}, {"dying", TRUE},    {"noisy", TRUE}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        take_pool_away();
        fake_lie("create", rows[i].how);
        assert_int_equal(build(0, &error), rows[i].built);
        assert_int_equal(error == NULL, rows[i].built);
    }
}

static void zfs_dry_run_makes_no_change(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("new", MIB);
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    fake_put("log", "");
    cst_dry_run_set(TRUE);
    assert_false(cst_pool_state_start(fake_state, &error));
    fake_assert_error(&error, CST_ERROR_DRY_RUN);
    assert_false(cst_pool_state_delete(fake_state, "disk", 0, &error));
    fake_assert_error(&error, CST_ERROR_DRY_RUN);
    assert_false(cst_pool_state_make(fake_state, def, &error));
    fake_assert_error(&error, CST_ERROR_DRY_RUN);
    assert_false(cst_pool_state_destroy(fake_state, 0, &error));
    fake_assert_error(&error, CST_ERROR_BUSY);
    cst_dry_run_set(FALSE);
    assert_false(fake_was_called("zfs create") || fake_was_called("destroy"));
}

/* --- delete ----------------------------------------------------------------------------------- */

static void only_an_empty_pool_is_deleted(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add_filesystem("tank/home");
    assert_false(cst_pool_state_destroy(fake_state, 0, &error));
    assert_non_null(strstr(error->message, "tank/home"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    fake_by_others("zfs", "destroy", "tank/home", NULL);
    fake_put("snaps/tank@mine", "1\n0\n0\n");
    assert_false(cst_pool_state_destroy(fake_state, 0, &error));
    assert_non_null(strstr(error->message, "'mine'"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    assert_false(fake_was_called("zpool destroy"));
    fake_by_others("zfs", "destroy", "tank@mine", NULL);
    assert_true(cst_pool_state_destroy(fake_state, 0, NULL));
    assert_true(fake_was_called("zpool destroy tank"));
}

static void zfs_pool_deletion_is_verified_after_any_result_of_the_tool(void **unused)
{
    static const struct {
        const char *how;
        gboolean gone;
    } rows[] = {{"fail", FALSE}, {"nothing", FALSE}, {"failing", TRUE}, {"dying", TRUE}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        cst_pool_state_unref(fake_state);
        fake_state = fake_pool("tank/vm", "");
        fake_add_filesystem("tank/vm");
        fake_add_filesystem("tank");
        fake_lie("destroy", rows[i].how);
        assert_int_equal(cst_pool_state_destroy(fake_state, 0, &error), rows[i].gone);
        assert_int_equal(error == NULL, rows[i].gone);
        assert_true(fake_was_called("zfs destroy tank/vm"));
    }
}

/* --- health ----------------------------------------------------------------------------------- */

#define STATUS                                                                                \
    "  pool: tank\n state: DEGRADED\nstatus: One or more devices are faulted in response to " \
    "persistent errors.\n\tSufficient replicas exist for the pool.\naction: Replace it.\n"    \
    "  scan: scrub in progress since Sun Nov 22 02:46:38 2026\n\t1.2G scanned at 3M/s\n"      \
    "\t0B repaired, 5.00% done\nconfig:\n\n\tNAME        STATE     READ WRITE CKSUM\n"        \
    "\ttank        DEGRADED     0     0     0\n\t  mirror-0  DEGRADED     0     0     0\n"    \
    "\t    sda     ONLINE       0     0     0\n"                                              \
    "\t    sdb     FAULTED      0     3     0  external device fault\n\tspares\n"             \
    "\t  sdc       AVAIL   \n\nerrors: No known data errors\n"

static void health_is_reported_in_the_words_of_zfs(void **unused)
{
    static const char *const notes[] = {
        "status: One or more devices are faulted in response to persistent errors. Sufficient "
        "replicas exist for the pool.",
        "scan: scrub in progress since Sun Nov 22 02:46:38 2026 1.2G scanned at 3M/s 0B repaired, "
        "5.00% done",
        "tank: DEGRADED", "mirror-0: DEGRADED", "sdb: FAULTED, external device fault"};
    g_auto(CstPoolHealth) health = {0};

    fake_put("status", STATUS);
    fake_put("kstat/tank/state", "DEGRADED\n");
    assert_true(cst_pool_state_health(fake_state, TRUE, &health, NULL));
    assert_int_equal(health.level, CST_HEALTH_DEGRADED);
    assert_string_equal(health.state, "DEGRADED");
    assert_int_equal(health.notes->len, G_N_ELEMENTS(notes));
    for (size_t i = 0; i < G_N_ELEMENTS(notes); i++)
        assert_string_equal(g_ptr_array_index(health.notes, i), notes[i]);
}

static void the_level_costs_no_tool(void **unused)
{
    static const struct {
        const char *state;
        CstHealthLevel level;
    } rows[] = {{"ONLINE\n", CST_HEALTH_GOOD},      {"DEGRADED\n", CST_HEALTH_DEGRADED},
                {"FAULTED\n", CST_HEALTH_FAILED},   {"UNAVAIL\n", CST_HEALTH_FAILED},
                {"SUSPENDED\n", CST_HEALTH_FAILED}, {"ODD\n", CST_HEALTH_DEGRADED}};
    g_autofree char *path = fake_path("kstat/tank/state");
    g_auto(CstPoolHealth) gone = {0};
    g_autoptr(GError) error = NULL;

    fake_put("log", "");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(CstPoolHealth) health = {0};

        fake_put("kstat/tank/state", rows[i].state);
        assert_true(cst_pool_state_health(fake_state, FALSE, &health, NULL));
        assert_int_equal(health.level, rows[i].level);
    }
    assert_false(fake_was_called("zpool"));
    assert_int_equal(unlink(path), 0);
    assert_false(cst_pool_state_health(fake_state, FALSE, &gone, &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
}

/* Any output of zpool is handled safely. Lines of another form are ignored. */
static void unknown_form_of_a_status_gives_its_readable_parts(void **unused)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "scan",
                                        "scan:",
                                        "config:\n\t\n\ta b\n\ta b c d e",
                                        "\tlost\n",
                                        ": :\n",
                                        "config:\n\tx FAULTED 0 0 0 y y\n",
                                        "errors: No known data errors\n"};
    static const guint counts[] = {0, 0, 0, 1, 1, 0, 0, 1, 0};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_auto(CstPoolHealth) health = {0};

        zfs_status_parse(texts[i], &health);
        if ((health.notes ? health.notes->len : 0) != counts[i])
            fail_msg("%zu: %u notes", i, health.notes ? health.notes->len : 0);
    }
}

int main(void)
{
#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        FAKE_TEST(pool_is_active_while_its_dataset_exists),
        FAKE_TEST(a_suspended_pool_is_active_and_not_touched),
        FAKE_TEST(a_touch_returns_when_the_pool_is_resumed),
        FAKE_TEST(a_start_wants_the_dataset),
        FAKE_TEST(a_start_loads_the_key),
        FAKE_TEST(definitions_that_can_be_no_pool_are_refused),
        FAKE_TEST(another_pool_of_the_name_is_refused),
        FAKE_TEST(pool_is_created_only_on_empty_devices),
        FAKE_TEST(existing_pool_is_never_created_again),
        FAKE_TEST(a_dataset_is_made_in_its_pool),
        FAKE_TEST(an_encrypted_one_gets_its_key_as_input),
        FAKE_TEST(zfs_build_is_verified_after_any_result_of_the_tool),
        FAKE_TEST(zfs_dry_run_makes_no_change),
        FAKE_TEST(only_an_empty_pool_is_deleted),
        FAKE_TEST(zfs_pool_deletion_is_verified_after_any_result_of_the_tool),
        FAKE_TEST(health_is_reported_in_the_words_of_zfs),
        FAKE_TEST(the_level_costs_no_tool),
        FAKE_TEST(unknown_form_of_a_status_gives_its_readable_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
