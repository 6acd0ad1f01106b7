/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The footer and the dynamic header of a VHD image at their limits: the last valid value of each
 * field is read, and the next one is damage with a message.
 */
#include <blob/sparse.h>

#include "vpc/header.h"
#include "vpc_images.h"

enum { FOOTER, HEADER }; /* where a field is */

enum { DATA_OFFSET = 16, CAPACITY = 48, KIND = 60, TABLE_OFFSET = 16, ENTRIES = 28, UNIT = 32 };

typedef struct {
    int where;
    unsigned at, bytes;
    uint64_t value;
} Field;

/** A field at its limit; @other fields put first, where the limit depends on them. */
typedef struct {
    Field field;
    uint64_t bad;
    const char *problem;
    Field other[3];
} Limit;

/* Bytes of five_blocks(): the structures before the blocks, the blocks, and the footer. */
enum { END = FIRST + 5 * STRIDE + 512 };

static const Limit limits[] = {
    {{FOOTER, KIND, 4, VPC_DYNAMIC}, VPC_DIFFERENCING + 1, "bad type", {{0}}},
    {{FOOTER, KIND, 4, VPC_DYNAMIC}, VPC_FIXED - 1, "bad type", {{0}}},
    {{FOOTER, DATA_OFFSET, 8, 512}, 513, "dynamic header of the VHD image is missing", {{0}}},
    {{HEADER, UNIT, 4, BLOCK}, BLOCK + 512, "bad block size", {{0}}},
    {{HEADER, UNIT, 4, 512}, 256, "bad block size", {{FOOTER, CAPACITY, 8, 512}}},
    {{FOOTER, CAPACITY, 8, SIZE}, SIZE + 512, "table is too small", {{0}}},
    {{HEADER, ENTRIES, 4, 5}, 4, "table is too small", {{0}}},
    /* With blocks of 2 GiB a short table covers more than the maximum capacity. */
    {{FOOTER, CAPACITY, 8, VPC_MAX_CAPACITY},
     VPC_MAX_CAPACITY + 512,
     "bad size",
     {{HEADER, UNIT, 4, 0x80000000}, {HEADER, ENTRIES, 4, 1024}, {HEADER, TABLE_OFFSET, 8, FIRST}}},
    {{HEADER, TABLE_OFFSET, 8, END - 20}, END - 19, "lies outside the file", {{0}}},
    {{HEADER, TABLE_OFFSET, 8, END - 20}, UINT64_MAX, "lies outside the file", {{0}}},
    /* A table without entries takes no space. */
    {{HEADER, TABLE_OFFSET, 8, END},
     END + 1,
     "lies outside the file",
     {{FOOTER, CAPACITY, 8, 0}, {HEADER, ENTRIES, 4, 0}}},
    {{HEADER, TABLE_OFFSET, 8, 600},
     UINT64_MAX,
     "lies outside the file",
     {{FOOTER, CAPACITY, 8, 0}, {HEADER, ENTRIES, 4, 0}}},
    {{HEADER, TABLE_OFFSET, 8, TABLE}, TABLE - 1, "parts of the VHD image overlap", {{0}}},
    {{HEADER, TABLE_OFFSET, 8, TABLE}, 512 - 19, "parts of the VHD image overlap", {{0}}},
};

static void set(CstBlob *blob, const Field *field, uint64_t value)
{
    uint8_t raw[8];

    if (field->bytes == 8)
        cst_put_be64(raw, value);
    else
        cst_put_be32(raw, (uint32_t)value);
    if (field->where == FOOTER)
        put_footers(blob, field->at, raw, field->bytes);
    else
        put(blob, 512 + field->at, raw, field->bytes);
    sign_all(blob);
}

static void assert_problem(CstBlob *blob, const char *problem)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, vpc(), &info, NULL));
    assert_int_equal(info.corrupt, problem != NULL);
    if ((problem != NULL) != (info.problem != NULL) || (problem && !strstr(info.problem, problem)))
        fail_msg("%s, not %s", info.problem ? info.problem : "no problem",
                 problem ? problem : "none");
}

static void last_valid_vpc_value_is_read_and_the_next_is_damage(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        const Limit *limit = &limits[i];
        g_autoptr(CstBlob) blob = five_blocks();

        for (size_t j = 0; j < G_N_ELEMENTS(limit->other); j++)
            if (limit->other[j].bytes)
                set(blob, &limit->other[j], limit->other[j].value);
        set(blob, &limit->field, limit->field.value);
        assert_problem(blob, NULL);
        set(blob, &limit->field, limit->bad);
        assert_problem(blob, limit->problem);
    }
}

static void a_table_may_end_where_the_header_begins(void **state)
{
    static const Field data_offset = {FOOTER, DATA_OFFSET, 8, FIRST};

    for (uint64_t table = FIRST - 20; table <= FIRST - 19; table++) {
        g_autoptr(CstBlob) blob = five_blocks();
        uint8_t header[1024], raw[8];

        assert_true(cst_blob_pread(blob, header, sizeof(header), 512, NULL));
        cst_put_be64(raw, table);
        memcpy(header + TABLE_OFFSET, raw, sizeof(raw));
        put(blob, FIRST, header, sizeof(header));
        sign(blob, FIRST, sizeof(header), 36);
        set(blob, &data_offset, FIRST);
        assert_problem(blob, table + 20 == FIRST ? NULL : "parts of the VHD image overlap");
    }
}

