/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods of a copy, and the threads that choose among them. An unsupported method is disabled
 * for all threads and for the whole copy. The first failure ends the copy. A test sets the answers
 * of the source and the destination. The destination records how each MiB of it was written.
 */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/copy.h>

#define RUNS    16 /* of a MiB each */
#define SIZE    (RUNS * CST_MIB)
#define UNIT    (64 * CST_KIB)
#define LIMIT_S 300

/*
 * Returns the answer of the source to the @number-th call (1 is the first); 0: it copies, or
 * shares.
 */
typedef int (*Answer)(guint number);

static GMutex lock;
static GCond changed;
static guint shares, kernel_copies, writes; /* calls, but for that of the whole range */
static guint in_kernel;                     /* calls of copy_range that have begun */
static uint64_t total;                      /* length of the copy */
static uint64_t shift;                      /* of the destination against the source */
static Answer share_answer, kernel_answer;
static uint64_t unit;
static uint64_t run_length;    /* of the source's extents */
static uint64_t written;       /* bytes */
static char covered[RUNS + 2]; /* by MiB: '.', 'S'hared, 'K'ernel, 'W'ritten */

static void wait_until_at_least(const guint *count, guint wanted, const char *what)
{
    gint64 end = g_get_monotonic_time() + LIMIT_S * G_TIME_SPAN_SECOND;

    g_mutex_lock(&lock);
    while (*count < wanted)
        if (!g_cond_wait_until(&changed, &lock, end))
            g_error("waited for %u %s, and there were %u", wanted, what, *count);
    g_mutex_unlock(&lock);
}

/* --- source and destination ------------------------------------------------------------------- */

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(1 + offset / CST_MIB);
}

static gboolean plain_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = byte_at(offset + i);
    return TRUE;
}

static gboolean plain_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = SIZE + CST_MIB;
    return TRUE;
}

static void plain_close(CstBlob *blob)
{
    g_free(blob);
}

static gboolean plain_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                             GError **error)
{
    *ret_extent =
        (CstExtent){offset, MIN(length, run_length - offset % run_length), CST_EXTENT_DATA};
    return TRUE;
}

static void cover(uint64_t offset, uint64_t length, char how)
{
    for (uint64_t at = offset; at < offset + length; at += MIN(CST_MIB, offset + length - at))
        covered[at / CST_MIB] = how;
    g_cond_broadcast(&changed);
}

static gboolean note_write(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    const uint8_t *bytes = buf;

    for (size_t i = 0; i < len && shift == 0; i += 512)
        assert_int_equal(bytes[i], byte_at(offset + i));
    g_mutex_lock(&lock);
    writes++;
    written += len;
    cover(offset, len, 'W');
    g_mutex_unlock(&lock);
    return TRUE;
}

static uint64_t plain_unit(CstBlob *blob)
{
    return unit;
}

static gboolean scripted_copy_range(CstBlob *src, uint64_t src_offset, CstBlob *dst,
                                    uint64_t dst_offset, uint64_t length, gboolean share_only,
                                    GError **error)
{
    int code;
    guint number;

    if (share_only && length == total)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, "not the whole range");
    g_mutex_lock(&lock);
    number = share_only ? ++shares : ++kernel_copies;
    in_kernel++;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    if (share_only) {
        assert_int_equal(src_offset % UNIT, 0);
        assert_int_equal(dst_offset % UNIT, 0);
        assert_int_equal(length % UNIT, 0);
    }
    code = (share_only ? share_answer : kernel_answer)(number);
    if (code)
        return cst_fail(error, code, "call %u", number);
    g_mutex_lock(&lock);
    cover(dst_offset, length, share_only ? 'S' : 'K');
    g_mutex_unlock(&lock);
    return TRUE;
}

static const CstBlobOps plain_ops = {
    .kind = "scripted",
    .pread = plain_pread,
    .get_size = plain_size,
    .close = plain_close,
    .extent = plain_extent,
    .pwrite = note_write,
    .copy_range = scripted_copy_range,
    .share_unit = plain_unit,
};

static CstBlob *blob_new(const char *name)
{
    CstBlob *blob = g_new0(CstBlob, 1);

    cst_blob_init(blob, &plain_ops, name, TRUE);
    return blob;
}

/* --- answers ---------------------------------------------------------------------------------- */

static int answer_yes(guint number)
{
    return 0;
}

