/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#define IMPORT_REPLY_HEADERS (128u << 10) /* bytes of headers, including redirects */
#define IMPORT_REPLY_TEXT    256          /* longest value that is stored */

/** The parsed headers of a reply. After redirects, the headers of the last reply. */
typedef struct {
    long status;        /**< 0: no reply yet */
    size_t header_size; /**< bytes, of all replies */
    uint64_t length;    /**< Content-Length; G_MAXUINT64: not sent */
    gboolean has_range; /**< a Content-Range was sent; @start and @total are valid */
    uint64_t start;     /**< the first byte */
    uint64_t total;     /**< of the whole file; G_MAXUINT64: not sent */
    char etag[IMPORT_REPLY_TEXT], modified[IMPORT_REPLY_TEXT];
} ImportReply;

/** Parses one header line. Returns FALSE if the headers exceed IMPORT_REPLY_HEADERS. */
gboolean import_reply_header(ImportReply *reply, const char *line, size_t len);
/**
 * Returns the value for If-Range: a strong ETag, else the date, else NULL. Free it with g_free().
 */
char *import_reply_validator(const ImportReply *reply);
