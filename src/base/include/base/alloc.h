/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

/**
 * Memory whose size depends on input: a field of an image's header, the length of a table, a
 * message, the number of objects in a store. g_malloc() ends the process when there is none, which
 * is right for a structure of ours and not for a size that a tenant chose: these functions return
 * NULL and set NO_MEMORY, and one request fails. The caller checks the format's own limit first.
 *
 * In all functions @name is the file or object that the memory is for, and goes into the message.
 * The result is freed with g_free(). A @count of 0 is no failure: the result is not NULL and holds
 * nothing.
 */

/**
 * Allocates @count elements of @size bytes each. NULL when there is no memory or the product
 * overflows.
 */
gpointer cst_alloc(uint64_t count, size_t size, const char *name, GError **error);

/** As cst_alloc(), zeroed. */
gpointer cst_alloc0(uint64_t count, size_t size, const char *name, GError **error);

/** As g_realloc(). On failure @memory is unchanged and still the caller's. */
gpointer cst_realloc(gpointer memory, uint64_t count, size_t size, const char *name,
                     GError **error);

/**
 * Makes room for one more element behind the @count of a list; NULL as from cst_realloc(). Memory
 * doubles whenever @count is a power of two, so a list must grow by one element at a time, by
 * nothing but this function, from NULL on.
 */
gpointer cst_grow(gpointer list, uint64_t count, size_t size, const char *name, GError **error);

/** Returns a copy of @len bytes. @bytes may be NULL when @len is 0. */
gpointer cst_memdup(gconstpointer bytes, uint64_t len, const char *name, GError **error);
