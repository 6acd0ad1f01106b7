/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections to cisternd, opened by libvirt's own remote driver. Inside libvirtd that driver
 * accepts a local URI only in the form "+unix" with a socket.
 *
 * A link has the identity of its caller, because cisternd would otherwise see root for each client.
 * Idle links are kept in a list, most recently used first. A call takes a link out of the list, so
 * one link never has two calls.
 *
 * virConnectOpen() has no limit of time: a stopped cisternd accepts the connection and does not
 * answer. So a thread opens it (Opening), and a client's call stops waiting after CLIENT_WAIT_S.
 * The thread closes a connection that its caller no longer wants. OPENINGS_MAX bounds these
 * threads. A client's call waits for its turn while other openings end, and fails at once when no
 * opening has ended for STALLED_US: a stopped cisternd must not occupy each worker of libvirtd. An
 * open link has keepalive, so that a call to a stopped cisternd ends with an error after
 * KEEPALIVE_S * (KEEPALIVE_COUNT + 1) seconds. A call that is made again has a new link, because
 * idle links may be of the same stopped cisternd.
 *
 * The lock of links guards the list and the number of threads. No call is made while it is held.
 */
#include "link.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "symbols.h"

#define SOCKET          "/run/libvirt/virtstoraged-sock"
#define LINK_URI        "storage+unix:///system?socket=" SOCKET
#define START_WAIT_S    30 /* of all calls with LINK_FOR_START */
#define IDLE_MAX        8
#define OPENINGS_MAX    4       /* for clients */
#define STALLED_US      2000000 /* no opening ends in this time: cisternd does not answer */
#define KEEPALIVE_S     5
#define KEEPALIVE_COUNT 3
#define PAUSE_US        100000 /* between two attempts to connect */

typedef struct {
    gboolean known;       /* the thread has an identity */
    gint64 uid, gid, pid; /* -1: the identity has none */
    guint64 start;        /* of process @pid */
    char *user;
} Identity;

struct Link {
    virConnectPtr conn;
    Identity identity;
};

static struct {
    GMutex lock;
    GQueue idle; /* of Link */
    GCond opening_ended;
    guint openings;        /* for clients, under way */
    gint64 last_change;    /* monotonic µs at which an opening for a client last began or ended */
    gint64 start_deadline; /* of calls with LINK_FOR_START, monotonic µs; 0: no such call yet */
} links = {.idle = G_QUEUE_INIT};

/* --- identity -------------------------------------------------------------------------------- */

static void identity_clear(Identity *identity)
{
    g_free(identity->user);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Identity, identity_clear)

static Identity identity_of_thread(void)
{
    Identity identity = {.uid = -1, .gid = -1, .pid = -1};
    void *current = symbols.identity_current();
    unsigned long long start;
    const char *user = NULL;
    uid_t uid;
    gid_t gid;
    pid_t pid;

    if (!current)
        return identity;
    identity.known = TRUE;
    if (symbols.identity_uid(current, &uid) == 1)
        identity.uid = uid;
    if (symbols.identity_gid(current, &gid) == 1)
        identity.gid = gid;
    if (symbols.identity_pid(current, &pid) == 1)
        identity.pid = pid;
    if (symbols.identity_start(current, &start) == 1)
        identity.start = start;
    if (symbols.identity_user(current, &user) == 1)
        identity.user = g_strdup(user);
    symbols.object_unref(current);
    return identity;
}

static gboolean identity_equal(const Identity *a, const Identity *b)
{
    return a->known == b->known && a->uid == b->uid && a->gid == b->gid && a->pid == b->pid &&
           a->start == b->start && g_strcmp0(a->user, b->user) == 0;
}

static Identity identity_copy(const Identity *identity)
{
    Identity copy = *identity;

    copy.user = g_strdup(identity->user);
    return copy;
}

/* Calls of @conn are made as @identity from now on. */
static gboolean identity_send(const Identity *identity, virConnectPtr conn)
{
    virTypedParameterPtr fields = NULL;
    int count = 0, max = 0, done;

    if (identity->uid >= 0)
        virTypedParamsAddULLong(&fields, &count, &max, VIR_CONNECT_IDENTITY_UNIX_USER_ID,
                                (guint64)identity->uid);
    if (identity->gid >= 0)
        virTypedParamsAddULLong(&fields, &count, &max, VIR_CONNECT_IDENTITY_UNIX_GROUP_ID,
                                (guint64)identity->gid);
    if (identity->pid >= 0) {
        virTypedParamsAddLLong(&fields, &count, &max, VIR_CONNECT_IDENTITY_PROCESS_ID,
                               identity->pid);
        virTypedParamsAddULLong(&fields, &count, &max, VIR_CONNECT_IDENTITY_PROCESS_TIME,
                                identity->start);
    }
    if (identity->user)
        virTypedParamsAddString(&fields, &count, &max, VIR_CONNECT_IDENTITY_USER_NAME,
                                identity->user);
    done = count > 0 ? virConnectSetIdentity(conn, fields, count, 0) : 0;
    virTypedParamsFree(fields, count);
    return done == 0;
}

