/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests to an untrusted server. Before any of its bytes are used, four values are checked: the
 * status, the range, the total size and the version. There are limits for headers, redirects, the
 * time to connect, the time below TRICKLE bytes a second, and attempts without progress. Bytes
 * after the requested length are ignored.
 */
#include "http.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <base/i18n.h>
#include <base/url.h>

#include "http_reply.h"
#include "name.h"
#include "redirect.h"
#include <base/curl.h>

#define REDIRECTS   5L
#define CONNECT_MAX 20L          /* seconds */
#define TRICKLE     1024L        /* bytes a second */
#define ATTEMPTS    5            /* consecutive attempts without progress */
#define FIRST_WAIT  (500 * 1000) /* µs; doubles */
#define LONGEST     (8 * G_USEC_PER_SEC)
#define PROGRESS    (64u << 10) /* bytes that reset the count of attempts */
#define NAP         (50 * 1000) /* µs between two checks of the task */
#define BEGINNING   (64u << 10) /* bytes requested to learn size and version */

struct ImportHttp {
    const ImportContext *context;
    const CstCurl *curl;
    CURL *handle; /* keeps the connection */
    GMutex lock;  /* held by a request */
    char *url, *name;
    uint64_t size;
    char *validator;
    gboolean ranges;
    ImportRedirect redirect; /* addresses that the requests may reach */
};

/* A request, which may take several attempts. */
typedef struct {
    ImportHttp *http;
    ImportReply reply;
    gboolean first;     /* size and version are not known yet */
    uint64_t offset;    /* position of the next byte */
    uint64_t end;       /* IMPORT_UNKNOWN: the end of the file */
    uint64_t attempted; /* offset at which the attempt began */
    gboolean accepted;  /* the reply was checked and matches the request */
    ImportHttpSink sink;
    gpointer data;
    GError *error; /* error of a callback */
} Request;

const char *import_http_name(const ImportHttp *http)
{
    return http->name;
}

const char *import_http_url(const ImportHttp *http)
{
    return http->url;
}

const char *import_http_validator(const ImportHttp *http)
{
    return http->validator;
}

uint64_t import_http_size(const ImportHttp *http)
{
    return http->size;
}

gboolean import_http_has_ranges(const ImportHttp *http)
{
    return http->ranges;
}

/* --- the reply -------------------------------------------------------------------------------- */

static gboolean http_fail_changed(const ImportHttp *http, GError **error)
{
    return cst_fail(error, CST_ERROR_MISMATCH,
                    _("'%s' has changed on the server while it was read"), http->name);
}

/* Stores size and version of the file from the first reply. */
static gboolean http_store_reply(Request *request, GError **error)
{
    ImportHttp *http = request->http;
    const ImportReply *reply = &request->reply;
    gboolean partial = reply->status == 206;

    http->size = partial ? reply->total : reply->length;
    http->validator = import_reply_validator(reply);
    http->ranges = partial && http->validator && http->size != IMPORT_UNKNOWN;
    if (http->size != IMPORT_UNKNOWN)
        request->end = MIN(request->end, http->size);
    return http->size == IMPORT_UNKNOWN ||
           import_check_size(http->context, http->size, http->name, error);
}

/* Checks that a later reply is of the same file. */
static gboolean http_check_reply(const Request *request, GError **error)
{
    const ImportHttp *http = request->http;
    const ImportReply *reply = &request->reply;
    g_autofree char *validator = import_reply_validator(reply);
    uint64_t size = reply->status == 206 ? reply->total : reply->length;

    if (http->size != IMPORT_UNKNOWN && size != IMPORT_UNKNOWN && size != http->size)
        return http_fail_changed(http, error);
    if (http->validator && validator && !g_str_equal(http->validator, validator))
        return http_fail_changed(http, error);
    return TRUE;
}

