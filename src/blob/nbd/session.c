/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection to an export of an NBD server, through libnbd's asynchronous calls.
 *
 * libnbd has no time limits. A session starts each request with an asynchronous call and then polls
 * until the request has completed. Each poll waits for the rest of the limit at most. The socket is
 * connected here instead of by libnbd, because a Unix socket whose queue is full makes connect(2)
 * wait; the time limit for sending also limits that wait.
 *
 * The server is another process and not trusted. libnbd checks the frames of replies. This file
 * checks that the chunks of a read cover its buffer exactly once, and that the extents of a block
 * status are inside the request. A final extent may run beyond the request, because the protocol
 * allows that; it is clipped.
 */
#include "session.h"

#include <errno.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/range.h>
#include <base/units.h>
#include <libnbd_library.h>

/* Of a dirty bitmap: the extent has changed. */
#define STATE_DIRTY 1
/* Longest read. Servers accept 32 MiB; shorter reads are fairer to the threads of a session. */
#define READ_MAX (8 * CST_MIB)
/* The largest minimal block size that the protocol allows. */
#define MINIMUM_MAX (64 * CST_KIB)
/* A request takes at most this multiple of the time without progress. */
#define REQUEST_PATIENCE 20
/* The most separate ranges of a read's reply: each 512-byte sector of a read of 32 MiB. */
#define CHUNKS_MAX 65536

struct NbdSession {
    NbdAddress address;
    NbdExportInfo info;
    struct nbd_handle *handle; /* NULL: the session is lost */
    gboolean negotiated;
};

/* --- errors ----------------------------------------------------------------------------------- */

/*
 * libnbd has no errno for a violation of the protocol. In the negotiation it has none for the end
 * of the connection either.
 */
static CstErrorCode libnbd_error_code(const NbdSession *session, int err)
{
    switch (err) {
    case 0: return session->negotiated ? CST_ERROR_CORRUPT : CST_ERROR_UNREACHABLE;
    case ENOENT: return CST_ERROR_NOT_FOUND;
    case EPERM:
    case EACCES: return CST_ERROR_DENIED;
    case ENOMEM: return CST_ERROR_NO_MEMORY;
    case ENOTSUP: return CST_ERROR_UNSUPPORTED;
    case ESHUTDOWN:
    case ENOTCONN:
    case EPIPE:
    case ECONNRESET: return CST_ERROR_UNREACHABLE;
    default: return CST_ERROR_IO;
    }
}

/* Returns the context of the block status. */
static const char *address_context(const NbdAddress *address)
{
    return address->bitmap ? address->bitmap : LIBNBD_CONTEXT_BASE_ALLOCATION;
}

/* Sets the error of this address. Always returns FALSE. */
static gboolean address_fail(const NbdAddress *address, CstErrorCode code, const char *reason,
                             GError **error)
{
    return cst_fail(error, code, _("cannot read export '%s' of the NBD server at '%s': %s"),
                    address->export_name, address->socket, reason);
}

/* Sets the error of the last call into libnbd by this thread. Always returns FALSE. */
static gboolean session_fail(NbdSession *session, GError **error)
{
    int err = nbd_get_errno();
    const char *text = nbd_get_error();
    const char *colon = text && g_str_has_prefix(text, "nbd_") ? strstr(text, ": ") : NULL;

    /* libnbd puts the name of its function first. */
    if (colon)
        text = colon + 2;
    return address_fail(&session->address, libnbd_error_code(session, err),
                        text ? text : g_strerror(err), error);
}

/* Closes the handle, so that the session is lost. Always returns FALSE. */
static gboolean session_lose(NbdSession *session)
{
    g_clear_pointer(&session->handle, nbd_close);
    return FALSE;
}

static gboolean session_time_out(NbdSession *session, GError **error)
{
    return address_fail(&session->address, CST_ERROR_TIMEOUT, _("the server does not answer"),
                        error);
}

static gboolean session_malformed(NbdSession *session, const char *problem, GError **error)
{
    g_autofree char *reason = g_strdup_printf(_("the server's reply is malformed (%s)"), problem);

    return address_fail(&session->address, CST_ERROR_CORRUPT, reason, error);
}

/* Lets libnbd send and receive, and waits for the socket until @until (monotonic) at most. */
static gboolean session_advance(NbdSession *session, gint64 until, GError **error)
{
    gint64 left_ms = (until - g_get_monotonic_time()) / G_TIME_SPAN_MILLISECOND;
    int ready = left_ms > 0 ? nbd_poll(session->handle, (int)MIN(left_ms, G_MAXINT)) : 0;

    if (ready < 0)
        return session_fail(session, error);
    return ready > 0 || session_time_out(session, error);
}

