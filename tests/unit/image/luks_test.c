/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hostile LUKS headers. Readable fields are described, and no value is trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <blob/sparse.h>
#include <image/luks.h>

#include "bytes.h"

enum { SIZE = 64 * 1024, JSON_AT = 4096, HEADER = 16384 };

static CstImageLuks look(const uint8_t *raw, size_t len)
{
    g_autoptr(CstBlob) blob = cst_blob_memory_new(raw, len);
    CstImageLuks luks;

    assert_true(cst_image_inspect_luks(blob, cst_image_format_find("luks", NULL), &luks, NULL));
    assert_true(luks.slot_count <= CST_LUKS_SLOTS);
    return luks;
}

static void put_text(uint8_t *raw, size_t at, const char *text)
{
    g_strlcpy((char *)raw + at, text, HEADER - at);
}

static void make_v1(uint8_t *raw)
{
    memset(raw, 0, SIZE);
    memcpy(raw, "LUKS\xba\xbe\0\1", 8);
    put_text(raw, 8, "aes");
    put_text(raw, 40, "cbc-essiv:sha256");
    put_text(raw, 72, "sha1");
    cst_put_be32(raw + 104, 16);
    cst_put_be32(raw + 108, 16);
    cst_put_be32(raw + 164, 1000);
    put_text(raw, 168, "0b7a");
    for (unsigned i = 0; i < 8; i++)
        cst_put_be32(raw + 208 + (size_t)i * 48, 0xdead);
    cst_put_be32(raw + 208, 0xac71f3);
    cst_put_be32(raw + 208 + 40, 8);
    cst_put_be32(raw + 208 + 44, 4000);
}

static void make_v2(uint8_t *raw, const char *json)
{
    memset(raw, 0, SIZE);
    memcpy(raw, "LUKS\xba\xbe\0\2", 8);
    cst_put_be64(raw + 8, HEADER);
    put_text(raw, 24, "disk");
    put_text(raw, JSON_AT, json);
}

static void a_sound_header_is_described(void **state)
{
    g_autofree uint8_t *raw = g_malloc(SIZE);
    g_auto(CstImageLuks) luks = {0};

    make_v1(raw);
    luks = look(raw, SIZE);
    assert_null(luks.problem);
    assert_int_equal(luks.version, 1);
    assert_string_equal(luks.cipher, "aes");
    assert_int_equal(luks.key_bits, 128);
    assert_string_equal(luks.mode, "cbc");
    assert_string_equal(luks.ivgen, "essiv");
    assert_string_equal(luks.ivgen_hash, "sha256");
    assert_int_equal(luks.payload_offset, 8192);
    assert_int_equal(luks.slot_count, 8);
    assert_int_equal(luks.active_slots, 1);
    assert_int_equal(luks.slots[0].offset, 4096);
}

/* Fills each field in turn with ones: strings without an end, and numbers beyond every bound. */
static void every_field_may_be_hostile(void **state)
{
    g_autofree uint8_t *raw = g_malloc(SIZE);

    for (size_t at = 6; at < 592; at += 2)
        for (size_t len = 2; len <= 40; len += 38) {
            g_auto(CstImageLuks) luks = {0};

            make_v1(raw);
            memset(raw + at, 0xff, len);
            luks = look(raw, SIZE);
            if (at == 6 || (at >= 108 && at < 110))
                assert_non_null(luks.problem);
        }
}

static void truncated_luks_header_is_reported(void **state)
{
    g_autofree uint8_t *raw = g_malloc(SIZE);

    for (size_t len = 0; len < 700; len += 7) {
        g_auto(CstImageLuks) luks = {0};

        make_v1(raw);
        luks = look(raw, len);
        assert_int_equal(luks.problem != NULL, len < 592);
        cst_image_luks_clear(&luks);
        make_v2(raw, "{}");
        luks = look(raw, len);
        assert_non_null(luks.problem);
    }
}