/* The same for the bytes of a file that are a footer, and for the footer's checksum. */
static void incomplete_or_unsigned_footer_is_ignored(void **state)
{
    static const uint8_t none[512];
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) tiny = cst_blob_sparse_new(0);
    uint8_t footer[512];

    assert_true(cst_blob_pread(blob, footer, sizeof(footer), 0, NULL));
    put(tiny, 0, footer, sizeof(footer) - 1);
    assert_problem(tiny, "it has no footer");
    put(blob, 0, none, sizeof(none));
    assert_problem(blob, NULL); /* one is enough */
    put(blob, END - 512 + 100, "x", 1);
    assert_problem(blob, "checksum of the VHD image's footer is wrong");
    put(blob, END - 512, none, sizeof(none));
    assert_problem(blob, "it has no footer");
}

static void a_fixed_disk_ends_with_its_footer(void **state)
{
    g_autoptr(CstBlob) blob = make(&(CstImageCreate){.capacity = CST_MIB, .subformat = "fixed"});
    g_autoptr(CstBlob) nothing = cst_blob_sparse_new(0);
    uint8_t raw[8], footer[512];

    for (uint64_t size = CST_MIB - 512; size <= CST_MIB + 512; size += 512) {
        cst_put_be64(raw, size);
        put(blob, CST_MIB + CAPACITY, raw, sizeof(raw));
        sign(blob, CST_MIB, 512, 64);
        assert_problem(blob, size <= CST_MIB ? NULL : "the fixed VHD image is cut off");
    }
    put(blob, CST_MIB + 100, "x", 1);
    assert_problem(blob, "checksum of the VHD image's footer is wrong");
    cst_put_be64(raw, 0);
    put(blob, CST_MIB + CAPACITY, raw, sizeof(raw));
    sign(blob, CST_MIB, 512, 64);
    assert_true(cst_blob_pread(blob, footer, sizeof(footer), CST_MIB, NULL));
    put(nothing, 0, footer, sizeof(footer));
    assert_problem(nothing, NULL);
}

typedef struct {
    unsigned at, bytes;
    uint64_t value;
} Fact;

static void assert_facts(CstBlob *blob, uint64_t offset, const Fact *facts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t raw[8];
        uint64_t seen;

        assert_true(cst_blob_pread(blob, raw, facts[i].bytes, offset + facts[i].at, NULL));
        seen = facts[i].bytes == 8 ? cst_be64(raw) : cst_be32(raw);
        if (seen != facts[i].value)
            fail_msg("field %u is %" G_GINT64_MODIFIER "x, not %" G_GINT64_MODIFIER "x",
                     facts[i].at, seen, facts[i].value);
    }
}

/* The values that the specification requires, after creation and after a change of the header. */
static void every_field_is_filled_in(void **state)
{
    static const uint64_t sizes[] = {SIZE, 8 * BLOCK};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(CstBlob) blob = create(SIZE);
        const Fact footer[] = {{8, 4, 2},
                               {12, 4, 0x00010000},
                               {DATA_OFFSET, 8, 512},
                               {32, 4, 0x00010000},
                               {36, 4, 0x5769326b},
                               {40, 8, SIZE},
                               {CAPACITY, 8, sizes[i]},
                               {KIND, 4, VPC_DYNAMIC}};
        const Fact header[] = {{0, 8, UINT64_C(0x6378737061727365)},
                               {8, 8, UINT64_MAX},
                               {TABLE_OFFSET, 8, TABLE},
                               {24, 4, 0x00010000},
                               {ENTRIES, 4, (uint32_t)(sizes[i] / BLOCK)},
                               {UNIT, 4, BLOCK}};

        if (sizes[i] != SIZE)
            resize(blob, sizes[i]);
        assert_facts(blob, 0, footer, G_N_ELEMENTS(footer));
        assert_facts(blob, size_of(blob) - 512, footer, G_N_ELEMENTS(footer));
        assert_facts(blob, 512, header, G_N_ELEMENTS(header));
        assert_problem(blob, NULL); /* and the checksums hold */
    }
}

static void a_probe_needs_cookie_and_version(void **state)
{
    uint8_t head[16] = "conectix";

    cst_put_be32(head + 12, 0x00010000);
    assert_int_equal(vpc_probe(head, sizeof(head), CST_MIB), 100);
    assert_int_equal(vpc_probe(head, sizeof(head) - 1, CST_MIB), 0);
    cst_put_be32(head + 12, 0x00020000);
    assert_int_equal(vpc_probe(head, sizeof(head), CST_MIB), 0);
    cst_put_be32(head + 12, 0x00010000);
    head[7] = 'X';
    assert_int_equal(vpc_probe(head, sizeof(head), CST_MIB), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_valid_vpc_value_is_read_and_the_next_is_damage),
        cmocka_unit_test(a_table_may_end_where_the_header_begins),
        cmocka_unit_test(incomplete_or_unsigned_footer_is_ignored),
        cmocka_unit_test(a_fixed_disk_ends_with_its_footer),
        cmocka_unit_test(every_field_is_filled_in),
        cmocka_unit_test(a_probe_needs_cookie_and_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
