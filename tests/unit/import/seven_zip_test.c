/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory that 7z archives ask for, from headers that are written byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <lzma.h>

#include <base/error.h>
#include <base/units.h>

#include "seven_zip.h"

#define STREAMS "\x06\x00\x01\x09\x05\x00\x07\x0b\x01\x00" /* five packed bytes, one folder */

static void put_le(uint8_t *at, uint64_t value, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* An archive of @packed and @header. Its checksums are not verified. */
static CstBlob *archive_new(const void *packed, size_t packed_len, const void *header, size_t len)
{
    g_autofree uint8_t *bytes = g_malloc0(32 + packed_len + len);

    memcpy(bytes, "7z\xbc\xaf\x27\x1c", 6);
    put_le(bytes + 12, packed_len, 8);
    put_le(bytes + 20, len, 8);
    memcpy(bytes + 32, packed, packed_len);
    memcpy(bytes + 32 + packed_len, header, len);
    return cst_blob_memory_new(bytes, 32 + packed_len + len);
}

static void assert_memory(const char *header, size_t len, uint64_t expected)
{
    g_autoptr(CstBlob) blob = archive_new("12345", 5, header, len);
    g_autoptr(GError) error = NULL;
    uint64_t memory = 0;

    if (!import_7z_memory(blob, "a.7z", &memory, &error))
        fail_msg("%s", error->message);
    assert_int_equal(memory, expected);
}

#define ASSERT_MEMORY(header, expected) assert_memory(header, sizeof(header) - 1, expected)

static void memory_is_that_of_the_largest_folder(void **state)
{
    /* LZMA2 of 384 MiB, LZMA of 1 GiB, PPMd of 2 GiB, LZMA after a filter. */
    ASSERT_MEMORY("\x01\x04" STREAMS "\x01\x21\x21\x01\x21", 384 * CST_MIB);
    ASSERT_MEMORY("\x01\x04" STREAMS "\x01\x21\x21\x01\x28", UINT32_MAX);
    ASSERT_MEMORY("\x01\x04" STREAMS "\x01\x23\x03\x01\x01\x05\x5d\x00\x00\x00\x40", CST_GIB);
    ASSERT_MEMORY("\x01\x04" STREAMS "\x01\x23\x03\x04\x01\x05\x06\x00\x00\x00\x80", 2 * CST_GIB);
    ASSERT_MEMORY("\x01\x04" STREAMS "\x02\x23\x03\x01\x01\x05\x5d\x00\x00\x00\x40"
                  "\x04\x03\x03\x01\x03\x01\x00",
                  CST_GIB + 10 * CST_MIB);
    ASSERT_MEMORY("\x01\x04\x06\x00\x01\x09\x05\x0a\x01\x01\x02\x03\x04\x00\x07\x0b\x02\x00"
                  "\x01\x01\x00\x01\x21\x21\x01\x21",
                  384 * CST_MIB);
    ASSERT_MEMORY("\x01\x05\x00\x00", 0);
}

/* The header of an archive, packed with LZMA2 by liblzma. */
static CstBlob *packed_archive_new(uint8_t dictionary)
{
    static const char header[] = "\x01\x04" STREAMS "\x01\x21\x21\x01\x21";
    char description[] = "\x17\x06\x00\x01\x09\x00\x00\x07\x0b\x01\x00\x01\x21\x21\x01\x00\x0c\x00";
    uint8_t packed[100];
    lzma_options_lzma options;
    const lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
    size_t len = 0;

    assert_false(lzma_lzma_preset(&options, 0));
    assert_int_equal(lzma_raw_buffer_encode(filters, NULL, (const uint8_t *)header,
                                            sizeof(header) - 1, packed, &len, sizeof(packed)),
                     LZMA_OK);
    description[5] = (char)len;
    description[15] = (char)dictionary;
    description[17] = (char)(sizeof(header) - 1);
    return archive_new(packed, len, description, sizeof(description) - 1);
}

static void packed_header_is_read(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(CstBlob) blob = packed_archive_new(i == 0 ? 0 : 0x28);
        g_autoptr(GError) error = NULL;
        uint64_t memory = 0;

        if (!import_7z_memory(blob, "a.7z", &memory, &error))
            fail_msg("%s", error->message);
        assert_int_equal(memory, i == 0 ? 384 * CST_MIB : UINT32_MAX);
    }
}

static void properties_that_could_hide_a_folder_are_refused(void **state)
{
    static const char header[] = "\x01\x02\x00\x04" STREAMS "\x01\x21\x21\x01\x21";
    g_autoptr(CstBlob) blob = archive_new("12345", 5, header, sizeof(header) - 1);
    g_autoptr(GError) error = NULL;
    uint64_t memory;

    assert_false(import_7z_memory(blob, "a.7z", &memory, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
}

/* Each byte of each archive gets each value; AddressSanitizer watches. */
static void damaged_header_is_an_error_or_a_number(void **state)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        static const char header[] = "\x01\x04" STREAMS "\x02\x23\x03\x01\x01\x05\x5d\x00\x00\x00"
                                     "\x40\x04\x03\x03\x01\x03\x01\x00";
        g_autoptr(CstBlob) blob =
            packed ? packed_archive_new(0) : archive_new("12345", 5, header, sizeof(header) - 1);
        uint64_t size, memory;

        assert_true(cst_blob_get_size(blob, &size, NULL));
        for (uint64_t at = 12; at < size; at++) {
            uint8_t old, value = 0;

            assert_true(cst_blob_pread(blob, &old, 1, at, NULL));
            do {
                g_autoptr(GError) error = NULL;

                assert_true(cst_blob_pwrite(blob, &value, 1, at, NULL));
                assert_true(import_7z_memory(blob, "a.7z", &memory, &error) || error != NULL);
            } while (value++ < 0xff);
            assert_true(cst_blob_pwrite(blob, &old, 1, at, NULL));
        }
        for (uint64_t len = size; len-- > 0;) {
            g_autoptr(GError) error = NULL;

            assert_true(cst_blob_resize(blob, len, NULL));
            assert_false(import_7z_memory(blob, "a.7z", &memory, &error));
            assert_non_null(error);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_that_of_the_largest_folder),
        cmocka_unit_test(packed_header_is_read),
        cmocka_unit_test(properties_that_could_hide_a_folder_are_refused),
        cmocka_unit_test(damaged_header_is_an_error_or_a_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
