/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Areas of memory for secrets: freed memory is reused, wiped and unmapped. */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <base/secret_bytes.h>

static guint mapped; /* areas of the product */
static gboolean map_fails, protect_fails;

void *__real_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);
int __real_mprotect(void *at, size_t size, int protection);
int __wrap_mprotect(void *at, size_t size, int protection);

void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (map_fails) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    mapped++;
    return __real_mmap64(at, size, protection, flags, fd, offset);
}

static const uint8_t *wiped; /* bytes that munmap() must find zero; NULL: not verified */
static size_t wiped_len;

int __wrap_munmap(void *at, size_t size)
{
    for (size_t i = 0; wiped && i < wiped_len; i++)
        assert_int_equal(wiped[i], 0);
    mapped--;
    return __real_munmap(at, size);
}

int __wrap_mprotect(void *at, size_t size, int protection)
{
    if (!protect_fails)
        return __real_mprotect(at, size, protection);
    errno = ENOMEM;
    return -1;
}

static CstSecretBytes bytes_new(size_t len)
{
    CstSecretBytes bytes = {0};

    assert_true(cst_secret_bytes_alloc(&bytes, len, NULL));
    memset(bytes.data, 'x', len);
    return bytes;
}

/* An area has 64 KiB. */
static void freed_blocks_are_used_again(void **state)
{
    CstSecretBytes keeper = bytes_new(1), blocks[60];
    guint before;

    for (size_t i = 0; i < G_N_ELEMENTS(blocks); i++)
        blocks[i] = bytes_new(999);
    before = mapped;
    for (int round = 0; round < 200; round++) {
        for (size_t i = round % 2; i < G_N_ELEMENTS(blocks); i += 2)
            cst_secret_bytes_clear(&blocks[i]);
        for (size_t i = round % 2; i < G_N_ELEMENTS(blocks); i += 2)
            blocks[i] = bytes_new(999);
    }
    assert_int_equal(mapped, before);
    for (size_t i = 0; i < G_N_ELEMENTS(blocks); i++)
        cst_secret_bytes_clear(&blocks[i]);
    cst_secret_bytes_clear(&keeper);
    assert_int_equal(mapped, before);
}

/* As much as fits, in blocks of any size: no unit is lost or counted twice. */
static void freed_area_has_all_its_units(void **state)
{
    CstSecretBytes blocks[4];
    guint before;

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(blocks); i++)
            blocks[i] = bytes_new(16 * 1024 - 1);
        if (round == 0)
            before = mapped;
        assert_int_equal(mapped, before);
        for (size_t i = 0; i < G_N_ELEMENTS(blocks); i++)
            cst_secret_bytes_clear(&blocks[i]);
    }
}

static void large_block_is_wiped_and_unmapped(void **state)
{
    CstSecretBytes bytes = bytes_new(100000);
    guint before = mapped;

    wiped = bytes.data;
    wiped_len = bytes.len;
    bytes.len = 3; /* a reader may have found less than it made room for */
    cst_secret_bytes_clear(&bytes);
    wiped = NULL;
    assert_int_equal(mapped, before - 1);
}

static void memory_that_is_refused_is_an_error_and_no_mapping(void **state)
{
    CstSecretBytes bytes = {0};
    guint before = mapped;

    map_fails = TRUE;
    assert_false(cst_secret_bytes_alloc(&bytes, 100000, NULL));
    map_fails = FALSE;
    protect_fails = TRUE;
    assert_false(cst_secret_bytes_alloc(&bytes, 100000, NULL));
    protect_fails = FALSE;
    assert_null(bytes.data);
    assert_int_equal(mapped, before);
    assert_false(cst_secret_bytes_alloc(&bytes, G_MAXSIZE - 1, NULL));
    bytes = bytes_new(100000);
    cst_secret_bytes_clear(&bytes);
    assert_int_equal(mapped, before);
}

static CstSecretBytes met;

static void alloc_large(gpointer unused)
{
    met = bytes_new(200000);
}

/* The list of areas changes while another thread is about to free a block. */
static void block_is_freed_during_the_creation_of_an_area(void **state)
{
    CstSecretBytes first = bytes_new(100000), small = bytes_new(10);
    guint before = mapped;

    point_run("secret_bytes.free", alloc_large, NULL);
    cst_secret_bytes_clear(&first);
    points_clear();
    assert_int_equal(mapped, before);
    for (size_t i = 0; i < met.len; i++)
        assert_int_equal(met.data[i], 'x');
    assert_memory_equal(small.data, "xxxxxxxxxx", 10);
    cst_secret_bytes_clear(&met);
    cst_secret_bytes_clear(&small);
    assert_int_equal(mapped, before - 1);
}

static void free_met(gpointer unused)
{
    cst_secret_bytes_clear(&met);
}

/* The newest area, where the search for the block starts, is unmapped during the search. */
static void block_is_freed_during_the_removal_of_an_area(void **state)
{
    CstSecretBytes small = bytes_new(10);
    const uint8_t *data = small.data;
    guint before = mapped;

    met = bytes_new(200000);
    point_run("secret_bytes.free", free_met, NULL);
    cst_secret_bytes_clear(&small);
    points_clear();
    assert_int_equal(mapped, before);
    for (int i = 0; i < 10; i++)
        assert_int_equal(data[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freed_blocks_are_used_again),
        cmocka_unit_test(freed_area_has_all_its_units),
        cmocka_unit_test(large_block_is_wiped_and_unmapped),
        cmocka_unit_test(memory_that_is_refused_is_an_error_and_no_mapping),
        cmocka_unit_test(block_is_freed_during_the_creation_of_an_area),
        cmocka_unit_test(block_is_freed_during_the_removal_of_an_area),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