static int answer_unsupported(guint number)
{
    return CST_ERROR_UNSUPPORTED;
}

static int answer_first_only(guint number)
{
    return number == 1 ? 0 : CST_ERROR_UNSUPPORTED;
}

static int answer_three(guint number)
{
    return number <= 3 ? 0 : CST_ERROR_UNSUPPORTED;
}

/* The first call fails while the second one runs, which ends after the failure was noted. */
static int fail_beside_another(guint number)
{
    if (number == 1) {
        wait_until_at_least(&in_kernel, 2, "calls of copy_range");
        return CST_ERROR_IO;
    }
    point_await("blob_copy.failed", 1);
    return 0;
}

static int fail_twice(guint number)
{
    return fail_beside_another(number) ? CST_ERROR_IO : CST_ERROR_NO_SPACE;
}

/* --- tests ------------------------------------------------------------------------------------ */

static int set_up(void **state)
{
    shares = kernel_copies = writes = in_kernel = 0;
    unit = shift = written = 0;
    total = SIZE;
    run_length = CST_MIB;
    share_answer = kernel_answer = answer_unsupported;
    memset(covered, '.', RUNS);
    covered[RUNS] = '\0';
    return 0;
}

static gboolean copy_all(GError **error)
{
    g_autoptr(CstBlob) src = blob_new("src"), dst = blob_new("dst");

    return cst_blob_copy(src, 0, dst, 0, SIZE, 0, NULL, error);
}

static guint count_covered(char how)
{
    guint count = 0;

    for (guint i = 0; i < RUNS; i++)
        count += covered[i] == how;
    return count;
}

static void kernel_copy_is_disabled_for_all_threads_once_it_is_unsupported(void **state)
{
    assert_true(copy_all(NULL));
    /* Each thread may have begun one before the other's answer. */
    assert_in_range(kernel_copies, 1, 2);
    assert_int_equal(count_covered('W'), RUNS);
}

static void kernel_copy_is_used_until_it_is_unsupported(void **state)
{
    kernel_answer = answer_three;
    assert_true(copy_all(NULL));
    assert_in_range(kernel_copies, 4, 5);
    assert_int_equal(count_covered('K'), 3);
    assert_int_equal(count_covered('W'), RUNS - 3);
    assert_int_equal(writes, RUNS - 3);
}

static void kernel_copy_copies_all_when_it_is_supported(void **state)
{
    kernel_answer = answer_yes;
    assert_true(copy_all(NULL));
    assert_int_equal(kernel_copies, RUNS);
    assert_int_equal(writes, 0);
}

static void sharing_shares_all_when_it_is_supported(void **state)
{
    unit = UNIT;
    share_answer = answer_yes;
    assert_true(copy_all(NULL));
    assert_int_equal(shares, RUNS);
    assert_int_equal(count_covered('S'), RUNS);
    assert_int_equal(kernel_copies, 0);
}

static gboolean refuse_copy(gpointer data, GError **error)
{
    return cst_fail(error, CST_ERROR_BUSY, "no turn");
}

/* The task gets no turn to copy. */
static gboolean copy_without_turn(GError **error)
{
    g_autoptr(CstBlob) src = blob_new("src"), dst = blob_new("dst");
    g_autoptr(CstTask) task = cst_task_new();

    assert_true(cst_task_on_copy(task, refuse_copy, NULL));
    return cst_blob_copy(src, 0, dst, 0, SIZE, 0, task, error);
}

static void sharing_needs_no_turn(void **state)
{
    unit = UNIT;
    share_answer = answer_yes;
    assert_true(copy_without_turn(NULL));
    assert_int_equal(count_covered('S'), RUNS);
}

static void copy_needs_a_turn(void **state)
{
    g_autoptr(GError) error = NULL;

    kernel_answer = answer_yes;
    assert_false(copy_without_turn(&error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_BUSY));
    assert_int_equal(kernel_copies + writes, 0);
}

static void copy_after_refused_sharing_needs_a_turn(void **state)
{
    unit = UNIT;
    share_answer = answer_first_only;
    assert_false(copy_without_turn(NULL));
    assert_int_equal(count_covered('S'), 1);
    assert_int_equal(kernel_copies + writes, 0);
}

static void await_write(gpointer data)
{
    wait_until_at_least(&writes, 1, "writes");
}

/*
 * A thread that has shared continues after another one has disabled sharing. Its older result must
 * not enable sharing again.
 */
