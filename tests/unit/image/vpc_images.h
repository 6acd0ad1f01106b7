/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/sparse.h>
#include <image/image.h>

#include "../blob_size.h"
#include "bytes.h"
#include "listed.h"

/*
 * An image of this size has: footer copy at 0, header at 512, table at 1536 (padded to 512 bytes),
 * first block at 2048: its bitmap of 512 bytes, then 2 MiB.
 */
#define BLOCK  (2 * CST_MIB)
#define STRIDE (BLOCK + 512)
#define TABLE  1536
#define FIRST  2048
#define SIZE   (5 * BLOCK)

static inline const CstImageFormat *vpc(void)
{
    return cst_image_format_find("vpc", NULL);
}

static inline CstBlob *make(const CstImageCreate *options)
{
    CstBlob *blob = cst_blob_sparse_new(0);
    g_autoptr(GError) error = NULL;

    if (!cst_image_create(blob, vpc(), options, NULL, &error))
        fail_msg("create: %s", error->message);
    return blob;
}

static inline CstBlob *create(uint64_t capacity)
{
    return make(&(CstImageCreate){.capacity = capacity});
}

static inline CstBlob *open_over(CstBlob *blob, CstBlob *parent)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, vpc(), CST_IMAGE_WRITE, parent, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return cst_image_guest_blob(image);
}

static inline CstBlob *open_guest(CstBlob *blob)
{
    return open_over(blob, NULL);
}

static inline void put(CstBlob *blob, uint64_t offset, const void *data, size_t len)
{
    assert_true(cst_blob_pwrite(blob, data, len, offset, NULL));
}

static inline void put32(CstBlob *blob, uint64_t offset, uint32_t value)
{
    uint8_t raw[4];

    cst_put_be32(raw, value);
    put(blob, offset, raw, sizeof(raw));
}

static inline uint32_t get32(CstBlob *blob, uint64_t offset)
{
    uint8_t raw[4];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), offset, NULL));
    return cst_be32(raw);
}

/* The checksum of @len bytes at @offset, kept at @at of them. */
static inline void sign(CstBlob *blob, uint64_t offset, size_t len, size_t at)
{
    g_autofree uint8_t *raw = g_malloc(len);
    uint32_t sum = 0;

    assert_true(cst_blob_pread(blob, raw, len, offset, NULL));
    memset(raw + at, 0, 4);
    for (size_t i = 0; i < len; i++)
        sum += raw[i];
    put32(blob, offset + at, ~sum);
}

static inline void sign_all(CstBlob *blob)
{
    sign(blob, 0, 512, 64);
    sign(blob, 512, 1024, 36);
    sign(blob, size_of(blob) - 512, 512, 64);
}

static inline void put_footers(CstBlob *blob, size_t at, const void *data, size_t len)
{
    put(blob, at, data, len);
    put(blob, size_of(blob) - 512 + at, data, len);
    sign_all(blob);
}

static inline CstImageCheck check(CstBlob *blob, unsigned flags)
{
    return check_listed(blob, vpc(), flags);
}

static inline void assert_clean(CstBlob *blob)
{
    CstImageCheck found = check(blob, 0);

    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 0);
}

/* Marks block @block with its own number at its start and its end. */
static inline void mark(CstBlob *guest, uint64_t block)
{
    put(guest, block * BLOCK, &block, sizeof(block));
    put(guest, (block + 1) * BLOCK - 8, &block, sizeof(block));
}

static inline gboolean is_marked(CstBlob *guest, uint64_t block)
{
    uint64_t first = 0, last = 0;

    assert_true(cst_blob_pread(guest, &first, sizeof(first), block * BLOCK, NULL));
    assert_true(cst_blob_pread(guest, &last, sizeof(last), (block + 1) * BLOCK - 8, NULL));
    return first == block && last == block;
}

static inline CstBlob *five_blocks(void)
{
    CstBlob *blob = create(SIZE);
    g_autoptr(CstBlob) guest = open_guest(blob);

    for (uint64_t i = 5; i-- > 0;)
        mark(guest, i);
    assert_true(cst_blob_flush(guest, NULL));
    return blob;
}

static inline void resize(CstBlob *blob, uint64_t capacity)
{
    g_autoptr(CstImage) image = cst_image_open(blob, vpc(), CST_IMAGE_WRITE, NULL, NULL);
    g_autoptr(GError) error = NULL;

    if (!cst_image_resize(image, capacity, CST_PREALLOC_OFF, NULL, &error))
        fail_msg("resize: %s", error->message);
    assert_true(cst_image_flush(image, NULL));
}

static inline CstBlob *child_of(uint64_t capacity, const char *name)
{
    return make(&(CstImageCreate){.capacity = capacity, .backing = name, .backing_format = "vpc"});
}
