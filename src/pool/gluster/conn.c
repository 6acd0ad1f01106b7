/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections to volumes. All calls of all pools with the same volume and servers share one
 * connection. Its creation takes tens of milliseconds. Its end takes up to ten seconds in
 * glfs_fini(), on a thread of its own. A process that exits does not wait for this thread
 * (base/foreign.h).
 *
 * The library reconnects by itself after an outage of the servers. It cannot recover from some
 * changes, such as a server that was restored with other bricks. Such a connection is dropped after
 * some time without a response, and replaced.
 *
 * Our client has no caches and no write-behind, for two reasons. A refresh must show the writes of
 * other clients. A failed write must return its own error, and not the next write.
 *
 * The registry's lock guards the table of places and their users. The lock of a place guards the
 * fields after it. Neither lock is held during a call into the library.
 */
#include "gluster.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <base/uuid.h>

/*
 * The maximum of hanging attempts of one place. Further attempts are refused until one of them
 * ends.
 */
#define HANGING_MAX 4
/* The servers describe the volume's structure in a text of some kilobytes. */
#define VOLFILE_MAX (1 << 20)
#define UUID_BYTES  16

gint64 gluster_give_up_us = 30 * G_TIME_SPAN_SECOND;

struct GlusterPlace {
    guint users; /* guarded by the registry's lock */
    gint refs;   /* one for all users, one for each attempt */
    char *key;
    GMutex lock;
    GCond cond;
    GlusterConn *conn; /* NULL: not connected */
    gboolean connecting;
    guint attempt;        /* counts the attempts to connect */
    guint first;          /* index of the first server; only the connecting thread uses it */
    GError *problem;      /* error of the last attempt */
    guint hanging;        /* attempts without a waiting caller */
    gint64 failing_since; /* monotonic time since which touches fail; 0: the last one succeeded */
};

static GMutex registry_lock;
static GHashTable *places; /* key (owned by the place) to GlusterPlace */

/* --- connections ------------------------------------------------------------------------------ */

GlusterConn *gluster_conn_ref(GlusterConn *conn)
{
    g_atomic_int_inc(&conn->refs);
    return conn;
}

static void gluster_disconnect(gpointer data, gpointer unused)
{
    GlusterConn *conn = data;

    if (conn->fs) {
        conn->gluster->glfs_fini(conn->fs);
        cst_foreign_leave();
    }
    g_free(conn);
}

/*
 * The number of threads is unlimited, so that a hanging disconnection does not block the next ones.
 */
void gluster_conn_unref(GlusterConn *conn)
{
    static GThreadPool *threads;

    if (!conn || !g_atomic_int_dec_and_test(&conn->refs))
        return;
    if (g_once_init_enter(&threads))
        g_once_init_leave(&threads, g_thread_pool_new(gluster_disconnect, NULL, -1, FALSE, NULL));
    g_thread_pool_push(threads, conn, NULL);
}

void gluster_changed(GlusterConn *conn)
{
    static guint last;
    guint next;

    /* 0 is reserved. */
    do
        next = g_atomic_int_add(&last, 1) + 1;
    while (next == 0);
    g_atomic_int_set(&conn->changes, next);
}

guint gluster_changes(GlusterConn *conn)
{
    return g_atomic_int_get(&conn->writers) > 0 ? 0 : g_atomic_int_get(&conn->changes);
}

/* --- connecting ------------------------------------------------------------------------------- */

typedef struct {
    CstWork work;
    GlusterPlace *place; /* referenced */
    const CstGluster *gluster;
    CstPoolDef *def;
    GlusterConf conf; /* of def */
    guint first;      /* index of the first server */
    char *url;
    GlusterConn *conn; /* the new connection; NULL: transferred to the caller, or not yet created */
    gboolean left;     /* guarded by the place's lock: the caller has timed out */
} Connecting;

static void place_free_ref(GlusterPlace *place);

static void gluster_connecting_clear(CstWork *work)
{
    Connecting *c = (Connecting *)work;

    g_mutex_lock(&c->place->lock);
    if (c->left)
        c->place->hanging--;
    g_mutex_unlock(&c->place->lock);
    gluster_conn_unref(c->conn);
    gluster_conf_clear(&c->conf);
    cst_pool_def_free(c->def);
    g_free(c->url);
    place_free_ref(c->place);
}

