/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <base/units.h>

#include "extents.h"
#include "scratch.h"

/* tests/diff/share_vs_qemu.py tests shared extents; this file tests extents that are not shared. */

#define SIZE (2 * CST_MIB + 4096)

static gboolean are_same(CstBlob *a, uint64_t a_offset, CstBlob *b, uint64_t b_offset,
                         uint64_t length)
{
    const CstFileRange left = {cst_blob_file_fd(a), "a", a_offset};
    const CstFileRange right = {cst_blob_file_fd(b), "b", b_offset};
    gboolean same = FALSE;

    assert_true(cst_extents_are_same(&left, &right, length, &same, NULL));
    return same;
}

static void bytes_count_where_places_differ(void **state)
{
    g_autoptr(CstBlob) a = scratch_file(SIZE);
    g_autoptr(CstBlob) b = scratch_file(SIZE);
    static const uint8_t zeroes[8192], ones[8192] = {1, 1, 1};

    assert_true(are_same(a, 0, b, 0, SIZE)); /* two holes */
    assert_true(cst_blob_pwrite(a, zeroes, sizeof(zeroes), 4096, NULL));
    assert_true(are_same(a, 0, b, 0, SIZE)); /* zeroes and a hole */
    assert_true(cst_blob_pwrite(a, ones, sizeof(ones), CST_MIB, NULL));
    assert_false(are_same(a, 0, b, 0, SIZE));
    assert_false(are_same(a, CST_MIB, b, CST_MIB, 4096));
    assert_true(are_same(a, CST_MIB + 4096, b, 0, CST_MIB));
    assert_true(cst_blob_pwrite(b, ones, sizeof(ones), 0, NULL));
    assert_true(are_same(a, CST_MIB, b, 0, CST_MIB));
    assert_true(cst_blob_pwrite(b, "x", 1, CST_MIB - 1, NULL));
    assert_false(are_same(a, CST_MIB, b, 0, CST_MIB));
}

static void unreadable_extents_are_an_error(void **state)
{
    g_autoptr(CstBlob) a = scratch_file(SIZE);
    const CstFileRange left = {cst_blob_file_fd(a), "a", 0};
    const CstFileRange right = {-1, "b", 0};
    g_autoptr(GError) error = NULL;
    gboolean same = TRUE;

    assert_false(cst_extents_are_same(&left, &right, SIZE, &same, &error));
    assert_non_null(error);
}

/*
 * --- extents as a file system reports them
 * --------------------------------------------------------
 */

#define K 1024u

typedef struct {
    uint64_t logical, length, physical;
    unsigned flags;
} Told;

/* The reported extents of the file with this descriptor. */
typedef struct {
    int fd;
    const Told *told;
    unsigned count;
} Layout;

static Layout layouts[2];

