/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#define CURL_DISABLE_TYPECHECK /* its macros conflict with the table */
#include <curl/curl.h>
#include <glib.h>

/** libcurl, loaded on first use, because only imports from URLs and webhooks need it and its TLS
 * library. */
#define CST_CURL_FUNCTIONS(X) \
    X(curl_global_init)       \
    X(curl_easy_init)         \
    X(curl_easy_setopt)       \
    X(curl_easy_perform)      \
    X(curl_easy_getinfo)      \
    X(curl_easy_reset)        \
    X(curl_easy_cleanup)      \
    X(curl_easy_strerror)     \
    X(curl_slist_append)      \
    X(curl_slist_free_all)

#undef curl_easy_setopt
#undef curl_easy_getinfo

typedef struct {
#define CST_CURL_MEMBER(function) __typeof__(function) *(function);
    CST_CURL_FUNCTIONS(CST_CURL_MEMBER)
#undef CST_CURL_MEMBER
} CstCurl;

/**
 * Loads the library on the first call. Returns NULL with UNSUPPORTED, which names the package. From
 * any thread.
 */
const CstCurl *cst_curl(GError **error);
