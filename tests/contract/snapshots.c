/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

#include <service/trust.h>
#include <store/journal.h>

#include "await.h"

/* Snapshots: what was written before, between and after them comes back exactly. */

#define BLOCKS ((guint)(VOLUME_SIZE / TAG_BLOCK))

static void snapshot(Site *site, const char *volume, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_snapshot_create(site->pool, volume, name, 0, NULL, &error);
    assert_no_error(error);
}

static void revert(Site *site, const char *volume, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_snapshot_revert(site->pool, volume, name, NULL, NULL, &error);
    assert_no_error(error);
}

static void clone_snapshot(Site *site, const char *volume, const char *name, const char *new_volume)
{
    g_autoptr(GError) error = NULL;

    cst_vol_snapshot_clone(site->pool, volume, name, new_volume, NULL, &error);
    assert_no_error(error);
}

static void remove_snapshot(Site *site, const char *volume, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_snapshot_delete(site->pool, volume, name, NULL, &error);
    assert_no_error(error);
}

static void assert_snapshots(Site *site, const char *volume, const char *expected)
{
    g_autofree char *names = snapshot_names(site, volume);

    assert_string_equal(names, expected);
}

static void the_one_error(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, 1, 1);
    assert_false(cst_vol_snapshot_create(site->pool, "v", "s", 0, NULL, &error));
    assert_error_says(&error, CST_ERROR_UNSUPPORTED, "qcow2");
    assert_true(cst_vol_delete(site->pool, "v", 0, NULL, NULL));
}

/* --- content ---------------------------------------------------------------------------------- */

static void expect(Site *site, const char *volume, uint32_t first, uint32_t middle, uint32_t rest)
{
    uint32_t tags[BLOCKS];

    for (guint i = 0; i < BLOCKS; i++)
        tags[i] = i == 0 ? first : i < BLOCKS / 2 ? middle : rest;
    content_assert(site, volume, tags, BLOCKS);
}

static void content_comes_back(Site *site)
{
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    snapshot(site, "v", "one");
    content_write(site, "v", 1, BLOCKS / 2 - 1, 2);
    snapshot(site, "v", "two");
    content_write(site, "v", 0, 1, 3);
    expect(site, "v", 3, 2, 1);
    clone_snapshot(site, "v", "two", "then");
    expect(site, "then", 1, 2, 1);
    revert(site, "v", "two");
    expect(site, "v", 1, 2, 1);
    assert_snapshots(site, "v", "one two");
    content_write(site, "v", 0, BLOCKS, 4);
    revert(site, "v", "two");
    revert(site, "v", "two");
    expect(site, "v", 1, 2, 1);
    content_write(site, "v", 0, 1, 5);
    expect(site, "then", 1, 2, 1);
}

/* --- to other than the newest ----------------------------------------------------------------- */

/* A clone "w" of what the volume holds now. */
static void clone_now(Site *site)
{
    g_autofree char *xml = volume_clone_xml(site, "v", "w");
    g_autofree char *made = NULL;
    g_autoptr(GError) error = NULL;

    cst_vol_create_from(site->pool, xml, site->pool, "v", 0, NULL, &made, &error);
    assert_no_error(error);
}

/* Two snapshots, and a clone of what was written since. */
static void older_and_newer(Site *site)
{
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    snapshot(site, "v", "one");
    content_write(site, "v", 0, BLOCKS, 2);
    snapshot(site, "v", "two");
    content_write(site, "v", 0, BLOCKS / 2, 3);
    clone_now(site);
}

static void a_revert_keeps_all(Site *site)
{
    older_and_newer(site);
    revert(site, "v", "one");
    expect(site, "v", 1, 1, 1);
    assert_snapshots(site, "v", "one two");
    content_write(site, "v", 0, BLOCKS, 4);
    revert(site, "v", "two");
    expect(site, "v", 2, 2, 2);
    revert(site, "v", "one");
    revert(site, "v", "one");
    expect(site, "v", 1, 1, 1);
    expect(site, "w", 3, 3, 2);
}

static void assert_not_reverted(Site *site, const char *const *agreed, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_vol_snapshot_revert(site->pool, "v", "one", agreed, NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, words);
    assert_snapshots(site, "v", "one two");
    expect(site, "v", 3, 3, 2);
}

