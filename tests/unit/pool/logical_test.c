/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The logical backend against tools that lie (fake-lvm); real LVM is in tests/lab. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/pool.h>

#include "logical/logical.h"

#define MIB   (UINT64_C(1) << 20)
#define TOKEN "01234567-89ab-cdef-0123-456789abcdef"

static char *folder;
static CstPoolState *state;

static char *in_folder(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void put(const char *name, const char *text)
{
    g_autofree char *path = in_folder(name);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Only a tool that hangs is waited for impatiently: a busy machine is no liar. */
static void lie(const char *tool, const char *how)
{
    g_autofree char *name = g_strconcat("lie/", tool, NULL);

    lvm_host.look_s = lvm_host.change_s = strcmp(how, "hang") == 0 ? 5 : 60;
    put(name, how);
}

static void add_lv(const char *name, uint64_t size, const char *attr, const char *origin,
                   const char *tags)
{
    g_autofree char *file = g_strconcat("lvs/", name, NULL);
    g_autofree char *device = g_strconcat("dev/vg/", name, NULL);
    g_autofree char *path = in_folder(device);
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "\n%s\n%s\n%s\n%s\n", size, attr,
                                            origin, attr[0] == 'V' ? "tp" : "", tags);

    put(file, text);
    put(device, "");
    assert_int_equal(truncate(path, (off_t)size), 0);
}

static gboolean there(const char *lv)
{
    g_autofree char *file = g_strconcat("lvs/", lv, NULL);
    g_autofree char *path = in_folder(file);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static guint count_lvs(void)
{
    g_autofree char *path = in_folder("lvs");
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;

    while (g_dir_read_name(dir))
        count++;
    return count;
}

static CstPoolState *open_pool(const char *options)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='logical' xmlns:c='urn:cistern:storage:1.0'><name>vg</name>"
                        "<source><device path='/dev/sda'/><name>vg</name></source>%s</pool>",
                        options);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    CstPoolState *opened;

    assert_non_null(def);
    opened = cst_pool_state_open(def, NULL, NULL);
    assert_non_null(opened);
    return opened;
}

static const char *const tools[] = {"lvm",      "pvs",      "lvcreate", "lvremove", "lvrename",
                                    "lvextend", "lvreduce", "lvchange", "vgchange", "lvconvert"};

static int set_up(void **unused)
{
    g_autofree char *path = NULL;

    folder = g_dir_make_tmp("cst-lvm-XXXXXX", NULL);
    for (const char *const *part =
             (const char *[]){"bin", "lvs", "lie", "percent", "dev", "dev/vg", NULL};
         *part; part++) {
        g_autofree char *made = in_folder(*part);

        assert_int_equal(mkdir(made, 0700), 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(tools); i++) {
        g_autofree char *link_name = g_build_filename(folder, "bin", tools[i], NULL);

        assert_int_equal(symlink(FAKE_LVM_SCRIPT, link_name), 0);
    }
    path = g_strconcat(folder, "/bin:/usr/bin:/bin", NULL);
    g_setenv("PATH", path, TRUE);
    g_setenv("FAKE_LVM", folder, TRUE);
    lvm_host.dev = in_folder("dev");
    lvm_host.look_s = lvm_host.change_s = 60;
    lvm_host.fresh_us = 0;
    state = open_pool("");
    return 0;
}

static int tear_down(void **unused)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", folder);

    cst_pool_state_unref(state);
    g_free((gpointer)lvm_host.dev);
    if (system(command) != 0)
        return -1;
    g_free(folder);
    return 0;
}

/* --- looking ---------------------------------------------------------------------------------- */

static CstVolume *none_known(const char *name, gpointer data)
{
    return NULL;
}

