/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * For the tests of the page cache: a small cache over a file that records each call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <blob/blob.h>

#include "page_cache.h"

enum { PAGE = 64, PAGES = 4, FILE_SIZE = 1024, NOWHERE = -1 };

/* A file that records each call, and fails calls at one offset. */
typedef struct {
    CstBlob blob;
    uint8_t content[FILE_SIZE];
    GString *calls; /* "r0+64 " for a read, "w64+8 " for a write */
    int64_t bad_read, bad_write;
} Disk;

static inline gboolean disk_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset,
                                  GError **error)
{
    Disk *disk = (Disk *)blob;

    g_string_append_printf(disk->calls, "r%d+%d ", (int)offset, (int)len);
    memcpy(buf, disk->content + offset, len);
    return (int64_t)offset != disk->bad_read || cst_fail(error, CST_ERROR_IO, "read");
}

static inline gboolean disk_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                                   GError **error)
{
    Disk *disk = (Disk *)blob;

    g_string_append_printf(disk->calls, "w%d+%d ", (int)offset, (int)len);
    if ((int64_t)offset == disk->bad_write)
        return cst_fail(error, CST_ERROR_IO, "write");
    memcpy(disk->content + offset, buf, len);
    return TRUE;
}

static inline gboolean disk_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = FILE_SIZE;
    return TRUE;
}

static inline void disk_close(CstBlob *blob)
{
    g_string_free(((Disk *)blob)->calls, TRUE);
    g_free(blob);
}

static const CstBlobOps disk_ops = {
    .kind = "disk",
    .pread = disk_pread,
    .pwrite = disk_pwrite,
    .get_size = disk_get_size,
    .close = disk_close,
};

typedef struct {
    Disk *disk;
    CstPageCache *cache;
    unsigned spills;
    gboolean spill_fails, spill_does_nothing;
    const CstPageId *spill_loads; /* page that the spill loads; NULL: no page */
} World;

static inline gboolean spill(void *owner, GError **error)
{
    World *world = owner;
    CstPage *page;

    world->spills++;
    if (world->spill_fails)
        return cst_fail(error, CST_ERROR_NO_SPACE, "spill");
    if (world->spill_does_nothing)
        return TRUE;
    if (!cst_page_cache_write(world->cache, 1, error))
        return FALSE;
    if (world->spill_loads) {
        page = cst_page_cache_get(world->cache, world->spill_loads, error);
        assert_non_null(page);
        page->data[0] = 99;
        assert_true(cst_page_cache_dirty_range(world->cache, page, 0, 1, NULL));
    }
    return TRUE;
}

static inline void setup_with(World *world, const CstPageCacheHooks *hooks)
{
    *world = (World){.disk = g_new0(Disk, 1)};
    cst_blob_init(&world->disk->blob, &disk_ops, "disk", TRUE);
    world->disk->calls = g_string_new(NULL);
    world->disk->bad_read = world->disk->bad_write = NOWHERE;
    for (int i = 0; i < FILE_SIZE; i++)
        world->disk->content[i] = (uint8_t)(i / PAGE + 1);
    world->cache = cst_page_cache_new(&world->disk->blob, PAGE, PAGES, hooks);
}

static inline void setup(World *world)
{
    setup_with(world, &(CstPageCacheHooks){.spill = spill, .owner = world});
}

static inline void teardown(World *world)
{
    cst_page_cache_free(world->cache);
    cst_blob_unref(&world->disk->blob);
}

/* Asserts the calls since the last assertion. */
static inline void assert_calls(World *world, const char *expected)
{
    assert_string_equal(world->disk->calls->str, expected);
    g_string_truncate(world->disk->calls, 0);
}

static inline void assert_fails(const CstPage *result, GError **error, int code)
{
    assert_null(result);
    assert_true(g_error_matches(*error, CST_ERROR, code));
    g_clear_error(error);
}

static inline CstPageId id_of(unsigned number, unsigned group)
{
    uint64_t offset = (uint64_t)number * PAGE;

    return (CstPageId){.key = offset, .offset = offset, .length = PAGE, .group = group};
}

static inline CstPage *get(World *world, unsigned number)
{
    CstPageId id = id_of(number, 0);
    CstPage *page = cst_page_cache_get(world->cache, &id, NULL);

    assert_non_null(page);
    return page;
}

static inline CstPage *find(World *world, unsigned number, unsigned group)
{
    return cst_page_cache_find(world->cache, (uint64_t)number * PAGE, group);
}

/* Changes one byte of page @number of @group. */
static inline void change(World *world, unsigned number, unsigned group, unsigned at, uint8_t value)
{
    CstPageId id = id_of(number, group);
    CstPage *page = cst_page_cache_get(world->cache, &id, NULL);

    assert_non_null(page);
    page->data[at] = value;
    assert_true(cst_page_cache_dirty_range(world->cache, page, at, 1, NULL));
}