/* Checks a reply before the first byte of its body. */
static gboolean accept_reply(Request *request, GError **error)
{
    const ImportReply *reply = &request->reply;

    if (reply->status == 206 && (!reply->has_range || reply->start != request->offset))
        return cst_fail(error, CST_ERROR_IO,
                        _("the server of '%s' gives another part than it was asked for"),
                        request->http->name);
    if (request->first) {
        request->first = FALSE;
        return http_store_reply(request, error);
    }
    /* 200 instead of 206: If-Range did not match, so the file has another version. */
    if (reply->status == 200 && request->offset > 0)
        return http_fail_changed(request->http, error);
    return http_check_reply(request, error);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data)
{
    Request *request = data;
    size_t len = size * count;

    if (request->reply.status != 200 && request->reply.status != 206)
        return 0; /* the page of an error; its status is reported later */
    if (!request->accepted && !accept_reply(request, &request->error))
        return 0;
    request->accepted = TRUE;
    /* A server without ranges sends the whole file; ignore the bytes after the requested end. */
    len = (size_t)MIN(len, request->end - MIN(request->end, request->offset));
    if (!cst_task_check(request->http->context->task, &request->error) ||
        !import_check_size(request->http->context, request->offset + len, request->http->name,
                           &request->error) ||
        (len > 0 && !request->sink(bytes, len, request->data, &request->error)))
        return 0;
    request->offset += len;
    return len == size * count ? len : 0;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *data)
{
    Request *request = data;
    size_t len = size * count;

    if (import_reply_header(&request->reply, bytes, len))
        return len;
    if (!request->error)
        cst_fail(&request->error, CST_ERROR_LIMIT, _("the server of '%s' sends too many headers"),
                 request->http->name);
    return 0;
}

static int on_progress(void *data, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up_now)
{
    return cst_task_cancelled(((Request *)data)->http->context->task);
}

/* --- one attempt ------------------------------------------------------------------------------ */

static struct curl_slist *http_set_range(const Request *request, char **ret_range)
{
    const ImportHttp *http = request->http;
    g_autofree char *condition = NULL;

    *ret_range = NULL;
    if (!http->ranges && !request->first)
        return NULL;
    *ret_range = request->end == IMPORT_UNKNOWN
                     ? g_strdup_printf("%" PRIu64 "-", request->offset)
                     : g_strdup_printf("%" PRIu64 "-%" PRIu64, request->offset, request->end - 1);
    if (!http->validator)
        return NULL;
    condition = g_strdup_printf("If-Range: %s", http->validator);
    return http->curl->curl_slist_append(NULL, condition);
}

static void http_set_limits(const ImportHttp *http)
{
    __typeof__(http->curl->curl_easy_setopt) set = http->curl->curl_easy_setopt;
    gboolean tls = g_ascii_strncasecmp(http->url, "https:", strlen("https:")) == 0;
    long timeout = (long)http->context->timeout_s;

    /* A redirect must be allowed in both lists. */
    set(http->handle, CURLOPT_PROTOCOLS_STR, tls ? "https" : "http,https");
    set(http->handle, CURLOPT_REDIR_PROTOCOLS_STR, tls ? "https" : "http,https");
    set(http->handle, CURLOPT_FOLLOWLOCATION, 1L);
    set(http->handle, CURLOPT_MAXREDIRS, REDIRECTS);
    set(http->handle, CURLOPT_CONNECTTIMEOUT, MIN(CONNECT_MAX, timeout));
    set(http->handle, CURLOPT_LOW_SPEED_LIMIT, TRICKLE);
    set(http->handle, CURLOPT_LOW_SPEED_TIME, timeout);
    set(http->handle, CURLOPT_NOSIGNAL, 1L);
    set(http->handle, CURLOPT_USERAGENT, "cistern/" CST_VERSION);
    if (http->context->how->ca_file)
        set(http->handle, CURLOPT_CAINFO, http->context->how->ca_file);
}

