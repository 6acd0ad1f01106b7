/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rbd_site.h"

#include <errno.h>
#include <string.h>

#include "rbd/rbd.h"

/* The volumes found in a Ceph pool, and the handling of missing answers. */

static void assert_scan(const char *expected)
{
    g_autofree char *lines = site_scan(site_pool, NULL);

    assert_string_equal(lines, expected);
}

static void assert_one(const char *name, const char *expected)
{
    g_autofree char *line = site_scan_one(site_pool, name, NULL);

    assert_string_equal(line, expected);
}

/* Makes an image like Ceph's own tool. */
static void make_native(const char *name)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);
    rbd_image_options_t options = NULL;

    conn->ceph->rbd_image_options_create(&options);
    assert_int_equal(conn->ceph->rbd_create4(conn->io, name, SITE_SIZE, options), 0);
    conn->ceph->rbd_image_options_destroy(options);
}

static void set_deadline(guint ms)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);

    conn->deadline_ms = ms;
}

/* --- volumes ---------------------------------------------------------------------------------- */

static void volumes_are_described_without_being_opened(void **unused)
{
    guint before;

    site_make_plain("a");
    site_make_plain("b");
    site_write(site_pool, "b", "data");
    assert_true(site_clone(site_pool, "c", SITE_SIZE, "b", NULL, NULL));
    before = fake_ceph_calls("rbd_open_read_only");
    assert_scan("a 8388608 0 - -\n"
                "b 8388608 4194304 - -\n"
                "c 8388608 0 libvirt/b -\n");
    assert_one("b", "b 8388608 4194304 - -\n");
    assert_one("c", "c 8388608 0 libvirt/b -\n");
    assert_one("d", "none");
    assert_int_equal(fake_ceph_calls("rbd_open_read_only"), before);
}

static void draft_image_is_not_listed(void **unused)
{
    guint asked;

    site_make_plain("a");
    make_native(".cistern-x.part");
    make_native(".cistern-x");
    make_native("a\nb");
    assert_scan(".cistern-x 8388608 0 - -\na 8388608 0 - -\n");
    asked = fake_ceph_calls("OSD");
    assert_one(".cistern-x.part", "none");
    assert_one("a\nb", "none");
    assert_one("", "none");
    assert_int_equal(fake_ceph_calls("OSD"), asked);
}

/* Without a valid object map, all objects may exist. */
static void space_that_is_not_known_is_estimated(void **unused)
{
    site_make_plain("a");
    fake_ceph_set_flags("libvirt", "", "a", RBD_FLAG_FAST_DIFF_INVALID);
    site_make_plain("b");
    fake_ceph_set_flags("libvirt", "", "b", RBD_FLAG_OBJECT_MAP_INVALID);
    assert_true(site_make(site_pool, "c", SITE_SIZE - 1,
                          "<option name='features' value='layering'/>", NULL));
    assert_scan("a 8388608 8388608 - -\nb 8388608 8388608 - -\nc 8388607 8388608 - -\n");
    assert_one("c", "c 8388607 8388608 - -\n");
}

static void a_definition_may_want_sizes_only(void **unused)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(
        "<pool type='rbd'><name>p</name><source><host name='fake'/><name>libvirt</name></source>"
        "<refresh><volume allocation='capacity'/></refresh></pool>",
        0, NULL);
    guint asked;

    cst_pool_state_unref(site_pool);
    site_pool = cst_pool_state_open(def, NULL, NULL);
    site_make_plain("a");
    site_make_plain("old");
    fake_ceph_set_old("libvirt", "", "old");
    asked = fake_ceph_calls("OSD");
    assert_scan("a 8388608 8388608 - -\nold 8388608 8388608 - -\n");
    assert_int_equal(fake_ceph_calls("OSD") - asked, 1);
    assert_int_equal(fake_ceph_calls("rbd_diff_iterate2"), 0);
}

static void images_of_the_old_format_are_opened(void **unused)
{
    site_make_plain("old");
    fake_ceph_set_old("libvirt", "", "old");
    assert_scan("old 8388608 8388608 - -\n");
    assert_int_equal(fake_ceph_calls("rbd_open_read_only"), 1);
    assert_one("old", "old 8388608 8388608 - -\n");
    assert_int_equal(fake_ceph_calls("rbd_open_read_only"), 2);
    /* The name is not confused with that of an image without an own name. */
    assert_one("ol", "none");
    assert_int_equal(fake_ceph_calls("rbd_open_read_only"), 2);
}

