/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The addresses of redirects. libcurl calls back twice. The first call is before it connects, so
 * that no byte reaches a private address. The second is before it sends a request, because a reused
 * connection has only this call.
 *
 * Before the first request is sent, all addresses belong to the URL of the user. The addresses of
 * its name may change between two requests for parts of one file. Therefore a URL whose host was
 * once public has to stay public.
 */
#include "redirect.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include <base/i18n.h>
#include <base/url.h>

#include "address.h"

#define PROXY_PORT 1080u /* libcurl's default for a proxy without a port */

static unsigned proxy_port(const char *proxy)
{
    const char *colon = strrchr(proxy, ':');

    return colon && g_ascii_isdigit(colon[1]) ? (unsigned)g_ascii_strtoull(colon + 1, NULL, 10)
                                              : PROXY_PORT;
}

/* Returns whether @port is the port of a proxy in the environment. */
static gboolean is_proxy(unsigned port)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *proxy = g_getenv(names[i]);

        if (proxy && *proxy && proxy_port(proxy) == port)
            return TRUE;
    }
    return FALSE;
}

/* Refuses a private address after the request has reached a public one. */
static gboolean redirect_allows(ImportRedirect *redirect, int family, const void *bytes)
{
    if (!redirect->from_public || !import_address_is_private(family, bytes))
        return TRUE;
    if (!inet_ntop(family, bytes, redirect->refused, sizeof(redirect->refused)))
        g_strlcpy(redirect->refused, "?", sizeof(redirect->refused));
    return FALSE;
}

static curl_socket_t on_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)&address->addr;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address->addr;
    gboolean is_six = address->family == AF_INET6;
    const void *bytes = is_six ? (const void *)&six->sin6_addr : (const void *)&four->sin_addr;
    unsigned port = ntohs(is_six ? six->sin6_port : four->sin_port);

    if (!is_proxy(port) && !redirect_allows(data, address->family, bytes))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int on_request(void *data, char *remote, char *local, int port, int local_port)
{
    ImportRedirect *redirect = data;
    uint8_t bytes[sizeof(struct in6_addr)];
    int family = strchr(remote, ':') ? AF_INET6 : AF_INET;
    gboolean proxy = is_proxy((unsigned)port), public;

    if (inet_pton(family, remote, bytes) != 1)
        return CURL_PREREQFUNC_ABORT;
    public = proxy || !import_address_is_private(family, bytes);
    if (!proxy && !redirect_allows(redirect, family, bytes))
        return CURL_PREREQFUNC_ABORT;
    redirect->refused[0] = '\0'; /* another address of the same host has answered */
    redirect->from_public |= public;
    redirect->named_public |= public && !redirect->begun;
    redirect->begun = TRUE;
    return CURL_PREREQFUNC_OK;
}

void import_redirect_watch(ImportRedirect *redirect, const CstCurl *curl, CURL *handle)
{
    redirect->from_public = redirect->named_public;
    redirect->begun = FALSE;
    redirect->refused[0] = '\0';
    curl->curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl->curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, redirect);
    curl->curl_easy_setopt(handle, CURLOPT_PREREQFUNCTION, on_request);
    curl->curl_easy_setopt(handle, CURLOPT_PREREQDATA, redirect);
}

gboolean import_redirect_check(const ImportRedirect *redirect, const CstCurl *curl, CURL *handle,
                               const char *name, GError **error)
{
    g_autofree char *shown = NULL;
    char *url = NULL;

    if (!redirect->refused[0])
        return TRUE;
    curl->curl_easy_getinfo(handle, CURLINFO_EFFECTIVE_URL, &url);
    shown = url ? cst_url_shown(url) : NULL;
    return cst_fail(error, CST_ERROR_DENIED,
                    _("cannot get '%s': a public server leads to '%s' at the private address %s; "
                      "if you trust it, import that URL itself"),
                    name, shown ? shown : "?", redirect->refused);
}
