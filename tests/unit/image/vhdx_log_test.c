/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The log: its entries count as done, and its errors are found. */
#include <image/image.h>

#include "bytes.h"
#include "vhdx/log.h"
#include "vhdx_images.h"

#define SMALL                                           \
    {                                                   \
        .capacity = 40 * CST_MIB, .block_size = CST_MIB \
    }

static uint64_t summed; /* number of bytes whose checksum was computed */

uint32_t __real_cst_crc32c(uint32_t crc, const void *data, size_t len);
uint32_t __wrap_cst_crc32c(uint32_t crc, const void *data, size_t len);

uint32_t __wrap_cst_crc32c(uint32_t crc, const void *data, size_t len)
{
    summed += len;
    return __real_cst_crc32c(crc, data, len);
}

/* Returns an image after a power cut behind a flush: its table is in the log. */
static CstBlob *make_dirty(void)
{
    const CstImageCreate options = SMALL;
    g_autoptr(CstBlob) blob = make(&options), power = cst_blob_power_new(blob, NULL);
    CstBlob *guest = open_guest(power, CST_IMAGE_WRITE, NULL), *left;

    put(guest, 0, 100, 1);
    put(guest, 20 * CST_MIB + 5, 100, 2);
    assert_true(cst_blob_flush(guest, NULL));
    /* all that may be lost is: the log's changes in their places */
    left = cst_blob_power_crash(power, cst_blob_power_steps(power), 0, NULL);
    cst_blob_unref(guest);
    assert_non_null(left);
    return left;
}

static void assert_content(CstBlob *blob)
{
    g_autoptr(CstBlob) guest = open_guest(blob, 0, NULL);

    assert_byte(guest, 0, 100, 1);
    assert_byte(guest, 20 * CST_MIB + 5, 100, 2);
    assert_byte(guest, 100, CST_MIB, 0);
}

static void a_reader_replays_in_memory(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty(), before = cst_blob_sparse_copy(blob);

    assert_true(is_dirty(blob));
    assert_content(blob);
    assert_clean(blob);
    assert_same_bytes(blob, before);
}

/* A table of 512 MiB and a log: only allocated ranges of the file are read. */
static void a_giant_image_with_a_log_is_read_by_its_holes(void **state)
{
    const CstImageCreate options = {.capacity = 64 * CST_TIB, .block_size = CST_MIB};
    g_autoptr(CstBlob) blob = make(&options), power = cst_blob_power_new(blob, NULL);
    CstBlob *guest = open_guest(power, CST_IMAGE_WRITE, NULL);
    g_autoptr(CstBlob) left = NULL, seen = NULL;
    CstExtent extent;

    put(guest, 50 * CST_TIB, 100, 2);
    assert_true(cst_blob_flush(guest, NULL));
    left = cst_blob_power_crash(power, cst_blob_power_steps(power), 0, NULL);
    cst_blob_unref(guest);
    assert_true(is_dirty(left));
    assert_true(cst_blob_resize(left, 20 * CST_TIB, NULL));
    assert_clean(left);
    seen = open_guest(left, 0, NULL);
    assert_byte(seen, 50 * CST_TIB, 100, 2);
    assert_true(cst_blob_extent(seen, 50 * CST_TIB, CST_MIB, &extent, NULL));
    assert_false(extent.flags & CST_EXTENT_ZERO);
}

static void a_writer_replays_onto_the_file(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty();
    VhdxHeader old = header_of(blob), now;

    cst_image_free(open_image(blob, CST_IMAGE_WRITE, NULL));
    now = header_of(blob);
    assert_false(is_dirty(blob));
    assert_true(now.sequence > old.sequence);
    assert_memory_not_equal(now.file_write, old.file_write, 16);
    assert_memory_equal(now.data_write, old.data_write, 16); /* the guest sees the same */
    assert_content(blob);
    assert_clean(blob);
}

static void put_header(CstBlob *blob, const VhdxHeader *header)
{
    uint8_t head[VHDX_HEADER_LEN];

    vhdx_header_encode(header, head);
    assert_true(cst_blob_pwrite(blob, head, sizeof(head), header->slot * UINT64_C(65536), NULL));
}