static void images_over_the_page_size_are_all_listed(void **unused)
{
    g_auto(GStrv) lines = NULL;
    g_autofree char *text = NULL;

    for (int i = 0; i < 700; i++) {
        g_autofree char *name = g_strdup_printf("v%03d", i);

        make_native(name);
    }
    text = site_scan(site_pool, NULL);
    lines = g_strsplit(text, "\n", -1);
    assert_int_equal(g_strv_length(lines), 701);
    for (int i = 0; i < 700; i++) {
        g_autofree char *line = g_strdup_printf("v%03d 8388608 0 - -", i);

        assert_string_equal(lines[i], line);
    }
    assert_int_equal(fake_ceph_calls("rbd_list2"), 2);
}

/* --- foreign clones --------------------------------------------------------------------------- */

static void parents_elsewhere_have_their_whole_path(void **unused)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);
    rados_ioctx_t io = NULL;
    rbd_image_options_t options = NULL;
    rbd_image_t image = NULL;

    fake_ceph_add_namespace("libvirt", "ns");
    assert_int_equal(conn->ceph->rados_ioctx_create(conn->cluster, "libvirt", &io), 0);
    conn->ceph->rados_ioctx_set_namespace(io, "ns");
    conn->ceph->rbd_image_options_create(&options);
    conn->ceph->rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_CLONE_FORMAT, 2);
    assert_int_equal(conn->ceph->rbd_create4(io, "base", SITE_SIZE, options), 0);
    assert_int_equal(conn->ceph->rbd_open(io, "base", &image, NULL), 0);
    assert_int_equal(conn->ceph->rbd_snap_create2(image, "s", 0, NULL, NULL), 0);
    conn->ceph->rbd_close(image);
    assert_int_equal(conn->ceph->rbd_clone3(io, "base", "s", conn->io, "c", options), 0);
    conn->ceph->rbd_image_options_destroy(options);
    conn->ceph->rados_ioctx_destroy(io);
    assert_scan("c 8388608 0 libvirt/ns/base -\n");
    assert_one("c", "c 8388608 0 libvirt/ns/base -\n");
    /* A deletion does not change objects outside of this pool. */
    assert_true(cst_pool_state_delete(site_pool, "c", 0, NULL));
}

/* --- known records ---------------------------------------------------------------------------- */

typedef struct {
    const char *name; /* of the inspected volume */
    CstVolume *known;
    CstVolume *found;
} Records;

static CstVolume *give_known(const char *name, gpointer data)
{
    const Records *records = data;

    return records->known && strcmp(name, records->name) == 0 ? cst_volume_ref(records->known)
                                                              : NULL;
}

static void take_found(CstVolume *volume, gpointer data)
{
    Records *records = data;

    if (strcmp(volume->name, records->name) == 0)
        records->found = volume;
    else
        cst_volume_unref(volume);
}

/* Scans with the records of the last scan. Returns TRUE if the known record was returned. */
static gboolean is_handed_on(Records *records)
{
    CstScan scan = {give_known, take_found, records};

    g_clear_pointer(&records->known, cst_volume_unref);
    records->known = records->found;
    assert_true(cst_pool_state_scan(site_pool, &scan, NULL, NULL));
    return records->found == records->known;
}

static void unchanged_record_is_reused(void **unused)
{
    Records records = {.name = "v"};

    site_make_plain("v");
    assert_false(is_handed_on(&records));
    assert_true(is_handed_on(&records));
    site_write(site_pool, "v", "x");
    assert_false(is_handed_on(&records));
    assert_true(is_handed_on(&records));
    assert_true(cst_pool_state_vol_resize(site_pool, "v", SITE_SIZE + 1, NULL, NULL));
    assert_false(is_handed_on(&records));
    /* A volume with a problem is read again until the problem is gone. */
    fake_ceph_fail("OSD", 0, 1, -ETIMEDOUT);
    assert_false(is_handed_on(&records));
    assert_string_equal(cst_volume_problem(records.found),
                        "volume 'v': the Ceph cluster did not answer in time");
    assert_int_equal(records.found->capacity, SITE_SIZE + 1);
    assert_int_equal(records.found->allocation, 4 * CST_MIB);
    assert_false(is_handed_on(&records));
    assert_null(cst_volume_problem(records.found));
    cst_volume_unref(records.known);
    cst_volume_unref(records.found);
}