/* In the place of libc's: answers as a kernel does, but from the layouts. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    struct fiemap *map;
    const Layout *layout;

    va_start(arguments, request);
    map = va_arg(arguments, struct fiemap *);
    va_end(arguments);
    layout = layouts[0].fd == fd ? &layouts[0] : &layouts[1];
    if (request != FS_IOC_FIEMAP || !layout->told)
        return (int)syscall(SYS_ioctl, fd, request, map);
    if (layout->fd != fd) {
        errno = EOPNOTSUPP;
        return -1;
    }
    for (unsigned i = 0; i < layout->count && map->fm_mapped_extents < map->fm_extent_count; i++) {
        const Told *told = &layout->told[i];

        if (told->logical + told->length <= map->fm_start ||
            told->logical >= map->fm_start + map->fm_length)
            continue;
        map->fm_extents[map->fm_mapped_extents++] =
            (struct fiemap_extent){.fe_logical = told->logical,
                                   .fe_length = told->length,
                                   .fe_physical = told->physical,
                                   .fe_flags = told->flags};
    }
    return 0;
}

typedef struct {
    uint64_t a_offset, b_offset, length;
    Told a[3], b[3];
    gboolean lie_in_one_place;
} Lying;

static const Lying lying[] = {
    {0, 0, 64 * K, {{0, 64 * K, CST_MIB, 0}}, {{0, 64 * K, CST_MIB, 0}}, TRUE},
    {0, 0, 64 * K, {{0, 64 * K, CST_MIB, 0}}, {{0, 64 * K, 2 * CST_MIB, 0}}, FALSE},
    /* From the middle of an extent, and beyond the range. */
    {16 * K, 0, 32 * K, {{0, 64 * K, CST_MIB, 0}}, {{0, 64 * K, CST_MIB + 16 * K, 0}}, TRUE},
    {16 * K, 0, 32 * K, {{0, 64 * K, CST_MIB, 0}}, {{0, 64 * K, CST_MIB, 0}}, FALSE},
    /* In pieces of other lengths; the last of them elsewhere. */
    {0,
     0,
     64 * K,
     {{0, 64 * K, CST_MIB, 0}},
     {{0, 32 * K, CST_MIB, 0}, {32 * K, 32 * K, CST_MIB + 32 * K, 0}},
     TRUE},
    {0,
     0,
     64 * K,
     {{0, 64 * K, CST_MIB, 0}},
     {{0, 32 * K, CST_MIB, 0}, {32 * K, 32 * K, CST_MIB + 64 * K, 0}},
     FALSE},
    /* Unallocated and unwritten extents. */
    {0,
     0,
     64 * K,
     {{64 * K, 64 * K, CST_MIB, 0}},
     {{0, 64 * K, CST_MIB, FIEMAP_EXTENT_UNWRITTEN}},
     TRUE},
    {0, 0, 64 * K, {{32 * K, 32 * K, CST_MIB, 0}}, {{32 * K, 32 * K, CST_MIB, 0}}, TRUE},
    {0, 0, 64 * K, {{32 * K, 32 * K, CST_MIB, 0}}, {{0, 64 * K, CST_MIB - 32 * K, 0}}, FALSE},
    {0, 0, 64 * K, {{0, 32 * K, CST_MIB, 0}}, {{0, 64 * K, CST_MIB, 0}}, FALSE},
    /* Unknown locations. */
    {0, 0, 64 * K, {{0, 64 * K, CST_MIB, FIEMAP_EXTENT_UNKNOWN}}, {{64 * K, K, CST_MIB, 0}}, FALSE},
    {0, 0, 64 * K, {{0, 64 * K, CST_MIB, FIEMAP_EXTENT_UNKNOWN}}, {{0, 64 * K, CST_MIB, 0}}, FALSE},
    {0,
     0,
     64 * K,
     {{0, 64 * K, CST_MIB, 0}},
     {{0, 64 * K, CST_MIB, FIEMAP_EXTENT_DELALLOC}},
     FALSE},
    {0,
     0,
     64 * K,
     {{0, 64 * K, 0, FIEMAP_EXTENT_DATA_INLINE}},
     {{0, 64 * K, 0, FIEMAP_EXTENT_DATA_INLINE}},
     FALSE},
    {0,
     0,
     64 * K,
     {{0, 64 * K, CST_MIB, FIEMAP_EXTENT_ENCODED}},
     {{0, 64 * K, CST_MIB, FIEMAP_EXTENT_ENCODED}},
     FALSE},
};

/* The bytes of the two differ, so they are the same only where the places are believed. */
static void different_files(CstBlob **ret_a, CstBlob **ret_b)
{
    g_autofree char *a = g_strnfill(CST_MIB, 'a'), *b = g_strnfill(CST_MIB, 'b');

    *ret_a = scratch_file(0);
    *ret_b = scratch_file(0);
    assert_true(cst_blob_pwrite(*ret_a, a, CST_MIB, 0, NULL));
    assert_true(cst_blob_pwrite(*ret_b, b, CST_MIB, 0, NULL));
}

static void equal_locations_are_shared_extents(void **state)
{
    g_autoptr(CstBlob) a = NULL;
    g_autoptr(CstBlob) b = NULL;

    different_files(&a, &b);
    for (size_t i = 0; i < G_N_ELEMENTS(lying); i++) {
        const Lying *how = &lying[i];

        layouts[0] = (Layout){cst_blob_file_fd(a), how->a, G_N_ELEMENTS(how->a)};
        layouts[1] = (Layout){cst_blob_file_fd(b), how->b, G_N_ELEMENTS(how->b)};
        if (are_same(a, how->a_offset, b, how->b_offset, how->length) != how->lie_in_one_place)
            fail_msg("case %zu", i);
    }
    /* The extents of one file are not reported. */
    layouts[0] = (Layout){-1, lying[0].a, 1};
    layouts[1] = (Layout){cst_blob_file_fd(b), lying[0].a, 1};
    assert_false(are_same(a, 0, b, 0, 64 * K));
    memset(layouts, 0, sizeof(layouts));
}

/* More extents than one answer holds. */
static void many_pieces_are_asked_for_again(void **state)
{
    g_autoptr(CstBlob) a = NULL;
    g_autoptr(CstBlob) b = NULL;
    Told pieces[256], others[256];

    different_files(&a, &b);
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++)
        pieces[i] = (Told){i * 4 * K, 4 * K, (uint64_t)(1000 - i) * CST_MIB, 0};
    memcpy(others, pieces, sizeof(pieces));
    layouts[0] = (Layout){cst_blob_file_fd(a), pieces, G_N_ELEMENTS(pieces)};
    layouts[1] = (Layout){cst_blob_file_fd(b), others, G_N_ELEMENTS(others)};
    assert_true(are_same(a, 0, b, 0, CST_MIB));
    others[255].physical++;
    assert_false(are_same(a, 0, b, 0, CST_MIB));
    memset(layouts, 0, sizeof(layouts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_count_where_places_differ),
        cmocka_unit_test(unreadable_extents_are_an_error),
        cmocka_unit_test(equal_locations_are_shared_extents),
        cmocka_unit_test(many_pieces_are_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
