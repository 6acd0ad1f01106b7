/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions and LUNs on a target in memory, with interference at exact points of a call. */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/iscsi.h>
#include <fake_iscsi.h>

#define TEST_UNIT_READY 0x00
#define READ            0x88
#define WRITE           0x8a
#define SYNC            0x91

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

static CstIscsi *session;

static int set_up(void **state)
{
    static const char *const portals[] = {"10.0.0.1:3260", "10.0.0.2:3260", NULL};
    const CstIscsiTarget target = {
        .target = "iqn.t", .initiator = "iqn.i", .portals = portals, .timeout_ms = 60000};

    fake_reset();
    session = cst_iscsi_new(&target);
    return 0;
}

static int tear_down(void **state)
{
    cst_iscsi_free(session);
    fake_reset();
    return 0;
}

static CstBlob *open_lun(uint16_t number)
{
    g_auto(CstIscsiLun) lun = {.lun = number};

    assert_true(cst_iscsi_look(session, &lun, 1, NULL));
    assert_true(lun.exists);
    return cst_blob_iscsi_new(session, &lun, "lun", TRUE, NULL, NULL);
}

/* --- callers that wait ------------------------------------------------------------------------ */

typedef struct {
    CstBlob *blob;
    uint8_t buf[512];
    GError *error;
} Reading;

static gpointer read_block(gpointer data)
{
    Reading *reading = data;

    return GINT_TO_POINTER(
        cst_blob_pread(reading->blob, reading->buf, sizeof(reading->buf), 0, &reading->error));
}

static gpointer run_connect(gpointer data)
{
    return GINT_TO_POINTER(cst_iscsi_connect(session, NULL));
}

static gpointer run_disconnect(gpointer data)
{
    cst_iscsi_disconnect(session);
    return NULL;
}

/* The answer to another caller's request wakes all that wait. */
static void caller_waits_for_its_own_answer(void **state)
{
    FakeUnit *unit = fake_unit(1, 64, 512, FALSE);
    g_autoptr(CstBlob) blob = open_lun(1);
    Reading reading = {.blob = blob};
    GThread *reader;

    unit->data[0] = 'd';
    /* The first command after a login is stale; further commands follow. */
    assert_true(read_block(&reading));
    fake.quiet = READ;
    point_watch("iscsi.run.wait");
    reader = g_thread_new("reader", read_block, &reading);
    point_await("iscsi.run.wait", 1);
    assert_true(cst_iscsi_connect(session, NULL));
    /* Twice in the calls above, and once more after the reader was woken. */
    point_await("iscsi.run.wait", 3);
    /* The disconnection loses the command that is under way. */
    cst_iscsi_disconnect(session);
    assert_false(g_thread_join(reader));
    assert_code(reading.error, CST_ERROR_UNREACHABLE);
    g_clear_error(&reading.error);
    points_clear();
    fake.quiet = 0;
    assert_true(read_block(&reading));
    assert_int_equal(reading.buf[0], 'd');
}

/* The end of a command wakes the caller of the disconnection, too, before the session has ended. */
static void disconnection_waits_for_the_end_of_the_session(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    Reading reading = {0};
    GThread *reader, *leaver;

    fake_unit(1, 64, 512, FALSE);
    reading.blob = blob = open_lun(1);
    assert_true(read_block(&reading));
    fake.quiet = READ;
    point_watch("iscsi.run.wait");
    point_watch("iscsi.disconnect.wait");
    point_hold("iscsi.session.ended");
    reader = g_thread_new("reader", read_block, &reading);
    point_await("iscsi.run.wait", 1);
    leaver = g_thread_new("leaver", run_disconnect, NULL);
    point_await("iscsi.session.ended", 1);
    assert_false(g_thread_join(reader));
    assert_code(reading.error, CST_ERROR_UNREACHABLE);
    g_clear_error(&reading.error);
    point_await("iscsi.disconnect.wait", 2);
    point_release("iscsi.session.ended");
    g_thread_join(leaver);
    assert_int_equal(fake.logouts, 1);
    points_clear();
    fake.quiet = 0;
    assert_true(read_block(&reading));
    assert_int_equal(fake.logins, 2);
}

/* It is served over the next connection, and neither fails with the old one nor is forgotten. */
static void request_that_comes_while_the_session_ends_is_served(void **state)
{
    GThread *leaver, *caller;

    assert_true(cst_iscsi_connect(session, NULL));
    point_hold("iscsi.session.ended");
    point_watch("iscsi.run.wait");
    leaver = g_thread_new("leaver", run_disconnect, NULL);
    point_await("iscsi.session.ended", 1);
    caller = g_thread_new("caller", run_connect, NULL);
    point_await("iscsi.run.wait", 1);
    point_release("iscsi.session.ended");
    g_thread_join(leaver);
    assert_true(g_thread_join(caller));
    assert_int_equal(fake.logins, 2);
    points_clear();
}

/*
 * --- identity of the opened unit
 * ------------------------------------------------------------------
 */

/* Another user of the session draws the attention that the target has for it. */
static void replace_unit(gpointer data)
{
    FakeUnit *unit = fake_unit(1, 64, 512, FALSE);

    unit->serial = 'Z';
    fake.attention = 0x3f0e;
    assert_true(cst_iscsi_connect(session, NULL));
}

