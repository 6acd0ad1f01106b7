/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes of the logical backend on LVM's tools as a script plays them: what hangs on what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <pool/pool.h>

#include "fake_lvm.h"

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

static void write_to(const char *lv, const char *text)
{
    g_autoptr(CstBlob) blob = logical_open_lv((LogicalState *)fake_state, lv, TRUE, NULL);

    assert_true(cst_blob_pwrite(blob, text, 4, 0, NULL));
}

static void assert_holds(const char *lv, const char *text)
{
    g_autoptr(CstBlob) blob = logical_open_lv((LogicalState *)fake_state, lv, FALSE, NULL);
    char buf[5] = "";

    assert_true(cst_blob_pread(blob, buf, 4, 0, NULL));
    assert_string_equal(buf, text);
}

static gboolean was_called(const char *line)
{
    g_autofree char *path = fake_path("log");
    g_autofree char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return strstr(text, line) != NULL;
}

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

static char *snapshots(void)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < list->len; i++)
        g_string_append_printf(names, "%s ", ((CstSnapshot *)list->pdata[i])->name);
    return g_string_free(names, FALSE);
}

static void assert_snapshots(const char *expected)
{
    g_autofree char *names = snapshots();

    assert_string_equal(names, expected);
}

/* --- snapshots -------------------------------------------------------------------------------- */

static void add_disk(gboolean thin)
{
    fake_add("tp", 64 * MIB, "twi-aotz--", "", "");
    fake_add("disk", 8 * MIB, thin ? "Vwi-a-tz--" : "-wi-a-----", "", "");
}

static void a_revert_brings_the_content_back_and_keeps_the_snapshot(void **unused)
{
    for (int thin = 0; thin < 2; thin++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(CstBlob) inside = NULL;
        char buf[4];

        add_disk(thin);
        write_to("disk", "then");
        snap("s");
        write_to("disk", "now!");
        assert_holds("disk", "now!");
        for (int i = 0; i < 2; i++) {
            if (!cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, &error))
                fail_msg("%s", error->message);
            assert_holds("disk", "then");
            assert_snapshots("s ");
            write_to("disk", "new!");
        }
        inside = cst_pool_state_snapshot_open(fake_state, "disk", "s", NULL);
        assert_true(cst_blob_pread(inside, buf, 4, 0, NULL));
        assert_memory_equal(buf, "then", 4);
        assert_false(cst_blob_pwrite(inside, "no", 2, 0, NULL));
        /* The volume, its snapshot, and the thin pool: nothing is left of the way there. */
        assert_int_equal(fake_count(), 3);
        assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "s", NULL, NULL));
        assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

static void a_revert_keeps_owner_and_time(void **unused)
{
    g_autofree char *device = fake_path("dev/vg/disk");
    g_autoptr(GPtrArray) list = NULL;
    struct stat st;

    add_disk(TRUE);
    fake_add(".cistern-1.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=s,cistern:at=7");
    assert_int_equal(chmod(device, 0640), 0);
    assert_true(cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL));
    assert_int_equal(stat(device, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    assert_int_equal(((CstSnapshot *)list->pdata[0])->created, 7);

    fake_add("disk", 8 * MIB, "owi-a-----", "", "");
    fake_add(".cistern-1.snap", 4 * MIB, "sri-a-s---", "disk",
             "cistern:of=uuid-disk,cistern:snap=s,cistern:at=7");
    assert_true(cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, NULL));
    g_ptr_array_unref(list);
    list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    assert_int_equal(((CstSnapshot *)list->pdata[0])->created, 7);
}

