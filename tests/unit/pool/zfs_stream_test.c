/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parsing of a ZFS send stream of a volume; the streams are assembled from records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>

#include "zfs/stream.h"
#include "zfs_records.h"

#define SIZE    (8 * CST_MIB)
#define FROM    G_GUINT64_CONSTANT(13870155530119243187)
#define UNTIL   G_GUINT64_CONSTANT(5)
#define VERSION 1

static ZfsRecords records;

static int begin(void **unused)
{
    records = (ZfsRecords){.bytes = g_byte_array_new()};
    zfs_record_begin(&records, VERSION, FROM, UNTIL, 0);
    return 0;
}

static int finish(void **unused)
{
    g_byte_array_unref(records.bytes);
    return 0;
}

/*
 * Parses the records in parts of @step bytes. Returns the ranges as a text, or NULL with @error
 * set.
 */
static char *told_in(size_t step, uint64_t older, CstChanged *changed, GError **error)
{
    ZfsStream stream = {.changed = changed, .from = FROM, .to = UNTIL};
    g_autoptr(GString) text = g_string_new(NULL);

    cst_changed_begin(changed, SIZE, NULL);
    for (size_t at = 0; at < records.bytes->len; at += step)
        if (!zfs_stream_take(&stream, records.bytes->data + at, MIN(step, records.bytes->len - at),
                             error))
            return NULL;
    if (!zfs_stream_end(&stream, older, error))
        return NULL;
    for (guint i = 0; i < changed->ranges->len; i++) {
        const CstRange *range = &g_array_index(changed->ranges, CstRange, i);

        g_string_append_printf(text, "%" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT " ",
                               range->offset / 1024, range->length / 1024);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Expected ranges in KiB. They must be equal for all part sizes. */
static void assert_told(const char *expected)
{
    static const size_t steps[] = {1, 7, 312, 313, 100000};

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_auto(CstChanged) changed = {.max = 100};
        g_autoptr(GError) error = NULL;
        g_autofree char *text = told_in(steps[i], SIZE, &changed, &error);

        if (!text)
            fail_msg("%s", error->message);
        assert_string_equal(text, expected);
        assert_int_equal(changed.next, SIZE);
    }
}

static void assert_refused(CstErrorCode code)
{
    g_auto(CstChanged) changed = {.max = 100};
    g_autoptr(GError) error = NULL;

    assert_null(told_in(1000, SIZE, &changed, &error));
    if (!g_error_matches(error, CST_ERROR, code))
        fail_msg("%s", error->message);
}

static void add_all(void)
{
    zfs_record_object(&records, 1, 5, 0);
    zfs_record_free(&records, 1, SIZE, ZFS_TO_THE_END);
    zfs_record_write(&records, 1, 0, 16384, 0);
    zfs_record_write(&records, 1, 16384, 16384, 512);
    zfs_record_embedded(&records, 1, 65536, 16384, 45);
    zfs_record_free(&records, 1, 131072, 65536);
    zfs_record_byref(&records, 1, 262144, 16384);
    zfs_record_range(&records);
    zfs_record_object(&records, 2, 0, 192);
    zfs_record_spill(&records, 2, 1024);
    zfs_record_write(&records, 2, 0, 512, 0);
    zfs_record_embedded(&records, 2, 0, 512, 8);
    zfs_record_free(&records, 2, 512, ZFS_TO_THE_END);
    zfs_record_free_objects(&records, 3, 29);
    zfs_record_end(&records);
}

static void each_record_reports_its_range_and_payloads_are_skipped(void **unused)
{
    add_all();
    assert_told("0+32 64+16 128+64 256+16 ");
}

static void a_stream_may_come_from_a_host_of_the_other_byte_order(void **unused)
{
    g_byte_array_set_size(records.bytes, 0);
    records.big_endian = TRUE;
    zfs_record_begin(&records, VERSION, FROM, UNTIL, 72);
    add_all();
    assert_told("0+32 64+16 128+64 256+16 ");
}

static void stream_without_changes_reports_no_range(void **unused)
{
    zfs_record_end(&records);
    assert_told("");
}

/* The free range after an object's last block precedes its blocks. */
static void range_to_the_end_ends_the_stream(void **unused)
{
    zfs_record_object(&records, 1, 0, 0);
    zfs_record_free(&records, 1, 4 * CST_MIB, ZFS_TO_THE_END);
    zfs_record_write(&records, 1, 32768, 16384, 0);
    zfs_record_free(&records, 1, 2 * CST_MIB, 3 * CST_MIB); /* extends beyond the end */
    zfs_record_write(&records, 1, 6 * CST_MIB, 16384, 0);
    zfs_record_end(&records);
    assert_told("32+16 2048+6144 ");
}

static void a_hole_may_reach_beyond_the_end(void **unused)
{
    zfs_record_free(&records, 1, 7 * CST_MIB, 128 * CST_MIB);
    zfs_record_end(&records);
    assert_told("7168+1024 ");
}

static void an_object_that_is_made_anew_may_differ_anywhere(void **unused)
{
    zfs_record_free_objects(&records, 0, 2);
    zfs_record_write(&records, 1, 32768, 16384, 0);
    zfs_record_end(&records);
    assert_told("0+8192 ");
}

static void growth_is_reported_and_parts_continue_at_their_end(void **unused)
{
    g_auto(CstChanged) first = {.max = 2}, second = {.max = 2};
    g_autofree char *text = NULL, *rest = NULL;

    add_all();
    text = told_in(1000, 4 * CST_MIB, &first, NULL);
    assert_string_equal(text, "0+32 64+16 ");
    assert_int_equal(first.next, 131072);
    second.offset = first.next;
    second.max = 3;
    rest = told_in(1000, 4 * CST_MIB, &second, NULL);
    assert_string_equal(rest, "128+64 256+16 4096+4096 ");
    assert_int_equal(second.next, SIZE);
}

/* A truncated stream must never count as complete. */
static void a_stream_that_ends_early_is_refused(void **unused)
{
    guint whole;

    add_all();
    whole = records.bytes->len;
    for (guint cut = 1; cut <= whole; cut += cut < 400 ? 1 : 97) {
        g_byte_array_set_size(records.bytes, whole - cut);
        assert_refused(CST_ERROR_CORRUPT);
    }
}

static void other_streams_are_refused(void **unused)
{
    static const struct {
        guint64 version, from, until;
        CstErrorCode code;
    } rows[] = {
        {2, FROM, UNTIL, CST_ERROR_CORRUPT}, /* of several datasets */
        {VERSION | (UINT64_C(1) << 20) << 2, FROM, UNTIL, CST_ERROR_UNSUPPORTED}, /* resumed */
        {VERSION | (UINT64_C(1) << 21) << 2, FROM, UNTIL, CST_ERROR_UNSUPPORTED}, /* redacted */
        {VERSION | UINT64_C(1) << 2, FROM, UNTIL, CST_ERROR_UNSUPPORTED},         /* dedup */
        {VERSION, FROM + 1, UNTIL, CST_ERROR_STATE},
        {VERSION, FROM, UNTIL + 1, CST_ERROR_STATE},
        {VERSION, 0, UNTIL, CST_ERROR_STATE}, /* not incremental */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_byte_array_set_size(records.bytes, 0);
        zfs_record_begin(&records, rows[i].version, rows[i].from, rows[i].until, 0);
        zfs_record_end(&records);
        assert_refused(rows[i].code);
    }
}

static void range_out_of_order_or_bounds_is_refused(void **unused)
{
    for (int i = 0; i < 8; i++) {
        finish(NULL);
        begin(NULL);
        zfs_record_write(&records, 1, 65536, 16384, 0);
        if (i == 0)
            zfs_record_write(&records, 1, 32768, 16384, 0);
        else if (i == 1)
            zfs_record_free(&records, 1, 65536 + 512, 512);
        else if (i == 2)
            zfs_record_free(&records, 1, 0, ZFS_TO_THE_END);
        else if (i == 3)
            zfs_record_free_objects(&records, 1, 1);
        else if (i == 4)
            zfs_record_write(&records, 1, 131072, 1024, 32 * CST_MIB);
        else if (i == 5)
            zfs_record_begin(&records, VERSION, FROM, UNTIL, 0);
        else if (i == 6)
            zfs_record_end(&records); /* followed by another record */
        else
            records.bytes->data[312] = 11; /* unknown record type */
        zfs_record_end(&records);
        assert_refused(CST_ERROR_CORRUPT);
    }
    finish(NULL);
    records.bytes = g_byte_array_new();
    assert_refused(CST_ERROR_CORRUPT);
    g_byte_array_append(records.bytes, (const guint8 *)"zfs: no stream", 14);
    assert_refused(CST_ERROR_CORRUPT);
    g_byte_array_set_size(records.bytes, 400);
    memset(records.bytes->data, 0, 400);
    assert_refused(CST_ERROR_CORRUPT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_record_reports_its_range_and_payloads_are_skipped),
        CASE(a_stream_may_come_from_a_host_of_the_other_byte_order),
        CASE(stream_without_changes_reports_no_range),
        CASE(range_to_the_end_ends_the_stream),
        CASE(a_hole_may_reach_beyond_the_end),
        CASE(an_object_that_is_made_anew_may_differ_anywhere),
        CASE(growth_is_reported_and_parts_continue_at_their_end),
        CASE(a_stream_that_ends_early_is_refused),
        CASE(other_streams_are_refused),
        CASE(range_out_of_order_or_bounds_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