static void write_is_not_sent_when_the_unit_changes_after_the_question(void **state)
{
    const uint8_t byte = 'z';
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(GError) error = NULL;

    fake_unit(1, 64, 512, FALSE);
    blob = open_lun(1);
    point_run("iscsi_lun.ask.answered", replace_unit, NULL);
    assert_false(cst_blob_pwrite(blob, &byte, 1, 0, &error));
    assert_code(error, CST_ERROR_STATE);
    assert_int_equal(fake.commands[WRITE], 0);
    assert_int_equal(fake.units[1].data[0], 0);
    points_clear();
}

/* The answers belong to the old unit, so the epoch must as well. */
static void unit_that_changes_during_its_verification_is_not_written_to(void **state)
{
    const uint8_t byte = 'z';

    for (int opening = 0; opening < 2; opening++) {
        g_autoptr(CstBlob) blob = NULL;
        g_autoptr(GError) error = NULL;

        fake_unit(1, 64, 512, FALSE);
        fake.commands[WRITE] = 0;
        if (opening)
            point_run("iscsi.look.answered", replace_unit, NULL);
        blob = open_lun(1);
        if (!opening) {
            point_run("iscsi_lun.look.answered", replace_unit, NULL);
            /* A login, after which the unit is verified again. */
            cst_iscsi_disconnect(session);
        }
        assert_false(cst_blob_pwrite(blob, &byte, 1, 0, &error));
        assert_code(error, CST_ERROR_STATE);
        assert_int_equal(fake.commands[WRITE], 0);
        points_clear();
    }
}

/* Waits as long as a slow target needs. */
static void let_time_pass(gpointer data)
{
    gint64 end = g_get_monotonic_time() + 5 * G_TIME_SPAN_MILLISECOND;

    while (g_get_monotonic_time() < end)
        g_thread_yield();
}

static void slow_target_is_asked_once_for_each_write(void **state)
{
    uint8_t block[512] = "z";
    g_autoptr(CstBlob) blob = NULL;

    fake_unit(1, 64, 512, FALSE);
    blob = open_lun(1);
    fake.commands[TEST_UNIT_READY] = 0;
    point_run_always("iscsi_lun.ask.answered", let_time_pass, NULL);
    for (guint i = 1; i <= 3; i++) {
        assert_true(cst_blob_pwrite(blob, block, sizeof(block), 0, NULL));
        assert_int_equal(fake.commands[TEST_UNIT_READY], i);
        let_time_pass(NULL);
    }
    points_clear();
}

/* --- extents ---------------------------------------------------------------------------------- */

static void write_to_hole(gpointer blob)
{
    uint8_t block[512] = "data";

    assert_true(cst_blob_pwrite(blob, block, sizeof(block), 8 * 512, NULL));
}

static void runs_that_a_write_has_overtaken_are_not_kept(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    CstExtent extent;

    fake_unit(1, 64, 512, TRUE);
    blob = open_lun(1);
    point_run("iscsi_lun.runs.asked", write_to_hole, blob);
    assert_true(cst_blob_extent(blob, 0, 64 * 512, &extent, NULL));
    points_clear();
    assert_true(cst_blob_extent(blob, 0, 64 * 512, &extent, NULL));
    assert_int_equal(extent.length, 8 * 512);
    assert_true(cst_blob_extent(blob, 8 * 512, 8 * 512, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_DATA);
}

/*
 * --- acknowledged changes are on the disk --------------------------------------------------------
 */

static gboolean change_by_write(CstBlob *blob)
{
    return cst_blob_pwrite(blob, "odd", 3, 5, NULL);
}

static gboolean change_by_zero(CstBlob *blob)
{
    return cst_blob_zero(blob, 0, 8 * 512, CST_ZERO_MAY_UNMAP, NULL);
}

static gboolean change_by_discard(CstBlob *blob)
{
    return cst_blob_discard(blob, 0, 8 * 512, NULL);
}

static void each_kind_of_change_is_flushed(void **state)
{
    static gboolean (*const changes[])(CstBlob *) = {change_by_write, change_by_zero,
                                                     change_by_discard};

    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(CstBlob) blob = NULL;
        g_autoptr(GError) error = NULL;

        fake_unit(1, 64, 512, TRUE);
        blob = open_lun(1);
        fake.commands[SYNC] = 0;
        assert_true(cst_blob_flush(blob, NULL));
        assert_int_equal(fake.commands[SYNC], 0);
        assert_true(changes[i](blob));
        /* A flush that fails is reported, and the next one is sent. */
        fake.fail_opcode = SYNC;
        fake.key = 3;
        fake.ascq = 0x0c00;
        assert_false(cst_blob_flush(blob, &error));
        assert_code(error, CST_ERROR_IO);
        fake.fail_opcode = 0;
        assert_true(cst_blob_flush(blob, NULL));
        assert_int_equal(fake.commands[SYNC], 2);
    }
}

static void target_without_a_cache_is_asked_to_sync_once(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    fake_unit(1, 64, 512, FALSE);
    blob = open_lun(1);
    fake.refuse = SYNC;
    for (guint i = 0; i < 2; i++) {
        assert_true(change_by_write(blob));
        assert_true(cst_blob_flush(blob, NULL));
    }
    assert_int_equal(fake.commands[SYNC], 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(caller_waits_for_its_own_answer),
        TEST(disconnection_waits_for_the_end_of_the_session),
        TEST(request_that_comes_while_the_session_ends_is_served),
        TEST(write_is_not_sent_when_the_unit_changes_after_the_question),
        TEST(unit_that_changes_during_its_verification_is_not_written_to),
        TEST(slow_target_is_asked_once_for_each_write),
        TEST(runs_that_a_write_has_overtaken_are_not_kept),
        TEST(each_kind_of_change_is_flushed),
        TEST(target_without_a_cache_is_asked_to_sync_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
