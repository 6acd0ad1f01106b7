/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rbd_site.h"

#include <errno.h>
#include <string.h>

#include <model/flags.h>

#include "rbd/rbd.h"

/* Volumes and clones of an RBD pool: refused calls and their messages. */

/* --- creation --------------------------------------------------------------------------------- */

static void names_and_formats_are_checked_first(void **unused)
{
    static const struct {
        const char *name, *target;
        int code;
        const char *words;
    } cases[] = {
        {"a@b", "", CST_ERROR_INVALID, "can't be the name of a volume in an RBD pool"},
        {".cistern-a.part", "", CST_ERROR_INVALID, "is a name for volumes being made"},
        {"v", "", CST_ERROR_VOL_EXISTS, "'v'"},
        {"a",
         "<target><encryption format='luks'><secret type='passphrase' usage='s'/>"
         "</encryption></target>",
         CST_ERROR_CONFIG, "does not support encrypted volumes"},
    };
    g_autoptr(GError) error = NULL;

    site_make_plain("v");
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *xml =
            g_strdup_printf("<volume><name>%s</name><capacity>1</capacity>%s</volume>",
                            cases[i].name, cases[i].target);
        g_autoptr(CstVolDef) def = cst_vol_def_parse(xml, CST_POOL_RBD, 0, &error);
        g_auto(CstVolDraft) draft = {.token = g_strdup("t")};

        assert_null(error);
        site_assert_failed(cst_pool_state_reserve(site_pool, def, &draft, &error), &error,
                           cases[i].code, cases[i].words);
        site_assert_failed(cst_pool_state_reserve_clone(site_pool, def, "v", NULL, &draft, &error),
                           &error, cases[i].code, cases[i].words);
    }
    site_assert_dump("notes:\nv 22 3d 8388608 ''\n");
}

static void formats_other_than_raw_are_refused(void **unused)
{
    g_autoptr(CstVolDef) def = site_vol_def("a", 1, "");
    g_auto(CstVolDraft) draft = {.token = g_strdup("t")};
    g_autoptr(GError) error = NULL;

    g_free(def->format);
    def->format = g_strdup("qcow2");
    site_assert_failed(cst_pool_state_reserve(site_pool, def, &draft, &error), &error,
                       CST_ERROR_CONFIG, "only RAW volumes");
    g_free(def->format);
    def->format = g_strdup("raw");
    assert_true(cst_pool_state_reserve(site_pool, def, &draft, NULL));
    assert_true(draft.zeroed);
    assert_true(cst_pool_state_commit(site_pool, &draft, def, NULL));
}

static void name_used_during_a_commit_is_not_overwritten(void **unused)
{
    g_autoptr(CstVolDef) def = site_vol_def("v", SITE_SIZE, "");
    g_auto(CstVolDraft) draft = {.token = g_strdup("t")};
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_reserve(site_pool, def, &draft, NULL));
    site_make_plain("v");
    site_write(site_pool, "v", "keep");
    site_assert_failed(cst_pool_state_commit(site_pool, &draft, def, &error), &error,
                       CST_ERROR_VOL_EXISTS, "'v'");
    assert_true(cst_pool_state_abandon(site_pool, "t", NULL));
    site_assert_dump("notes:\nv 22 3d 8388608 'keep'\n");
    /* A missing draft counts as abandoned. */
    assert_true(cst_pool_state_abandon(site_pool, "t", NULL));
    site_assert_failed(cst_pool_state_abandon(site_pool, "a/b", &error), &error, CST_ERROR_INVALID,
                       "name of a draft");
}

