/* SPDX-License-Identifier: LGPL-2.1-or-later */
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

/* Sessions and LUNs as blobs, on a target in memory. */

#define HOLE (CST_EXTENT_HOLE | CST_EXTENT_ZERO)

static CstIscsi *session;

static gboolean lend(gpointer data, CstChap *ret_chap, GError **error)
{
    ret_chap->user = g_strdup("me");
    return cst_secret_bytes_copy(&ret_chap->password, "right", 5, error);
}

static CstIscsi *new_session(guint timeout_ms)
{
    static const char *const portals[] = {"10.0.0.1:3260", "10.0.0.2:3260", NULL};
    const CstIscsiTarget target = {.target = "iqn.t",
                                   .initiator = "iqn.i",
                                   .portals = portals,
                                   .timeout_ms = timeout_ms,
                                   .chap = lend};

    return cst_iscsi_new(&target);
}

static int set_up(void **state)
{
    fake_reset();
    session = new_session(10000);
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
    g_autoptr(GError) error = NULL;

    cst_iscsi_look(session, &lun, 1, &error);
    assert_null(error);
    assert_null(lun.error);
    assert_true(lun.exists);
    return cst_blob_iscsi_new(session, &lun, "lun", TRUE, NULL, NULL);
}

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

static size_t some(GRand *rand, uint64_t most)
{
    size_t len = (size_t)g_rand_int_range(rand, 1, 300000);

    return MIN(len, most);
}

static void test_write_at_any_offset_reads_back(void **state)
{
    const uint32_t sizes[] = {512, 4096, 65536};

    for (guint s = 0; s < G_N_ELEMENTS(sizes); s++) {
        uint64_t size = 2 * CST_MIB;
        FakeUnit *unit = fake_unit(1, size / sizes[s], sizes[s], FALSE);
        g_autoptr(CstBlob) blob = open_lun(1);
        g_autofree uint8_t *model = g_malloc0(size), *buf = g_malloc(size);
        g_autoptr(GRand) rand = g_rand_new_with_seed(7);

        for (guint i = 0; i < 200; i++) {
            uint32_t step = g_rand_boolean(rand) ? sizes[s] : 1;
            uint64_t at = (uint64_t)g_rand_int_range(rand, 0, (gint32)(size / step)) * step;
            size_t len = some(rand, size - at) / step * step;

            memset(buf, i % 5 ? (int)i : 0, len);
            assert_true(i % 7 == 0 ? cst_blob_zero(blob, at, len, 0, NULL)
                                   : cst_blob_pwrite(blob, buf, len, at, NULL));
            memset(model + at, i % 7 && i % 5 ? (int)i : 0, len);
            at = (uint64_t)g_rand_int_range(rand, 0, (gint32)size);
            len = some(rand, size - at);
            assert_true(cst_blob_pread(blob, buf, len, at, NULL));
            assert_memory_equal(buf, model + at, len);
        }
        assert_memory_equal(unit->data, model, size);
    }
}

typedef struct {
    CstBlob *blob;
    guint number;
} Writer;

/* Every eighth byte is this writer's. */
static gpointer write_bytes(gpointer data)
{
    Writer *writer = data;
    const uint8_t byte = (uint8_t)(writer->number + 1);

    for (uint64_t at = writer->number; at < 4096; at += 8)
        assert_true(cst_blob_pwrite(writer->blob, &byte, 1, at, NULL));
    return NULL;
}

static void test_concurrent_writers_of_one_block_keep_all_bytes(void **state)
{
    FakeUnit *unit = fake_unit(1, 64, 4096, FALSE);
    g_autoptr(CstBlob) blob = open_lun(1);
    Writer writers[8];
    GThread *threads[8];

    for (guint i = 0; i < 8; i++) {
        writers[i] = (Writer){blob, i};
        threads[i] = g_thread_new(NULL, write_bytes, &writers[i]);
    }
    for (guint i = 0; i < 8; i++)
        g_thread_join(threads[i]);
    for (guint i = 0; i < 4096; i++)
        assert_int_equal(unit->data[i], i % 8 + 1);
}

