/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection to a cluster. All calls of a pool share one connection, which the first call
 * makes. Calls that arrive during the attempt wait for it and share its result, including a
 * failure, because a new attempt would take as long. state->lock guards the pointer to the
 * connection; it is not held while connecting.
 *
 * A connection lives as long as it has references. A dropped connection serves the calls in
 * progress, and the next call makes a new one. A separate thread (CstWork) connects, so that a
 * hanging library cannot block the caller.
 */
#include "rbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

/* Longer than Ceph's own time-outs, because Ceph reports a better error and cleans up. */
#define SLACK_MS     5000
#define DEADLINE_MAX 3600

void cst_rbd_state_init(RbdState *state)
{
    g_mutex_init(&state->lock);
    g_cond_init(&state->cond);
    state->finished = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void cst_rbd_state_clear(RbdState *state)
{
    g_clear_pointer(&state->conn, cst_rbd_conn_unref);
    g_clear_error(&state->problem);
    g_hash_table_unref(state->finished);
    g_mutex_clear(&state->lock);
    g_cond_clear(&state->cond);
}

RbdConn *cst_rbd_conn_ref(RbdConn *conn)
{
    g_atomic_int_inc(&conn->refs);
    return conn;
}

/* May run in any thread, also in the thread of an abandoned job. */
void cst_rbd_conn_unref(RbdConn *conn)
{
    if (!conn || !g_atomic_int_dec_and_test(&conn->refs))
        return;
    if (conn->io)
        conn->ceph->rados_ioctx_destroy(conn->io);
    if (conn->cluster) {
        conn->ceph->rados_shutdown(conn->cluster);
        cst_foreign_leave();
    }
    g_free(conn);
}

/* Drops the reference without the lock, because the last reference shuts the client down. */
void cst_rbd_conn_drop(RbdState *state)
{
    RbdConn *conn;

    g_mutex_lock(&state->lock);
    conn = g_steal_pointer(&state->conn);
    g_mutex_unlock(&state->lock);
    cst_rbd_conn_unref(conn);
}

/* The caller references @conn, so a newer connection cannot have the same address. */
void cst_rbd_conn_give_up(RbdState *state, const RbdConn *conn)
{
    RbdConn *dropped = NULL;

    CST_TEST_POINT("rbd.conn.give_up");
    g_mutex_lock(&state->lock);
    if (state->conn == conn)
        dropped = g_steal_pointer(&state->conn);
    g_mutex_unlock(&state->lock);
    cst_rbd_conn_unref(dropped);
}

gboolean cst_rbd_renew(CstPoolState *head, GError **error)
{
    RbdState *state = (RbdState *)head;

    g_mutex_lock(&state->lock);
    state->epoch++;
    g_mutex_unlock(&state->lock);
    cst_rbd_conn_drop(state);
    return TRUE;
}

/* --- connecting ------------------------------------------------------------------------------- */

typedef struct {
    CstWork work;
    const CstCeph *ceph;
    GPtrArray *options; /* of RbdOption */
    char *user;         /* NULL: no authentication */
    CstSecretBytes key; /* base64 */
    char *pool;
    char *namespace;
    gboolean admin; /* the user is an administrator, and no pool is opened */
    RbdConn *conn;  /* the result after success */
} Connecting;

/* Runs when both the thread and the waiter have dropped their reference. Wipes the key. */
static void rbd_connecting_clear(CstWork *work)
{
    Connecting *c = (Connecting *)work;

    g_ptr_array_unref(c->options);
    g_free(c->user);
    cst_secret_bytes_clear(&c->key);
    g_free(c->pool);
    g_free(c->namespace);
    cst_rbd_conn_unref(c->conn);
}

/* A misspelt option of the definition fails with CONFIG before any data is sent. */
static gboolean rbd_set_options(Connecting *c, rados_t cluster, GError **error)
{
    int result;

    for (guint i = 0; i < c->options->len; i++) {
        const RbdOption *option = g_ptr_array_index(c->options, i);

        result = c->ceph->rados_conf_set(cluster, option->key, option->value);
        if (result == -ENOENT)
            return cst_fail(error, CST_ERROR_CONFIG, _("Ceph has no option '%s'"), option->key);
        if (result < 0)
            return cst_fail(error, CST_ERROR_CONFIG, _("failed to set RADOS option: %s=%s: %s"),
                            option->key, option->value, g_strerror(-result));
    }
    if (c->key.data && c->ceph->rados_conf_set(cluster, "key", (const char *)c->key.data) < 0)
        return cst_fail(error, CST_ERROR_CONFIG, _("failed to set RADOS option: %s"), "key");
    return TRUE;
}

/* Returns the longest of Ceph's own time-outs. 0 means no limit to Ceph, and our default here. */
static guint deadline_of(const Connecting *c, rados_t cluster)
{
    static const char *const names[] = {"client_mount_timeout", "rados_mon_op_timeout",
                                        "rados_osd_op_timeout"};
    double longest = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        char text[64] = "";
        double seconds;

        if (c->ceph->rados_conf_get(cluster, names[i], text, sizeof(text)) < 0)
            continue;
        seconds = g_ascii_strtod(text, NULL);
        longest = MAX(longest, seconds > 0 ? seconds : 30);
    }
    return (guint)(MIN(longest, DEADLINE_MAX) * 1000) + SLACK_MS;
}

