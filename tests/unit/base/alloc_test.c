/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Allocation of an untrusted size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/file.h>

#include "no_memory.h"

static void allocation_within_memory_succeeds(void **state)
{
    g_autofree uint8_t *plain = cst_alloc(3, 7, "x", NULL);
    g_autofree uint8_t *zeroed = cst_alloc0(3, 7, "x", NULL);
    g_autofree uint8_t *copy = cst_memdup("abc", 4, "x", NULL);

    assert_non_null(plain);
    memset(plain, 1, 21);
    plain = cst_realloc(plain, 4, 7, "x", NULL);
    for (unsigned i = 0; i < 21; i++) {
        assert_int_equal(plain[i], 1);
        assert_int_equal(zeroed[i], 0);
    }
    assert_string_equal((char *)copy, "abc");
}

static void allocation_of_zero_bytes_succeeds(void **state)
{
    g_autofree void *plain = cst_alloc(0, 8, "x", NULL);
    g_autofree void *zeroed = cst_alloc0(0, 8, "x", NULL);
    g_autofree void *copy = cst_memdup(NULL, 0, "x", NULL);

    assert_non_null(plain);
    assert_non_null(zeroed);
    assert_non_null(copy);
}

static void assert_none(const void *memory, const char *message, GError **error)
{
    assert_null(memory);
    assert_true(g_error_matches(*error, CST_ERROR, CST_ERROR_NO_MEMORY));
    assert_string_equal((*error)->message, message);
    g_clear_error(error);
}

/* 2 * 2^63 bytes overflow to 0. */
static void a_product_that_overflows_is_a_failure(void **state)
{
    static const char message[] = "'disk' needs 18446744073709551615 bytes of memory at once";
    const uint64_t count = UINT64_C(1) << 63;
    g_autofree char *kept = g_strdup("kept");
    g_autoptr(GError) error = NULL;

    assert_none(cst_alloc(count, 2, "disk", &error), message, &error);
    assert_none(cst_alloc0(count, 2, "disk", &error), message, &error);
    assert_none(cst_realloc(kept, count, 2, "disk", &error), message, &error);
    assert_string_equal(kept, "kept");
}

static void refused_allocation_is_a_failure(void **state)
{
    g_autofree char *kept = g_strdup("kept");
    g_autoptr(GError) error = NULL;

    no_memory_arm(1);
    assert_none(cst_alloc(3, 7, "disk", &error), "'disk' needs 21 bytes of memory at once", &error);
    assert_true(no_memory_struck());
    no_memory_arm(2);
    kept = cst_realloc(kept, 3, 7, "disk", &error);
    assert_null(error);
    assert_none(cst_realloc(kept, 4, 7, "disk", &error), "'disk' needs 28 bytes of memory at once",
                &error);
    assert_string_equal(kept, "kept");
    no_memory_arm(1);
    assert_none(cst_memdup("abc", 4, "disk", &error), "'disk' needs 4 bytes of memory at once",
                &error);
    no_memory_arm(1);
    assert_none(cst_alloc0(1, 1, "disk", &error), "'disk' needs 1 bytes of memory at once", &error);
    no_memory_arm(0);
}

/* Element by element; memory is asked for at 0, 1, 2, 4, 8 and so on, and at no other. */
static void a_list_grows_by_doubling(void **state)
{
    g_autoptr(GError) error = NULL;
    uint32_t *list = NULL, *grown;

    for (uint32_t count = 0; count < 100; count++) {
        gboolean asks = count == 0 || (count & (count - 1)) == 0;

        no_memory_arm(1);
        grown = cst_grow(list, count, sizeof(*list), "disk", &error);
        assert_int_equal(no_memory_struck(), asks);
        no_memory_arm(0);
        if (asks) {
            g_autofree char *message =
                g_strdup_printf("'disk' needs %u bytes of memory at once", MAX(count * 2, 1) * 4);

            assert_none(grown, message, &error);
            grown = cst_grow(list, count, sizeof(*list), "disk", NULL);
        }
        list = grown;
        list[count] = count;
    }
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(list[i], i);
    g_free(list);
}

static void file_larger_than_the_memory_is_not_read(void **state)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "alloc-test-XXXXXX", NULL);
    g_autoptr(GError) error = NULL;
    char *data = NULL;
    int fd = g_mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
    no_memory_arm(1);
    assert_false(cst_file_read(path, 100, &data, NULL, &error));
    no_memory_arm(0);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_MEMORY));
    assert_null(data);
    assert_true(cst_file_read(path, 100, &data, NULL, NULL));
    assert_string_equal(data, "abc");
    g_free(data);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocation_within_memory_succeeds),
        cmocka_unit_test(allocation_of_zero_bytes_succeeds),
        cmocka_unit_test(a_product_that_overflows_is_a_failure),
        cmocka_unit_test(refused_allocation_is_a_failure),
        cmocka_unit_test(a_list_grows_by_doubling),
        cmocka_unit_test(file_larger_than_the_memory_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
