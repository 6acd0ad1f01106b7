/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets and clients. One thread listens (that of cst_nbd_server_run()). Each client has a thread
 * that negotiates and reads its requests, and workers (transmit.c). A client is in the list from
 * its acceptance until its thread has ended. The lock guards the list.
 *
 * To stop, the server shuts the sockets down for reading, so that each client's thread finishes its
 * requests in flight. After GRACE_US it shuts them down completely, which ends sends to clients
 * that do not read.
 */
#include <nbd/server.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/place.h>
#include <base/test_point.h>

#include "admission.h"
#include "connection.h"

#define HANDSHAKE_S 10  /* total time including TLS, even if data trickles; as in QEMU */
#define LOOK_MS     100 /* maximum delay in noticing a cancellation or a timeout */
#define BACKLOG     128 /* connections that the kernel has accepted and the server has not yet */
#define MAPPED      "::ffff:"          /* before an IPv4 address */
#define LOG_EVERY   G_TIME_SPAN_SECOND /* between two log lines about failed connections */
#define GRACE_US    G_TIME_SPAN_SECOND

typedef struct {
    int fd;
    CstPlace place; /* of our own Unix socket; without a path: TCP */
    struct stat id;
} Listener;

struct CstNbdServer {
    CstNbdExport export; /* owns its members */
    uint64_t size;
    NbdBudget budget; /* for the requests in flight of the clients */
    NbdStatus status;
    CstNbdTls *tls;    /* NULL: TLS is not used */
    GArray *listeners; /* of Listener */
    GMutex lock;
    GCond cond;          /* signalled when a client has ended */
    GPtrArray *clients;  /* of Client *, oldest first, borrowed from their threads */
    guint failed;        /* failed connections since the last log line */
    const char *failure; /* of the last failed connection; a static text */
    NbdHost failed_host; /* of the last failed connection */
    gint64 logged_at;    /* time of that log line, monotonic; used by the listening thread only */
};

/* @guest must be the first member, because the nbd_admit_… functions use it as the client. */
typedef struct {
    NbdGuest guest;
    CstNbdServer *server;
    gint64 deadline; /* end of the negotiation time, monotonic microseconds; 0: negotiated */
} Client;

static void listener_clear(gpointer data)
{
    Listener *listener = data;

    close(listener->fd);
    /* Do not remove a file that another process has put in its place. */
    if (listener->place.path)
        cst_place_remove(&listener->place, &listener->id);
    cst_place_clear(&listener->place);
}

void cst_nbd_bitmap_free(gpointer bitmap)
{
    CstNbdBitmap *freed = bitmap;

    g_array_unref(freed->ranges);
    g_free(freed->name);
    g_free(freed);
}

CstNbdServer *cst_nbd_server_new(const CstNbdExport *export, GError **error)
{
    CstNbdServer *server;
    uint64_t size;

    if (!cst_blob_get_size(export->blob, &size, error))
        return NULL;
    server = g_new0(CstNbdServer, 1);
    server->export = *export;
    server->export.name = g_strdup(export->name);
    server->export.description = g_strdup(export->description);
    server->export.blob = cst_blob_ref(export->blob);
    server->export.bitmaps = export->bitmaps ? g_ptr_array_ref(export->bitmaps) : NULL;
    server->size = size;
    server->listeners = g_array_new(FALSE, FALSE, sizeof(Listener));
    g_array_set_clear_func(server->listeners, listener_clear);
    server->clients = g_ptr_array_new();
    g_mutex_init(&server->lock);
    g_cond_init(&server->cond);
    nbd_budget_init(&server->budget);
    nbd_status_init(&server->status);
    return server;
}

void cst_nbd_server_free(CstNbdServer *server)
{
    if (!server)
        return;
    g_array_unref(server->listeners);
    g_ptr_array_unref(server->clients);
    cst_nbd_tls_free(server->tls);
    cst_blob_unref(server->export.blob);
    g_clear_pointer(&server->export.bitmaps, g_ptr_array_unref);
    g_free((char *)server->export.name);
    g_free((char *)server->export.description);
    g_mutex_clear(&server->lock);
    g_cond_clear(&server->cond);
    nbd_budget_clear(&server->budget);
    nbd_status_clear(&server->status);
    g_free(server);
}

void cst_nbd_server_set_tls(CstNbdServer *server, CstNbdTls *tls)
{
    cst_nbd_tls_free(server->tls);
    server->tls = tls;
}

guint cst_nbd_server_clients(CstNbdServer *server)
{
    guint count;

    g_mutex_lock(&server->lock);
    count = server->clients->len;
    g_mutex_unlock(&server->lock);
    return count;
}

/* --- listening -------------------------------------------------------------------------------- */

/* Returns the address of the socket through its directory's descriptor. */
static struct sockaddr_un reach_socket(const CstPlace *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autofree char *path = cst_place_reach(place);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    return address;
}