/* After all blocks, where another program may have put it. */
static void log_is_read_from_the_offset_in_the_header(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty();
    g_autofree uint8_t *log = g_malloc(CST_MIB);
    VhdxHeader header = header_of(blob);
    uint64_t end = 0;

    assert_true(cst_blob_get_size(blob, &end, NULL));
    end = cst_round_up(end, CST_MIB);
    assert_true(cst_blob_pread(blob, log, CST_MIB, header.log_offset, NULL));
    assert_true(cst_blob_pwrite(blob, log, CST_MIB, end, NULL));
    put(blob, header.log_offset, CST_MIB, 0);
    header.log_offset = end;
    header.sequence++;
    put_header(blob, &header);
    assert_true(is_dirty(blob));
    assert_content(blob);
    cst_image_free(open_image(blob, CST_IMAGE_WRITE, NULL));
    assert_false(is_dirty(blob));
    assert_content(blob);
}

/*
 * A log is not replayed if it is not a multiple of the unit, or not completely in the file after
 * the headers.
 */
static void a_log_in_a_bad_place_is_not_replayed(void **state)
{
    static const struct {
        uint64_t offset; /* 0: where it is */
        uint32_t length;
    } bad[] = {{CST_MIB / 2, CST_MIB}, {CST_MIB + 4096, CST_MIB}, {0, 0},
               {0, CST_MIB / 2},       {0, CST_MIB + 4096},       {0, 512 * CST_MIB},
               {CST_TIB, CST_MIB}};
    g_autoptr(CstBlob) good = make_dirty();

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = cst_blob_sparse_copy(good), before = NULL;
        VhdxHeader header = header_of(blob);
        g_autoptr(GError) error = NULL;

        header.log_offset = bad[i].offset ? bad[i].offset : header.log_offset;
        header.log_length = bad[i].length;
        put_header(blob, &header);
        before = cst_blob_sparse_copy(blob);
        assert_null(cst_image_open(blob, vhdx(), CST_IMAGE_WRITE, NULL, &error));
        assert_int_equal(error->code, CST_ERROR_CORRUPT);
        assert_same_bytes(blob, before);
    }
}

static void a_repair_replays_too(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty();

    check_image(blob, CST_CHECK_REPAIR_LEAKS);
    assert_false(is_dirty(blob));
    assert_content(blob);
}

/* Replaying may be interrupted at any point, and is then done again. */
static void power_cut_during_replay_keeps_the_content(void **state)
{
    g_autoptr(CstBlob) blob = make_dirty(), power = cst_blob_power_new(blob, NULL);

    cst_image_free(open_image(power, CST_IMAGE_WRITE, NULL));
    assert_true(cst_blob_power_steps(power) > 4);
    for (unsigned steps = 0; steps <= cst_blob_power_steps(power); steps++) {
        for (uint32_t seed = 0; seed < 12; seed++) {
            g_autoptr(CstBlob) left = cst_blob_power_crash(power, steps, seed, NULL);

            assert_content(left);
            cst_image_free(open_image(left, CST_IMAGE_WRITE, NULL));
            assert_content(left);
        }
    }
}

/* Blocks whose entries are in three sectors of the table, with 512 entries each. */
static const uint64_t far_blocks[] = {3 * CST_MIB, 700 * CST_MIB, 1500 * CST_MIB};

static void write_far_blocks(CstBlob *guest, uint64_t inside, int byte)
{
    for (size_t i = 0; i < G_N_ELEMENTS(far_blocks); i++)
        put(guest, far_blocks[i] + inside, 100, byte);
    assert_true(cst_blob_flush(guest, NULL));
}

/* Each of them is zero or @byte; @done: they are @byte. */
static void assert_far_blocks(CstBlob *blob, uint64_t inside, int byte, gboolean done)
{
    g_autoptr(CstBlob) guest = open_guest(blob, 0, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(far_blocks); i++) {
        uint8_t seen = 0;

        assert_true(cst_blob_pread(guest, &seen, 1, far_blocks[i] + inside, NULL));
        assert_true(seen == byte || (seen == 0 && !done));
        assert_byte(guest, far_blocks[i] + inside, 100, seen);
    }
}