static void options_of_a_volume_are_the_options_of_its_image(void **unused)
{
    static const struct {
        const char *options;
        int code; /* 0: success */
        const char *words;
    } cases[] = {
        {"<option name='object-size' value='4K'/>", 0, "v 12 3d "},
        {"<option name='object-size' value='32M'/>", 0, "v 25 3d "},
        {"<option name='object-size' value='8M'/>", 0, "v 23 3d "},
        {"<option name='object-size' value='2K'/>", CST_ERROR_CONFIG, "object size '2K'"},
        {"<option name='object-size' value='64M'/>", CST_ERROR_CONFIG, "object size '64M'"},
        {"<option name='object-size' value='5000'/>", CST_ERROR_CONFIG, "object size '5000'"},
        {"<option name='features' value='layering'/>", 0, "v 22 1 "},
        {"<option name='features' value='layering,exclusive-lock'/>", 0, "v 22 5 "},
        {"<option name='features' value='speed'/>", CST_ERROR_CONFIG, "'speed' is no list"},
        {"<option name='data-pool' value='ec'/>", CST_ERROR_NOT_FOUND,
         "failed to create volume 'libvirt/v': "},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *dump = NULL;

        if (!site_make(site_pool, "v", SITE_SIZE, cases[i].options, &error)) {
            if (error->code != cases[i].code || !strstr(error->message, cases[i].words))
                fail_msg("%s", error->message);
            site_assert_dump("notes:\n");
            continue;
        }
        assert_int_equal(cases[i].code, 0);
        dump = fake_ceph_dump("libvirt", "");
        assert_non_null(strstr(dump, cases[i].words));
        assert_true(cst_pool_state_delete(site_pool, "v", 0, NULL));
    }
    fake_ceph_add_pool("ec");
    assert_true(site_make(site_pool, "v", SITE_SIZE, cases[9].options, NULL));
}

/* --- deleting, resizing ----------------------------------------------------------------------- */

static void volume_in_use_is_not_deleted(void **unused)
{
    CstPoolState *other;
    g_autoptr(RbdConn) conn = site_another_client(&other);
    g_autoptr(GError) error = NULL;
    rbd_image_t image;

    site_assert_failed(cst_pool_state_delete(site_pool, "v", 0, &error), &error, CST_ERROR_NO_VOL,
                       "no storage vol with matching name 'v'");
    site_make_plain("v");
    site_assert_failed(cst_pool_state_delete(site_pool, "v", 1 << 5, &error), &error,
                       CST_ERROR_FLAGS, "");
    image = site_open_elsewhere(conn, "v");
    site_assert_failed(cst_pool_state_delete(site_pool, "v", 0, &error), &error, CST_ERROR_BUSY,
                       "volume 'v' is open somewhere; close it there first");
    conn->ceph->rbd_close(image);
    site_snap(site_pool, "v", "s1");
    site_snap(site_pool, "v", "s2");
    site_assert_failed(cst_pool_state_delete(site_pool, "v", 0, &error), &error, CST_ERROR_BUSY,
                       "volume 'v' has snapshots: 's1', 's2'; delete them first");
    site_assert_dump("notes:\nv 22 3d 8388608 ''\n  @s1 8388608 ''\n  @s2 8388608 ''\n");
    assert_true(cst_pool_state_delete(site_pool, "v", CST_VOL_DELETE_WITH_SNAPSHOTS, NULL));
    site_assert_dump("notes:\n");
    cst_pool_state_unref(other);
}

static void parents_are_not_deleted(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) children = NULL;

    site_make_plain("v");
    site_snap(site_pool, "v", "s");
    for (int i = 10; i < 30; i++) {
        g_autofree char *name = g_strdup_printf("c%d", i);

        assert_true(site_clone(site_pool, name, SITE_SIZE, "v", i % 2 ? "s" : NULL, NULL));
    }
    site_assert_failed(cst_pool_state_delete(site_pool, "v", CST_VOL_DELETE_WITH_SNAPSHOTS, &error),
                       &error, CST_ERROR_BUSY, "volume 'v' has clones: p/c10, p/c11, p/c12, ");
    children = cst_pool_state_vol_children(site_pool, "v", NULL);
    assert_int_equal(children->len, 20);
    assert_string_equal(children->pdata[19], "libvirt/c29");
    site_assert_failed(cst_pool_state_snapshot_remove(site_pool, "v", "s", NULL, &error), &error,
                       CST_ERROR_BUSY, "snapshot 's' of volume 'v' has clones: p/c11, p/c13, ");
}