static void gluster_set_options(const Connecting *c, glfs_t *fs)
{
    static const char *const caches[] = {"*-write-behind",  "*-md-cache", "*-quick-read",
                                         "*-open-behind",   "*-io-cache", "*-read-ahead",
                                         "*-readdir-ahead", "*-nl-cache"};
    guint seconds = c->conf.timeout_ms / 1000;
    g_autofree char *ping = NULL;

    /*
     * With several servers, the client must switch to another copy of the data before our own
     * timeout.
     */
    if (c->def->source.hosts->len > 1)
        seconds = MAX(seconds / 2, 1);
    ping = g_strdup_printf("%u", seconds);
    /* The library's messages become our errors, so it needs no log file. */
    c->gluster->glfs_set_logging(fs, "/dev/null", 1);
    for (size_t i = 0; i < G_N_ELEMENTS(caches); i++)
        c->gluster->glfs_set_xlator_option(fs, caches[i], "pass-through", "true");
    c->gluster->glfs_set_xlator_option(fs, "*-client-*", "ping-timeout", ping);
}

static gboolean add_servers(const Connecting *c, glfs_t *fs, GError **error)
{
    const GPtrArray *hosts = c->def->source.hosts;

    for (guint i = 0; i < hosts->len; i++) {
        const CstHost *host = g_ptr_array_index(hosts, (c->first + i) % hosts->len);

        if (c->gluster->glfs_set_volfile_server(fs, c->conf.transport, host->name, host->port) < 0)
            return cst_gluster_fail(error, errno, _("failed to connect to %s"), c->url);
    }
    return TRUE;
}

/*
 * Returns whether the servers may copy ranges on a volume of this structure. If a volume keeps
 * several copies or pieces of a file, a copy must go through a layer that supports this. No current
 * layer does.
 */
static gboolean may_copy(const CstGluster *gluster, glfs_t *fs)
{
    static const char *const layers[] = {"type cluster/replicate", "type cluster/disperse",
                                         "type features/shard", "type cluster/afr"};
    /*
     * Without a buffer, the call returns the negative of the required length. The second call must
     * pass exactly this length, because the library copies as many bytes as the buffer has (Gluster
     * 10.3).
     */
    ssize_t missing = gluster->glfs_get_volfile(fs, NULL, 0);
    g_autofree char *text = NULL;

    if (missing >= 0 || missing < -VOLFILE_MAX)
        return FALSE;
    text = g_malloc0((gsize)-missing + 1);
    if (gluster->glfs_get_volfile(fs, text, (size_t)-missing) != -missing)
        return FALSE;
    for (size_t i = 0; i < G_N_ELEMENTS(layers); i++)
        if (strstr(text, layers[i]))
            return FALSE;
    return TRUE;
}

/*
 * Reads the volume's UUID. glusterd does not report it over a Unix socket (Gluster 10.3), so a pool
 * over one has no UUID.
 */
static void gluster_read_uuid(const Connecting *c, GlusterConn *conn)
{
    CstUuid id;

    if (c->gluster->glfs_get_volumeid(conn->fs, (char *)id.bytes, sizeof(id.bytes)) == UUID_BYTES)
        cst_uuid_format(&id, conn->id);
}

static gboolean init_failed(const Connecting *c, int err, GError **error)
{
    if (err == ENOENT)
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("failed to connect to %s: the servers have no volume '%s'"), c->url,
                        c->def->source.name);
    /* The library returns these errors if the bricks of the volume are down. */
    if (err == 0 || err == EIO)
        return cst_fail(error, CST_ERROR_UNREACHABLE,
                        _("failed to connect to %s: the servers do not serve volume '%s'; see "
                          "whether it is started"),
                        c->url, c->def->source.name);
    return cst_gluster_fail(error, err, _("failed to connect to %s"), c->url);
}

/*
 * Connects, in its own thread. c->conn owns the unfinished connection, and its cleanup releases it
 * after a failure.
 */
static gboolean gluster_connect_now(CstWork *work, GError **error)
{
    Connecting *c = (Connecting *)work;
    GlusterConn *conn = c->conn = g_new0(GlusterConn, 1);
    int result, err;

    conn->refs = 1;
    gluster_changed(conn);
    conn->gluster = c->gluster;
    conn->timeout_ms = c->conf.timeout_ms;
    /* From here on, the process must not exit while the library runs. */
    cst_foreign_enter();
    conn->fs = c->gluster->glfs_new(c->def->source.name);
    if (!conn->fs) {
        cst_foreign_leave();
        return cst_gluster_fail(error, ENOMEM, _("failed to connect to %s"), c->url);
    }
    if (!add_servers(c, conn->fs, error))
        return FALSE;
    gluster_set_options(c, conn->fs);
    errno = 0;
    result = c->gluster->glfs_init(conn->fs);
    err = errno;
    cst_foreign_connected();
    if (result < 0)
        return init_failed(c, err, error);
    conn->copies = may_copy(c->gluster, conn->fs) ? -1 : 0;
    gluster_read_uuid(c, conn);
    return TRUE;
}