static void test_a_long_read_is_many_commands_at_a_time(void **state)
{
    g_autofree uint8_t *buf = g_malloc(8 * CST_MIB);
    g_autoptr(CstBlob) blob = NULL;

    fake_unit(1, 32768, 512, FALSE);
    blob = open_lun(1);
    fake.most = 0;
    assert_true(cst_blob_pread(blob, buf, 8 * CST_MIB, 0, NULL));
    assert_true(fake.most >= 8);
}

static void test_zeroes_and_released_space(void **state)
{
    FakeUnit *unit = fake_unit(1, 16384, 512, TRUE);
    g_autoptr(CstBlob) blob = open_lun(1);
    g_autofree uint8_t *buf = g_malloc(CST_MIB);
    CstExtent extent;

    memset(buf, 'x', CST_MIB);
    assert_true(cst_blob_pwrite(blob, buf, CST_MIB, CST_MIB, NULL));
    assert_true(cst_blob_extent(blob, 0, 8 * CST_MIB, &extent, NULL));
    assert_int_equal(extent.flags, HOLE);
    assert_int_equal(extent.length, CST_MIB);
    assert_true(cst_blob_extent(blob, CST_MIB + 100, 8 * CST_MIB - CST_MIB - 100, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_DATA);
    assert_int_equal(extent.length, CST_MIB - 100);
    /* Without leave to release, zeroes keep their space; they go out as one block. */
    memset(buf, 0, CST_MIB);
    fake.commands[0x8a] = 0;
    assert_true(cst_blob_pwrite(blob, buf, CST_MIB, CST_MIB, NULL));
    assert_int_equal(fake.commands[0x8a], 0);
    assert_int_equal(fake.commands[0x93], 1);
    assert_true(unit->mapped[2048]);
    assert_true(cst_blob_zero(blob, CST_MIB, CST_MIB, CST_ZERO_MAY_UNMAP | CST_ZERO_FAST, NULL));
    assert_false(unit->mapped[2048]);
    assert_true(cst_blob_extent(blob, 0, 8 * CST_MIB, &extent, NULL));
    assert_int_equal(extent.length, 8 * CST_MIB);
    unit->mapped[3] = 1;
    assert_true(cst_blob_discard(blob, 512, 4096, NULL));
    assert_int_equal(fake.commands[0x42], 1);
    assert_false(unit->mapped[3]);
    /* A flush in this session covers its earlier commands. */
    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(fake.commands[0x91], 1);
}

static void test_a_target_without_write_same(void **state)
{
    FakeUnit *unit = fake_unit(1, 1024, 512, FALSE);
    g_autoptr(CstBlob) blob = open_lun(1);
    g_autofree uint8_t *buf = g_malloc0(256 * CST_KIB);

    memset(unit->data, 'x', 1024 * 512);
    fake.refuse = 0x93;
    assert_true(cst_blob_zero(blob, 0, 256 * CST_KIB, 0, NULL));
    assert_true(cst_blob_pwrite(blob, buf, 256 * CST_KIB, 256 * CST_KIB, NULL));
    assert_int_equal(fake.commands[0x93], 1); /* asked once */
    assert_true(cst_bytes_are_zero(unit->data, 1024 * 512));
}

static void test_lost_connection_continues_at_the_next_portal(void **state)
{
    FakeUnit *unit = fake_unit(1, 16384, 512, FALSE);
    g_autoptr(CstBlob) blob = open_lun(1);
    g_autofree uint8_t *buf = g_malloc(8 * CST_MIB);

    memset(unit->data, 'y', 8 * CST_MIB);
    assert_string_equal(fake.portal, "10.0.0.1:3260");
    fake.lose_after = 3;
    assert_true(cst_blob_pread(blob, buf, 8 * CST_MIB, 0, NULL));
    assert_memory_equal(buf, unit->data, 8 * CST_MIB);
    assert_string_equal(fake.portal, "10.0.0.2:3260");
    assert_int_equal(fake.logins, 2);
}

static void test_a_portal_that_is_away(void **state)
{
    g_autoptr(GError) error = NULL;

    fake.away = "10.0.0.1:3260";
    assert_true(cst_iscsi_connect(session, NULL));
    assert_string_equal(fake.portal, "10.0.0.2:3260");
    cst_iscsi_disconnect(session);
    assert_int_equal(fake.logouts, 1);
}

/* libiscsi gets addresses only. */
static void test_portals_have_names(void **state)
{
    static const char *const portals[] = {"no-such-host.invalid:3260", "localhost:77", NULL};
    const CstIscsiTarget target = {
        .target = "iqn.t", .initiator = "iqn.i", .portals = portals, .timeout_ms = 5000};
    CstIscsi *named = cst_iscsi_new(&target);

    assert_true(cst_iscsi_connect(named, NULL));
    assert_true(strcmp(fake.portal, "127.0.0.1:77") == 0 || strcmp(fake.portal, "[::1]:77") == 0);
    cst_iscsi_free(named);
    assert_int_equal(fake.logouts, 1);
}

static void test_silence_ends_and_so_does_its_end(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) blob = NULL;
    char byte;

    cst_iscsi_free(session);
    session = new_session(200);
    fake_unit(1, 64, 512, FALSE);
    blob = open_lun(1);
    fake.silent = TRUE;
    assert_false(cst_blob_pread(blob, &byte, 1, 0, &error));
    assert_code(error, CST_ERROR_UNREACHABLE);
    assert_true(fake.pings > 0);
    g_clear_error(&error);
    fake.silent = FALSE;
    assert_true(cst_blob_pread(blob, &byte, 1, 0, NULL));
    fake.deaf = TRUE;
    cst_iscsi_disconnect(session);
    assert_false(cst_blob_pread(blob, &byte, 1, 0, &error));
    assert_code(error, CST_ERROR_UNREACHABLE);
}