/*
 * Finds out whether a server answers at the socket. Does not wait: a listener whose queue is full
 * (EAGAIN) counts as answering.
 */
static gboolean is_answered(const CstPlace *place, gboolean *ret_answered, GError **error)
{
    const struct sockaddr_un address = reach_socket(place);
    g_auto(CstFd) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot make a socket"));
    *ret_answered = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
                    errno != ECONNREFUSED;
    return TRUE;
}

/* Removes the socket of a killed server. Fails with EXISTS for any other file. */
static gboolean remove_stale(const CstPlace *place, GError **error)
{
    struct stat found;
    gboolean answered;

    if (!cst_place_stat(place, &found))
        return errno == ENOENT ||
               cst_fail_errno(error, errno, _("cannot look at '%s'"), place->path);
    if (!S_ISSOCK(found.st_mode))
        return cst_fail(error, CST_ERROR_EXISTS, _("'%s' exists and is no socket"), place->path);
    if (!is_answered(place, &answered, error))
        return FALSE;
    if (answered)
        return cst_fail(error, CST_ERROR_EXISTS, _("another program already listens at '%s'"),
                        place->path);
    cst_place_remove(place, &found);
    return TRUE;
}

/* Adds a listener. Owns @fd, and @place of a Unix socket (else NULL). */
static gboolean add_listener(CstNbdServer *server, int fd, CstPlace *place, GError **error)
{
    Listener listener = {.fd = fd};
    const char *name = place ? place->path : "TCP";

    if (place && !cst_place_stat(place, &listener.id)) {
        cst_fail_errno(error, errno, _("cannot look at '%s'"), name);
        close(fd);
        return FALSE;
    }
    if (listen(fd, BACKLOG) == 0) {
        if (place) {
            listener.place = *place;
            *place = (CstPlace)CST_PLACE_INIT;
        }
        g_array_append_val(server->listeners, listener);
        return TRUE;
    }
    cst_fail_errno(error, errno, _("cannot listen at '%s'"), name);
    close(fd);
    return FALSE;
}

/* Binds the socket. On Linux the file gets the socket's mode, so no other user can connect. */
static int bind_unix(CstPlace *place, const char *path, uid_t owner, GError **error)
{
    struct sockaddr_un address;
    g_auto(CstFd) fd = -1;

    if (!cst_place_init_for(place, path, owner, FALSE, error) || !remove_stale(place, error))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot make a socket"));
        return -1;
    }
    address = reach_socket(place);
    if (fchmod(fd, 0600) == 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return g_steal_fd(&fd);
    cst_fail_errno(error, errno, _("cannot listen at '%s'"), path);
    return -1;
}

/*
 * Binds with the file permissions of the owner. Thus no socket is made or removed that the owner
 * could not make or remove. Changes the identity of this thread only.
 */
static int bind_as(uid_t owner, CstPlace *place, const char *path, GError **error)
{
    const struct passwd *entry;
    struct passwd storage;
    char names[4096];
    gid_t group = (gid_t)-1;
    int fd;

    if (geteuid() != 0 || owner == 0)
        return bind_unix(place, path, geteuid(), error);
    if (getpwuid_r(owner, &storage, names, sizeof(names), (struct passwd **)&entry) == 0 && entry)
        group = entry->pw_gid;
    setfsgid(group == (gid_t)-1 ? (gid_t)owner : group);
    setfsuid(owner);
    fd = bind_unix(place, path, owner, error);
    setfsuid(0);
    setfsgid(0);
    return fd;
}

gboolean cst_nbd_server_listen_unix(CstNbdServer *server, const char *path, uid_t owner,
                                    GError **error)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    struct sockaddr_un address;
    int fd;

    /* Clients use the full path as the socket's address. */
    if (strlen(path) >= sizeof(address.sun_path))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' is too long for the name of a socket (at most %zu bytes)"), path,
                        sizeof(address.sun_path) - 1);
    fd = bind_as(owner, &place, path, error);
    return fd >= 0 && add_listener(server, fd, &place, error);
}