static void assert_one_entry_has_all(CstBlob *blob)
{
    uint8_t raw[64];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), header_of(blob).log_offset, NULL));
    assert_memory_equal(raw, "loge", 4);
    assert_int_equal(cst_le32(raw + 24), G_N_ELEMENTS(far_blocks)); /* descriptors */
}

/* The sectors get to their places one by one, by themselves or from the log. */
static void changes_in_several_sectors_of_the_table_are_one(void **state)
{
    const CstImageCreate options = {.capacity = 2 * CST_GIB, .block_size = CST_MIB};
    g_autoptr(CstBlob) blob = make(&options), power = cst_blob_power_new(blob, NULL);
    CstBlob *guest = open_guest(power, CST_IMAGE_WRITE, NULL);
    unsigned first, second;

    write_far_blocks(guest, 8, 1);
    first = cst_blob_power_steps(power);
    assert_one_entry_has_all(blob);
    write_far_blocks(guest, CST_MIB + 8, 2);
    second = cst_blob_power_steps(power);
    cst_blob_unref(guest);
    for (unsigned steps = 1; steps <= cst_blob_power_steps(power); steps++) {
        for (unsigned step = cst_blob_power_covered(power, steps); step < steps; step++) {
            for (int alone = 0; alone < 2; alone++) {
                g_autoptr(CstBlob) left =
                    cst_blob_power_crash_one(power, steps, step, alone, FALSE, NULL);

                assert_far_blocks(left, 8, 1, steps >= first);
                assert_far_blocks(left, CST_MIB + 8, 2, steps >= second);
                assert_int_equal(check_image(left, 0).errors, 0);
            }
        }
    }
}

/* Two sectors an entry, 256 in the ring. */
static void log_ring_wraps_around(void **state)
{
    const CstImageCreate options = {.capacity = CST_GIB, .block_size = CST_MIB};
    g_autoptr(CstBlob) blob = make(&options), power = cst_blob_power_new(blob, NULL);
    g_autoptr(CstBlob) guest = open_guest(power, CST_IMAGE_WRITE, NULL);

    for (unsigned i = 0; i < 300; i++) {
        put(guest, i * CST_MIB, 100, (int)(i % 255) + 1);
        assert_true(cst_blob_flush(guest, NULL));
        if (i % 37 == 0 || (i > 120 && i < 132)) {
            g_autoptr(CstBlob) left =
                cst_blob_power_crash(power, cst_blob_power_steps(power), 0, NULL);
            g_autoptr(CstBlob) seen = open_guest(left, 0, NULL);

            assert_byte(seen, i * CST_MIB, 100, (int)(i % 255) + 1);
            assert_byte(seen, (i + 1) * CST_MIB, 100, 0);
            assert_clean(left);
        }
    }
}

/* More than the cache holds of the table's sectors, each with the entries of 512 blocks. */
static void read_much_of_the_table(CstBlob *guest)
{
    for (uint64_t i = 1; i <= 1100; i++)
        assert_byte(guest, i * 512 * CST_MIB, 1, 0);
}

/*
 * A write of a flush fails: the write of the log's entry, or of the sector after it. A sector that
 * is only in the log survives its eviction from the cache. The next flush writes it to its place.
 */
static void evicted_sector_is_read_from_the_log(void **state)
{
    const CstImageCreate options = {.capacity = CST_TIB, .block_size = CST_MIB};
    unsigned failures = 0;

    for (gboolean failed = TRUE; failed; failures += failed) {
        g_autoptr(CstBlob) blob = make(&options), fault = cst_blob_fault_new(blob);
        CstBlob *guest = open_guest(fault, CST_IMAGE_WRITE, NULL);

        put(guest, 0, 100, 1);
        assert_true(cst_blob_flush(guest, NULL));
        put(guest, CST_MIB, 100, 2);
        cst_blob_fault_arm(fault, CST_FAULT_WRITE, failures + 1, CST_FAULT_ONCE);
        failed = !cst_blob_flush(guest, NULL);
        read_much_of_the_table(guest);
        assert_byte(guest, 0, 100, 1);
        assert_byte(guest, CST_MIB, 100, 2);
        cst_blob_fault_arm(fault, CST_FAULT_WRITE, 0, CST_FAULT_ONCE);
        assert_true(cst_blob_flush(guest, NULL));
        cst_blob_unref(guest);
        assert_clean(blob);
        guest = open_guest(blob, 0, NULL);
        assert_byte(guest, 0, 100, 1);
        assert_byte(guest, CST_MIB, 100, 2);
        cst_blob_unref(guest);
    }
    assert_int_equal(failures, 2);
}

