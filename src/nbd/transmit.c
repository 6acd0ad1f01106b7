/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests and their replies. The connection's thread reads requests (and the data of writes).
 * Workers serve them in parallel, and send the replies in the order of completion. The requests in
 * flight are bounded (budget.c). Above the bound the thread stops reading, and the client's own
 * buffers fill.
 *
 * Passing a short request to a worker costs more than serving it from a cache. Therefore the
 * connection's thread serves short requests itself while they are quick. After a request that had
 * to wait, for storage or for a client that does not read, workers serve the next SLOW_SPELL
 * requests.
 *
 * Flushes: a request that is answered before a flush is sent is in the blob. All connections share
 * the blob, so a flush on one connection makes the writes of all connections durable
 * (CAN_MULTI_CONN).
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/test_point.h>

#include "connection.h"

#define WORKERS    8
#define HOLE_MIN   4096        /* smaller holes of a read are sent as data */
#define SHORT_MAX  (16U << 10) /* bytes of a read or a write served without a worker */
#define QUICK_US   50          /* a read from an SSD takes longer */
#define SLOW_SPELL 1024

typedef struct {
    NbdConnection *connection;
    GMutex send_lock; /* held while a reply is sent */
    NbdFlight in_flight;
    guint slow; /* requests until the connection's thread serves one itself again */
} Flight;

typedef struct {
    Flight *flight;
    uint16_t flags, type;
    uint64_t handle, from;
    uint32_t len;
    uint8_t *data;   /* of a write */
    uint64_t common; /* bytes that the server's budget counts for it */
} Request;

/* --- replies ---------------------------------------------------------------------------------- */

static uint32_t error_number(const GError *error)
{
    switch (cst_error_code(error)) {
    case CST_ERROR_READ_ONLY:
    case CST_ERROR_DENIED: return NBD_EPERM;
    case CST_ERROR_INVALID: return NBD_EINVAL;
    case CST_ERROR_NO_SPACE:
    case CST_ERROR_LIMIT: return NBD_ENOSPC;
    case CST_ERROR_NO_MEMORY: return NBD_ENOMEM;
    case CST_ERROR_OVERFLOW: return NBD_EOVERFLOW;
    case CST_ERROR_UNSUPPORTED: return NBD_ENOTSUP;
    case CST_ERROR_CANCELLED: return NBD_ESHUTDOWN;
    default: return NBD_EIO;
    }
}

/*
 * Sends a reply. A failure shuts the socket down, so that the next read of the connection's thread
 * ends the connection.
 */
static void send_reply(Flight *flight, const void *head, size_t head_len, const void *data,
                       size_t len)
{
    g_mutex_lock(&flight->send_lock);
    if (!nbd_send(flight->connection, head, head_len, data, len))
        shutdown(flight->connection->fd, SHUT_RDWR);
    g_mutex_unlock(&flight->send_lock);
}

static void send_simple(const Request *request, uint32_t error, const void *data, size_t len)
{
    uint8_t head[16];
    uint8_t *at = nbd_put32(head, NBD_SIMPLE_MAGIC);

    at = nbd_put32(at, error);
    nbd_put64(at, request->handle);
    send_reply(request->flight, head, sizeof(head), data, len);
}

/*
 * Writes the header of a chunk with @len bytes of payload. Returns the address after it, for the
 * header of the chunk's type.
 */
static uint8_t *chunk_head(uint8_t *head, const Request *request, gboolean last, uint16_t type,
                           size_t len)
{
    uint8_t *at = nbd_put32(head, NBD_STRUCTURED_MAGIC);

    at = nbd_put16(at, last ? NBD_REPLY_FLAG_DONE : 0);
    at = nbd_put16(at, type);
    at = nbd_put64(at, request->handle);
    return nbd_put32(at, (uint32_t)len);
}

static gboolean answers_in_chunks(const Request *request)
{
    return request->flight->connection->structured &&
           (request->type == NBD_CMD_READ || request->type == NBD_CMD_BLOCK_STATUS);
}

static void send_error(const Request *request, uint32_t number, const char *why)
{
    uint8_t head[20 + 6];
    size_t len = MIN(strlen(why), (size_t)NBD_STRING_MAX);
    uint8_t *at;

    if (!answers_in_chunks(request)) {
        send_simple(request, number, NULL, 0);
        return;
    }
    at = chunk_head(head, request, TRUE, NBD_REPLY_ERROR, 6 + len);
    nbd_put16(nbd_put32(at, number), (uint16_t)len);
    send_reply(request->flight, head, sizeof(head), why, len);
}

static void send_outcome(const Request *request, gboolean done, const GError *error)
{
    if (done)
        send_simple(request, 0, NULL, 0);
    else
        send_error(request, error_number(error), error->message);
}

