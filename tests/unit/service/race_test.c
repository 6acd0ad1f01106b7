/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Another operation, or another program, acts between two steps of an operation. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/images.h>
#include <service/snapshots.h>
#include <service/trash.h>
#include <store/trash.h>

#include "fixture.h"
#include "points.h"

static Fixture *fixture;
static CstPool *p;

static int set_up(void **state)
{
    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    p = fixture_pool(fixture, "p");
    return 0;
}

static int tear_down(void **state)
{
    g_clear_pointer(&p, cst_pool_unref);
    return fixture_teardown(state);
}

static void make_overlay(gpointer name)
{
    g_autofree char *backing =
        g_strdup_printf("<backingStore><path>%s/p/base</path><format type='qcow2'/></backingStore>",
                        fixture->images);

    fixture_create(p, name, "qcow2", backing);
}

/* --- renames ---------------------------------------------------------------------------------- */

static void rename_checks_its_dependents_again(void **state)
{
    g_autoptr(GError) error = NULL;

    fixture_create(p, "base", "qcow2", "");
    make_overlay((char *)"one");
    point_run("vol.rename.planned", make_overlay, (char *)"two");
    assert_false(cst_vol_rename(p, "base", "renamed", NULL, &error));
    assert_non_null(strstr(error->message, "have just changed"));
    assert_error(&error, CST_ERROR_BUSY);
    points_clear();
    assert_true(cst_vol_rename(p, "base", "renamed", NULL, &error));
    assert_no_error(error);
}

/* Made by another program, because the service itself does not make one now. */
static void put_overlay(gpointer unused)
{
    g_autofree char *base = g_strdup_printf("%s/p/base", fixture->images);

    fixture_write_qcow(fixture, "p", "late", base);
    assert_true(cst_pool_has_volume(p, "late", NULL));
}

static void rename_is_undone_for_an_overlay_created_during_it(void **state)
{
    g_autoptr(GPtrArray) problems = NULL;
    g_autoptr(GError) error = NULL;

    fixture_create(p, "base", "qcow2", "");
    make_overlay((char *)"one");
    point_run("vol.rename.relinked", put_overlay, NULL);
    point_watch("vol.rename.take_back");
    assert_false(cst_vol_rename(p, "base", "renamed", NULL, &error));
    assert_non_null(strstr(error->message, "'late' was just made upon volume 'base'"));
    assert_error(&error, CST_ERROR_BUSY);
    points_clear();
    assert_true(fixture_exists(fixture, "p", "base"));
    assert_false(fixture_exists(fixture, "p", "renamed"));
    problems = cst_vol_problems(p, "one", NULL);
    assert_int_equal(problems->len, 0);
}

static void make_renamed(gpointer unused)
{
    fixture_write(fixture, "p", "renamed", "another program's");
}

