/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <import/import.h>

#include <base/error.h>
#include <blob/blob.h>

/** What the parts of one import share: how it is done, and who waits for it. */
typedef struct {
    const CstImportHow *how; /**< borrowed */
    CstTask *task;           /**< borrowed; may be NULL */
    uint64_t max_size;       /**< bytes; never 0 */
    gboolean bounded;        /**< the user has said what is too large */
    unsigned timeout_s;      /**< how long a server may be silent; never 0 */
} ImportContext;

/** Tells the user @format, unless nobody listens. */
void import_note(const ImportContext *context, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** LIMIT when @size bytes of @name are more than the import may have. */
gboolean import_check_size(const ImportContext *context, uint64_t size, const char *name,
                           GError **error);
/**
 * LIMIT when @name, of which @read bytes came, has become @made bytes: over 1 GiB and over a
 * thousand times as much, unless the user has set a limit. A disk that is nearly all zeroes can
 * honestly exceed that, so the message names the option.
 */
gboolean import_check_expansion(const ImportContext *context, uint64_t made, uint64_t read,
                                const char *name, GError **error);

#define IMPORT_STEP    (1u << 20)  /* bytes read at a time */
#define IMPORT_UNKNOWN G_MAXUINT64 /* a length that is not known */