/* --- reads ------------------------------------------------------------------------------------ */

static void send_data(const Request *request, gboolean last, uint64_t offset, const uint8_t *data,
                      size_t len)
{
    uint8_t head[20 + 8];

    nbd_put64(chunk_head(head, request, last, NBD_REPLY_OFFSET_DATA, 8 + len), offset);
    send_reply(request->flight, head, sizeof(head), data, len);
}

/* Sends the end of a reply without content. */
static void send_nothing(const Request *request)
{
    uint8_t head[20];

    chunk_head(head, request, TRUE, NBD_REPLY_NONE, 0);
    send_reply(request->flight, head, sizeof(head), NULL, 0);
}

static void send_hole(const Request *request, gboolean last, uint64_t offset, uint32_t len)
{
    uint8_t head[20 + 12];

    nbd_put32(nbd_put64(chunk_head(head, request, last, NBD_REPLY_OFFSET_HOLE, 12), offset), len);
    send_reply(request->flight, head, sizeof(head), NULL, 0);
}

/*
 * Finds the run at @offset to send as one chunk: a hole, or data including small holes. Returns
 * FALSE with @error set on failure.
 */
static gboolean next_run(CstBlob *blob, uint64_t offset, uint64_t length, gboolean *ret_hole,
                         uint64_t *ret_length, GError **error)
{
    uint64_t at = offset, end = offset + length;
    CstExtent extent;

    *ret_hole = FALSE;
    while (at < end) {
        if (!cst_blob_extent(blob, at, end - at, &extent, error))
            return FALSE;
        if ((extent.flags & CST_EXTENT_ZERO) && extent.length >= HOLE_MIN) {
            *ret_hole = at == offset;
            if (*ret_hole)
                at += extent.length;
            break;
        }
        at += extent.length;
    }
    *ret_length = at - offset;
    return TRUE;
}

/*
 * Reads and sends chunk by chunk. A read error is reported for its chunk; the chunks sent before
 * stay valid.
 */
static gboolean read_in_chunks(const Request *request, uint8_t *buffer, GError **error)
{
    CstBlob *blob = request->flight->connection->export->blob;
    uint64_t offset = request->from, end = request->from + request->len;

    while (offset < end) {
        uint64_t length;
        gboolean hole;

        if (!next_run(blob, offset, end - offset, &hole, &length, error) ||
            (!hole && !cst_blob_pread(blob, buffer, length, offset, error)))
            return FALSE;
        if (hole)
            send_hole(request, offset + length == end, offset, (uint32_t)length);
        else
            send_data(request, offset + length == end, offset, buffer, length);
        offset += length;
    }
    return TRUE;
}

static void serve_read(const Request *request)
{
    CstBlob *blob = request->flight->connection->export->blob;
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *buffer =
        cst_alloc(request->len, 1, request->flight->connection->export->name, &error);
    gboolean chunks = answers_in_chunks(request);

    if (!buffer) {
        send_error(request, NBD_ENOMEM, error->message);
        return;
    }
    if (chunks && request->len > 0 && !(request->flags & NBD_CMD_FLAG_DF)) {
        if (!read_in_chunks(request, buffer, &error))
            send_error(request, error_number(error), error->message);
        return;
    }
    if (!cst_blob_pread(blob, buffer, request->len, request->from, &error))
        send_error(request, error_number(error), error->message);
    else if (chunks && request->len > 0)
        send_data(request, TRUE, request->from, buffer, request->len);
    else if (chunks)
        send_nothing(request);
    else
        send_simple(request, 0, buffer, request->len);
}

/* --- block status ----------------------------------------------------------------------------- */

