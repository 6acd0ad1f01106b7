/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The requests of a copy to its source and destination, step by step. Blobs in memory record their
 * changes, and refuse the calls that a test selects. Copies up to 4 MiB are made by one thread, in
 * order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/units.h>
#include <blob/copy.h>

#include "scratch.h"

#define K    1024u
#define ROOM (1024 * K)

typedef enum { ACCEPT, REFUSE, FAIL } Answer;

typedef struct {
    CstBlob head;
    uint8_t *data;
    uint64_t size, unit;
    uint64_t hole, hole_end; /* range that extent() reports as a hole */
    Answer share_all, share, kernel, zero;
    GString *log; /* of the destination, or borrowed from it */
} Side;

static gboolean side_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    memcpy(buf, ((Side *)blob)->data + offset, len);
    return TRUE;
}

static gboolean side_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = ((Side *)blob)->size;
    return TRUE;
}

static gboolean answer(Answer how, GError **error)
{
    if (how == ACCEPT)
        return TRUE;
    return cst_fail(error, how == REFUSE ? CST_ERROR_UNSUPPORTED : CST_ERROR_NO_SPACE, "%s", "no");
}

static gboolean side_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                            GError **error)
{
    Side *side = (Side *)blob;

    memcpy(side->data + offset, buf, len);
    g_string_append_printf(side->log, "w%u+%u ", (unsigned)offset, (unsigned)len);
    return TRUE;
}

static gboolean side_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                          GError **error)
{
    Side *side = (Side *)blob;

    assert_int_equal(flags, CST_ZERO_MAY_UNMAP);
    memset(side->data + offset, 0, length);
    g_string_append_printf(side->log, "z%u+%u ", (unsigned)offset, (unsigned)length);
    return answer(side->zero, error);
}

static gboolean side_resize(CstBlob *blob, uint64_t size, GError **error)
{
    Side *side = (Side *)blob;

    memset(side->data + side->size, 0, size - side->size);
    side->size = size;
    g_string_append_printf(side->log, "r%u ", (unsigned)size);
    return TRUE;
}

static gboolean side_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                            GError **error)
{
    const Side *side = (Side *)blob;
    gboolean in_hole = offset >= side->hole && offset < side->hole_end;
    uint64_t end = in_hole ? side->hole_end : offset < side->hole ? side->hole : UINT64_MAX;

    ret_extent->offset = offset;
    ret_extent->length = MIN(length, end - offset);
    ret_extent->flags = in_hole ? CST_EXTENT_HOLE | CST_EXTENT_ZERO : CST_EXTENT_DATA;
    return TRUE;
}

static gboolean side_copy_range(CstBlob *src, uint64_t src_offset, CstBlob *dst,
                                uint64_t dst_offset, uint64_t length, gboolean share_only,
                                GError **error)
{
    Side *from = (Side *)src, *to = (Side *)dst;
    gboolean first = share_only && from->share_all != ACCEPT;
    Answer how = first ? from->share_all : share_only ? from->share : from->kernel;

    g_string_append_printf(to->log, "%c%u>%u+%u ", share_only ? 's' : 'k', (unsigned)src_offset,
                           (unsigned)dst_offset, (unsigned)length);
    if (first)
        from->share_all = ACCEPT;
    if (how == ACCEPT)
        memcpy(to->data + dst_offset, from->data + src_offset, length);
    return answer(how, error);
}

static uint64_t side_share_unit(CstBlob *blob)
{
    return ((Side *)blob)->unit;
}

static void side_close(CstBlob *blob)
{
    Side *side = (Side *)blob;

    g_string_free(side->log, TRUE);
    g_free(side->data);
    g_free(side);
}

static const CstBlobOps side_ops = {
    .kind = "side",
    .pread = side_pread,
    .get_size = side_get_size,
    .close = side_close,
    .pwrite = side_pwrite,
    .extent = side_extent,
    .zero = side_zero,
    .resize = side_resize,
    .copy_range = side_copy_range,
    .share_unit = side_share_unit,
};

/* Returns a blob that is filled with @byte. */
static Side *side_new(int byte, uint64_t size)
{
    Side *side = g_new0(Side, 1);

    cst_blob_init(&side->head, &side_ops, "side", TRUE);
    side->data = g_malloc(ROOM);
    memset(side->data, byte, ROOM);
    side->size = size;
    side->log = g_string_new(NULL);
    return side;
}

typedef struct {
    Side *src, *dst;
    CstTask *task;
} Pair;

static int setup(void **state)
{
    Pair *pair = g_new0(Pair, 1);

    pair->src = side_new('s', ROOM);
    pair->dst = side_new('d', ROOM);
    pair->task = cst_task_new();
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    Pair *pair = *state;

    cst_blob_unref(&pair->src->head);
    cst_blob_unref(&pair->dst->head);
    cst_task_unref(pair->task);
    g_free(pair);
    return 0;
}

static void check_log(Pair *pair, const char *wanted)
{
    assert_string_equal(pair->dst->log->str, wanted);
    g_string_truncate(pair->dst->log, 0);
}