static void collect(CstVolume *volume, gpointer data)
{
    g_ptr_array_add(data, volume);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of what a scan shows, sorted; NULL: it failed. */
static char *names_of(GError **error)
{
    g_autoptr(GPtrArray) volumes = g_ptr_array_new_with_free_func((GDestroyNotify)cst_volume_unref);
    CstScan scan = {.known = none_known, .sink = collect, .data = volumes};
    g_autoptr(GString) names = g_string_new(NULL);
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();

    if (!cst_pool_state_scan(state, &scan, NULL, error)) {
        assert_int_equal(volumes->len, 0);
        return NULL;
    }
    for (guint i = 0; i < volumes->len; i++)
        g_ptr_array_add(sorted, ((CstVolume *)g_ptr_array_index(volumes, i))->name);
    g_ptr_array_sort(sorted, compare_names);
    for (guint i = 0; i < sorted->len; i++)
        g_string_append_printf(names, "%s ", (char *)g_ptr_array_index(sorted, i));
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static void a_listing_shows_volumes_and_hides_parts(void **unused)
{
    g_autofree char *names = NULL;

    add_lv("plain", 8 * MIB, "-wi-a-----", "", "");
    add_lv("thin", 16 * MIB, "Vwi-a-tz--", "", "");
    add_lv("tp", 32 * MIB, "twi-aotz--", "", "");
    add_lv("off", 4 * MIB, "-wi-------", "", "");
    add_lv(".cistern-00.snap", 8 * MIB, "sri-a-s---", "plain", "");
    names = names_of(NULL);
    assert_string_equal(names, "plain thin ");
}

static void a_volume_tells_its_place_key_and_allocation(void **unused)
{
    g_autoptr(CstVolume) plain = NULL, thin = NULL, snap = NULL;
    const CstVolExtent *extent;

    add_lv("plain", 8 * MIB, "owi-a-s---", "", "");
    add_lv("thin", 16 * MIB, "Vwi-a-tz--", "", "");
    add_lv("snap", 4 * MIB, "swi-a-s---", "plain", "");
    assert_true(cst_pool_state_scan_one(state, "plain", NULL, &plain, NULL));
    assert_true(cst_pool_state_scan_one(state, "thin", NULL, &thin, NULL));
    assert_true(cst_pool_state_scan_one(state, "snap", NULL, &snap, NULL));
    assert_int_equal(plain->allocation, 8 * MIB);
    assert_string_equal(plain->extra->key, "uuid-plain");
    extent = g_ptr_array_index(plain->extra->extents, 0);
    assert_string_equal(extent->path, "/dev/sda");
    assert_int_equal(extent->start, 8 * MIB);
    assert_int_equal(extent->end, 16 * MIB);
    assert_true(thin->allocation > 7 * MIB && thin->allocation <= 8 * MIB);
    assert_string_equal(cst_options_get(thin->extra->options, "data-percent"), "50.00");
    assert_int_equal(snap->capacity, 8 * MIB);
    assert_int_equal(snap->allocation, 4 * MIB);
    assert_string_equal(snap->extra->backing_path, "/dev/vg/plain");
}

/* Whatever is wrong with the report: an error and no list, never a shorter one. */
static void a_report_that_is_not_whole_is_no_list(void **unused)
{
    static const struct {
        const char *how;
        CstErrorCode code;
    } rows[] = {
        {"fail", CST_ERROR_FAILED},     {"silent", CST_ERROR_FAILED},
        {"nothing", CST_ERROR_CORRUPT}, {"garbage", CST_ERROR_CORRUPT},
        {"cut", CST_ERROR_CORRUPT},     {"half", CST_ERROR_FAILED},
        {"drop", CST_ERROR_CORRUPT},    {"failing", CST_ERROR_FAILED},
        {"dying", CST_ERROR_FAILED},    {"hang", CST_ERROR_TIMEOUT},
    };

    add_lv("a", 8 * MIB, "-wi-a-----", "", "");
    add_lv("b", 8 * MIB, "-wi-a-----", "", "");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        lie("lvm", rows[i].how);
        assert_null(names_of(&error));
        if (error->code != (int)rows[i].code)
            fail_msg("%s: %s", rows[i].how, error->message);
    }
}

static void warnings_beside_a_whole_report_do_no_harm(void **unused)
{
    g_autofree char *names = NULL;

    add_lv("a", 8 * MIB, "-wi-a-----", "", "");
    lie("lvm", "noisy");
    names = names_of(NULL);
    assert_string_equal(names, "a ");
}

static void numbers_that_do_not_add_up_are_refused(void **unused)
{
    static const char *const reports[] = {
        "{\"report\": []}",
        "{\"report\": [{}]}",
        "[]",
        "{\"report\": [{\"vg\": [{\"vg_name\":\"vg\"}], \"pv\": [], \"lv\": [], \"seg\": []}]}",
        "{\"report\": [{\"vg\": [{\"vg_name\":\"other\", \"vg_uuid\":\"u\", \"vg_size\":\"1\", "
        "\"vg_free\":\"0\", \"vg_extent_size\":\"4\", \"pv_count\":\"0\", \"lv_count\":\"0\"}], "
        "\"pv\": [], \"lv\": [], \"seg\": []}]}",
        "{\"report\": [{\"vg\": [{\"vg_name\":\"vg\", \"vg_uuid\":\"u\", \"vg_size\":\"1\", "
        "\"vg_free\":\"0\", \"vg_extent_size\":\"4\", \"pv_count\":\"1\", \"lv_count\":\"0\"}], "
        "\"pv\": [], \"lv\": [], \"seg\": []}]}",
        "{\"report\": [{\"vg\": [{\"vg_name\":\"vg\", \"vg_uuid\":\"u\", \"vg_size\":1, "
        "\"vg_free\":\"0\", \"vg_extent_size\":\"4\", \"pv_count\":\"0\", \"lv_count\":\"0\"}], "
        "\"pv\": [], \"lv\": [], \"seg\": []}]}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(reports); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(lvm_group_parse("vg", reports[i], &error));
        assert_int_equal(error->code, CST_ERROR_CORRUPT);
    }
}

/* --- changing --------------------------------------------------------------------------------- */

static CstVolDef *volume_def(const char *name, uint64_t capacity)
{
    CstVolDef *def = cst_vol_def_new();

    def->type = CST_VOL_BLOCK;
    def->name = g_strdup(name);
    def->capacity = def->allocation = capacity;
    return def;
}

static gboolean create(const char *name, GError **error)
{
    g_autoptr(CstVolDef) def = volume_def(name, 5 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    gboolean made = cst_pool_state_reserve(state, def, &draft, error) &&
                    cst_pool_state_commit(state, &draft, def, error);

    if (!made) {
        lie("lvremove", "");
        assert_true(cst_pool_state_abandon(state, TOKEN, NULL));
    }
    return made;
}

static void a_volume_appears_when_it_is_finished(void **unused)
{
    g_autoptr(CstVolDef) def = volume_def("disk", 5 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autofree char *before = NULL, *after = NULL;
    uint64_t size = 0;

    assert_true(cst_pool_state_reserve(state, def, &draft, NULL));
    assert_false(draft.zeroed);
    assert_true(cst_blob_get_size(draft.blob, &size, NULL));
    assert_int_equal(size, 8 * MIB);
    before = names_of(NULL);
    assert_string_equal(before, "");
    assert_true(cst_pool_state_commit(state, &draft, def, NULL));
    after = names_of(NULL);
    assert_string_equal(after, "disk ");
}

/* Either the volume is there and we say so, or it is not and we say why. */
static void creation_tells_what_is_there_whatever_the_tool_says(void **unused)
{
    static const struct {
        const char *tool, *how;
        gboolean made;
        CstErrorCode code;
    } rows[] = {
        {"lvcreate", "fail", FALSE, CST_ERROR_FAILED},
        {"lvcreate", "full", FALSE, CST_ERROR_NO_SPACE},
        {"lvcreate", "silent", FALSE, CST_ERROR_FAILED},
        {"lvcreate", "nothing", FALSE, CST_ERROR_NOT_FOUND},
        {"lvcreate", "hang", FALSE, CST_ERROR_TIMEOUT},
        {"lvcreate", "dying", FALSE, CST_ERROR_FAILED},
        {"lvrename", "fail", FALSE, CST_ERROR_FAILED},
        {"lvrename", "nothing", FALSE, CST_ERROR_FAILED},
        {"lvrename", "failing", TRUE, CST_ERROR_LAST},
        {"lvrename", "dying", TRUE, CST_ERROR_LAST},
        {"lvrename", "noisy", TRUE, CST_ERROR_LAST},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        gboolean made;

        lie(rows[i].tool, rows[i].how);
        made = create("disk", &error);
        if (made != rows[i].made || (error && error->code != (int)rows[i].code))
            fail_msg("%s %s: %s", rows[i].tool, rows[i].how, error ? error->message : "made");
        assert_int_equal(there("disk"), made);
        assert_int_equal(count_lvs(), made ? 1 : 0);
        lie(rows[i].tool, "");
        if (made)
            assert_true(cst_pool_state_delete(state, "disk", 0, NULL));
    }
}

static void a_name_that_is_taken_is_told(void **unused)
{
    g_autoptr(CstVolDef) def = volume_def("disk", 5 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autoptr(GError) early = NULL, late = NULL;

    assert_true(cst_pool_state_reserve(state, def, &draft, NULL));
    add_lv("disk", 4 * MIB, "-wi-a-----", "", "");
    assert_false(cst_pool_state_commit(state, &draft, def, &late));
    assert_int_equal(late->code, CST_ERROR_VOL_EXISTS);
    assert_true(cst_pool_state_abandon(state, TOKEN, NULL));
    assert_int_equal(count_lvs(), 1);
    assert_false(create("disk", &early));
    assert_int_equal(early->code, CST_ERROR_VOL_EXISTS);
}

static void deletion_tells_what_is_there(void **unused)
{
    static const struct {
        const char *how;
        gboolean gone;
    } rows[] = {{"fail", FALSE},   {"nothing", FALSE}, {"hang", FALSE},
                {"failing", TRUE}, {"dying", TRUE},    {"noisy", TRUE}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        add_lv("disk", 4 * MIB, "-wi-a-----", "", "");
        add_lv("other", 4 * MIB, "-wi-a-----", "", "");
        lie("lvremove", rows[i].how);
        assert_int_equal(cst_pool_state_delete(state, "disk", 0, &error), rows[i].gone);
        assert_int_equal(error == NULL, rows[i].gone);
        assert_int_equal(there("disk"), !rows[i].gone);
        assert_true(there("other"));
    }
}

static gboolean is_seen(const char *name)
{
    CstVolume *volume = NULL;

    assert_true(cst_pool_state_scan_one(state, name, NULL, &volume, NULL));
    if (!volume)
        return FALSE;
    cst_volume_unref(volume);
    return TRUE;
}

/* Many looks at once cost one report; what is known to have changed is looked at again. */
static void a_report_serves_for_a_moment(void **unused)
{
    lvm_host.fresh_us = G_TIME_SPAN_HOUR;
    add_lv("first", 4 * MIB, "-wi-a-----", "", "");
    assert_true(is_seen("first"));
    add_lv("second", 4 * MIB, "-wi-a-----", "", "");
    assert_false(is_seen("second"));
    logical_changed(LOGICAL(state));
    assert_true(is_seen("second"));
    assert_true(cst_pool_state_delete(state, "first", 0, NULL));
    assert_false(is_seen("first"));
}

static void an_origin_is_not_removed_with_what_hangs_on_it(void **unused)
{
    g_autoptr(GError) error = NULL;

    add_lv("disk", 8 * MIB, "owi-a-s---", "", "");
    add_lv("snap", 4 * MIB, "swi-a-s---", "disk", "");
    assert_false(cst_pool_state_delete(state, "disk", 0, &error));
    assert_int_equal(error->code, CST_ERROR_BUSY);
    assert_non_null(strstr(error->message, "remove 1 volumes and 0 snapshots"));
    assert_true(there("disk") && there("snap"));
}

static void a_resize_that_did_not_happen_is_told(void **unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstVolume) volume = NULL;

    add_lv("disk", 8 * MIB, "-wi-a-----", "", "");
    lie("lvextend", "nothing");
    assert_false(cst_pool_state_vol_resize(state, "disk", 16 * MIB, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_FAILED);
    lie("lvextend", "dying");
    assert_true(cst_pool_state_vol_resize(state, "disk", 15 * MIB, NULL, NULL));
    assert_true(cst_pool_state_scan_one(state, "disk", NULL, &volume, NULL));
    assert_int_equal(volume->capacity, 16 * MIB);
    lie("lvextend", "fail");
    assert_true(cst_pool_state_vol_resize(state, "disk", 14 * MIB, NULL, NULL));
    assert_true(cst_pool_state_vol_resize(state, "disk", 4 * MIB, NULL, NULL));
}

static void drafts_of_the_dead_go_and_those_of_the_living_stay(void **unused)
{
    g_autofree char *mine = logical_draft_name(TOKEN);

    add_lv(mine, 4 * MIB, "-wi-a-----", "", "");
    add_lv(".cistern-0123456789abcdef0123456789abcdef.0000_1_1.part", 4 * MIB, "-wi-a-----", "",
           "");
    add_lv("disk", 4 * MIB, "-wi-a-----", "", "");
    assert_true(cst_pool_state_settle(state, NULL));
    assert_true(there(mine) && there("disk"));
    assert_int_equal(count_lvs(), 2);
}

/* A volume that was stepping aside gets its name back, unless its successor has it. */
static void a_swap_that_was_cut_short_is_ended(void **unused)
{
    const char *old = ".cistern-0123456789abcdef0123456789abcdef.0000_1_1.old";

    add_lv(old, 8 * MIB, "Vwi-a-tz--", "", "cistern:was=disk");
    assert_true(cst_pool_state_settle(state, NULL));
    assert_true(there("disk"));
    assert_int_equal(count_lvs(), 1);
    add_lv(old, 8 * MIB, "Vwi-a-tz--", "", "cistern:was=disk");
    assert_true(cst_pool_state_settle(state, NULL));
    assert_true(there("disk"));
    assert_int_equal(count_lvs(), 1);
}

/* --- snapshots -------------------------------------------------------------------------------- */

static void snapshots_are_kept_by_tags(void **unused)
{
    const char *name = "before, \"1\" #ü";
    g_autoptr(GPtrArray) list = NULL;
    g_autoptr(GError) taken = NULL;
    g_autofree char *shown = NULL;

    add_lv("disk", 8 * MIB, "-wi-a-----", "", "");
    assert_true(cst_pool_state_snapshot_create(state, "disk", name, NULL, NULL, NULL));
    list = cst_pool_state_snapshots(state, "disk", NULL);
    assert_int_equal(list->len, 1);
    assert_string_equal(((CstSnapshot *)g_ptr_array_index(list, 0))->name, name);
    assert_int_equal(((CstSnapshot *)g_ptr_array_index(list, 0))->capacity, 8 * MIB);
    assert_false(cst_pool_state_snapshot_create(state, "disk", name, NULL, NULL, &taken));
    assert_int_equal(taken->code, CST_ERROR_EXISTS);
    shown = names_of(NULL);
    assert_string_equal(shown, "disk ");
    assert_true(cst_pool_state_snapshot_remove(state, "disk", name, NULL, NULL));
    assert_int_equal(count_lvs(), 1);
}

static void a_snapshot_out_of_room_is_told_and_not_reverted_to(void **unused)
{
    g_autoptr(GPtrArray) list = NULL;
    g_autoptr(GError) error = NULL;

    add_lv("disk", 8 * MIB, "owi-a-s---", "", "");
    add_lv(".cistern-1.snap", 4 * MIB, "sri-I-s---", "disk",
           "cistern:of=uuid-disk,cistern:snap=s,cistern:at=7");
    list = cst_pool_state_snapshots(state, "disk", NULL);
    assert_non_null(((CstSnapshot *)g_ptr_array_index(list, 0))->problem);
    assert_int_equal(((CstSnapshot *)g_ptr_array_index(list, 0))->created, 7);
    assert_false(cst_pool_state_snapshot_revert(state, "disk", "s", NULL, &error));
    assert_int_equal(error->code, CST_ERROR_CORRUPT);
}

static void rooms_that_may_run_full_are_told(void **unused)
{
    static const char *const expected[] = {
        "the room of snapshot 's' of volume 'disk' 10000 lost",
        "the room of snapshot 't' of volume 'disk' 5000",
        "the room of volume 'sparse' 5000",
        "the data of thin pool 'tp' 5000",
    };
    g_autoptr(GPtrArray) rooms = NULL;

    add_lv("disk", 8 * MIB, "owi-a-s---", "", "");
    add_lv(".cistern-1.snap", 4 * MIB, "sri-I-s---", "disk",
           "cistern:of=uuid-disk,cistern:snap=s,cistern:at=7");
    put("percent/.cistern-1.snap", "100.00");
    add_lv(".cistern-2.snap", 4 * MIB, "sri-a-s---", "disk",
           "cistern:of=uuid-disk,cistern:snap=t,cistern:at=8");
    add_lv("sparse", 4 * MIB, "swi-a-s---", "[x_vorigin]", "");
    add_lv("tp", 64 * MIB, "twi-aotz--", "", "");
    rooms = cst_pool_state_rooms(state, NULL);
    assert_int_equal(rooms->len, G_N_ELEMENTS(expected));
    for (guint i = 0; i < rooms->len; i++) {
        const CstRoom *room = g_ptr_array_index(rooms, i);
        g_autofree char *text =
            g_strdup_printf("%s %u%s", room->what, room->hundredths, room->lost ? " lost" : "");

        assert_string_equal(text, expected[i]);
    }
}

static void names_that_lvm_keeps_for_itself_are_refused(void **unused)
{
    static const char *const names[] = {"",         "-a",       ".",         "..",  "a b",
                                        "a_tdata",  "snapshot", "pvmove0",   "a/b", "a_rimage_0",
                                        "\xc3\xa4", "a@b",      ".cistern-1"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        assert_false(logical_name_check(names[i], NULL));
    assert_true(logical_name_check("disk-1.root_a+b", NULL));
}

static void options_of_a_pool_are_checked(void **unused)
{
    static const char *const wrong[][2] = {
        {"thin", "perhaps"},      {"thin-pool", "a b"},   {"thin-pool-size", "0"},
        {"thin-pool-size", "0%"}, {"snapshot-size", "x"}, {"thin-pool-metadata-size", "5%"}};

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(CstPoolDef) def = cst_pool_def_new(CST_POOL_LOGICAL);
        g_autoptr(GError) error = NULL;

        def->name = g_strdup("vg");
        def->source.name = g_strdup("vg");
        cst_pool_def_add_option(def, wrong[i][0], wrong[i][1]);
        assert_null(cst_pool_state_open(def, NULL, &error));
        assert_non_null(error);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_listing_shows_volumes_and_hides_parts),
        TEST(a_volume_tells_its_place_key_and_allocation),
        TEST(a_report_that_is_not_whole_is_no_list),
        TEST(warnings_beside_a_whole_report_do_no_harm),
        TEST(numbers_that_do_not_add_up_are_refused),
        TEST(a_volume_appears_when_it_is_finished),
        TEST(creation_tells_what_is_there_whatever_the_tool_says),
        TEST(a_name_that_is_taken_is_told),
        TEST(deletion_tells_what_is_there),
        TEST(a_report_serves_for_a_moment),
        TEST(an_origin_is_not_removed_with_what_hangs_on_it),
        TEST(a_resize_that_did_not_happen_is_told),
        TEST(drafts_of_the_dead_go_and_those_of_the_living_stay),
        TEST(a_swap_that_was_cut_short_is_ended),
        TEST(snapshots_are_kept_by_tags),
        TEST(a_snapshot_out_of_room_is_told_and_not_reverted_to),
        TEST(rooms_that_may_run_full_are_told),
        TEST(names_that_lvm_keeps_for_itself_are_refused),
        TEST(options_of_a_pool_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
