/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

/**
 * Memory of a size that depends on input: a field of an image's header, the length of a table, a
 * message, the number of objects in a store. g_malloc() aborts the process when memory runs out.
 * That is right for a structure of fixed size, but not for a size that a tenant chose. These
 * functions return NULL and set NO_MEMORY instead, so that only one request fails. The caller
 * checks the format's own limit first.
 *
 * In all functions @name is the file or object that the memory is for. It appears in the message.
 * Free the result with g_free(). A @count of 0 is valid: the result is not NULL and has room for no
 * element.
 */

/**
 * Allocates @count elements of @size bytes each. Returns NULL if memory runs out or the product
 * overflows.
 */
gpointer cst_alloc(uint64_t count, size_t size, const char *name, GError **error);

/** As cst_alloc(), zeroed. */
gpointer cst_alloc0(uint64_t count, size_t size, const char *name, GError **error);

/** As g_realloc(). On failure @memory is unchanged and the caller still owns it. */
gpointer cst_realloc(gpointer memory, uint64_t count, size_t size, const char *name,
                     GError **error);

/**
 * Makes room for one more element after the @count elements of a list. Returns NULL as
 * cst_realloc() does. Memory doubles whenever @count is a power of two. So start a list with NULL,
 * grow it by one element at a time, and only with this function.
 */
gpointer cst_grow(gpointer list, uint64_t count, size_t size, const char *name, GError **error);

/** Returns a copy of @len bytes. @bytes may be NULL when @len is 0. */
gpointer cst_memdup(gconstpointer bytes, uint64_t len, const char *name, GError **error);
