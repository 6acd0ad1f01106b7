/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Connection URIs, as libvirt's client reads them (libvirt docs/uri.rst): scheme[+transport]://
 * [user@]host[:port]/path?params, plus storage:///embed?root=DIR of our own.
 */

typedef enum { CST_URI_EMBEDDED, CST_URI_UNIX, CST_URI_SSH } CstUriTarget;

typedef struct {
    CstUriTarget target;
    char *name;   /**< what CONNECT_OPEN is asked for: without transport and used-up parameters */
    char *socket; /**< path of the socket; for ssh on the other host */
    char *root;   /**< embedded: root=, NULL: none given */

    /* ssh only; NULL or 0: not given */
    char *host;
    char *user;
    int port;
    char *command; /**< program to run instead of ssh */
    char *netcat;  /**< program to run there instead of nc */
    char *keyfile;
    char *known_hosts;
    gboolean no_tty;
    gboolean no_verify;
} CstConnUri;

void cst_conn_uri_clear(CstConnUri *uri);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstConnUri, cst_conn_uri_clear)

/** Directories where sockets are looked for. */
typedef struct {
    const char *system_run;  /**< run/libvirt of the root in use */
    const char *session_run; /**< the user's */
} CstUriSocketDirs;

/**
 * NO_CONNECT for a scheme nobody here speaks, UNSUPPORTED for a transport that isn't built in,
 * INVALID for what can't be read. *ret_uri is to be cleared by the caller.
 */
gboolean cst_conn_uri_parse(const char *text, const CstUriSocketDirs *dirs, gboolean read_only,
                            CstConnUri *ret_uri, GError **error);

/** Argument vector that reaches uri->socket over ssh; g_strfreev() it. */
char **cst_conn_uri_ssh_argv(const CstConnUri *uri);