static void rename_does_not_replace_a_file_created_during_it(void **state)
{
    g_autofree char *path = g_build_filename(fixture->images, "p", "renamed", NULL);
    g_autofree char *content = NULL;
    g_autoptr(GError) error = NULL;

    fixture_create(p, "base", "qcow2", "");
    make_overlay((char *)"one");
    point_run("vol.rename.recorded", make_renamed, NULL);
    assert_false(cst_vol_rename(p, "base", "renamed", NULL, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
    points_clear();
    assert_true(g_file_get_contents(path, &content, NULL, NULL));
    assert_string_equal(content, "another program's");
    assert_true(fixture_exists(fixture, "p", "base"));
}

/* --- the trash -------------------------------------------------------------------------------- */

static void use_trash(void)
{
    g_autofree char *xml = cst_pool_get_xml(p, CST_STORAGE_XML_INACTIVE, NULL);
    g_autoptr(GString) text = g_string_new(xml);
    g_autoptr(GError) error = NULL;

    g_string_replace(text, "</pool>",
                     "<c:trash xmlns:c='urn:cistern:storage:1.0' days='7'/></pool>", 1);
    cst_pool_unref(cst_service_pool_define(fixture->service, text->str, 0, &error));
    assert_no_error(error);
    fixture_create(p, "v", "raw", "");
    assert_true(cst_vol_delete(p, "v", 0, NULL, NULL));
}

static guint empty(void)
{
    uint64_t bytes;
    guint count = 0;

    assert_true(cst_pool_trash_empty(p, NULL, 0, NULL, &count, &bytes, NULL));
    return count;
}

static void empty_trash(gpointer unused)
{
    assert_int_equal(empty(), 1);
}

static void restore_v(gpointer unused)
{
    g_autofree char *name = NULL;

    assert_true(cst_pool_trash_restore(p, "v", NULL, NULL, &name, NULL));
}

static guint count_records(void)
{
    g_autoptr(GPtrArray) records = cst_trash_list(fixture->paths, cst_pool_uuid(p), NULL);

    return records->len;
}

static void restore_of_a_volume_removed_during_it_fails(void **state)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    use_trash();
    point_run("trash.restore.found", empty_trash, NULL);
    assert_false(cst_pool_trash_restore(p, "v", NULL, NULL, &name, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    points_clear();
    assert_false(cst_pool_has_volume(p, "v", NULL));
    assert_int_equal(count_records(), 0);
}

static void emptying_keeps_a_volume_restored_during_it(void **state)
{
    use_trash();
    point_run("trash.remove.found", restore_v, NULL);
    assert_int_equal(empty(), 0);
    points_clear();
    assert_true(cst_pool_has_volume(p, "v", NULL));
    assert_int_equal(count_records(), 0);
}

static CstTrashTotals totals_of_trash(void)
{
    CstTrashTotals totals;

    assert_true(cst_pool_trash_totals(p, NULL, &totals, NULL));
    return totals;
}

static void assert_totals_equal_list(guint volumes)
{
    g_autoptr(GPtrArray) rows = cst_pool_trash_list(p, NULL);
    const CstTrashTotals totals = totals_of_trash();
    uint64_t allocation = 0;

    for (guint i = 0; i < rows->len; i++)
        allocation += ((const CstTrashRow *)rows->pdata[i])->allocation;
    assert_true(totals.has_size);
    assert_int_equal(rows->len, volumes);
    assert_int_equal(totals.volumes, volumes);
    assert_int_equal(totals.allocation, allocation);
}

/* Returns the hidden name of the oldest deleted volume. The caller frees it. */
static char *oldest_hidden_name(void)
{
    g_autoptr(GPtrArray) rows = cst_pool_trash_list(p, NULL);

    assert_true(rows->len > 0);
    return g_strdup(((const CstTrashRow *)rows->pdata[0])->hidden);
}

static void delete_new(const char *name)
{
    fixture_create(p, name, "raw", "<allocation>65536</allocation>");
    assert_true(cst_vol_delete(p, name, 0, NULL, NULL));
}

static void totals_of_the_trash_follow_each_change(void **state)
{
    g_autofree char *hidden = NULL, *path = NULL, *restored = NULL;

    assert_totals_equal_list(0);
    use_trash();
    assert_totals_equal_list(1);
    delete_new("w");
    delete_new("x");
    assert_totals_equal_list(3);
    assert_true(cst_pool_trash_restore(p, "w", NULL, NULL, &restored, NULL));
    assert_totals_equal_list(2);
    /* Another program removes a volume with its record. */
    hidden = oldest_hidden_name();
    path = g_build_filename(fixture->images, "p", hidden, NULL);
    assert_int_equal(unlink(path), 0);
    assert_true(cst_trash_remove(fixture->paths, cst_pool_uuid(p), hidden, NULL));
    assert_totals_equal_list(1);
    assert_int_equal(empty(), 1);
    assert_totals_equal_list(0);
}

/* A deletion, of another process too, writes the record before the volume has its hidden name. */
static void record_counts_once_its_volume_exists(void **state)
{
    CstTrashed record = {.name = (char *)"late", .deleted = 1, .until = G_MAXINT64};
    g_autofree char *hidden = NULL;

    use_trash();
    hidden = oldest_hidden_name();
    hidden[strlen(hidden) - 1] = g_str_has_suffix(hidden, "0") ? '1' : '0';
    record.hidden = hidden;
    assert_true(cst_trash_set(fixture->paths, cst_pool_uuid(p), &record, NULL));
    assert_totals_equal_list(1);
    assert_totals_equal_list(1);
    fixture_write(fixture, "p", hidden, "content");
    assert_totals_equal_list(2);
}

/* The directory of the records counts as changed long ago. */
static void records_age(void)
{
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *dir = g_build_filename(fixture->paths->data_dir, "trash",
                                            cst_uuid_format(cst_pool_uuid(p), uuid), NULL);
    const struct timespec times[] = {{.tv_sec = 1}, {.tv_sec = 1}};

    assert_int_equal(utimensat(AT_FDCWD, dir, times, 0), 0);
}

static void totals_of_an_unchanged_trash_examine_no_volume(void **state)
{
    use_trash();
    delete_new("w");
    point_watch("trash.totals.listed");
    point_watch("trash.totals.examine");
    totals_of_trash();
    assert_int_equal(point_passed("trash.totals.examine"), 2);
    delete_new("x");
    assert_int_equal(totals_of_trash().volumes, 3);
    assert_int_equal(point_passed("trash.totals.examine"), 3);
    records_age();
    totals_of_trash();
    assert_int_equal(point_passed("trash.totals.listed"), 3);
    assert_int_equal(totals_of_trash().volumes, 3);
    assert_int_equal(point_passed("trash.totals.listed"), 3);
    assert_int_equal(point_passed("trash.totals.examine"), 3);
    /* After a refresh, the volumes are examined again. */
    assert_true(cst_pool_refresh(p, 0, NULL, NULL));
    assert_int_equal(totals_of_trash().volumes, 3);
    assert_int_equal(point_passed("trash.totals.examine"), 6);
    points_clear();
}

static void totals_of_an_inactive_pool_have_no_size(void **state)
{
    CstTrashTotals totals;

    use_trash();
    assert_true(totals_of_trash().has_size);
    assert_true(cst_pool_stop(p, NULL, NULL));
    totals = totals_of_trash();
    assert_false(totals.has_size);
    assert_int_equal(totals.volumes, 1);
}

/* --- sets of snapshots ------------------------------------------------------------------------ */

static gpointer snapshot_both(gpointer unused)
{
    const CstSnapshotVolume volumes[] = {{p, "a"}, {p, "b"}};
    const CstSnapshotRequest request = {.name = "s"};
    g_auto(CstSnapshotSet) set = {0};
    GError *error = NULL;

    cst_vol_snapshot_create_set(volumes, G_N_ELEMENTS(volumes), &request, NULL, &set, &error);
    return error;
}

static gpointer copy_b(gpointer task)
{
    const CstVolConvert how = {.name = "copy", .format = "vdi"};

    cst_vol_convert(p, p, "b", &how, task, NULL);
    return NULL;
}

/* A copy reads "b", so the set waits for it. "a" is free during the wait, and is changed. */
static void a_set_holds_no_volume_while_it_waits_for_another(void **state)
{
    g_autoptr(CstTask) copying = cst_task_new(), at_once = cst_task_new();
    g_autofree char *content = g_strnfill(1 << 20, 'x');
    const CstVolConvert to_qcow2 = {.name = "b", .format = "qcow2"};
    GThread *copy, *set;
    GError *error;

    fixture_create(p, "a", "qcow2", "");
    fixture_write(fixture, "p", "plain", content);
    assert_true(cst_vol_convert(p, p, "plain", &to_qcow2, NULL, NULL));
    cst_task_set_max_wait(at_once, 1);
    point_hold("vol.create.reserved");
    point_hold("vol.snapshots.wait");
    copy = g_thread_new("copy", copy_b, copying);
    point_await("vol.create.reserved", 1);
    set = g_thread_new("set", snapshot_both, NULL);
    point_await("vol.snapshots.wait", 1);
    assert_true(cst_vol_resize(p, "a", 2 << 20, 0, at_once, NULL));
    cst_task_cancel(copying);
    point_release("vol.create.reserved");
    g_thread_join(copy);
    point_release("vol.snapshots.wait");
    error = g_thread_join(set);
    assert_no_error(error);
    points_clear();
}

/* --- uploads ---------------------------------------------------------------------------------- */

/* The declaration is durable before the first byte is written. */
static void assert_restricted_before_content(gpointer unused)
{
    g_autofree char *path = g_build_filename(fixture->images, "p", "v", NULL);
    g_autofree char *content = NULL;

    assert_true(g_file_get_contents(path, &content, NULL, NULL));
    assert_string_equal(content, "before");
}

static void a_volume_is_restricted_before_the_first_byte(void **state)
{
    g_autoptr(CstUpload) upload = NULL;
    g_autoptr(GError) error = NULL;

    fixture_write(fixture, "p", "v", "before");
    upload = cst_vol_upload(p, "v", 0, 0, 0, NULL, &error);
    assert_no_error(error);
    point_run("vol.upload.restricted", assert_restricted_before_content, NULL);
    point_watch("vol.upload.written");
    assert_true(cst_upload_write(upload, "QFI\xfb", 4, NULL));
    points_clear();
    /* The client disconnects: the volume has no claim, and is still raw. */
    g_clear_pointer(&upload, cst_upload_free);
    assert_true(cst_vol_resize(p, "v", 1 << 20, 0, NULL, NULL));
}

/* --- new volumes ------------------------------------------------------------------------------ */

static void assert_listed(gpointer unused)
{
    g_autoptr(GPtrArray) rows = cst_pool_list_volumes(p, NULL, 0, CST_VOL_ROWS_BRIEF, NULL);

    assert_int_equal(rows->len, 1);
    assert_string_equal(((const CstVolRow *)g_ptr_array_index(rows, 0))->name, "v");
}

static void a_listing_has_a_new_volume_at_each_step(void **state)
{
    point_run("vol.create.filled", assert_listed, NULL);
    point_run("vol.create.named", assert_listed, NULL);
    point_run("vol.create.committed", assert_listed, NULL);
    fixture_create(p, "v", "qcow2", "");
    assert_listed(NULL);
    points_clear();
}

/* --- sources ---------------------------------------------------------------------------------- */

static gboolean clone_v(GError **error)
{
    g_autofree char *made = NULL;

    return cst_vol_create_from(p, "<volume><name>new</name></volume>", p, "v", 0, NULL, &made,
                               error);
}

static gboolean clone_content(GError **error)
{
    g_autofree char *made = NULL;

    return cst_vol_create_from(
        p, "<volume><name>new</name><target><format type='vdi'/></target></volume>", p, "v", 0,
        NULL, &made, error);
}

static gboolean convert(GError **error)
{
    const CstVolConvert how = {.name = "new", .format = "qcow2"};

    return cst_vol_convert(p, p, "v", &how, NULL, error);
}

static gboolean create_on_v(GError **error)
{
    g_autofree char *xml = g_strdup_printf(
        "<volume><name>new</name><target><format type='qcow2'/></target><backingStore>"
        "<path>%s/p/v</path></backingStore></volume>",
        fixture->images);
    g_autofree char *made = NULL;

    return cst_vol_create(p, xml, 0, NULL, &made, error);
}

static gboolean link_v(GError **error)
{
    g_autofree char *made = NULL;

    return cst_vol_create_from(p, "<volume><name>new</name></volume>", p, "v",
                               CST_VOL_CREATE_LINKED, NULL, &made, error);
}

static gboolean move_v(GError **error)
{
    const CstVolMove how = {.name = "new", .format = "qcow2"};
    g_autoptr(CstPool) q = cst_service_pool_by_name(fixture->service, "q", NULL);

    return cst_vol_move(p, "v", q, &how, NULL, error);
}

/* A deletion or a rename is refused at once. */
static void assert_held(gpointer unused)
{
    g_autoptr(CstTask) at_once = cst_task_new();
    g_autoptr(GError) error = NULL;

    cst_task_set_max_wait(at_once, 1);
    assert_false(cst_vol_delete(p, "v", 0, at_once, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_vol_resize(p, "v", 4 << 20, 0, at_once, &error));
    assert_error(&error, CST_ERROR_BUSY);
}

/* The source is claimed from before the draft until the new volume exists. */
static void source_is_claimed_until_its_copy_exists(void **state)
{
    gboolean (*const calls[])(GError **) = {clone_v,     clone_content, convert,
                                            create_on_v, link_v,        move_v};

    cst_pool_unref(fixture_pool(fixture, "q"));
    fixture_create(p, "v", "raw", "");
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) error = NULL;

        point_run("vol.create.reserved", assert_held, NULL);
        point_run("vol.create.committed", assert_held, NULL);
        calls[i](&error);
        assert_no_error(error);
        points_clear();
        if (calls[i] != move_v)
            assert_true(cst_vol_delete(p, "new", 0, NULL, NULL));
    }
}

/*
 * The snapshot can neither be deleted, because a snapshot of another size could replace it, nor
 * renamed.
 */
static void assert_snapshot_held(gpointer unused)
{
    g_autoptr(CstTask) at_once = cst_task_new();
    g_autoptr(GError) error = NULL;

    cst_task_set_max_wait(at_once, 1);
    assert_false(cst_vol_snapshot_delete(p, "v", "s", at_once, &error));
    assert_error(&error, CST_ERROR_BUSY);
}

static void snapshot_is_claimed_from_its_listing_until_its_clone_exists(void **state)
{
    g_autoptr(GError) error = NULL;
    CstVolInfo info;

    fixture_create(p, "v", "qcow2", "");
    assert_true(cst_vol_snapshot_create(p, "v", "s", 0, NULL, NULL));
    point_run("vol.snapshot.clone.listed", assert_snapshot_held, NULL);
    point_run("vol.create.committed", assert_snapshot_held, NULL);
    cst_vol_snapshot_clone(p, "v", "s", "new", NULL, &error);
    assert_no_error(error);
    points_clear();
    assert_true(cst_vol_get_info(p, "new", &info, NULL));
    assert_int_equal(info.capacity, 1 << 20);
    assert_true(cst_vol_snapshot_delete(p, "v", "s", NULL, NULL));
}

/* --- commits ---------------------------------------------------------------------------------- */

static void make_on(const char *name, const char *base)
{
    g_autofree char *backing =
        g_strdup_printf("<backingStore><path>%s/p/%s</path><format type='qcow2'/></backingStore>",
                        fixture->images, base);

    fixture_create(p, name, "qcow2", backing);
}

/* Changes the base of the image in the middle of the chain. */
static void rebase_middle(gpointer unused)
{
    g_autofree char *path = g_strdup_printf("%s/p/second", fixture->images);
    const CstVolRebase how = {.backing = path, .flags = CST_VOL_REBASE_UNSAFE};
    g_autoptr(GError) error = NULL;

    cst_vol_rebase(p, "middle", &how, NULL, &error);
    assert_no_error(error);
}

/* The base has the same depth as before, but is another volume. */
static void commit_into_a_replaced_base_is_refused(void **state)
{
    g_autofree char *path = g_build_filename(fixture->images, "p", "second", NULL);
    g_autofree char *before = NULL, *after = NULL;
    g_autoptr(CstUpload) patch = NULL;
    g_autoptr(GError) error = NULL;
    gsize length, new_length;

    fixture_create(p, "first", "qcow2", "");
    fixture_create(p, "second", "qcow2", "");
    make_on("middle", "first");
    make_on("top", "middle");
    patch = cst_vol_patch(p, "top", 0, 0, NULL, &error);
    assert_no_error(error);
    assert_true(cst_upload_write(patch, "data", 4, NULL) && cst_upload_finish(patch, NULL));
    g_clear_pointer(&patch, cst_upload_free);
    assert_true(g_file_get_contents(path, &before, &length, NULL));
    point_run("vol.commit.found", rebase_middle, NULL);
    assert_false(cst_vol_commit(p, "top", "first", 0, NULL, &error));
    assert_non_null(strstr(error->message, "changed during the operation"));
    assert_error(&error, CST_ERROR_STATE);
    points_clear();
    assert_true(g_file_get_contents(path, &after, &new_length, NULL));
    assert_int_equal(length, new_length);
    assert_memory_equal(before, after, length);
    assert_true(cst_vol_commit(p, "top", "second", 0, NULL, NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rename_checks_its_dependents_again),
        TEST(rename_is_undone_for_an_overlay_created_during_it),
        TEST(rename_does_not_replace_a_file_created_during_it),
        TEST(restore_of_a_volume_removed_during_it_fails),
        TEST(emptying_keeps_a_volume_restored_during_it),
        TEST(totals_of_the_trash_follow_each_change),
        TEST(record_counts_once_its_volume_exists),
        TEST(totals_of_an_unchanged_trash_examine_no_volume),
        TEST(totals_of_an_inactive_pool_have_no_size),
        TEST(a_set_holds_no_volume_while_it_waits_for_another),
        TEST(a_volume_is_restricted_before_the_first_byte),
        TEST(a_listing_has_a_new_volume_at_each_step),
        TEST(source_is_claimed_until_its_copy_exists),
        TEST(snapshot_is_claimed_from_its_listing_until_its_clone_exists),
        TEST(commit_into_a_replaced_base_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