static CURLcode http_perform_request(Request *request)
{
    ImportHttp *http = request->http;
    __typeof__(http->curl->curl_easy_setopt) set = http->curl->curl_easy_setopt;
    g_autofree char *range = NULL;
    struct curl_slist *headers = http_set_range(request, &range);
    CURLcode code;

    http->curl->curl_easy_reset(http->handle);
    http_set_limits(http);
    import_redirect_watch(&http->redirect, http->curl, http->handle);
    set(http->handle, CURLOPT_URL, http->url);
    set(http->handle, CURLOPT_RANGE, range);
    set(http->handle, CURLOPT_HTTPHEADER, headers);
    set(http->handle, CURLOPT_WRITEFUNCTION, on_body);
    set(http->handle, CURLOPT_WRITEDATA, request);
    set(http->handle, CURLOPT_HEADERFUNCTION, on_header);
    set(http->handle, CURLOPT_HEADERDATA, request);
    set(http->handle, CURLOPT_XFERINFOFUNCTION, on_progress);
    set(http->handle, CURLOPT_XFERINFODATA, request);
    set(http->handle, CURLOPT_NOPROGRESS, 0L);
    request->reply = (ImportReply){0};
    request->accepted = FALSE;
    request->attempted = request->offset;
    code = http->curl->curl_easy_perform(http->handle);
    http->curl->curl_slist_free_all(headers);
    return code;
}

/* --- the result ------------------------------------------------------------------------------- */

/* Returns whether all requested bytes were received. A reply without a body is an empty file. */
static gboolean is_complete(Request *request, CURLcode code)
{
    if (request->reply.status == 416 && request->first)
        request->first = FALSE, request->http->size = 0, request->end = 0;
    if (code == CURLE_OK && request->reply.status == 200 && request->first &&
        accept_reply(request, &request->error))
        request->accepted = TRUE;
    if (request->error || request->first)
        return FALSE;
    if (request->end != IMPORT_UNKNOWN && request->offset == request->end)
        return TRUE;
    return request->http->size == IMPORT_UNKNOWN && code == CURLE_OK && request->accepted;
}

static gboolean may_pass(const Request *request, CURLcode code)
{
    long status = request->reply.status;

    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return TRUE;
    case CURLE_OK:
    case CURLE_WRITE_ERROR:
        return status == 408 || status == 429 || (status >= 500 && status <= 504) ||
               (request->accepted && code == CURLE_OK);
    default: return FALSE;
    }
}

static gboolean status_error(const Request *request, GError **error)
{
    static const struct {
        long status;
        CstErrorCode code;
    } rows[] = {{401, CST_ERROR_AUTH},
                {403, CST_ERROR_DENIED},
                {404, CST_ERROR_NOT_FOUND},
                {407, CST_ERROR_AUTH},
                {410, CST_ERROR_NOT_FOUND}};
    CstErrorCode code = CST_ERROR_UNREACHABLE;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].status == request->reply.status)
            code = rows[i].code;
    return cst_fail(error, code, _("the server of '%s' answers with status %ld"),
                    request->http->name, request->reply.status);
}

static gboolean http_fail_request(Request *request, CURLcode code, GError **error)
{
    const ImportHttp *http = request->http;
    long status = request->reply.status;

    if (request->error) {
        g_propagate_error(error, g_steal_pointer(&request->error));
        return FALSE;
    }
    if (!import_redirect_check(&http->redirect, http->curl, http->handle, http->name, error))
        return FALSE;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return cst_task_check(http->context->task, error) ||
               cst_fail(error, CST_ERROR_CANCELLED, _("'%s' was not read to its end"), http->name);
    if ((code == CURLE_OK || code == CURLE_WRITE_ERROR) && status != 200 && status != 206)
        return status_error(request, error);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return cst_fail(error, CST_ERROR_TIMEOUT,
                        _("the server of '%s' was silent, or nearly so, for %u s"), http->name,
                        http->context->timeout_s);
    if (code == CURLE_OK || code == CURLE_PARTIAL_FILE)
        return cst_fail(error, CST_ERROR_IO,
                        _("the server of '%s' ends it after %" PRIu64 " bytes"), http->name,
                        request->offset);
    if (code == CURLE_TOO_MANY_REDIRECTS)
        return cst_fail(error, CST_ERROR_LIMIT, _("the server of '%s' redirects over %ld times"),
                        http->name, REDIRECTS);
    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        return cst_fail(error, CST_ERROR_DENIED,
                        _("'%s' is redirected to a forbidden address: redirections lead only to "
                          "http or https, and never from https to http"),
                        http->name);
    return cst_fail(error, CST_ERROR_UNREACHABLE, _("cannot get '%s': %s"), http->name,
                    http->curl->curl_easy_strerror(code));
}