static void test_unit_attention_triggers_a_new_verification(void **state)
{
    const uint8_t byte = 'z';
    FakeUnit *unit = fake_unit(1, 64, 512, FALSE);
    g_autoptr(CstBlob) blob = open_lun(1);
    g_autoptr(GError) error = NULL;

    assert_true(cst_blob_pwrite(blob, &byte, 1, 0, NULL));
    fake.attention = 0x2900;
    assert_true(cst_blob_pwrite(blob, &byte, 1, 1, NULL));
    assert_int_equal(unit->data[1], 'z');
    /* Larger is as well; another one is not written to. */
    unit = fake_unit(1, 128, 512, FALSE);
    fake.attention = 0x2a09;
    assert_true(cst_blob_pwrite(blob, &byte, 1, 2, NULL));
    unit->serial = 'Z';
    fake.attention = 0x3f0e;
    fake.commands[0x8a] = 0;
    assert_false(cst_blob_pwrite(blob, &byte, 1, 3, &error));
    assert_code(error, CST_ERROR_STATE);
    assert_int_equal(unit->data[3], 0);
    assert_int_equal(fake.commands[0x8a], 0);
    g_clear_error(&error);
    /* The same after a login, which needs no unit attention. */
    unit = fake_unit(1, 128, 512, FALSE);
    assert_true(cst_blob_pwrite(blob, &byte, 1, 3, NULL));
    unit->serial = 'Z';
    cst_iscsi_disconnect(session);
    assert_false(cst_blob_pwrite(blob, &byte, 1, 4, &error));
    assert_code(error, CST_ERROR_STATE);
    assert_int_equal(unit->data[4], 0);
}

static void let_time_pass(gint64 us)
{
    gint64 end = g_get_monotonic_time() + us;

    while (g_get_monotonic_time() < end)
        g_thread_yield();
}

/* As with tgt: the unit that replaced the old one reports no unit attention. */
static void test_attention_that_only_other_luns_draw(void **state)
{
    const uint8_t byte = 'z';
    FakeUnit *unit = fake_unit(1, 64, 512, FALSE);
    g_autoptr(CstBlob) blob = open_lun(1);
    g_autoptr(GError) error = NULL;

    assert_true(cst_blob_pwrite(blob, &byte, 1, 0, NULL));
    unit = fake_unit(1, 64, 512, FALSE);
    unit->serial = 'Z';
    fake.attention = 0x3f0e;
    fake.elsewhere = TRUE;
    let_time_pass(3 * G_TIME_SPAN_MILLISECOND); /* as long as a script needs for the exchange */
    assert_false(cst_blob_pwrite(blob, &byte, 1, 0, &error));
    assert_code(error, CST_ERROR_STATE);
    assert_int_equal(unit->data[0], 0);
}

static void test_chap_is_asked_for_and_wiped(void **state)
{
    g_autoptr(GError) error = NULL;

    fake.password = "right";
    assert_true(cst_iscsi_connect(session, NULL));
    assert_true(fake.wiped);
    cst_iscsi_disconnect(session);
    fake.password = "other";
    assert_false(cst_iscsi_connect(session, &error));
    assert_code(error, CST_ERROR_DENIED);
}

