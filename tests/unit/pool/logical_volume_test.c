/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes of the logical backend, with LVM's tools simulated by a script: dependencies between
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/file.h>
#include <pool/pool.h>

#include "fake_guest.h"
#include "fake_lvm.h"

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

/* Returns "size attributes origin pool tags" of an LV. */
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
    /* The clones do not count as snapshots. */
    list = cst_pool_state_snapshots(fake_state, "disk", NULL);
    assert_int_equal(list->len, 2);
}

static void clone_of_a_thick_volume_is_left_to_the_copy(void **unused)
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

/* --- dependants of a volume ------------------------------------------------------------------- */

static void only_snapshots_of_a_volume_are_its_children(void **unused)
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
    g_autofree char *line = NULL, *device = fake_path("dev/vg/c");
    struct stat st;

    fake_add_disk(TRUE);
    fake_write("disk", "then");
    assert_true(clone_as("c", 8 * MIB, NULL, NULL));
    assert_int_equal(chmod(device, 0640), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(device, 65534, 65533), 0);
    assert_true(cst_pool_state_vol_flatten(fake_state, "disk", task, NULL));
    assert_int_equal(cst_task_progress(task).total, 0);
    if (!cst_pool_state_vol_flatten(fake_state, "c", task, &error))
        fail_msg("%s", error->message);
    assert_int_equal(cst_task_progress(task).total, 8 * MIB);
    line = lv_line("c");
    /* Without an origin, in the same pool, and with its previous id. */
    assert_true(g_str_has_prefix(line, "8388608 Vwi-a-tz--  tp cistern:id=uuid-"));
    fake_assert_holds("c", "then");
    assert_int_equal(stat(device, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    if (geteuid() == 0)
        assert_true(st.st_uid == 65534 && st.st_gid == 65533);
    assert_int_equal(fake_count(), 3);
    assert_false(cst_pool_state_vol_flatten(fake_state, "none", NULL, &error));
    assert_code(error, CST_ERROR_NO_VOL);
}

static void failed_flatten_leaves_no_lv(void **unused)
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

/* Otherwise the guest would continue with the removed LV, or the copy would lack its writes. */
static void flatten_is_refused_if_a_guest_starts_during_it(void **unused)
{
    static const struct {
        const char *held;
        guint writes;
        const char *words;
    } rows[] = {
        {"/c", 0, "volume 'c' is in use: the guest"},
        {".old", 0, "volume 'c' is in use: the guest"},
        {NULL, 1, "volume 'c' was written to"},
    };

    fake_add_disk(TRUE);
    fake_write("disk", "then");
    assert_true(clone_as("c", 8 * MIB, NULL, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *line = NULL;
        gboolean done;

        fake_write("c", "mine");
        fake_hold(rows[i].held);
        fake_writes = rows[i].writes;
        done = cst_pool_state_vol_flatten(fake_state, "c", NULL, &error);
        fake_hold(NULL);
        fake_writes = 0;
        assert_false(done);
        assert_code(error, CST_ERROR_BUSY);
        assert_non_null(strstr(error->message, rows[i].words));
        fake_assert_holds("c", "mine");
        /* It is still the same LV, and the draft is removed. */
        line = lv_line("c");
        assert_non_null(strstr(line, " disk "));
        assert_int_equal(fake_count(), 3);
    }
    assert_true(cst_pool_state_vol_flatten(fake_state, "c", NULL, NULL));
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
    assert_true(make_thin(fake_state, "b", NULL, NULL)); /* into the only existing one */
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

static void failed_creation_of_a_thin_pool_is_reported(void **unused)
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

/* --- calls of LVM ----------------------------------------------------------------------------- */

static void refuse_volume(const CstVolDef *def, CstErrorCode code, const char *words)
{
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autoptr(GError) error = NULL;
    guint before = fake_count();

    assert_false(cst_pool_state_reserve(fake_state, def, &draft, &error));
    if (error->code != (int)code || !strstr(error->message, words))
        fail_msg("%d %s", error->code, error->message);
    assert_int_equal(fake_count(), before);
}

static void a_volume_that_lvm_cannot_make_is_not_asked_for(void **unused)
{
    g_autoptr(CstVolDef) odd = fake_volume("a", 4 * MIB), empty = fake_volume("a", 0);
    g_autoptr(CstVolDef) named = fake_volume("a/b", 4 * MIB), taken = fake_volume("disk", 4 * MIB);
    g_autoptr(CstVolDef) secret = fake_volume("a", 4 * MIB);

    fake_add_disk(FALSE);
    cst_options_add(&odd->options, "thin", "maybe");
    secret->encryption = cst_encryption_new(CST_ENCRYPTION_LUKS);
    refuse_volume(odd, CST_ERROR_CONFIG, "takes 'yes' or 'no', not 'maybe'");
    refuse_volume(empty, CST_ERROR_INVALID, "has no capacity");
    refuse_volume(named, CST_ERROR_INVALID, "a/b");
    refuse_volume(taken, CST_ERROR_VOL_EXISTS, "disk");
    refuse_volume(secret, CST_ERROR_CONFIG, "encrypted volumes");
}

/*
 * Returns the definition of a volume "new" of 8 MiB whose backing store is volume @origin of the
 * group.
 */
static CstVolDef *snapshot_of(const char *origin)
{
    CstVolDef *def = fake_volume("new", 8 * MIB);
    g_autofree char *path = g_strdup_printf("%s/vg/%s", lvm_host.dev, origin);

    def->backing = cst_backing_def_new(path, NULL);
    return def;
}

static void assert_asks(const CstVolDef *def, const char *call, gboolean zeroed)
{
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autoptr(GError) error = NULL;

    fake_put("log", "");
    if (!cst_pool_state_reserve(fake_state, def, &draft, &error))
        fail_msg("%s", error->message);
    if (!fake_was_called(call))
        fail_msg("not called: %s", call);
    assert_int_equal(draft.zeroed, zeroed);
    g_clear_pointer(&draft.blob, cst_blob_unref);
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
}

static void lvcreate_gets_the_options_of_the_volume_type(void **unused)
{
    g_autoptr(CstVolDef) thick = fake_volume("new", 8 * MIB), sparse = fake_volume("new", 8 * MIB);
    g_autoptr(CstVolDef) full = fake_volume("new", 8 * MIB), snapshot = snapshot_of("disk");

    fake_add_disk(FALSE);
    sparse->has_allocation = thick->has_allocation = full->has_allocation = TRUE;
    sparse->allocation = full->allocation = 3 * MIB;
    cst_options_add(&full->options, "thin", "no");
    assert_asks(thick, " -L8192k vg\n", FALSE);
    assert_asks(full, " -L8192k vg\n", FALSE);
    assert_asks(sparse, " --type snapshot -L3072k -V8192k vg\n", TRUE);
    assert_asks(snapshot, " -s -L8192k vg/disk\n", FALSE);
    assert_asks(snapshot, " vg/disk\n", FALSE);
    snapshot->allocation = 5 * MIB;
    assert_asks(snapshot, " -s -L5120k vg/disk\n", FALSE);
}

/* A thin snapshot needs no reserved space. */
static void a_snapshot_of_a_thin_volume_is_thin(void **unused)
{
    g_autoptr(CstVolDef) thin = snapshot_of("disk"), thick = snapshot_of("disk");
    g_autoptr(CstVolDef) lost = snapshot_of("none"), outside = snapshot_of("disk");

    fake_add_disk(TRUE);
    assert_asks(thin, " vg/disk\n", FALSE);
    assert_false(fake_was_called(" -L"));
    cst_options_add(&thick->options, "thin", "no");
    assert_asks(thick, " -s -L8192k vg/disk\n", FALSE);
    refuse_volume(lost, CST_ERROR_INVALID, "is no volume of volume group 'vg'");
    g_free(outside->backing->path);
    outside->backing->path = g_strdup("/elsewhere/disk");
    refuse_volume(outside, CST_ERROR_INVALID, "'/elsewhere/disk' is no volume of");
}

static void a_volume_is_resized_by_whole_extents(void **unused)
{
    static const struct {
        const char *name;
        uint64_t capacity;
        int code;          /* -1: success */
        const char *words; /* of the error, or of the call; NULL: no call */
    } rows[] = {
        {"disk", 0, CST_ERROR_INVALID, "can't have 0 bytes"},
        {"disk", G_MAXINT64, CST_ERROR_INVALID, "can't have 9223372036854775807 bytes"},
        {"none", MIB, CST_ERROR_NO_VOL, "none"},
        {"snap", 16 * MIB, CST_ERROR_UNSUPPORTED, "is a snapshot or sparse"},
        {"base", 16 * MIB, CST_ERROR_BUSY, "has snapshots"},
        {"disk", 8 * MIB, -1, NULL},
        {"disk", 8 * MIB - 1, -1, NULL},
        {"disk", 8 * MIB + 1, -1, "lvextend -L12288k vg/disk\n"},
        {"disk", 4 * MIB, -1, "lvreduce -f -L4096k vg/disk\n"},
        {"disk", 1, -1, NULL},
    };

    fake_add_disk(FALSE);
    fake_add("base", 8 * MIB, "owi-a-s---", "", "");
    fake_add("snap", 4 * MIB, "swi-a-s---", "base", "");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        const char *call = rows[i].code == -1 ? rows[i].words : NULL;

        fake_put("log", "");
        if (cst_pool_state_vol_resize(fake_state, rows[i].name, rows[i].capacity, NULL, &error) !=
            (rows[i].code == -1))
            fail_msg("row %zu: %s", i, error ? error->message : "it works");
        if (error && (error->code != rows[i].code || !strstr(error->message, rows[i].words)))
            fail_msg("row %zu: %d %s", i, error->code, error->message);
        assert_int_equal(fake_was_called("lvextend") || fake_was_called("lvreduce"), call != NULL);
        if (call && !fake_was_called(call))
            fail_msg("not called: %s", call);
    }
}

static void sparse_snapshot_is_not_wiped(void **unused)
{
    g_autoptr(GError) error = NULL;

    fake_add("base", 8 * MIB, "owi-a-s---", "", "");
    fake_add("snap", 4 * MIB, "swi-a-s---", "base", "");
    assert_true(cst_pool_state_vol_check_wipe(fake_state, "base", NULL));
    assert_false(cst_pool_state_vol_check_wipe(fake_state, "snap", &error));
    assert_code(error, CST_ERROR_NO_SUPPORT);
    g_clear_error(&error);
    assert_false(cst_pool_state_vol_check_wipe(fake_state, "none", &error));
    assert_code(error, CST_ERROR_NO_VOL);
    g_clear_error(&error);
    assert_null(cst_pool_state_vol_open(fake_state, ".cistern-1.part", FALSE, &error));
    assert_code(error, CST_ERROR_INVALID);
}

/* A guest is found by the device of its disk (service/core/domains.c). */
static void blob_of_a_volume_has_its_device(void **unused)
{
    g_autofree char *path = NULL;
    g_autoptr(CstBlob) blob = NULL;
    struct stat device, opened;

    fake_add_disk(FALSE);
    fake_write("disk", "content");
    blob = cst_pool_state_vol_open(fake_state, "disk", FALSE, NULL);
    path = logical_device((LogicalState *)fake_state, "disk");
    assert_int_equal(cst_blob_file_fd(blob), -1);
    assert_int_equal(fstat(cst_blob_node_fd(blob), &opened), 0);
    assert_true(cst_node_stat(path, &device));
    assert_int_equal(opened.st_ino, device.st_ino);
    assert_int_equal(opened.st_dev, device.st_dev);
}

/* --- location --------------------------------------------------------------------------------- */

/* Returns "path start end" of each extent of "r", in extents of LVM. */
static char *places_of_r(CstVolume **known, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;
    GString *text;

    if (!cst_pool_state_scan_one(fake_state, "r", *known, &volume, error))
        return NULL;
    text = g_string_new(volume->extra->problem);
    for (guint i = 0; volume->extra->extents && i < volume->extra->extents->len; i++) {
        const CstVolExtent *extent = g_ptr_array_index(volume->extra->extents, i);

        g_string_append_printf(text, "%s %d-%d, ", extent->path, (int)(extent->start / (4 * MIB)),
                               (int)(extent->end / (4 * MIB)));
    }
    cst_volume_unref(*known);
    *known = g_steal_pointer(&volume);
    return g_string_free(text, FALSE);
}

/* The known record is kept as long as the volume has the same location. */
static void a_volume_lies_where_its_parts_lie(void **unused)
{
    static const struct {
        const char *place, *expected; /* NULL: the report is refused */
        const char *words;
    } rows[] = {
        {"/dev/sda(2)", "/dev/sda 2-6, ", NULL},
        {"/dev/sda(3)", "/dev/sda 3-7, ", NULL},
        {"/dev/sdb(3)", "/dev/sdb 3-7, ", NULL},
        {"/dev/sda(2),/dev/sdb(5)", "/dev/sda 2-4, /dev/sdb 5-7, ", NULL},
        {"r_rimage_0(0),r_rimage_1(0)", "/dev/sda 2-6, /dev/sdc 9-13, ", NULL},
        {"[unknown](0)", "a device of the volume group is missing", NULL},
        {"/dev/sda", NULL, "an invalid place: '/dev/sda'"},
        {"/dev/sda(x)", NULL, "an invalid place"},
        {"/dev/sda(2199023255552)", NULL, "an invalid place"},
        {"r(0)", NULL, "go round in circles"},
        {"/dev/sda(2)", "/dev/sda 2-6, ", NULL},
    };
    CstVolume *known = NULL;

    fake_add("r", 16 * MIB, "rwi-a-r---", "", "");
    fake_add("[r_rimage_0]", 16 * MIB, "iwi-aor---", "", "");
    fake_add("[r_rimage_1]", 16 * MIB, "iwi-aor---", "", "");
    fake_put("place/[r_rimage_1]", "/dev/sdc(9)");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *places = NULL;

        fake_put("place/r", rows[i].place);
        places = places_of_r(&known, &error);
        assert_int_equal(places != NULL, rows[i].expected != NULL);
        if (rows[i].expected) {
            const CstVolume *before = known;
            g_autofree char *again = places_of_r(&known, NULL);

            assert_string_equal(places, rows[i].expected);
            assert_ptr_equal(known, before);
        } else {
            assert_code(error, CST_ERROR_CORRUPT);
            assert_non_null(strstr(error->message, rows[i].words));
        }
    }
    assert_false(fake_is_seen("r_rimage_0"));
    assert_false(fake_is_seen("[r_rimage_0]"));
    cst_volume_unref(known);
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

/* Also tested separately: an id that is not requested stays unchanged. */
static void a_volume_has_the_owners_it_was_asked_for(void **unused)
{
    static const struct {
        uid_t uid;
        gid_t gid;
    } rows[] = {
        {12, 34}, {12, CST_PERMS_UNSET}, {CST_PERMS_UNSET, 34}, {CST_PERMS_UNSET, CST_PERMS_UNSET}};
    g_autofree char *device = fake_path("dev/vg/disk");

    if (geteuid() != 0)
        skip();
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstVolDef) def = fake_volume("disk", 5 * MIB);
        g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
        struct stat st;

        def->perms.uid = rows[i].uid;
        def->perms.gid = rows[i].gid;
        assert_true(cst_pool_state_reserve(fake_state, def, &draft, NULL));
        assert_true(cst_pool_state_commit(fake_state, &draft, def, NULL));
        assert_int_equal(stat(device, &st), 0);
        assert_int_equal(st.st_uid, rows[i].uid == CST_PERMS_UNSET ? 0 : rows[i].uid);
        assert_int_equal(st.st_gid, rows[i].gid == CST_PERMS_UNSET ? getegid() : rows[i].gid);
        assert_true(cst_pool_state_delete(fake_state, "disk", 0, NULL));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(thin_volumes_are_cloned_without_copying),
        TEST(clone_of_a_thick_volume_is_left_to_the_copy),
        TEST(only_snapshots_of_a_volume_are_its_children),
        TEST(flattening_a_clone_copies_it),
        TEST(failed_flatten_leaves_no_lv),
        TEST(flatten_is_refused_if_a_guest_starts_during_it),
        TEST(a_thin_pool_is_made_with_the_first_thin_volume),
        TEST(failed_creation_of_a_thin_pool_is_reported),
        TEST(a_volume_that_lvm_cannot_make_is_not_asked_for),
        TEST(lvcreate_gets_the_options_of_the_volume_type),
        TEST(a_snapshot_of_a_thin_volume_is_thin),
        TEST(a_volume_is_resized_by_whole_extents),
        TEST(sparse_snapshot_is_not_wiped),
        TEST(blob_of_a_volume_has_its_device),
        TEST(a_volume_lies_where_its_parts_lie),
        TEST(a_volume_has_the_owners_it_was_asked_for),
        TEST(a_volume_has_the_mode_it_was_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
