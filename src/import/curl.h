/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#define CURL_DISABLE_TYPECHECK /* its macros would be in the way of the table */
#include <curl/curl.h>
#include <glib.h>

/**
 * libcurl, loaded on first use: who imports no URL needs none of it, nor of the TLS library that
 * comes with it.
 */
#define IMPORT_CURL_FUNCTIONS(X) \
    X(curl_global_init)          \
    X(curl_easy_init)            \
    X(curl_easy_setopt)          \
    X(curl_easy_perform)         \
    X(curl_easy_getinfo)         \
    X(curl_easy_reset)           \
    X(curl_easy_cleanup)         \
    X(curl_easy_strerror)        \
    X(curl_slist_append)         \
    X(curl_slist_free_all)

#undef curl_easy_setopt
#undef curl_easy_getinfo

typedef struct {
#define IMPORT_CURL_MEMBER(function) __typeof__(function) *(function);
    IMPORT_CURL_FUNCTIONS(IMPORT_CURL_MEMBER)
#undef IMPORT_CURL_MEMBER
} ImportCurl;

/** Loads it unless it is loaded. NULL with UNSUPPORTED, naming the package. Any thread. */
const ImportCurl *import_curl(GError **error);