static void a_volume_that_does_not_answer_keeps_its_parent(void **unused)
{
    Records records = {.name = "c"};

    site_make_plain("v");
    assert_true(site_clone(site_pool, "c", SITE_SIZE, "v", NULL, NULL));
    assert_false(is_handed_on(&records));
    fake_ceph_fail("OSD", 0, 1, -ETIMEDOUT);
    assert_false(is_handed_on(&records));
    assert_non_null(cst_volume_problem(records.found));
    assert_string_equal(records.found->extra->backing_path, "libvirt/v");
    assert_string_equal(records.found->extra->backing_format, "raw");
    assert_int_equal(records.found->extra->backing_trust, CST_TRUST_NAMED);
    assert_false(is_handed_on(&records));
    assert_true(is_handed_on(&records));
    assert_true(cst_pool_state_vol_flatten(site_pool, "c", NULL, NULL));
    assert_false(is_handed_on(&records));
    assert_null(records.found->extra);
    cst_volume_unref(records.known);
    cst_volume_unref(records.found);
}

/* --- errors and missing answers --------------------------------------------------------------- */

static void librbd_is_queried_if_an_osd_does_not_answer(void **unused)
{
    site_make_plain("a");
    /* The reads of the header and of the object map. */
    for (guint skip = 0; skip < 2; skip++) {
        guint before = fake_ceph_calls("rbd_open_read_only");

        fake_ceph_fail("OSD", skip, 1, -EIO);
        assert_scan("a 8388608 0 - -\n");
        assert_int_equal(fake_ceph_calls("rbd_open_read_only") - before, 1);
    }
    fake_ceph_fail("rados_aio_read_op_operate", 0, 1, -EIO);
    assert_scan("a 8388608 0 - -\n");
}

static void image_removed_during_a_scan_is_not_listed(void **unused)
{
    site_make_plain("a");
    fake_ceph_fail("OSD", 0, 1, -ENOENT);
    assert_scan("");
    fake_ceph_fail("OSD", 0, 1, -EIO);
    fake_ceph_fail("rbd_open_read_only", 0, 1, -ENOENT);
    assert_scan("");
    fake_ceph_fail("OSD", 0, 1, -EIO);
    fake_ceph_fail("rbd_open_read_only", 0, 1, -ENOENT);
    assert_one("a", "none");
}

static void a_volume_that_fails_has_a_problem(void **unused)
{
    static const char *const functions[] = {"rbd_stat", "rbd_get_features", "rbd_get_flags",
                                            "rbd_diff_iterate2"};
    g_autoptr(GError) error = NULL;

    site_make_plain("a");
    fake_ceph_fail("OSD", 0, 1, -EIO);
    fake_ceph_fail("rbd_open_read_only", 0, 1, -EACCES);
    assert_scan("a 0 0 - failed to open the RBD image 'a': Permission denied\n");
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        fake_ceph_fail("OSD", 0, 1, -EIO);
        fake_ceph_fail(functions[i], 0, 1, -EIO);
        assert_scan("a 0 0 - failed to stat the RBD image 'a': Input/output error\n");
    }
    fake_ceph_fail("OSD", 0, 1, -EIO);
    fake_ceph_fail("rbd_get_parent", 0, 1, -EIO);
    assert_scan("a 0 0 - cannot determine the origin of 'volume 'a'': Input/output error\n");
    fake_ceph_fail("OSD", 0, 1, -EIO);
    fake_ceph_fail("rbd_open_read_only", 0, 1, -EACCES);
    assert_null(site_scan_one(site_pool, "a", &error));
    assert_code(error, CST_ERROR_DENIED);
}

static void a_cluster_that_is_silent_is_not_asked_twice(void **unused)
{
    g_autoptr(GError) error = NULL;

    site_make_plain("a");
    fake_ceph_fail("OSD", 0, 1, -ETIMEDOUT);
    assert_scan("a 0 0 - volume 'a': the Ceph cluster did not answer in time\n");
    assert_int_equal(fake_ceph_calls("rbd_open_read_only"), 0);
    fake_ceph_fail("OSD", 0, 1, -ETIMEDOUT);
    assert_null(site_scan_one(site_pool, "a", &error));
    assert_code(error, CST_ERROR_UNREACHABLE);
    assert_string_equal(error->message, "volume 'a': the Ceph cluster did not answer in time");
    /* The next call makes a new connection. */
    assert_one("a", "a 8388608 0 - -\n");
    assert_int_equal(fake_ceph_calls("rados_connect"), 2);
}

