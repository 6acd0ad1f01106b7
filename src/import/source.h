/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include "http.h"

/**
 * Where the bytes come from: a server's file that is read by ranges, a file that is read where it
 * lies, or a spool of what came by a pipe or was compressed.
 */
typedef struct {
    const char *name;   /**< for messages; borrowed */
    CstBlob *blob;      /**< what is in it, unpacked */
    ImportHttp *http;   /**< the server's file; NULL: there is none */
    int fd;             /**< of a file that is read where it lies, borrowed of the blob; else -1 */
    struct stat before; /**< what it was when it was opened */
} ImportSource;

/** Opens the source that @context names, and has all of it there: unpacked, its digest verified. */
gboolean import_source_open(ImportSource *source, const ImportContext *context, GError **error);
void import_source_clear(ImportSource *source);
/** MISMATCH when a file that is read where it lies has changed since. */
gboolean import_source_is_unchanged(const ImportSource *source, GError **error);