static void copy(Pair *pair, uint64_t from, uint64_t to, uint64_t length, unsigned flags)
{
    uint64_t before = cst_task_progress(pair->task).done;

    assert_true(cst_blob_copy(&pair->src->head, from, &pair->dst->head, to, length, flags,
                              pair->task, NULL));
    assert_memory_equal(pair->dst->data + to, pair->src->data + from, length);
    assert_int_equal(cst_task_progress(pair->task).done - before, length);
}

static void copy_sparse(Pair *pair, uint64_t length, uint64_t zero_run, const char *wanted)
{
    uint64_t before = cst_task_progress(pair->task).done;

    assert_true(cst_blob_copy_sparse(&pair->src->head, 0, &pair->dst->head, 0, length, zero_run, 0,
                                     pair->task, NULL));
    assert_memory_equal(pair->dst->data, pair->src->data, length);
    assert_int_equal(cst_task_progress(pair->task).done - before, length);
    check_log(pair, wanted);
}

static void only_long_runs_of_zeroes_are_skipped(void **state)
{
    Pair *pair = *state;
    uint8_t *data = pair->src->data;

    memset(data + 4 * K, 0, 16 * K);
    memset(data + 24 * K, 0, 12 * K);
    copy(pair, 0, 0, 40 * K, CST_COPY_NO_SHARE);
    check_log(pair, "w0+4096 z4096+16384 w20480+20480 ");
    /* At the start of a buffer any run is one: it may go on from the one before. */
    copy(pair, 16 * K, 0, 8 * K, CST_COPY_NO_SHARE);
    check_log(pair, "z0+4096 w4096+4096 ");
    /* At the end, only a long one. */
    copy(pair, 20 * K, 0, 12 * K, CST_COPY_NO_SHARE);
    check_log(pair, "w0+12288 ");
    copy(pair, 0, 1, 20 * K, CST_COPY_NO_SHARE);
    check_log(pair, "w1+4096 z4097+16384 ");
    memset(data, 0, 40 * K);
    copy(pair, 0, 0, 40 * K, CST_COPY_NO_SHARE);
    check_log(pair, "z0+40960 ");
}

static void granularity_of_holes_can_be_set(void **state)
{
    Pair *pair = *state;
    uint8_t *data = pair->src->data;

    memset(data, 0, 512);
    memset(data + 1024, 0, 512);
    memset(data + 4 * K, 0, 4 * K);
    copy_sparse(pair, 8 * K, 512, "z0+512 w512+512 z1024+512 w1536+2560 z4096+4096 ");
    copy_sparse(pair, 8 * K, 1024, "w0+4096 z4096+4096 ");
    copy_sparse(pair, 8 * K, 4096, "w0+4096 z4096+4096 ");
    copy_sparse(pair, 8 * K, 8192, "w0+8192 ");
    /* All of it is to have space, holes of the source as well. */
    pair->src->hole = 4 * K;
    pair->src->hole_end = 8 * K;
    copy_sparse(pair, 12 * K, 0, "w0+4096 w4096+4096 w8192+4096 ");
    copy_sparse(pair, 12 * K, 4096, "w0+4096 z4096+4096 w8192+4096 ");
    pair->src->hole_end = 7 * K;
    copy_sparse(pair, 7 * K, 0, "w0+4096 w4096+3072 ");
}

static void a_hole_is_one_step(void **state)
{
    Pair *pair = *state;

    pair->src->hole = 4 * K;
    pair->src->hole_end = 500 * K;
    memset(pair->src->data + 4 * K, 0, 496 * K);
    copy(pair, 0, 0, 504 * K, CST_COPY_NO_SHARE);
    check_log(pair, "w0+4096 z4096+507904 w512000+4096 ");
    /* Ranges that already read as zeroes are skipped. */
    memset(pair->dst->data, 0, ROOM);
    copy(pair, 0, 0, 504 * K, CST_COPY_NO_SHARE | CST_COPY_DST_ZERO);
    check_log(pair, "w0+4096 w512000+4096 ");
    /* So are new ranges. A destination that begins before them is not completely new. */
    pair->dst->size = 0;
    copy(pair, 0, 0, 504 * K, CST_COPY_NO_SHARE);
    check_log(pair, "r516096 w0+4096 w512000+4096 ");
    pair->dst->size = 1;
    copy(pair, 0, 0, 504 * K, CST_COPY_NO_SHARE);
    check_log(pair, "r516096 w0+4096 z4096+507904 w512000+4096 ");
}

static void the_kernel_copies_until_it_refuses(void **state)
{
    Pair *pair = *state;

    pair->src->share_all = REFUSE;
    copy(pair, 1, 2, 8 * K, 0);
    check_log(pair, "s1>2+8192 k1>2+8192 ");
    pair->src->share_all = REFUSE;
    pair->src->kernel = REFUSE;
    pair->src->hole = 4 * K;
    pair->src->hole_end = 8 * K;
    memset(pair->src->data + 4 * K, 0, 4 * K);
    copy(pair, 0, 0, 12 * K, 0);
    check_log(pair, "s0>0+12288 k0>0+4096 w0+4096 z4096+4096 w8192+4096 ");
}

