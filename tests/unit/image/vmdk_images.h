/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <image/image.h>

#include "bytes.h"
#include "listed.h"

/* VMDK images for tests, and access to their fields. */

#define GRAIN 65536u

enum {
    AT_VERSION = 4,
    AT_FLAGS = 8,
    AT_CAPACITY = 12,
    AT_GRAIN = 20,
    AT_TEXT = 28,
    AT_TEXT_LEN = 36,
    AT_GTES = 44,
    AT_RGD = 48,
    AT_GD = 56,
    AT_OVERHEAD = 64,
    AT_NEWLINES = 73,
    AT_COMPRESSION = 77
};

static inline const CstImageFormat *vmdk(void)
{
    return cst_image_format_find("vmdk", NULL);
}

static inline CstBlob *create(uint64_t capacity, const char *subformat)
{
    const CstImageCreate options = {.capacity = capacity, .subformat = subformat};
    CstBlob *blob = cst_blob_memory_new(NULL, 0);

    assert_true(cst_image_create(blob, vmdk(), &options, NULL, NULL));
    return blob;
}

static inline CstBlob *create_child(CstBlob *parent, uint64_t capacity)
{
    const CstImageCreate options = {.capacity = capacity,
                                    .backing = "base.vmdk",
                                    .backing_format = "vmdk",
                                    .backing_guest = parent};
    CstBlob *blob = cst_blob_memory_new(NULL, 0);

    assert_true(cst_image_create(blob, vmdk(), &options, NULL, NULL));
    return blob;
}

static inline CstBlob *open_guest(CstBlob *blob)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, vmdk(), CST_IMAGE_WRITE, NULL, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return cst_image_guest_blob(image);
}

static inline uint32_t get32(CstBlob *blob, uint64_t offset)
{
    uint8_t raw[4];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), offset, NULL));
    return cst_le32(raw);
}

static inline void put32(CstBlob *blob, uint64_t offset, uint32_t value)
{
    assert_true(cst_blob_pwrite(blob, &value, sizeof(value), offset, NULL));
}

/* Where the entry of grain @number of the first table is, in a copy (AT_GD, AT_RGD). */
static inline uint64_t entry_at(CstBlob *blob, uint64_t copy, uint32_t number)
{
    return get32(blob, get32(blob, copy) * UINT64_C(512)) * UINT64_C(512) + number * 4;
}

/* In both copies. */
static inline void put_entry(CstBlob *blob, uint32_t number, uint32_t value)
{
    put32(blob, entry_at(blob, AT_GD, number), value);
    put32(blob, entry_at(blob, AT_RGD, number), value);
}

/* Marks grain @number with its own number at its start and its end. */
static inline void mark(CstBlob *guest, uint64_t number)
{
    uint64_t value = number + 1000;

    assert_true(cst_blob_pwrite(guest, &value, 8, number * GRAIN, NULL));
    assert_true(cst_blob_pwrite(guest, &value, 8, (number + 1) * GRAIN - 8, NULL));
}

static inline gboolean is_marked(CstBlob *guest, uint64_t number)
{
    uint64_t first = 0, last = 0;

    assert_true(cst_blob_pread(guest, &first, 8, number * GRAIN, NULL));
    assert_true(cst_blob_pread(guest, &last, 8, (number + 1) * GRAIN - 8, NULL));
    return first == number + 1000 && last == number + 1000;
}

static inline CstImageCheck check(CstBlob *blob, unsigned flags)
{
    return check_listed(blob, vmdk(), flags);
}

static inline void assert_clean(CstBlob *blob)
{
    CstImageCheck found = check(blob, 0);

    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 0);
}

/* Five grains, written from the last to the first, so that places and entries differ. */
static inline CstBlob *five_grains(void)
{
    CstBlob *blob = create(5 * GRAIN, NULL);
    g_autoptr(CstBlob) guest = open_guest(blob);

    for (uint64_t i = 5; i-- > 0;)
        mark(guest, i);
    assert_true(cst_blob_flush(guest, NULL));
    return blob;
}

/*
 * --- other files of an image --------------------------------------------------------------------
 */

static inline GHashTable *directory_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)cst_blob_unref);
}

static inline CstBlob *directory_open(const char *name, gboolean writable, gpointer data,
                                      GError **error)
{
    CstBlob *blob = g_hash_table_lookup(data, name);

    if (!blob)
        cst_fail(error, CST_ERROR_NOT_FOUND, "%s", name);
    return blob ? cst_blob_ref(blob) : NULL;
}

static inline CstBlob *directory_create(const char *name, gpointer data, GError **error)
{
    if (g_hash_table_contains(data, name)) {
        cst_fail(error, CST_ERROR_EXISTS, "%s", name);
        return NULL;
    }
    g_hash_table_insert(data, g_strdup(name), cst_blob_memory_new(NULL, 0));
    return directory_open(name, TRUE, data, error);
}

static inline CstImageFiles directory_files(GHashTable *directory)
{
    return (CstImageFiles){directory_open, directory_create, directory};
}

/* A descriptor with these lines. */
static inline G_GNUC_PRINTF(1, 2) CstBlob *text_of(const char *format, ...)
{
    g_autofree char *lines = NULL, *text = NULL;
    va_list args;

    va_start(args, format);
    lines = g_strdup_vprintf(format, args);
    va_end(args);
    text = g_strconcat("# Disk DescriptorFile\nversion=1\nCID=00000001\n", lines, NULL);
    return cst_blob_memory_new(text, strlen(text));
}

/* Adopts @blob. */
static inline void assert_opens(CstBlob *blob, const CstImageOpen *how, gboolean opens)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open_as(blob, vmdk(), how, &error);

    assert_int_equal(image != NULL, opens);
    assert_int_equal(error == NULL, opens);
    cst_image_free(image);
    cst_blob_unref(blob);
}