/* A dependent of a newer snapshot prevents the revert. Other losses need the caller's consent. */
static void a_revert_drops_what_is_newer(Site *site)
{
    static const char *const agreed[] = {"two", NULL};
    g_autoptr(GError) error = NULL;

    if (!site_has(site, GROUND_SNAPSHOTS))
        return;
    older_and_newer(site);
    assert_not_reverted(site, agreed, "w'");
    assert_true(cst_vol_delete(site->pool, "w", 0, NULL, NULL));
    assert_not_reverted(site, NULL, "'two'");
    cst_vol_snapshot_revert(site->pool, "v", "one", agreed, NULL, &error);
    assert_no_error(error);
    expect(site, "v", 1, 1, 1);
    assert_snapshots(site, "v", "one");
}

/* --- clones ----------------------------------------------------------------------------------- */

static void a_clone_is_a_volume(Site *site)
{
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    snapshot(site, "v", "s");
    content_write(site, "v", 0, BLOCKS, 2);
    clone_snapshot(site, "v", "s", "w");
    content_write(site, "w", 0, BLOCKS / 2, 3);
    snapshot(site, "w", "own");
    content_write(site, "w", 0, BLOCKS, 4);
    clone_snapshot(site, "w", "own", "x");
    expect(site, "x", 3, 3, 1);
    revert(site, "w", "own");
    expect(site, "w", 3, 3, 1);
    expect(site, "v", 2, 2, 2);
    revert(site, "v", "s");
    expect(site, "v", 1, 1, 1);
}

/* A copy of a volume is of what it holds now, whoever keeps its snapshots. */
static void a_clone_has_none(Site *site)
{
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    snapshot(site, "v", "s");
    content_write(site, "v", 0, BLOCKS / 2, 2);
    clone_now(site);
    assert_snapshots(site, "w", "");
    expect(site, "w", 2, 2, 1);
}

static void the_middle_one_goes(Site *site)
{
    volume_make(site, "v", VOLUME_SIZE);
    for (uint32_t i = 1; i <= 3; i++) {
        g_autofree char *name = g_strdup_printf("s%u", i);

        content_write(site, "v", 0, BLOCKS, i);
        snapshot(site, "v", name);
    }
    content_write(site, "v", 0, BLOCKS, 4);
    assert_snapshots(site, "v", "s1 s2 s3");
    remove_snapshot(site, "v", "s2");
    assert_snapshots(site, "v", "s1 s3");
    expect(site, "v", 4, 4, 4);
    revert(site, "v", "s3");
    expect(site, "v", 3, 3, 3);
    remove_snapshot(site, "v", "s3");
    revert(site, "v", "s1");
    expect(site, "v", 1, 1, 1);
    remove_snapshot(site, "v", "s1");
    assert_snapshots(site, "v", "");
    expect(site, "v", 1, 1, 1);
}

static void sizes_come_back(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    snapshot(site, "v", "small");
    cst_vol_resize(site->pool, "v", 2 * VOLUME_SIZE, 0, NULL, &error);
    assert_no_error(error);
    content_write(site, "v", BLOCKS, BLOCKS, 2);
    clone_snapshot(site, "v", "small", "w");
    content_assert_all(site, "w", 1);
    assert_int_equal(volume_size(site, "w"), VOLUME_SIZE);
    revert(site, "v", "small");
    assert_int_equal(volume_size(site, "v"), VOLUME_SIZE);
    content_assert_all(site, "v", 1);
}

static void restarts_keep_them(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    snapshot(site, "v", "s");
    content_write(site, "v", 0, BLOCKS, 2);
    site_restart(site);
    site_wait_active(site->pool);
    assert_snapshots(site, "v", "s");
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    cst_pool_start(site->pool, 0, NULL, &error);
    assert_no_error(error);
    assert_snapshots(site, "v", "s");
    revert(site, "v", "s");
    expect(site, "v", 1, 1, 1);
}

/* --- names ------------------------------------------------------------------------------------ */