/* --- connecting ------------------------------------------------------------------------------- */

/* Connects within @limit_s seconds. Return: the socket, or -1 with @error. */
static int address_connect(const NbdAddress *address, guint limit_s, GError **error)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct timeval limit = {.tv_sec = limit_s};
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autofree char *path = NULL;
    g_auto(CstFd) fd = -1;
    int connected;

    if (!cst_place_init_for(&place, address->socket, address->owner, TRUE, error))
        return -1;
    path = cst_place_reach(&place);
    if (g_strlcpy(to.sun_path, path, sizeof(to.sun_path)) >= sizeof(to.sun_path)) {
        address_fail(address, CST_ERROR_INVALID, _("the name of the socket is too long"), error);
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0) {
        cst_fail_errno(error, errno, _("cannot make a socket"));
        return -1;
    }
    do {
        connected = connect(fd, (struct sockaddr *)&to, sizeof(to));
    } while (connected < 0 && errno == EINTR);
    if (connected == 0 && g_unix_set_fd_nonblocking(fd, TRUE, error))
        return g_steal_fd(&fd);
    if (connected < 0 && errno == EAGAIN)
        address_fail(address, CST_ERROR_TIMEOUT, _("the server accepts no connection"), error);
    else if (connected < 0 && errno == ECONNREFUSED)
        address_fail(address, CST_ERROR_UNREACHABLE, _("no server listens at the socket"), error);
    else if (connected < 0)
        cst_fail_errno(error, errno, _("cannot connect to the NBD server at '%s'"),
                       address->socket);
    return -1;
}

/* Makes a handle and starts the negotiation over the socket *@fd, which the handle then owns. */
static gboolean session_start(NbdSession *session, int *fd, GError **error)
{
    session->handle = nbd_create();
    if (!session->handle)
        return session_fail(session, error);
    /*
     * Reads verify that the reply fills the buffer, so it need not be zeroed first. If the size is
     * no multiple of the minimal block size, the last request is not aligned; the server decides.
     */
    if (nbd_set_export_name(session->handle, session->address.export_name) < 0 ||
        nbd_add_meta_context(session->handle, address_context(&session->address)) < 0 ||
        nbd_set_pread_initialize(session->handle, FALSE) < 0 ||
        nbd_set_strict_mode(session->handle, (uint32_t)(nbd_get_strict_mode(session->handle) &
                                                        ~(int)LIBNBD_STRICT_ALIGN)) < 0)
        return session_fail(session, error);
    if (nbd_aio_connect_socket(session->handle, *fd) < 0)
        return session_fail(session, error);
    *fd = -1;
    return TRUE;
}

/* Reads the properties of the export after the negotiation. */
static gboolean session_inspect(NbdSession *session, GError **error)
{
    struct nbd_handle *handle = session->handle;
    int64_t size = nbd_get_size(handle);
    int64_t minimum = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
    int64_t maximum = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);
    int multi_conn = nbd_can_multi_conn(handle);
    int block_status = nbd_can_meta_context(handle, address_context(&session->address));

    if (size < 0 || minimum < 0 || maximum < 0 || multi_conn < 0 || block_status < 0)
        return session_fail(session, error);
    minimum = MAX(minimum, 1);
    if (minimum > (int64_t)MINIMUM_MAX || (minimum & (minimum - 1)) != 0)
        return session_malformed(session, _("invalid block size"), error);
    maximum = maximum == 0 ? (int64_t)READ_MAX : MIN(maximum, (int64_t)READ_MAX);
    session->info.size = (uint64_t)size;
    session->info.minimum = (uint32_t)minimum;
    session->info.maximum = (uint32_t)MAX(maximum - maximum % minimum, minimum);
    session->info.multi_conn = multi_conn > 0;
    session->info.block_status = block_status > 0;
    session->negotiated = TRUE;
    return TRUE;
}

static pid_t socket_peer(int fd)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ? 0 : peer.pid;
}

NbdSession *nbd_session_negotiate(const NbdAddress *address, int fd, guint limit_s, GError **error)
{
    gint64 until = g_get_monotonic_time() + limit_s * G_TIME_SPAN_SECOND;
    g_auto(CstFd) owned = fd;
    NbdSession *session = g_new0(NbdSession, 1);
    gboolean done;

    session->address = *address;
    session->info.server = socket_peer(fd);
    done = session_start(session, &owned, error);
    while (done && nbd_aio_is_ready(session->handle) == 0)
        done = session_advance(session, until, error);
    if (done && session_inspect(session, error))
        return session;
    session_lose(session);
    g_free(session);
    return NULL;
}

