/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#define IMPORT_REPLY_HEADERS (128u << 10) /* bytes of headers that are read, redirects' too */
#define IMPORT_REPLY_TEXT    256          /* longest value that is kept */

/** What the headers of a reply say; of several replies (redirects) the last one counts. */
typedef struct {
    long status;        /**< 0: none yet */
    size_t header_size; /**< bytes, of all replies */
    uint64_t length;    /**< Content-Length; G_MAXUINT64: not told */
    gboolean has_range; /**< there was a Content-Range, with: */
    uint64_t start;     /**< the first byte */
    uint64_t total;     /**< of the whole file; G_MAXUINT64: not told */
    char etag[IMPORT_REPLY_TEXT], modified[IMPORT_REPLY_TEXT];
} ImportReply;

/** Reads one line of headers. FALSE: there have been too many. */
gboolean import_reply_header(ImportReply *reply, const char *line, size_t len);
/** What can stand in If-Range: a strong ETag, else the date; NULL: neither. g_free() it. */
char *import_reply_validator(const ImportReply *reply);