static gboolean http_wait_retry(CstTask *task, gint64 us, GError **error)
{
    for (gint64 until = g_get_monotonic_time() + us; g_get_monotonic_time() < until;) {
        if (!cst_task_check(task, error))
            return FALSE;
        g_usleep(NAP);
    }
    return TRUE;
}

/*
 * Without ranges a retry would start at the beginning again, but the sink already has these bytes.
 */
static gboolean can_go_on(const Request *request)
{
    return request->offset == 0 || request->http->ranges;
}

static gboolean http_run_request(Request *request, GError **error)
{
    gint64 wait = FIRST_WAIT;
    unsigned failures = 0;

    for (;;) {
        CURLcode code = http_perform_request(request);

        if (is_complete(request, code))
            return TRUE;
        if (request->offset - request->attempted >= PROGRESS) {
            failures = 0;
            wait = FIRST_WAIT;
        }
        failures += code == CURLE_OPERATION_TIMEDOUT ? 2 : 1;
        if (request->error || request->http->redirect.refused[0] || !may_pass(request, code) ||
            failures >= ATTEMPTS || !can_go_on(request))
            return http_fail_request(request, code, error);
        if (!http_wait_retry(request->http->context->task, wait, error))
            return FALSE;
        wait = MIN(2 * wait, LONGEST);
    }
}

gboolean import_http_get(ImportHttp *http, uint64_t offset, uint64_t length, ImportHttpSink sink,
                         gpointer data, GError **error)
{
    Request request = {.http = http, .offset = offset, .sink = sink, .data = data};
    gboolean ok;

    request.end = length == IMPORT_UNKNOWN ? http->size : offset + length;
    if (offset == request.end)
        return TRUE;
    g_mutex_lock(&http->lock);
    ok = http_run_request(&request, error);
    g_mutex_unlock(&http->lock);
    return ok;
}

/* --- opening ---------------------------------------------------------------------------------- */

static gboolean http_discard_body(const void *buf, size_t len, gpointer data, GError **error)
{
    return TRUE;
}

void import_http_free(ImportHttp *http)
{
    if (!http)
        return;
    if (http->handle)
        http->curl->curl_easy_cleanup(http->handle);
    g_mutex_clear(&http->lock);
    g_free(http->url);
    g_free(http->name);
    g_free(http->validator);
    g_free(http);
}

ImportHttp *import_http_open(const ImportContext *context, const char *url, GError **error)
{
    const CstCurl *curl = cst_curl(error);
    g_autofree char *scheme = g_uri_parse_scheme(url), *name = cst_url_shown(url);
    g_autoptr(ImportHttp) http = NULL;
    Request request = {.first = TRUE, .end = BEGINNING, .sink = http_discard_body};

    if (!curl)
        return NULL;
    if (!scheme || !g_uri_is_valid(url, G_URI_FLAGS_ENCODED, NULL) ||
        (g_ascii_strcasecmp(scheme, "http") != 0 && g_ascii_strcasecmp(scheme, "https") != 0)) {
        cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' is no http or https URL"), name);
        return NULL;
    }
    http = g_new0(ImportHttp, 1);
    g_mutex_init(&http->lock);
    http->context = context;
    http->curl = curl;
    http->handle = curl->curl_easy_init();
    http->url = g_strdup(url);
    http->name = g_steal_pointer(&name);
    http->size = IMPORT_UNKNOWN;
    request.http = http;
    return http_run_request(&request, error) ? g_steal_pointer(&http) : NULL;
}