/*
 * A thread works for libvirtd itself and not for a client if it has no identity, or the identity of
 * this process. The thread "daemon-init" autostarts guests before libvirtd accepts clients. Each
 * running guest has its own thread for the reconnection.
 */
LinkPurpose link_own_purpose(void)
{
    g_auto(Identity) identity = identity_of_thread();
    char thread[16] = "";

    if (identity.known && identity.pid != getpid())
        return LINK_FOR_CLIENT;
    pthread_getname_np(pthread_self(), thread, sizeof(thread));
    return strcmp(thread, "daemon-init") == 0 ? LINK_FOR_START : LINK_FOR_GUEST;
}

/* --- opening --------------------------------------------------------------------------------- */

/* Whether cisternd listens. virConnectOpen() would log each failed attempt of a wait. */
static gboolean link_socket_answers(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int done = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof(address));
    int reason = errno;

    if (fd >= 0)
        close(fd);
    if (done < 0 && reason != EAGAIN) {
        module_fail(VIR_ERR_RPC, "cannot connect to cisternd at '%s': %s; start cisternd.service",
                    SOCKET, g_strerror(reason));
        return FALSE;
    }
    return TRUE;
}

static virConnectPtr open_connection(const Identity *identity)
{
    virConnectPtr conn = virConnectOpen(LINK_URI);
    virErrorPtr error;

    if (!conn)
        return NULL;
    if (virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT) == 0 &&
        identity_send(identity, conn))
        return conn;
    error = virSaveLastError();
    virConnectClose(conn);
    if (error)
        symbols.set_error(error);
    virFreeError(error);
    return NULL;
}

virConnectPtr link_open_own(void)
{
    const Identity identity = {.uid = -1, .gid = -1, .pid = -1};

    return link_socket_answers() ? open_connection(&identity) : NULL;
}

/* A connection that a thread opens for a caller. The caller and the thread have a reference. */
typedef struct {
    gint refs; /* atomic */
    GMutex lock;
    GCond ended;
    Identity identity;
    gboolean counted;  /* in the number of openings for clients */
    gboolean unwanted; /* the caller no longer waits */
    gboolean done;
    virConnectPtr conn; /* valid if done; NULL: error has the reason */
    virErrorPtr error;
} Opening;

/* Waits for room for an opening for a client, and counts it. Returns FALSE and sets an error. */
static gboolean openings_enter(gint64 deadline)
{
    gboolean room;

    g_mutex_lock(&links.lock);
    while (links.openings >= OPENINGS_MAX)
        if (!g_cond_wait_until(&links.opening_ended, &links.lock,
                               MIN(deadline, links.last_change + STALLED_US)))
            break;
    room = links.openings < OPENINGS_MAX;
    if (room) {
        links.openings++;
        links.last_change = g_get_monotonic_time();
    }
    g_mutex_unlock(&links.lock);
    if (!room)
        module_fail(VIR_ERR_RPC, "cisternd does not answer at '%s', and %d calls wait for it",
                    SOCKET, OPENINGS_MAX);
    return room;
}

static void openings_leave(void)
{
    g_mutex_lock(&links.lock);
    links.openings--;
    links.last_change = g_get_monotonic_time();
    g_cond_broadcast(&links.opening_ended);
    g_mutex_unlock(&links.lock);
}

static void opening_unref(Opening *opening)
{
    if (!g_atomic_int_dec_and_test(&opening->refs))
        return;
    identity_clear(&opening->identity);
    virFreeError(opening->error);
    g_mutex_clear(&opening->lock);
    g_cond_clear(&opening->ended);
    g_free(opening);
}

static gpointer opening_run(gpointer data)
{
    Opening *opening = data;
    virConnectPtr conn = open_connection(&opening->identity);
    gboolean unwanted, counted;

    g_mutex_lock(&opening->lock);
    opening->done = TRUE;
    unwanted = opening->unwanted;
    opening->conn = conn;
    opening->error = conn ? NULL : virSaveLastError();
    g_cond_signal(&opening->ended);
    g_mutex_unlock(&opening->lock);
    if (unwanted && conn)
        virConnectClose(conn);
    counted = opening->counted;
    opening_unref(opening);
    if (counted)
        openings_leave();
    return NULL;
}