static void hostile_sizes_of_version_2_are_refused(void **state)
{
    static const uint64_t sizes[] = {0, 1, 4096, SIZE + 1, 5 << 20, UINT64_MAX, UINT64_MAX - 4095};
    g_autofree uint8_t *raw = g_malloc(SIZE);

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_auto(CstImageLuks) luks = {0};

        make_v2(raw, "{}");
        cst_put_be64(raw + 8, sizes[i]);
        luks = look(raw, SIZE);
        assert_non_null(luks.problem);
        assert_int_equal(luks.slot_count, 0);
    }
}

static void hostile_json_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "}",
        "[",
        "\"",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "[1,]",
        "[,]",
        "\"\\",
        "{\"a\":\"\\\"}",
        "{}{}",
        "1 1",
        "{\"segments\":{\"0\":{\"offset\":\"99999999999999999999999\"}}}"};
    g_autofree char *deep = g_strnfill(8000, '[');
    g_autofree uint8_t *raw = g_malloc(SIZE);

    for (size_t i = 0; i <= G_N_ELEMENTS(texts); i++) {
        g_auto(CstImageLuks) luks = {0};

        make_v2(raw, i < G_N_ELEMENTS(texts) ? texts[i] : deep);
        luks = look(raw, SIZE);
        if (!luks.problem)
            fail_msg("%s", texts[i]);
    }
}

static void luks_version_2_is_described_from_its_json(void **state)
{
    g_autoptr(GString) json = g_string_new("{ \"keyslots\" : {");
    g_autofree uint8_t *raw = g_malloc(SIZE);
    g_auto(CstImageLuks) luks = {0};

    for (int i = 0; i < 40; i++)
        g_string_append_printf(json, "%s\"%d\":{\"key_size\":64,\"area\":{\"offset\":\"%d\"}}",
                               i ? "," : "", i, i * 1000);
    g_string_append(json, "},\"segments\":{\"0\":{\"offset\":\"32768\",\"encryption\":"
                          "\"aes-xts-plain64\"}},\"digests\":{\"0\":{\"hash\":\"sha256\","
                          "\"keyslots\":[\"0\",null,true,[],{}]}}}\n");
    make_v2(raw, json->str);
    luks = look(raw, SIZE);
    assert_null(luks.problem);
    assert_int_equal(luks.slot_count, CST_LUKS_SLOTS);
    assert_int_equal(luks.slots[31].offset, 31000);
    assert_int_equal(luks.payload_offset, 32768);
    assert_int_equal(luks.key_bits, 256);
    assert_string_equal(luks.label, "disk");
    assert_string_equal(luks.mode, "xts");
    assert_string_equal(luks.hash, "sha256");
}

/* qcow2 gives the header's offset, which may be any number. */
static void luks_header_outside_the_file_is_reported(void **state)
{
    static const uint64_t places[][2] = {{0, 592},          {SIZE, 592}, {UINT64_MAX, 592},
                                         {512, UINT64_MAX}, {512, 0},    {UINT64_MAX - 100, 592}};

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        const CstImageFormat *qcow2 = cst_image_format_find("qcow2", NULL);
        const CstImageCreate options = {.capacity = SIZE};
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
        g_auto(CstImageLuks) luks = {0};
        uint8_t raw[28] = {0};

        assert_true(cst_image_create(blob, qcow2, &options, NULL, NULL));
        cst_put_be32(raw, 2);
        assert_true(cst_blob_pwrite(blob, raw, 4, 32, NULL));
        cst_put_be32(raw, 0x0537be77);
        cst_put_be32(raw + 4, 16);
        cst_put_be64(raw + 8, places[i][0]);
        cst_put_be64(raw + 16, places[i][1]);
        assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), 112, NULL));
        assert_true(cst_image_inspect_luks(blob, qcow2, &luks, NULL));
        assert_int_equal(luks.version, 1);
        assert_non_null(luks.problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_header_is_described),
        cmocka_unit_test(every_field_may_be_hostile),
        cmocka_unit_test(truncated_luks_header_is_reported),
        cmocka_unit_test(hostile_sizes_of_version_2_are_refused),
        cmocka_unit_test(hostile_json_is_refused),
        cmocka_unit_test(luks_version_2_is_described_from_its_json),
        cmocka_unit_test(luks_header_outside_the_file_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