static void test_target_that_admits_without_chap_is_refused(void **state)
{
    g_autoptr(GError) error = NULL;

    fake.admits_all = TRUE;
    assert_false(cst_iscsi_connect(session, &error));
    assert_code(error, CST_ERROR_DENIED);
    assert_non_null(strstr(error->message, "it admits initiators without CHAP"));
    fake.admits_all = FALSE;
    assert_true(cst_iscsi_connect(session, NULL));
}

static void test_errors_of_the_target(void **state)
{
    static const struct {
        uint8_t key;
        uint16_t ascq;
        CstErrorCode code;
    } rows[] = {{7, 0x2707, CST_ERROR_NO_SPACE},
                {7, 0x2700, CST_ERROR_READ_ONLY},
                {3, 0x0c00, CST_ERROR_IO},
                {4, 0x4400, CST_ERROR_IO},
                {6, 0x2900, CST_ERROR_IO}}; /* without end */
    const uint8_t byte = 'z';
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(GError) error = NULL;
    char buf[512];

    fake_unit(1, 64, 512, FALSE);
    blob = open_lun(1);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        fake.fail_opcode = 0x8a;
        fake.key = rows[i].key;
        fake.ascq = rows[i].ascq;
        assert_false(cst_blob_pwrite(blob, &byte, 1, 0, &error));
        assert_code(error, rows[i].code);
        g_clear_error(&error);
    }
    fake.shorten = 1;
    assert_false(cst_blob_pread(blob, buf, sizeof(buf), 0, &error));
    assert_code(error, CST_ERROR_IO);
    g_clear_error(&error);
    assert_false(cst_blob_pwrite(blob, &byte, 1, 64 * 512, &error));
    assert_code(error, CST_ERROR_NO_SPACE);
}

static void test_luns_report_their_number_and_size(void **state)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    g_auto(CstIscsiLun) lun = {.lun = 2};
    g_auto(CstIscsiLun) none = {.lun = 3};
    FakeUnit *unit;

    fake_unit(0, 64, 512, FALSE);
    unit = fake_unit(2, 1000, 4096, TRUE);
    memset(unit->mapped + 10, 1, 5);
    unit->mapped[999] = 1;
    assert_true(cst_iscsi_list_luns(session, numbers, NULL));
    assert_int_equal(numbers->len, 2);
    assert_int_equal(g_array_index(numbers, uint16_t, 1), 2);
    assert_true(cst_iscsi_look(session, &lun, 1, NULL));
    assert_int_equal(lun.unit.blocks, 1000);
    assert_int_equal(lun.allocated, 1000 * 4096);
    assert_true(cst_iscsi_measure(session, &lun, 1, NULL));
    assert_int_equal(lun.allocated, 6 * 4096);
    assert_true(cst_iscsi_look(session, &none, 1, NULL));
    assert_false(none.exists);
}

static void test_discovery(void **state)
{
    static const char *const portals[] = {"10.0.0.1:3260", NULL};
    const CstIscsiTarget target = {.initiator = "iqn.i", .portals = portals, .timeout_ms = 1000};
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    assert_true(cst_iscsi_discover(&target, names, NULL));
    assert_int_equal(names->len, 2);
    assert_string_equal(g_ptr_array_index(names, 0), "iqn.b");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_write_at_any_offset_reads_back),
        TEST(test_concurrent_writers_of_one_block_keep_all_bytes),
        TEST(test_a_long_read_is_many_commands_at_a_time),
        TEST(test_zeroes_and_released_space),
        TEST(test_a_target_without_write_same),
        TEST(test_lost_connection_continues_at_the_next_portal),
        TEST(test_a_portal_that_is_away),
        TEST(test_portals_have_names),
        TEST(test_silence_ends_and_so_does_its_end),
        TEST(test_unit_attention_triggers_a_new_verification),
        TEST(test_attention_that_only_other_luns_draw),
        TEST(test_chap_is_asked_for_and_wiped),
        TEST(test_target_that_admits_without_chap_is_refused),
        TEST(test_errors_of_the_target),
        TEST(test_luns_report_their_number_and_size),
        TEST(test_discovery),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