static void renaming(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    snapshot(site, "v", "a");
    content_write(site, "v", 0, BLOCKS, 2);
    snapshot(site, "v", "b");
    cst_vol_snapshot_rename(site->pool, "v", "a", "c", NULL, &error);
    assert_no_error(error);
    assert_snapshots(site, "v", "c b");
    assert_false(cst_vol_snapshot_rename(site->pool, "v", "c", "b", NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_false(cst_vol_snapshot_rename(site->pool, "v", "a", "d", NULL, &error));
    assert_error(&error, CST_ERROR_NOT_FOUND);
    remove_snapshot(site, "v", "b");
    revert(site, "v", "c");
    expect(site, "v", 1, 1, 1);
}

static void what_is_not_there(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    volume_make(site, "w", VOLUME_SIZE);
    snapshot(site, "v", "s");
    assert_false(cst_vol_snapshot_create(site->pool, "v", "s", 0, NULL, &error));
    assert_error_says(&error, CST_ERROR_EXISTS, "'s'");
    assert_false(cst_vol_snapshot_revert(site->pool, "v", "t", NULL, NULL, &error));
    assert_error_says(&error, CST_ERROR_NOT_FOUND, "'t'");
    assert_false(cst_vol_snapshot_delete(site->pool, "v", "t", NULL, &error));
    assert_error_says(&error, CST_ERROR_NOT_FOUND, "'t'");
    assert_false(cst_vol_snapshot_clone(site->pool, "v", "t", "x", NULL, &error));
    assert_error_says(&error, CST_ERROR_NOT_FOUND, "'t'");
    assert_false(cst_vol_snapshot_clone(site->pool, "v", "s", "w", NULL, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
    assert_false(cst_vol_snapshot_create(site->pool, "nobody", "s", 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    assert_null(cst_vol_snapshots(site->pool, "nobody", NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    assert_snapshots(site, "w", "");
}

static void names_refused(Site *site)
{
    static const char *const names[] = {"", ".", "..", "../x", "a/b", "x\ny"};
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    snapshot(site, "v", "s");
    before = site_native(site, "p");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(cst_vol_snapshot_create(site->pool, "v", names[i], 0, NULL, &error));
        assert_non_null(error);
        g_clear_error(&error);
        assert_false(cst_vol_snapshot_rename(site->pool, "v", "s", names[i], NULL, &error));
        assert_non_null(error);
        g_clear_error(&error);
        assert_false(cst_vol_snapshot_clone(site->pool, "v", "s", names[i], NULL, &error));
        assert_non_null(error);
    }
    after = site_native(site, "p");
    assert_string_equal(after, before);
}

/* --- their volume ----------------------------------------------------------------------------- */

static void the_volume_goes(Site *site)
{
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    snapshot(site, "v", "one");
    snapshot(site, "v", "two");
    if (!site_has(site, GROUND_SNAPSHOTS_INSIDE)) {
        assert_false(cst_vol_delete(site->pool, "v", 0, NULL, &error));
        assert_error_says(&error, CST_ERROR_BUSY, "'one'");
        assert_snapshots(site, "v", "one two");
    }
    cst_vol_delete(site->pool, "v", CST_VOL_DELETE_WITH_SNAPSHOTS, NULL, &error);
    assert_no_error(error);
    after = site_native(site, "p");
    assert_string_equal(after, "");
    /* A later one of that name has none of them. */
    volume_make(site, "v", VOLUME_SIZE);
    assert_snapshots(site, "v", "");
}

static void they_are_no_volumes(Site *site)
{
    g_autofree char *names = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    snapshot(site, "v", "s");
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    names = volume_names(site);
    assert_string_equal(names, "v");
}

/* The base of a clone cannot be removed. */
static void clones_keep_their_snapshot(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    snapshot(site, "v", "s");
    content_write(site, "v", 0, BLOCKS, 2);
    clone_snapshot(site, "v", "s", "w");
    assert_false(cst_vol_snapshot_delete(site->pool, "v", "s", NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "w");
    assert_false(cst_vol_delete(site->pool, "v", CST_VOL_DELETE_WITH_SNAPSHOTS, NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "w");
    expect(site, "w", 1, 1, 1);
    assert_true(cst_vol_delete(site->pool, "w", 0, NULL, NULL));
    remove_snapshot(site, "v", "s");
    expect(site, "v", 2, 2, 2);
}

static void clones_outlive_their_snapshot(Site *site)
{
    if (!site_has(site, GROUND_SNAPSHOTS))
        return;
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    snapshot(site, "v", "s");
    content_write(site, "v", 0, BLOCKS, 2);
    clone_snapshot(site, "v", "s", "w");
    remove_snapshot(site, "v", "s");
    expect(site, "w", 1, 1, 1);
    assert_true(cst_vol_delete(site->pool, "v", 0, NULL, NULL));
    expect(site, "w", 1, 1, 1);
}

/* --- kept by two ------------------------------------------------------------------------------ */

/* An upload makes the volume an image, and its format is declared. */
static void becomes_qcow2(Site *site, const char *name)
{
    static const char xml[] = "<volume><name>image</name><capacity unit='MiB'>4</capacity>"
                              "<target><format type='qcow2'/></target></volume>";
    const CstVolDeclare how = {.format = "qcow2", .flags = CST_VOL_DECLARE_CONTENT};
    g_autofree char *made = NULL, *path = NULL, *content = NULL;
    g_autoptr(CstUpload) upload = NULL;
    gsize len;

    assert_true(cst_vol_create(site->pool, xml, 0, NULL, &made, NULL));
    path = cst_vol_get_path(site->pool, made, NULL);
    assert_true(g_file_get_contents(path, &content, &len, NULL));
    assert_true(cst_vol_delete(site->pool, made, 0, NULL, NULL));
    upload = cst_vol_upload(site->pool, name, 0, 0, 0, NULL, NULL);
    assert_true(upload && cst_upload_write(upload, content, len, NULL));
    assert_true(cst_upload_finish(upload, NULL));
    g_clear_pointer(&upload, cst_upload_free);
    assert_true(cst_vol_declare(site->pool, name, &how, NULL, NULL));
}

/* Snapshots of the pool remain reachable; later snapshots are inside of the image. */
static void a_volume_becomes_an_image(Site *site)
{
    g_autoptr(GError) error = NULL;

    if (site_has(site, GROUND_SNAPSHOTS_INSIDE))
        return;
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    snapshot(site, "v", "old");
    snapshot(site, "v", "other");
    becomes_qcow2(site, "v");
    snapshot(site, "v", "inside");
    assert_snapshots(site, "v", "old other inside");
    assert_false(cst_vol_snapshot_create(site->pool, "v", "inside", 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_false(cst_vol_snapshot_create(site->pool, "v", "old", 0, NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_false(cst_vol_snapshot_rename(site->pool, "v", "inside", "old", NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_false(cst_vol_snapshot_rename(site->pool, "v", "old", "inside", NULL, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_false(cst_vol_snapshot_clone(site->pool, "v", "old", "w", NULL, &error));
    assert_error_says(&error, CST_ERROR_UNSUPPORTED, "before volume 'v' became qcow2");
    clone_snapshot(site, "v", "inside", "w");
    remove_snapshot(site, "v", "other");
    assert_false(cst_vol_delete(site->pool, "v", 0, NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "has 1 snapshots");
    /* The file is replaced, and the snapshot inside of it is lost. */
    assert_false(cst_vol_snapshot_revert(site->pool, "v", "old", NULL, NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY, "'inside'");
    assert_snapshots(site, "v", "old inside");
    assert_true(cst_vol_snapshot_revert(site->pool, "v", "old",
                                        (const char *const[]){"inside", NULL}, NULL, NULL));
    expect(site, "v", 1, 1, 1);
    assert_snapshots(site, "v", "old");
}

/* --- of several volumes ----------------------------------------------------------------------- */

/* @words: names of volumes. */
static gboolean take_set(Site *site, const char *words, const char *name, CstSnapshotSet *ret_set,
                         GError **error)
{
    g_auto(GStrv) names = g_strsplit(words, " ", -1);
    guint count = g_strv_length(names);
    g_autofree CstSnapshotVolume *volumes = g_new0(CstSnapshotVolume, count + 1);
    const CstSnapshotRequest request = {.name = name};

    for (guint i = 0; i < count; i++)
        volumes[i] = (CstSnapshotVolume){site->pool, names[i]};
    return cst_vol_snapshot_create_set(volumes, count, &request, NULL, ret_set, error);
}

static void all_have_one_or_none(Site *site)
{
    g_autoptr(GError) error = NULL;
    CstSnapshotSet set;

    volume_make(site, "b", VOLUME_SIZE);
    volume_make(site, "a", VOLUME_SIZE);
    content_write(site, "a", 0, BLOCKS, 1);
    content_write(site, "b", 0, BLOCKS, 2);
    take_set(site, "b a", "s", &set, &error);
    assert_no_error(error);
    /* The reported consistency equals the ability of the storage. */
    assert_int_equal(set.one_step, site_has(site, GROUND_ONE_STEP));
    assert_true(set.one_step || set.span_us > 0);
    content_write(site, "a", 0, BLOCKS, 3);
    snapshot(site, "b", "t");
    assert_false(take_set(site, "a b", "t", &set, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_false(take_set(site, "a none", "u", &set, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    assert_false(take_set(site, "a b a", "u", &set, &error));
    assert_error(&error, CST_ERROR_INVALID);
    assert_snapshots(site, "a", "s");
    assert_snapshots(site, "b", "s t");
    remove_snapshot(site, "b", "t");
    revert(site, "a", "s");
    revert(site, "b", "s");
    content_assert_all(site, "a", 1);
    content_assert_all(site, "b", 2);
    take_set(site, "a", "u", &set, &error);
    assert_no_error(error);
    assert_true(set.one_step);
}

/* As a process that was killed between the snapshots of "a" and of "b" has left it. */
static void leave_half_a_set(Site *site, const char *name)
{
    g_autoptr(CstPoolState) state = site_open_state(site);
    g_autofree char *xml = cst_pool_def_format(state->def, NULL);
    CstJournal *journal = cst_journal_new(site->paths);
    CstIntent *intent;

    intent = cst_journal_begin(journal, NULL, "snapshot-set", "pool", "p", "definition", xml,
                               "snapshot", name, "volume0", "a", "volume1", "b",
                               site_has(site, GROUND_SNAPSHOTS_INSIDE) ? "inside0" : NULL, "yes",
                               "inside1", "yes", NULL);
    assert_non_null(intent);
    cst_intent_keep(intent);
    cst_journal_free(journal);
}

static gboolean has_snapshots(Site *site, const char *volume, const char *expected)
{
    g_autofree char *names = snapshot_names(site, volume);

    return strcmp(names, expected) == 0;
}

/* Remote storage is recovered when its pool answers. */
static void wait_snapshots(Site *site, const char *volume, const char *expected)
{
    AWAIT_STATE(has_snapshots(site, volume, expected), "'%s' instead of '%s'",
                snapshot_names(site, volume), expected);
}

static void half_a_set_is_none(Site *site)
{
    volume_make(site, "a", VOLUME_SIZE);
    volume_make(site, "b", VOLUME_SIZE);
    content_write(site, "a", 0, BLOCKS, 1);
    snapshot(site, "a", "kept");
    snapshot(site, "a", "s");
    leave_half_a_set(site, "s");
    site_restart(site);
    site_wait_active(site->pool);
    wait_snapshots(site, "a", "kept");
    assert_snapshots(site, "b", "");
    content_assert_all(site, "a", 1);
}

const ContractTest snapshot_tests[] = {
    {"content before, between and after snapshots comes back", content_comes_back, GROUND_SNAPSHOTS,
     the_one_error},
    {"a revert keeps the newer snapshots", a_revert_keeps_all,
     GROUND_SNAPSHOTS | GROUND_REVERTS_ANY, a_revert_drops_what_is_newer},
    {"a clone of a snapshot is a volume like any", a_clone_is_a_volume, GROUND_SNAPSHOTS, NULL},
    {"a clone of a volume has none of its snapshots", a_clone_has_none, GROUND_SNAPSHOTS, NULL},
    {"a snapshot between others is deleted", the_middle_one_goes, GROUND_SNAPSHOTS, NULL},
    {"a snapshot keeps the size of then", sizes_come_back, GROUND_SNAPSHOTS | GROUND_RESIZES, NULL},
    {"snapshots outlive restarts", restarts_keep_them, GROUND_SNAPSHOTS, NULL},
    {"a snapshot gets another name", renaming, GROUND_SNAPSHOTS, NULL},
    {"snapshots that are not there, or there already", what_is_not_there, GROUND_SNAPSHOTS, NULL},
    {"names of snapshots that lead elsewhere are refused", names_refused, GROUND_SNAPSHOTS, NULL},
    {"a volume goes with its snapshots only when asked", the_volume_goes, GROUND_SNAPSHOTS, NULL},
    {"snapshots are not listed as volumes", they_are_no_volumes, GROUND_SNAPSHOTS, NULL},
    {"clones keep their snapshot", clones_keep_their_snapshot,
     GROUND_SNAPSHOTS | GROUND_CLONES_DEPEND, clones_outlive_their_snapshot},
    {"snapshots of several volumes", all_have_one_or_none, GROUND_SNAPSHOTS, NULL},
    {"snapshots of some of several volumes are removed", half_a_set_is_none, GROUND_SNAPSHOTS,
     NULL},
    {"a snapshot of a volume that becomes an image", a_volume_becomes_an_image,
     GROUND_SNAPSHOTS | GROUND_DIRECTORIES, NULL},
    {0},
};
