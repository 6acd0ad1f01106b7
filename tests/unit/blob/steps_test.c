/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Storage that writes in order to reserve or zero. The work ends when it is canceled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/steps.h>

#define SIZE (64 * CST_GIB)

/* Time passes in calls of the storage only. */
gint64 __wrap_g_get_monotonic_time(void);

static gint64 now_us = 1;

gint64 __wrap_g_get_monotonic_time(void)
{
    return now_us;
}

/* Counts its calls, and cancels its task during the call with the number @cancel_at. */
typedef struct {
    CstBlob blob;
    CstTask *task;
    unsigned calls, cancel_at;
    gint64 us; /* duration of each call */
    uint64_t done;
    uint64_t steps[8]; /* lengths of the first calls */
} Slow;

static Slow *slow_of(CstBlob *blob)
{
    return (Slow *)blob;
}

static gboolean slow_work(CstBlob *blob, uint64_t offset, uint64_t length)
{
    Slow *slow = slow_of(blob);

    assert_true(offset == slow->done);
    slow->done += length;
    now_us += slow->us;
    if (slow->calls < G_N_ELEMENTS(slow->steps))
        slow->steps[slow->calls] = length;
    if (++slow->calls == slow->cancel_at)
        cst_task_cancel(slow->task);
    return TRUE;
}

static gboolean slow_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return slow_work(blob, offset, length);
}

static gboolean slow_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                          GError **error)
{
    return slow_work(blob, offset, length);
}

static gboolean slow_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = SIZE;
    return TRUE;
}

static gboolean slow_read(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    return TRUE;
}

static gboolean slow_write(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    return TRUE;
}

static void slow_close(CstBlob *blob)
{
}

static const CstBlobOps slow_ops = {
    .pread = slow_read,
    .get_size = slow_size,
    .close = slow_close,
    .pwrite = slow_write,
    .zero = slow_zero,
    .allocate = slow_allocate,
};

static void slow_init(Slow *slow, unsigned cancel_at, gint64 us)
{
    *slow = (Slow){.task = cst_task_new(), .cancel_at = cancel_at, .us = us};
    slow->blob = (CstBlob){.ops = &slow_ops, .refs = 1, .writable = TRUE, .name = (char *)"slow"};
}

static void allocating_ends_when_it_is_cancelled(void **state)
{
    g_autoptr(GError) error = NULL;
    Slow slow;

    slow_init(&slow, 1, 0);
    assert_false(cst_blob_allocate_steps(&slow.blob, 0, SIZE, slow.task, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
    assert_true(slow.done <= 16 * CST_MIB);
    cst_task_unref(slow.task);
}

static void zeroing_ends_when_it_is_cancelled(void **state)
{
    g_autoptr(GError) error = NULL;
    Slow slow;

    /* Slow enough that the steps become shorter. */
    slow_init(&slow, 3, 60000);
    assert_false(cst_blob_zero_steps(&slow.blob, 0, SIZE, 0, slow.task, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
    assert_true(slow.done <= (16 + 8 + 4) * CST_MIB);
    cst_task_unref(slow.task);
}

/* Without real writes, few calls do all the work. */
static void fast_storage_is_processed_in_few_steps(void **state)
{
    Slow slow;

    slow_init(&slow, 0, 0);
    assert_true(cst_blob_allocate_steps(&slow.blob, 0, SIZE, slow.task, NULL));
    assert_true(slow.done == SIZE);
    assert_true(slow.calls < 40);
    cst_task_unref(slow.task);
}

/* Steps of less than 10 ms double, steps of more than 50 ms halve, down to 1 MiB. */
static void length_of_a_step_follows_from_the_time_of_the_last_one(void **state)
{
    static const struct {
        gint64 us;
        unsigned steps[8]; /* MiB */
    } rows[] = {{9999, {16, 32, 64, 128, 256, 512, 1024, 2048}},
                {10000, {16, 16, 16, 16, 16, 16, 16, 16}},
                {50000, {16, 16, 16, 16, 16, 16, 16, 16}},
                {50001, {16, 8, 4, 2, 1, 1, 1, 1}}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Slow slow;

        slow_init(&slow, 8, rows[i].us);
        assert_false(cst_blob_allocate_steps(&slow.blob, 0, SIZE, slow.task, NULL));
        for (size_t k = 0; k < G_N_ELEMENTS(rows[i].steps); k++)
            assert_int_equal(slow.steps[k], rows[i].steps[k] * CST_MIB);
        cst_task_unref(slow.task);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocating_ends_when_it_is_cancelled),
        cmocka_unit_test(zeroing_ends_when_it_is_cancelled),
        cmocka_unit_test(fast_storage_is_processed_in_few_steps),
        cmocka_unit_test(length_of_a_step_follows_from_the_time_of_the_last_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