static gboolean is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
    return address->sa_family == AF_INET &&
           ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static gboolean bound_port(int fd, guint16 *ret_port, GError **error)
{
    union {
        struct sockaddr_storage any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t len = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return cst_fail_errno(error, errno, _("cannot find out the port"));
    *ret_port =
        ntohs(address.any.ss_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
    return TRUE;
}

static int bind_tcp(const struct addrinfo *found, GError **error)
{
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot make a socket"));
        return -1;
    }
    nbd_tune_tcp(fd);
    if (bind(fd, found->ai_addr, found->ai_addrlen) == 0)
        return fd;
    cst_fail_errno(error, errno, _("cannot listen at '%s'"), "TCP");
    close(fd);
    return -1;
}

gboolean cst_nbd_server_listen_tcp(CstNbdServer *server, const char *host, guint16 port,
                                   guint16 *ret_port, GError **error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    g_autofree char *service = g_strdup_printf("%u", port);
    struct addrinfo *found = NULL;
    int fd = -1;

    if (getaddrinfo(host, service, &hints, &found) != 0)
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is no address"), host);
    if (!server->tls && !is_loopback(found->ai_addr))
        cst_fail(error, CST_ERROR_DENIED,
                 _("'%s' can be reached from elsewhere, where anybody could read and write the "
                   "volume: demand TLS, or listen at 127.0.0.1 or ::1"),
                 host);
    else
        fd = bind_tcp(found, error);
    freeaddrinfo(found);
    if (fd < 0)
        return FALSE;
    if (!bound_port(fd, ret_port, error)) {
        close(fd);
        return FALSE;
    }
    return add_listener(server, fd, NULL, error);
}

/* --- clients ---------------------------------------------------------------------------------- */

/* Ends the time limit, because a client may be idle for any time after the negotiation. */
static void end_deadline(Client *client)
{
    g_mutex_lock(&client->server->lock);
    client->deadline = 0;
    g_mutex_unlock(&client->server->lock);
}

/* Records a failure, under the lock. The listening thread logs many failures in one line. */
static void note_failure(CstNbdServer *server, const NbdHost *host, const char *failure)
{
    server->failed++;
    server->failure = failure;
    server->failed_host = *host;
}

static void log_failures(CstNbdServer *server)
{
    gint64 now = g_get_monotonic_time();
    char text[INET6_ADDRSTRLEN] = "";
    const char *shown;
    const char *failure;
    NbdHost host;
    guint failed;

    if (server->logged_at && now - server->logged_at < LOG_EVERY)
        return;
    g_mutex_lock(&server->lock);
    failed = server->failed;
    failure = server->failure;
    host = server->failed_host;
    server->failed = 0;
    g_mutex_unlock(&server->lock);
    if (failed == 0)
        return;
    server->logged_at = now;
    if (!host.local)
        inet_ntop(AF_INET6, host.bytes, text, sizeof(text));
    shown = text + (g_str_has_prefix(text, MAPPED) ? strlen(MAPPED) : 0);
    cst_log(CST_LOG_WARNING, "export '%s': %u connections are refused; the last one%s%s: %s",
            server->export.name, failed, *text ? " is from " : "", shown, failure);
}

/* Makes the client a proven one, so that new connections cannot replace it. */
static gboolean client_prove(gpointer data)
{
    Client *client = data;
    CstNbdServer *server = client->server;
    gboolean admitted;

    g_mutex_lock(&server->lock);
    admitted = !client->guest.replaced && nbd_admit_proven(server->clients, &client->guest.host);
    if (admitted)
        client->guest.proven = TRUE;
    else if (!client->guest.replaced)
        note_failure(server, &client->guest.host, "too many clients are connected");
    g_mutex_unlock(&server->lock);
    return admitted;
}

static gpointer serve_client(gpointer data)
{
    Client *client = data;
    CstNbdServer *server = client->server;
    NbdConnection connection = {.fd = client->guest.fd,
                                .tls = server->tls,
                                .export = &server->export,
                                .size = server->size,
                                .budget = &server->budget,
                                .status = server->export.exclusive ? &server->status : NULL,
                                .prove = client_prove,
                                .client = client};

    if (nbd_negotiate(&connection)) {
        end_deadline(client);
        nbd_transmit(&connection);
    }
    nbd_session_free(connection.session);
    CST_TEST_POINT("nbd.client.ended");
    g_mutex_lock(&server->lock);
    if (connection.failure && !client->guest.replaced)
        note_failure(server, &client->guest.host, connection.failure);
    g_ptr_array_remove(server->clients, client);
    /* Close under the lock, because end_clients() uses the descriptors in the list. */
    close(client->guest.fd);
    g_cond_broadcast(&server->cond);
    g_mutex_unlock(&server->lock);
    g_free(client);
    return NULL;
}

/* Starts the thread of @client, under the lock. Return: the thread; NULL: no place or thread. */
static GThread *client_start(CstNbdServer *server, Client *client)
{
    NbdGuest *replaced;
    GThread *thread;

    if (!nbd_admit_unproven(server->clients, &client->guest.host, &replaced)) {
        note_failure(server, &client->guest.host, "too many clients are connected");
        return NULL;
    }
    thread = g_thread_try_new("nbd-client", serve_client, client, NULL);
    if (!thread) {
        note_failure(server, &client->guest.host, "the system has no thread for it");
        return NULL;
    }
    if (replaced) {
        replaced->replaced = TRUE;
        shutdown(replaced->fd, SHUT_RDWR);
        note_failure(server, &replaced->host, "it did not negotiate before newer ones came");
    }
    g_ptr_array_add(server->clients, client);
    return thread;
}

static void add_client(CstNbdServer *server, int fd, const struct sockaddr *peer)
{
    Client *client = g_new0(Client, 1);
    GThread *thread;

    client->server = server;
    client->guest = (NbdGuest){.fd = fd, .host = nbd_host_of(peer)};
    client->deadline = g_get_monotonic_time() + HANDSHAKE_S * G_TIME_SPAN_SECOND;
    g_mutex_lock(&server->lock);
    thread = client_start(server, client);
    g_mutex_unlock(&server->lock);
    if (thread) {
        g_thread_unref(thread);
        return;
    }
    close(fd);
    g_free(client);
}

static void shut_down_clients(CstNbdServer *server, int how)
{
    for (guint i = 0; i < server->clients->len; i++)
        shutdown(((Client *)server->clients->pdata[i])->guest.fd, how);
}

static void shut_down_late(CstNbdServer *server)
{
    gint64 now = g_get_monotonic_time();

    g_mutex_lock(&server->lock);
    for (guint i = 0; i < server->clients->len; i++) {
        const Client *client = server->clients->pdata[i];

        if (client->deadline && client->deadline < now)
            shutdown(client->guest.fd, SHUT_RDWR);
    }
    g_mutex_unlock(&server->lock);
}

static void end_clients(CstNbdServer *server)
{
    gint64 end = g_get_monotonic_time() + GRACE_US;

    g_mutex_lock(&server->lock);
    shut_down_clients(server, SHUT_RD);
    while (server->clients->len > 0) {
        CST_TEST_POINT("nbd.clients.wait_grace");
        if (!g_cond_wait_until(&server->cond, &server->lock, end))
            break;
    }
    shut_down_clients(server, SHUT_RDWR);
    while (server->clients->len > 0) {
        CST_TEST_POINT("nbd.clients.wait");
        g_cond_wait(&server->cond, &server->lock);
    }
    g_mutex_unlock(&server->lock);
}

/* Accepts a client; ignores failures of one client. Returns FALSE if the listener is unusable. */
static gboolean accept_client(CstNbdServer *server, int listener, GError **error)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof(peer);
    int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);

    if (fd >= 0) {
        add_client(server, fd, (struct sockaddr *)&peer);
        return TRUE;
    }
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: g_usleep(LOOK_MS * 1000); return TRUE;
    case EBADF:
    case EINVAL:
    case ENOTSOCK: return cst_fail_errno(error, errno, _("cannot accept a client"));
    default: return TRUE;
    }
}

