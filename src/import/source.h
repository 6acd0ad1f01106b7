/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include "checksum.h"
#include "download.h"
#include "http.h"

/**
 * Where the bytes come from: a server's file that is read by ranges, a file that is read where it
 * lies, or a spool of what came by a pipe or was compressed.
 */
typedef struct {
    char *name;               /**< for messages */
    CstBlob *blob;            /**< what is in it, unpacked */
    ImportHttp *http;         /**< the server's file; NULL: there is none */
    ImportDownload *download; /**< all of that file; NULL: it is read by ranges, or spooled */
    int fd;             /**< of a file that is read where it lies, borrowed of the blob; else -1 */
    struct stat before; /**< what it was when it was opened */
    uint64_t packed;    /**< bytes that @blob was unpacked or spooled from; 0: @blob as it is */
} ImportSource;

/** Whether the source is standard input. */
gboolean import_is_standard(const ImportContext *context);
/** Opens the source that @context names, and has all of it there: unpacked, its digest verified. */
gboolean import_source_open(ImportSource *source, const ImportContext *context, GError **error);
void import_source_clear(ImportSource *source);
/**
 * Opens the file @name beside the one that @context names: in its directory, or on its server.
 * Nothing of it is read yet. INVALID for a name that is a path, NOT_FOUND, DENIED for links.
 */
gboolean import_source_open_beside(ImportSource *source, const ImportContext *context,
                                   const char *name, GError **error);
/**
 * Unpacks a source that is open, where it is compressed, and verifies it as it is; @wanted NULL: it
 * may be anything.
 */
gboolean import_source_read(ImportSource *source, const ImportContext *context,
                            const ImportChecksum *wanted, GError **error);
/** Replaces a source that is an archive by the only disk in it, unpacked; see archive.h. */
gboolean import_source_unpack(ImportSource *source, const ImportContext *context, GError **error);
/** MISMATCH when a file that is read where it lies has changed since. */
gboolean import_source_is_unchanged(const ImportSource *source, GError **error);