static Connecting *gluster_connecting_new(GlusterPlace *place, const GlusterConf *conf,
                                          const CstGluster *gluster, guint first)
{
    Connecting *c = cst_work_new(sizeof(*c), gluster_connect_now, gluster_connecting_clear);

    g_atomic_int_inc(&place->refs);
    c->place = place;
    c->gluster = gluster;
    c->first = first;
    c->def = cst_pool_def_copy(conf->def);
    gluster_conf_read(c->def, &c->conf, NULL); /* cannot fail, because it was read before */
    c->url = gluster_conf_url(&c->conf);
    c->work.what = c->url;
    return c;
}

/*
 * Connects through server @first, or through other servers that the library then tries. Returns the
 * connection, or NULL with @error. A connection that is established after the deadline is closed,
 * and counts as hanging until then. Sets *ret_hangs if this attempt hangs and further attempts are
 * permitted.
 */
static GlusterConn *gluster_connect_deadline(GlusterPlace *place, const GlusterConf *conf,
                                             guint first, guint deadline_ms, gboolean *ret_hangs,
                                             GError **error)
{
    const CstGluster *gluster = cst_gluster(error);
    g_autoptr(CstWork) work = NULL;
    g_autoptr(GError) why = NULL;
    GlusterConn *conn = NULL;
    Connecting *c;

    *ret_hangs = FALSE;
    if (!gluster)
        return NULL;
    c = gluster_connecting_new(place, conf, gluster, first);
    work = &c->work;
    if (cst_work_wait(work, deadline_ms, &why))
        conn = g_steal_pointer(&c->conn);
    if (why) {
        g_mutex_lock(&place->lock);
        c->left = !cst_work_is_done(work);
        place->hanging += c->left;
        *ret_hangs = c->left && place->hanging < HANGING_MAX;
        g_mutex_unlock(&place->lock);
        g_propagate_error(error, g_steal_pointer(&why));
    }
    return conn;
}

/*
 * Connects through one of the servers. The library tries the next server if one refuses, and waits
 * forever for a server that is frozen. Therefore each server is the first one for a part of the
 * timeout, beginning with the last successful one. The last server gets the largest part, because
 * the library may first have to give up a frozen brick.
 */
static GlusterConn *connect_by_any(GlusterPlace *place, const GlusterConf *conf, GError **error)
{
    gint64 end = g_get_monotonic_time() + conf->timeout_ms * G_TIME_SPAN_MILLISECOND;
    guint servers = MIN(conf->def->source.hosts->len, HANGING_MAX);
    GlusterConn *conn = NULL;
    gboolean hangs = TRUE;

    for (guint i = 0; !conn && hangs && i < servers; i++) {
        guint first = (place->first + i) % conf->def->source.hosts->len;
        gint64 left_ms = (end - g_get_monotonic_time()) / G_TIME_SPAN_MILLISECOND;
        guint parts = i + 1 < servers ? 2 * (servers - i) : 1;

        g_clear_error(error);
        conn = gluster_connect_deadline(place, conf, first, (guint)MAX(left_ms, parts) / parts,
                                        &hangs, error);
        if (conn)
            place->first = first;
    }
    return conn;
}

/* --- places ----------------------------------------------------------------------------------- */

/* Returns the place with one more user, or NULL if it does not exist and @make is FALSE. */
static GlusterPlace *place_get(const GlusterConf *conf, gboolean make)
{
    GlusterPlace *place;

    g_mutex_lock(&registry_lock);
    if (!places)
        places = g_hash_table_new(g_str_hash, g_str_equal);
    place = g_hash_table_lookup(places, conf->key);
    if (!place && make) {
        place = g_new0(GlusterPlace, 1);
        place->refs = 1;
        place->key = g_strdup(conf->key);
        g_mutex_init(&place->lock);
        g_cond_init(&place->cond);
        g_hash_table_insert(places, place->key, place);
    }
    if (place)
        place->users++;
    g_mutex_unlock(&registry_lock);
    return place;
}

GlusterPlace *gluster_place_get(const GlusterConf *conf)
{
    return place_get(conf, TRUE);
}

static void place_free_ref(GlusterPlace *place)
{
    if (!g_atomic_int_dec_and_test(&place->refs))
        return;
    gluster_conn_unref(place->conn);
    g_clear_error(&place->problem);
    g_cond_clear(&place->cond);
    g_mutex_clear(&place->lock);
    g_free(place->key);
    g_free(place);
}

void gluster_place_unref(GlusterPlace *place)
{
    gboolean last;

    if (!place)
        return;
    g_mutex_lock(&registry_lock);
    last = --place->users == 0;
    if (last)
        g_hash_table_remove(places, place->key);
    g_mutex_unlock(&registry_lock);
    if (last)
        place_free_ref(place);
}

/*
 * Waits for a running attempt, or begins one. Call it with the lock held. Returns TRUE if the
 * caller must connect.
 */