static void a_revert_that_fails_leaves_the_volume(void **unused)
{
    static const struct {
        gboolean thin;
        const char *tool, *how;
        CstErrorCode code;
        const char *content;
    } rows[] = {
        {TRUE, "lvcreate", "fail", CST_ERROR_FAILED, "now!"},
        {TRUE, "lvchange", "fail", CST_ERROR_FAILED, "now!"},
        {TRUE, "lvrename", "fail", CST_ERROR_FAILED, "now!"},
        {FALSE, "lvconvert", "fail", CST_ERROR_FAILED, "now!"},
        {FALSE, "lvconvert", "nothing", CST_ERROR_BUSY, "now!"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        add_disk(rows[i].thin);
        write_to("disk", "then");
        snap("s");
        write_to("disk", "now!");
        fake_lie(rows[i].tool, rows[i].how);
        assert_false(cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, &error));
        if (error->code != (int)rows[i].code)
            fail_msg("%s %s: %s", rows[i].tool, rows[i].how, error->message);
        fake_lie(rows[i].tool, "");
        assert_holds("disk", rows[i].content);
        assert_snapshots("s ");
        assert_int_equal(fake_count(), 3);
        assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "s", NULL, NULL));
        assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

/* A merge consumes the snapshot; when there is no room for another one, that is said. */
static void a_snapshot_that_is_lost_by_a_revert_is_told(void **unused)
{
    g_autoptr(GError) error = NULL;

    add_disk(FALSE);
    write_to("disk", "then");
    snap("s");
    write_to("disk", "now!");
    fake_lie("lvcreate", "full");
    assert_false(cst_pool_state_snapshot_revert(fake_state, "disk", "s", NULL, &error));
    assert_code(error, CST_ERROR_NO_SPACE);
    assert_non_null(
        strstr(error->message, "volume 'disk' was reverted, but snapshot 's' could not"));
    assert_holds("disk", "then");
}

static void snapshots_are_renamed_in_one_change(void **unused)
{
    g_autoptr(GError) error = NULL;

    add_disk(TRUE);
    fake_add(".cistern-1.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=b,cistern:at=9");
    fake_add(".cistern-2.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-disk,cistern:snap=a,cistern:at=7");
    fake_add(".cistern-3.snap", 8 * MIB, "Vri-a-tz--", "disk",
             "cistern:of=uuid-other,cistern:snap=c,cistern:at=7");
    assert_snapshots("a b ");
    assert_false(cst_pool_state_snapshot_rename(fake_state, "disk", "a", "b", &error));
    assert_code(error, CST_ERROR_EXISTS);
    g_clear_error(&error);
    assert_false(cst_pool_state_snapshot_rename(fake_state, "disk", "c", "d", &error));
    assert_code(error, CST_ERROR_NOT_FOUND);
    assert_non_null(strstr(error->message, "volume 'disk' has no snapshot 'c'"));
    assert_true(cst_pool_state_snapshot_rename(fake_state, "disk", "a", "z", NULL));
    assert_snapshots("z b ");
    assert_true(was_called("lvchange --deltag cistern:snap=a --addtag cistern:snap=z"));
}

static void snapshots_of_what_is_not_there(void **unused)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_pool_state_snapshots(fake_state, "disk", &error));
    assert_code(error, CST_ERROR_NO_VOL);
    g_clear_error(&error);
    fake_lie("lvm", "fail");
    assert_null(cst_pool_state_snapshots(fake_state, "disk", &error));
    assert_code(error, CST_ERROR_FAILED);
    g_clear_error(&error);
    fake_lie("lvm", "");
    fake_add("disk", 8 * MIB, "-wi-a-----", "", "");
    fake_add("cow", 4 * MIB, "swi-a-s---", "disk", "");
    assert_false(cst_pool_state_snapshot_create(fake_state, "cow", "s", NULL, NULL, &error));
    assert_code(error, CST_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    assert_null(cst_pool_state_snapshot_open(fake_state, "disk", "s", &error));
    assert_code(error, CST_ERROR_NOT_FOUND);
}