static void clones_elsewhere_are_named_by_their_path(void **unused)
{
    RbdState *rbd = (RbdState *)site_pool;
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    g_autofree char *text = NULL;

    g_ptr_array_add(paths, (char *)"libvirt/a");
    g_ptr_array_add(paths, (char *)"libvirt/ns/b");
    g_ptr_array_add(paths, (char *)"other/c");
    text = cst_rbd_clones_text(rbd, paths);
    assert_string_equal(text, "p/a, libvirt/ns/b, other/c");
}

static void volumes_are_resized_both_ways(void **unused)
{
    g_autoptr(GError) error = NULL;

    site_make_plain("v");
    assert_true(cst_pool_state_vol_resize(site_pool, "v", 2 * SITE_SIZE, NULL, NULL));
    site_assert_dump("notes:\nv 22 3d 16777216 ''\n");
    assert_true(cst_pool_state_vol_resize(site_pool, "v", 100, NULL, NULL));
    site_assert_dump("notes:\nv 22 3d 100 ''\n");
    fake_ceph_fail("rbd_resize2", 0, 1, -EIO);
    site_assert_failed(cst_pool_state_vol_resize(site_pool, "v", 1, NULL, &error), &error,
                       CST_ERROR_IO, "failed to resize the RBD image 'v'");
    site_assert_failed(cst_pool_state_vol_resize(site_pool, "w", 1, NULL, &error), &error,
                       CST_ERROR_NO_VOL, "'w'");
}

static void watchers_of_an_image_are_reported(void **unused)
{
    CstPoolState *other;
    g_autoptr(RbdConn) conn = site_another_client(&other);
    g_autofree char *expected =
        g_strdup_printf("RBD client %" G_GUINT64_FORMAT " at 10.0.0.9:0/1", conn->id);
    g_autoptr(CstBlob) ours = NULL;
    rbd_image_t images[12];
    g_autoptr(GPtrArray) holders = NULL;

    site_make_plain("v");
    ours = cst_pool_state_vol_open(site_pool, "v", TRUE, NULL);
    holders = cst_pool_state_vol_holders(site_pool, "v", NULL);
    assert_int_equal(holders->len, 0);
    g_ptr_array_unref(holders);
    for (int i = 0; i < 12; i++)
        images[i] = site_open_elsewhere(conn, "v");
    holders = cst_pool_state_vol_holders(site_pool, "v", NULL);
    assert_int_equal(holders->len, 12);
    assert_string_equal(((CstHolder *)holders->pdata[11])->what, expected);
    for (int i = 0; i < 12; i++)
        conn->ceph->rbd_close(images[i]);
    cst_pool_state_unref(other);
}

/* --- flattening ------------------------------------------------------------------------------- */

static void flatten_ends_the_sharing(void **unused)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(CstTask) cancelled = cst_task_new();
    g_autoptr(GError) error = NULL;

    site_make_plain("v");
    site_assert_failed(cst_pool_state_vol_flatten(site_pool, "v", NULL, &error), &error,
                       CST_ERROR_STATE, "volume 'v' shares content with no other");
    assert_true(site_clone(site_pool, "c", SITE_SIZE, "v", NULL, NULL));
    cst_task_cancel(cancelled);
    site_assert_failed(cst_pool_state_vol_flatten(site_pool, "c", cancelled, &error), &error,
                       CST_ERROR_CANCELLED, "");
    site_assert_dump(
        "notes:\nc 22 3d 8388608 '' of v@trash\nv 22 3d 8388608 ''\n  @trash 8388608 ''\n");
    assert_true(cst_pool_state_vol_flatten(site_pool, "c", task, NULL));
    assert_int_equal(cst_task_progress(task).total, SITE_SIZE);
    assert_int_equal(cst_task_progress(task).done, SITE_SIZE);
    site_assert_dump("notes:\nc 22 3d 8388608 ''\nv 22 3d 8388608 ''\n");
}