/* Returns the index of the first range that ends after @offset, or the number of ranges. */
static guint first_behind(const GArray *ranges, uint64_t offset)
{
    guint low = 0, high = ranges->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        const CstRange *range = &g_array_index(ranges, CstRange, middle);

        if (range->offset + range->length <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_dirty(const Request *request, const GArray *ranges, GByteArray *runs)
{
    uint64_t offset = request->from, end = request->from + request->len;

    for (guint i = first_behind(ranges, offset);
         offset < end && runs->len < NBD_RUNS_MAX * NBD_RUN_LEN;) {
        const CstRange *range = i < ranges->len ? &g_array_index(ranges, CstRange, i) : NULL;
        gboolean dirty = range && range->offset <= offset;
        uint64_t stop = dirty ? range->offset + range->length : range ? range->offset : end;

        stop = MIN(stop, end);
        nbd_run_add(runs, (uint32_t)(stop - offset), dirty ? NBD_STATE_DIRTY : 0);
        if ((request->flags & NBD_CMD_FLAG_REQ_ONE) && nbd_runs_cut(runs))
            break;
        i += dirty;
        offset = stop;
    }
}

/* Sends a chunk for each selected context. */
static void serve_block_status(const Request *request)
{
    const NbdConnection *connection = request->flight->connection;

    for (guint i = 0; i < nbd_context_count(connection->export); i++) {
        gboolean last = connection->contexts >> i <= 1;
        g_autoptr(GByteArray) runs = g_byte_array_new();
        g_autoptr(GError) error = NULL;
        uint8_t head[20];

        if (!(connection->contexts >> i & 1))
            continue;
        nbd_put32(head, nbd_context_id(i));
        g_byte_array_append(runs, head, 4);
        if (i == 0 && !nbd_status_add(connection->status, connection->export->blob, request->from,
                                      request->from + request->len,
                                      request->flags & NBD_CMD_FLAG_REQ_ONE, runs, &error)) {
            send_error(request, error_number(error), error->message);
            return;
        }
        if (i > 0) {
            const CstNbdBitmap *bitmap = g_ptr_array_index(connection->export->bitmaps, i - 1);

            add_dirty(request, bitmap->ranges, runs);
        }
        chunk_head(head, request, last, NBD_REPLY_BLOCK_STATUS, runs->len);
        send_reply(request->flight, head, sizeof(head), runs->data, runs->len);
        if (last)
            return;
    }
}

/* --- changes ---------------------------------------------------------------------------------- */

static unsigned zero_flags(const Request *request)
{
    return (request->flags & NBD_CMD_FLAG_NO_HOLE ? 0 : CST_ZERO_MAY_UNMAP) |
           (request->flags & NBD_CMD_FLAG_FAST_ZERO ? CST_ZERO_FAST : 0);
}

static void serve_change(const Request *request)
{
    CstBlob *blob = request->flight->connection->export->blob;
    NbdStatus *changed =
        request->type == NBD_CMD_FLUSH ? NULL : request->flight->connection->status;
    g_autoptr(GError) error = NULL;
    gboolean done;

    if (changed)
        nbd_status_changed(changed);
    switch (request->type) {
    case NBD_CMD_WRITE:
        done = cst_blob_pwrite(blob, request->data, request->len, request->from, &error);
        break;
    case NBD_CMD_TRIM: done = cst_blob_discard(blob, request->from, request->len, &error); break;
    case NBD_CMD_WRITE_ZEROES:
        done = cst_blob_zero(blob, request->from, request->len, zero_flags(request), &error);
        break;
    default: done = TRUE; break;
    }
    if (changed)
        nbd_status_changed(changed);
    if (done && (request->type == NBD_CMD_FLUSH || (request->flags & NBD_CMD_FLAG_FUA)))
        done = cst_blob_flush(blob, &error);
    send_outcome(request, done, error);
}

/* --- requests --------------------------------------------------------------------------------- */

static gboolean command_changes(uint16_t type)
{
    return type == NBD_CMD_WRITE || type == NBD_CMD_TRIM || type == NBD_CMD_WRITE_ZEROES;
}

/* Returns the flags that a request of @type may have. */
static uint16_t flags_of(uint16_t type)
{
    switch (type) {
    case NBD_CMD_READ: return NBD_CMD_FLAG_DF | NBD_CMD_FLAG_FUA;
    case NBD_CMD_BLOCK_STATUS: return NBD_CMD_FLAG_REQ_ONE | NBD_CMD_FLAG_FUA;
    case NBD_CMD_WRITE_ZEROES:
        return NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO;
    default: return NBD_CMD_FLAG_FUA;
    }
}

/* Returns the error of an invalid request; 0: the request is valid. */
static uint32_t request_check(const Request *request, const char **ret_why)
{
    const NbdConnection *connection = request->flight->connection;
    gboolean ranged = request->type != NBD_CMD_FLUSH;
    gboolean beyond =
        request->from > connection->size || request->len > connection->size - request->from;

    if (request->flags & ~flags_of(request->type)) {
        *ret_why = "a flag does not go with the request";
        return NBD_EINVAL;
    }
    if (command_changes(request->type) && !connection->export->writable) {
        *ret_why = "the export is read only";
        return NBD_EPERM;
    }
    if (ranged && beyond) {
        *ret_why = "the range goes beyond the end of the export";
        return command_changes(request->type) ? NBD_ENOSPC : NBD_EINVAL;
    }
    if (request->type == NBD_CMD_READ && request->len > NBD_PAYLOAD_MAX) {
        *ret_why = "the read is too long";
        return NBD_EINVAL;
    }
    if (request->type == NBD_CMD_BLOCK_STATUS && (!connection->contexts || request->len == 0)) {
        *ret_why = "no context was chosen, or the range is empty";
        return NBD_EINVAL;
    }
    if (request->type > NBD_CMD_BLOCK_STATUS || request->type == 5) {
        *ret_why = "unknown request";
        return NBD_EINVAL;
    }
    return 0;
}

static void request_serve(const Request *request)
{
    const char *why;
    uint32_t refused = request_check(request, &why);

    if (refused)
        send_error(request, refused, why);
    else if (request->type == NBD_CMD_READ)
        serve_read(request);
    else if (request->type == NBD_CMD_BLOCK_STATUS)
        serve_block_status(request);
    else
        serve_change(request);
}

/* Returns the bytes that the request may hold while it is in flight. */
static uint64_t request_cost(const Request *request)
{
    switch (request->type) {
    case NBD_CMD_READ:
    case NBD_CMD_WRITE: return MIN(request->len, NBD_PAYLOAD_MAX);
    /* The array of runs may be twice as large, because it doubles when it grows. */
    case NBD_CMD_BLOCK_STATUS: return MIN(request->len, NBD_RUNS_MAX) * UINT64_C(16);
    default: return 0;
    }
}

/* Ends and frees @request. */
static void request_end(Request *request)
{
    nbd_flight_end(&request->flight->in_flight, request_cost(request), request->common);
    g_free(request);
}

static void request_work(gpointer data, gpointer unused)
{
    Request *request = data;

    request_serve(request);
    g_free(request->data);
    request_end(request);
}

static gboolean is_short(const Request *request)
{
    return (request->type == NBD_CMD_READ || request->type == NBD_CMD_WRITE) &&
           request->len <= SHORT_MAX && !(request->flags & NBD_CMD_FLAG_FUA);
}

/* Returns how often this thread has waited. */
static long thread_count_waits(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

/*
 * Serves the request in this thread, and marks the flight as slow if the request had to wait. Both
 * conditions are needed. On a busy host a long time alone does not mean a wait. A wait alone may be
 * for another connection's write, which more threads would make worse.
 */
static void work_here(Flight *flight, Request *request)
{
    gint64 began = g_get_monotonic_time();
    long before = thread_count_waits();

    request_work(request, NULL);
    if (g_get_monotonic_time() - began > QUICK_US && thread_count_waits() != before)
        flight->slow = SLOW_SPELL;
}

static void request_dispatch(Flight *flight, GThreadPool *workers, Request *request)
{
    if (is_short(request) && flight->slow == 0) {
        work_here(flight, request);
        return;
    }
    if (flight->slow > 0)
        flight->slow--;
    g_thread_pool_push(workers, request, NULL);
}

/*
 * Accepts @request and owns it. Returns FALSE if the data of a write cannot be read; the connection
 * then ends.
 */
static gboolean accept_request(Flight *flight, GThreadPool *workers, Request *request)
{
    request->common = nbd_flight_begin(&flight->in_flight, request_cost(request));
    if (request->type == NBD_CMD_WRITE) {
        request->data = request->len <= NBD_PAYLOAD_MAX
                            ? cst_alloc(request->len, 1, flight->connection->export->name, NULL)
                            : NULL;
        if (!request->data || !nbd_receive(flight->connection, request->data, request->len)) {
            g_free(request->data);
            request_end(request);
            return FALSE;
        }
    }
    request_dispatch(flight, workers, request);
    return TRUE;
}

/* Reads the next request. Returns FALSE if the client disconnects or violates the protocol. */
static gboolean next_request(Flight *flight, GThreadPool *workers)
{
    uint8_t head[NBD_REQUEST_LEN];
    Request *request;

    if (!nbd_receive(flight->connection, head, sizeof(head)) ||
        nbd_get32(head) != NBD_REQUEST_MAGIC || nbd_get16(head + 6) == NBD_CMD_DISC)
        return FALSE;
    request = g_new0(Request, 1);
    *request = (Request){.flight = flight,
                         .flags = nbd_get16(head + 4),
                         .type = nbd_get16(head + 6),
                         .handle = nbd_get64(head + 8),
                         .from = nbd_get64(head + 16),
                         .len = nbd_get32(head + 24)};
    return accept_request(flight, workers, request);
}

void nbd_transmit(NbdConnection *connection)
{
    Flight flight = {.connection = connection};
    NbdAhead ahead = {0};
    GThreadPool *workers = g_thread_pool_new(request_work, NULL, WORKERS, FALSE, NULL);

    g_mutex_init(&flight.send_lock);
    nbd_flight_init(&flight.in_flight, connection->budget);
    connection->ahead = &ahead;
    while (next_request(&flight, workers))
        ;
    connection->ahead = NULL;
    CST_TEST_POINT("nbd.transmit.ending");
    g_thread_pool_free(workers, FALSE, TRUE);
    nbd_flight_clear(&flight.in_flight);
    g_mutex_clear(&flight.send_lock);
}