static void the_room_of_a_snapshot_is_asked_for(void **unused)
{
    static const struct {
        const char *options, *call;
        uint64_t limit;
    } rows[] = {
        {"", "lvcreate -y -s -L5k ", 5 * 1024},
        {"<options xmlns='urn:cistern:storage:1.0'><option name='snapshot-size' value='12M'/>"
         "</options>",
         "lvcreate -y -s -L12288k ", 0},
        {"<options xmlns='urn:cistern:storage:1.0'><option name='snapshot-size' value='50%'/>"
         "</options>",
         "lvcreate -y -s -L20480k ", 0},
    };

    fake_add("disk", 40 * MIB, "-wi-a-----", "", "");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        CstSnapshotCreate how = {.limit = rows[i].limit};
        CstPoolState *state = fake_pool(rows[i].options);
        g_autofree char *name = g_strdup_printf("s%zu", i);

        assert_true(cst_pool_state_snapshot_create(state, "disk", name, &how, NULL, NULL));
        assert_true(was_called(rows[i].call));
        cst_pool_state_unref(state);
    }
}

typedef enum { CREATE, REMOVE, REVERT, RENAME } Change;

static gboolean change(Change what, const char *name, GError **error)
{
    switch (what) {
    case CREATE: return cst_pool_state_snapshot_create(fake_state, "disk", name, NULL, NULL, error);
    case REMOVE: return cst_pool_state_snapshot_remove(fake_state, "disk", name, NULL, error);
    case REVERT: return cst_pool_state_snapshot_revert(fake_state, "disk", name, NULL, error);
    default: return cst_pool_state_snapshot_rename(fake_state, "disk", "s", name, error);
    }
}