gboolean cst_nbd_server_run(CstNbdServer *server, CstTask *task, GError **error)
{
    guint count = server->listeners->len;
    g_autofree struct pollfd *waiting = g_new0(struct pollfd, count);
    gboolean ok = TRUE;

    for (guint i = 0; i < count; i++)
        waiting[i] = (struct pollfd){.fd = g_array_index(server->listeners, Listener, i).fd,
                                     .events = POLLIN};
    while (ok && !cst_task_cancelled(task)) {
        int ready = poll(waiting, count, LOOK_MS);

        for (guint i = 0; ok && ready > 0 && i < count; i++)
            if (waiting[i].revents)
                ok = accept_client(server, waiting[i].fd, error);
        shut_down_late(server);
        log_failures(server);
    }
    server->logged_at = 0; /* write the last line without delay */
    log_failures(server);
    end_clients(server);
    return ok;
}

/* --- all of it -------------------------------------------------------------------------------- */

static gboolean demand_tls(CstNbdServer *server, const CstNbdPlace *place, GError **error)
{
    CstNbdTls *tls;

    if (place->psk_file && place->certificates)
        return cst_fail(error, CST_ERROR_INVALID, _("TLS is by keys or by certificates"));
    if (!place->psk_file && !place->certificates)
        return TRUE;
    tls = place->psk_file ? cst_nbd_tls_new_psk(place->psk_file, error)
                          : cst_nbd_tls_new_certificates(place->certificates, error);
    if (tls)
        cst_nbd_server_set_tls(server, tls);
    return tls != NULL;
}

gboolean cst_nbd_serve(const CstNbdExport *export, const CstNbdPlace *place, CstTask *task,
                       GError **error)
{
    g_autoptr(CstNbdServer) server = cst_nbd_server_new(export, error);
    guint16 port;

    if (!server || !demand_tls(server, place, error) ||
        !(place->socket
              ? cst_nbd_server_listen_unix(server, place->socket, place->owner, error)
              : cst_nbd_server_listen_tcp(server, place->host, place->port, &port, error)))
        return FALSE;
    /* A total also tells the caller, even over a connection, that clients can connect. */
    cst_task_set_total(task, MAX(server->size, 1));
    return cst_nbd_server_run(server, task, error);
}
