/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening a connection: selection of transport and socket.
 *
 * The choices, in order: embedded if requested; the given URI; without --root the URI of the
 * environment; the daemon of this root if one listens; embedded. A daemon that manages the root
 * holds the driver lock, so an embedded command would fail with BUSY. Such a command connects to
 * the daemon instead.
 *
 * A daemon acquires that lock before it listens. A killed daemon leaves its socket. So a refused
 * connection is tried again for as long as a daemon holds the lock, up to START_WAIT_US. If the
 * lock is free, the socket is stale and the command is embedded.
 */
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <store/driver_lock.h>
#include <store/paths.h>

#include "conn_private.h"
#include "local.h"
#include "remote.h"
#include "uri.h"

#define START_WAIT_US (10 * G_TIME_SPAN_SECOND) /* maximum wait for a daemon that is starting */
#define START_LOOK_US (20 * G_TIME_SPAN_MILLISECOND)

/*
 * Atomic: whether this process ever had an embedded service. If so, it must not read the driver
 * lock's holder, because it would lose its lock.
 */
static gint embedded_before;

static CstConn *open_local(const char *root, const CstConnOptions *options, GError **error)
{
    g_autoptr(CstPaths) paths = cst_paths_new(root);
    CstConn *conn;
    gpointer self;

    if (root && options->must_exist && !g_file_test(root, G_FILE_TEST_IS_DIR)) {
        cst_fail(error, CST_ERROR_NOT_FOUND,
                 _("there is no root directory '%s'; the first command that changes something "
                   "makes it"),
                 root);
        return NULL;
    }
    g_atomic_int_set(&embedded_before, TRUE);
    self = cst_local_open(paths, error);
    conn = self ? cst_conn_new(&cst_local_transport, self, NULL, options->read_only) : NULL;
    if (conn)
        conn->root = g_strdup(root);
    return conn;
}

/* On success the connection takes ownership of the members of @uri. */
static CstConn *open_remote(CstConnUri *uri, const char *given_uri, gboolean read_only,
                            gboolean *ret_reached, GError **error)
{
    gpointer self = cst_remote_open(uri, read_only, ret_reached, error);
    CstConn *conn = self ? cst_conn_new(&cst_remote_transport, self, given_uri, read_only) : NULL;

    if (conn) {
        conn->uri = *uri;
        *uri = (CstConnUri){0};
    }
    return conn;
}

CstConn *cst_conn_open_again(const CstConn *conn, GError **error)
{
    /* The strings still belong to the first connection. */
    CstConnUri uri = conn->uri;
    gboolean reached;
    gpointer self;

    if (!uri.name) {
        cst_fail(error, CST_ERROR_UNSUPPORTED, "%s", _("no server was connected to"));
        return NULL;
    }
    uri.unattended = TRUE;
    self = cst_remote_open(&uri, conn->read_only, &reached, error);
    return self ? cst_conn_new(&cst_remote_transport, self, conn->given_uri, conn->read_only)
                : NULL;
}

static CstConn *open_uri(const char *text, const CstConnOptions *options, GError **error)
{
    g_autoptr(CstPaths) paths = cst_paths_new(options->root);
    g_autofree char *session = g_build_filename(g_get_user_runtime_dir(), "libvirt", NULL);
    /*
     * Root may use the URI of a session, and an unprivileged user the URI of the system. Then the
     * directory is libvirt's default. --root replaces both directories.
     */
    const CstUriSocketDirs dirs = {
        .system_run = paths->session ? "/run/libvirt" : paths->run_dir,
        .session_run = paths->session || options->root ? paths->run_dir : session,
    };
    g_auto(CstConnUri) uri = {0};
    CstConn *conn;
    gboolean reached;

    if (!cst_conn_uri_parse(text, &dirs, options->read_only, &uri, error))
        return NULL;
    uri.unattended = options->unattended;
    if (uri.target == CST_URI_EMBEDDED)
        return open_local(uri.root ? uri.root : options->root, options, error);
    conn = open_remote(&uri, text, options->read_only, &reached, error);
    if (conn)
        conn->root = g_strdup(options->root);
    return conn;
}

static gboolean daemon_is_starting(const CstPaths *paths)
{
    return !g_atomic_int_get(&embedded_before) && cst_driver_lock_is_of_daemon(paths);
}

/*
 * Connects to the daemon of this root, and waits for one that is starting. *ret_listens: a daemon
 * listens.
 */
static CstConn *open_daemon(const CstPaths *paths, const CstConnOptions *options,
                            gboolean *ret_listens, GError **error)
{
    gint64 until = g_get_monotonic_time() + START_WAIT_US;

    for (;;) {
        g_autoptr(GError) why = NULL;
        g_auto(CstConnUri) uri = {.target = CST_URI_UNIX};
        gboolean reached, is_starting;
        CstConn *conn;

        uri.name = g_strdup(paths->session ? "storage:///session" : "storage:///system");
        uri.socket =
            g_strdup(options->read_only && paths->socket_ro ? paths->socket_ro : paths->socket);
        conn = open_remote(&uri, NULL, options->read_only, &reached, &why);
        if (conn) {
            conn->root = g_strdup(options->root);
            return conn;
        }
        *ret_listens = reached || !g_error_matches(why, CST_ERROR, CST_ERROR_UNREACHABLE);
        is_starting = !*ret_listens && daemon_is_starting(paths);
        if (!is_starting || g_get_monotonic_time() >= until) {
            g_propagate_error(error, g_steal_pointer(&why));
            return NULL;
        }
        g_usleep(START_LOOK_US);
    }
}

/*
 * Without a URI, connects to the daemon of this root. If no daemon listens at its socket, the
 * connection is embedded. A daemon that listens but refuses the connection is an error.
 */
static CstConn *open_default(const CstConnOptions *options, GError **error)
{
    g_autoptr(CstPaths) paths = cst_paths_new(options->root);
    g_autoptr(GError) why = NULL;
    gboolean listens = FALSE;
    CstConn *conn = open_daemon(paths, options, &listens, &why);

    if (conn)
        return conn;
    if (listens) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    conn = open_local(options->root, options, error);
    if (conn && g_file_test(paths->socket, G_FILE_TEST_EXISTS))
        conn->stale_socket = g_strdup(paths->socket);
    return conn;
}

static const char *default_uri(const CstConnOptions *options)
{
    const char *const names[] = {"CISTERN_URI", "LIBVIRT_DEFAULT_URI"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = g_getenv(names[i]);

        if (value && *value)
            return value;
    }
    return options->default_uri;
}

CstConn *cst_conn_open(const char *uri, const CstConnOptions *options, GError **error)
{
    const CstConnOptions none = {0};

    /* Opening may start a service, and its recovery is never a dry run. */
    cst_dry_run_set(FALSE);
    if (!options)
        options = &none;
    if (options->embedded)
        return open_local(options->root, options, error);
    if (uri && !*uri)
        uri = NULL;
    /* --root on the command line overrides the environment and the configuration. */
    if (!uri && !options->root)
        uri = default_uri(options);
    return uri ? open_uri(uri, options, error) : open_default(options, error);
}