NbdSession *nbd_session_open(const NbdAddress *address, guint limit_s, GError **error)
{
    gint64 began = g_get_monotonic_time();
    int fd = address_connect(address, limit_s, error);
    gint64 used_s = (g_get_monotonic_time() - began) / G_TIME_SPAN_SECOND;

    if (fd < 0)
        return NULL;
    return nbd_session_negotiate(address, fd, limit_s - (guint)MIN(used_s, limit_s - 1), error);
}

void nbd_session_close(NbdSession *session)
{
    if (!session)
        return;
    /* Sent without waiting: the socket does not block. */
    if (session->handle && nbd_aio_is_ready(session->handle) > 0)
        nbd_aio_disconnect(session->handle, 0);
    session_lose(session);
    g_free(session);
}

const NbdExportInfo *nbd_session_info(const NbdSession *session)
{
    return &session->info;
}

gboolean nbd_session_is_lost(const NbdSession *session)
{
    return !session->handle;
}

/* --- requests --------------------------------------------------------------------------------- */

/*
 * Waits until the request @cookie has completed (-1: it could not be started). *@problem is set by
 * the request's callback if the reply is malformed. Loses the session unless the request completed
 * or the server reported an error for it.
 */
static gboolean request_wait_done(NbdSession *session, int64_t cookie, const char *const *problem,
                                  GError **error)
{
    gint64 patience = session->address.timeout_s * G_TIME_SPAN_SECOND;
    gint64 end = g_get_monotonic_time() + REQUEST_PATIENCE * patience;
    int done = cookie < 0 ? -1 : 0;

    while (done == 0 && !*problem) {
        g_autoptr(GError) failure = NULL;

        /* Before the poll, because sending the request may have found the connection closed. */
        done = nbd_aio_command_completed(session->handle, (uint64_t)cookie);
        if (done != 0 || *problem)
            break;
        if (!session_advance(session, MIN(g_get_monotonic_time() + patience, end), &failure) &&
            !*problem) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return session_lose(session);
        }
    }
    if (*problem) {
        session_malformed(session, *problem, error);
        return session_lose(session);
    }
    if (done > 0)
        return TRUE;
    session_fail(session, error);
    return nbd_aio_is_ready(session->handle) > 0 ? FALSE : session_lose(session);
}

/* The reply to a read. */
typedef struct {
    GArray *chunks; /* of CstRange, in the order of the reply; adjacent ones are joined */
    const char *problem;
} ReadReply;

static int read_reply_add(void *data, const void *bytes, size_t count, uint64_t offset,
                          unsigned status, int *error)
{
    ReadReply *reply = data;
    CstRange *last =
        reply->chunks->len ? &g_array_index(reply->chunks, CstRange, reply->chunks->len - 1) : NULL;
    const CstRange chunk = {offset, count};

    if (status == LIBNBD_READ_ERROR)
        return 0; /* libnbd fails the request */
    if (last && last->offset + last->length == offset)
        last->length += count;
    else if (reply->chunks->len < CHUNKS_MAX)
        g_array_append_val(reply->chunks, chunk);
    else
        reply->problem = _("too many chunks");
    return 0;
}

static int range_compare(gconstpointer a, gconstpointer b)
{
    const CstRange *first = a, *second = b;

    return first->offset < second->offset ? -1 : first->offset > second->offset;
}

/* Whether the chunks cover @len bytes from @offset, each byte once. */
static gboolean read_reply_is_complete(ReadReply *reply, uint64_t offset, size_t len)
{
    uint64_t at = offset;

    g_array_sort(reply->chunks, range_compare);
    for (guint i = 0; i < reply->chunks->len; i++) {
        const CstRange *chunk = &g_array_index(reply->chunks, CstRange, i);

        if (chunk->offset != at)
            return FALSE;
        at += chunk->length;
    }
    return at == offset + len;
}

/* Reads an aligned range that is not longer than the maximum. */
static gboolean session_read_aligned(NbdSession *session, void *buf, size_t len, uint64_t offset,
                                     GError **error)
{
    g_autoptr(GArray) chunks = g_array_new(FALSE, FALSE, sizeof(CstRange));
    ReadReply reply = {.chunks = chunks};
    const nbd_chunk_callback add = {.callback = read_reply_add, .user_data = &reply};
    int64_t cookie =
        nbd_aio_pread_structured(session->handle, buf, len, offset, add, NBD_NULL_COMPLETION, 0);

    if (!request_wait_done(session, cookie, &reply.problem, error))
        return FALSE;
    if (read_reply_is_complete(&reply, offset, len))
        return TRUE;
    session_malformed(session, _("incomplete data"), error);
    return session_lose(session);
}