/* --- drafts of dead processes ----------------------------------------------------------------- */

static void add_draft(const char *token, guint age)
{
    g_autoptr(CstVolDef) def = site_vol_def(token, SITE_SIZE, "");
    g_auto(CstVolDraft) draft = {.token = g_strdup(token)};
    g_autofree char *name = cst_rbd_draft_name(token);

    assert_true(cst_pool_state_reserve(site_pool, def, &draft, NULL));
    fake_ceph_set_age("libvirt", "", name, age);
}

static void drafts_of_the_dead_are_dropped_when_they_are_old(void **unused)
{
    CstPoolState *other;
    g_autoptr(RbdConn) conn = site_another_client(&other);
    rbd_image_t image;

    site_make_plain("v");
    fake_ceph_set_age("libvirt", "", "v", 100000);
    add_draft("new", 0);
    add_draft("young", 3500);
    add_draft("old", 3700);
    add_draft("held", 100000);
    image = site_open_elsewhere(conn, ".cistern-held.part");
    assert_true(cst_pool_state_settle(site_pool, NULL));
    conn->ceph->rbd_close(image);
    site_assert_dump(
        "notes:\n.cistern-held.part 22 3d 8388608 ''\n.cistern-new.part 22 3d 8388608 ''\n"
        ".cistern-young.part 22 3d 8388608 ''\nv 22 3d 8388608 ''\n");
    /* A draft that cannot be removed now does not prevent the start of the pool. */
    fake_ceph_fail("rbd_remove_with_progress", 0, 1, -EIO);
    assert_true(cst_pool_state_settle(site_pool, NULL));
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_assert_dump("notes:\n.cistern-new.part 22 3d 8388608 ''\n"
                     ".cistern-young.part 22 3d 8388608 ''\nv 22 3d 8388608 ''\n");
    cst_pool_state_unref(other);
}

/* Ceph refuses the removal of the image, but the snapshots are removed first. */
static void draft_that_is_open_keeps_its_snapshots(void **unused)
{
    static const char dump[] = "notes:\n.cistern-held.part 22 3d 8388608 ''\n  @s 8388608 ''\n";
    CstPoolState *other;
    g_autoptr(RbdConn) conn = site_another_client(&other);
    rbd_image_t image;

    add_draft("held", 100000);
    site_snap(site_pool, ".cistern-held.part", "s");
    image = site_open_elsewhere(conn, ".cistern-held.part");
    assert_true(cst_pool_state_settle(site_pool, NULL));
    conn->ceph->rbd_close(image);
    site_assert_dump(dump);
    cst_pool_state_unref(other);
}

static void draft_of_unknown_age_or_users_is_not_dropped(void **unused)
{
    static const char *const functions[] = {"rbd_get_create_timestamp", "rbd_watchers_list",
                                            "rbd_open_read_only"};

    add_draft("old", 100000);
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        fake_ceph_fail(functions[i], 0, 1, -EIO);
        assert_true(cst_pool_state_settle(site_pool, NULL));
        site_assert_dump("notes:\n.cistern-old.part 22 3d 8388608 ''\n");
    }
    assert_true(cst_pool_state_settle(site_pool, NULL));
    site_assert_dump("notes:\n");
}

/* --- clones ----------------------------------------------------------------------------------- */

