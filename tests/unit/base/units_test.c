/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes as people write them: the numbers that qemu-img reads, with the units that libvirt has; and
 * sizes that must be powers of two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>

static void sizes_have_fractions_and_digits_of_two_kinds(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {
        {"0", 0},
        {"1024", 1024},
        {"010", 10},
        {" 5 MiB", 5 * CST_MIB},
        {"1.5G", 3 * CST_GIB / 2},
        {"1.5GiB", 3 * CST_GIB / 2},
        {"1.5kB", 1500},
        {"0.1K", 102},
        {"1.0001k", 1024},
        {"1.k", 1024},
        {"1.0", 1},
        {"1.0b", 1},
        {"0.000000000000000001E", 1},
        {"7.99999999999999999999999E", 8 * (CST_TIB << 20) - 2},
        {"0x10000", 65536},
        {"0XfF", 255},
        {"0x10k", 16384},
        {"15.5E", 31 * (CST_TIB << 19)},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        uint64_t bytes = 7;

        if (!cst_units_parse(sizes[i].text, 1, &bytes, NULL) || bytes != sizes[i].bytes)
            fail_msg("'%s' is %" G_GUINT64_FORMAT ", not %" G_GUINT64_FORMAT, sizes[i].text, bytes,
                     sizes[i].bytes);
    }
}

static void invalid_size_is_refused(void **state)
{
    static const struct {
        const char *text;
        int code;
    } wrong[] = {
        {"", CST_ERROR_INVALID},
        {"G", CST_ERROR_INVALID},
        {"-1", CST_ERROR_INVALID},
        {".5G", CST_ERROR_INVALID},
        {"1.5", CST_ERROR_INVALID},
        {"1.5b", CST_ERROR_INVALID},
        {"1e3", CST_ERROR_INVALID},
        {"1.5e3k", CST_ERROR_INVALID},
        {"0x", CST_ERROR_INVALID},
        {"0xg", CST_ERROR_INVALID},
        {"0x1.8k", CST_ERROR_INVALID},
        {"1..5k", CST_ERROR_INVALID},
        {"3Q", CST_ERROR_INVALID},
        {"16E", CST_ERROR_OVERFLOW},
        {"0x10000000000000000", CST_ERROR_OVERFLOW},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t bytes = 7;

        if (cst_units_parse(wrong[i].text, 1, &bytes, &error))
            fail_msg("'%s' was taken for %" G_GUINT64_FORMAT, wrong[i].text, bytes);
        assert_int_equal(error->code, wrong[i].code);
        assert_int_equal(bytes, 7);
    }
}

static void powers_of_two_have_one_bit(void **state)
{
    assert_true(cst_is_power_of_two(1, 1, 1));
    assert_true(cst_is_power_of_two(4096, 512, 4096));
    assert_true(cst_is_power_of_two(UINT64_C(1) << 63, 1, UINT64_MAX));
    assert_false(cst_is_power_of_two(0, 0, 4096));
    assert_false(cst_is_power_of_two(256, 512, 4096));
    assert_false(cst_is_power_of_two(8192, 512, 4096));
    assert_false(cst_is_power_of_two(1536, 512, 4096));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_fractions_and_digits_of_two_kinds),
        cmocka_unit_test(invalid_size_is_refused),
        cmocka_unit_test(powers_of_two_have_one_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
