/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An export of an NBD server as a blob for reading.
 *
 * Any number of threads read at the same time. Each request has a session (one connection) for
 * itself. The first session is opened with the blob. If the server announces "multi-conn", a thread
 * that finds no idle session opens another one, up to SESSIONS_MAX; otherwise it waits. A server
 * may accept fewer connections than it announces. The blob then keeps the sessions that it has.
 * Each session must have the same server process and the same properties as the first one, because
 * a new server at the same socket may have other content.
 *
 * A lost session makes the blob dead: all threads that wait, and all later calls, fail with the
 * error of that loss. The blob never connects again, for the same reason.
 *
 * Block status is requested for 1 GiB at a time. The last WINDOWS answers are cached, so that
 * sequential calls of extent() cause few requests, also if several threads read different parts.
 *
 * The lock guards the idle sessions, the counters, the error and the windows. It is never held
 * during a call into a session.
 */
#include <blob/nbd.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <libnbd_library.h>

#include "session.h"

#define SESSIONS_MAX 4
#define WINDOWS      4
/* The longest name that the protocol allows, in bytes. */
#define EXPORT_NAME_MAX 4096
/* Limit for a further session, in seconds. A full server may leave a connection without answer. */
#define FURTHER_LIMIT_S 5

/* The extents of [offset, end); an unused window is empty. */
typedef struct {
    uint64_t offset, end;
    GArray *extents; /* of CstExtent, contiguous */
} StatusWindow;

typedef struct {
    CstBlob blob;
    NbdAddress address;
    NbdExportInfo info;
    GMutex lock;
    GCond changed; /* a session is idle, the limit has changed, or the blob is dead */
    NbdSession *idle[SESSIONS_MAX];
    guint idle_count;
    guint open_count; /* sessions, idle or in use */
    guint open_limit; /* the most sessions */
    gboolean opening; /* a thread opens a further session */
    GError *dead;     /* why each call fails; NULL: the blob works */
    StatusWindow windows[WINDOWS];
    guint next_window; /* is replaced next */
} NbdBlob;

/* --- sessions --------------------------------------------------------------------------------- */

static gboolean export_is_same(const NbdExportInfo *a, const NbdExportInfo *b)
{
    return a->server == b->server && a->size == b->size && a->minimum == b->minimum &&
           a->maximum == b->maximum && a->block_status == b->block_status;
}

/* Opens a further session. Return: NULL if the server accepts no further connection. */
static NbdSession *further_session_open(NbdBlob *nbd)
{
    g_autoptr(GError) failure = NULL;
    NbdSession *session =
        nbd_session_open(&nbd->address, MIN(nbd->address.timeout_s, FURTHER_LIMIT_S), &failure);

    if (session && !export_is_same(nbd_session_info(session), &nbd->info)) {
        g_clear_pointer(&session, nbd_session_close);
        cst_fail(&failure, CST_ERROR_STATE, _("another server listens at '%s' now"),
                 nbd->address.socket);
    }
    if (failure)
        cst_log(CST_LOG_INFO, _("no further connection to the NBD server at '%s': %s"),
                nbd->address.socket, failure->message);
    return session;
}

/* Whether a thread that needs a session must wait. Called with the lock held. */
static gboolean session_is_awaited(const NbdBlob *nbd)
{
    return !nbd->dead && nbd->idle_count == 0 &&
           (nbd->opening || nbd->open_count >= nbd->open_limit);
}

/* Acquires a session for the exclusive use of this thread. Waits until one is idle. */
static NbdSession *session_acquire(NbdBlob *nbd, GError **error)
{
    NbdSession *session = NULL;

    g_mutex_lock(&nbd->lock);
    for (;;) {
        while (session_is_awaited(nbd)) {
            CST_TEST_POINT("nbd_blob.session.wait");
            g_cond_wait(&nbd->changed, &nbd->lock);
        }
        if (nbd->dead || nbd->idle_count > 0)
            break;
        nbd->opening = TRUE;
        g_mutex_unlock(&nbd->lock);
        session = further_session_open(nbd);
        g_mutex_lock(&nbd->lock);
        nbd->opening = FALSE;
        if (session)
            nbd->open_count++;
        else
            nbd->open_limit = nbd->open_count;
        g_cond_broadcast(&nbd->changed);
        if (session)
            break;
    }
    if (!session && nbd->dead)
        g_propagate_error(error, g_error_copy(nbd->dead));
    else if (!session)
        session = nbd->idle[--nbd->idle_count];
    g_mutex_unlock(&nbd->lock);
    return session;
}

/* Returns a session after a request. If it was lost by @error, the blob is dead. */
static void session_release(NbdBlob *nbd, NbdSession *session, const GError *error)
{
    gboolean lost = nbd_session_is_lost(session);

    if (lost)
        nbd_session_close(session);
    g_mutex_lock(&nbd->lock);
    if (lost)
        nbd->open_count--;
    else
        nbd->idle[nbd->idle_count++] = session;
    if (lost && !nbd->dead)
        nbd->dead = g_error_copy(error);
    g_cond_broadcast(&nbd->changed);
    g_mutex_unlock(&nbd->lock);
}

/* --- reading ---------------------------------------------------------------------------------- */

static gboolean nbd_blob_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset,
                               GError **error)
{
    NbdBlob *nbd = (NbdBlob *)blob;
    NbdSession *session = session_acquire(nbd, error);
    gboolean done;

    if (!session)
        return FALSE;
    done = nbd_session_read(session, buf, len, offset, error);
    session_release(nbd, session, *error);
    return done;
}