static void the_version_of_clones_can_be_chosen(void **unused)
{
    static const struct {
        const char *value;
        int release;
        gboolean protects;
    } cases[] = {{"auto", 12, TRUE}, {"auto", 13, FALSE}, {"1", 13, TRUE}, {"2", 12, FALSE}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *config = g_strdup_printf(
            "<rbd:option name='rbd_default_clone_format' value='%s'/>", cases[i].value);
        g_autofree char *dump = NULL;

        cst_pool_state_unref(site_pool);
        fake_ceph_reset();
        fake_ceph_require_release(cases[i].release);
        site_pool = site_open(config);
        site_make_plain("v");
        assert_true(site_clone(site_pool, "c", SITE_SIZE, "v", NULL, NULL));
        dump = fake_ceph_dump("libvirt", "");
        assert_int_equal(strstr(dump, "protected") != NULL, cases[i].protects);
        assert_true(cst_pool_state_delete(site_pool, "c", 0, NULL));
        site_assert_dump("notes:\nv 22 3d 8388608 ''\n");
    }
}

static void the_last_clone_releases_the_snapshot(void **unused)
{
    fake_ceph_require_release(12);
    site_make_plain("v");
    site_snap(site_pool, "v", "s");
    assert_true(site_clone(site_pool, "a", SITE_SIZE, "v", "s", NULL));
    assert_true(site_clone(site_pool, "b", SITE_SIZE, "v", "s", NULL));
    assert_true(cst_pool_state_delete(site_pool, "a", 0, NULL));
    site_assert_dump("notes:\nb 22 3d 8388608 '' of v@s\nv 22 3d 8388608 ''\n"
                     "  @s protected, noted 8388608 ''\n");
    assert_true(cst_pool_state_vol_flatten(site_pool, "b", NULL, NULL));
    site_assert_dump("notes:\nb 22 3d 8388608 ''\nv 22 3d 8388608 ''\n  @s 8388608 ''\n");
}

/* Returns whether a clone of "v" is made without a new snapshot. */
static gboolean takes_what_is_ready(const char *name)
{
    guint before = fake_ceph_calls("rbd_snap_create2");
    g_autoptr(GError) error = NULL;

    if (!site_clone(site_pool, name, SITE_SIZE, "v", NULL, &error))
        fail_msg("%s", error->message);
    return fake_ceph_calls("rbd_snap_create2") == before;
}

static void nothing_more(void)
{
}

static void write_to_it(void)
{
    site_write(site_pool, "v", "more");
}

static void make_it_larger(void)
{
    assert_true(cst_pool_state_vol_resize(site_pool, "v", 2 * SITE_SIZE, NULL, NULL));
}

static void lose_its_map(void)
{
    fake_ceph_set_flags("libvirt", "", "v", 1);
}

static void let_the_snapshot_go(void)
{
    fake_ceph_fail("rbd_clone3", 0, 1, -ENOENT);
}

static void fail_to_compare(void)
{
    fake_ceph_fail("rbd_diff_iterate2", 0, 1, -EIO);
}

/* Only if the snapshot has the volume's present content, and is not a user's snapshot. */
static void a_snapshot_that_is_ready_is_cloned(void **unused)
{
    static const struct {
        const char *snapshot;
        void (*then)(void);
        gboolean taken;
    } rows[] = {
        {"libvirt-1", nothing_more, TRUE},
        {"libvirt-1", write_to_it, FALSE},
        {"libvirt-1", make_it_larger, FALSE},
        {"libvirt-1", lose_its_map, FALSE},
        {"libvirt-1", let_the_snapshot_go, FALSE},
        {"libvirt-1", fail_to_compare, FALSE},
        {"s", nothing_more, FALSE},
        {"libvirt-", nothing_more, FALSE},
        {"libvirt-1b", nothing_more, FALSE},
    };

    for (size_t i = 0; i < 2 * G_N_ELEMENTS(rows); i++) {
        gboolean taken = rows[i / 2].taken;
        g_autofree char *dump = NULL;

        fake_ceph_require_release(i % 2 ? 12 : 13);
        site_make_plain("v");
        site_write(site_pool, "v", "then");
        site_snap(site_pool, "v", rows[i / 2].snapshot);
        rows[i / 2].then();
        if (takes_what_is_ready("c") != taken)
            fail_msg("row %zu", i / 2);
        dump = fake_ceph_dump("libvirt", "");
        assert_int_equal(strstr(dump, "of v@libvirt-1") != NULL, taken);
        assert_true(taken || !strstr(dump, "@libvirt-1 protected"));
        assert_true(cst_pool_state_delete(site_pool, "c", 0, NULL));
        assert_true(cst_pool_state_delete(site_pool, "v", CST_VOL_DELETE_WITH_SNAPSHOTS, NULL));
    }
}

