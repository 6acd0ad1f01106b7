/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"

/* The same on hosts of either byte order; the integers are not aligned. */
static const uint8_t disk[] = {0xff, 0x81, 0x72, 0x63, 0x54, 0x45, 0x36, 0x27, 0x18};

static void integers_are_read_in_the_order_of_the_disk(void **state)
{
    assert_int_equal(cst_be16(disk + 1), 0x8172);
    assert_int_equal(cst_le16(disk + 1), 0x7281);
    assert_int_equal(cst_be32(disk + 1), 0x81726354);
    assert_int_equal(cst_le32(disk + 1), 0x54637281);
    assert_int_equal(cst_be64(disk + 1), UINT64_C(0x8172635445362718));
    assert_int_equal(cst_le64(disk + 1), UINT64_C(0x1827364554637281));
}

/* Asserts that @written is the beginning of "disk" and that the bytes after @len are unchanged. */
static void assert_written(const uint8_t *written, size_t len)
{
    assert_memory_equal(written, disk, len);
    for (size_t i = len; i < sizeof(disk) + 1; i++)
        assert_int_equal(written[i], 0xff);
}

#define ASSERT_PUT(put, value, bits)           \
    do {                                       \
        uint8_t bytes[sizeof(disk) + 1];       \
                                               \
        memset(bytes, 0xff, sizeof(bytes));    \
        put(bytes + 1, value);                 \
        assert_written(bytes, 1 + (bits) / 8); \
    } while (0)

static void integers_are_written_in_the_order_of_the_disk(void **state)
{
    ASSERT_PUT(cst_put_be16, 0x8172, 16);
    ASSERT_PUT(cst_put_le16, 0x7281, 16);
    ASSERT_PUT(cst_put_be32, 0x81726354, 32);
    ASSERT_PUT(cst_put_le32, 0x54637281, 32);
    ASSERT_PUT(cst_put_be64, UINT64_C(0x8172635445362718), 64);
    ASSERT_PUT(cst_put_le64, UINT64_C(0x1827364554637281), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_in_the_order_of_the_disk),
        cmocka_unit_test(integers_are_written_in_the_order_of_the_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
