/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

/**
 * Memory whose size somebody else has a say in: a field of an image's header, the length of a
 * table, a message, the number of objects in a store. g_malloc() ends the process when there is
 * none, which is right for a structure of ours and not for a size that a tenant chose: these return
 * NULL and set NO_MEMORY, and one request fails. The format's own limit is checked first.
 *
 * All of them: @name is the file or object that the memory is for, and goes into the message. Free
 * with g_free(). No elements are no failure: the result can be freed and holds nothing.
 */

/** @count elements of @size bytes each; NULL when there is no memory or the product overflows. */
gpointer cst_alloc(uint64_t count, size_t size, const char *name, GError **error);

/** The same, zeroed. */
gpointer cst_alloc0(uint64_t count, size_t size, const char *name, GError **error);

/** As g_realloc(); on failure @memory stays as it was, and stays the caller's. */
gpointer cst_realloc(gpointer memory, uint64_t count, size_t size, const char *name,
                     GError **error);

/**
 * Room for one element more behind the @count of a list; NULL as from cst_realloc(). The list gets
 * memory for twice as many when @count is a power of two, so grow it by one element at a time, with
 * nothing but this, from NULL on.
 */
gpointer cst_grow(gpointer list, uint64_t count, size_t size, const char *name, GError **error);

/** A copy of @len bytes. */
gpointer cst_memdup(gconstpointer bytes, uint64_t len, const char *name, GError **error);