/* A guest may have unwritten data in its cache. */
static void volume_open_elsewhere_is_cloned_from_a_new_snapshot(void **unused)
{
    g_autoptr(CstPoolState) other = NULL;
    g_autoptr(RbdConn) conn = site_another_client(&other);
    rbd_image_t image;

    site_make_plain("v");
    site_snap(site_pool, "v", "libvirt-1");
    image = site_open_elsewhere(conn, "v");
    assert_false(takes_what_is_ready("a"));
    conn->ceph->rbd_close(image);
    assert_true(takes_what_is_ready("b"));
}

/* Clones of version 1 share a helper, which is removed with the last of them. */
static void clones_share_a_helper_until_the_next_write(void **unused)
{
    fake_ceph_require_release(12);
    site_make_plain("v");
    assert_false(takes_what_is_ready("a"));
    assert_true(takes_what_is_ready("b"));
    write_to_it();
    assert_false(takes_what_is_ready("c"));
    assert_true(takes_what_is_ready("d"));
    for (const char *name = "abcd"; *name; name++) {
        char one[] = {*name, '\0'};

        assert_true(cst_pool_state_delete(site_pool, one, 0, NULL));
    }
    site_assert_dump("notes:\nv 22 3d 8388608 'more'\n");
}

/* The maker has died in the middle. The helper is removed with the clone that uses it. */
static void helper_with_other_clones_outlives_its_creator(void **unused)
{
    fake_ceph_require_release(12);
    site_make_plain("v");
    fake_ceph_fail("rbd_clone3", 0, 1, -EIO);
    assert_false(site_clone(site_pool, "a", SITE_SIZE, "v", NULL, NULL));
    assert_true(takes_what_is_ready("b"));
    assert_true(cst_pool_state_abandon(site_pool, "a", NULL));
    assert_true(cst_pool_state_delete(site_pool, "b", 0, NULL));
    site_assert_dump("notes:\nv 22 3d 8388608 ''\n");
}

static void clone_that_ceph_does_not_support_is_left_to_the_copy(void **unused)
{
    g_autoptr(GError) error = NULL;

    assert_true(site_make(site_pool, "v", SITE_SIZE,
                          "<option name='features' value='exclusive-lock'/>", NULL));
    site_assert_failed(site_clone(site_pool, "c", SITE_SIZE, "v", NULL, &error), &error,
                       CST_ERROR_UNSUPPORTED, "volume 'v' lacks the feature 'layering'");
    site_make_plain("w");
    for (int i = 0; i < 3; i++) {
        fake_ceph_fail("rbd_clone3", 0, 1, i == 0 ? -EINVAL : i == 1 ? -ENOSYS : -EOPNOTSUPP);
        site_assert_failed(site_clone(site_pool, "c", SITE_SIZE, "w", NULL, &error), &error,
                           CST_ERROR_UNSUPPORTED, "volume 'w' can't be cloned by Ceph: ");
        site_assert_dump("notes:\nv 22 4 8388608 ''\nw 22 3d 8388608 ''\n");
    }
    fake_ceph_fail("rbd_clone3", 0, 1, -EIO);
    site_assert_failed(site_clone(site_pool, "c", SITE_SIZE, "w", NULL, &error), &error,
                       CST_ERROR_IO, "failed to clone volume 'w'");
    site_assert_dump("notes: [cistern_clone_c=w]\nv 22 4 8388608 ''\nw 22 3d 8388608 ''\n"
                     "  @.cistern-c 8388608 ''\n");
    assert_true(cst_pool_state_abandon(site_pool, "c", NULL));
    site_assert_dump("notes:\nv 22 4 8388608 ''\nw 22 3d 8388608 ''\n");
}