static gboolean nbd_blob_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = ((NbdBlob *)blob)->info.size;
    return TRUE;
}

/* --- extents ---------------------------------------------------------------------------------- */

/* Returns the window that contains @offset, or NULL. Called with the lock held. */
static const StatusWindow *window_find(const NbdBlob *nbd, uint64_t offset)
{
    for (guint i = 0; i < WINDOWS; i++) {
        const StatusWindow *window = &nbd->windows[i];

        if (offset >= window->offset && offset < window->end)
            return window;
    }
    return NULL;
}

/* Shortens *@extent, whose offset is in the window, to the run there, and sets its flags. */
static void window_clip(const StatusWindow *window, CstExtent *extent)
{
    guint low = 0, high = window->extents->len - 1;
    const CstExtent *found;

    /* The last extent that begins at or before the offset. */
    while (low < high) {
        guint middle = (low + high + 1) / 2;

        if (g_array_index(window->extents, CstExtent, middle).offset <= extent->offset)
            low = middle;
        else
            high = middle - 1;
    }
    found = &g_array_index(window->extents, CstExtent, low);
    extent->flags = found->flags;
    extent->length = MIN(extent->length, found->offset + found->length - extent->offset);
}

/* Requests the window of @offset and stores it in place of the oldest one. */
static gboolean window_load(NbdBlob *nbd, uint64_t offset, CstExtent *extent, GError **error)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(CstExtent));
    StatusWindow window = {.offset = offset - offset % nbd->info.minimum};
    NbdSession *session = session_acquire(nbd, error);
    StatusWindow *slot;
    gboolean done;

    if (!session)
        return FALSE;
    done = nbd_session_block_status(session, window.offset, extents, error);
    session_release(nbd, session, *error);
    if (!done)
        return FALSE;
    for (guint i = 0; i < extents->len; i++)
        window.end = g_array_index(extents, CstExtent, i).offset +
                     g_array_index(extents, CstExtent, i).length;
    /* An extent shorter than the minimal block size does not reach the offset. */
    if (window.end <= offset)
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("the NBD server at '%s' reports an extent of less than a block"),
                        nbd->address.socket);
    window.extents = g_array_ref(extents);
    window_clip(&window, extent);
    g_mutex_lock(&nbd->lock);
    slot = &nbd->windows[nbd->next_window];
    nbd->next_window = (nbd->next_window + 1) % WINDOWS;
    g_clear_pointer(&slot->extents, g_array_unref);
    *slot = window;
    g_mutex_unlock(&nbd->lock);
    return TRUE;
}

static gboolean nbd_blob_extent(CstBlob *blob, uint64_t offset, uint64_t length,
                                CstExtent *ret_extent, GError **error)
{
    NbdBlob *nbd = (NbdBlob *)blob;
    CstExtent extent = {offset, length, CST_EXTENT_DATA};
    const StatusWindow *window;

    if (nbd->info.block_status) {
        g_mutex_lock(&nbd->lock);
        window = window_find(nbd, offset);
        if (window)
            window_clip(window, &extent);
        g_mutex_unlock(&nbd->lock);
        if (!window && !window_load(nbd, offset, &extent, error))
            return FALSE;
    }
    *ret_extent = extent;
    return TRUE;
}

/* --- opening and closing ---------------------------------------------------------------------- */

static void nbd_blob_close(CstBlob *blob)
{
    NbdBlob *nbd = (NbdBlob *)blob;

    for (guint i = 0; i < nbd->idle_count; i++)
        nbd_session_close(nbd->idle[i]);
    for (guint i = 0; i < WINDOWS; i++)
        g_clear_pointer(&nbd->windows[i].extents, g_array_unref);
    g_clear_error(&nbd->dead);
    g_cond_clear(&nbd->changed);
    g_mutex_clear(&nbd->lock);
    g_free((char *)nbd->address.socket);
    g_free((char *)nbd->address.export_name);
    g_free(nbd);
}

static const CstBlobOps nbd_blob_ops = {
    .kind = "nbd",
    .pread = nbd_blob_pread,
    .get_size = nbd_blob_size,
    .close = nbd_blob_close,
    .extent = nbd_blob_extent,
};

CstBlob *cst_blob_nbd_open(const char *socket, const char *export_name, uid_t owner,
                           const char *name, unsigned timeout_s, GError **error)
{
    NbdSession *session;
    NbdBlob *nbd;

    if (!cst_library_load(&cst_libnbd_library, error))
        return NULL;
    if (strlen(export_name) > EXPORT_NAME_MAX) {
        cst_fail(error, CST_ERROR_INVALID,
                 _("cannot open an export of the NBD server at '%s': the name is longer than %d "
                   "bytes"),
                 socket, EXPORT_NAME_MAX);
        return NULL;
    }
    nbd = g_new0(NbdBlob, 1);
    nbd->address = (NbdAddress){g_strdup(socket), g_strdup(export_name), timeout_s, owner, NULL};
    g_mutex_init(&nbd->lock);
    g_cond_init(&nbd->changed);
    cst_blob_init(&nbd->blob, &nbd_blob_ops, name, FALSE);
    session = nbd_session_open(&nbd->address, timeout_s, error);
    if (!session) {
        cst_blob_unref(&nbd->blob);
        return NULL;
    }
    nbd->info = *nbd_session_info(session);
    nbd->open_limit = nbd->info.multi_conn ? SESSIONS_MAX : 1;
    nbd->open_count = 1;
    nbd->idle[nbd->idle_count++] = session;
    return &nbd->blob;
}
