/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocations that may fail (see the header). GLib's g_try_…() do the work; this file adds the
 * checks of products and the error. A product that overflows is a size that no machine has, so it
 * is the same error. Zero bytes are allocated as one: to a caller NULL always means failure.
 */
#include <base/alloc.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* Bytes to allocate, at least 1; G_MAXSIZE when the product overflows, which is never allocated. */
static size_t bytes_of(uint64_t count, size_t size)
{
    size_t bytes;

    return __builtin_mul_overflow(count, size, &bytes) ? G_MAXSIZE : MAX(bytes, 1);
}

/* Returns @memory; sets the error when it is NULL. */
static gpointer checked(gpointer memory, size_t bytes, const char *name, GError **error)
{
    if (!memory)
        cst_fail(error, CST_ERROR_NO_MEMORY, _("'%s' needs %zu bytes of memory at once"), name,
                 bytes);
    return memory;
}

gpointer cst_alloc(uint64_t count, size_t size, const char *name, GError **error)
{
    return cst_realloc(NULL, count, size, name, error);
}

gpointer cst_alloc0(uint64_t count, size_t size, const char *name, GError **error)
{
    size_t bytes = bytes_of(count, size);

    return checked(bytes < G_MAXSIZE ? g_try_malloc0(bytes) : NULL, bytes, name, error);
}

gpointer cst_realloc(gpointer memory, uint64_t count, size_t size, const char *name, GError **error)
{
    size_t bytes = bytes_of(count, size);

    return checked(bytes < G_MAXSIZE ? g_try_realloc(memory, bytes) : NULL, bytes, name, error);
}

gpointer cst_grow(gpointer list, uint64_t count, size_t size, const char *name, GError **error)
{
    /*
     * A power of two, or 0: the list is full. The memory always has room for the next power of two.
     */
    if (count & (count - 1))
        return list;
    return cst_realloc(list, MAX(count * 2, 1), size, name, error);
}

gpointer cst_memdup(gconstpointer bytes, uint64_t len, const char *name, GError **error)
{
    gpointer copy = cst_alloc(len, 1, name, error);

    if (copy && len > 0)
        memcpy(copy, bytes, len);
    return copy;
}