static void whole_units_are_shared_and_the_rest_is_copied(void **state)
{
    Pair *pair = *state;

    pair->src->unit = pair->dst->unit = 4 * K;
    pair->src->share_all = REFUSE;
    copy(pair, 512, 512, 20 * K, 0);
    check_log(pair, "s512>512+20480 k512>512+3584 s4096>4096+16384 k20480>20480+512 ");
    /* Units that do not meet. */
    pair->src->share_all = REFUSE;
    copy(pair, 512, 0, 8 * K, 0);
    check_log(pair, "s512>0+8192 k512>0+8192 ");
    /* The larger of the two is the unit of both. */
    pair->src->unit = 8 * K;
    pair->src->share_all = REFUSE;
    copy(pair, 0, 0, 20 * K, 0);
    check_log(pair, "s0>0+20480 s0>0+16384 k16384>16384+4096 ");
    pair->src->unit = 0;
    pair->src->share_all = REFUSE;
    copy(pair, 0, 0, 20 * K, 0);
    check_log(pair, "s0>0+20480 k0>0+20480 ");
}

static void sharing_is_tried_until_it_is_refused(void **state)
{
    Pair *pair = *state;

    pair->src->unit = pair->dst->unit = 4 * K;
    copy(pair, 0, 0, 8 * K, 0);
    check_log(pair, "s0>0+8192 ");
    pair->src->share_all = REFUSE;
    pair->src->share = REFUSE;
    pair->src->hole = 4 * K;
    pair->src->hole_end = 8 * K;
    memset(pair->src->data + 4 * K, 0, 4 * K);
    copy(pair, 0, 0, 12 * K, 0);
    check_log(pair, "s0>0+12288 s0>0+4096 k0>0+4096 z4096+4096 k8192>8192+4096 ");
    copy(pair, 0, 0, 4 * K, CST_COPY_NO_SHARE);
    check_log(pair, "w0+4096 ");
}

static void check_failure(Pair *pair, unsigned flags, CstErrorCode code, const char *wanted)
{
    g_autoptr(GError) error = NULL;

    assert_false(
        cst_blob_copy(&pair->src->head, 0, &pair->dst->head, 0, 8 * K, flags, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, (int)code));
    check_log(pair, wanted);
}

static void a_failure_is_no_refusal(void **state)
{
    Pair *pair = *state;

    pair->src->share_all = FAIL;
    check_failure(pair, 0, CST_ERROR_NO_SPACE, "s0>0+8192 ");
    pair->src->share_all = REFUSE;
    check_failure(pair, CST_COPY_SHARE_ONLY, CST_ERROR_UNSUPPORTED, "s0>0+8192 ");
    pair->src->share_all = REFUSE;
    pair->src->kernel = FAIL;
    check_failure(pair, 0, CST_ERROR_NO_SPACE, "s0>0+8192 k0>0+8192 ");
    pair->src->unit = pair->dst->unit = 4 * K;
    pair->src->share_all = REFUSE;
    pair->src->share = FAIL;
    check_failure(pair, 0, CST_ERROR_NO_SPACE, "s0>0+8192 s0>0+8192 ");
    pair->src->hole_end = 8 * K;
    pair->dst->zero = FAIL;
    check_failure(pair, CST_COPY_NO_SHARE, CST_ERROR_NO_SPACE, "z0+8192 ");
}

/* Two stretches of one blob may touch. */
static void a_blob_is_copied_within(void **state)
{
    Pair *pair = *state;
    CstBlob *blob = &pair->dst->head;
    static const struct {
        uint64_t from, to;
        gboolean good;
    } stretches[] = {{0, 4 * K, TRUE},
                     {4 * K, 0, TRUE},
                     {0, 4 * K - 1, FALSE},
                     {4 * K - 1, 0, FALSE},
                     {4 * K, 4 * K, FALSE}};

    for (size_t i = 0; i < G_N_ELEMENTS(stretches); i++)
        assert_int_equal(cst_blob_copy(blob, stretches[i].from, blob, stretches[i].to, 4 * K,
                                       CST_COPY_NO_SHARE, NULL, NULL),
                         stretches[i].good);
    assert_true(cst_blob_copy(blob, ROOM, blob, 0, 0, 0, NULL, NULL));
    assert_false(cst_blob_copy(&pair->src->head, 0, blob, G_MAXINT64, 4 * K, 0, NULL, NULL));
    assert_false(cst_blob_copy(&pair->src->head, 0, blob, UINT64_MAX, 4 * K, 0, NULL, NULL));
    assert_false(cst_blob_copy(blob, ROOM + 1, &pair->src->head, 0, 0, 0, NULL, NULL));
    check_log(pair, "w4096+4096 w0+4096 ");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_long_runs_of_zeroes_are_skipped),
        TEST(granularity_of_holes_can_be_set),
        TEST(a_hole_is_one_step),
        TEST(the_kernel_copies_until_it_refuses),
        TEST(whole_units_are_shared_and_the_rest_is_copied),
        TEST(sharing_is_tried_until_it_is_refused),
        TEST(a_failure_is_no_refusal),
        TEST(a_blob_is_copied_within),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
