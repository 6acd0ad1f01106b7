/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes of zfs pools with misbehaving tools (fake-zfs): made, changed, cloned, flattened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <sys/stat.h>

#include "fake_guest.h"
#include "fake_zfs.h"

#define HEX        "0123456789abcdef0123456789abcdef"
#define DEAD_DRAFT ".cistern-" HEX ".0000_1_1.part"

static gboolean make(const CstVolDef *def, GError **error)
{
    return cst_pool_state_make(fake_state, def, error);
}

static void assert_fact(const char *dataset, guint line, const char *text)
{
    g_autofree char *fact = fake_fact(dataset, line);

    assert_string_equal(fact, text);
}

/* --- creation --------------------------------------------------------------------------------- */

static void a_volume_is_reserved_or_sparse_as_asked(void **unused)
{
    static const struct {
        uint64_t allocation;
        const char *reserved;
    } rows[] = {{8 * MIB, "8454144"}, {9 * MIB, "8454144"}, {0, "0"}, {1000, "1024"}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *name = g_strdup_printf("v%zu", i);
        g_autofree char *dataset = g_strconcat("tank/", name, NULL);
        g_autoptr(CstVolDef) def = fake_volume(name, 8 * MIB);

        def->allocation = rows[i].allocation;
        assert_true(make(def, NULL));
        assert_fact(dataset, 3, rows[i].reserved);
        assert_fact(dataset, 9, " volmode=dev");
    }
}

static void partitions_are_not_scanned_by_the_host(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("v", MIB);
    g_autoptr(CstVolDef) other = fake_volume("w", MIB);

    fake_partitioned = 2;
    assert_true(make(def, NULL));
    assert_int_equal(fake_partitioned, 0);
    assert_true(fake_was_called("zfs set volmode=dev tank/v"));
    fake_assert_calls("zfs-list zfs-create "
                      "udevadm-settle zfs-set udevadm-settle zfs-set udevadm-settle ");
    /* Another program keeps it open. */
    fake_partitioned = G_MAXUINT;
    assert_true(make(other, NULL));
    assert_true(fake_was_called("zfs set volmode=dev tank/w"));
    fake_partitioned = 0;
}

static void a_size_is_rounded_up_to_blocks(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("a", 1);
    g_autoptr(CstVolDef) other = fake_volume("b", 1);

    cst_options_add(&other->options, "volblocksize", "64K");
    assert_true(make(def, NULL));
    assert_true(make(other, NULL));
    assert_fact("tank/a", 2, "16384");
    assert_fact("tank/b", 2, "65536");
}

static void properties_are_the_volumes_own_or_the_pools(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("a", MIB);

    cst_pool_state_unref(fake_state);
    fake_state = fake_pool("tank", "<c:options><c:option name='compression' value='zstd'/>"
                                   "<c:option name='sync' value='always'/></c:options>");
    cst_options_add(&def->options, "compression", "off");
    cst_options_add(&def->options, "site:owner", "me");
    assert_true(make(def, NULL));
    assert_fact("tank/a", 9, " volmode=dev sync=always compression=off site:owner=me");
    for (const char *const *key =
             (const char *[]){"volsize", "refreservation", "encryption", "keylocation",
                              "cistern:replaces", "-o", "Sync", "", "readonly", NULL};
         *key; key++) {
        g_autoptr(CstVolDef) bad = fake_volume("b", MIB);
        g_autoptr(GError) error = NULL;

        cst_options_add(&bad->options, *key, "x");
        assert_false(make(bad, &error));
        fake_assert_error(&error, CST_ERROR_CONFIG);
    }
    assert_int_equal(fake_count(), 1);
}

