/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Webhooks: a POST of the JSON document. The header X-Cistern-Signature has the HMAC-SHA-256 of the
 * body, so that the receiver knows the sender. Redirects are not followed, because the URL of the
 * configuration is the only one that may get the message.
 */
#include <string.h>

#include <base/curl.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/input.h>

#include "notify_private.h"

#define CONNECT_SECONDS 10
#define KEY_MAX         4096 /* bytes */

/* Returns "X-Cistern-Signature: sha256=…", or NULL with an error. */
static char *signature_header(const char *key_file, const char *body, GError **error)
{
    g_autofree char *key = NULL, *digest = NULL;
    size_t len = 0;

    if (!cst_input_read(key_file, CST_FILE_PRIVATE, KEY_MAX, &key, &len, error))
        return NULL;
    while (len > 0 && (key[len - 1] == '\n' || key[len - 1] == '\r'))
        len--;
    if (len == 0) {
        cst_fail(error, CST_ERROR_CONFIG, _("'%s' has no key"), key_file);
        return NULL;
    }
    digest = g_compute_hmac_for_string(G_CHECKSUM_SHA256, (const guchar *)key, len, body, -1);
    explicit_bzero(key, len);
    return g_strconcat("X-Cistern-Signature: sha256=", digest, NULL);
}

/* Ends the transfer, because the status is known, and a body may have no end. */
static size_t answer_end(char *bytes, size_t size, size_t count, void *data)
{
    return 0;
}

static int transfer_is_cancelled(void *task, curl_off_t total, curl_off_t now, curl_off_t up_total,
                                 curl_off_t up_now)
{
    return cst_task_cancelled(task);
}

static CURLcode webhook_post(const CstCurl *curl, CURL *handle, const CstNotifyRule *rule,
                             const char *body, struct curl_slist *headers, CstTask *task)
{
    __typeof__(curl->curl_easy_setopt) set = curl->curl_easy_setopt;

    set(handle, CURLOPT_URL, rule->webhook);
    set(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    set(handle, CURLOPT_FOLLOWLOCATION, 0L);
    set(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    set(handle, CURLOPT_POSTFIELDS, body);
    set(handle, CURLOPT_HTTPHEADER, headers);
    set(handle, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    set(handle, CURLOPT_TIMEOUT, (long)SEND_SECONDS);
    set(handle, CURLOPT_NOSIGNAL, 1L);
    set(handle, CURLOPT_USERAGENT, "cistern/" CST_VERSION);
    set(handle, CURLOPT_WRITEFUNCTION, answer_end);
    if (rule->webhook_ca)
        set(handle, CURLOPT_CAINFO, rule->webhook_ca);
    if (task) {
        set(handle, CURLOPT_XFERINFOFUNCTION, transfer_is_cancelled);
        set(handle, CURLOPT_XFERINFODATA, task);
        set(handle, CURLOPT_NOPROGRESS, 0L);
    }
    return curl->curl_easy_perform(handle);
}

static gboolean webhook_result(const CstCurl *curl, CURL *handle, CURLcode code, CstTask *task,
                               GError **error)
{
    long status = 0;

    curl->curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300)
        return TRUE;
    if (!cst_task_check(task, error))
        return FALSE;
    return status == 0
               ? cst_fail(error, CST_ERROR_UNREACHABLE, _("the webhook cannot be reached: %s"),
                          curl->curl_easy_strerror(code))
               : cst_fail(error, CST_ERROR_DENIED, _("the webhook answered with status %ld"),
                          status);
}

gboolean webhook_send(const CstNotifyRule *rule, const char *body, CstTask *task, GError **error)
{
    const CstCurl *curl = cst_curl(error);
    g_autofree char *signature = NULL;
    struct curl_slist *headers = NULL;
    CURL *handle;
    CURLcode code;
    gboolean ok;

    if (!curl)
        return FALSE;
    if (rule->webhook_key && !(signature = signature_header(rule->webhook_key, body, error)))
        return FALSE;
    handle = curl->curl_easy_init();
    if (!handle)
        return cst_fail(error, CST_ERROR_INTERNAL, "%s", _("libcurl has no memory"));
    headers = curl->curl_slist_append(headers, "Content-Type: application/json");
    if (signature)
        headers = curl->curl_slist_append(headers, signature);
    code = webhook_post(curl, handle, rule, body, headers, task);
    ok = webhook_result(curl, handle, code, task, error);
    curl->curl_slist_free_all(headers);
    curl->curl_easy_cleanup(handle);
    return ok;
}