static void hanging_cluster_is_abandoned(void **unused)
{
    g_autoptr(GError) error = NULL;

    site_make_plain("a");
    site_make_plain("b");
    set_deadline(60);
    fake_ceph_hang("OSD");
    assert_scan("a 0 0 - volume 'a': the Ceph cluster did not answer in time\n"
                "b 0 0 - volume 'b': the Ceph cluster did not answer in time\n");
    assert_null(site_scan_one(site_pool, "a", &error));
    assert_code(error, CST_ERROR_UNREACHABLE);
    fake_ceph_resume();
}

/* Wrapped with --wrap. */
gboolean __real_cst_work_wait(CstWork *work, guint deadline_ms, GError **error);
gboolean __wrap_cst_work_wait(CstWork *work, guint deadline_ms, GError **error);

static RbdConn *hurried; /* its deadline expires when the scan waits for answers; NULL: no
                            connection */

gboolean __wrap_cst_work_wait(CstWork *work, guint deadline_ms, GError **error)
{
    gint64 before = work->last_heartbeat;
    gboolean done;

    if (!hurried || work->run)
        return __real_cst_work_wait(work, deadline_ms, error);
    hurried->deadline_ms = 0;
    fake_ceph_resume();
    done = __real_cst_work_wait(work, deadline_ms, error);
    /* Each answer counts as a heartbeat. */
    assert_true(work->last_heartbeat > before);
    return done;
}

#define IMAGES    900
#define IN_FLIGHT 513 /* calls at a time: 512, and one in the caller's place */

static guint count_problems(void)
{
    g_autofree char *text = site_scan(site_pool, NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint count = 0;

    assert_int_equal(g_strv_length(lines), IMAGES + 1);
    for (char **line = lines; *line; line++)
        count += strstr(*line, "did not answer in time") != NULL;
    return count;
}

/*
 * While all images answer, each has the full time. After a missing answer, the other images only
 * have the remaining time.
 */
static void a_cluster_that_fails_in_part_is_not_waited_for_as_often(void **unused)
{
    g_autoptr(RbdConn) conn = NULL;

    for (int i = 0; i < IMAGES; i++) {
        g_autofree char *name = g_strdup_printf("v%03d", i);

        make_native(name);
    }
    set_deadline(600000);
    conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);
    fake_ceph_hang("OSD");
    hurried = conn;
    assert_int_equal(count_problems(), 0);
    set_deadline(600000);
    fake_ceph_hang("OSD");
    fake_ceph_fail("OSD", 0, 1, -ETIMEDOUT);
    assert_int_equal(count_problems(), 1 + IMAGES - IN_FLIGHT);
    hurried = NULL;
    set_deadline(600000);
    fake_ceph_fail("OSD", 0, 1, -ETIMEDOUT);
    assert_int_equal(count_problems(), 1);
}

static void a_list_that_fails_fails_the_scan(void **unused)
{
    g_autoptr(GError) error = NULL;

    site_make_plain("a");
    fake_ceph_fail("rbd_list2", 0, 1, -EIO);
    assert_null(site_scan(site_pool, &error));
    assert_code(error, CST_ERROR_IO);
    assert_string_equal(error->message, "cannot list the images of pool 'p': Input/output error");
}

static void a_scan_can_be_cancelled(void **unused)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    Records records = {.name = "a"};
    CstScan scan = {give_known, take_found, &records};

    site_make_plain("a");
    cst_task_cancel(task);
    assert_false(cst_pool_state_scan(site_pool, &scan, task, &error));
    assert_code(error, CST_ERROR_CANCELLED);
    assert_null(records.found);
}

#define scan_test(f) cmocka_unit_test_setup_teardown(f, site_set_up, site_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scan_test(volumes_are_described_without_being_opened),
        scan_test(draft_image_is_not_listed),
        scan_test(space_that_is_not_known_is_estimated),
        scan_test(a_definition_may_want_sizes_only),
        scan_test(images_of_the_old_format_are_opened),
        scan_test(images_over_the_page_size_are_all_listed),
        scan_test(parents_elsewhere_have_their_whole_path),
        scan_test(unchanged_record_is_reused),
        scan_test(a_volume_that_does_not_answer_keeps_its_parent),
        scan_test(librbd_is_queried_if_an_osd_does_not_answer),
        scan_test(image_removed_during_a_scan_is_not_listed),
        scan_test(a_volume_that_fails_has_a_problem),
        scan_test(a_cluster_that_is_silent_is_not_asked_twice),
        scan_test(hanging_cluster_is_abandoned),
        scan_test(a_cluster_that_fails_in_part_is_not_waited_for_as_often),
        scan_test(a_list_that_fails_fails_the_scan),
        scan_test(a_scan_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