static void impossible_volume_is_refused(void **unused)
{
    static const struct {
        const char *name;
        uint64_t capacity;
        CstErrorCode code;
    } rows[] = {{"a", 0, CST_ERROR_INVALID},
                {"a", UINT64_MAX, CST_ERROR_INVALID},
                {"a@b", MIB, CST_ERROR_INVALID},
                {"a%", MIB, CST_ERROR_INVALID},
                {".cistern-1", MIB, CST_ERROR_INVALID},
                {"none/a", MIB, CST_ERROR_NOT_FOUND},
                {"vol/a", MIB, CST_ERROR_INVALID},
                {"sub//a", MIB, CST_ERROR_INVALID},
                {"sub/.cistern-1", MIB, CST_ERROR_INVALID}};

    fake_add("tank/vol");
    fake_add_filesystem("tank/sub");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstVolDef) def = fake_volume(rows[i].name, rows[i].capacity);
        g_autoptr(GError) error = NULL;

        if (make(def, &error))
            fail_msg("made '%s'", rows[i].name);
        fake_assert_error(&error, rows[i].code);
    }
    assert_int_equal(fake_count(), 2);
}

static void a_name_may_be_several_of_nested_datasets(void **unused)
{
    static const char *const good[] = {"a", "sub/a", "a/b/c"};
    static const char *const bad[] = {"",     "/",    "/a",           "a/",          "a//b",
                                      "../a", "a/..", "a/.cistern-1", ".cistern-1/a"};

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        assert_true(cst_pool_state_volume_name_check(fake_state, good[i], NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        if (cst_pool_state_volume_name_check(fake_state, bad[i], &error))
            fail_msg("'%s' is a name", bad[i]);
        fake_assert_error(&error, CST_ERROR_INVALID);
    }
}

static void a_name_leaves_room_for_its_draft(void **unused)
{
    g_autofree char *most = g_strnfill(255 - 82 - strlen("tank"), 'a');
    g_autofree char *more = g_strconcat(most, "a", NULL);

    assert_true(zfs_name_check(ZFS(fake_state), most, NULL));
    assert_false(zfs_name_check(ZFS(fake_state), more, NULL));
}

static void a_draft_is_a_volume_when_it_is_finished(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("sub/disk", 5 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autofree char *before = NULL, *after = NULL, *device = NULL;
    uint64_t size = 0;
    struct stat st;

    fake_add_filesystem("tank/sub");
    def->perms.mode = 0640;
    assert_true(cst_pool_state_reserve(fake_state, def, &draft, NULL));
    assert_true(draft.zeroed);
    assert_true(cst_blob_get_size(draft.blob, &size, NULL));
    assert_int_equal(size, 5 * MIB);
    before = fake_names(NULL);
    assert_string_equal(before, "");
    assert_true(fake_was_called("tank/sub/.cistern-" HEX "."));
    assert_true(cst_pool_state_commit(fake_state, &draft, def, NULL));
    after = fake_names(NULL);
    assert_string_equal(after, "sub/disk ");
    device = fake_path("dev/zvol/tank/sub/disk");
    assert_int_equal(stat(device, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

/*
 * Either the volume exists and the call succeeds, or it does not exist and the call reports an
 * error.
 */
static void zfs_creation_is_verified_after_any_result_of_the_tool(void **unused)
{
    static const struct {
        const char *verb, *how;
        gboolean drafted, made; /* by a draft; in one step */
        CstErrorCode code;
    } rows[] = {
        {"create", "fail", FALSE, FALSE, CST_ERROR_FAILED},
        {"create", "full", FALSE, FALSE, CST_ERROR_NO_SPACE},
        {"create", "silent", FALSE, FALSE, CST_ERROR_FAILED},
        {"create", "hang", FALSE, FALSE, CST_ERROR_TIMEOUT},
        {"create", "dying", FALSE, TRUE, CST_ERROR_FAILED},
        {"create", "failing", FALSE, TRUE, CST_ERROR_FAILED},
        {"create", "nothing", FALSE, FALSE, CST_ERROR_NOT_FOUND},
        {"create", "smaller", FALSE, TRUE, CST_ERROR_FAILED},
        {"rename", "fail", FALSE, TRUE, CST_ERROR_FAILED},
        {"rename", "nothing", FALSE, TRUE, CST_ERROR_FAILED},
        {"rename", "once", TRUE, TRUE, CST_ERROR_LAST},
        {"rename", "failing", TRUE, TRUE, CST_ERROR_LAST},
        {"rename", "dying", TRUE, TRUE, CST_ERROR_LAST},
        {"rename", "noisy", TRUE, TRUE, CST_ERROR_LAST},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstVolDef) def = fake_volume("made", 5 * MIB);
        g_autoptr(GError) error = NULL;
        gboolean made;

        fake_lie(rows[i].verb, rows[i].how);
        made = fake_create("disk", &error);
        if (made != rows[i].drafted || (error && error->code != (int)rows[i].code))
            fail_msg("%s %s: %s", rows[i].verb, rows[i].how, error ? error->message : "made");
        assert_int_equal(fake_has("tank/disk"), made);
        assert_int_equal(fake_count(), made);
        g_clear_error(&error);
        fake_lie(rows[i].verb, rows[i].how);
        made = make(def, &error);
        if (made != rows[i].made)
            fail_msg("%s %s: %s", rows[i].verb, rows[i].how, error ? error->message : "made");
        fake_lie(rows[i].verb, "");
        assert_int_equal(fake_has("tank/made"), made);
        for (const char *const *name = (const char *[]){"disk", "made", NULL}; *name; name++)
            cst_pool_state_delete(fake_state, *name, 0, NULL);
        assert_int_equal(fake_count(), 0);
    }
}

static void existing_dataset_is_kept(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("disk", MIB);
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    fake_write("disk", "mine");
    assert_false(make(def, &error));
    fake_assert_error(&error, CST_ERROR_VOL_EXISTS);
    assert_false(fake_create("disk", &error));
    fake_assert_error(&error, CST_ERROR_VOL_EXISTS);
    fake_assert_holds("disk", "mine");
    assert_int_equal(fake_count(), 1);
}

/* A device that is linked under the name but belongs to another dataset is not opened. */
static void stale_link_is_not_accepted_as_the_volume(void **unused)
{
    g_autofree char *device = fake_path("dev/zvol/tank/a"), *other = fake_path("other");
    g_autoptr(GError) error = NULL;

    fake_add("tank/a");
    fake_put("other", "content of another");
    assert_int_equal(unlink(device), 0);
    assert_int_equal(symlink(other, device), 0);
    assert_null(cst_pool_state_vol_open(fake_state, "a", FALSE, &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_null(cst_pool_state_vol_open(fake_state, "none", FALSE, &error));
    fake_assert_error(&error, CST_ERROR_NO_VOL);
}

/* --- delete and resize ------------------------------------------------------------------------ */

static void zfs_deletion_is_verified_after_any_result_of_the_tool(void **unused)
{
    static const struct {
        const char *how;
        gboolean gone;
        CstErrorCode code;
    } rows[] = {
        {"fail", FALSE, CST_ERROR_FAILED}, {"nothing", FALSE, CST_ERROR_CORRUPT},
        {"busy", FALSE, CST_ERROR_BUSY},   {"once", TRUE, CST_ERROR_LAST},
        {"failing", TRUE, CST_ERROR_LAST}, {"dying", TRUE, CST_ERROR_LAST},
        {"noisy", TRUE, CST_ERROR_LAST},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        fake_add("tank/disk");
        fake_lie("program", rows[i].how);
        if (cst_pool_state_delete(fake_state, "disk", 0, &error) != rows[i].gone)
            fail_msg("%s: %s", rows[i].how, error ? error->message : "gone");
        if (error)
            fake_assert_error(&error, rows[i].code);
        assert_int_equal(fake_has("tank/disk"), !rows[i].gone);
        assert_int_equal(cst_pool_state_delete(fake_state, "disk", 7, NULL), FALSE);
    }
}

static void volume_with_dependents_is_kept(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    fake_snapshot("tank/disk", "s");
    assert_false(cst_pool_state_delete(fake_state, "disk", 0, &error));
    assert_non_null(strstr(error->message, "'s'"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    fake_add_as("tank/clone", "tank/disk@s", NULL);
    assert_false(cst_pool_state_delete(fake_state, "disk", 0, &error));
    assert_non_null(strstr(error->message, "tank/clone"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    assert_false(fake_was_called("destroy"));
}

/*
 * A hidden snapshot of a dead process is removed with the volume. One of a living process prevents
 * the removal.
 */
static void hidden_snapshots_of_the_dead_go_along(void **unused)
{
    g_autofree char *living = cst_draft_name(TOKEN);
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    fake_snapshot("tank/disk", living);
    assert_false(cst_pool_state_delete(fake_state, "disk", 0, &error));
    assert_non_null(strstr(error->message, "is being cloned"));
    fake_assert_error(&error, CST_ERROR_BUSY);
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    fake_snapshot("tank/disk", DEAD_DRAFT);
    assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    assert_int_equal(fake_count(), 0);
}

static void zfs_resize_is_verified_after_any_result_of_the_tool(void **unused)
{
    static const struct {
        const char *how;
        gboolean done;
    } rows[] = {
        {"", TRUE}, {"fail", FALSE}, {"nothing", FALSE}, {"failing", TRUE}, {"dying", TRUE}};
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        fake_add("tank/disk");
        fake_lie("set", rows[i].how);
        assert_int_equal(cst_pool_state_vol_resize(fake_state, "disk", 9 * MIB + 1, NULL, &error),
                         rows[i].done);
        assert_int_equal(error != NULL, !rows[i].done);
        g_clear_error(&error);
        assert_fact("tank/disk", 2, rows[i].done ? "9453568" : "8388608");
    }
    assert_false(cst_pool_state_vol_resize(fake_state, "disk", 0, NULL, &error));
    fake_assert_error(&error, CST_ERROR_INVALID);
}

/* --- clones ----------------------------------------------------------------------------------- */

static gboolean make_clone(const char *source, const char *snapshot, const char *name,
                           uint64_t capacity, GError **error)
{
    g_autoptr(CstVolDef) def = fake_volume(name, capacity);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    gboolean made;

    def->allocation = 0;
    cst_options_add(&def->options, "volblocksize", "16K");
    made = cst_pool_state_reserve_clone(fake_state, def, source, snapshot, &draft, error) &&
           cst_pool_state_commit(fake_state, &draft, def, error);
    if (!made)
        assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    return made;
}

static void clone_has_the_content_and_its_snapshot_is_removed_with_it(void **unused)
{
    g_autoptr(GPtrArray) children = NULL;
    g_autofree char *names = NULL;
    guint before;

    fake_add("tank/disk");
    fake_write("disk", "born");
    before = fake_count();
    fake_partitioned = 1;
    assert_true(make_clone("disk", NULL, "copy", 10 * MIB, NULL));
    assert_true(fake_was_called("zfs set volmode=dev tank/.cistern-"));
    fake_assert_holds("copy", "born");
    assert_fact("tank/copy", 2, "10485760");
    assert_fact("tank/copy", 3, "0");
    fake_write("disk", "aged");
    fake_assert_holds("copy", "born");
    children = cst_pool_state_vol_children(fake_state, "disk", NULL);
    assert_int_equal(children->len, 1);
    assert_string_equal(g_ptr_array_index(children, 0), "/dev/zvol/tank/copy");
    names = fake_names(NULL);
    assert_string_equal(names, "copy disk ");
    assert_true(cst_pool_state_delete(fake_state, "copy", 0, NULL));
    assert_int_equal(fake_count(), before);
}

static void clone_of_a_snapshot_depends_on_that_snapshot(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    fake_write("disk", "then");
    fake_snapshot("tank/disk", "s");
    fake_write("disk", "now!");
    assert_true(make_clone("disk", "s", "copy", 8 * MIB, NULL));
    fake_assert_holds("copy", "then");
    assert_fact("tank/copy", 5, "tank/disk@s");
    assert_false(make_clone("disk", "none", "other", 8 * MIB, &error));
    fake_assert_error(&error, CST_ERROR_NOT_FOUND);
}

static void snapshot_of_the_draft_of_a_clone_stays_with_the_clone(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("copy", 8 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autoptr(GPtrArray) list = NULL;

    fake_add("tank/disk");
    assert_true(cst_pool_state_reserve_clone(fake_state, def, "disk", NULL, &draft, NULL));
    assert_non_null(draft.name);
    assert_true(cst_pool_state_snapshot_create(fake_state, draft.name, "s", &(CstSnapshotCreate){0},
                                               NULL, NULL));
    assert_true(cst_pool_state_commit(fake_state, &draft, def, NULL));
    list = cst_pool_state_snapshots(fake_state, "copy", NULL);
    assert_int_equal(list->len, 1);
    assert_string_equal(((CstSnapshot *)list->pdata[0])->name, "s");
}

static void clone_that_cannot_share_is_left_to_the_copy(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("copy", 8 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_false(make_clone("disk", NULL, "copy", 4 * MIB, &error));
    fake_assert_error(&error, CST_ERROR_UNSUPPORTED);
    cst_options_add(&def->options, "volblocksize", "64K");
    assert_false(cst_pool_state_reserve_clone(fake_state, def, "disk", NULL, &draft, &error));
    fake_assert_error(&error, CST_ERROR_UNSUPPORTED);
    assert_int_equal(fake_count(), 1);
}

static void a_clone_that_reserves_has_all_of_it_reserved(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("copy", 8 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};

    fake_add("tank/disk");
    assert_true(cst_pool_state_reserve_clone(fake_state, def, "disk", NULL, &draft, NULL));
    assert_true(cst_pool_state_commit(fake_state, &draft, def, NULL));
    assert_fact("tank/copy", 3, "8454144");
}

static void backing_store_is_cloned(void **unused)
{
    g_autoptr(CstVolDef) def = fake_volume("copy", 8 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    def->backing = cst_backing_def_new("/dev/zvol/tank/disk", "raw");
    assert_false(make(def, &error));
    fake_assert_error(&error, CST_ERROR_UNSUPPORTED);
    assert_true(cst_pool_state_reserve(fake_state, def, &draft, NULL));
    assert_true(cst_pool_state_commit(fake_state, &draft, def, NULL));
    assert_true(fake_was_called("zfs clone"));
    g_free(def->backing->path);
    def->backing->path = g_strdup("/dev/vg/disk");
    assert_false(cst_pool_state_reserve(fake_state, def, &draft, &error));
    fake_assert_error(&error, CST_ERROR_INVALID);
}

static void failed_zfs_clone_leaves_no_dataset(void **unused)
{
    static const char *const verbs[] = {"snapshot", "clone", "set", "rename"};

    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        g_autoptr(GError) error = NULL;

        fake_add("tank/disk");
        fake_lie(verbs[i], "fail");
        assert_false(make_clone("disk", NULL, "copy", 9 * MIB, &error));
        fake_lie(verbs[i], "");
        assert_int_equal(fake_count(), 1);
    }
}

/* --- flatten ---------------------------------------------------------------------------------- */

static void flattened_clone_is_independent(void **unused)
{
    fake_add("tank/disk");
    fake_write("disk", "born");
    assert_true(make_clone("disk", NULL, "copy", 8 * MIB, NULL));
    assert_true(cst_pool_state_vol_flatten(fake_state, "copy", NULL, NULL));
    fake_assert_holds("copy", "born");
    assert_fact("tank/copy", 5, "-");
    assert_int_equal(fake_count(), 2);
    assert_true(cst_pool_state_vol_flatten(fake_state, "copy", NULL, NULL));
    assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
}

static void a_clone_that_is_used_is_not_flattened(void **unused)
{
    static const char *const held[] = {"/copy", ".old"};

    for (size_t i = 0; i < G_N_ELEMENTS(held); i++) {
        g_autoptr(GError) error = NULL;

        fake_add("tank/disk");
        fake_write("disk", "born");
        assert_true(make_clone("disk", NULL, "copy", 8 * MIB, NULL));
        fake_hold(held[i]);
        assert_false(cst_pool_state_vol_flatten(fake_state, "copy", NULL, &error));
        fake_hold(NULL);
        fake_assert_error(&error, CST_ERROR_BUSY);
        fake_assert_holds("copy", "born");
        assert_true(cst_pool_state_delete(fake_state, "copy", 0, NULL));
        assert_int_equal(fake_count(), 1);
    }
}

static void clone_written_during_a_flatten_is_not_flattened(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_true(make_clone("disk", NULL, "copy", 8 * MIB, NULL));
    fake_writes = 1;
    assert_false(cst_pool_state_vol_flatten(fake_state, "copy", NULL, &error));
    fake_writes = 0;
    fake_assert_error(&error, CST_ERROR_BUSY);
    assert_int_equal(fake_count(), 3);
}

static void snapshots_and_clones_keep_a_clone_from_being_flattened(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("tank/disk");
    assert_true(make_clone("disk", NULL, "copy", 8 * MIB, NULL));
    fake_snapshot("tank/copy", "s");
    assert_false(cst_pool_state_vol_flatten(fake_state, "copy", NULL, &error));
    assert_non_null(strstr(error->message, "'s'"));
    fake_assert_error(&error, CST_ERROR_BUSY);
}

int main(void)
{
#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        FAKE_TEST(a_volume_is_reserved_or_sparse_as_asked),
        FAKE_TEST(partitions_are_not_scanned_by_the_host),
        FAKE_TEST(a_size_is_rounded_up_to_blocks),
        FAKE_TEST(properties_are_the_volumes_own_or_the_pools),
        FAKE_TEST(impossible_volume_is_refused),
        FAKE_TEST(a_name_may_be_several_of_nested_datasets),
        FAKE_TEST(a_name_leaves_room_for_its_draft),
        FAKE_TEST(a_draft_is_a_volume_when_it_is_finished),
        FAKE_TEST(zfs_creation_is_verified_after_any_result_of_the_tool),
        FAKE_TEST(existing_dataset_is_kept),
        FAKE_TEST(stale_link_is_not_accepted_as_the_volume),
        FAKE_TEST(zfs_deletion_is_verified_after_any_result_of_the_tool),
        FAKE_TEST(volume_with_dependents_is_kept),
        FAKE_TEST(hidden_snapshots_of_the_dead_go_along),
        FAKE_TEST(zfs_resize_is_verified_after_any_result_of_the_tool),
        FAKE_TEST(clone_has_the_content_and_its_snapshot_is_removed_with_it),
        FAKE_TEST(clone_of_a_snapshot_depends_on_that_snapshot),
        FAKE_TEST(snapshot_of_the_draft_of_a_clone_stays_with_the_clone),
        FAKE_TEST(clone_that_cannot_share_is_left_to_the_copy),
        FAKE_TEST(a_clone_that_reserves_has_all_of_it_reserved),
        FAKE_TEST(backing_store_is_cloned),
        FAKE_TEST(failed_zfs_clone_leaves_no_dataset),
        FAKE_TEST(flattened_clone_is_independent),
        FAKE_TEST(a_clone_that_is_used_is_not_flattened),
        FAKE_TEST(clone_written_during_a_flatten_is_not_flattened),
        FAKE_TEST(snapshots_and_clones_keep_a_clone_from_being_flattened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
