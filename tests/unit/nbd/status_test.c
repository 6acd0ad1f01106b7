/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block status with and without known runs, over a blob that counts its queries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>

#include "proto.h"
#include "status.h"

#define CLUSTER 65536U
#define DATA    4096U
#define SIZE    (UINT64_C(1) << 34)

/* Each cluster begins with data, and the rest of it is a hole. */
typedef struct {
    CstBlob base;
    guint queries;
    gboolean filled;     /* all clusters are data */
    gboolean fails;      /* the queries fail */
    NbdStatus *changing; /* changes during the next query; NULL: does not change */
} Stripes;

static gboolean stripes_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    return cst_fail(error, CST_ERROR_INTERNAL, "no content");
}

static gboolean stripes_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = SIZE;
    return TRUE;
}

static gboolean stripes_extent(CstBlob *blob, uint64_t offset, uint64_t length,
                               CstExtent *ret_extent, GError **error)
{
    Stripes *stripes = (Stripes *)blob;
    uint64_t in = offset % CLUSTER;
    gboolean data = in < DATA || stripes->filled;

    stripes->queries++;
    if (stripes->fails)
        return cst_fail(error, CST_ERROR_IO, "no answer");
    *ret_extent = (CstExtent){offset, MIN(length, (in < DATA ? DATA : CLUSTER) - in),
                              data ? CST_EXTENT_DATA : CST_EXTENT_HOLE | CST_EXTENT_ZERO};
    if (stripes->changing) {
        nbd_status_changed(stripes->changing);
        stripes->filled = TRUE;
        nbd_status_changed(g_steal_pointer(&stripes->changing));
    }
    return TRUE;
}

static void stripes_close(CstBlob *blob)
{
}

static const CstBlobOps stripes_ops = {.kind = "stripes",
                                       .pread = stripes_pread,
                                       .get_size = stripes_size,
                                       .close = stripes_close,
                                       .extent = stripes_extent};

typedef struct {
    Stripes stripes;
    NbdStatus status;
} Fixture;

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    cst_blob_init(&f->stripes.base, &stripes_ops, "stripes", FALSE);
    nbd_status_init(&f->status);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;

    nbd_status_clear(&f->status);
    cst_blob_unref(&f->stripes.base);
    g_free(f);
    return 0;
}

/* Returns the payload of a reply. @status NULL: without known runs. */
static GByteArray *payload(Fixture *f, NbdStatus *status, uint64_t from, uint64_t end, gboolean one)
{
    GByteArray *runs = g_byte_array_new();

    g_byte_array_append(runs, (const guint8 *)"\0\0\0\1", 4);
    assert_true(nbd_status_add(status, &f->stripes.base, from, end, one, runs, NULL));
    return runs;
}

/* Compares the reply with the one without known runs. Returns the number of queries for it. */
static guint check_reply(Fixture *f, uint64_t from, uint64_t end, gboolean one)
{
    g_autoptr(GByteArray) expected = payload(f, NULL, from, end, one);
    g_autoptr(GByteArray) runs = NULL;

    f->stripes.queries = 0;
    runs = payload(f, &f->status, from, end, one);
    assert_int_equal(runs->len, expected->len);
    assert_memory_equal(runs->data, expected->data, runs->len);
    return f->stripes.queries;
}

static void known_runs_are_not_queried_again(void **state)
{
    Fixture *f = *state;

    assert_int_equal(check_reply(f, 0, 100 * CLUSTER, FALSE), 200);
    assert_int_equal(check_reply(f, 0, 100 * CLUSTER, FALSE), 0);
    assert_int_equal(check_reply(f, 5 * CLUSTER + 100, 7 * CLUSTER + DATA + 1, FALSE), 0);
    assert_int_equal(check_reply(f, 99 * CLUSTER, 101 * CLUSTER, FALSE), 2);
    assert_int_equal(check_reply(f, 0, 101 * CLUSTER, FALSE), 0);
}

static void one_requested_run_is_complete(void **state)
{
    Fixture *f = *state;

    /* Two queries: the second one shows that the run ends. */
    assert_int_equal(check_reply(f, 0, 10 * CLUSTER, TRUE), 2);
    assert_int_equal(check_reply(f, 0, 10 * CLUSTER, TRUE), 0);
    assert_int_equal(check_reply(f, 0, DATA, TRUE), 0);
    /* The known runs end before the requested one. */
    assert_int_equal(check_reply(f, DATA, 10 * CLUSTER, TRUE), 1);
    f->stripes.filled = TRUE;
    nbd_status_changed(&f->status);
    check_reply(f, 0, CLUSTER, TRUE);
    assert_int_equal(check_reply(f, 0, 10 * CLUSTER, TRUE), 18);
}

static void any_ranges_have_the_runs_of_a_query(void **state)
{
    Fixture *f = *state;
    g_autoptr(GRand) chance = g_rand_new_with_seed(1);

    for (guint i = 0; i < 2000; i++) {
        uint64_t from = g_rand_int_range(chance, 0, 100 * CLUSTER);

        check_reply(f, from, from + (guint)g_rand_int_range(chance, 1, 20 * CLUSTER), i % 4 == 0);
    }
}

static void a_change_forgets_the_runs(void **state)
{
    Fixture *f = *state;

    check_reply(f, 0, 10 * CLUSTER, FALSE);
    nbd_status_changed(&f->status);
    f->stripes.filled = TRUE;
    assert_int_equal(check_reply(f, 0, 10 * CLUSTER, FALSE), 20);
}

static void runs_queried_during_a_change_are_not_kept(void **state)
{
    Fixture *f = *state;
    g_autoptr(GByteArray) during = NULL;

    f->stripes.changing = &f->status;
    during = payload(f, &f->status, DATA, 10 * CLUSTER, FALSE);
    assert_int_equal(nbd_get32(during->data + 8), NBD_STATE_HOLE | NBD_STATE_ZERO);
    assert_int_equal(check_reply(f, DATA, 10 * CLUSTER, FALSE), 19);
}

static void a_failed_query_fails_the_request(void **state)
{
    Fixture *f = *state;
    g_autoptr(GByteArray) runs = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    f->stripes.fails = TRUE;
    assert_false(nbd_status_add(&f->status, &f->stripes.base, 0, CLUSTER, FALSE, runs, &error));
    assert_int_equal(error->code, CST_ERROR_IO);
    f->stripes.fails = FALSE;
    assert_int_equal(check_reply(f, 0, CLUSTER, FALSE), 2);
}

/* A reply has a limit, and the known runs have the same one. */
static void many_runs_are_limited(void **state)
{
    const uint64_t half = (uint64_t)NBD_RUNS_MAX / 2 * CLUSTER;
    Fixture *f = *state;

    assert_int_equal(check_reply(f, 0, half + CLUSTER, FALSE), NBD_RUNS_MAX);
    assert_int_equal(f->status.runs->len, NBD_RUNS_MAX);
    assert_int_equal(check_reply(f, half, half + CLUSTER, FALSE), 2);
    assert_int_equal(f->status.runs->len, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(known_runs_are_not_queried_again),
        TEST(one_requested_run_is_complete),
        TEST(any_ranges_have_the_runs_of_a_query),
        TEST(a_change_forgets_the_runs),
        TEST(runs_queried_during_a_change_are_not_kept),
        TEST(a_failed_query_fails_the_request),
        TEST(many_runs_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