/* Starts the thread. Returns NULL and sets an error if that fails. */
static Opening *opening_start(const Identity *identity, gboolean counted)
{
    Opening *opening = g_new0(Opening, 1);
    GThread *thread;

    opening->refs = 2;
    opening->counted = counted;
    g_mutex_init(&opening->lock);
    g_cond_init(&opening->ended);
    opening->identity = identity_copy(identity);
    thread = g_thread_try_new("cistern-open", opening_run, opening, NULL);
    if (thread) {
        g_thread_unref(thread);
        return opening;
    }
    opening->refs = 1;
    opening_unref(opening);
    if (counted)
        openings_leave();
    module_fail(VIR_ERR_INTERNAL_ERROR, "%s", "cannot start a thread");
    return NULL;
}

/* Opens a connection. @deadline: monotonic time in µs; 0: no limit. */
static virConnectPtr open_until(const Identity *identity, LinkPurpose purpose, gint64 deadline)
{
    gboolean counted = purpose == LINK_FOR_CLIENT;
    Opening *opening;
    virConnectPtr conn;

    if (counted && !openings_enter(deadline))
        return NULL;
    opening = opening_start(identity, counted);
    if (!opening)
        return NULL;
    g_mutex_lock(&opening->lock);
    while (!opening->done)
        if (deadline == 0)
            g_cond_wait(&opening->ended, &opening->lock);
        else if (!g_cond_wait_until(&opening->ended, &opening->lock, deadline))
            break;
    opening->unwanted = !opening->done;
    conn = opening->conn;
    if (opening->error)
        symbols.set_error(opening->error);
    else if (!conn)
        module_fail(VIR_ERR_RPC, "cisternd does not answer at '%s' in time", SOCKET);
    g_mutex_unlock(&opening->lock);
    opening_unref(opening);
    return conn;
}

/* --- links ----------------------------------------------------------------------------------- */

static void link_close(gpointer data)
{
    Link *link = data;

    virConnectClose(link->conn);
    identity_clear(&link->identity);
    g_free(link);
}

/* Takes an idle link of @identity out of the list; NULL: there is no such link. */
static Link *link_take_idle(const Identity *identity)
{
    GQueue dead = G_QUEUE_INIT;
    Link *found = NULL;

    g_mutex_lock(&links.lock);
    for (GList *each = links.idle.head, *next; each; each = next) {
        Link *link = each->data;

        next = each->next;
        if (!link_is_alive(link)) {
            g_queue_push_tail(&dead, link);
            g_queue_delete_link(&links.idle, each);
        } else if (!found && identity_equal(&link->identity, identity)) {
            found = link;
            g_queue_delete_link(&links.idle, each);
        }
    }
    g_mutex_unlock(&links.lock);
    g_queue_clear_full(&dead, link_close);
    return found;
}

/* Returns the monotonic time in µs at which a call fails; 0: no limit. */
static gint64 deadline_for(LinkPurpose purpose)
{
    gint64 now = g_get_monotonic_time(), deadline = 0;

    if (purpose == LINK_FOR_CLIENT)
        return now + CLIENT_WAIT_S * G_USEC_PER_SEC;
    if (purpose == LINK_FOR_GUEST)
        return 0;
    g_mutex_lock(&links.lock);
    if (!links.start_deadline)
        links.start_deadline = now + START_WAIT_S * G_USEC_PER_SEC;
    deadline = links.start_deadline;
    g_mutex_unlock(&links.lock);
    return deadline;
}

Link *link_acquire(LinkPurpose purpose, gboolean fresh)
{
    g_auto(Identity) identity = identity_of_thread();
    gint64 deadline = deadline_for(purpose);
    Link *link = fresh ? NULL : link_take_idle(&identity);
    gboolean logged = FALSE;

    while (!link) {
        virConnectPtr conn =
            link_socket_answers() ? open_until(&identity, purpose, deadline) : NULL;

        if (conn) {
            link = g_new0(Link, 1);
            link->conn = conn;
            link->identity = identity_copy(&identity);
        } else if (purpose == LINK_FOR_CLIENT || (deadline && g_get_monotonic_time() >= deadline)) {
            return NULL;
        } else {
            if (purpose != LINK_FOR_CLIENT && !logged)
                module_log("libvirtd waits for cisternd: %s", virGetLastErrorMessage());
            logged = TRUE;
            g_usleep(PAUSE_US);
        }
    }
    return link;
}

virConnectPtr link_connection(const Link *link)
{
    return link->conn;
}

gboolean link_is_alive(const Link *link)
{
    return virConnectIsAlive(link->conn) == 1;
}

void link_release(Link *link)
{
    Link *surplus = NULL;

    if (!link_is_alive(link)) {
        link_close(link);
        return;
    }
    g_mutex_lock(&links.lock);
    g_queue_push_head(&links.idle, link);
    if (links.idle.length > IDLE_MAX)
        surplus = g_queue_pop_tail(&links.idle);
    g_mutex_unlock(&links.lock);
    if (surplus)
        link_close(surplus);
}