/* As session_read_aligned() for any range: reads the blocks around it into a buffer of its own. */
static gboolean session_read_piece(NbdSession *session, void *buf, size_t len, uint64_t offset,
                                   GError **error)
{
    uint64_t minimum = session->info.minimum;
    uint64_t start = offset - offset % minimum;
    uint64_t end = MIN((offset + len + minimum - 1) / minimum * minimum, session->info.size);
    g_autofree char *blocks = NULL;

    if (start == offset && end == offset + len)
        return session_read_aligned(session, buf, len, offset, error);
    blocks = cst_alloc(end - start, 1, session->address.socket, error);
    if (!blocks || !session_read_aligned(session, blocks, end - start, start, error))
        return FALSE;
    memcpy(buf, blocks + (offset - start), len);
    return TRUE;
}

gboolean nbd_session_read(NbdSession *session, void *buf, size_t len, uint64_t offset,
                          GError **error)
{
    char *to = buf;

    while (len > 0) {
        /* A piece ends at a multiple of the minimal block size, except for the last one. */
        size_t piece = MIN(len, session->info.maximum - offset % session->info.minimum);

        if (!session_read_piece(session, to, piece, offset, error))
            return FALSE;
        to += piece;
        offset += piece;
        len -= piece;
    }
    return TRUE;
}

/* --- block status ----------------------------------------------------------------------------- */

/* The reply to a block status request. */
typedef struct {
    const NbdAddress *address;
    GArray *extents;    /* of CstExtent */
    uint64_t at;        /* end of the extents so far */
    uint64_t end, size; /* of the request, and of the export */
    const char *problem;
} StatusReply;

/* Appends the extent of @length bytes, clipped to the request. */
static void status_reply_append(StatusReply *reply, uint64_t length, unsigned flags)
{
    CstExtent *last = reply->extents->len
                          ? &g_array_index(reply->extents, CstExtent, reply->extents->len - 1)
                          : NULL;
    const CstExtent extent = {reply->at, MIN(length, reply->end - reply->at), flags};

    if (last && last->flags == flags && last->offset + last->length == extent.offset)
        last->length += extent.length;
    else if (reply->extents->len < NBD_EXTENTS_MAX)
        g_array_append_val(reply->extents, extent);
}

/* Returns the flags of an extent. @state: in the context of the address. */
static unsigned state_flags(const NbdAddress *address, uint32_t state)
{
    if (address->bitmap)
        return state & STATE_DIRTY ? NBD_EXTENT_DIRTY : 0;
    return (state & LIBNBD_STATE_HOLE ? CST_EXTENT_HOLE : 0) |
           (state & LIBNBD_STATE_ZERO ? CST_EXTENT_ZERO : 0);
}

/* @entries: pairs of a length and the context's flags. */
static int status_reply_add(void *data, const char *context, uint64_t offset, uint32_t *entries,
                            size_t count, int *error)
{
    StatusReply *reply = data;

    if (strcmp(context, address_context(reply->address)) != 0)
        return 0;
    if (reply->extents->len > 0 || offset != reply->at)
        reply->problem = _("unexpected extents");
    for (size_t i = 0; i + 1 < count && !reply->problem; i += 2) {
        if (entries[i] == 0)
            reply->problem = _("extent of length 0");
        else if (reply->at >= reply->end || entries[i] > reply->size - reply->at)
            reply->problem = _("extent beyond the range");
        else
            status_reply_append(reply, entries[i], state_flags(reply->address, entries[i + 1]));
        reply->at += entries[i];
    }
    return 0;
}

gboolean nbd_session_block_status(NbdSession *session, uint64_t offset, GArray *extents,
                                  GError **error)
{
    uint64_t length = MIN(NBD_STATUS_MAX, session->info.size - offset);
    StatusReply reply = {&session->address,  extents, offset, offset + length,
                         session->info.size, NULL};
    const nbd_extent_callback add = {.callback = status_reply_add, .user_data = &reply};
    int64_t cookie =
        nbd_aio_block_status(session->handle, length, offset, add, NBD_NULL_COMPLETION, 0);

    if (!request_wait_done(session, cookie, &reply.problem, error))
        return FALSE;
    if (extents->len > 0)
        return TRUE;
    session_malformed(session, _("no extents"), error);
    return session_lose(session);
}
