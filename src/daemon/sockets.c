/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sockets that clients connect to: passed by systemd, or made by the daemon.
 *
 * Passed sockets are used unchanged. Their paths and modes belong to the socket units, and cisternd
 * does not remove them.
 *
 * An own socket is bound to a temporary name with mode 0600. It gets its group and mode, and is
 * then renamed to its path. Thus no client connects before the access is correct, and a stale file
 * is replaced atomically. Two daemons cannot compete for the paths, because the caller holds the
 * driver lock.
 */
#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/process.h>

#define FIRST_PASSED_FD 3 /* sd_listen_fds(3) */
#define PASSED_MAX      16
#define SECRET_SOCKET   "virtsecretd-sock" /* and "-ro" */

static void socket_free(gpointer data)
{
    DaemonSocket *s = data;

    g_free(s->path);
    g_free(s);
}

static void add_socket(GPtrArray *sockets, int fd, gboolean read_only, const char *path)
{
    DaemonSocket *s = g_new0(DaemonSocket, 1);

    s->fd = fd;
    s->read_only = read_only;
    s->path = g_strdup(path);
    g_ptr_array_add(sockets, s);
}

/* Closes the sockets from index @first on and removes the files made by cisternd. */
static void close_from(GPtrArray *sockets, guint first)
{
    for (guint i = first; i < sockets->len; i++) {
        const DaemonSocket *s = g_ptr_array_index(sockets, i);

        close(s->fd);
        if (s->path)
            unlink(s->path);
    }
    g_ptr_array_set_size(sockets, (gint)first);
}

/* --- systemd's ------------------------------------------------------------------------------- */

static int count_passed(void)
{
    const char *pid = g_getenv("LISTEN_PID"), *fds = g_getenv("LISTEN_FDS");
    gint64 n = fds ? g_ascii_strtoll(fds, NULL, 10) : 0;

    if (!pid || g_ascii_strtoll(pid, NULL, 10) != getpid())
        n = 0;
    /* This process has consumed the descriptors, so child processes must not see the variables. */
    g_unsetenv("LISTEN_PID");
    g_unsetenv("LISTEN_FDS");
    g_unsetenv("LISTEN_FDNAMES");
    return (int)CLAMP(n, 0, PASSED_MAX);
}

static gboolean add_passed(GPtrArray *sockets, int fd, GError **error)
{
    struct sockaddr_un address = {0};
    g_autofree char *name = NULL;
    socklen_t len = sizeof(address) - 1;
    int listening = 0;
    socklen_t size = sizeof(listening);

    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0 || address.sun_family != AF_UNIX ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("descriptor %d passed by the service manager is not a listening unix "
                          "socket; see cisternd.socket"),
                        fd);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return cst_fail_errno(error, errno, _("cannot set up the passed socket %d"), fd);
    /* The file name defines the use of the socket, as in libvirt's units: "…-ro" is read-only. */
    name = g_path_get_basename(address.sun_path);
    add_socket(sockets, fd, g_str_has_suffix(name, "-ro"), NULL);
    ((DaemonSocket *)g_ptr_array_index(sockets, sockets->len - 1))->secrets =
        g_str_has_prefix(name, SECRET_SOCKET);
    return TRUE;
}

/* --- our own --------------------------------------------------------------------------------- */

static gboolean fill_address(const char *path, struct sockaddr_un *ret_address, GError **error)
{
    ret_address->sun_family = AF_UNIX;
    if (g_strlcpy(ret_address->sun_path, path, sizeof(ret_address->sun_path)) >=
        sizeof(ret_address->sun_path))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("'%s' is too long for the name of a socket (at most %zu bytes); choose a "
                          "shorter --root"),
                        path, sizeof(ret_address->sun_path) - 1);
    return TRUE;
}

/*
 * Returns whether the listener is a killed process that hangs in the kernel. Such a process keeps
 * its socket but accepts no connection.
 */
static gboolean listener_is_ending(int fd)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           cst_process_is_ending(peer.pid);
}

/* Fails with BUSY if a daemon answers at @path. EAGAIN means a listener whose queue is full. */
static gboolean check_stale(const char *path, GError **error)
{
    struct sockaddr_un address = {0};
    g_auto(CstFd) fd = -1;

    if (!fill_address(path, &address, error))
        return FALSE;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot make a socket"));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN)
        return listener_is_ending(fd) ||
               cst_fail(error, CST_ERROR_BUSY,
                        _("another daemon answers at '%s'; stop it first (libvirtd, "
                          "virtstoraged, virtsecretd or cisternd)"),
                        path);
    if (errno != ECONNREFUSED && errno != ENOENT)
        return cst_fail_errno(error, errno, _("cannot determine the owner of '%s'"), path);
    return TRUE;
}

