/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocations that may fail (see the header). GLib's g_try_…() do the work; this file adds the
 * overflow checks and the error. A product that overflows is a size that no machine has, so it
 * causes the same error. A request for zero bytes allocates one byte, so that NULL always means
 * failure.
 */
#include <base/alloc.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/*
 * Returns the bytes to allocate, at least 1; G_MAXSIZE if the product overflows, which the callers
 * never allocate.
 */
static size_t bytes_of(uint64_t count, size_t size)
{
    size_t bytes;

    return __builtin_mul_overflow(count, size, &bytes) ? G_MAXSIZE : MAX(bytes, 1);
}

/* Returns @memory. Sets the error if it is NULL. */
static gpointer memory_checked(gpointer memory, size_t bytes, const char *name, GError **error)
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

    return memory_checked(bytes < G_MAXSIZE ? g_try_malloc0(bytes) : NULL, bytes, name, error);
}

gpointer cst_realloc(gpointer memory, uint64_t count, size_t size, const char *name, GError **error)
{
    size_t bytes = bytes_of(count, size);

    return memory_checked(bytes < G_MAXSIZE ? g_try_realloc(memory, bytes) : NULL, bytes, name,
                          error);
}

gpointer cst_grow(gpointer list, uint64_t count, size_t size, const char *name, GError **error)
{
    /* A power of two, or 0: the list is full. Memory always extends to the next power of two. */
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