static void log_is_not_used_without_barriers(void **state)
{
    const CstImageCreate options = SMALL;
    g_autoptr(CstBlob) blob = make(&options);
    g_autoptr(CstBlob) guest = open_guest(blob, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL);

    put(guest, 0, 20 * CST_MIB, 1);
    assert_true(cst_blob_flush(guest, NULL));
    assert_false(is_dirty(blob));
    assert_byte(blob, CST_MIB, CST_MIB, 0);
}

/*
 * --- errors of a log ----------------------------------------------------------------------------
 */

static void assert_refused(CstBlob *blob, CstErrorCode code)
{
    static const unsigned flags[] = {0, CST_IMAGE_WRITE};

    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(cst_image_open(blob, vhdx(), flags[i], NULL, &error));
        assert_true(g_error_matches(error, CST_ERROR, code));
    }
}

enum { LOG_AT = 1024 * 1024 };

/* An entry with @count zero descriptors that are not validated. */
typedef struct {
    uint64_t offset, length;
} Zero;

static CstBlob *make_log(const Zero *zeroes, unsigned count, uint64_t flushed, uint64_t last)
{
    const CstImageCreate options = SMALL;
    CstBlob *blob = make(&options);
    size_t len = (64 + count * 32 + 4095) / 4096 * 4096;
    g_autofree uint8_t *raw = g_malloc0(len);
    VhdxHeader header = header_of(blob);
    uint8_t head[VHDX_HEADER_LEN];

    memset(header.log_guid, 7, 16);
    header.sequence++;
    vhdx_header_encode(&header, head);
    vhdx_put_signature(raw, "loge");
    cst_put_le32(raw + 8, (uint32_t)len);
    cst_put_le64(raw + 16, 5);
    cst_put_le32(raw + 24, count);
    memset(raw + 32, 7, 16);
    cst_put_le64(raw + 48, flushed);
    cst_put_le64(raw + 56, last);
    for (unsigned i = 0; i < count; i++) {
        vhdx_put_signature(raw + 64 + i * 32, "zero");
        cst_put_le64(raw + 72 + i * 32, zeroes[i].length);
        cst_put_le64(raw + 80 + i * 32, zeroes[i].offset);
        cst_put_le64(raw + 88 + i * 32, 5);
    }
    vhdx_checksum_set(raw, len);
    assert_true(cst_blob_pwrite(blob, raw, len, LOG_AT, NULL));
    assert_true(cst_blob_pwrite(blob, head, sizeof(head), header.slot * UINT64_C(65536), NULL));
    return blob;
}

static void zeroes_of_a_log_replace_older_content(void **state)
{
    const Zero zero = {5 * CST_MIB, 3 * CST_MIB};
    g_autoptr(CstBlob) blob = make_log(&zero, 1, 4 * CST_MIB, 10 * CST_MIB);
    uint64_t size = 0;

    put(blob, 4 * CST_MIB, 5 * CST_MIB, 9);
    cst_image_free(open_image(blob, 0, NULL));
    cst_image_free(open_image(blob, CST_IMAGE_WRITE, NULL));
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, 10 * CST_MIB);
    assert_byte(blob, 4 * CST_MIB, CST_MIB, 9);
    assert_byte(blob, 5 * CST_MIB, 3 * CST_MIB, 0);
    assert_byte(blob, 8 * CST_MIB, CST_MIB, 9);
}

static void log_that_writes_to_headers_or_itself_or_out_of_bounds_is_refused(void **state)
{
    static const Zero bad[] = {{0, 4096},
                               {65536, 4096},
                               {131072, 65536},
                               {CST_MIB, 4096},
                               {900 * CST_KIB, 4 * CST_MIB},
                               {UINT64_MAX - 4095, 4096},
                               {4 * CST_MIB, UINT64_MAX - 4095},
                               {UINT64_C(1) << 60, 4096}};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = make_log(&bad[i], 1, CST_MIB, CST_MIB);

        assert_refused(blob, CST_ERROR_CORRUPT);
    }
}