static gboolean set_access(const char *path, mode_t mode, const DaemonConfig *config,
                           gboolean read_only, GError **error)
{
    /* The read-only socket is open to every user, so it needs no group. */
    if (config->has_group && !read_only && chown(path, (uid_t)-1, config->group) < 0)
        return cst_fail_errno(error, errno, _("cannot give '%s' to its group"), path);
    if (chmod(path, mode) < 0)
        return cst_fail_errno(error, errno, _("cannot set the mode of '%s'"), path);
    return TRUE;
}

/*
 * Opens a listening socket at @path. The rename to @path is the last step, so that no client
 * connects before group and mode are set.
 */
static gboolean open_listening_socket(const char *path, mode_t mode, const DaemonConfig *config,
                                      gboolean read_only, int *ret_fd, GError **error)
{
    g_autofree char *fresh = g_strdup_printf("%s.new", path);
    struct sockaddr_un address = {0};
    g_auto(CstFd) fd = -1;
    mode_t before;
    int done;

    if (!check_stale(path, error) || !fill_address(fresh, &address, error))
        return FALSE;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot make a socket"));
    /* May exist if a daemon was killed during this function. */
    unlink(fresh);
    /*
     * bind(2) uses the umask of the process for the file's mode. No pool has been started yet, so
     * no other thread makes files.
     */
    before = umask(0177);
    done = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(before);
    if (done < 0)
        return cst_fail_errno(error, errno, _("cannot listen at '%s'"), path);
    if (listen(fd, SOMAXCONN) < 0)
        cst_fail_errno(error, errno, _("cannot listen at '%s'"), path);
    else if (set_access(fresh, mode, config, read_only, error)) {
        if (rename(fresh, path) == 0) {
            *ret_fd = g_steal_fd(&fd);
            return TRUE;
        }
        cst_fail_errno(error, errno, _("cannot name the socket '%s'"), path);
    }
    unlink(fresh);
    return FALSE;
}

/*
 * Opens both sockets of a service. @path_ro may be NULL: no read-only socket. On failure @sockets
 * is unchanged.
 */
static gboolean open_pair(const char *path, const char *path_ro, const DaemonConfig *config,
                          GPtrArray *sockets, GError **error)
{
    guint first = sockets->len;
    int fd;

    if (!open_listening_socket(path, config->mode, config, FALSE, &fd, error))
        return FALSE;
    add_socket(sockets, fd, FALSE, path);
    if (!path_ro)
        return TRUE;
    if (!open_listening_socket(path_ro, config->mode_ro, config, TRUE, &fd, error)) {
        close_from(sockets, first);
        return FALSE;
    }
    add_socket(sockets, fd, TRUE, path_ro);
    return TRUE;
}

static gboolean open_own(const CstPaths *paths, const DaemonConfig *config, GPtrArray *sockets,
                         GError **error)
{
    return cst_dir_ensure(paths->run_dir, paths->session ? 0700 : 0755, error) &&
           open_pair(paths->socket, paths->socket_ro, config, sockets, error);
}

GPtrArray *daemon_sockets_open(const CstPaths *paths, const DaemonConfig *config, GError **error)
{
    GPtrArray *sockets = g_ptr_array_new_with_free_func(socket_free);
    int passed = count_passed();
    gboolean ok = TRUE;

    for (int i = 0; ok && i < passed; i++)
        ok = add_passed(sockets, FIRST_PASSED_FD + i, error);
    if (passed == 0)
        ok = open_own(paths, config, sockets, error);
    if (!ok) {
        close_from(sockets, 0);
        g_clear_pointer(&sockets, g_ptr_array_unref);
    }
    return sockets;
}

DaemonSecrets daemon_sockets_secrets(GPtrArray *sockets)
{
    DaemonSecrets secrets = DAEMON_SECRETS_OURS;

    for (guint i = 0; i < sockets->len; i++) {
        const DaemonSocket *s = g_ptr_array_index(sockets, i);

        if (s->secrets)
            return DAEMON_SECRETS_PASSED;
        if (!s->path)
            secrets = DAEMON_SECRETS_LEFT;
    }
    return secrets;
}

gboolean daemon_sockets_add_secrets(const CstPaths *paths, const DaemonConfig *config,
                                    GPtrArray *sockets, GError **error)
{
    guint first = sockets->len;

    if (!open_pair(paths->secret_socket, paths->secret_socket_ro, config, sockets, error))
        return FALSE;
    for (guint i = first; i < sockets->len; i++)
        ((DaemonSocket *)g_ptr_array_index(sockets, i))->secrets = TRUE;
    return TRUE;
}

gboolean daemon_sockets_drop_secrets(GPtrArray *sockets)
{
    guint before = sockets->len;

    for (guint i = before; i-- > 0;) {
        const DaemonSocket *s = g_ptr_array_index(sockets, i);

        if (s->secrets) {
            close(s->fd);
            g_ptr_array_remove_index(sockets, i);
        }
    }
    return sockets->len < before;
}

void daemon_sockets_remove(GPtrArray *sockets)
{
    for (guint i = 0; i < sockets->len; i++) {
        const DaemonSocket *s = g_ptr_array_index(sockets, i);

        if (s->path)
            unlink(s->path);
    }
}