static gboolean rbd_open_ceph_pool(Connecting *c, RbdConn *conn, GError **error)
{
    bool exists = true;
    int result = c->ceph->rados_ioctx_create(conn->cluster, c->pool, &conn->io);

    if (result == -ENOENT)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("the Ceph cluster has no pool '%s'"),
                        c->pool);
    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot use Ceph pool '%s'"), c->pool);
    conn->pool_id = c->ceph->rados_ioctx_get_id(conn->io);
    /* Fail if the pool is full, instead of waiting until it has space. */
    c->ceph->rados_set_pool_full_try(conn->io);
    if (!c->namespace)
        return TRUE;
    result = c->ceph->rbd_namespace_exists(conn->io, c->namespace, &exists);
    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot use namespace '%s/%s'"), c->pool,
                             c->namespace);
    if (!exists)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("Ceph pool '%s' has no namespace '%s'"),
                        c->pool, c->namespace);
    c->ceph->rados_ioctx_set_namespace(conn->io, c->namespace);
    return TRUE;
}

static gboolean rbd_fail_denied(const Connecting *c, GError **error)
{
    if (!c->user)
        return cst_fail(error, CST_ERROR_DENIED,
                        _("the Ceph cluster wants authentication: add <auth> to the pool"));
    if (c->admin)
        return cst_fail(error, CST_ERROR_DENIED,
                        _("the Ceph cluster refused the administrator 'client.%s': check the "
                          "keyring"),
                        c->user);
    return cst_fail(error, CST_ERROR_DENIED,
                    _("the Ceph cluster refused user '%s': check the name and the value of the "
                      "pool's secret"),
                    c->user);
}

/*
 * Runs in a separate thread. After a failure c->conn owns all objects created so far, and frees
 * them.
 */
static gboolean rbd_connect_now(CstWork *work, GError **error)
{
    Connecting *c = (Connecting *)work;
    RbdConn *conn = c->conn = g_new0(RbdConn, 1);
    rados_t cluster = NULL;
    int result;

    conn->refs = 1;
    conn->ceph = c->ceph;
    /* From here on the program must not exit while Ceph's threads run. */
    cst_foreign_enter();
    result = c->ceph->rados_create(&cluster, c->user);
    if (result < 0) {
        cst_foreign_leave();
        return cst_ceph_fail(error, result, _("failed to initialize RADOS"));
    }
    conn->cluster = cluster;
    if (!rbd_set_options(c, cluster, error))
        return FALSE;
    conn->deadline_ms = deadline_of(c, cluster);
    result = c->ceph->rados_connect(cluster);
    cst_foreign_connected();
    if (result == -EACCES || result == -EPERM || result == -EOPNOTSUPP)
        return rbd_fail_denied(c, error);
    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot reach the Ceph monitors of pool '%s'"),
                             c->pool);
    conn->id = c->ceph->rados_get_instance_id(cluster);
    return c->admin || rbd_open_ceph_pool(c, conn, error);
}

/*
 * Checks the format of a cephx key (Ceph's CryptoKey, little-endian): type (1: AES, 2: AES256KRB5),
 * time (8 bytes), length of the secret, secret. Ceph's library writes an invalid key to stderr in
 * full, with any options, so it must never get one.
 */
static gboolean is_cephx_key(const CstSecretBytes *value)
{
    const uint8_t *at = value->data;
    size_t type, len;

    if (value->len < 12)
        return FALSE;
    type = at[0] | (size_t)at[1] << 8;
    len = at[10] | (size_t)at[11] << 8;
    return value->len >= 12 + len && ((type == 1 && len >= 16) || (type == 2 && len >= 32));
}

