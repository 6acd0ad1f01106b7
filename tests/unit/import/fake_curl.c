/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_curl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <base/curl.h>

#define PIECE 16384

FakeServer fake_server;

const CstCurl *__wrap_cst_curl(GError **error);
gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);
void __wrap_g_usleep(gulong us);

typedef size_t (*Callback)(char *bytes, size_t size, size_t count, void *data);

/* Only one handle is in use at a time. */
static struct {
    Callback on_body, on_header;
    curl_xferinfo_callback on_progress;
    void *body_data, *header_data, *progress_data;
    const char *range;
    struct curl_slist *headers;
} handle;

void fake_server_reset(uint64_t size)
{
    fake_server = (FakeServer){.size = size, .version = 'a'};
}

void fake_server_clear_script(void)
{
    memset(fake_server.script, 0, sizeof(fake_server.script));
    memset(fake_server.asked, 0, sizeof(fake_server.asked));
    fake_server.requests = 0;
}

uint8_t fake_server_byte(char version, uint64_t offset)
{
    return (uint8_t)(offset * 7 + offset / 251 + offset / 65536 + (uint8_t)version);
}

gint64 __wrap_g_get_monotonic_time(void)
{
    return __real_g_get_monotonic_time() + fake_server.slept_us;
}

void __wrap_g_usleep(gulong us)
{
    fake_server.slept_us += (gint64)us;
    if (fake_server.on_sleep)
        fake_server.on_sleep();
}

/* --- one reply -------------------------------------------------------------------------------- */

typedef struct {
    uint64_t start, end;
    gboolean partial;
} Part;

static gboolean send_header(const char *format, ...) G_GNUC_PRINTF(1, 2);

static gboolean send_header(const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    return handle.on_header(line, 1, strlen(line), handle.header_data) == strlen(line);
}

static gboolean send_headers(const FakeRequest *request, const Part *part)
{
    long status = request->status ? request->status : part->partial ? 206 : 200;

    if (!send_header("HTTP/1.1 %ld Whatever\r\n", status) ||
        !send_header("ETag: \"%c\"\r\n", fake_server.version))
        return FALSE;
    if (fake_server.no_length)
        return TRUE;
    if (part->partial &&
        !send_header("Content-Range: bytes %lu-%lu/%lu\r\n",
                     (unsigned long)part->start + (unsigned long)request->shift,
                     (unsigned long)part->end - 1, (unsigned long)fake_server.size))
        return FALSE;
    return send_header("Content-Length: %lu\r\n", (unsigned long)(part->end - part->start));
}

static CURLcode send_body(const FakeRequest *request, const Part *part)
{
    char piece[PIECE];
    uint64_t left = part->end - part->start, at = part->start;
    gboolean breaks = request->break_at > 0 && (uint64_t)request->break_at - 1 < left;

    if (breaks)
        left = (uint64_t)request->break_at - 1;
    while (left > 0) {
        size_t n = (size_t)MIN(left, sizeof(piece));

        for (size_t i = 0; i < n; i++)
            piece[i] = (char)fake_server_byte(fake_server.version, at + i);
        if (handle.on_body(piece, 1, n, handle.body_data) != n)
            return CURLE_WRITE_ERROR;
        if (handle.on_progress && handle.on_progress(handle.progress_data, 0, 0, 0, 0))
            return CURLE_ABORTED_BY_CALLBACK;
        at += n;
        left -= n;
    }
    return breaks && !request->ends ? CURLE_PARTIAL_FILE : CURLE_OK;
}

/*
 * Records the request and returns the part to send. It is the whole file if the condition does not
 * hold.
 */
static Part note_request(const FakeRequest *request)
{
    Part part = {0, fake_server.size, FALSE};
    char condition = '\0';
    unsigned long first = 0, last = 0;
    int fields = handle.range ? sscanf(handle.range, "%lu-%lu", &first, &last) : 0;

    for (const struct curl_slist *header = handle.headers; header; header = header->next)
        (void)sscanf(header->data, "If-Range: \"%c\"", &condition);
    g_snprintf(fake_server.asked[fake_server.requests], sizeof(fake_server.asked[0]), "%s%s%c",
               handle.range ? handle.range : "", condition ? " if " : "", condition);
    if (fields > 0 && !fake_server.no_ranges && !request->whole &&
        (!condition || condition == fake_server.version || fake_server.no_condition)) {
        part.partial = TRUE;
        part.start = MIN(first, fake_server.size);
        if (fields > 1)
            part.end = MIN(last + 1, fake_server.size);
    }
    return part;
}

static CURLcode fake_perform(CURL *curl)
{
    const FakeRequest *request = &fake_server.script[fake_server.requests];
    Part part;

    g_assert(fake_server.requests < FAKE_REQUESTS);
    if (request->version)
        fake_server.version = request->version;
    if (request->size)
        fake_server.size = request->size;
    part = note_request(request);
    fake_server.requests++;
    if (request->silent)
        return CURLE_OPERATION_TIMEDOUT;
    if (!send_headers(request, &part))
        return CURLE_WRITE_ERROR;
    return send_body(request, &part);
}

/* --- libcurl's functions ---------------------------------------------------------------------- */

static CURLcode fake_setopt(CURL *curl, CURLoption option, ...)
{
    va_list args;

    va_start(args, option);
    switch (option) {
    case CURLOPT_RANGE: handle.range = va_arg(args, const char *); break;
    case CURLOPT_HTTPHEADER: handle.headers = va_arg(args, struct curl_slist *); break;
    case CURLOPT_WRITEFUNCTION: handle.on_body = va_arg(args, Callback); break;
    case CURLOPT_WRITEDATA: handle.body_data = va_arg(args, void *); break;
    case CURLOPT_HEADERFUNCTION: handle.on_header = va_arg(args, Callback); break;
    case CURLOPT_HEADERDATA: handle.header_data = va_arg(args, void *); break;
    case CURLOPT_XFERINFOFUNCTION: handle.on_progress = va_arg(args, curl_xferinfo_callback); break;
    case CURLOPT_XFERINFODATA: handle.progress_data = va_arg(args, void *); break;
    default: break;
    }
    va_end(args);
    return CURLE_OK;
}

static CURL *fake_init(void)
{
    return &handle;
}

static void fake_reset(CURL *curl)
{
    memset(&handle, 0, sizeof(handle));
}

static void fake_cleanup(CURL *curl)
{
}

static const char *fake_strerror(CURLcode code)
{
    return "it fails";
}

static struct curl_slist *fake_append(struct curl_slist *list, const char *text)
{
    struct curl_slist *item = g_new0(struct curl_slist, 1);

    item->data = g_strdup(text);
    item->next = list;
    return item;
}

static void fake_free_all(struct curl_slist *list)
{
    while (list) {
        struct curl_slist *next = list->next;

        g_free(list->data);
        g_free(list);
        list = next;
    }
}

const CstCurl *__wrap_cst_curl(GError **error)
{
    static const CstCurl table = {
        .curl_easy_init = fake_init,
        .curl_easy_setopt = fake_setopt,
        .curl_easy_perform = fake_perform,
        .curl_easy_reset = fake_reset,
        .curl_easy_cleanup = fake_cleanup,
        .curl_easy_strerror = fake_strerror,
        .curl_slist_append = fake_append,
        .curl_slist_free_all = fake_free_all,
    };

    return &table;
}
