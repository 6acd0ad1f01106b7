/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <arpa/inet.h>

#include <base/error.h>

#include "curl.h"

/**
 * Keeps a server of the Internet from leading a request to an address of the host or its network,
 * which the server itself may not reach. The addresses that libcurl connects to are checked, so
 * names do not matter. The URL of the user may have any address, and one private address may
 * redirect to another one.
 *
 * Through a proxy, the address of the server is unknown, so each server counts as public, and the
 * proxy decides about what it fetches.
 *
 * Belongs to one handle of libcurl and to the thread that performs its request.
 */
typedef struct {
    gboolean named_public;          /**< the host of the URL has had a public address */
    gboolean from_public;           /**< this request has reached a public address */
    gboolean begun;                 /**< this request has reached a server */
    char refused[INET6_ADDRSTRLEN]; /**< the address that was refused last; "": there is none */
} ImportRedirect;

/** Begins a request: has libcurl ask @redirect about each address. @redirect has to outlive it. */
void import_redirect_watch(ImportRedirect *redirect, const ImportCurl *curl, CURL *handle);
/** DENIED when an address was refused in the request that has failed; @name is that of its URL. */
gboolean import_redirect_check(const ImportRedirect *redirect, const ImportCurl *curl, CURL *handle,
                               const char *name, GError **error);
