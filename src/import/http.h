/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/**
 * A file on an http or https server. It is read by range requests if the server supports them. It
 * must not change between requests. Therefore each request contains the version that the server
 * reported first: a strong ETag, else the date of the last change.
 *
 * Requests are retried with growing waits while the server is temporarily unavailable or
 * connections break. Bytes already received are not requested again. A few redirects are followed.
 * They are refused from https to http, to another protocol, and from a public address to a private
 * one (redirect.h).
 */
typedef struct ImportHttp ImportHttp;

/**
 * Requests the beginning of @url to learn size and version of the file. Fails with NOT_FOUND,
 * DENIED, UNREACHABLE or TIMEOUT, and with LIMIT if the file is too large. @context must live as
 * long as the result. Calls with the result may come from any thread.
 */
ImportHttp *import_http_open(const ImportContext *context, const char *url, GError **error);
void import_http_free(ImportHttp *http);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportHttp, import_http_free)

/** Returns the URL without a password, for messages; borrowed. */
const char *import_http_name(const ImportHttp *http);
/** Returns the URL as given; borrowed. */
const char *import_http_url(const ImportHttp *http);
/**
 * Returns the version of the file as reported by the server; borrowed. Not NULL if the server
 * supports ranges.
 */
const char *import_http_validator(const ImportHttp *http);
/** Returns the size in bytes, or IMPORT_UNKNOWN. */
uint64_t import_http_size(const ImportHttp *http);
/** Returns whether parts of the file can be requested. */
gboolean import_http_has_ranges(const ImportHttp *http);

/** Receives the next bytes in order. FALSE ends the transfer with @error. */
typedef gboolean (*ImportHttpSink)(const void *buf, size_t len, gpointer data, GError **error);

/**
 * Gets @length bytes from @offset on, or all bytes from there with IMPORT_UNKNOWN. An @offset other
 * than 0 requires ranges. Fails with MISMATCH if the file has changed, and with IO if the server
 * sends fewer bytes or another part than requested.
 */
gboolean import_http_get(ImportHttp *http, uint64_t offset, uint64_t length, ImportHttpSink sink,
                         gpointer data, GError **error);
/** Returns the file as a blob that reads by ranges through a cache of 12 MiB. Borrows @http. */
CstBlob *import_http_blob(ImportHttp *http);
