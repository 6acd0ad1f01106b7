/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/**
 * A file on an http or https server. It is asked for in ranges where the server does those, and
 * must not change in between: what the server calls this version of it (a strong ETag, else the
 * date of its last change) goes with each request.
 *
 * Requests are repeated, with growing waits, while the server says that it can't now, or
 * connections break; what has come is not asked for again. Redirects are followed a few times,
 * never from https to http, never to anything else, and never from a public address to a private
 * one (redirect.h).
 */
typedef struct ImportHttp ImportHttp;

/**
 * Asks for the beginning of @url, to know the file. NOT_FOUND, DENIED, UNREACHABLE, TIMEOUT; LIMIT
 * when it is too large. @context must live as long as the result, whose calls may come from any
 * thread.
 */
ImportHttp *import_http_open(const ImportContext *context, const char *url, GError **error);
void import_http_free(ImportHttp *http);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportHttp, import_http_free)

/** The URL without a password, for messages; borrowed. */
const char *import_http_name(const ImportHttp *http);
/** The URL as it was given; borrowed. */
const char *import_http_url(const ImportHttp *http);
/** What the server calls this version of the file; borrowed; not NULL where it does ranges. */
const char *import_http_validator(const ImportHttp *http);
/** Bytes; IMPORT_UNKNOWN. */
uint64_t import_http_size(const ImportHttp *http);
/** Whether parts of it can be asked for. */
gboolean import_http_has_ranges(const ImportHttp *http);

/** Takes what comes, in order. FALSE ends the transfer with the error. */
typedef gboolean (*ImportHttpSink)(const void *buf, size_t len, gpointer data, GError **error);

/**
 * Gets @length bytes from @offset on, or all that follows with IMPORT_UNKNOWN. An @offset other
 * than 0 needs ranges. MISMATCH when the file is no longer what it was; IO when the server gives
 * less or more than it should.
 */
gboolean import_http_get(ImportHttp *http, uint64_t offset, uint64_t length, ImportHttpSink sink,
                         gpointer data, GError **error);
/** The file as a blob, read by ranges through a cache of a few MiB. Borrows @http. */
CstBlob *import_http_blob(ImportHttp *http);
