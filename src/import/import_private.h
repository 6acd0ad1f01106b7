/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <import/import.h>

#include <base/error.h>
#include <blob/blob.h>

/** State that the parts of one import share: its options and its task. */
typedef struct {
    const CstImportHow *how; /**< borrowed */
    CstTask *task;           /**< borrowed; may be NULL */
    uint64_t max_size;       /**< bytes; never 0 */
    gboolean bounded;        /**< the user has set max_size */
    unsigned timeout_s;      /**< seconds that a server may be silent; never 0 */
} ImportContext;

/** Reports @format to the user. Does nothing if the caller has set no note function. */
void import_note(const ImportContext *context, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Fails with LIMIT if @size, the bytes of @name, exceed the maximum of the import. */
gboolean import_check_size(const ImportContext *context, uint64_t size, const char *name,
                           GError **error);
/**
 * Fails with LIMIT if @name, of which @read bytes were read, has expanded to @made bytes: over 1
 * GiB and over a thousand times as much. Not if the user has set a limit. A disk of zeroes can
 * legitimately exceed this bound, so the message names the option.
 */
gboolean import_check_expansion(const ImportContext *context, uint64_t made, uint64_t read,
                                const char *name, GError **error);

#define IMPORT_STEP    (1u << 20)  /* bytes read at a time */
#define IMPORT_UNKNOWN G_MAXUINT64 /* a length that is not known */
