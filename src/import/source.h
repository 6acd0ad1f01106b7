/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include <base/place.h>

#include "checksum.h"
#include "download.h"
#include "http.h"

/**
 * The source of the bytes: a server's file that is read by ranges or downloaded, a local file that
 * is read in place, or a spool of a pipe or of compressed data.
 */
typedef struct {
    char *name;               /**< for messages */
    CstBlob *blob;            /**< the content, unpacked */
    ImportHttp *http;         /**< the server's file; NULL: the source is local */
    ImportDownload *download; /**< the downloaded file; NULL: read by ranges, or spooled */
    CstPlace place;           /**< of the local file that the user named; else zeroed */
    int fd;                   /**< of a file that is read in place, borrowed from @blob; else -1 */
    struct stat before;       /**< its attributes when it was opened */
    uint64_t packed; /**< bytes that @blob was unpacked or spooled from; 0: @blob is unpacked */
} ImportSource;

/** Returns whether the source is standard input. */
gboolean import_is_standard(const ImportContext *context);
/** Opens the source of @context, unpacks it and verifies its digest. */
gboolean import_source_open(ImportSource *source, const ImportContext *context, GError **error);
void import_source_clear(ImportSource *source);
/**
 * Opens the file @name in the directory of @descriptor: beneath its opened directory, or on its
 * server. Does not read the content. Fails with DENIED for a name that leaves the directory and for
 * links, with INVALID for a URL that cannot be resolved, and with NOT_FOUND.
 */
gboolean import_source_open_beside(ImportSource *source, const ImportContext *context,
                                   const ImportSource *descriptor, const char *name,
                                   GError **error);
/**
 * Verifies the bytes of an open source against @wanted, and unpacks them if they are compressed.
 * @wanted NULL: no verification.
 */
gboolean import_source_read(ImportSource *source, const ImportContext *context,
                            const ImportChecksum *wanted, GError **error);
/** Replaces a source that is an archive by its only disk, unpacked; see archive.h. */
gboolean import_source_unpack(ImportSource *source, const ImportContext *context, GError **error);
/** Fails with MISMATCH if a file that is read in place has changed since it was opened. */
gboolean import_source_is_unchanged(const ImportSource *source, GError **error);