/* A clone of the same size needs no blob, so the image is not opened. */
static void only_a_clone_that_has_to_grow_is_opened(void **unused)
{
    static const struct {
        uint64_t size;
        gboolean opened;
    } cases[] = {{SITE_SIZE, FALSE}, {SITE_SIZE - 1, FALSE}, {SITE_SIZE + 1, TRUE}};

    site_make_plain("v");
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(CstVolDef) def = site_vol_def("c", cases[i].size, "");
        g_auto(CstVolDraft) draft = {.token = g_strdup("c"), .zeroed = TRUE};

        assert_true(cst_pool_state_reserve_clone(site_pool, def, "v", NULL, &draft, NULL));
        assert_int_equal(draft.blob != NULL, cases[i].opened);
        assert_false(draft.zeroed);
        cst_vol_draft_clear(&draft);
        draft = (CstVolDraft){0};
        assert_true(cst_pool_state_abandon(site_pool, "c", NULL));
    }
    site_assert_dump("notes:\nv 22 3d 8388608 ''\n");
}

static void snapshot_of_the_draft_of_a_clone_stays_with_the_clone(void **unused)
{
    g_autoptr(CstVolDef) def = site_vol_def("c", SITE_SIZE, "");
    g_auto(CstVolDraft) draft = {.token = g_strdup("c")};
    g_autoptr(GPtrArray) list = NULL;

    site_make_plain("v");
    assert_true(cst_pool_state_reserve_clone(site_pool, def, "v", NULL, &draft, NULL));
    assert_non_null(draft.name);
    assert_true(cst_pool_state_snapshot_create(site_pool, draft.name, "s", &(CstSnapshotCreate){0},
                                               NULL, NULL));
    assert_true(cst_pool_state_commit(site_pool, &draft, def, NULL));
    list = cst_pool_state_snapshots(site_pool, "c", NULL);
    assert_int_equal(list->len, 1);
    assert_string_equal(((CstSnapshot *)list->pdata[0])->name, "s");
}

#define volume_test(f) cmocka_unit_test_setup_teardown(f, site_set_up, site_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        volume_test(snapshot_of_the_draft_of_a_clone_stays_with_the_clone),
        volume_test(names_and_formats_are_checked_first),
        volume_test(formats_other_than_raw_are_refused),
        volume_test(name_used_during_a_commit_is_not_overwritten),
        volume_test(options_of_a_volume_are_the_options_of_its_image),
        volume_test(volume_in_use_is_not_deleted),
        volume_test(parents_are_not_deleted),
        volume_test(clones_elsewhere_are_named_by_their_path),
        volume_test(volumes_are_resized_both_ways),
        volume_test(watchers_of_an_image_are_reported),
        volume_test(flatten_ends_the_sharing),
        volume_test(drafts_of_the_dead_are_dropped_when_they_are_old),
        volume_test(draft_that_is_open_keeps_its_snapshots),
        volume_test(draft_of_unknown_age_or_users_is_not_dropped),
        volume_test(the_version_of_clones_can_be_chosen),
        volume_test(the_last_clone_releases_the_snapshot),
        volume_test(a_snapshot_that_is_ready_is_cloned),
        volume_test(volume_open_elsewhere_is_cloned_from_a_new_snapshot),
        volume_test(clones_share_a_helper_until_the_next_write),
        volume_test(helper_with_other_clones_outlives_its_creator),
        volume_test(clone_that_ceph_does_not_support_is_left_to_the_copy),
        volume_test(only_a_clone_that_has_to_grow_is_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