static void sharing_stays_disabled_after_a_concurrent_success(void **state)
{
    unit = UNIT;
    share_answer = answer_first_only;
    point_run("blob_copy.share.tried", await_write, NULL);
    assert_true(copy_all(NULL));
    points_clear();
    assert_int_equal(shares, 2);
    assert_int_equal(count_covered('S'), 1);
    assert_int_equal(count_covered('W'), RUNS - 1);
}

static void kernel_copy_stays_disabled_after_a_concurrent_attempt(void **state)
{
    point_run("blob_copy.kernel.tried", await_write, NULL);
    assert_true(copy_all(NULL));
    points_clear();
    assert_int_equal(kernel_copies, 2);
    assert_int_equal(count_covered('W'), RUNS);
}

/* The end of the range is no end of a unit: it is copied, and only it. */
static void rest_of_a_run_that_is_no_whole_unit_is_copied(void **state)
{
    g_autoptr(CstBlob) src = blob_new("src"), dst = blob_new("dst");

    unit = UNIT;
    share_answer = answer_yes;
    total = CST_MIB + 3 * UNIT + 100;
    assert_true(cst_blob_copy(src, 0, dst, 0, total, 0, NULL, NULL));
    assert_int_equal(shares, 2);
    assert_int_equal(written, 100);
}

/*
 * The offset within a unit differs between the source and the destination, so no extent can be
 * shared.
 */
static void unaligned_ranges_are_not_shared(void **state)
{
    g_autoptr(CstBlob) src = blob_new("src"), dst = blob_new("dst");

    unit = UNIT;
    shift = 512;
    total = 4 * UNIT;
    share_answer = answer_yes;
    assert_true(cst_blob_copy(src, 0, dst, shift, total, 0, NULL, NULL));
    assert_int_equal(shares, 0);
}

static void first_failure_ends_the_copy_in_all_threads(void **state)
{
    g_autoptr(GError) error = NULL;

    kernel_answer = fail_beside_another;
    point_watch("blob_copy.failed");
    assert_false(copy_all(&error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    assert_string_equal(error->message, "call 1");
    /* The other thread has finished its run, and begun no further one. */
    assert_int_equal(kernel_copies, 2);
    assert_int_equal(writes, 0);
    points_clear();
}

static void first_failure_is_the_result_when_both_threads_fail(void **state)
{
    g_autoptr(GError) error = NULL;

    kernel_answer = fail_twice;
    point_watch("blob_copy.failed");
    assert_false(copy_all(&error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    assert_int_equal(point_passed("blob_copy.failed"), 2);
    assert_int_equal(kernel_copies, 2);
    points_clear();
}

static void cancel(gpointer task)
{
    cst_task_cancel(task);
}

/* A run that could not be shared is long. The limit counts its bytes, and stops it in between. */
static void rate_limit_holds_within_a_run_that_the_kernel_copies(void **state)
{
    g_autoptr(CstBlob) src = blob_new("src"), dst = blob_new("dst");
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    unit = UNIT;
    run_length = SIZE;
    kernel_answer = answer_yes;
    cst_task_set_rate(task, 1);
    point_run("task.rate.wait", cancel, task);
    assert_false(cst_blob_copy(src, 0, dst, 0, SIZE, 0, task, &error));
    points_clear();
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
    assert_int_equal(kernel_copies, 1);
    assert_int_equal(count_covered('K'), RUNS / 2);
}

#define copy_test(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        copy_test(kernel_copy_is_disabled_for_all_threads_once_it_is_unsupported),
        copy_test(kernel_copy_is_used_until_it_is_unsupported),
        copy_test(kernel_copy_copies_all_when_it_is_supported),
        copy_test(sharing_shares_all_when_it_is_supported),
        copy_test(sharing_needs_no_turn),
        copy_test(copy_needs_a_turn),
        copy_test(copy_after_refused_sharing_needs_a_turn),
        copy_test(sharing_stays_disabled_after_a_concurrent_success),
        copy_test(kernel_copy_stays_disabled_after_a_concurrent_attempt),
        copy_test(rest_of_a_run_that_is_no_whole_unit_is_copied),
        copy_test(unaligned_ranges_are_not_shared),
        copy_test(rate_limit_holds_within_a_run_that_the_kernel_copies),
        copy_test(first_failure_ends_the_copy_in_all_threads),
        copy_test(first_failure_is_the_result_when_both_threads_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