static gboolean gluster_connect_wait(GlusterPlace *place, const GlusterConf *conf, GError **error)
{
    guint attempt = place->attempt;

    while (place->connecting) {
        CST_TEST_POINT("gluster.conn.wait");
        g_cond_wait(&place->cond, &place->lock);
    }
    if (place->conn)
        return FALSE;
    /*
     * A caller that waited for a failed attempt fails with its error, because another attempt would
     * take as long again.
     */
    if (attempt != place->attempt && place->problem) {
        g_propagate_error(error, g_error_copy(place->problem));
        return FALSE;
    }
    if (place->hanging >= HANGING_MAX)
        return cst_fail(error, CST_ERROR_UNREACHABLE,
                        _("the servers of Gluster volume '%s' accept connections and do not "
                          "answer"),
                        conf->def->source.name);
    place->connecting = TRUE;
    return TRUE;
}

GlusterConn *gluster_conn_get(GlusterPlace *place, const GlusterConf *conf, GError **error)
{
    g_autoptr(GError) problem = NULL;
    GlusterConn *conn;

    g_mutex_lock(&place->lock);
    if (!place->conn && gluster_connect_wait(place, conf, error)) {
        g_mutex_unlock(&place->lock);
        CST_TEST_POINT("gluster.conn.unlocked");
        conn = connect_by_any(place, conf, &problem);
        g_mutex_lock(&place->lock);
        place->conn = conn;
        place->connecting = FALSE;
        place->attempt++;
        g_clear_error(&place->problem);
        if (problem) {
            place->problem = g_error_copy(problem);
            g_propagate_error(error, g_steal_pointer(&problem));
        }
        g_cond_broadcast(&place->cond);
    }
    conn = place->conn ? gluster_conn_ref(place->conn) : NULL;
    g_mutex_unlock(&place->lock);
    return conn;
}

/* --- touch ------------------------------------------------------------------------------------ */

/* Records the result of a touch. Returns a dead connection, which the caller releases, or NULL. */
static GlusterConn *note_touch(GlusterPlace *place, const GlusterConn *conn, gboolean answered)
{
    GlusterConn *dead = NULL;
    gint64 now = g_get_monotonic_time();

    g_mutex_lock(&place->lock);
    if (answered)
        place->failing_since = 0;
    else if (place->failing_since == 0)
        place->failing_since = now;
    else if (place->conn == conn && now - place->failing_since > gluster_give_up_us) {
        dead = g_steal_pointer(&place->conn);
        place->failing_since = 0;
    }
    g_mutex_unlock(&place->lock);
    return dead;
}

/* Uses statfs, because each brick must respond and no cache serves it. */
gboolean gluster_touch(const CstPoolDef *def, GError **error)
{
    g_auto(GlusterConf) conf = {0};
    g_autoptr(GlusterConn) conn = NULL;
    g_autoptr(GlusterConn) dead = NULL;
    GlusterPlace *place;
    struct statvfs fs;
    int err = 0;

    if (!gluster_conf_read(def, &conf, error))
        return FALSE;
    /* A probe may outlive its pool, and must not create a connection then. */
    place = place_get(&conf, FALSE);
    if (!place)
        return TRUE;
    conn = gluster_conn_get(place, &conf, error);
    if (conn && conn->gluster->glfs_statvfs(conn->fs, GLUSTER_ROOT, &fs) < 0)
        err = errno ? errno : EIO;
    CST_TEST_POINT("gluster.touch.asked");
    if (conn)
        dead = note_touch(place, conn, err == 0);
    gluster_place_unref(place);
    if (err)
        return cst_gluster_fail(error, err, _("Gluster volume '%s'"), def->source.name);
    return conn != NULL;
}

/* --- the state -------------------------------------------------------------------------------- */

void gluster_expect_now(GlusterState *state, const GlusterConn *conn)
{
    g_mutex_lock(&state->lock);
    g_free(state->expected);
    state->expected = *conn->id ? g_strdup(conn->id) : NULL;
    g_mutex_unlock(&state->lock);
}

GlusterConn *gluster_connect(CstPoolState *head, GError **error)
{
    GlusterState *state = (GlusterState *)head;
    g_autoptr(GlusterConn) conn = gluster_conn_get(state->place, &state->conf, error);
    gboolean same;

    if (!conn)
        return NULL;
    g_mutex_lock(&state->lock);
    same = !state->expected || !*conn->id || strcmp(state->expected, conn->id) == 0;
    g_mutex_unlock(&state->lock);
    if (same)
        return g_steal_pointer(&conn);
    cst_fail(
        error, CST_ERROR_STATE,
        _("the servers have another volume '%s' than when pool '%s' was last started; stop and "
          "start the pool, if that is meant"),
        head->def->source.name, head->def->name);
    return NULL;
}