/* The secret has the decoded key; Ceph's library needs base64. */
static gboolean rbd_read_key(RbdState *state, Connecting *c, GError **error)
{
    const CstAuth *auth = &state->head.def->source.auth;
    const CstPoolHost *host = state->head.host;
    g_auto(CstSecretBytes) value = {0};

    if (auth->type != CST_AUTH_CEPH)
        return TRUE;
    c->user = g_strdup(auth->username);
    if (!host)
        return cst_fail(error, CST_ERROR_NO_SECRET, _("no secret for Ceph user '%s'"), c->user);
    if (!host->secret(auth, &value, host->data, error))
        return FALSE;
    return (is_cephx_key(&value) ||
            cst_fail(error, CST_ERROR_INVALID_SECRET,
                     _("the secret for Ceph user '%s' is not a Ceph key: the value must be the "
                       "base64 text that 'ceph auth print-key' prints"),
                     c->user)) &&
           cst_secret_bytes_to_base64(&c->key, &value, error);
}

/* NULL if Ceph's libraries are not installed. */
static Connecting *rbd_connecting_new(RbdState *state, GError **error)
{
    const CstCeph *ceph = cst_ceph(error);
    g_autoptr(CstWork) work = NULL;
    Connecting *c;

    if (!ceph)
        return NULL;
    c = cst_work_new(sizeof(*c), rbd_connect_now, rbd_connecting_clear);
    c->ceph = ceph;
    c->pool = g_strdup(state->pool);
    c->namespace = g_strdup(state->namespace);
    c->options = cst_rbd_conf_options(state->head.def);
    c->work.what = c->pool;
    return c;
}

/*
 * Steals the connection from the work. A connection made after the deadline is freed with the work.
 */
static RbdConn *rbd_connect_deadline(Connecting *c, GError **error)
{
    /*
     * client_mount_timeout limits the attempt; this limit is for hanging name servers and similar
     * cases.
     */
    return cst_work_wait(&c->work, DEADLINE_MAX * 1000, error) ? g_steal_pointer(&c->conn) : NULL;
}

RbdConn *cst_rbd_conn_new(RbdState *state, GError **error)
{
    Connecting *c = rbd_connecting_new(state, error);
    g_autoptr(CstWork) work = c ? &c->work : NULL;

    return c && rbd_read_key(state, c, error) ? rbd_connect_deadline(c, error) : NULL;
}

RbdConn *cst_rbd_conn_new_admin(RbdState *state, const CstLoginAdmin *admin, GError **error)
{
    Connecting *c = rbd_connecting_new(state, error);
    g_autoptr(CstWork) work = c ? &c->work : NULL;

    if (!c || !cst_secret_bytes_to_base64(&c->key, admin->key, error))
        return NULL;
    c->admin = TRUE;
    c->user = g_strdup(admin->user);
    return rbd_connect_deadline(c, error);
}

/* --- sharing ---------------------------------------------------------------------------------- */

/* TRUE if the caller must connect. The caller holds the lock. */
static gboolean rbd_connect_wait(RbdState *state, GError **error)
{
    guint attempt = state->attempt;

    while (state->connecting) {
        CST_TEST_POINT("rbd.conn.wait");
        g_cond_wait(&state->cond, &state->lock);
    }
    if (state->conn)
        return FALSE;
    /*
     * If a caller has waited for a failed attempt, it fails with its error, because another attempt
     * would take as long.
     */
    if (attempt != state->attempt && state->problem) {
        g_propagate_error(error, g_error_copy(state->problem));
        return FALSE;
    }
    state->connecting = TRUE;
    return TRUE;
}

/*
 * Connects without the lock, which is held before and after. If the secret was replaced in the
 * meantime, connects again, so that other calls do not share a connection with the old value.
 */
static RbdConn *connect_unlocked(RbdState *state, GError **error)
{
    for (;;) {
        guint epoch = state->epoch;
        RbdConn *conn;

        g_mutex_unlock(&state->lock);
        CST_TEST_POINT("rbd.conn.unlocked");
        conn = cst_rbd_conn_new(state, error);
        g_mutex_lock(&state->lock);
        if (epoch == state->epoch)
            return conn;
        g_mutex_unlock(&state->lock);
        cst_rbd_conn_unref(conn);
        g_clear_error(error);
        g_mutex_lock(&state->lock);
    }
}

RbdConn *cst_rbd_conn_get(RbdState *state, GError **error)
{
    g_autoptr(GError) problem = NULL;
    RbdConn *conn;

    g_mutex_lock(&state->lock);
    if (!state->conn && rbd_connect_wait(state, error)) {
        state->conn = connect_unlocked(state, &problem);
        state->connecting = FALSE;
        state->attempt++;
        g_clear_error(&state->problem);
        if (problem) {
            state->problem = g_error_copy(problem);
            g_propagate_error(error, g_steal_pointer(&problem));
        }
        g_cond_broadcast(&state->cond);
    }
    conn = state->conn ? cst_rbd_conn_ref(state->conn) : NULL;
    g_mutex_unlock(&state->lock);
    return conn;
}
