/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <arpa/inet.h>

#include <base/error.h>

#include <base/curl.h>

/**
 * Prevents a public server from redirecting a request to an address of the host or its network,
 * which the server itself may not reach. The check uses the addresses that libcurl connects to, so
 * names do not matter. The URL of the user may have any address, and a private address may redirect
 * to another private one.
 *
 * Through a proxy the address of the server is unknown. Each server then counts as public, and the
 * proxy decides which servers it contacts.
 *
 * Belongs to one libcurl handle and to the thread that performs its request.
 */
typedef struct {
    gboolean named_public;          /**< the host of the URL once had a public address */
    gboolean from_public;           /**< this request has reached a public address */
    gboolean begun;                 /**< this request has reached a server */
    char refused[INET6_ADDRSTRLEN]; /**< the address that was refused last; "": no refusal */
} ImportRedirect;

/**
 * Begins a request: libcurl will check each address with @redirect, which must outlive the request.
 */
void import_redirect_watch(ImportRedirect *redirect, const CstCurl *curl, CURL *handle);
/**
 * Fails with DENIED if an address was refused in the failed request. @name is the shown form of its
 * URL.
 */
gboolean import_redirect_check(const ImportRedirect *redirect, const CstCurl *curl, CURL *handle,
                               const char *name, GError **error);
