/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Shared libraries that are loaded on first use, so that a program does not pay for them at its
 * start. A table in src/base/libraries lists the functions that the program uses, and the build
 * generates a header from it (<gnutls_library.h>). The header includes the library's own headers
 * and redirects each call through the table, so that call sites look as usual. Libraries are never
 * unloaded.
 */
typedef struct {
    const char *file;         /**< as the dynamic linker searches for it: "libgnutls.so.30" */
    const char *package;      /**< Debian's package that has the file */
    const char *const *names; /**< of functions and variables, NULL-terminated */
    void **found;             /**< the address for each of @names */
    GMutex lock;              /**< guards loading */
    gint loaded;              /**< atomic; @found is complete and does not change any more */
} CstLibrary;

/**
 * Loads @library unless it is loaded. Any thread. Call it where an error can be reported, before
 * the first function of the library is used. A failure is not cached: the next call tries again.
 *
 * Return: FALSE with UNSUPPORTED, which names the package, if the library cannot be loaded.
 */
gboolean cst_library_load(CstLibrary *library, GError **error);

/** Loads @library, or ends the process with the error of cst_library_load(). */
void cst_library_need(CstLibrary *library);

/** Return: the addresses in the order of the names. Loads the library first if necessary. */
static inline const void *cst_library_table(CstLibrary *library)
{
    if (G_UNLIKELY(!g_atomic_int_get(&library->loaded)))
        cst_library_need(library);
    return library->found;
}