static void a_file_cut_off_or_of_absurd_size_is_refused(void **state)
{
    const Zero zero = {4 * CST_MIB, 4096};
    g_autoptr(CstBlob) cut = make_log(&zero, 1, 400 * CST_MIB, 400 * CST_MIB);
    g_autoptr(CstBlob) absurd = make_log(&zero, 1, CST_MIB, UINT64_C(1) << 62);

    assert_refused(cut, CST_ERROR_CORRUPT);
    assert_refused(absurd, CST_ERROR_CORRUPT);
}

static void a_dirty_image_without_a_valid_entry_is_refused(void **state)
{
    static const unsigned places[] = {0, 5, 9, 13, 17, 25, 33, 64, 70, 4095};

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        const Zero zero = {4 * CST_MIB, 4096};
        g_autoptr(CstBlob) blob = make_log(&zero, 1, CST_MIB, CST_MIB);
        uint8_t byte = 0;

        assert_true(cst_blob_pread(blob, &byte, 1, LOG_AT + places[i], NULL));
        byte ^= 0x55;
        assert_true(cst_blob_pwrite(blob, &byte, 1, LOG_AT + places[i], NULL));
        assert_refused(blob, CST_ERROR_CORRUPT);
    }
}

/*
 * Entries whose tail is missing, each a step further. The checksum of an entry is computed once,
 * not for each pair.
 */
static void a_log_full_of_entries_without_a_start_sums_each_once(void **state)
{
    const Zero zero = {4 * CST_MIB, 4096};
    g_autoptr(CstBlob) blob = make_log(&zero, 1, CST_MIB, CST_MIB);
    uint8_t raw[4096];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), LOG_AT, NULL));
    for (unsigned i = 0; i < 255; i++) {
        cst_put_le32(raw + 12, 255 * 4096);
        cst_put_le64(raw + 16, 100 + i);
        cst_put_le64(raw + 88, 100 + i);
        vhdx_checksum_set(raw, sizeof(raw));
        assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), LOG_AT + i * 4096, NULL));
    }
    summed = 0;
    assert_refused(blob, CST_ERROR_CORRUPT);
    /* The log, and the headers of the image, for each of two opens. */
    assert_in_range(summed, 2 * 255 * 4096, 2 * 2 * CST_MIB);
}

static void too_many_descriptors_are_refused(void **state)
{
    enum { COUNT = 32000 };
    g_autofree Zero *zeroes = g_new(Zero, COUNT);
    g_autoptr(CstBlob) blob = NULL;

    /* as many as the log has room for: legal, and bounded */
    for (unsigned i = 0; i < COUNT; i++)
        zeroes[i] = (Zero){4 * CST_MIB + i * 8192, 4096};
    blob = make_log(zeroes, COUNT, CST_MIB, CST_MIB);
    cst_image_free(open_image(blob, 0, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_replays_in_memory),
        cmocka_unit_test(a_giant_image_with_a_log_is_read_by_its_holes),
        cmocka_unit_test(a_writer_replays_onto_the_file),
        cmocka_unit_test(log_is_read_from_the_offset_in_the_header),
        cmocka_unit_test(a_log_in_a_bad_place_is_not_replayed),
        cmocka_unit_test(a_repair_replays_too),
        cmocka_unit_test(power_cut_during_replay_keeps_the_content),
        cmocka_unit_test(changes_in_several_sectors_of_the_table_are_one),
        cmocka_unit_test(log_ring_wraps_around),
        cmocka_unit_test(evicted_sector_is_read_from_the_log),
        cmocka_unit_test(log_is_not_used_without_barriers),
        cmocka_unit_test(zeroes_of_a_log_replace_older_content),
        cmocka_unit_test(log_that_writes_to_headers_or_itself_or_out_of_bounds_is_refused),
        cmocka_unit_test(a_file_cut_off_or_of_absurd_size_is_refused),
        cmocka_unit_test(a_dirty_image_without_a_valid_entry_is_refused),
        cmocka_unit_test(a_log_full_of_entries_without_a_start_sums_each_once),
        cmocka_unit_test(too_many_descriptors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