/* A dry run gives the errors of the names, and changes nothing. */
static void dry_runs_look_at_what_there_is(void **unused)
{
    static const struct {
        Change what;
        const char *name;
        CstErrorCode code;
        const char *words;
    } rows[] = {
        {CREATE, "s", CST_ERROR_EXISTS, "volume 'disk' has a snapshot 's' already"},
        {CREATE, "n", CST_ERROR_DRY_RUN, ""},
        {REMOVE, "n", CST_ERROR_NOT_FOUND, "volume 'disk' has no snapshot 'n'"},
        {REMOVE, "s", CST_ERROR_DRY_RUN, ""},
        {REVERT, "n", CST_ERROR_NOT_FOUND, "volume 'disk' has no snapshot 'n'"},
        {REVERT, "s", CST_ERROR_DRY_RUN, ""},
        {RENAME, "t", CST_ERROR_EXISTS, "volume 'disk' has a snapshot 't' already"},
        {RENAME, "n", CST_ERROR_DRY_RUN, ""},
    };

    add_disk(TRUE);
    snap("s");
    snap("t");
    cst_dry_run_set(TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(change(rows[i].what, rows[i].name, &error));
        if (error->code != (int)rows[i].code || !strstr(error->message, rows[i].words))
            fail_msg("%zu: %s", i, error->message);
    }
    fake_lie("lvm", "fail");
    for (Change what = CREATE; what <= RENAME; what++) {
        g_autoptr(GError) error = NULL;

        assert_false(change(what, "s", &error));
        assert_code(error, CST_ERROR_FAILED);
    }
    cst_dry_run_set(FALSE);
    assert_int_equal(fake_count(), 4);
    assert_false(was_called("lvremove") || was_called("lvchange --deltag"));
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

    add_disk(TRUE);
    write_to("disk", "then");
    snap("r");
    snap("s");
    write_to("disk", "now!");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(CstVolume) volume = NULL;

        if (!clone_as(rows[i].name, rows[i].size, rows[i].snapshot, &error))
            fail_msg("%s", error->message);
        assert_holds(rows[i].name, rows[i].content);
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

    add_disk(FALSE);
    assert_false(clone_as("new", 8 * MIB, NULL, &error));
    assert_code(error, CST_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    add_disk(TRUE);
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

    add_disk(TRUE);
    write_to("disk", "then");
    assert_true(clone_as("c", 8 * MIB, NULL, NULL));
    assert_true(cst_pool_state_vol_flatten(fake_state, "disk", task, NULL));
    assert_int_equal(cst_task_progress(task).total, 0);
    if (!cst_pool_state_vol_flatten(fake_state, "c", task, &error))
        fail_msg("%s", error->message);
    assert_int_equal(cst_task_progress(task).total, 8 * MIB);
    line = lv_line("c");
    /* Of no origin, in the same pool, and known by the id that it had. */
    assert_true(g_str_has_prefix(line, "8388608 Vwi-a-tz--  tp cistern:id=uuid-"));
    assert_holds("c", "then");
    assert_int_equal(fake_count(), 3);
    assert_false(cst_pool_state_vol_flatten(fake_state, "none", NULL, &error));
    assert_code(error, CST_ERROR_NO_VOL);
}

static void flattening_that_fails_leaves_nothing(void **unused)
{
    static const char *const tools[] = {"lvcreate", "lvchange", "lvrename"};

    add_disk(TRUE);
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
    assert_true(was_called("lvchange --errorwhenfull y vg/pool"));
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

/* --- life ------------------------------------------------------------------------------------- */

static gboolean is_active(void)
{
    gboolean active = FALSE;

    assert_true(cst_pool_state_check(fake_state, &active, NULL));
    return active;
}

static void a_group_is_active_when_a_volume_is(void **unused)
{
    assert_true(is_active()); /* nothing in it could be active */
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
    assert_true(was_called("vgchange -aly vg\n"));
    assert_true(cst_pool_state_stop(fake_state, NULL));
    assert_true(was_called("vgchange -aln vg\n"));
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

/* The devices are a hint of which group is meant. */
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

/* An LV that others make: its device appears as one link, as udev makes it. */
static void make_linked(const char *name)
{
    g_autofree char *file = g_strconcat("lvs/", name, NULL);
    g_autofree char *device = g_strconcat("dev/vg/", name, NULL);
    g_autofree char *path = fake_path(device);

    fake_put(file, "4194304\n-wi-a-----\n\n\n\n");
    assert_int_equal(symlink("/dev/null", path), 0);
}

static void links_tell_of_volumes_that_come_and_go(void **unused)
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
    /* The folder goes with the last volume, and comes with the first. */
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

static void what_cannot_be_watched_is_told(void **unused)
{
    const char *dev = lvm_host.dev;
    g_autoptr(GError) error = NULL;

    lvm_host.dev = "/nonexistent";
    assert_int_equal(cst_pool_state_watch_open(fake_state, &error), -1);
    assert_non_null(strstr(error->message, "cannot watch '/nonexistent'"));
    lvm_host.dev = dev;
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
        TEST(a_revert_brings_the_content_back_and_keeps_the_snapshot),
        TEST(a_revert_keeps_owner_and_time),
        TEST(a_revert_that_fails_leaves_the_volume),
        TEST(a_snapshot_that_is_lost_by_a_revert_is_told),
        TEST(snapshots_are_renamed_in_one_change),
        TEST(snapshots_of_what_is_not_there),
        TEST(the_room_of_a_snapshot_is_asked_for),
        TEST(dry_runs_look_at_what_there_is),
        TEST(thin_volumes_are_cloned_without_copying),
        TEST(what_is_not_thin_is_left_to_the_copy),
        TEST(only_volumes_that_are_snapshots_of_it_hang_on_it),
        TEST(flattening_a_clone_copies_it),
        TEST(flattening_that_fails_leaves_nothing),
        TEST(a_thin_pool_is_made_with_the_first_thin_volume),
        TEST(a_thin_pool_that_is_not_made_is_told),
        TEST(a_group_is_active_when_a_volume_is),
        TEST(starting_and_stopping_change_the_group),
        TEST(one_device_of_the_group_is_enough),
        TEST(building_needs_devices_that_are_free),
        TEST(groups_are_found_with_their_devices),
        TEST(a_group_is_known_by_its_uuid),
        TEST(usage_is_the_groups),
        TEST(paths_lead_to_volumes),
        TEST(links_tell_of_volumes_that_come_and_go),
        TEST(what_cannot_be_watched_is_told),
        TEST(a_volume_has_the_mode_it_was_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
